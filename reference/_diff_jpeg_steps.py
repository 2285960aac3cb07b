"""The linear steps of differentiable JPEG, and their adjoints: edges as libjpeg has them.

:mod:`reference.layer_steps` pads to whole MCUs and upsamples what it padded. libjpeg pads rows to
the sampling factor only and repeats the last *reduced* row, drops the padding before it upsamples,
and widens a chroma plane of one or two columns by repetition. Sides that are whole MCUs and wider
than four pixels do not tell the two apart.
"""

from __future__ import annotations

import numpy as np

from reference._validation import Array
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
from reference.layer_steps import Coefficients
from reference.sampling import downsample, downsample_adjoint, upsample, upsample_adjoint
from reference.standard import BLOCK_SIZE, LEVEL_SHIFT

_BLOCK = (BLOCK_SIZE, BLOCK_SIZE)
_NARROW = 2  # columns of chroma that libjpeg does not filter where it widens


def encode(image: Array, factors: tuple[int, int]) -> Coefficients:
    """Pixels (N, 3, H, W) to DCT coefficients."""
    ycbcr = rgb_to_ycbcr(image - LEVEL_SHIFT)
    reduced = downsample(pad_edges(ycbcr[:, 1:], _before_reduction(factors)), factors)
    return Coefficients(
        *(dct2(split_blocks(pad_edges(p, _BLOCK))) for p in (ycbcr[:, :1], reduced))
    )


def encode_adjoint(grad: Coefficients, factors: tuple[int, int], shape: tuple[int, int]) -> Array:
    """Transpose of the linear part of `encode` for images of (H, W)."""
    luma, chroma = (merge_blocks(idct2(g)) for g in grad)
    padded = tuple(
        -(-side // multiple) * multiple // factor
        for side, multiple, factor in zip(shape, _before_reduction(factors), factors, strict=True)
    )
    reduced = pad_edges_adjoint(chroma, (padded[0], padded[1]))
    full = pad_edges_adjoint(downsample_adjoint(reduced, factors), shape)
    return rgb_to_ycbcr_adjoint(np.concatenate([pad_edges_adjoint(luma, shape), full], axis=1))


def decode(z: Coefficients, factors: tuple[int, int], shape: tuple[int, int]) -> Array:
    """DCT coefficients to pixels of (H, W), not clipped."""
    height, width = shape
    luma, chroma = (merge_blocks(idct2(c)) for c in z)
    rows, columns = reduced_sides(shape, factors)
    chroma = chroma[..., :rows, :columns]
    if _is_narrow(columns, factors):
        chroma = chroma.repeat(factors[0], axis=-2).repeat(factors[1], axis=-1)
    else:
        chroma = upsample(chroma, factors)
    planes = [luma[..., :height, :width], chroma[..., :height, :width]]
    return ycbcr_to_rgb(np.concatenate(planes, axis=1)) + LEVEL_SHIFT


def decode_adjoint(grad: Array, factors: tuple[int, int]) -> Coefficients:
    """Transpose of the linear part of `decode`."""
    shape = grad.shape[-2], grad.shape[-1]
    ycbcr = ycbcr_to_rgb_adjoint(grad)
    rows, columns = reduced_sides(shape, factors)
    chroma = _zeros_beyond(ycbcr[:, 1:], rows * factors[0], columns * factors[1])
    if _is_narrow(columns, factors):
        chroma = factors[0] * factors[1] * downsample(chroma, factors)
    else:
        chroma = upsample_adjoint(chroma, factors)
    return Coefficients(
        *(
            dct2(split_blocks(_zeros_beyond(p, *(-(-s // 8) * 8 for s in p.shape[-2:]))))
            for p in (ycbcr[:, :1], chroma)
        )
    )


def reduced_sides(shape: tuple[int, int], factors: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of chroma that a decoder keeps."""
    return -(-shape[0] // factors[0]), -(-shape[1] // factors[1])


def _before_reduction(factors: tuple[int, int]) -> tuple[int, int]:
    """Rows: whole cells. Columns: whole blocks of the reduced plane."""
    return factors[0], BLOCK_SIZE * factors[1]


def _is_narrow(columns: int, factors: tuple[int, int]) -> bool:
    return factors[1] == 2 and columns <= _NARROW


def _zeros_beyond(grad: Array, height: int, width: int) -> Array:
    """What a crop removed has no influence: its gradient is zero."""
    missing = (0, height - grad.shape[-2]), (0, width - grad.shape[-1])
    return np.pad(grad, (*[(0, 0)] * (grad.ndim - 2), *missing))
