"""The JPEG layer of JPEG-DL and its vector-Jacobian product in closed form.

    pad -> -128 -> YCbCr -> subsample chroma -> 8x8 DCT -> quantize, once per round ->
    inverse DCT -> upsample chroma -> RGB -> +128 -> crop

Everything but the quantizer is linear (or a shift), so the gradient runs backwards through the
adjoint of each step, and through the partial derivatives of the quantizer once per round.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference._validation import Array, as_positive, check_max_level, check_window
from reference.cpmf import Partials, hard_quantize, soft_quantize, soft_quantize_partials
from reference.layer_steps import (
    Coefficients,
    analyse,
    analyse_adjoint,
    synthesize,
    synthesize_adjoint,
)
from reference.standard import SUBSAMPLINGS

__all__ = ["LayerGradients", "jpeg_layer", "jpeg_layer_vjp"]

Quantizer = Literal["soft", "hard"]


class LayerGradients(NamedTuple):
    """Gradients of a scalar with respect to what the layer takes, each of its argument's shape."""

    image: Array
    q: Array
    alpha: Array


class _Quantization(NamedTuple):
    """What the quantizer needs beside the coefficients, checked."""

    q: Array  # (rounds, 2, 8, 8)
    alpha: Array  # (rounds, 2, 8, 8)
    max_level: int
    window: int | None
    hard: bool
    compiled: bool

    def apply(self, z: Array, step: int, table: int) -> Array:
        q, alpha = self.q[step, table], self.alpha[step, table]
        if self.hard:
            return hard_quantize(z, q, max_level=self.max_level)
        if self.compiled:
            from reference import compiled

            return compiled.soft_quantize(z, q, alpha, max_level=self.max_level, window=self.window)
        return soft_quantize(z, q, alpha, max_level=self.max_level, window=self.window)

    def partials(self, z: Array, step: int, table: int) -> Partials:
        q, alpha = self.q[step, table], self.alpha[step, table]
        if self.hard:
            # Almost everywhere the level is constant: z and alpha do not move the result, and q
            # stretches it.
            value = hard_quantize(z, q, max_level=self.max_level)
            flat = np.where(np.isnan(z), np.nan, 0.0)
            return Partials(value, dz=flat, dq=np.rint(value / q), dalpha=flat)
        if self.compiled:
            from reference import compiled

            return compiled.soft_quantize_partials(
                z, q, alpha, max_level=self.max_level, window=self.window
            )
        return soft_quantize_partials(z, q, alpha, max_level=self.max_level, window=self.window)


def jpeg_layer(
    image: NDArray[np.floating],
    q: ArrayLike,
    alpha: ArrayLike | None = None,
    *,
    max_level: int,
    window: int | None = None,
    subsampling: str = "4:4:4",
    quantizer: Quantizer = "soft",
    compiled: bool = False,
) -> Array:
    """Compress and decompress images with a soft or a hard quantizer.

    Parameters
    ----------
    image : ndarray of floats, shape (N, 3, H, W)
        RGB in [0, 255]; N, H, W >= 1. Sides that are not whole blocks (whole MCUs when chroma is
        subsampled) are padded by repeating the last row and column, and cropped at the end. A NaN
        spoils the blocks that it reaches and no others: its own 8x8 block, or its own MCU and
        the pixels whose upsampled chroma draws on that MCU. An infinite sample counts as NaN,
        because the block that holds it has no DCT.
    q : array_like, shape (2, 8, 8) or (rounds, 2, 8, 8)
        Quantization steps, positive; [0] luma, [1] chroma, natural order. With `rounds`,
        coefficients are quantized that many times in a row, each time with its own tables.
    alpha : array_like, same shape as q
        Scaling factors, positive. Only a hard quantizer does without, and ignores it.
    max_level : int
        L; the index set of every coefficient is {-L..L}.
    window : int, optional
        Number of levels of the masked CPMF; None for the full space.
    subsampling : {"4:4:4", "4:2:2", "4:2:0"}
        Chroma is averaged over 1x1, 1x2 or 2x2 pixels, and interpolated bilinearly back.
    quantizer : {"soft", "hard"}
        Q_d of eq. (7), or Q_u, rounding to the nearest level.
    compiled : bool
        Run the soft quantizer by its Numba twin: the same numbers, faster.

    Returns
    -------
    ndarray of float64, shape (N, 3, H, W)
        RGB; neither rounded nor clipped to [0, 255].

    Raises
    ------
    TypeError
        If the image is not a NumPy array of floats, or alpha is missing.
    ValueError
        If a shape, a table entry or a name is not one of those above.

    References
    ----------
    JPEG-DL, sections 3.1 and 3.3 and Fig. 1.
    """
    image = _checked_image(image)
    factors = _checked_factors(subsampling)
    quantization = _checked_tables(q, alpha, max_level, window, quantizer, compiled)
    z = analyse(image, factors)
    for step in range(len(quantization.q)):
        z = Coefficients(*(quantization.apply(plane, step, t) for t, plane in enumerate(z)))
    return synthesize(z, factors)[..., : image.shape[-2], : image.shape[-1]]


