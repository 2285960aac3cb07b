"""Quantization t R(z / t) of coefficients in float32, and its derivatives.

R stands for rounding: r + g(d) with r the nearest integer, halves up, and d the remainder; the
profiles of :mod:`torch_impl.surrogates` that need no transcendental function.
"""

from __future__ import annotations

import numpy as np

from torch_impl.kernels.cpu_diff_jpeg_blocks import Array
from torch_impl.kernels.cpu_jit import jit

_f = np.float32
_ZERO, _HALF, _ONE, _TWO, _THREE, _TENTH = _f(0), _f(0.5), _f(1), _f(2), _f(3), _f(0.1)

STRAIGHT_THROUGH, LINEAR, CUBIC = 0, 1, 2
"""Profiles 0, d / 10 and d^3, with the derivatives 1, 1/10 and 3 d^2."""


@jit
def round_rows(
    z: Array, tables: Array, each: int, kind: int, true: bool, first: int, last: int, out: Array
) -> None:
    """Quantize rows of blocks `first` to `last` - 1.

    Parameters
    ----------
    z : ndarray of float32, shape (rows, 8, 8 C)
        Coefficients.
    tables : ndarray of float32, shape (N or 1, 8, 8 C)
        Quantization steps of a row of blocks.
    each : int
        Rows that belong to an image.
    kind : int
        `STRAIGHT_THROUGH`, `LINEAR` or `CUBIC`.
    true : bool
        Whether the value is that of true rounding.
    first, last : int
        Which rows.
    out : ndarray of float32, shape (rows, 8, 8 C)
        Written.
    """
    cube = _ONE if kind == CUBIC and not true else _ZERO
    line = _TENTH if kind == LINEAR and not true else _ZERO
    for row in range(first, last):
        n = row // each if tables.shape[0] > 1 else 0
        for v in range(8):
            for x in range(z.shape[2]):
                step = tables[n, v, x]
                level = z[row, v, x] / step
                r = np.ceil(np.floor(_TWO * level) * _HALF)
                d = level - r
                out[row, v, x] = step * (r + d * (line + cube * (d * d)))


@jit
def round_rows_adjoint(
    grad: Array,
    z: Array,
    tables: Array,
    each: int,
    kind: int,
    true: bool,
    first: int,
    last: int,
    out: Array,
    sums: Array,
) -> None:
    """Gradients of rows of blocks `first` to `last` - 1, which belong to one image.

    Parameters
    ----------
    grad : ndarray of float32, shape (rows, 8, 8 C)
        Of the quantized coefficients.
    z, tables, each, kind, true, first, last
        As of :func:`round_rows`.
    out : ndarray of float32, shape (rows, 8, 8 C)
        Written: gradients of z.
    sums : ndarray of float32, shape (8, 8 C)
        Gradients of the steps of a row of blocks are added to it.
    """
    cube = _ONE if kind == CUBIC and not true else _ZERO
    line = _TENTH if kind == LINEAR and not true else _ZERO
    square = _THREE if kind == CUBIC else _ZERO
    level_slope = _ONE if kind == STRAIGHT_THROUGH else (_TENTH if kind == LINEAR else _ZERO)
    n = first // each if tables.shape[0] > 1 else 0
    for row in range(first, last):
        for v in range(8):
            for x in range(z.shape[2]):
                level = z[row, v, x] / tables[n, v, x]
                r = np.ceil(np.floor(_TWO * level) * _HALF)
                d = level - r
                slope = level_slope + square * (d * d)
                out[row, v, x] = grad[row, v, x] * slope
                value = r + d * (line + cube * (d * d))
                sums[v, x] += grad[row, v, x] * (value - level * slope)
