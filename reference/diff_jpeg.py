"""Differentiable JPEG in float64 and its vector-Jacobian product in closed form.

    quality -> scale -> floor -> tables -> floor -> clip to [1, 255]
    image -> -128 -> YCbCr -> reduce chroma -> 8x8 DCT -> t R(z / t) ->
        inverse DCT -> chroma back -> RGB -> +128 -> clip to [0, 255]

R is the substitute of rounding. Floors and clippings are the substitutes of
:mod:`reference.surrogates`, each of them exchangeable and removable.

A colour matrix M of one's own acts as T = M0^-1 M in front of a codec with M0, the matrix of JFIF,
and as T^-1 behind it, before the output is clipped.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference import _diff_jpeg_steps as steps
from reference._validation import Array, as_real
from reference.layer_steps import Coefficients
from reference.standard import (
    CHROMINANCE_TABLE,
    LEVEL_SHIFT,
    LUMINANCE_TABLE,
    RGB_TO_YCBCR,
    SUBSAMPLINGS,
)
from reference.surrogates import (
    CLIP_SLOPE,
    Part,
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
    base_tables: Array | None = None
    color_matrix: Array | None = None


class _Parts(NamedTuple):
    """What is put into the pipeline; None leaves a part out."""

    rounding: Part = "cubic"
    scale_floor: Part | None = "same"
    table_floor: Part | None = "same"
    qtable_rounding: Part | None = "straight_through"
    table_slope: float | None = CLIP_SLOPE
    output_slope: float | None = CLIP_SLOPE
    straight_through: bool = False

    def floor(self, kind: Part | None) -> Part | None:
        return self.rounding if isinstance(kind, str) and kind == "same" else kind

    def clip(self, x: Array, low: float, high: float, slope: float | None) -> Surrogate:
        if slope is None:
            return Surrogate(x, np.ones_like(x))
        return soft_clip(x, low, high, slope=slope, straight_through=self.straight_through)

    def pixels(self, images: Array) -> Array:
        """What is coded; straight-through rounds and saturates, with derivative 1."""
        if not self.straight_through:
            return images
        return np.clip(soft_round(images, straight_through=True).value, 0, 255)

    def tables(self, given: _Given) -> _Tables:
        """Tables (1 or N, 2, 8, 8), and their derivatives."""
        if given.qtables is not None:
            steps_ = as_real("qtables", given.qtables).reshape(-1, 2, 8, 8)
            rounded = Surrogate(steps_, np.ones_like(steps_))
            if self.qtable_rounding is not None:
                rounded = soft_round(
                    steps_, self.qtable_rounding, straight_through=self.straight_through
                )
            clipped = self.clip(rounded.value, 1, 255, self.table_slope)
            return _Tables(clipped.value, clipped.derivative * rounded.derivative)
        assert given.quality is not None
        q = as_real("quality", given.quality).reshape(-1, 1, 1, 1)
        base = _BASE
        if given.base_tables is not None:
            base = as_real("base_tables", given.base_tables).reshape(-1, 2, 8, 8)
        ste = self.straight_through
        scale = quality_scale(q, self.floor(self.scale_floor), straight_through=ste)
        table = scaled_table(
            base,
            scale.value,
            floor=self.floor(self.table_floor),
            slope=self.table_slope,
            straight_through=ste,
        )
        # A function of scale x base: s d/ds = b d/db.
        by_base = table.derivative * scale.value / base
        return _Tables(table.value, table.derivative * scale.derivative, by_base)


class _Tables(NamedTuple):
    """Tables; derivative with respect to the quality, or to `qtables`; and to the base tables."""

    value: Array
    derivative: Array
    by_base: Array | None = None


class _Given(NamedTuple):
    """What the pipeline is given beside images."""

    quality: ArrayLike | None
    qtables: ArrayLike | None
    base_tables: ArrayLike | None
    color_matrix: ArrayLike | None

    def checked(self) -> _Given:
        if (self.quality is None) == (self.qtables is None):
            raise ValueError("give exactly one of quality and qtables")
        if self.base_tables is not None and self.qtables is not None:
            raise ValueError("base_tables are what a quality scales: give them with a quality")
        return self

    def around_the_codec(self) -> tuple[Array, Array] | None:
        """T and T^-1, (1 or N, 3, 3), of a colour matrix of one's own."""
        if self.color_matrix is None:
            return None
        matrix = as_real("color_matrix", self.color_matrix).reshape(-1, 3, 3)
        front = np.asarray(np.linalg.solve(RGB_TO_YCBCR, matrix), dtype=np.float64)
        return front, np.asarray(np.linalg.inv(front), dtype=np.float64)


class _Coded(NamedTuple):
    """Everything that the way back needs of the way there."""

    tables: _Tables
    quantized: list[_Quantized]
    inner: Surrogate  # what the codec gives; clipped where it must be a file's
    output: Surrogate


def _mix(matrix: Array, images: Array) -> Array:
    return np.einsum("nij,njhw->nihw", np.broadcast_to(matrix, (len(images), 3, 3)), images)


