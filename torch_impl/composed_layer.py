"""The JPEG layer around any quantizer: the linear steps as torch operations, autograd throughout.

Slower and hungrier for memory than :mod:`torch_impl.encode_decode`, which knows the soft quantizer
only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reference.standard import BLOCK_SIZE, LEVEL_SHIFT
from torch_impl import transforms
from torch_impl.kernels.eager import compute_dtype

Quantize = Callable[[Tensor, Tensor, int], Tensor]
"""(z, q, count) -> dequantized z; `count` coefficients of one image share each step."""


def encode_decode_with(
    quantize: Quantize, image: Tensor, q: Tensor, *, factors: tuple[int, int] = (1, 1)
) -> Tensor:
    """JPEG encoding and decoding with a quantizer of your choice.

    Parameters
    ----------
    quantize : callable
        Takes coefficients (N, C, H/8, 8, W/8, 8), steps (8, 1, 8) and how many coefficients of
        one image share each step; returns dequantized coefficients. Differentiable.
    image : Tensor
        RGB in [0, 255], floating point, shape (N, 3, H, W).
    q : Tensor
        Shape (rounds, 2, 8, 8): luma and chroma steps of each round, in natural order.
    factors : tuple of int
        Chroma subsampling (vertical, horizontal), each 1 or 2.

    Returns
    -------
    Tensor
        Decoded RGB, shape and dtype of `image`; not clipped. Computed in float32, or in float64
        if the image or q is float64, under autocast as well. A NaN or infinite pixel makes its
        own block NaN (its MCU, with subsampling).

    References
    ----------
    JPEG-DL, section 3.3, Fig. 1; appendix A.6.
    """
    height, width = image.shape[-2:]
    vertical, horizontal = factors
    with torch.autocast(image.device.type, enabled=False):
        dtype = compute_dtype(image, q)
        pixels = image.to(dtype)
        # Infinity counts as NaN: the block that holds it has no DCT.
        shifted = pixels + 0 * pixels - LEVEL_SHIFT
        padded = transforms.pad_to_multiple(shifted, BLOCK_SIZE * vertical, BLOCK_SIZE * horizontal)
        planes = transforms.rgb_to_ycbcr(padded)
        groups = [planes[:, :1], transforms.downsample(planes[:, 1:], factors)]
        for table, group in enumerate(groups):
            z = transforms.dct(group)
            count = z[0].numel() // BLOCK_SIZE**2
            for steps in q.to(dtype)[:, table]:
                z = quantize(z, steps[:, None, :], count)
            groups[table] = transforms.inverse_dct(z)
        planes = torch.cat([groups[0], transforms.upsample(groups[1], factors)], dim=1)
        decoded = transforms.ycbcr_to_rgb(planes) + LEVEL_SHIFT
        return decoded[..., :height, :width].to(image.dtype).contiguous()
