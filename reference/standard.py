"""Data of the JPEG standard: tables, zigzag order, colour and DCT matrices, sampling factors.

Nothing here computes on images. Every array is read-only float64 or int64, in natural
(row, column) order unless its name says zigzag. NumPy is the only import, so that any
implementation may share these numbers without sharing code.

References
----------
ITU-T T.81 | ISO/IEC 10918-1: Annex A (DCT, Figure A.6), Annex K (Tables K.1 and K.2).
ITU-T T.871 (JFIF), clause 7: conversion between RGB and YCbCr.
"""

from __future__ import annotations

import operator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BLOCK_SIZE",
    "CHROMINANCE_TABLE",
    "DCT_MATRIX",
    "LEVEL_SHIFT",
    "LUMINANCE_TABLE",
    "RGB_TO_YCBCR",
    "SUBSAMPLINGS",
    "YCBCR_TO_RGB",
    "ZIGZAG",
    "annex_k_tables",
]


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Make a module constant read-only: one user's in-place change must not reach another."""
    array.setflags(write=False)
    return array


def _zigzag_order() -> NDArray[np.int64]:
    """Walk the anti-diagonals of T.81 Figure A.6: odd ones downwards, even ones upwards."""
    cells = [(row, column) for row in range(BLOCK_SIZE) for column in range(BLOCK_SIZE)]
    cells.sort(key=lambda rc: (sum(rc), rc[0] if sum(rc) % 2 else rc[1]))
    return np.array([BLOCK_SIZE * row + column for row, column in cells], dtype=np.int64)


def _dct_matrix() -> NDArray[np.float64]:
    """Rows are the orthonormal DCT-II basis: c(u) cos((2x + 1) u pi / 16) / 2, c(0) = 1/sqrt(2)."""
    frequency, position = np.indices((BLOCK_SIZE, BLOCK_SIZE))
    basis = np.cos((2 * position + 1) * frequency * np.pi / (2 * BLOCK_SIZE))
    basis *= np.sqrt(2.0 / BLOCK_SIZE)
    basis[0] = np.sqrt(1.0 / BLOCK_SIZE)
    return np.asarray(basis, dtype=np.float64)


BLOCK_SIZE: Final = 8
"""Side of a DCT block in samples."""

LEVEL_SHIFT: Final = 128.0
"""Subtracted from 8-bit samples before the DCT (T.81, A.3.1)."""

LUMINANCE_TABLE: Final[NDArray[np.int64]] = _frozen(
    np.array(
        [
            [16, 11, 10, 16, 24, 40, 51, 61],
            [12, 12, 14, 19, 26, 58, 60, 55],
            [14, 13, 16, 24, 40, 57, 69, 56],
            [14, 17, 22, 29, 51, 87, 80, 62],
            [18, 22, 37, 56, 68, 109, 103, 77],
            [24, 35, 55, 64, 81, 104, 113, 92],
            [49, 64, 78, 87, 103, 121, 120, 101],
            [72, 92, 95, 98, 112, 100, 103, 99],
        ],
        dtype=np.int64,
    )
)
"""(8, 8) luminance quantization table, T.81 Table K.1."""

CHROMINANCE_TABLE: Final[NDArray[np.int64]] = _frozen(
    np.array(
        [
            [17, 18, 24, 47, 99, 99, 99, 99],
            [18, 21, 26, 66, 99, 99, 99, 99],
            [24, 26, 56, 99, 99, 99, 99, 99],
            [47, 66, 99, 99, 99, 99, 99, 99],
            [99, 99, 99, 99, 99, 99, 99, 99],
            [99, 99, 99, 99, 99, 99, 99, 99],
            [99, 99, 99, 99, 99, 99, 99, 99],
            [99, 99, 99, 99, 99, 99, 99, 99],
        ],
        dtype=np.int64,
    )
)
"""(8, 8) chrominance quantization table, T.81 Table K.2."""

ZIGZAG: Final[NDArray[np.int64]] = _frozen(_zigzag_order())
"""(64,) natural index 8 * row + column of the k-th coefficient in zigzag order, T.81 Figure A.6."""

DCT_MATRIX: Final[NDArray[np.float64]] = _frozen(_dct_matrix())
"""(8, 8) orthonormal DCT-II: row = frequency, column = position; block -> D @ block @ D.T."""

# Kr = 0.299, Kg = 0.587, Kb = 0.114. Each entry is one division of integers, hence the double
# nearest to the exact rational; the decimals printed in standards (0.1687, 0.3441, ...) are not.
RGB_TO_YCBCR: Final[NDArray[np.float64]] = _frozen(
    np.array(
        [
            [299 / 1000, 587 / 1000, 114 / 1000],  # Y  = Kr R + Kg G + Kb B
            [-299 / 1772, -587 / 1772, 1 / 2],  # Cb = (B - Y) / (2 (1 - Kb))
            [1 / 2, -587 / 1402, -114 / 1402],  # Cr = (R - Y) / (2 (1 - Kr))
        ],
        dtype=np.float64,
    )
)
"""(3, 3) T.871 colour matrix for zero-centred Cb and Cr (the offset of 128 is not part of it)."""

YCBCR_TO_RGB: Final[NDArray[np.float64]] = _frozen(
    np.array(
        [
            [1.0, 0.0, 1402 / 1000],  # R = Y + 2 (1 - Kr) Cr
            [1.0, -202008 / 587000, -419198 / 587000],  # G = (Y - Kr R - Kb B) / Kg
            [1.0, 1772 / 1000, 0.0],  # B = Y + 2 (1 - Kb) Cb
        ],
        dtype=np.float64,
    )
)
"""(3, 3) analytic inverse of `RGB_TO_YCBCR`, entry by entry the nearest double."""

SUBSAMPLINGS: Final[dict[str, tuple[int, int]]] = {
    "4:4:4": (1, 1),
    "4:2:2": (1, 2),
    "4:2:0": (2, 2),
}
"""Name -> (vertical, horizontal) factor by which chroma is reduced."""


def annex_k_tables(quality: int) -> NDArray[np.float64]:
    """Scale the Annex K tables to a libjpeg quality.

    Parameters
    ----------
    quality : int
        libjpeg quality, 1 (coarsest) to 100 (all steps 1); 50 gives Annex K itself.

    Returns
    -------
    ndarray of float64, shape (2, 8, 8)
        [0] luma, [1] chroma; whole numbers in 1..255, natural order, writable.

    Raises
    ------
    TypeError
        If quality is not an integer.
    ValueError
        If quality lies outside 1..100.

    References
    ----------
    libjpeg, jcparam.c: jpeg_quality_scaling and jpeg_add_quant_table with force_baseline.
    """
    if isinstance(quality, bool | np.bool_):
        raise TypeError(f"quality must be an integer in 1..100, got the boolean {quality}")
    try:
        quality = operator.index(quality)
    except TypeError as error:
        raise TypeError(
            f"quality must be an integer in 1..100, got {quality!r} of type "
            f"{type(quality).__name__}; round it first"
        ) from error
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must lie in 1..100, got {quality}")
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    base = np.stack([LUMINANCE_TABLE, CHROMINANCE_TABLE])  # (2, 8, 8)
    return np.clip((base * percent + 50) // 100, 1, 255).astype(np.float64)
