"""The JPEG layer as the code that the authors of JPEG-DL published has it.

    -128 -> YCbCr, +1/2 on Cb and Cr -> zeros to whole blocks -> 8x8 DCT -> quantize over five
    levels -> inverse DCT -> crop -> -1/2 on Cb and Cr -> RGB -> +128

It departs from the paper's text, and from :mod:`reference.jpeg_layer`, in small ways that a
comparison with published weights has to follow:

- the five levels are round(z/q) - 2 and the four above it, ties to the even level;
- the first of them is clamped to [-(2^(b-1) - 1), 2^(b-1) - 5], so L = 2^(b-1) - 1;
- half a grey level is added to Cb and Cr after the level shift: their DC coefficients carry 4;
- blocks are filled up with zeros, after that offset, instead of repeated edges.

There is no chroma subsampling and no clipping, and Cb and Cr share one table.

References
----------
JPEG Inspired Deep Learning, Fig. 1, appendices A.1 and A.12.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference._validation import Array, as_int, as_positive, as_real
from reference.blocks import dct2, idct2, merge_blocks, split_blocks
from reference.color import (
    rgb_to_ycbcr,
    rgb_to_ycbcr_adjoint,
    ycbcr_to_rgb,
    ycbcr_to_rgb_adjoint,
)
from reference.cpmf import Partials, max_level_from_bits
from reference.jpeg_layer import LayerGradients
from reference.standard import BLOCK_SIZE, LEVEL_SHIFT

__all__ = ["jpeg_dl_code", "jpeg_dl_code_vjp", "quantize_code_partials"]

CHROMA_OFFSET = 0.5
"""Added to Cb and Cr between colour conversion and DCT, and taken away on the way back."""

WINDOW = 5
"""Levels of the masked CPMF."""


def _round(ratio: Array) -> Array:
    """Nearest integer, ties to even."""
    return np.rint(ratio)


def _first_level(nearest: Array, max_level: int) -> Array:
    """Lowest of the five levels, pushed back into {-L..L}."""
    return np.clip(nearest - WINDOW // 2, -max_level, max_level - WINDOW + 1)


def _pad(plane: Array) -> Array:
    """Zeros below and to the right, to whole blocks."""
    height, width = plane.shape[-2:]
    return np.pad(plane, ((0, 0), (0, 0), (0, -height % BLOCK_SIZE), (0, -width % BLOCK_SIZE)))


def quantize_code_partials(
    z: ArrayLike, q: ArrayLike, alpha: ArrayLike, *, bits: int = 8
) -> Partials:
    """Masked soft quantizer of the authors' code, with its partial derivatives.

    Parameters
    ----------
    z : array_like
        DCT coefficients, any shape.
    q : array_like
        Quantization steps, positive, in the unit of z. Broadcasts with z.
    alpha : array_like
        Scaling factors, positive, in 1 / unit of z squared. Broadcasts with z.
    bits : int
        b >= 3: the levels are -(2^(b-1) - 1)..2^(b-1) - 1.

    Returns
    -------
    Partials
        Value, d/dz, d/dq and d/dalpha, float64. The derivatives hold the five levels fixed.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range (the message names it).

    References
    ----------
    JPEG-DL, eq. (7) over the five levels; appendix A.1 for the derivatives.
    """
    max_level = _max_level(bits)
    z_, q_, alpha_ = np.broadcast_arrays(
        as_real("z", z), as_positive("q", q), as_positive("alpha", alpha)
    )
    first = _first_level(_round(z_ / q_), max_level)
    points = (first[..., None] + np.arange(WINDOW)) * q_[..., None]
    exponent = -alpha_[..., None] * (z_[..., None] - points) ** 2
    weight = np.exp(exponent - exponent.max(axis=-1, keepdims=True))
    p = weight / weight.sum(axis=-1, keepdims=True)
    mean = (p * points).sum(axis=-1)
    centred = points - mean[..., None]
    var = (p * centred**2).sum(axis=-1)
    mu3 = (p * centred**3).sum(axis=-1)
    return Partials(
        value=mean,
        dz=2 * alpha_ * var,
        dq=(mean - 2 * alpha_ * (mu3 + (2 * mean - z_) * var)) / q_,
        dalpha=-(mu3 + 2 * (mean - z_) * var),
    )


def jpeg_dl_code(
    image: NDArray[np.floating], q: ArrayLike, alpha: ArrayLike, *, bits: int = 8
) -> Array:
    """Run the layer of the authors' code, before the division by 255 and the normalization.

    Parameters
    ----------
    image : ndarray of floats, shape (N, 3, H, W)
        RGB in [0, 255].
    q, alpha : array_like, shape (2, 8, 8) or (rounds, 2, 8, 8)
        Steps and scaling factors, positive; [0] luma, [1] chroma, natural order.
    bits : int
        b >= 3.

    Returns
    -------
    ndarray of float64, shape (N, 3, H, W)
        RGB around [0, 255], not clipped.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    """
    image, steps, factors = _checked(image, q, alpha)
    z = _analyse(image)
    for step in range(len(steps)):
        z = _quantize(z, steps[step], factors[step], bits).value
    return _synthesize(z, image.shape[-2:])


def jpeg_dl_code_vjp(
    image: NDArray[np.floating],
    q: ArrayLike,
    alpha: ArrayLike,
    grad_output: NDArray[np.floating],
    *,
    bits: int = 8,
) -> LayerGradients:
    """Gradient of sum(grad_output * jpeg_dl_code(image, q, alpha)) with the levels held fixed.

    Parameters
    ----------
    image, q, alpha, bits
        As in :func:`jpeg_dl_code`.
    grad_output : ndarray of floats, shape (N, 3, H, W)
        Gradient of a loss with respect to the output.

    Returns
    -------
    LayerGradients
        ``image``, ``q`` and ``alpha``, float64, each of its argument's shape.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

    References
    ----------
    JPEG-DL, appendix A.1.
    """
    image, steps, factors = _checked(image, q, alpha)
    if np.shape(grad_output) != image.shape:
        raise ValueError(
            f"grad_output must have the shape of the image, {image.shape}, "
            f"got {np.shape(grad_output)}"
        )
    z = _analyse(image)
    rounds = []
    for step in range(len(steps)):
        rounds.append(_quantize(z, steps[step], factors[step], bits))
        z = rounds[-1].value

    grad = dct2(split_blocks(_pad(ycbcr_to_rgb_adjoint(grad_output))))
    grad_q, grad_alpha = np.zeros((2, *steps.shape))
    for step, partials in reversed(list(enumerate(rounds))):
        for out, partial in ((grad_q, partials.dq), (grad_alpha, partials.dalpha)):
            luma, *chroma = (grad * partial).sum(axis=(0, 2, 3))  # per component
            out[step] = luma, sum(chroma)
        grad = grad * partials.dz
    height, width = image.shape[-2:]
    padded = merge_blocks(idct2(grad))
    return LayerGradients(
        image=rgb_to_ycbcr_adjoint(padded[..., :height, :width]),
        q=grad_q.reshape(np.shape(q)),
        alpha=grad_alpha.reshape(np.shape(q)),
    )


def _analyse(image: Array) -> Array:
    ycbcr = rgb_to_ycbcr(image - LEVEL_SHIFT)
    ycbcr[:, 1:] += CHROMA_OFFSET
    return dct2(split_blocks(_pad(ycbcr)))  # (N, 3, rows, columns, 8, 8)


def _synthesize(z: Array, size: tuple[int, ...]) -> Array:
    ycbcr = merge_blocks(idct2(z))[..., : size[0], : size[1]]
    ycbcr[:, 1:] -= CHROMA_OFFSET
    return ycbcr_to_rgb(ycbcr) + LEVEL_SHIFT


def _quantize(z: Array, q: Array, alpha: Array, bits: int) -> Partials:
    """Quantize (N, 3, rows, columns, 8, 8) with one pair of tables."""
    q, alpha = (table[[0, 1, 1], None, None] for table in (q, alpha))  # Cb and Cr share one
    return quantize_code_partials(z, q, alpha, bits=bits)


def _max_level(bits: int) -> int:
    if as_int("bits", bits) < 3:
        raise ValueError(f"bits must be at least 3 (room for {WINDOW} levels), got {bits}")
    return max_level_from_bits(bits)


def _checked(
    image: NDArray[np.floating], q: ArrayLike, alpha: ArrayLike
) -> tuple[Array, Array, Array]:
    if not isinstance(image, np.ndarray) or not np.issubdtype(image.dtype, np.floating):
        raise TypeError("image must be a NumPy array of floats; convert it with .astype(float)")
    if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape:
        raise ValueError(f"image must be RGB of shape (N, 3, H, W), got {image.shape}")
    steps, factors = as_positive("q", q), as_positive("alpha", alpha)
    if steps.shape[-3:] != (2, 8, 8) or steps.ndim > 4:
        raise ValueError(f"q must have shape (2, 8, 8) or (rounds, 2, 8, 8), got {steps.shape}")
    if factors.shape != steps.shape:
        raise ValueError(f"alpha must have the shape of q, {steps.shape}, got {factors.shape}")
    shape = (-1, 2, BLOCK_SIZE, BLOCK_SIZE)
    return np.asarray(image, dtype=np.float64), steps.reshape(shape), factors.reshape(shape)
