"""The linear steps of differentiable JPEG with the magnitudes of their weights.

What an error of each input comes to at most in each output, forth and back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference import _diff_jpeg_steps as steps
from reference.blocks import merge_blocks, pad_edges_adjoint, split_blocks
from reference.layer_steps import Coefficients
from reference.sampling import downsample, downsample_adjoint, upsample, upsample_adjoint
from reference.standard import DCT_MATRIX, RGB_TO_YCBCR, YCBCR_TO_RGB

__all__ = ["decode", "decode_adjoint", "encode_adjoint", "gathered"]

Array = NDArray[np.float64]

_DCT = np.abs(DCT_MATRIX)
_NARROW = 2  # columns of chroma that are repeated where they are widened


def decode(errors: Coefficients, factors: tuple[int, int], shape: tuple[int, int]) -> Array:
    """Errors of coefficients to errors of pixels, (N, 3, H, W)."""
    height, width = shape
    luma, chroma = (merge_blocks(_DCT.T @ e @ _DCT) for e in errors)
    rows, columns = steps.reduced_sides(shape, factors)
    chroma = chroma[..., :rows, :columns]
    if factors[1] == 2 and columns <= _NARROW:
        chroma = chroma.repeat(factors[0], axis=-2).repeat(factors[1], axis=-1)
    else:
        chroma = upsample(chroma, factors)
    planes = [luma[..., :height, :width], chroma[..., :height, :width]]
    return _mixed(np.concatenate(planes, axis=1), YCBCR_TO_RGB)


def decode_adjoint(errors: Array, factors: tuple[int, int]) -> Coefficients:
    """Errors of the output's gradient to errors of the coefficients' gradients."""
    ycbcr = _mixed(errors, YCBCR_TO_RGB.T)
    rows, columns = steps.reduced_sides((errors.shape[-2], errors.shape[-1]), factors)
    chroma = _padded(ycbcr[:, 1:], rows * factors[0], columns * factors[1])
    if factors[1] == 2 and columns <= _NARROW:
        chroma = factors[0] * factors[1] * downsample(chroma, factors)
    else:
        chroma = upsample_adjoint(chroma, factors)
    planes = (_padded(p, *(-(-s // 8) * 8 for s in p.shape[-2:])) for p in (ycbcr[:, :1], chroma))
    return Coefficients(*(_DCT @ split_blocks(plane) @ _DCT.T for plane in planes))


def encode_adjoint(errors: Coefficients, factors: tuple[int, int], shape: tuple[int, int]) -> Array:
    """Errors of the coefficients' gradients to errors of the images' gradient."""
    luma, chroma = (merge_blocks(_DCT.T @ e @ _DCT) for e in errors)
    return _mixed(_planes_adjoint(luma, chroma, factors, shape), RGB_TO_YCBCR.T)


def gathered(like: Coefficients, factors: tuple[int, int], shape: tuple[int, int]) -> Array:
    """How many padded samples each pixel gathers on the way back, (N, 1, H, W)."""
    luma, chroma = (merge_blocks(np.ones_like(e)) for e in like)
    return np.asarray(_planes_adjoint(luma, chroma, factors, shape).max(axis=1, keepdims=True))


def _planes_adjoint(
    luma: Array, chroma: Array, factors: tuple[int, int], shape: tuple[int, int]
) -> Array:
    multiples = factors[0], 8 * factors[1]
    rows, columns = (
        -(-side // multiple) * multiple // factor
        for side, multiple, factor in zip(shape, multiples, factors, strict=True)
    )
    reduced = pad_edges_adjoint(chroma, (rows, columns))
    full = pad_edges_adjoint(downsample_adjoint(reduced, factors), shape)
    return np.concatenate([pad_edges_adjoint(luma, shape), full], axis=1)


def _mixed(planes: Array, matrix: Array) -> Array:
    return np.asarray(np.einsum("ij,njhw->nihw", np.abs(matrix), planes))


def _padded(plane: Array, height: int, width: int) -> Array:
    missing = (0, height - plane.shape[-2]), (0, width - plane.shape[-1])
    return np.pad(plane, (*[(0, 0)] * (plane.ndim - 2), *missing))
