"""The JPEG layer as a composition of torch operations: any device, any chroma subsampling.

Forward and backward are written out, so that the backward pass needs the image and the tables
alone. Quantization of planes goes through the operator ``jpegdl::soft_quantize``, or on the CPU in
float32 through the kernels that keep blocks in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from reference.standard import BLOCK_SIZE, LEVEL_SHIFT
from torch_impl import adjoints, transforms
from torch_impl.kernels import cpu_choice

Gradients = tuple[Tensor, Tensor, Tensor]
Factors = tuple[int, int]


def encode_decode(
    image: Tensor, q: Tensor, alpha: Tensor, level: int, window: int, factors: Factors
) -> Tensor:
    """RGB (N, 3, H, W) -> the same; q and alpha (rounds, 2, 8, 8), all of one dtype."""
    height, width = image.shape[-2:]
    planes = _planes(image, factors)
    if factors == (1, 1):
        planes = _quantize(planes, q, alpha, (0, 1, 1), level, window)
    else:
        planes[:, :1] = _quantize(planes[:, :1], q, alpha, (0,), level, window)
        chroma = transforms.downsample(planes[:, 1:], factors)
        chroma = _quantize(chroma, q, alpha, (1, 1), level, window)
        planes[:, 1:] = transforms.upsample(chroma, factors)
    return transforms.ycbcr_to_rgb(planes)[..., :height, :width].add_(LEVEL_SHIFT)


def encode_decode_backward(
    grad: Tensor,
    image: Tensor,
    q: Tensor,
    alpha: Tensor,
    level: int,
    window: int,
    factors: Factors,
) -> Gradients:
    """Gradients of image, q and alpha."""
    height, width = image.shape[-2:]
    planes = _planes(image, factors)
    grad = adjoints.crop_adjoint(grad, *_unit(factors))
    grad = adjoints.ycbcr_to_rgb_adjoint(grad)
    if factors == (1, 1):
        grad, dq, dalpha = _quantize_backward(grad, planes, q, alpha, (0, 1, 1), level, window)
    else:
        chroma = transforms.downsample(planes[:, 1:], factors)
        by_chroma = adjoints.upsample_adjoint(grad[:, 1:], factors)
        grad[:, :1], dq, dalpha = _quantize_backward(
            grad[:, :1], planes[:, :1], q, alpha, (0,), level, window
        )
        del planes  # memory
        by_chroma, dq_chroma, dalpha_chroma = _quantize_backward(
            by_chroma, chroma, q, alpha, (1, 1), level, window
        )
        dq, dalpha = dq + dq_chroma, dalpha + dalpha_chroma
        grad[:, 1:] = adjoints.downsample_adjoint(by_chroma, factors)
    grad = adjoints.pad_adjoint(adjoints.rgb_to_ycbcr_adjoint(grad), height, width)
    return grad, dq, dalpha


def _unit(factors: Factors) -> tuple[int, int]:
    """Height and width of an MCU."""
    return BLOCK_SIZE * factors[0], BLOCK_SIZE * factors[1]


def _planes(image: Tensor, factors: Factors) -> Tensor:
    # Infinity counts as NaN: the block that holds it has no DCT.
    shifted = (image - image).add_(image).sub_(LEVEL_SHIFT)
    return transforms.rgb_to_ycbcr(transforms.pad_to_multiple(shifted, *_unit(factors)))


def _quantize(
    planes: Tensor, q: Tensor, alpha: Tensor, components: Sequence[int], level: int, window: int
) -> Tensor:
    """DCT, every round of quantization with the tables of `components`, inverse DCT."""
    if cpu_choice.supports((planes, q, alpha), level):
        from torch_impl.kernels import cpu_layer  # imports Numba

        return cpu_layer.quantize_planes(planes, q, alpha, components, level, window)
    rounds = _coefficients(planes, q, alpha, components, level, window, len(q))
    return transforms.inverse_dct(rounds[-1])


def _quantize_backward(
    grad: Tensor,
    planes: Tensor,
    q: Tensor,
    alpha: Tensor,
    components: Sequence[int],
    level: int,
    window: int,
) -> Gradients:
    if cpu_choice.supports((planes, q, alpha), level):
        from torch_impl.kernels import cpu_layer

        return cpu_layer.quantize_planes_backward(grad, planes, q, alpha, components, level, window)
    dq, dalpha = torch.zeros_like(q), torch.zeros_like(alpha)
    inputs = _coefficients(planes, q, alpha, components, level, window, len(q) - 1)
    gradient = transforms.dct(grad)
    for index in reversed(range(len(q))):
        gradient, by_q, by_alpha = torch.ops.jpegdl.soft_quantize_backward(
            gradient,
            inputs.pop(),
            _per_component(q[index], components),
            _per_component(alpha[index], components),
            level,
            window,
            [True, True, True],
        )
        for i, component in enumerate(components):
            dq[index, component] += by_q[i, 0, :, 0]
            dalpha[index, component] += by_alpha[i, 0, :, 0]
    return transforms.inverse_dct(gradient), dq, dalpha


def _coefficients(
    planes: Tensor,
    q: Tensor,
    alpha: Tensor,
    components: Sequence[int],
    level: int,
    window: int,
    rounds: int,
) -> list[Tensor]:
    """DCT coefficients before and after each of the first `rounds` quantizations."""
    result = [transforms.dct(planes)]  # (N, C, H/8, 8, W/8, 8)
    for index in range(rounds):
        result.append(
            torch.ops.jpegdl.soft_quantize(
                result[-1],
                _per_component(q[index], components),
                _per_component(alpha[index], components),
                level,
                window,
            )
        )
    return result


def _per_component(tables: Tensor, components: Sequence[int]) -> Tensor:
    """(2, 8, 8) -> (C, 1, 8, 1, 8), beside coefficients of shape (N, C, H/8, 8, W/8, 8)."""
    chosen = torch.stack([tables[i] for i in components])
    return chosen[:, None, :, None, :]
