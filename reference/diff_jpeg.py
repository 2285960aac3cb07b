"""Differentiable JPEG in float64 and its vector-Jacobian product in closed form.

    quality -> scale -> floor -> tables -> floor -> clip to [1, 255]
    image -> -128 -> YCbCr -> reduce chroma -> 8x8 DCT -> t R(z / t) ->
        inverse DCT -> chroma back -> RGB -> +128 -> clip to [0, 255]

R is the substitute of rounding. Floors and clippings are the substitutes of
:mod:`reference.surrogates`, each of them exchangeable and removable.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference import _diff_jpeg_steps as steps
from reference._validation import Array, as_real
from reference.layer_steps import Coefficients
from reference.standard import CHROMINANCE_TABLE, LUMINANCE_TABLE, SUBSAMPLINGS
from reference.surrogates import (
    CLIP_SLOPE,
    Surrogate,
    quality_scale,
    scaled_table,
    soft_clip,
    soft_round,
)

__all__ = ["DiffJPEGGradients", "diff_jpeg", "diff_jpeg_vjp"]

_FACTORS = SUBSAMPLINGS | {"4:4:0": (2, 1)}
_BASE = np.stack([LUMINANCE_TABLE, CHROMINANCE_TABLE]).astype(np.float64)


class DiffJPEGGradients(NamedTuple):
    """Gradients of a scalar, each of its argument's shape; None for what was not given."""

    images: Array
    quality: Array | None
    qtables: Array | None


class _Parts(NamedTuple):
    """What is put into the pipeline; None leaves a part out."""

    rounding: str = "cubic"
    scale_floor: str | None = "same"
    table_floor: str | None = "same"
    qtable_rounding: str | None = "straight_through"
    table_slope: float | None = CLIP_SLOPE
    output_slope: float | None = CLIP_SLOPE
    straight_through: bool = False

    def floor(self, kind: str | None) -> str | None:
        return self.rounding if kind == "same" else kind

    def clip(self, x: Array, low: float, high: float, slope: float | None) -> Surrogate:
        if slope is None:
            return Surrogate(x, np.ones_like(x))
        return soft_clip(x, low, high, slope=slope, straight_through=self.straight_through)

    def pixels(self, images: Array) -> Array:
        """What is coded; straight-through rounds and saturates, with derivative 1."""
        if not self.straight_through:
            return images
        return np.clip(soft_round(images, straight_through=True).value, 0, 255)

    def tables(self, quality: ArrayLike | None, qtables: ArrayLike | None) -> Surrogate:
        """Tables (1 or N, 2, 8, 8), and their derivatives in the quality or in `qtables`."""
        if quality is not None:
            q = as_real("quality", quality).reshape(-1, 1, 1, 1)
            ste = self.straight_through
            scale = quality_scale(q, self.floor(self.scale_floor), straight_through=ste)
            table = scaled_table(
                _BASE,
                scale.value,
                floor=self.floor(self.table_floor),
                slope=self.table_slope,
                straight_through=ste,
            )
            return Surrogate(table.value, table.derivative * scale.derivative)
        assert qtables is not None
        given = as_real("qtables", qtables).reshape(-1, 2, 8, 8)
        rounded = Surrogate(given, np.ones_like(given))
        if self.qtable_rounding is not None:
            rounded = soft_round(
                given, self.qtable_rounding, straight_through=self.straight_through
            )
        clipped = self.clip(rounded.value, 1, 255, self.table_slope)
        return Surrogate(clipped.value, clipped.derivative * rounded.derivative)


