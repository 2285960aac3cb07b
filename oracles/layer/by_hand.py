"""Colour, sampling and DCT of JPEG written out once more, from their formulas.

The oracles that expect a result in closed form (:mod:`oracles.layer.exact`,
:mod:`oracles.layer.definition`) use these, and nothing of the reference.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "COLOUR",
    "SHIFT",
    "Planes",
    "blocks",
    "box_mean",
    "decode",
    "decode_adjoint",
    "encode",
    "encode_adjoint",
    "interpolation",
    "plane",
    "resample",
]

Array = NDArray[np.float64]

#: Level shift of eight-bit samples.
SHIFT = 128.0


class Planes(NamedTuple):
    """One number per DCT coefficient; luma (N, 1, rows, columns, 8, 8), chroma (N, 2, ...)."""

    luma: Array
    chroma: Array


def _dct_matrix() -> Array:
    frequency, position = np.mgrid[0:8, 0:8]
    matrix = np.cos((2 * position + 1) * frequency * np.pi / 16) / 2
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix)


def _colour_matrix() -> Array:
    """R, G, B from Y, Cb, Cr, from the luma weights of BT.601."""
    red, green, blue = 0.299, 0.587, 0.114
    to_red, to_blue = 2 * (1 - red), 2 * (1 - blue)
    return np.array(
        [
            [1, 0, to_red],
            [1, -to_blue * blue / green, -to_red * red / green],
            [1, to_blue, 0],
        ]
    )


_DCT = _dct_matrix()
#: R, G, B from Y, Cb, Cr.
COLOUR = _colour_matrix()
_FORTH = np.linalg.inv(COLOUR)


def interpolation(coarse: int, factor: int) -> Array:
    """Matrix (fine, coarse) of linear interpolation between sample centres, edges repeated."""
    if factor == 1:
        return np.eye(coarse)
    where = (np.arange(factor * coarse) + 0.5) / factor - 0.5
    return np.array([np.interp(where, np.arange(coarse), row) for row in np.eye(coarse)]).T


def box_mean(coarse: int, factor: int) -> Array:
    """Matrix (coarse, fine) of the mean over each cell of so many samples."""
    return np.repeat(np.eye(coarse), factor, axis=1) / factor


def resample(planes: Array, vertical: Array, horizontal: Array) -> Array:
    """Apply one matrix to the columns of each plane, another to its rows."""
    return np.asarray(vertical @ planes @ horizontal.T)


def plane(coefficients: Array) -> Array:
    """Inverse DCT of (N, C, rows, columns, 8, 8), and its blocks put together."""
    pixels = np.einsum("ncijuv,ux,vy->ncixjy", coefficients, _DCT, _DCT)
    n, c, i, _, j, _ = pixels.shape
    return pixels.reshape(n, c, 8 * i, 8 * j)


def blocks(planes: Array) -> Array:
    """DCT of the blocks of (N, C, H, W), both sides whole blocks."""
    n, c, height, width = planes.shape
    cut = planes.reshape(n, c, height // 8, 8, width // 8, 8)
    return np.asarray(np.einsum("ncixjy,ux,vy->ncijuv", cut, _DCT, _DCT))


def encode(image: Array, factors: tuple[int, int]) -> Planes:
    """Coefficients of an RGB image whose sides are whole MCUs."""
    ycbcr = np.einsum("ij,njhw->nihw", _FORTH, image - SHIFT)
    boxes = (box_mean(n // f, f) for n, f in zip(image.shape[-2:], factors, strict=True))
    return Planes(blocks(ycbcr[:, :1]), blocks(resample(ycbcr[:, 1:], *boxes)))


def encode_adjoint(gradient: Planes, factors: tuple[int, int]) -> Array:
    """Transpose of the linear part of :func:`encode`."""
    luma, chroma = plane(gradient.luma), plane(gradient.chroma)
    boxes = (box_mean(n, f).T for n, f in zip(chroma.shape[-2:], factors, strict=True))
    ycbcr = np.concatenate([luma, resample(chroma, *boxes)], axis=1)
    return np.asarray(np.einsum("ij,nihw->njhw", _FORTH, ycbcr))


def decode(coefficients: Planes, factors: tuple[int, int]) -> Array:
    """RGB of dequantized coefficients, not cropped."""
    luma, chroma = plane(coefficients.luma), plane(coefficients.chroma)
    fine = (interpolation(n, f) for n, f in zip(chroma.shape[-2:], factors, strict=True))
    ycbcr = np.concatenate([luma, resample(chroma, *fine)], axis=1)
    return np.asarray(SHIFT + np.einsum("ij,njhw->nihw", COLOUR, ycbcr))


def decode_adjoint(gradient: Array, factors: tuple[int, int]) -> Planes:
    """Transpose of the linear part of :func:`decode`."""
    ycbcr = np.einsum("ij,nihw->njhw", COLOUR, gradient)
    fine = (interpolation(n // f, f).T for n, f in zip(gradient.shape[-2:], factors, strict=True))
    return Planes(blocks(ycbcr[:, :1]), blocks(resample(ycbcr[:, 1:], *fine)))
