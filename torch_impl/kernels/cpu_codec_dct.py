"""The accurate integer DCT of libjpeg ("islow") and quantization, for many blocks at a time.

Blocks are held position by position: 64 rows, one for each place within the block in natural
order, of ``LANES`` numbers, one for each block. Every loop runs over neighbouring int32, at
constant distances within one array, which the compiler turns into vector instructions. Numba
computes in int64 wherever it may, hence the many casts: without them there are no such
instructions.

The algorithm is that of Loeffler, Ligtenberg and Moschytz with 12 multiplications.

References
----------
libjpeg-turbo, jfdctint.c, jidctint.c, jcdctmgr.c. C. Loeffler et al., ICASSP 1989.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torch_impl.kernels import cpu_codec_constants as constants
from torch_impl.kernels.cpu_jit import jit_part

_i = np.int32
_f = np.float32
_Blocks = NDArray[np.int32]
_Steps = NDArray[np.int32]
_Eight = tuple[np.int32, np.int32, np.int32, np.int32, np.int32, np.int32, np.int32, np.int32]

LANES = 64
"""Blocks at a time: 64 positions of 256 bytes stay in the first-level cache."""

_C0_298, _C0_390 = _i(constants.C0_298), _i(constants.C0_390)
_C0_541, _C0_765 = _i(constants.C0_541), _i(constants.C0_765)
_C0_899, _C1_175 = _i(constants.C0_899), _i(constants.C1_175)
_C1_501, _C1_847 = _i(constants.C1_501), _i(constants.C1_847)
_C1_961, _C2_053 = _i(constants.C1_961), _i(constants.C2_053)
_C2_562, _C3_072 = _i(constants.C2_562), _i(constants.C3_072)
_BITS, _PASS = constants.DCT_BITS, constants.PASS_BITS
_ROW_SHIFT, _COLUMN_SHIFT = _i(_BITS - _PASS), _i(_BITS + _PASS)
_ROW_HALF, _COLUMN_HALF = _i(1 << (_BITS - _PASS - 1)), _i(1 << (_BITS + _PASS - 1))
_PASS_SHIFT, _PASS_HALF = _i(_PASS), _i(1 << (_PASS - 1))
_LAST_SHIFT = _i(_BITS + _PASS + constants.COEFFICIENT_SHIFT)
_LAST_HALF = _i(1 << (_BITS + _PASS + constants.COEFFICIENT_SHIFT - 1))
_DC_SHIFT = _i(_BITS)
_CENTRE = _i(128)
_ZERO, _ONE, _LARGEST = _i(0), _i(1), _i(255)
_STEP_SHIFT = _i(constants.COEFFICIENT_SHIFT)
_FLOAT_HALF, _FLOAT_ONE = _f(0.5), _f(1)
# From a position to the next one in its row, and in its column.
_ACROSS, _DOWN = LANES, 8 * LANES


@jit_part
def _forward(
    a0: np.int32,
    a1: np.int32,
    a2: np.int32,
    a3: np.int32,
    a4: np.int32,
    a5: np.int32,
    a6: np.int32,
    a7: np.int32,
    half: np.int32,
    shift: np.int32,
) -> _Eight:
    """An 8-point DCT; the first and the fifth result are sums without a factor."""
    tmp0, tmp7 = _i(a0 + a7), _i(a0 - a7)
    tmp1, tmp6 = _i(a1 + a6), _i(a1 - a6)
    tmp2, tmp5 = _i(a2 + a5), _i(a2 - a5)
    tmp3, tmp4 = _i(a3 + a4), _i(a3 - a4)
    # Even part.
    tmp10, tmp13 = _i(tmp0 + tmp3), _i(tmp0 - tmp3)
    tmp11, tmp12 = _i(tmp1 + tmp2), _i(tmp1 - tmp2)
    z1 = _i(_i(_i(tmp12 + tmp13) * _C0_541) + half)
    b2 = _i(_i(z1 + _i(tmp13 * _C0_765)) >> shift)
    b6 = _i(_i(z1 - _i(tmp12 * _C1_847)) >> shift)
    # Odd part.
    z3, z4 = _i(tmp4 + tmp6), _i(tmp5 + tmp7)
    z5 = _i(_i(_i(z3 + z4) * _C1_175) + half)
    z1, z2 = _i(_i(tmp4 + tmp7) * _C0_899), _i(_i(tmp5 + tmp6) * _C2_562)
    z3, z4 = _i(z5 - _i(z3 * _C1_961)), _i(z5 - _i(z4 * _C0_390))
    b7 = _i(_i(_i(_i(tmp4 * _C0_298) - z1) + z3) >> shift)
    b5 = _i(_i(_i(_i(tmp5 * _C2_053) - z2) + z4) >> shift)
    b3 = _i(_i(_i(_i(tmp6 * _C3_072) - z2) + z3) >> shift)
    b1 = _i(_i(_i(_i(tmp7 * _C1_501) - z1) + z4) >> shift)
    return _i(tmp10 + tmp11), b1, b2, b3, _i(tmp10 - tmp11), b5, b6, b7


@jit_part
def _inverse(
    a0: np.int32,
    a1: np.int32,
    a2: np.int32,
    a3: np.int32,
    a4: np.int32,
    a5: np.int32,
    a6: np.int32,
    a7: np.int32,
    half: np.int32,
    shift: np.int32,
) -> _Eight:
    """An 8-point inverse DCT, descaled by `shift` bits."""
    # Even part.
    z1 = _i(_i(a2 + a6) * _C0_541)
    tmp2, tmp3 = _i(z1 - _i(a6 * _C1_847)), _i(z1 + _i(a2 * _C0_765))
    tmp0 = _i(_i(_i(a0 + a4) << _DC_SHIFT) + half)
    tmp1 = _i(_i(_i(a0 - a4) << _DC_SHIFT) + half)
    tmp10, tmp13 = _i(tmp0 + tmp3), _i(tmp0 - tmp3)
    tmp11, tmp12 = _i(tmp1 + tmp2), _i(tmp1 - tmp2)
    # Odd part.
    z3, z4 = _i(a7 + a3), _i(a5 + a1)
    z5 = _i(_i(z3 + z4) * _C1_175)
    z1, z2 = _i(_i(a7 + a1) * _C0_899), _i(_i(a5 + a3) * _C2_562)
    z3, z4 = _i(z5 - _i(z3 * _C1_961)), _i(z5 - _i(z4 * _C0_390))
    tmp0 = _i(_i(_i(a7 * _C0_298) - z1) + z3)
    tmp1 = _i(_i(_i(a5 * _C2_053) - z2) + z4)
    tmp2 = _i(_i(_i(a3 * _C3_072) - z2) + z3)
    tmp3 = _i(_i(_i(a1 * _C1_501) - z1) + z4)
    return (
        _i(_i(tmp10 + tmp3) >> shift),
        _i(_i(tmp11 + tmp2) >> shift),
        _i(_i(tmp12 + tmp1) >> shift),
        _i(_i(tmp13 + tmp0) >> shift),
        _i(_i(tmp13 - tmp0) >> shift),
        _i(_i(tmp12 - tmp1) >> shift),
        _i(_i(tmp11 - tmp2) >> shift),
        _i(_i(tmp10 - tmp3) >> shift),
    )


@jit_part
def _quantized(value: np.int32, half: np.int32, reciprocal: np.float32) -> np.int32:
    """Round value / step half away from zero; `half` is half the step.

    With n = |value| + half < 2^14, (n + 1/2) / step lies at least 1 / (2 step) > 2^-12 from every
    whole number, which float32 tells apart: its error is below 2^-22 n / step, and the step is
    8 or more.
    """
    size = _i((_f(_i(abs(value) + half)) + _FLOAT_HALF) * reciprocal)
    return size if value >= _ZERO else _i(-size)


@jit_part
def _sample(value: np.int32) -> np.int32:
    """Undo the level shift; saturate."""
    return max(min(_i(value + _CENTRE), _LARGEST), _ZERO)


@jit_part
def _forward_rows(s: _Blocks, n: int) -> None:
    for line in range(8):
        start = 8 * LANES * line
        for b in range(n):
            at = start + b
            b0, b1, b2, b3, b4, b5, b6, b7 = _forward(
                s[at],
                s[at + 1 * _ACROSS],
                s[at + 2 * _ACROSS],
                s[at + 3 * _ACROSS],
                s[at + 4 * _ACROSS],
                s[at + 5 * _ACROSS],
                s[at + 6 * _ACROSS],
                s[at + 7 * _ACROSS],
                _ROW_HALF,
                _ROW_SHIFT,
            )
            s[at] = _i(b0 << _PASS_SHIFT)
            s[at + 1 * _ACROSS] = b1
            s[at + 2 * _ACROSS] = b2
            s[at + 3 * _ACROSS] = b3
            s[at + 4 * _ACROSS] = _i(b4 << _PASS_SHIFT)
            s[at + 5 * _ACROSS] = b5
            s[at + 6 * _ACROSS] = b6
            s[at + 7 * _ACROSS] = b7


@jit_part
def _forward_columns(s: _Blocks, n: int) -> None:
    for line in range(8):
        start = LANES * line
        for b in range(n):
            at = start + b
            b0, b1, b2, b3, b4, b5, b6, b7 = _forward(
                s[at],
                s[at + 1 * _DOWN],
                s[at + 2 * _DOWN],
                s[at + 3 * _DOWN],
                s[at + 4 * _DOWN],
                s[at + 5 * _DOWN],
                s[at + 6 * _DOWN],
                s[at + 7 * _DOWN],
                _COLUMN_HALF,
                _COLUMN_SHIFT,
            )
            s[at] = _i(_i(b0 + _PASS_HALF) >> _PASS_SHIFT)
            s[at + 1 * _DOWN] = b1
            s[at + 2 * _DOWN] = b2
            s[at + 3 * _DOWN] = b3
            s[at + 4 * _DOWN] = _i(_i(b4 + _PASS_HALF) >> _PASS_SHIFT)
            s[at + 5 * _DOWN] = b5
            s[at + 6 * _DOWN] = b6
            s[at + 7 * _DOWN] = b7


@jit_part
def _inverse_columns(s: _Blocks, n: int) -> None:
    for line in range(8):
        start = LANES * line
        for b in range(n):
            at = start + b
            b0, b1, b2, b3, b4, b5, b6, b7 = _inverse(
                s[at],
                s[at + 1 * _DOWN],
                s[at + 2 * _DOWN],
                s[at + 3 * _DOWN],
                s[at + 4 * _DOWN],
                s[at + 5 * _DOWN],
                s[at + 6 * _DOWN],
                s[at + 7 * _DOWN],
                _ROW_HALF,
                _ROW_SHIFT,
            )
            s[at] = b0
            s[at + 1 * _DOWN] = b1
            s[at + 2 * _DOWN] = b2
            s[at + 3 * _DOWN] = b3
            s[at + 4 * _DOWN] = b4
            s[at + 5 * _DOWN] = b5
            s[at + 6 * _DOWN] = b6
            s[at + 7 * _DOWN] = b7


@jit_part
def _inverse_rows(s: _Blocks, n: int) -> None:
    for line in range(8):
        start = 8 * LANES * line
        for b in range(n):
            at = start + b
            b0, b1, b2, b3, b4, b5, b6, b7 = _inverse(
                s[at],
                s[at + 1 * _ACROSS],
                s[at + 2 * _ACROSS],
                s[at + 3 * _ACROSS],
                s[at + 4 * _ACROSS],
                s[at + 5 * _ACROSS],
                s[at + 6 * _ACROSS],
                s[at + 7 * _ACROSS],
                _LAST_HALF,
                _LAST_SHIFT,
            )
            s[at] = _sample(b0)
            s[at + 1 * _ACROSS] = _sample(b1)
            s[at + 2 * _ACROSS] = _sample(b2)
            s[at + 3 * _ACROSS] = _sample(b3)
            s[at + 4 * _ACROSS] = _sample(b4)
            s[at + 5 * _ACROSS] = _sample(b5)
            s[at + 6 * _ACROSS] = _sample(b6)
            s[at + 7 * _ACROSS] = _sample(b7)


@jit_part
def quantize(s: _Blocks, n: int, table: _Steps) -> None:
    """Samples less 128 to quantized coefficients, in place.

    Parameters
    ----------
    s : ndarray of int32, shape (64 * LANES,)
        The blocks.
    n : int
        How many of them, at most LANES.
    table : ndarray of int32, shape (64,)
        Quantization steps, 1 to 255.
    """
    _forward_rows(s, n)
    _forward_columns(s, n)
    for k in range(64):
        step = _i(table[k] << _STEP_SHIFT)
        half, reciprocal = _i(step >> _ONE), _f(_FLOAT_ONE / _f(step))
        start = LANES * k
        for b in range(n):
            s[start + b] = _quantized(s[start + b], half, reciprocal)


@jit_part
def reconstruct(s: _Blocks, n: int, table: _Steps) -> None:
    """The way back from :func:`quantize`, to samples saturated to 0..255, in place."""
    for k in range(64):
        step = table[k]
        start = LANES * k
        for b in range(n):
            s[start + b] = _i(s[start + b] * step)
    _inverse_columns(s, n)
    _inverse_rows(s, n)
