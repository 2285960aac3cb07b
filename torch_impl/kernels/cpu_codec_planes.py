"""Colour and sampling of libjpeg in integers, row by row, for the CPU kernels.

References
----------
libjpeg-turbo: jccolor.c, jcsample.c and jcprepct.c (edges); jdsample.c (the "fancy" triangle
filter) and jdcolor.c.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torch_impl.kernels import cpu_codec_constants as constants
from torch_impl.kernels.cpu_jit import jit, jit_part

_i = np.int32
_u = np.uint8
_f = np.float32
_Row = NDArray[np.uint8]
_Sums = NDArray[np.int32]

_Y_R, _Y_G, _Y_B = _i(constants.Y_R), _i(constants.Y_G), _i(constants.Y_B)
_CB_R, _CB_G = _i(constants.CB_R), _i(constants.CB_G)
_CR_G, _CR_B = _i(constants.CR_G), _i(constants.CR_B)
_OWN, _HALF, _OFFSET = _i(constants.OWN), _i(constants.HALF), _i(constants.CHROMA_OFFSET)
_R_CR, _B_CB = _i(constants.R_CR), _i(constants.B_CB)
_G_CB, _G_CR = _i(constants.G_CB), _i(constants.G_CR)
_SHIFT = _i(constants.COLOUR_BITS)
_ZERO, _ONE, _TWO, _THREE = _i(0), _i(1), _i(2), _i(3)
_CENTRE, _LARGEST = _i(128), _i(255)
_LOWEST_VALUE, _HIGHEST_VALUE, _HALF_VALUE = _f(0), _f(255), _f(0.5)
_INFINITY = _f(np.inf)


@jit_part
def luma_row(red: _Row, green: _Row, blue: _Row, luma: _Row) -> None:
    """Y of a row of pixels."""
    for x in range(red.size):
        r, g, b = _i(red[x]), _i(green[x]), _i(blue[x])
        luma[x] = _u(_i(_i(_i(_Y_R * r) + _i(_Y_G * g)) + _i(_i(_Y_B * b) + _HALF)) >> _SHIFT)


@jit_part
def chroma_row(red: _Row, green: _Row, blue: _Row, cb: _Row, cr: _Row) -> None:
    """Cb and Cr of a row of pixels."""
    for x in range(red.size):
        r, g, b = _i(red[x]), _i(green[x]), _i(blue[x])
        blueness = _i(_i(_OWN * b) - _i(_i(_CB_R * r) + _i(_CB_G * g)))
        redness = _i(_i(_OWN * r) - _i(_i(_CR_G * g) + _i(_CR_B * b)))
        cb[x] = _u(_i(blueness + _OFFSET) >> _SHIFT)
        cr[x] = _u(_i(redness + _OFFSET) >> _SHIFT)


@jit_part
def rgb_row(luma: _Row, cb: _Row, cr: _Row, red: _Row, green: _Row, blue: _Row) -> None:
    """R, G and B of a row of pixels, saturated."""
    for x in range(red.size):
        y, b, r = _i(luma[x]), _i(_i(cb[x]) - _CENTRE), _i(_i(cr[x]) - _CENTRE)
        reddish = _i(_i(_i(_R_CR * r) + _HALF) >> _SHIFT)
        bluish = _i(_i(_i(_B_CB * b) + _HALF) >> _SHIFT)
        greenish = _i(_i(_HALF - _i(_i(_G_CB * b) + _i(_G_CR * r))) >> _SHIFT)
        red[x] = _u(min(max(_i(y + reddish), _ZERO), _LARGEST))
        green[x] = _u(min(max(_i(y + greenish), _ZERO), _LARGEST))
        blue[x] = _u(min(max(_i(y + bluish), _ZERO), _LARGEST))


@jit_part
def copy_row(source: _Row, target: _Row) -> None:
    """As ``target[:] = source``, which would need Numba's allocator."""
    for x in range(target.size):
        target[x] = source[x]


