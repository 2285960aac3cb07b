"""The linear steps of the JPEG layer on tensors: colour, padding, chroma sampling, DCT.

All functions are differentiable compositions of torch operations, keep the dtype of their
input and work on any device. Images and planes are (N, C, H, W).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from reference.standard import BLOCK_SIZE, DCT_MATRIX, RGB_TO_YCBCR, YCBCR_TO_RGB

# Plain numbers, so that torch.compile sees constants.
_DCT: list[list[float]] = DCT_MATRIX.tolist()
_TO_YCBCR: list[list[float]] = RGB_TO_YCBCR.tolist()
_TO_RGB: list[list[float]] = YCBCR_TO_RGB.tolist()


def _mix_channels(image: Tensor, matrix: list[list[float]]) -> Tensor:
    """Apply a 3x3 colour matrix pixel by pixel."""
    a, b, c = image.unbind(1)
    return torch.stack([row[0] * a + row[1] * b + row[2] * c for row in matrix], dim=1)


def rgb_to_ycbcr(image: Tensor) -> Tensor:
    """RGB to YCbCr with zero-centred Cb and Cr; (N, 3, H, W) -> the same (T.871, clause 7)."""
    return _mix_channels(image, _TO_YCBCR)


def ycbcr_to_rgb(image: Tensor) -> Tensor:
    """Inverse of :func:`rgb_to_ycbcr`."""
    return _mix_channels(image, _TO_RGB)


def pad_to_multiple(image: Tensor, height: int, width: int) -> Tensor:
    """Repeat the last row and column until H and W are multiples of `height` and `width`."""
    bottom = -image.shape[-2] % height
    right = -image.shape[-1] % width
    if bottom:
        image = torch.cat([image, image[..., -1:, :].expand(-1, -1, bottom, -1)], dim=-2)
    if right:
        image = torch.cat([image, image[..., -1:].expand(-1, -1, -1, right)], dim=-1)
    return image


def downsample(plane: Tensor, factors: tuple[int, int]) -> Tensor:
    """Mean over boxes of (vertical, horizontal) `factors`; H and W must be multiples."""
    if factors == (1, 1):
        return plane
    return functional.avg_pool2d(plane, factors)


def _double(plane: Tensor, dim: int) -> Tensor:
    """Bilinear upsampling by 2 along `dim`: weights 3/4 and 1/4, edges repeated."""
    size = plane.shape[dim]
    first, last = plane.narrow(dim, 0, 1), plane.narrow(dim, size - 1, 1)
    before = torch.cat([first, plane.narrow(dim, 0, size - 1)], dim=dim)
    after = torch.cat([plane.narrow(dim, 1, size - 1), last], dim=dim)
    near = 0.75 * plane
    pair = torch.stack([near + 0.25 * before, near + 0.25 * after], dim=dim + 1)
    return pair.flatten(dim, dim + 1)


def upsample(plane: Tensor, factors: tuple[int, int]) -> Tensor:
    """Bilinear upsampling by (vertical, horizontal) `factors` of 1 or 2, half-pixel centres.

    The weights 3/4 and 1/4 are those of libjpeg's "fancy" upsampling.
    """
    for dim, factor in zip((2, 3), factors, strict=True):
        if factor == 2:
            plane = _double(plane, dim)
    return plane


def dct(planes: Tensor) -> Tensor:
    """Orthonormal 8x8 DCT-II of each block.

    Parameters
    ----------
    planes : Tensor
        (N, C, H, W), H and W multiples of 8.

    Returns
    -------
    Tensor
        (N, C, H/8, 8, W/8, 8): block row, vertical frequency, block column, horizontal frequency.
    """
    n, c, height, width = planes.shape
    matrix = planes.new_tensor(_DCT)  # (frequency, position)
    rows = planes.reshape(n, c, height // BLOCK_SIZE, BLOCK_SIZE, width)
    vertical = matrix @ rows
    blocks = vertical.reshape(*rows.shape[:-1], width // BLOCK_SIZE, BLOCK_SIZE)
    return blocks @ matrix.T


def inverse_dct(coefficients: Tensor) -> Tensor:
    """Inverse of :func:`dct`: (N, C, H/8, 8, W/8, 8) -> (N, C, H, W)."""
    n, c, rows, _, columns, _ = coefficients.shape
    matrix = coefficients.new_tensor(_DCT)
    horizontal = coefficients @ matrix
    lines = horizontal.reshape(n, c, rows, BLOCK_SIZE, columns * BLOCK_SIZE)
    return (matrix.T @ lines).reshape(n, c, rows * BLOCK_SIZE, columns * BLOCK_SIZE)