def jpeg_layer_vjp(
    image: NDArray[np.floating],
    q: ArrayLike,
    alpha: ArrayLike | None,
    grad_output: NDArray[np.floating],
    *,
    max_level: int,
    window: int | None = None,
    subsampling: str = "4:4:4",
    quantizer: Quantizer = "soft",
    compiled: bool = False,
) -> LayerGradients:
    """Gradient of sum(grad_output * jpeg_layer(image, q, alpha)), in closed form.

    Parameters
    ----------
    image, q, alpha, max_level, window, subsampling, quantizer, compiled
        As in `jpeg_layer`. With a window, the levels it holds are taken as fixed; with a hard
        quantizer the derivatives are those that hold almost everywhere: nothing for the image
        and alpha, the level for q.
    grad_output : ndarray of floats, shape (N, 3, H, W)
        Weights of the output: the gradient of a loss with respect to it.

    Returns
    -------
    LayerGradients
        ``image`` (N, 3, H, W), ``q`` and ``alpha`` (both of the shape of q), float64. A NaN in the
        image makes the image gradient NaN in its own block (its own MCU when chroma is
        subsampled), and every entry of the table gradients, which sum over all blocks.

    Raises
    ------
    TypeError
        If the image or grad_output is not a NumPy array of floats, or alpha is missing.
    ValueError
        If a shape, a table entry or a name is not one of those above.

    References
    ----------
    JPEG-DL, appendix A.1, eq. (10a), (10b) and (13), and the chain rule.
    """
    image = _checked_image(image)
    _check_floats("grad_output", grad_output)
    if grad_output.shape != image.shape:
        raise ValueError(
            f"grad_output must have the shape of the image, {image.shape}, got {grad_output.shape}"
        )
    factors = _checked_factors(subsampling)
    quantization = _checked_tables(q, alpha, max_level, window, quantizer, compiled)

    z = analyse(image, factors)
    rounds: list[tuple[Partials, ...]] = []
    for step in range(len(quantization.q)):
        rounds.append(tuple(quantization.partials(plane, step, t) for t, plane in enumerate(z)))
        z = Coefficients(*(partials.value for partials in rounds[-1]))

    grad_z = synthesize_adjoint(np.asarray(grad_output, dtype=np.float64), factors)
    grad_q, grad_alpha = np.empty((2, *quantization.q.shape))
    for step, partials in reversed(list(enumerate(rounds))):
        for table, (grad, p) in enumerate(zip(grad_z, partials, strict=True)):
            grad_q[step, table] = (grad * p.dq).sum(axis=(0, 1, 2, 3))
            grad_alpha[step, table] = (grad * p.dalpha).sum(axis=(0, 1, 2, 3))
        grad_z = Coefficients(*(g * p.dz for g, p in zip(grad_z, partials, strict=True)))
    height, width = image.shape[-2:]
    shape = np.shape(q)
    return LayerGradients(
        image=analyse_adjoint(grad_z, factors, (height, width)),
        q=grad_q.reshape(shape),
        alpha=grad_alpha.reshape(shape),
    )


def _check_floats(name: str, value: object) -> None:
    if not isinstance(value, np.ndarray):
        raise TypeError(
            f"{name} must be a NumPy array of floats, got {type(value).__name__}; "
            "use numpy.asarray(..., dtype=float)"
        )
    if not np.issubdtype(value.dtype, np.floating):
        raise TypeError(
            f"{name} must have a floating dtype, got {value.dtype}; convert it with "
            f"{name}.astype(float), and keep the range 0..255"
        )


def _checked_image(image: NDArray[np.floating]) -> Array:
    _check_floats("image", image)
    if image.ndim != 4 or image.shape[1] != 3:
        raise ValueError(
            f"image must be RGB of shape (N, 3, H, W), got {image.shape}; add a batch axis with "
            "image[None], move channels with numpy.moveaxis, repeat a grey channel three times"
        )
    if 0 in image.shape:
        raise ValueError(f"image must not be empty, got shape {image.shape}; skip empty batches")
    exact = np.asarray(image, dtype=np.float64)
    return np.where(np.isfinite(exact), exact, np.nan)


def _checked_factors(subsampling: str) -> tuple[int, int]:
    if subsampling not in SUBSAMPLINGS:
        raise ValueError(f"subsampling must be one of {list(SUBSAMPLINGS)}, got {subsampling!r}")
    return SUBSAMPLINGS[subsampling]


def _checked_tables(
    q: ArrayLike,
    alpha: ArrayLike | None,
    max_level: int,
    window: int | None,
    quantizer: str,
    compiled: bool,
) -> _Quantization:
    if quantizer not in ("soft", "hard"):
        raise ValueError(f"quantizer must be 'soft' or 'hard', got {quantizer!r}")
    hard = quantizer == "hard"
    level = check_max_level(max_level)
    steps = as_positive("q", q)
    if steps.shape[-3:] != (2, 8, 8) or steps.ndim > 4 or len(steps) == 0:
        raise ValueError(
            f"q must have shape (2, 8, 8) or (rounds, 2, 8, 8), got {steps.shape}: "
            "one table for luma, one for chroma"
        )
    if hard:
        factors = np.ones_like(steps)
    elif alpha is None:
        raise TypeError("alpha is missing: only quantizer='hard' does without it")
    else:
        factors = as_positive("alpha", alpha)
        if factors.shape != steps.shape:
            raise ValueError(f"alpha must have the shape of q, {steps.shape}, got {factors.shape}")
    return _Quantization(
        q=steps.reshape(-1, 2, 8, 8),
        alpha=factors.reshape(-1, 2, 8, 8),
        max_level=level,
        window=check_window(window, level),
        hard=hard,
        compiled=compiled,
    )