def _code(images: Array, given: _Given, factors: tuple[int, int], parts: _Parts) -> _Coded:
    mixers = given.around_the_codec()
    x = images if mixers is None else _mix(mixers[0], images - LEVEL_SHIFT) + LEVEL_SHIFT
    x = parts.pixels(x)
    tables = parts.tables(given)
    z = steps.encode(x, factors)
    quantized = [_quantize(c, tables.value, i, parts) for i, c in enumerate(z)]
    decoded = steps.decode(
        Coefficients(*(q.value for q in quantized)), factors, (x.shape[-2], x.shape[-1])
    )
    inner = Surrogate(decoded, np.ones_like(decoded))
    if mixers is not None:
        if parts.straight_through:
            inner = parts.clip(decoded, 0, 255, parts.output_slope)
        decoded = _mix(mixers[1], inner.value - LEVEL_SHIFT) + LEVEL_SHIFT
    return _Coded(tables, quantized, inner, parts.clip(decoded, 0, 255, parts.output_slope))


def diff_jpeg(
    images: NDArray[np.floating],
    *,
    quality: ArrayLike | None = None,
    qtables: ArrayLike | None = None,
    base_tables: ArrayLike | None = None,
    color_matrix: ArrayLike | None = None,
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
    base_tables : array_like, optional
        What a quality scales, of the same shapes; default: Annex K.
    color_matrix : array_like, optional
        RGB to YCbCr, (3, 3) or (N, 3, 3), invertible; default: that of JFIF.
    subsampling : {"4:4:4", "4:2:2", "4:2:0", "4:4:0"}
        Of chroma.
    **parts
        ``rounding`` of coefficients ("cubic"); ``scale_floor`` and ``table_floor`` ("same" as
        rounding) and ``qtable_rounding`` ("straight_through", of given tables): kinds of
        :data:`reference.surrogates.KINDS`, functions that give a
        :class:`reference.surrogates.Surrogate`, or None to leave the part out; ``table_slope`` and
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
    given = _Given(quality, qtables, base_tables, color_matrix).checked()
    x = np.asarray(images, dtype=np.float64)
    return _code(x, given, _FACTORS[subsampling], _Parts(**parts)).output.value


def diff_jpeg_vjp(
    images: NDArray[np.floating],
    grad_output: NDArray[np.floating],
    *,
    quality: ArrayLike | None = None,
    qtables: ArrayLike | None = None,
    base_tables: ArrayLike | None = None,
    color_matrix: ArrayLike | None = None,
    subsampling: str = "4:2:0",
    **parts: Any,
) -> DiffJPEGGradients:
    """Gradient of sum(grad_output * diff_jpeg(images, ...)), in closed form.

    Parameters
    ----------
    images, quality, qtables, base_tables, color_matrix, subsampling, **parts
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
    given = _Given(quality, qtables, base_tables, color_matrix).checked()
    factors = _FACTORS[subsampling]
    x = np.asarray(images, dtype=np.float64)
    tables, quantized, inner, output = _code(x, given, factors, _Parts(**parts))

    grad = np.asarray(grad_output) * output.derivative
    mixers = given.around_the_codec()
    grad_matrix = None
    if mixers is not None:
        front, back = mixers
        by_back = np.einsum("nihw,njhw->nij", grad, inner.value - LEVEL_SHIFT)
        grad = _mix(back.swapaxes(1, 2), grad) * inner.derivative
    grad_z = steps.decode_adjoint(grad, factors)
    grad_images = steps.encode_adjoint(
        Coefficients(*(g * q.dz for g, q in zip(grad_z, quantized, strict=True))),
        factors,
        (x.shape[-2], x.shape[-1]),
    )
    if mixers is not None:
        by_front = np.einsum("nihw,njhw->nij", grad_images, x - LEVEL_SHIFT)
        # d T^-1 = - T^-1 dT T^-1, and T = M0^-1 M.
        by_front = by_front - back.swapaxes(1, 2) @ by_back @ back.swapaxes(1, 2)
        grad_matrix = _like(np.linalg.solve(RGB_TO_YCBCR.T, by_front), color_matrix)
        grad_images = _mix(front.swapaxes(1, 2), grad_images)
    by_table = [(g * q.dt).sum(axis=(1, 2, 3)) for g, q in zip(grad_z, quantized, strict=True)]
    by_tables = np.stack(by_table, axis=1)  # (N, 2, 8, 8)
    grad_tables = by_tables * tables.derivative
    if quality is None:
        return DiffJPEGGradients(grad_images, None, _like(grad_tables, qtables), None, grad_matrix)
    grad_base = None
    if base_tables is not None:
        grad_base = _like(by_tables * tables.by_base, base_tables)
    return DiffJPEGGradients(
        grad_images, _like(grad_tables.sum(axis=(1, 2, 3)), quality), None, grad_base, grad_matrix
    )


def _like(by_image: Array, argument: ArrayLike | None) -> Array:
    """One gradient for each image; their sum where all images share the argument."""
    return by_image if by_image.ndim == np.ndim(np.asarray(argument)) else by_image.sum(axis=0)


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
