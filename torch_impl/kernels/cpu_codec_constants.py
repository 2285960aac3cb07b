"""Constants of libjpeg's integer codec, for the kernels and for their twin on tensors.

In a file of the CPU kernels' name, so that a change here recompiles them.

References
----------
libjpeg-turbo: jccolor.c and jdcolor.c (colour), jfdctint.c and jidctint.c (DCT), jdsample.c.
"""

from __future__ import annotations

from typing import Final

COLOUR_BITS: Final = 16
"""Fraction bits of the colour matrices."""


def _colour(value: float) -> int:
    return round(value * (1 << COLOUR_BITS))


# To YCbCr. The rows of Cb and Cr add up to 0; their first and last entry is OWN.
Y_R, Y_G, Y_B = _colour(0.299), _colour(0.587), _colour(0.114)
CB_R, CB_G = _colour(0.168735892), _colour(0.331264108)
CR_G, CR_B = _colour(0.418687589), _colour(0.081312411)
OWN = _colour(0.5)
# To RGB.
R_CR, B_CB = _colour(1.402), _colour(1.772)
# Five digits, as libjpeg has them: with nine the first would be one unit less.
G_CB, G_CR = _colour(0.34414), _colour(0.71414)

HALF: Final = 1 << (COLOUR_BITS - 1)
CHROMA_OFFSET: Final = (128 << COLOUR_BITS) + HALF - 1
"""Centre and rounding of Cb and Cr: half down, so that the largest value stays below 256."""

DCT_BITS: Final = 13
"""Fraction bits of the constants of the DCT."""

PASS_BITS: Final = 2
"""Additional bits between the two passes of the DCT."""


def _dct(value: float) -> int:
    return round(value * (1 << DCT_BITS))


C0_298 = _dct(0.298631336)
C0_390 = _dct(0.390180644)
C0_541 = _dct(0.541196100)
C0_765 = _dct(0.765366865)
C0_899 = _dct(0.899976223)
C1_175 = _dct(1.175875602)
C1_501 = _dct(1.501321110)
C1_847 = _dct(1.847759065)
C1_961 = _dct(1.961570560)
C2_053 = _dct(2.053119869)
C2_562 = _dct(2.562915447)
C3_072 = _dct(3.072711026)

COEFFICIENT_SHIFT: Final = 3
"""The integer DCT gives coefficients 2^3 times those of the orthonormal one."""

NARROW: Final = 2
"""Chroma planes up to this wide are widened by repetition, wider ones by the triangle filter."""
