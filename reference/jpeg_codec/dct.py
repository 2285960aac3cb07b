"""The accurate integer DCT of libjpeg ("islow"), quantization and their inverses.

The algorithm of Loeffler, Ligtenberg and Moschytz (1989) with 12 multiplications, constants of 13
bits, and 2 more bits kept between rows and columns. Forward coefficients come out 8 times as
large as those of the orthonormal DCT-II; quantization takes that out again.

Sums are cast to 32 bits before they are shifted: Numba would widen them to 64.

References
----------
libjpeg-turbo, jfdctint.c, jidctint.c, jcdctmgr.c and simd/x86_64/jidctint-avx2.asm; C. Loeffler
et al., ICASSP 1989.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference._jit import jit

_BITS = 13  # CONST_BITS
_MORE = 2  # PASS1_BITS


def _fixed(value: float) -> int:
    return round(value * (1 << _BITS))


_C0_298, _C0_390, _C0_541 = _fixed(0.298631336), _fixed(0.390180644), _fixed(0.541196100)
_C0_765, _C0_899, _C1_175 = _fixed(0.765366865), _fixed(0.899976223), _fixed(1.175875602)
_C1_501, _C1_847, _C1_961 = _fixed(1.501321110), _fixed(1.847759065), _fixed(1.961570560)
_C2_053, _C2_562, _C3_072 = _fixed(2.053119869), _fixed(2.562915447), _fixed(3.072711026)


@jit
def _forward_columns(a: NDArray[np.int32], shift: int) -> None:
    """8-point DCT of each column of a (8, 8), in place, descaled by `shift` bits."""
    half = 1 << (shift - 1)
    for x in range(8):
        tmp0, tmp7 = a[0, x] + a[7, x], a[0, x] - a[7, x]
        tmp1, tmp6 = a[1, x] + a[6, x], a[1, x] - a[6, x]
        tmp2, tmp5 = a[2, x] + a[5, x], a[2, x] - a[5, x]
        tmp3, tmp4 = a[3, x] + a[4, x], a[3, x] - a[4, x]
        # Even part.
        tmp10, tmp13 = tmp0 + tmp3, tmp0 - tmp3
        tmp11, tmp12 = tmp1 + tmp2, tmp1 - tmp2
        z1 = (tmp12 + tmp13) * _C0_541
        a[0, x] = np.int32(((tmp10 + tmp11) << _BITS) + half) >> shift
        a[4, x] = np.int32(((tmp10 - tmp11) << _BITS) + half) >> shift
        a[2, x] = np.int32(z1 + tmp13 * _C0_765 + half) >> shift
        a[6, x] = np.int32(z1 - tmp12 * _C1_847 + half) >> shift
        # Odd part.
        z5 = (tmp4 + tmp6 + tmp5 + tmp7) * _C1_175
        z1, z2 = (tmp4 + tmp7) * _C0_899, (tmp5 + tmp6) * _C2_562
        z3, z4 = z5 - (tmp4 + tmp6) * _C1_961, z5 - (tmp5 + tmp7) * _C0_390
        a[7, x] = np.int32(tmp4 * _C0_298 - z1 + z3 + half) >> shift
        a[5, x] = np.int32(tmp5 * _C2_053 - z2 + z4 + half) >> shift
        a[3, x] = np.int32(tmp6 * _C3_072 - z2 + z3 + half) >> shift
        a[1, x] = np.int32(tmp7 * _C1_501 - z1 + z4 + half) >> shift


@jit
def _inverse_columns(a: NDArray[np.int32], shift: int) -> None:
    """8-point inverse DCT of each column of a (8, 8), in place, descaled by `shift` bits.

    `a` holds 16-bit numbers. As in the SIMD code, the sums whose terms are used nowhere else are
    16 bits wide, all others 32, and results saturate at 16: a difference for coefficients only
    that no encoder writes.
    """
    half = 1 << (shift - 1)
    for x in range(8):
        # Even part.
        z1 = (a[2, x] + a[6, x]) * _C0_541
        tmp2, tmp3 = z1 - a[6, x] * _C1_847, z1 + a[2, x] * _C0_765
        tmp0 = np.int32(np.int16(a[0, x] + a[4, x])) << _BITS
        tmp1 = np.int32(np.int16(a[0, x] - a[4, x])) << _BITS
        tmp10, tmp13 = tmp0 + tmp3 + half, tmp0 - tmp3 + half
        tmp11, tmp12 = tmp1 + tmp2 + half, tmp1 - tmp2 + half
        # Odd part.
        tmp0, tmp1, tmp2, tmp3 = a[7, x], a[5, x], a[3, x], a[1, x]
        z3, z4 = np.int32(np.int16(tmp0 + tmp2)), np.int32(np.int16(tmp1 + tmp3))
        z5 = (z3 + z4) * _C1_175
        z1, z2 = (tmp0 + tmp3) * _C0_899, (tmp1 + tmp2) * _C2_562
        z3, z4 = z5 - z3 * _C1_961, z5 - z4 * _C0_390
        tmp0 = tmp0 * _C0_298 - z1 + z3
        tmp1 = tmp1 * _C2_053 - z2 + z4
        tmp2 = tmp2 * _C3_072 - z2 + z3
        tmp3 = tmp3 * _C1_501 - z1 + z4
        a[0, x] = np.int32(tmp10 + tmp3) >> shift
        a[7, x] = np.int32(tmp10 - tmp3) >> shift
        a[1, x] = np.int32(tmp11 + tmp2) >> shift
        a[6, x] = np.int32(tmp11 - tmp2) >> shift
        a[2, x] = np.int32(tmp12 + tmp1) >> shift
        a[5, x] = np.int32(tmp12 - tmp1) >> shift
        a[3, x] = np.int32(tmp13 + tmp0) >> shift
        a[4, x] = np.int32(tmp13 - tmp0) >> shift


@jit
def quantized_blocks(plane: NDArray[np.uint8], table: NDArray[np.int32]) -> NDArray[np.int16]:
    """A plane of whole blocks (8 R, 8 C) to quantized coefficients (R, C, 8, 8), natural order.

    Rounds half away from zero: |DCT| / (8 q) + 1/2, rounded down. One 32-bit float product gives
    that exactly: the quotient of (|DCT| + 1/2 + 4 q) and 8 q is at least 1/(16 q) away from a whole
    number, its error below 2^-23 of 2^15 / (8 q).
    """
    rows, columns = plane.shape[0] // 8, plane.shape[1] // 8
    blocks = np.empty((rows, columns, 8, 8), np.int16)
    samples, work = np.empty((8, 8), np.int32), np.empty((8, 8), np.int32)
    inverse, offset = np.empty((8, 8), np.float32), np.empty((8, 8), np.float32)
    for y in range(8):
        for x in range(8):
            inverse[y, x] = 1 / (8 * table[y, x])
            offset[y, x] = 4 * table[y, x] + np.float32(0.5)
    for row in range(rows):
        for column in range(columns):
            for y in range(8):
                for x in range(8):
                    samples[x, y] = np.int32(plane[8 * row + y, 8 * column + x]) - 128
            _forward_columns(samples, _BITS - _MORE)  # transposed: these are the rows
            for y in range(8):
                for x in range(8):
                    work[y, x] = samples[x, y]
            _forward_columns(work, _BITS + _MORE)
            for y in range(8):
                for x in range(8):
                    value = np.float32(work[y, x])
                    size = np.int32((abs(value) + offset[y, x]) * inverse[y, x])
                    blocks[row, column, y, x] = size if value >= 0 else -size
    return blocks


@jit
def _saturated(value: int) -> int:
    return min(max(value, -32768), 32767)


@jit
def decoded_plane(blocks: NDArray[np.int16], table: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Quantized coefficients (R, C, 8, 8) to samples (8 R, 8 C), saturated to 0..255.

    Products with the table keep their low 16 bits, as in libjpeg-turbo.
    """
    rows, columns = blocks.shape[0], blocks.shape[1]
    plane = np.empty((8 * rows, 8 * columns), np.uint8)
    work, turned = np.empty((8, 8), np.int32), np.empty((8, 8), np.int32)
    for row in range(rows):
        for column in range(columns):
            any_ac = np.int16(0)
            for y in range(8):
                for x in range(8):
                    value = blocks[row, column, y, x]
                    work[y, x] = np.int16(value * table[y, x])
                    if y:
                        any_ac |= value
            if any_ac:
                _inverse_columns(work, _BITS - _MORE)
            else:  # constant columns; this short cut wraps where the long way saturates
                for x in range(8):
                    only = np.int16(work[0, x] << _MORE)
                    for y in range(8):
                        work[y, x] = only
            for y in range(8):
                for x in range(8):
                    turned[x, y] = _saturated(work[y, x])
            _inverse_columns(turned, _BITS + _MORE + 3)
            for y in range(8):
                for x in range(8):
                    plane[8 * row + y, 8 * column + x] = min(max(turned[x, y] + 128, 0), 255)
    return plane
