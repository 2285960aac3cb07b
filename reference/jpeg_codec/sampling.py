"""Chroma subsampling and "fancy" upsampling in integers, with libjpeg's biases and edges.

References
----------
libjpeg-turbo, jcsample.c (``h2v1_downsample``, ``h2v2_downsample``, ``int_downsample``),
jcprepct.c (edges) and jdsample.c (``h2v1_fancy_upsample``, ``h2v2_fancy_upsample``,
``h1v2_fancy_upsample``, ``int_upsample``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference._jit import jit

# The triangle filter across needs chroma wider than this (jdsample.c, ``jinit_upsampler``).
_NARROW = 2


@jit
def downsample(
    plane: NDArray[np.uint8], vertical: int, horizontal: int, height: int, width: int
) -> NDArray[np.uint8]:
    """A plane (H, W) reduced by 1 or 2 along each axis, its edges repeated to (height, width).

    To the right the last column of the input is repeated, then averaged. At the bottom the input
    is repeated to a whole group of rows only, and below that the last averaged row.
    """
    rows, columns = plane.shape
    reduced = np.empty((height, width), np.uint8)
    sums = np.empty(width * horizontal, np.int32)
    own = min((rows + vertical - 1) // vertical, height)
    for y in range(own):
        above, below = vertical * y, min(vertical * y + 1, rows - 1)
        inside = min(columns, sums.size)
        for x in range(inside):
            sums[x] = plane[above, x]
            if vertical == 2:
                sums[x] += plane[below, x]
        for x in range(inside, sums.size):
            sums[x] = sums[inside - 1]
        if horizontal == 2:
            bias, shift = vertical - 1, vertical  # 0, 1, 0, 1 ... of 2; 1, 2, 1, 2 ... of 4
            for x in range(width // 2):
                reduced[y, 2 * x] = (sums[4 * x] + sums[4 * x + 1] + bias) >> shift
                reduced[y, 2 * x + 1] = (sums[4 * x + 2] + sums[4 * x + 3] + bias + 1) >> shift
        else:
            for x in range(width):
                reduced[y, x] = (sums[x] + vertical - 1) >> (vertical - 1)
    for y in range(own, height):
        for x in range(width):
            reduced[y, x] = reduced[own - 1, x]
    return reduced


@jit
def upsample(
    plane: NDArray[np.uint8],
    rows: int,
    columns: int,
    vertical: int,
    horizontal: int,
    height: int,
    width: int,
) -> NDArray[np.uint8]:
    """The first rows and columns of a plane, interpolated to (height, width).

    Factors of 2 take a triangle filter, 3/4 of the nearer and 1/4 of the farther sample, except
    that a plane of one or two columns is not filtered where it is widened. All others repeat.
    """
    full = np.empty((height, width), np.uint8)
    filtered = max(vertical, horizontal) == 2 and (horizontal == 1 or columns > _NARROW)
    if not filtered:
        for y in range(height):
            source = plane[y // vertical]
            for x in range(width):
                full[y, x] = source[x // horizontal]
        return full
    sums = np.empty(columns, np.int32)
    line = np.empty(2 * columns, np.uint8)
    for y in range(height):
        near = plane[y // vertical]
        if vertical == 2:
            far = plane[min(max(y // 2 + (1 if y & 1 else -1), 0), rows - 1)]
            for x in range(columns):
                sums[x] = 3 * np.int32(near[x]) + far[x]
            weight, shift = 4, 4
            even, odd = 8, 7  # of 16, by the column
        else:
            for x in range(columns):
                sums[x] = near[x]
            weight, shift = 1, 2
            even, odd = 1, 2  # of 4
        if horizontal == 1:
            bias = 2 if y & 1 else 1  # of 4, by the row
            for x in range(width):
                full[y, x] = (sums[x] + bias) >> 2
            continue
        last = columns - 1
        for x in range(1, last):
            line[2 * x] = (3 * sums[x] + sums[x - 1] + even) >> shift
            line[2 * x + 1] = (3 * sums[x] + sums[x + 1] + odd) >> shift
        line[1] = (3 * sums[0] + sums[1] + odd) >> shift
        line[2 * last] = (3 * sums[last] + sums[last - 1] + even) >> shift
        # End columns have no neighbour: 4 times themselves; copied where there is one row.
        line[0] = (4 * sums[0] + even) >> shift if weight == 4 else sums[0]
        line[2 * last + 1] = (4 * sums[last] + odd) >> shift if weight == 4 else sums[last]
        for x in range(width):
            full[y, x] = line[x]
    return full
