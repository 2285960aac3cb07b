"""The linear steps of differentiable JPEG on tensors, with the edges of libjpeg.

Rows are padded to the sampling factor only, and the last *reduced* row is repeated; a decoder
drops the padding before it upsamples, and widens a chroma plane of one or two columns by
repetition. :mod:`torch_impl.composed_layer` pads to whole MCUs and upsamples what it padded.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reference.standard import BLOCK_SIZE, LEVEL_SHIFT
from torch_impl import transforms

_NARROW = 2  # columns of chroma that libjpeg does not filter where it widens


def encode(images: Tensor, factors: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pixels (N, 3, H, W) to coefficients of luma and chroma, (N, C, rows, 8, columns, 8)."""
    vertical, horizontal = factors
    ycbcr = transforms.rgb_to_ycbcr(images - LEVEL_SHIFT)
    chroma = transforms.pad_to_multiple(ycbcr[:, 1:], vertical, BLOCK_SIZE * horizontal)
    chroma = transforms.downsample(chroma, factors)
    luma, chroma = (
        transforms.pad_to_multiple(plane, BLOCK_SIZE, BLOCK_SIZE)
        for plane in (ycbcr[:, :1], chroma)
    )
    return transforms.dct(luma), transforms.dct(chroma)


def decode(
    luma: Tensor, chroma: Tensor, factors: tuple[int, int], shape: tuple[int, int]
) -> Tensor:
    """Coefficients to pixels of (H, W), not clipped."""
    (vertical, horizontal), (height, width) = factors, shape
    rows, columns = -(-height // vertical), -(-width // horizontal)
    y = transforms.inverse_dct(luma)[..., :height, :width]
    reduced = transforms.inverse_dct(chroma)[..., :rows, :columns]
    if horizontal == 2 and columns <= _NARROW:
        full = _repeat(reduced, factors)
    else:
        full = transforms.upsample(reduced, factors)
    planes = torch.cat([y, full[..., :height, :width]], dim=1)
    return transforms.ycbcr_to_rgb(planes) + LEVEL_SHIFT


def _repeat(plane: Tensor, factors: tuple[int, int]) -> Tensor:
    n, c, rows, columns = plane.shape
    cells = plane[:, :, :, None, :, None].expand(-1, -1, -1, factors[0], -1, factors[1])
    return cells.reshape(n, c, rows * factors[0], columns * factors[1])
