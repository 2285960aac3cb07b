"""RGB to YCbCr and back, as JFIF has it, without level shift and without rounding.

Both directions are one 3x3 matrix per pixel. Cb and Cr come out zero-centred; subtract 128 from
R, G and B beforehand and Y is zero-centred too (the rows of the chroma part sum to zero, so
chroma does not see the shift). A NaN in one component gives NaN in all three of that pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference.standard import RGB_TO_YCBCR, YCBCR_TO_RGB

__all__ = ["rgb_to_ycbcr", "rgb_to_ycbcr_adjoint", "ycbcr_to_rgb", "ycbcr_to_rgb_adjoint"]


def rgb_to_ycbcr(image: ArrayLike) -> NDArray[np.float64]:
    """Convert RGB to YCbCr.

    Parameters
    ----------
    image : array_like, shape (..., 3, H, W)
        R, G, B in the third axis from the end, any range.

    Returns
    -------
    ndarray of float64, shape (..., 3, H, W)
        Y in the range of the input, Cb and Cr centred on zero.

    Raises
    ------
    ValueError
        If the third axis from the end is not 3 long.

    References
    ----------
    ITU-T T.871, clause 7, with exact coefficients.
    """
    return _per_pixel(RGB_TO_YCBCR, image)


def ycbcr_to_rgb(image: ArrayLike) -> NDArray[np.float64]:
    """Convert YCbCr to RGB: inverse of `rgb_to_ycbcr`.

    Parameters
    ----------
    image : array_like, shape (..., 3, H, W)
        Y, zero-centred Cb, zero-centred Cr.

    Returns
    -------
    ndarray of float64, shape (..., 3, H, W)
        R, G, B; not clipped.

    Raises
    ------
    ValueError
        If the third axis from the end is not 3 long.
    """
    return _per_pixel(YCBCR_TO_RGB, image)


def rgb_to_ycbcr_adjoint(gradient: ArrayLike) -> NDArray[np.float64]:
    """Transpose of `rgb_to_ycbcr`: gradient in Y, Cb, Cr to gradient in R, G, B.

    Parameters
    ----------
    gradient : array_like, shape (..., 3, H, W)

    Returns
    -------
    ndarray of float64, shape (..., 3, H, W)

    Raises
    ------
    ValueError
        If the third axis from the end is not 3 long.
    """
    return _per_pixel(RGB_TO_YCBCR.T, gradient)


def ycbcr_to_rgb_adjoint(gradient: ArrayLike) -> NDArray[np.float64]:
    """Transpose of `ycbcr_to_rgb`: gradient in R, G, B to gradient in Y, Cb, Cr.

    Parameters
    ----------
    gradient : array_like, shape (..., 3, H, W)

    Returns
    -------
    ndarray of float64, shape (..., 3, H, W)

    Raises
    ------
    ValueError
        If the third axis from the end is not 3 long.
    """
    return _per_pixel(YCBCR_TO_RGB.T, gradient)


def _per_pixel(matrix: NDArray[np.float64], image: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(image, dtype=np.float64)
    if array.ndim < 3 or array.shape[-3] != 3:
        raise ValueError(f"image must have shape (..., 3, H, W), got {array.shape}")
    return np.asarray(np.einsum("ij,...jhw->...ihw", matrix, array))
