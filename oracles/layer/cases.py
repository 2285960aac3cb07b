"""Named cases for JPEG layers, seeded: where layers break.

Samples are multiples of 1/64, so that 256 - x and x/4 are exact in float32. Every entry of a
table differs from every other, unless the case says otherwise: a transposed table shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.layer.subject import LayerCase, LayerInputs
from reference.standard import annex_k_tables

__all__ = ["LAYER_BUDGETS", "LAYER_CASES", "draw_grad_output", "draw_image", "make_layer_cases"]

Array = NDArray[np.float64]

#: How often each case is drawn, by budget; repetitions are larger, too.
LAYER_BUDGETS: dict[str, int] = {"quick": 1, "full": 8}

_GRID = 64.0


@dataclass(frozen=True)
class _Draw:
    """What a case draws from."""

    rng: np.random.Generator
    grow: int  # repetition: whole blocks to add to the sides
    least_level: int  # so that the index set holds the window

    def size(self, count: int, height: int, width: int) -> tuple[int, int, int, int]:
        return count, 3, height + 8 * (self.grow % 3), width + 8 * (self.grow % 4)

    def log_uniform(self, low: float, high: float) -> Array:
        return np.exp(self.rng.uniform(np.log(low), np.log(high), (2, 8, 8)))

    def level(self, wanted: int) -> int:
        return max(wanted, self.least_level)


# Image, q, alpha, L.
_Made = tuple[Array, Array, Array, int]


def draw_image(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    """Noise in [1, 255], on the grid."""
    return np.round(rng.uniform(1.0, 255.0, size) * _GRID) / _GRID


def draw_grad_output(rng: np.random.Generator, image: Array) -> Array:
    """Noise of size one, correlated with the image so that weighted sums do not cancel."""
    return np.round((rng.normal(size=image.shape) + (image - 128.0) / 64.0) * _GRID) / _GRID


def _noise(d: _Draw) -> _Made:
    q = d.log_uniform(1.0, 60.0)
    return draw_image(d.rng, d.size(1, 16, 24)), q, d.log_uniform(0.3, 30.0) / q**2, d.level(127)


def _smooth(d: _Draw) -> _Made:
    # Edges, gradients and texture, as a photograph has them.
    count, channels, height, width = d.size(1, 24, 16)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    shape = (count, channels, 1, 1)
    slope, wave, edge = (d.rng.uniform(-1, 1, shape) for _ in range(3))
    where = d.rng.uniform(0.3, 0.7, shape)
    image = 128 + 50 * slope * (x - y) + 30 * wave * np.sin(9 * (x + where) * (y + 1))
    image = image + 40 * edge * (x + 0.3 * y > where) + d.rng.normal(0, 2, (1, 1, height, width))
    q = annex_k_tables(int(d.rng.integers(40, 95)))
    image = np.round(np.clip(image, 1, 255) * _GRID) / _GRID
    return image, q, d.log_uniform(0.5, 5.0) / q**2, d.level(127)


def _flat(d: _Draw) -> _Made:
    size = d.size(1, 8, 16)
    image = np.broadcast_to(draw_image(d.rng, (1, 3, 1, 1)), size).copy()
    q = d.log_uniform(2.0, 40.0)
    return image, q, d.log_uniform(0.5, 10.0) / q**2, d.level(127)


def _extremes(d: _Draw) -> _Made:
    size = d.size(1, 16, 16)
    y, x = np.mgrid[0 : size[2], 0 : size[3]]
    phase = np.arange(3).reshape(1, 3, 1, 1)
    image = 255.0 * ((x + y + phase) % 2) + np.zeros(size)
    q = d.log_uniform(4.0, 60.0)
    return image, q, d.log_uniform(1.0, 30.0) / q**2, d.level(127)


def _one_pixel(d: _Draw) -> _Made:
    q = d.log_uniform(2.0, 20.0)
    return draw_image(d.rng, (1, 3, 1, 1)), q, d.log_uniform(0.5, 5.0) / q**2, d.level(63)


def _odd_size(d: _Draw) -> _Made:
    q = d.log_uniform(4.0, 40.0)
    return draw_image(d.rng, d.size(2, 9, 17)), q, d.log_uniform(0.5, 8.0) / q**2, d.level(127)


def _one_block(d: _Draw) -> _Made:
    q = d.log_uniform(2.0, 20.0)
    return draw_image(d.rng, (1, 3, 8, 8)), q, d.log_uniform(0.5, 5.0) / q**2, d.level(127)


def _batch(d: _Draw) -> _Made:
    # Images that differ by much: what one of them leaves in another shows.
    image = draw_image(d.rng, d.size(3, 11, 16))
    image = np.round((128 + (image - 128) * np.array([1.0, 0.2, 0.6]).reshape(3, 1, 1, 1)) * 64)
    q = d.log_uniform(4.0, 40.0)
    return image / 64, q, d.log_uniform(0.5, 8.0) / q**2, d.level(127)


def _trained_hardness(d: _Draw) -> _Made:
    # JPEG-DL, section 4: gradient scaling constant 0.7.
    q = d.log_uniform(1.0, 20.0)
    return draw_image(d.rng, d.size(1, 8, 16)), q, 0.7 / q**2, d.level(127)


def _trained_alpha(d: _Draw) -> _Made:
    # JPEG-DL, section 4: alpha 5; b = 11 bits.
    q = d.log_uniform(0.3, 3.0)
    return draw_image(d.rng, (1, 3, 8, 8)), q, np.full((2, 8, 8), 5.0), d.level(1023)


def _annex_k(d: _Draw) -> _Made:
    q = annex_k_tables(50)
    return draw_image(d.rng, d.size(1, 16, 16)), q, d.log_uniform(2.0, 100.0) / q**2, d.level(127)


def _tiny_q(d: _Draw) -> _Made:
    q = d.log_uniform(1e-3, 0.3)
    return draw_image(d.rng, d.size(1, 8, 9)), q, d.log_uniform(0.5, 30.0) / q**2, d.level(127)


def _huge_q(d: _Draw) -> _Made:
    q = np.full((2, 8, 8), 255.0)
    return draw_image(d.rng, d.size(1, 16, 8)), q, d.log_uniform(0.3, 30.0) / q**2, d.level(127)


def _saturated(d: _Draw) -> _Made:
    q = d.log_uniform(2.0, 30.0)
    return draw_image(d.rng, d.size(1, 16, 16)), q, d.log_uniform(0.5, 10.0) / q**2, d.level(3)


def _strip(d: _Draw) -> _Made:
    # 67 blocks in a row, more than a tile of most kernels; columns in every second repetition.
    size = (1, 3, 3, 530) if d.grow % 2 == 0 else (1, 3, 530, 3)
    q = d.log_uniform(8.0, 60.0)
    return draw_image(d.rng, size), q, d.log_uniform(4.0, 20.0) / q**2, d.level(31)


#: Every case there is.
LAYER_CASES: dict[str, Callable[[_Draw], _Made]] = {
    "noise": _noise,
    "smooth": _smooth,
    "flat": _flat,
    "extremes": _extremes,
    "one pixel": _one_pixel,
    "odd size": _odd_size,
    "one block": _one_block,
    "batch": _batch,
    "trained h 0.7": _trained_hardness,
    "trained alpha 5": _trained_alpha,
    "Annex K": _annex_k,
    "tiny q": _tiny_q,
    "huge q": _huge_q,
    "saturated": _saturated,
    "strip": _strip,
}


def make_layer_cases(
    *, window: int | None, dtype: np.dtype[Any], seed: int, budget: str
) -> list[LayerCase]:
    """Draw every case of :data:`LAYER_CASES`, as often as the budget says.

    Parameters
    ----------
    window : int or None
        The index sets hold it.
    dtype : numpy.dtype
        Entries are exact in it.
    seed : int
        Each case has a stream of its own: adding one changes no other.
    budget : {"quick", "full"}
        A key of :data:`LAYER_BUDGETS`.

    Returns
    -------
    list of LayerCase
    """
    least = 1 if window is None else window // 2
    made = []
    for repetition in range(LAYER_BUDGETS[budget]):
        for number, (name, generate) in enumerate(LAYER_CASES.items()):
            rng = np.random.default_rng([seed, repetition, number])
            image, q, alpha, max_level = generate(_Draw(rng, repetition, least))
            q, alpha = (a.astype(dtype).astype(np.float64) for a in (q, alpha))
            inputs = LayerInputs(image, q, alpha, draw_grad_output(rng, image))
            made.append(LayerCase(name, inputs, max_level))
    return made