@jit_part
def repeat_last(row: _Row, length: int) -> None:
    """Fill a row with its number at `length` - 1 from there on."""
    for x in range(length, row.size):
        row[x] = row[length - 1]


@jit_part
def average_columns(row: _Row, reduced: _Row) -> None:
    """Means of pairs of columns, (N, 2 N) numbers; rounding alternates: +0, +1 of two."""
    for x in range(reduced.size):
        odd = _i(_i(x) & _ONE)
        reduced[x] = _u(_i(_i(_i(row[2 * x]) + _i(row[2 * x + 1])) + odd) >> _ONE)


@jit_part
def average_rows(above: _Row, below: _Row, reduced: _Row) -> None:
    """Means of two rows, half up."""
    for x in range(reduced.size):
        reduced[x] = _u(_i(_i(_i(above[x]) + _i(below[x])) + _ONE) >> _ONE)


@jit_part
def average_squares(above: _Row, below: _Row, reduced: _Row) -> None:
    """Means of four; rounding alternates from column to column: +1, +2 of four."""
    for x in range(reduced.size):
        upper = _i(_i(above[2 * x]) + _i(above[2 * x + 1]))
        lower = _i(_i(below[2 * x]) + _i(below[2 * x + 1]))
        bias = _i(_ONE + _i(_i(x) & _ONE))
        reduced[x] = _u(_i(_i(upper + lower) + bias) >> _TWO)


@jit_part
def weigh_rows(near: _Row, far: _Row, columns: int, sums: _Sums) -> None:
    """Three parts of one row and one part of another, at 1..columns of `sums`."""
    for x in range(columns):
        sums[x + 1] = _i(_i(_THREE * _i(near[x])) + _i(far[x]))


@jit_part
def take_row(near: _Row, columns: int, sums: _Sums) -> None:
    """One row at 1..columns of `sums`."""
    for x in range(columns):
        sums[x + 1] = _i(near[x])


@jit_part
def halve_distances(
    sums: _Sums, columns: int, even: np.int32, odd: np.int32, shift: np.int32, wide: _Row
) -> None:
    """Twice as many columns: three parts of the nearer number and one of the farther one.

    Numbers are at 1..columns of `sums`, the ends are repeated. `even` and `odd` are added to
    the columns of that kind before the shift.
    """
    sums[0], sums[columns + 1] = sums[1], sums[columns]
    for x in range(columns):
        left, middle, right = sums[x], _i(_THREE * sums[x + 1]), sums[x + 2]
        wide[2 * x] = _u(_i(_i(middle + left) + even) >> shift)
        wide[2 * x + 1] = _u(_i(_i(middle + right) + odd) >> shift)


@jit_part
def quarter(sums: _Sums, columns: int, bias: np.int32, row: _Row) -> None:
    """Sums of weight four back to samples."""
    for x in range(columns):
        row[x] = _u(_i(sums[x + 1] + bias) >> _TWO)


@jit_part
def repeat_columns(near: _Row, row: _Row) -> None:
    """Every number twice."""
    for x in range(row.size):
        row[x] = near[x // 2]


@jit
def round_pixels(values: NDArray[np.float32], pixels: _Row) -> bool:
    """Nearest whole numbers, halves up, saturated to 0..255; False if any value is not finite."""
    bad = _ZERO
    for i in range(values.size):
        x = values[i]
        bad = _i(bad + (_ZERO if abs(x) < _INFINITY else _ONE))  # NaN fails the comparison
        x = x if x > _LOWEST_VALUE else _LOWEST_VALUE
        x = x if x < _HIGHEST_VALUE else _HIGHEST_VALUE
        whole = _i(x)
        pixels[i] = _u(_i(whole + (_ONE if x - _f(whole) >= _HALF_VALUE else _ZERO)))
    return bad == _ZERO
