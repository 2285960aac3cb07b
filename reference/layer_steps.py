"""The linear steps of the JPEG layer on each side of its quantizer, and their adjoints.

``analyse`` leads from pixels to DCT coefficients, ``synthesize`` back. Both are linear but for the
level shift of 128, which their adjoints do not see.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference.blocks import (
    dct2,
    idct2,
    merge_blocks,
    pad_edges,
    pad_edges_adjoint,
    split_blocks,
)
from reference.color import (
    rgb_to_ycbcr,
    rgb_to_ycbcr_adjoint,
    ycbcr_to_rgb,
    ycbcr_to_rgb_adjoint,
)
from reference.sampling import downsample, downsample_adjoint, upsample, upsample_adjoint
from reference.standard import BLOCK_SIZE, LEVEL_SHIFT

__all__ = [
    "Coefficients",
    "analyse",
    "analyse_adjoint",
    "mcu_size",
    "synthesize",
    "synthesize_adjoint",
]

Array = NDArray[np.float64]


class Coefficients(NamedTuple):
    """DCT coefficients, or gradients with respect to them.

    Parameters
    ----------
    luma : ndarray, shape (N, 1, H'/8, W'/8, 8, 8)
        H' and W' are the sides, padded to whole MCUs.
    chroma : ndarray, shape (N, 2, H'/8v, W'/8h, 8, 8)
        Cb and Cr, subsampled by v x h.
    """

    luma: Array
    chroma: Array


def mcu_size(factors: tuple[int, int]) -> tuple[int, int]:
    """Height and width of an MCU in pixels, for chroma factors (vertical, horizontal)."""
    return BLOCK_SIZE * factors[0], BLOCK_SIZE * factors[1]


def analyse(image: Array, factors: tuple[int, int]) -> Coefficients:
    """Pad, shift by -128, convert to YCbCr, subsample chroma, transform.

    Parameters
    ----------
    image : ndarray of float64, shape (N, 3, H, W)
        RGB in [0, 255].
    factors : (int, int)
        Chroma subsampling (vertical, horizontal), each 1 or 2.

    Returns
    -------
    Coefficients
    """
    padded = pad_edges(image, mcu_size(factors))
    ycbcr = rgb_to_ycbcr(padded - LEVEL_SHIFT)
    chroma = downsample(ycbcr[:, 1:], factors)
    return Coefficients(dct2(split_blocks(ycbcr[:, :1])), dct2(split_blocks(chroma)))


def analyse_adjoint(grad: Coefficients, factors: tuple[int, int], shape: tuple[int, int]) -> Array:
    """Transpose of the linear part of `analyse`.

    Parameters
    ----------
    grad : Coefficients
        Gradient with respect to the coefficients.
    factors : (int, int)
        As for `analyse`.
    shape : (int, int)
        (H, W) of the image.

    Returns
    -------
    ndarray of float64, shape (N, 3, H, W)
    """
    luma = merge_blocks(idct2(grad.luma))
    chroma = downsample_adjoint(merge_blocks(idct2(grad.chroma)), factors)
    padded = rgb_to_ycbcr_adjoint(np.concatenate([luma, chroma], axis=1))
    return pad_edges_adjoint(padded, shape)


def synthesize(z: Coefficients, factors: tuple[int, int]) -> Array:
    """Transform back, upsample chroma, convert to RGB, shift by +128; not cropped.

    Parameters
    ----------
    z : Coefficients
        Dequantized coefficients.
    factors : (int, int)
        As for `analyse`.

    Returns
    -------
    ndarray of float64, shape (N, 3, H', W')
    """
    luma = merge_blocks(idct2(z.luma))
    chroma = upsample(merge_blocks(idct2(z.chroma)), factors)
    return ycbcr_to_rgb(np.concatenate([luma, chroma], axis=1)) + LEVEL_SHIFT


def synthesize_adjoint(grad: Array, factors: tuple[int, int]) -> Coefficients:
    """Transpose of the linear part of `synthesize`, cropping included.

    Parameters
    ----------
    grad : ndarray of float64, shape (N, 3, H, W)
        Gradient with respect to the cropped output.
    factors : (int, int)
        As for `analyse`.

    Returns
    -------
    Coefficients
    """
    height, width = grad.shape[-2:]
    units = mcu_size(factors)
    down, across = (-size % unit for size, unit in zip((height, width), units, strict=True))
    # What is cropped from the output has no influence: its gradient is zero.
    padded = np.pad(grad, ((0, 0), (0, 0), (0, down), (0, across)))
    ycbcr = ycbcr_to_rgb_adjoint(padded)
    chroma = upsample_adjoint(ycbcr[:, 1:], factors)
    return Coefficients(dct2(split_blocks(ycbcr[:, :1])), dct2(split_blocks(chroma)))
