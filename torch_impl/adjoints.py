"""Adjoints (transposes) of the linear steps in :mod:`torch_impl.transforms`.

The DCT needs none: it is orthonormal, so its adjoint is its inverse.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from reference.standard import RGB_TO_YCBCR, YCBCR_TO_RGB

# Plain numbers, so that torch.compile sees constants.
_RGB_TO_YCBCR_T: list[list[float]] = RGB_TO_YCBCR.T.tolist()
_YCBCR_TO_RGB_T: list[list[float]] = YCBCR_TO_RGB.T.tolist()


def _mix(gradient: Tensor, matrix: list[list[float]]) -> Tensor:
    result = torch.empty_like(gradient, memory_format=torch.contiguous_format)
    for out, row in zip(result.unbind(1), matrix, strict=True):
        torch.mul(gradient[:, 0], row[0], out=out)
        out.add_(gradient[:, 1], alpha=row[1]).add_(gradient[:, 2], alpha=row[2])
    return result


def rgb_to_ycbcr_adjoint(gradient: Tensor) -> Tensor:
    """Adjoint of :func:`torch_impl.transforms.rgb_to_ycbcr`; (N, 3, H, W) -> the same."""
    return _mix(gradient, _RGB_TO_YCBCR_T)


def ycbcr_to_rgb_adjoint(gradient: Tensor) -> Tensor:
    """Adjoint of :func:`torch_impl.transforms.ycbcr_to_rgb`; (N, 3, H, W) -> the same."""
    return _mix(gradient, _YCBCR_TO_RGB_T)


def pad_adjoint(gradient: Tensor, height: int, width: int) -> Tensor:
    """Adjoint of :func:`torch_impl.transforms.pad_to_multiple`: edges add up what they lent."""
    if gradient.shape[-1] > width:
        edge = gradient[..., width - 1 :].sum(-1, keepdim=True)
        gradient = torch.cat([gradient[..., : width - 1], edge], dim=-1)
    if gradient.shape[-2] > height:
        edge = gradient[..., height - 1 :, :].sum(-2, keepdim=True)
        gradient = torch.cat([gradient[..., : height - 1, :], edge], dim=-2)
    return gradient


def crop_adjoint(gradient: Tensor, height: int, width: int) -> Tensor:
    """Adjoint of cropping from multiples of `height` and `width`: zeros at the bottom and right."""
    bottom, right = -gradient.shape[-2] % height, -gradient.shape[-1] % width
    return functional.pad(gradient, (0, right, 0, bottom)) if bottom or right else gradient


def downsample_adjoint(gradient: Tensor, factors: tuple[int, int]) -> Tensor:
    """Adjoint of :func:`torch_impl.transforms.downsample`."""
    for dim, factor in zip((2, 3), factors, strict=True):
        if factor > 1:
            gradient = gradient.repeat_interleave(factor, dim) / factor
    return gradient


def _double_adjoint(gradient: Tensor, dim: int) -> Tensor:
    """Adjoint of upsampling by 2 along `dim` with weights 3/4 and 1/4, edges repeated."""
    size = gradient.shape[dim] // 2
    even, odd = gradient.unflatten(dim, (size, 2)).unbind(dim + 1)
    total = 0.75 * (even + odd)
    # Sample i was lent to its neighbours: to the even one after it and the odd one before it.
    total.narrow(dim, 0, size - 1).add_(even.narrow(dim, 1, size - 1), alpha=0.25)
    total.narrow(dim, 1, size - 1).add_(odd.narrow(dim, 0, size - 1), alpha=0.25)
    total.narrow(dim, 0, 1).add_(even.narrow(dim, 0, 1), alpha=0.25)
    total.narrow(dim, size - 1, 1).add_(odd.narrow(dim, size - 1, 1), alpha=0.25)
    return total


def upsample_adjoint(gradient: Tensor, factors: tuple[int, int]) -> Tensor:
    """Adjoint of :func:`torch_impl.transforms.upsample`."""
    for dim, factor in zip((3, 2), reversed(factors), strict=True):
        if factor == 2:
            gradient = _double_adjoint(gradient, dim)
    return gradient
