"""CPU kernels of the soft quantizer, forward and backward, over rows that share a pattern.

A row is `length` neighbouring elements of z. The entries of q and alpha that belong to it start
at an offset of their own and move along with z (stride 1) or stand still (stride 0).
Every broadcast pattern is brought to this form by
:mod:`torch_impl.kernels.cpu_quantizer`; the coefficients of the JPEG layer have it by nature.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torch_impl.kernels.cpu_jit import jit, jit_part
from torch_impl.kernels.cpu_math import (
    ALPHA,
    DALPHA,
    DQ,
    DZ,
    GRAD,
    ROW,
    VALUE,
    Q,
    Z,
    nearest,
    partials,
    settle,
    values,
    widen,
)

_Array = NDArray[np.float32]
_Offsets = NDArray[np.int64]


@jit_part
def _load(s: _Array, slot: int, source: _Array, start: int, stride: int, n: int) -> None:
    if stride:
        for i in range(n):
            s[slot + i] = source[start + i]
    else:
        entry = source[start]
        for i in range(n):
            s[slot + i] = entry


@jit_part
def _store(target: _Array, start: int, s: _Array, slot: int, n: int) -> None:
    for i in range(n):
        target[start + i] = s[slot + i]


@jit_part
def _accumulate(target: _Array, start: int, stride: int, s: _Array, slot: int, n: int) -> None:
    """Add a slot to entries start, start + 1, ..., or its sum to entry start."""
    if stride:
        for i in range(n):
            target[start + i] += s[slot + i]
        return
    # Fold in halves: vectorised, and errors grow with the logarithm of n only.
    while n > 1:
        rest = (n + 1) // 2
        for i in range(n - rest):
            s[slot + i] += s[slot + rest + i]
        n = rest
    target[start] += s[slot]


@jit
def forward_rows(
    s: _Array,
    ordered: NDArray[np.int32],
    z: _Array,
    q: _Array,
    alpha: _Array,
    q_offset: _Offsets,
    alpha_offset: _Offsets,
    q_stride: int,
    alpha_stride: int,
    first: int,
    last: int,
    length: int,
    total: int,
    level: int,
    window: int,
    out: _Array,
) -> int:
    """Write the values of rows first..last-1 to `out`.

    Parameters
    ----------
    s, ordered : ndarray, shape (SCRATCH,)
        Scratch memory, and the same memory as int32.
    z, out : ndarray, shape (total,)
        Elements and their values; may be the same array.
    q, alpha : ndarray, 1-D
        Positive and finite.
    q_offset, alpha_offset : ndarray of int64, shape (rows,)
        Where the entries of each row start in q and alpha.
    q_stride, alpha_stride : int
        0 or 1.
    first, last, length, total : int
        Rows to do; elements per row, but that the last row may end early, at `total`.
    level, window : int
        L; levels of the masked CPMF, 0 for the full space.

    Returns
    -------
    int
        Number of values left as NaN for :mod:`torch_impl.kernels.cpu_ends`.
    """
    width = window if window else 2 * level + 1
    # int64 variables: Numba compiles a function anew for every literal argument.
    zero, one = np.int64(0), np.int64(1)
    marked = 0
    for row in range(first, last):
        end = min(length, total - row * length)
        for start in range(0, end, ROW):
            at = row * length + start
            n = min(ROW, end - start)
            _load(s, zero + Z, z, at, one, n)
            _load(s, zero + Q, q, q_offset[row] + start * q_stride, q_stride, n)
            _load(s, zero + ALPHA, alpha, alpha_offset[row] + start * alpha_stride, alpha_stride, n)
            nearest(s, n, level, width)
            soft = widen(s, ordered, n, width, window)
            values(s, n)
            if soft:
                marked += settle(s, n, level)
            _store(out, at, s, zero + VALUE, n)
    return marked


@jit
def backward_rows(
    s: _Array,
    ordered: NDArray[np.int32],
    z: _Array,
    q: _Array,
    alpha: _Array,
    q_offset: _Offsets,
    alpha_offset: _Offsets,
    q_stride: int,
    alpha_stride: int,
    first: int,
    last: int,
    length: int,
    total: int,
    level: int,
    window: int,
    grad: _Array,
    dz: _Array,
    dq: _Array,
    dalpha: _Array,
) -> int:
    """Chain `grad` through rows first..last-1.

    Parameters
    ----------
    s, ordered, z, q, alpha, q_offset, alpha_offset, q_stride, alpha_stride, first, last, \
    length, total, level, window
        As of :func:`forward_rows`.
    grad, dz : ndarray, shape (total,)
        Gradient of the values; gradient of z, written. May be the same array.
    dq, dalpha : ndarray, shapes of q and alpha
        Added to.

    Returns
    -------
    int
        Number of elements left out of dq and dalpha, with NaN in dz, for
        :mod:`torch_impl.kernels.cpu_ends`.
    """
    width = window if window else 2 * level + 1
    # int64 variables: Numba compiles a function anew for every literal argument.
    zero, one = np.int64(0), np.int64(1)
    marked = 0
    for row in range(first, last):
        end = min(length, total - row * length)
        for start in range(0, end, ROW):
            at = row * length + start
            n = min(ROW, end - start)
            q_at = q_offset[row] + start * q_stride
            alpha_at = alpha_offset[row] + start * alpha_stride
            _load(s, zero + Z, z, at, one, n)
            _load(s, zero + GRAD, grad, at, one, n)
            _load(s, zero + Q, q, q_at, q_stride, n)
            _load(s, zero + ALPHA, alpha, alpha_at, alpha_stride, n)
            nearest(s, n, level, width)
            soft = widen(s, ordered, n, width, window)
            partials(s, n)
            if soft:
                marked += settle(s, n, level)
            _store(dz, at, s, zero + DZ, n)
            _accumulate(dq, q_at, q_stride, s, zero + DQ, n)
            _accumulate(dalpha, alpha_at, alpha_stride, s, zero + DALPHA, n)
    return marked
