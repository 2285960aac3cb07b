"""Images to judge codecs by, seeded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from reference.blocks import idct2, merge_blocks
from reference.color import ycbcr_to_rgb

__all__ = ["IMAGES", "Image", "crafted", "probes"]

Image = NDArray[np.uint8]
Array = NDArray[np.float64]
_Shape = tuple[int, int]
_Rng = np.random.Generator


def _pixels(values: Array) -> Image:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _noise(shape: _Shape, rng: _Rng) -> Image:
    return rng.integers(0, 256, (*shape, 3), dtype=np.uint8)


def _greys(shape: _Shape, rng: _Rng) -> Image:
    """R = G = B: whole numbers in Y, nothing in Cb and Cr."""
    return np.repeat(rng.integers(0, 256, (*shape, 1), dtype=np.uint8), 3, axis=2)


def _smooth(shape: _Shape, rng: _Rng) -> Image:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    waves = [
        100 * np.sin(x * a + y * b + c)
        for a, b, c in zip(*rng.uniform(-0.3, 0.3, (2, 3)), rng.uniform(0, 6, 3), strict=True)
    ]
    return _pixels(128 + np.stack(waves, axis=-1) + rng.normal(0, 2, (*shape, 3)))


def _saturated(shape: _Shape, rng: _Rng) -> Image:
    """Corners of the colour cube."""
    return 255 * rng.integers(0, 2, (*shape, 3), dtype=np.uint8)


def _edges(shape: _Shape, rng: _Rng) -> Image:
    """Black and white in large parts: samples overshoot."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    slope = rng.uniform(-1, 1, 2)
    far = slope[0] * (y - shape[0] / 2) + slope[1] * (x - shape[1] / 2) > rng.uniform(-3, 3)
    return np.repeat(np.where(far, 255, 0).astype(np.uint8)[..., None], 3, axis=2)


def _flat(shape: _Shape, rng: _Rng) -> Image:
    colour = rng.integers(0, 256, 3, dtype=np.uint8)
    return np.ascontiguousarray(np.broadcast_to(colour, (*shape, 3)))


#: Images that know nothing of tables, by name.
IMAGES: dict[str, Callable[[_Shape, _Rng], Image]] = {
    "noise": _noise,
    "greys": _greys,
    "smooth": _smooth,
    "saturated": _saturated,
    "edges": _edges,
    "flat": _flat,
}


def crafted(shape: _Shape, tables: Array, factors: tuple[int, int], rng: _Rng) -> Image:
    """An image whose coefficients lie off the ties of the tables, as far as pixels allow.

    A few coefficients of every block are whole multiples of their steps, moved by up to a third
    of a step. Rounding the pixels adds noise of 0.29 and less to each: steps of some 8 and more
    keep all levels certain, in any arithmetic. Chroma is constant within cells, so that their
    means are.

    Parameters
    ----------
    shape : (int, int)
        H, W.
    tables : ndarray, shape (2, 8, 8)
        Natural order.
    factors : (int, int)
        (vertical, horizontal) of chroma.
    rng : numpy.random.Generator
        Source of the draw.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
    """
    planes = []
    for index, reach in enumerate((90.0, 25.0, 25.0)):
        v, h = factors if index else (1, 1)
        rows, columns = (-(-side // (8 * f)) for side, f in zip(shape, (v, h), strict=True))
        samples = merge_blocks(idct2(_levels(tables[min(index, 1)], reach, (rows, columns), rng)))
        planes.append(samples.repeat(v, axis=0).repeat(h, axis=1)[: shape[0], : shape[1]])
    return _pixels(np.moveaxis(ycbcr_to_rgb(np.stack(planes)), 0, -1) + 128)


def _levels(table: Array, reach: float, count: _Shape, rng: _Rng) -> Array:
    """Coefficients (R, C, 8, 8) whose samples stay within the reach."""
    blocks = np.arange(count[0] * count[1])
    z = np.zeros((blocks.size, 8, 8))
    left = np.full(blocks.size, 4 * reach)  # a basis function is at most 1/4
    for _ in range(4):
        u, v = rng.integers(0, 8, (2, blocks.size))
        share = np.minimum(left, rng.uniform(0.3, 0.8, blocks.size) * 4 * reach)
        level = np.maximum(np.floor(share / table[u, v] - 0.35), 0)
        wanted = np.abs(level + rng.uniform(-0.35, 0.35, blocks.size)) * table[u, v]
        size = np.minimum(wanted, left)
        z[blocks, u, v] = np.copysign(size, rng.uniform(-1, 1, blocks.size))
        left -= size
    return z.reshape(*count, 8, 8)


def probes(component: int, amplitude: float) -> Image:
    """64 x 64 pixels: the block in row u and column v holds the DCT basis function (u, v) alone.

    Parameters
    ----------
    component : {0, 1, 2}
        Of Y, Cb, Cr; the others are 128.
    amplitude : float
        Largest distance of a sample from 128.

    Returns
    -------
    ndarray of uint8, shape (64, 64, 3)
    """
    z = np.zeros((8, 8, 8, 8))
    u, v = np.indices((8, 8))
    z[u, v, u, v] = 1.0
    samples = idct2(z)
    samples *= amplitude / np.abs(samples).max(axis=(-2, -1), keepdims=True)
    planes = np.zeros((3, 64, 64))
    planes[component] = merge_blocks(samples)
    return _pixels(np.moveaxis(ycbcr_to_rgb(planes), 0, -1) + 128)
