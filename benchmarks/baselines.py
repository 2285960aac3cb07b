"""The plain way: softmax over all levels of the support, by autograd, in torch operations.

These are what the fast code is measured against, written as the equations read. They take finite
coefficients. One call of :func:`naive_full` holds about four temporaries of 2L+1 times the size
of z (with gradients, some more): hand it the coefficients in parts where that is too much.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reference.standard import BLOCK_SIZE, LEVEL_SHIFT, SUBSAMPLINGS
from torch_impl import transforms

Quantize = Callable[[Tensor, Tensor, Tensor], Tensor]


def naive_full(z: Tensor, q: Tensor, alpha: Tensor, *, max_level: int) -> Tensor:
    """Soft quantizer over all 2L+1 levels.

    Parameters
    ----------
    z, q, alpha : Tensor
        Coefficients, steps and scaling factors; they broadcast.
    max_level : int
        L.

    Returns
    -------
    Tensor
        Of the broadcast shape.

    References
    ----------
    JPEG-DL, eq. (6) and (7).
    """
    levels = torch.arange(-max_level, max_level + 1, dtype=z.dtype, device=z.device)
    return _mean_level(z, q, alpha, levels)


def naive_masked(z: Tensor, q: Tensor, alpha: Tensor, *, max_level: int, window: int = 5) -> Tensor:
    """Soft quantizer over the `window` levels around the nearest one, gathered per element.

    Parameters
    ----------
    z, q, alpha : Tensor
        Coefficients, steps and scaling factors; they broadcast.
    max_level : int
        L.
    window : int
        Number of levels, odd.

    Returns
    -------
    Tensor
        Of the broadcast shape.

    References
    ----------
    JPEG-DL, eq. (6) and (7) on the support of appendix A.12.
    """
    nearest = torch.floor(z.detach() / q.detach() + 0.5).clamp(-max_level, max_level)
    first = (nearest - window // 2).clamp(-max_level, max_level - window + 1)
    levels = first[..., None] + torch.arange(window, dtype=z.dtype, device=z.device)
    return _mean_level(z, q, alpha, levels)


def _mean_level(z: Tensor, q: Tensor, alpha: Tensor, levels: Tensor) -> Tensor:
    values = levels * q[..., None]  # (..., K)
    logits = -alpha[..., None] * (z[..., None] - values) ** 2
    return (torch.softmax(logits, dim=-1) * values).sum(dim=-1)


def naive_layer(
    image: Tensor, q: Tensor, alpha: Tensor, quantize: Quantize, *, subsampling: str = "4:4:4"
) -> Tensor:
    """JPEG layer with any quantizer, as a composition of torch operations.

    Parameters
    ----------
    image : Tensor
        RGB in [0, 255], (N, 3, H, W).
    q, alpha : Tensor
        Tables, (2, 8, 8).
    quantize : callable
        ``quantize(z, q, alpha)``.
    subsampling : str
        "4:4:4", "4:2:2" or "4:2:0".

    Returns
    -------
    Tensor
        Same shape, not clipped.

    References
    ----------
    JPEG-DL, section 3.3 and Fig. 1.
    """
    factors = SUBSAMPLINGS[subsampling]
    height, width = image.shape[-2:]
    padded = transforms.pad_to_multiple(
        image - LEVEL_SHIFT, BLOCK_SIZE * factors[0], BLOCK_SIZE * factors[1]
    )
    ycbcr = transforms.rgb_to_ycbcr(padded)
    luma, chroma = ycbcr[:, :1], transforms.downsample(ycbcr[:, 1:], factors)
    decoded = []
    for plane, q_plane, alpha_plane in zip((luma, chroma), q, alpha, strict=True):
        coefficients = quantize(transforms.dct(plane), q_plane[:, None, :], alpha_plane[:, None, :])
        decoded.append(transforms.inverse_dct(coefficients))
    planes = torch.cat([decoded[0], transforms.upsample(decoded[1], factors)], dim=1)
    return (transforms.ycbcr_to_rgb(planes) + LEVEL_SHIFT)[..., :height, :width]


__all__ = ["Quantize", "naive_full", "naive_layer", "naive_masked"]
