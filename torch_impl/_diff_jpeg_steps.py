"""The steps of differentiable JPEG between pixels and coefficients, with the edges of libjpeg.

Rows are padded to the sampling factor only, and the last *reduced* row is repeated; a decoder
drops the padding before it upsamples, and widens a chroma plane of one or two columns by
repetition. :mod:`torch_impl.composed_layer` pads to whole MCUs and upsamples what it padded.

Here in torch operations; :mod:`torch_impl._diff_jpeg_operators` has kernels for float32 on the CPU,
which are used where they apply.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reference.standard import BLOCK_SIZE, LEVEL_SHIFT
from torch_impl import _diff_jpeg_operators as operators
from torch_impl import transforms
from torch_impl.surrogates import Rounding, soft_clip, soft_round

_NARROW = 2  # columns of chroma that libjpeg does not filter where it widens


def encode(
    images: Tensor, factors: tuple[int, int], *, whole: bool = False
) -> tuple[Tensor, Tensor]:
    """Pixels (N, 3, H, W) to coefficients of luma and chroma, (N, C, rows, 8, columns, 8).

    With `whole` they are rounded to whole numbers in 0..255 before; the derivative of that is 1.
    """
    if operators.fused(images):
        return operators.encode(images, factors, whole)
    if whole:
        rounded = soft_round(images.detach(), straight_through=True).clamp(0, 255)
        images = rounded + (images - images.detach())
    vertical, horizontal = factors
    ycbcr = transforms.rgb_to_ycbcr(images - LEVEL_SHIFT)
    chroma = transforms.pad_to_multiple(ycbcr[:, 1:], vertical, BLOCK_SIZE * horizontal)
    chroma = transforms.downsample(chroma, factors)
    luma, chroma = (
        transforms.pad_to_multiple(plane, BLOCK_SIZE, BLOCK_SIZE)
        for plane in (ycbcr[:, :1], chroma)
    )
    return transforms.dct(luma), transforms.dct(chroma)


def quantize(z: Tensor, tables: Tensor, rounding: Rounding, *, straight_through: bool) -> Tensor:
    """Coefficients to t R(z / t); `tables` (1 or N, 8, 8)."""
    if rounding in operators.ROUNDINGS and operators.fused(z, tables):
        return operators.quantize(z, tables, str(rounding), straight_through)
    return operators.quantize_in_torch(z, tables, rounding, straight_through)


def decode(
    luma: Tensor,
    chroma: Tensor,
    factors: tuple[int, int],
    shape: tuple[int, int],
    *,
    slope: float | None = None,
    straight_through: bool = False,
) -> Tensor:
    """Coefficients to pixels of (H, W); with a `slope` clipped to [0, 255]."""
    if operators.fused(luma, chroma):
        clip = 1.0 if slope is None else slope
        return operators.decode(luma, chroma, factors, shape, clip, straight_through)
    (vertical, horizontal), (height, width) = factors, shape
    rows, columns = -(-height // vertical), -(-width // horizontal)
    y = transforms.inverse_dct(luma)[..., :height, :width]
    reduced = transforms.inverse_dct(chroma)[..., :rows, :columns]
    if horizontal == 2 and columns <= _NARROW:
        full = _repeat(reduced, factors)
    else:
        full = transforms.upsample(reduced, factors)
    planes = torch.cat([y, full[..., :height, :width]], dim=1)
    images = transforms.ycbcr_to_rgb(planes) + LEVEL_SHIFT
    if slope is None:
        return images
    return soft_clip(images, 0, 255, slope=slope, straight_through=straight_through)


def _repeat(plane: Tensor, factors: tuple[int, int]) -> Tensor:
    n, c, rows, columns = plane.shape
    cells = plane[:, :, :, None, :, None].expand(-1, -1, -1, factors[0], -1, factors[1])
    return cells.reshape(n, c, rows * factors[0], columns * factors[1])
