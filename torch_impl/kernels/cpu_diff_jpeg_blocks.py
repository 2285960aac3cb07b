"""The 8x8 DCT in float32 on rows of blocks, and how these rows are numbered.

An image is cut into rows of MCUs, numbered from image to image and from top to bottom; a task gets
some of them, `first` to `last` - 1. Each has one row of blocks of each chroma plane, and one or two
of luma, the second of which may be missing at the bottom.

Samples of a task are *local*: rows of blocks, (rows, 8, 8 C), of the row of MCUs `first`, then
of the next one. With k rows in each, those of MCU row `number` begin at k (number - first).
Coefficients are those of all images, by planes: (planes * rows of a plane, 8, 8 C).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.standard import DCT_MATRIX
from torch_impl.kernels.cpu_jit import jit

Array = NDArray[np.float32]

TILE = 256
"""Columns that are transformed at a time."""


def _matrix(rows: NDArray[np.float64]) -> Array:
    return np.ascontiguousarray(rows, dtype=np.float32).reshape(-1)


FORWARD: tuple[Array, Array] = _matrix(DCT_MATRIX), _matrix(DCT_MATRIX.T)
"""A and its transpose for the DCT, as :func:`transform_rows` takes them."""

INVERSE: tuple[Array, Array] = FORWARD[1], FORWARD[0]
"""The same for the inverse DCT."""


@jit
def transform_rows(
    source: Array,
    target: Array,
    from_local: bool,
    to_local: bool,
    each: int,
    factor: int,
    rows: int,
    down: int,
    first: int,
    last: int,
    a: Array,
    at: Array,
    s: Array,
    t: Array,
) -> None:
    """A P A^T of each block P of rows of MCUs `first` to `last` - 1.

    Parameters
    ----------
    source : ndarray of float32, shape (rows, 8, 8 C)
        Blocks, row by row.
    target : ndarray of float32, shape (rows, 8, 8 C)
        Written.
    from_local, to_local : bool
        Whether `source` and `target` hold the rows of this task alone.
    each : int
        Planes of an image: 1 for luma, 2 for chroma.
    factor : int
        Rows of blocks of a plane in a row of MCUs, 1 or 2.
    rows, down : int
        Rows of blocks of a plane, and rows of MCUs of an image.
    first, last : int
        Which rows of MCUs.
    a, at : ndarray of float32, shape (64,)
        `FORWARD` or `INVERSE`.
    s, t : ndarray of float32, shape (8 * TILE,)
        Scratch memory: eight lines at a constant distance, in which the compiler sees vectors.
    """
    width = source.shape[2]
    for task in range(first * each * factor, last * each * factor):
        number, c, i = task // (each * factor), task // factor % each, task % factor
        n, block = number // down, number % down * factor + i
        if block >= rows:
            continue
        local = task - first * each * factor
        whole = (n * each + c) * rows + block
        here, there = local if from_local else whole, local if to_local else whole
        for x0 in range(0, width, TILE):
            count = width - x0 if width - x0 < TILE else TILE
            for y in range(8):
                for x in range(count):
                    s[TILE * y + x] = source[here, y, x0 + x]
            for v in range(8):
                a0, a1, a2, a3 = a[8 * v], a[8 * v + 1], a[8 * v + 2], a[8 * v + 3]
                a4, a5, a6, a7 = a[8 * v + 4], a[8 * v + 5], a[8 * v + 6], a[8 * v + 7]
                for x in range(count):
                    low = a0 * s[x] + a1 * s[TILE + x]
                    low += a2 * s[2 * TILE + x] + a3 * s[3 * TILE + x]
                    high = a4 * s[4 * TILE + x] + a5 * s[5 * TILE + x]
                    high += a6 * s[6 * TILE + x] + a7 * s[7 * TILE + x]
                    t[TILE * v + x] = low + high
            for v in range(8):
                for b in range(count // 8):
                    k = TILE * v + 8 * b
                    p0, p1, p2, p3 = t[k], t[k + 1], t[k + 2], t[k + 3]
                    p4, p5, p6, p7 = t[k + 4], t[k + 5], t[k + 6], t[k + 7]
                    for u in range(8):
                        low = p0 * at[u] + p1 * at[8 + u] + p2 * at[16 + u] + p3 * at[24 + u]
                        high = p4 * at[32 + u] + p5 * at[40 + u] + p6 * at[48 + u]
                        s[k + u] = low + (high + p7 * at[56 + u])
            for y in range(8):
                for x in range(count):
                    target[there, y, x0 + x] = s[TILE * y + x]
