"""Named calls, seeded: images, qualities and tables where differentiable JPEG breaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.diff_jpeg.subject import CodingCase, CodingInputs

__all__ = ["CODING_BUDGETS", "make_coding_cases"]

Array = NDArray[np.float64]

#: How often every case is drawn.
CODING_BUDGETS = {"quick": 1, "full": 6}

#: The corners of the colour cube: what lies at an end of the range in each channel.
_CORNERS = np.array([[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)], float)


class _Draw:
    def __init__(self, seed: int, repetition: int, number: int, kind: np.dtype[Any]) -> None:
        self.rng = np.random.default_rng([seed, repetition, number])
        self.kind = kind

    def noise(self, count: int, height: int, width: int) -> Array:
        return self.rng.uniform(0, 255, (count, 3, height, width))

    def smooth(self, count: int, height: int, width: int) -> Array:
        y, x = np.mgrid[:height, :width] / 7
        phase = self.rng.uniform(0, 6, (count, 3, 1, 1))
        waves = 128 + 90 * np.sin(phase + x * self.rng.uniform(0.5, 2) + y)
        return np.clip(waves + self.rng.normal(0, 4, (count, 3, height, width)), 0, 255)

    def whole(self, count: int, height: int, width: int) -> Array:
        return np.rint(self.noise(count, height, width))

    def tables(self, *shape: int) -> Array:
        return self.rng.uniform(1, 255, (*shape, 2, 8, 8)) ** 0.8

    def made(
        self,
        name: str,
        images: Array,
        *,
        quality: Any = None,
        qtables: Array | None = None,
        weights: Array | None = None,
    ) -> CodingCase:
        """The call, with every number rounded to the dtype."""
        if weights is None:
            weights = self.rng.normal(size=images.shape)
        arrays = (images, quality, qtables, weights)
        return CodingCase(
            name,
            CodingInputs._make(
                None if a is None else np.asarray(a).astype(self.kind).astype(np.float64)
                for a in arrays
            ),
        )


def _every_quality(d: _Draw) -> CodingCase:
    # Bright or dark: about the middle grey all steps of 250 and of 255 code the same, nothing.
    # Half of the images are whole, so that the straight-through form rounds nothing there.
    bias = d.rng.choice([-1, 1], (100, 1, 1, 1)) * d.rng.uniform(60, 110, (100, 3, 1, 1))
    images = np.clip(128 + bias + d.rng.uniform(-70, 70, (100, 3, 8, 16)), 0, 255)
    images[::2] = np.rint(images[::2])
    return d.made("every quality", images, quality=np.arange(1.0, 101))


def _between(d: _Draw) -> CodingCase:
    return d.made("between", d.smooth(12, 9, 11), quality=d.rng.uniform(1, 100, 12))


def _around_50(d: _Draw) -> CodingCase:
    below = np.nextafter(d.kind.type(50), d.kind.type(0))
    quality = np.array([49.5, below, 50, 50.5, 51, 1, 100])
    return d.made("around 50", d.smooth(7, 8, 8), quality=quality)


def _one_quality(d: _Draw) -> CodingCase:
    return d.made("one quality", d.smooth(3, 16, 16), quality=d.rng.uniform(10, 95))


def _one_pixel(d: _Draw) -> CodingCase:
    return d.made("one pixel", d.noise(4, 1, 1), quality=d.rng.uniform(20, 100, 4))


def _narrow(d: _Draw) -> CodingCase:
    return d.made("narrow", d.noise(2, 19, 3), quality=np.array([31.0, 92.5]))


def _four_columns(d: _Draw) -> CodingCase:
    return d.made("four columns", d.noise(2, 5, 4), qtables=d.tables())


def _low(d: _Draw) -> CodingCase:
    return d.made("low", d.noise(2, 1, 21), quality=np.array([55.5, 88.0]))


def _odd_size(d: _Draw) -> CodingCase:
    return d.made("odd size", d.smooth(2, 17, 35), qtables=d.tables())


def _noise(d: _Draw) -> CodingCase:
    return d.made("noise", d.noise(2, 16, 24), qtables=d.tables())


def _tables_per_image(d: _Draw) -> CodingCase:
    return d.made("tables per image", d.noise(3, 16, 16), qtables=d.tables(3))


def _whole_tables(d: _Draw) -> CodingCase:
    tables = np.rint(d.tables())
    tables[:, 0, :4], tables[:, 7, 7] = 1, 255
    return d.made("whole tables", d.whole(2, 16, 16), qtables=tables)


def _table_ends(d: _Draw) -> CodingCase:
    tables = d.rng.choice([1.0, 1.2, 1.5, 254.4, 254.5, 255.0], (2, 2, 8, 8))
    return d.made("table ends", d.noise(2, 8, 8), qtables=tables)


def _extremes(d: _Draw) -> CodingCase:
    images = d.rng.choice([0.0, 255.0], (2, 3, 16, 16))
    return d.made("extremes", images, quality=np.array([12.0, 77.7]))


def _flat(d: _Draw) -> CodingCase:
    """Black, white and saturated colours."""
    images = np.broadcast_to(_CORNERS[:, :, None, None], (8, 3, 9, 8))
    return d.made("flat colours", images.copy(), quality=d.rng.uniform(1, 100, 8))


def _halves(d: _Draw) -> CodingCase:
    """Pixels that are ties, or a little off them, and the ends."""
    images = d.rng.integers(0, 255, (2, 3, 16, 16)) + d.rng.choice(
        [0.0, 0.5, 0.4999], (2, 3, 16, 16)
    )
    return d.made("halves", images, quality=np.array([90.0, 99.0]))


_CASES = (
    _every_quality,
    _between,
    _around_50,
    _one_quality,
    _one_pixel,
    _narrow,
    _four_columns,
    _low,
    _odd_size,
    _noise,
    _tables_per_image,
    _whole_tables,
    _table_ends,
    _extremes,
    _flat,
    _halves,
)


def make_coding_cases(*, dtype: np.dtype[Any], seed: int, budget: str) -> Iterator[CodingCase]:
    """Draw the calls of a verdict.

    Parameters
    ----------
    dtype : numpy.dtype
        float32 or float64; the inputs are rounded to it.
    seed : int
        >= 0.
    budget : {"quick", "full"}
        Every case once, or six times.

    Yields
    ------
    CodingCase
        Sixteen to a repetition.
    """
    for repetition in range(CODING_BUDGETS[budget]):
        for number, case in enumerate(_CASES):
            yield case(_Draw(seed, repetition, number, dtype))
