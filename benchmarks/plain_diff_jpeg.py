"""Differentiable JPEG written down plainly, to measure :func:`torch_impl.diff_jpeg` against.

The same pipeline with the same parts: colour as a product with a matrix,
chroma halved by ``avg_pool2d`` and widened by bilinear ``interpolate`` (whose weights are those
of libjpeg where sides are multiples of an MCU), and the DCT as ``tensordot`` with a materialized
basis of 8x8x8x8 numbers. The gradient is autograd's. Images have sides of whole MCUs.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from reference.standard import CHROMINANCE_TABLE, LUMINANCE_TABLE, RGB_TO_YCBCR, YCBCR_TO_RGB

_FACTORS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2), "4:4:0": (2, 1)}
_SLOPE = 1e-3


def plain_diff_jpeg(images: Tensor, quality: Tensor, *, subsampling: str = "4:2:0") -> Tensor:
    """Encode and decode with cubic rounding and floors and soft clippings.

    Parameters
    ----------
    images : Tensor
        RGB in [0, 255], (N, 3, H, W), sides that are multiples of 8 times the sampling factor.
    quality : Tensor
        In [1, 100], (N,).
    subsampling : {"4:4:4", "4:2:2", "4:2:0", "4:4:0"}
        Of chroma.

    Returns
    -------
    Tensor
        As ``torch_impl.diff_jpeg(images, quality=quality, subsampling=subsampling)``.

    References
    ----------
    Codec control thesis (*Differentiable JPEG: The Devil is in the Details*), section 4.1.1.
    """
    vertical, horizontal = _FACTORS[subsampling]
    if images.shape[-2] % (8 * vertical) or images.shape[-1] % (8 * horizontal):
        raise ValueError(f"sides must be whole MCUs of {subsampling}, got {tuple(images.shape)}")
    basis, scale = _basis(images)
    ycbcr = torch.tensordot(images.permute(0, 2, 3, 1), _tensor(RGB_TO_YCBCR, images).T, dims=1)
    ycbcr = ycbcr + images.new_tensor([0.0, 128.0, 128.0])
    chroma = functional.avg_pool2d(ycbcr[..., 1:].permute(0, 3, 1, 2), (vertical, horizontal))
    percent = _floor(torch.where(quality < 50, 5000 / quality, 200 - 2 * quality))
    decoded = []
    for plane, base in (
        (ycbcr[..., 0], LUMINANCE_TABLE),
        (chroma[:, 0], CHROMINANCE_TABLE),
        (chroma[:, 1], CHROMINANCE_TABLE),
    ):
        table = _floor((percent[:, None, None] * _tensor(base, images) + 50) / 100)
        table = _clip(table, 1, 255)[:, None]
        z = scale * torch.tensordot(_split(plane) - 128, basis, dims=2)
        z = _round(z / table) * table
        blocks = torch.tensordot(z * scale, basis.permute(2, 3, 0, 1), dims=2) + 128
        decoded.append(_merge(blocks, plane.shape[1], plane.shape[2]))
    full = functional.interpolate(
        torch.stack(decoded[1:], 1), images.shape[2:], mode="bilinear", align_corners=False
    )
    ycbcr = torch.cat([decoded[0][:, None], full], 1).permute(0, 2, 3, 1)
    ycbcr = ycbcr - images.new_tensor([0.0, 128.0, 128.0])
    rgb = torch.tensordot(ycbcr, _tensor(YCBCR_TO_RGB, images).T, dims=1)
    return _clip(rgb.permute(0, 3, 1, 2), 0, 255)


def _tensor(array: NDArray[Any], like: Tensor) -> Tensor:
    return like.new_tensor(array.tolist())


def _basis(like: Tensor) -> tuple[Tensor, Tensor]:
    """Products of cosines by position, then frequency, (8, 8, 8, 8); and the norms, (8, 8)."""
    k = torch.arange(8, dtype=torch.float64)
    cosines = torch.cos((2 * k[:, None] + 1) * k * math.pi / 16)
    norm = torch.ones(8, dtype=torch.float64)
    norm[0] = math.sqrt(0.5)
    basis = torch.einsum("xu,yv->xyuv", cosines, cosines)
    return basis.to(like), (torch.outer(norm, norm) / 4).to(like)


def _split(plane: Tensor) -> Tensor:
    n, height, width = plane.shape
    cells = plane.reshape(n, height // 8, 8, width // 8, 8).permute(0, 1, 3, 2, 4)
    return cells.reshape(n, -1, 8, 8)


def _merge(blocks: Tensor, height: int, width: int) -> Tensor:
    cells = blocks.reshape(len(blocks), height // 8, width // 8, 8, 8).permute(0, 1, 3, 2, 4)
    return cells.reshape(len(blocks), height, width)


def _round(x: Tensor) -> Tensor:
    whole = torch.round(x)
    return whole + (x - whole) ** 3


def _floor(x: Tensor) -> Tensor:
    return _round(x - 0.5)


def _clip(x: Tensor, low: float, high: float) -> Tensor:
    beyond = torch.where(x > high, high + _SLOPE * (x - high), x)
    return torch.where(x < low, low + _SLOPE * (x - low), beyond)


__all__ = ["plain_diff_jpeg"]
