"""The accurate integer DCT of libjpeg ("islow") and quantization, for many blocks at a time.

Blocks are held position by position: 64 rows, one for each place within the block in natural
order, of ``LANES`` numbers, one for each block. Every loop runs over neighbouring int32, at
constant distances within each array, which the compiler turns into vector instructions. Numba
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
from torch_impl.kernels.cpu_jit import jit_inline

_i = np.int32
_f = np.float32
_Blocks = NDArray[np.int32]
_Steps = NDArray[np.int32]

LANES = 32
"""Blocks at a time: two times 64 positions of 128 bytes stay in the first-level cache."""

_C0_298, _C0_390 = _i(constants.C0_298), _i(constants.C0_390)
_C0_541, _C0_765 = _i(constants.C0_541), _i(constants.C0_765)
_C0_899, _C1_175 = _i(constants.C0_899), _i(constants.C1_175)
_C1_501, _C1_847 = _i(constants.C1_501), _i(constants.C1_847)
_C1_961, _C2_053 = _i(constants.C1_961), _i(constants.C2_053)
_C2_562, _C3_072 = _i(constants.C2_562), _i(constants.C3_072)
_BITS, _PASS, _MORE = constants.DCT_BITS, constants.PASS_BITS, constants.COEFFICIENT_SHIFT
_DC_SHIFT = _i(_BITS)
_ONE = _i(1)
_FIRST_SHIFT, _FORWARD_SHIFT = _i(_BITS - _PASS), _i(_BITS + _PASS)
_INVERSE_SHIFT = _i(_BITS + _PASS + _MORE)
_ZERO = _i(0)
_STEP_SHIFT = _i(_MORE)
_FLOAT_HALF, _FLOAT_ONE = _f(0.5), _f(1)
# From a position to the next one in its row, and in its column.
_ACROSS, _DOWN = LANES, 8 * LANES


@jit_inline
def forward(s: _Blocks, t: _Blocks, n: int) -> None:
    """DCT of `n` blocks, in place; `t` is scratch memory of the same shape.

    Each of the two passes transforms rows and transposes.
    """
    for turn in range(2):
        shift = _FORWARD_SHIFT if turn else _FIRST_SHIFT
        half = _i(_ONE << _i(shift - _ONE))
        for line in range(8):
            row, column = line * _DOWN, line * _ACROSS
            for b in range(n):
                at, to = row + b, column + b
                a0, a7 = s[at], s[at + 7 * _ACROSS]
                a1, a6 = s[at + 1 * _ACROSS], s[at + 6 * _ACROSS]
                a2, a5 = s[at + 2 * _ACROSS], s[at + 5 * _ACROSS]
                a3, a4 = s[at + 3 * _ACROSS], s[at + 4 * _ACROSS]
                tmp0, tmp7 = _i(a0 + a7), _i(a0 - a7)
                tmp1, tmp6 = _i(a1 + a6), _i(a1 - a6)
                tmp2, tmp5 = _i(a2 + a5), _i(a2 - a5)
                tmp3, tmp4 = _i(a3 + a4), _i(a3 - a4)
                # Even part.
                tmp10, tmp13 = _i(tmp0 + tmp3), _i(tmp0 - tmp3)
                tmp11, tmp12 = _i(tmp1 + tmp2), _i(tmp1 - tmp2)
                z1 = _i((tmp12 + tmp13) * _C0_541 + half)
                t[to] = _i(((tmp10 + tmp11) << _DC_SHIFT) + half) >> shift
                t[to + 4 * _DOWN] = _i(((tmp10 - tmp11) << _DC_SHIFT) + half) >> shift
                t[to + 2 * _DOWN] = _i(z1 + tmp13 * _C0_765) >> shift
                t[to + 6 * _DOWN] = _i(z1 - tmp12 * _C1_847) >> shift
                # Odd part.
                z3, z4 = _i(tmp4 + tmp6), _i(tmp5 + tmp7)
                z5 = _i((z3 + z4) * _C1_175 + half)
                z1, z2 = _i((tmp4 + tmp7) * _C0_899), _i((tmp5 + tmp6) * _C2_562)
                z3, z4 = _i(z5 - z3 * _C1_961), _i(z5 - z4 * _C0_390)
                t[to + 7 * _DOWN] = _i(tmp4 * _C0_298 - z1 + z3) >> shift
                t[to + 5 * _DOWN] = _i(tmp5 * _C2_053 - z2 + z4) >> shift
                t[to + 3 * _DOWN] = _i(tmp6 * _C3_072 - z2 + z3) >> shift
                t[to + 1 * _DOWN] = _i(tmp7 * _C1_501 - z1 + z4) >> shift
        s, t = t, s


@jit_inline
def inverse(s: _Blocks, t: _Blocks, n: int) -> None:
    """The way back from :func:`forward`: columns, then rows."""
    for turn in range(2):
        shift = _INVERSE_SHIFT if turn else _FIRST_SHIFT
        half = _i(_ONE << _i(shift - _ONE))
        for line in range(8):
            row, column = line * _DOWN, line * _ACROSS
            for b in range(n):
                at, to = column + b, row + b
                a0, a4 = s[at], s[at + 4 * _DOWN]
                a2, a6 = s[at + 2 * _DOWN], s[at + 6 * _DOWN]
                a1, a3 = s[at + 1 * _DOWN], s[at + 3 * _DOWN]
                a5, a7 = s[at + 5 * _DOWN], s[at + 7 * _DOWN]
                # Even part.
                z1 = _i((a2 + a6) * _C0_541)
                tmp2, tmp3 = _i(z1 - a6 * _C1_847), _i(z1 + a2 * _C0_765)
                tmp0 = _i(((a0 + a4) << _DC_SHIFT) + half)
                tmp1 = _i(((a0 - a4) << _DC_SHIFT) + half)
                tmp10, tmp13 = _i(tmp0 + tmp3), _i(tmp0 - tmp3)
                tmp11, tmp12 = _i(tmp1 + tmp2), _i(tmp1 - tmp2)
                # Odd part.
                z3, z4 = _i(a7 + a3), _i(a5 + a1)
                z5 = _i((z3 + z4) * _C1_175)
                z1, z2 = _i((a7 + a1) * _C0_899), _i((a5 + a3) * _C2_562)
                z3, z4 = _i(z5 - z3 * _C1_961), _i(z5 - z4 * _C0_390)
                tmp0 = _i(a7 * _C0_298 - z1 + z3)
                tmp1 = _i(a5 * _C2_053 - z2 + z4)
                tmp2 = _i(a3 * _C3_072 - z2 + z3)
                tmp3 = _i(a1 * _C1_501 - z1 + z4)
                t[to] = _i(tmp10 + tmp3) >> shift
                t[to + 1 * _ACROSS] = _i(tmp11 + tmp2) >> shift
                t[to + 2 * _ACROSS] = _i(tmp12 + tmp1) >> shift
                t[to + 3 * _ACROSS] = _i(tmp13 + tmp0) >> shift
                t[to + 4 * _ACROSS] = _i(tmp13 - tmp0) >> shift
                t[to + 5 * _ACROSS] = _i(tmp12 - tmp1) >> shift
                t[to + 6 * _ACROSS] = _i(tmp11 - tmp2) >> shift
                t[to + 7 * _ACROSS] = _i(tmp10 - tmp3) >> shift
        s, t = t, s


@jit_inline
def quantized(value: np.int32, half: np.int32, reciprocal: np.float32) -> np.int32:
    """Round value / step half away from zero; `half` is half the step.

    With n = |value| + half < 2^14, (n + 1/2) / step lies at least 1 / (2 step) > 2^-12 from every
    whole number, which float32 tells apart: its error is below 2^-22 n / step, and the step is
    8 or more.
    """
    size = _i((_f(_i(abs(value) + half)) + _FLOAT_HALF) * reciprocal)
    return size if value >= _ZERO else _i(-size)