def diff_jpeg(
    images: NDArray[np.floating],
    *,
    quality: ArrayLike | None = None,
    qtables: ArrayLike | None = None,
    subsampling: str = "4:2:0",
    **parts: Any,
) -> Array:
    """Encode and decode images by the differentiable substitutes of JPEG.

    Parameters
    ----------
    images : ndarray, shape (N, 3, H, W)
        RGB in [0, 255], finite.
    quality : array_like, optional
        In [1, 100], scalar or (N,). Exactly one of this and `qtables`.
    qtables : array_like, optional
        Steps in [1, 255], (2, 8, 8) or (N, 2, 8, 8), luma and chroma in natural order.
    subsampling : {"4:4:4", "4:2:2", "4:2:0", "4:4:0"}
        Of chroma.
    **parts
        ``rounding`` of coefficients ("cubic"); ``scale_floor`` and ``table_floor`` ("same" as
        rounding) and ``qtable_rounding`` ("straight_through", of given tables): kinds of
        :data:`reference.surrogates.KINDS`, or None to leave the part out; ``table_slope`` and
        ``output_slope`` (1e-3) of the clippings, or None; ``straight_through`` (False): true
        rounding, floors and clippings in float64, of images rounded to whole numbers and saturated
        before. That is not libjpeg, whose DCT, colour and
        sampling are integer.

    Returns
    -------
    ndarray of float64, shape (N, 3, H, W)

    Raises
    ------
    TypeError, ValueError
        If not exactly one of quality and qtables is given, or a part is unknown.

    References
    ----------
    Codec control thesis, section 4.1, Fig. 4.1.
    """
    _check_one(quality, qtables)
    chosen = _Parts(**parts)
    factors = _FACTORS[subsampling]
    x = chosen.pixels(np.asarray(images, dtype=np.float64))
    tables = chosen.tables(quality, qtables).value
    z = steps.encode(x, factors)
    dequantized = Coefficients(*(_quantize(c, tables, i, chosen)[0] for i, c in enumerate(z)))
    decoded = steps.decode(dequantized, factors, (x.shape[-2], x.shape[-1]))
    return chosen.clip(decoded, 0, 255, chosen.output_slope).value


def diff_jpeg_vjp(
    images: NDArray[np.floating],
    grad_output: NDArray[np.floating],
    *,
    quality: ArrayLike | None = None,
    qtables: ArrayLike | None = None,
    subsampling: str = "4:2:0",
    **parts: Any,
) -> DiffJPEGGradients:
    """Gradient of sum(grad_output * diff_jpeg(images, ...)), in closed form.

    Parameters
    ----------
    images, quality, qtables, subsampling, **parts
        As in `diff_jpeg`. With ``straight_through`` the derivative of each substitute is taken at
        what the true operations before it gave.
    grad_output : ndarray, shape (N, 3, H, W)
        Weights of the output.

    Returns
    -------
    DiffJPEGGradients

    Raises
    ------
    TypeError, ValueError
        As `diff_jpeg`.

    References
    ----------
    Codec control thesis, sections 4.1.1 and 4.1.2, and the chain rule.
    """
    _check_one(quality, qtables)
    chosen = _Parts(**parts)
    factors = _FACTORS[subsampling]
    x = chosen.pixels(np.asarray(images, dtype=np.float64))
    shape = x.shape[-2], x.shape[-1]
    tables = chosen.tables(quality, qtables)
    z = steps.encode(x, factors)
    quantized = [_quantize(c, tables.value, i, chosen) for i, c in enumerate(z)]
    decoded = steps.decode(Coefficients(*(q.value for q in quantized)), factors, shape)
    output = chosen.clip(decoded, 0, 255, chosen.output_slope)

    grad_z = steps.decode_adjoint(np.asarray(grad_output) * output.derivative, factors)
    grad_images = steps.encode_adjoint(
        Coefficients(*(g * q.dz for g, q in zip(grad_z, quantized, strict=True))), factors, shape
    )
    by_table = [(g * q.dt).sum(axis=(1, 2, 3)) for g, q in zip(grad_z, quantized, strict=True)]
    grad_tables = np.stack(by_table, axis=1) * tables.derivative  # (N, 2, 8, 8)
    if quality is not None:
        by_image = grad_tables.sum(axis=(1, 2, 3))
        grad_quality = by_image if np.ndim(quality) else by_image.sum()
        return DiffJPEGGradients(grad_images, grad_quality, None)
    if np.ndim(np.asarray(qtables)) == 3:
        grad_tables = grad_tables.sum(axis=0)
    return DiffJPEGGradients(grad_images, None, grad_tables)


class _Quantized(NamedTuple):
    value: Array
    dz: Array
    dt: Array


def _quantize(z: Array, tables: Array, index: int, parts: _Parts) -> _Quantized:
    """Coefficients to t R(z / t), and its partial derivatives, (N, C, rows, columns, 8, 8)."""
    t = tables[:, index, None, None, None]
    x = z / t
    level, slope = soft_round(x, parts.rounding, straight_through=parts.straight_through)
    return _Quantized(t * level, slope, level - x * slope)


def _check_one(quality: object, qtables: object) -> None:
    if (quality is None) == (qtables is None):
        raise ValueError("give exactly one of quality and qtables")
