"""How far a sound differentiable JPEG and its gradients may be off, number by number.

As for the JPEG layer (:mod:`oracles.layer.bounds`): the rounding of the linear steps is bounded by
what they are measured to be off by at most, each substitute is taken at its worst within the error
of its argument, and what comes out is passed on by the magnitudes of the weights. So a coefficient
that lies within its error of a tie may be on either side, and only what it reaches is judged more
loosely; the same holds of a pixel at an end of the output range and of a step at an end of its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.diff_jpeg import magnitudes
from oracles.diff_jpeg.movement import Moved, clipped, rounded
from oracles.diff_jpeg.rounding_tolerance import EXACT
from oracles.diff_jpeg.subject import Claim, CodingInputs, CodingResult
from oracles.layer.bounds import LINEAR
from reference import _diff_jpeg_steps as steps
from reference.layer_steps import Coefficients
from reference.standard import CHROMINANCE_TABLE, LUMINANCE_TABLE, SUBSAMPLINGS
from reference.surrogates import SMALLEST_STEP

__all__ = ["FACTORS", "CodingPath", "bounds_of", "coding_bounds"]

Array = NDArray[np.float64]

FACTORS = SUBSAMPLINGS | {"4:4:0": (2, 1)}
_BASE = np.stack([LUMINANCE_TABLE, CHROMINANCE_TABLE]).astype(np.float64)
_LARGEST = 8 * 128.0


class _Tables(NamedTuple):
    """Steps and their derivatives in quality or given tables, (1 or N, 2, 8, 8), with errors."""

    value: Array
    derivative: Array
    value_error: Array
    derivative_error: Array
    arguments: tuple[Array, ...]


class CodingPath:
    """Numbers on the way through the pipeline, in float64, and their errors.

    Parameters
    ----------
    inputs : CodingInputs
        One call.
    claim : Claim
        The pipeline.
    dtype : dtype-like
        float32 or float64: the unit of rounding.
    """

    def __init__(self, inputs: CodingInputs, claim: Claim, dtype: Any) -> None:
        self.claim, self.dtype = claim, np.dtype(dtype)
        self.eps = float(np.finfo(self.dtype).eps)
        self.factors = FACTORS[claim.subsampling]
        self.shape = inputs.images.shape[-2], inputs.images.shape[-1]
        self.tables = self._tables(inputs)
        pixels = inputs.images
        if claim.straight_through:
            pixels = np.ceil(np.floor(2 * pixels) / 2).clip(0, 255)
        z = steps.encode(pixels, self.factors)
        self.quantized = [self._quantized(plane, i) for i, plane in enumerate(z)]
        values = Coefficients(*(q[0] * q[1].value for q in self.quantized))
        self.decoded = steps.decode(values, self.factors, self.shape)
        errors = Coefficients(*(q[2] for q in self.quantized))
        rounding = LINEAR * self.eps * _LARGEST
        self.decoded_error = magnitudes.decode(errors, self.factors, self.shape) + rounding

    @property
    def pieces(self) -> list[Array]:
        """Numbers that stay the same while no kink is passed."""
        halves = [*self.tables.arguments, *(q[3] for q in self.quantized)]
        ends = [np.sign(self.decoded - end) for end in (0, 255)]
        ends += [np.sign(self.tables.value - end) for end in (1, 255)]
        return [*(np.floor(2 * x) for x in halves), *ends]

    @property
    def near_ties(self) -> tuple[int, int]:
        """Coefficients that rounding may put on either side of a tie, and all of them."""
        count = total = 0
        for _, _, _, x, error in self.quantized:
            count += int((np.abs(x - np.floor(x) - 0.5) <= error).sum())
            total += x.size
        return count, total

    def _rounded(self, kind: str, x: Array, error: Array | float, *, floor: bool) -> Moved:
        return rounded(
            kind,
            x,
            error,
            floor=floor,
            straight_through=self.claim.straight_through,
            dtype=self.dtype,
        )

    def _tables(self, inputs: CodingInputs) -> _Tables:
        if inputs.quality is None:
            return self._given(np.asarray(inputs.qtables).reshape(-1, 2, 8, 8))
        q = inputs.quality.reshape(-1, 1, 1, 1)
        low = q < 50
        percent = np.where(low, 5000 / q, 200 - 2 * q)
        slope = np.where(low, -5000 / q**2, -2.0)
        # 2 q and the difference are exact, the quotient is where it is whole.
        exact = ~low | ((q == np.floor(q)) & (np.fmod(5000, q) == 0))
        error = np.where(exact, 0.0, 2 * self.eps * percent)
        kind = self.claim.floor(self.claim.scale_floor)
        d_scale, d_scale_error = slope, 2 * self.eps * np.abs(slope)
        scale = percent
        arguments: tuple[Array, ...] = ()
        if kind is not None:
            s = self._rounded(kind, percent, error, floor=True)
            scale, error, arguments = s.value, s.value_error, (percent,)
            d_scale = s.slope * slope
            d_scale_error = np.abs(slope) * (s.slope_error + 2 * self.eps * np.abs(s.slope))
        kind = self.claim.floor(self.claim.table_floor)
        y = _BASE * scale / 100 if kind is None else (_BASE * scale + 50) / 100
        # Sums and products of whole numbers are exact, and a quotient that is whole.
        whole = (error == 0) & (scale == np.floor(scale)) & (y == np.floor(y))
        y_error = _BASE * error / 100 + np.where(whole, 0.0, 3 * self.eps * y)
        table, table_error, d_table = y, y_error, np.ones_like(y)
        d_table_error = np.zeros_like(y)
        if kind is not None:
            t = self._rounded(kind, y, y_error, floor=True)
            table, table_error, d_table, d_table_error = (
                t.value,
                t.value_error,
                t.slope,
                t.slope_error,
            )
            arguments = (*arguments, y)
        value, clip, value_error, clip_error = self._clip_table(table, table_error)
        derivative = clip * d_table * _BASE / 100 * d_scale
        bound = np.abs(clip) + clip_error
        derivative_error = (
            bound
            * _BASE
            / 100
            * ((np.abs(d_table) + d_table_error) * d_scale_error + d_table_error * np.abs(d_scale))
            + clip_error * np.abs(d_table * d_scale) * _BASE / 100
            + 4 * self.eps * np.abs(derivative)
        )
        return _Tables(value, derivative, value_error, derivative_error, arguments)

    def _given(self, given: Array) -> _Tables:
        kind = self.claim.qtable_rounding
        one, zero = np.ones_like(given), np.zeros_like(given)
        value, error, slope, slope_error = given, zero, one, zero
        if kind is not None:
            t = self._rounded(kind, given, 0.0, floor=False)
            value, error, slope, slope_error = t.value, t.value_error, t.slope, t.slope_error
        clipped_, clip, value_error, clip_error = clipped(
            value,
            error,
            1,
            255,
            self.claim.table_slope,
            straight_through=self.claim.straight_through,
            dtype=self.dtype,
        )
        derivative_error = (clip + clip_error) * slope_error + clip_error * slope
        return _Tables(clipped_, clip * slope, value_error, derivative_error, (given,))

    def _clip_table(self, table: Array, error: Array) -> tuple[Array, Array, Array, Array]:
        if self.claim.table_slope is not None:
            return clipped(
                table,
                error,
                1,
                255,
                self.claim.table_slope,
                straight_through=self.claim.straight_through,
                dtype=self.dtype,
            )
        low = table < SMALLEST_STEP
        near = (error > EXACT) & (np.abs(table - SMALLEST_STEP) <= error)
        value = np.maximum(table, SMALLEST_STEP)
        return value, np.where(low, 0.0, 1.0), error + self.eps * value, np.where(near, 1.0, 0.0)

    def _quantized(self, z: Array, index: int) -> tuple[Array, Moved, Array, Array, Array]:
        """Step, rounded level, error of their product, argument and its error."""
        t, t_error = (
            table[:, index, None, None, None]
            for table in (self.tables.value, self.tables.value_error)
        )
        x = z / t
        error = (LINEAR * self.eps * _LARGEST + np.abs(z) * t_error / t) / t
        error = error + 2 * self.eps * np.abs(x)
        moved = self._rounded(self.claim.rounding, x, error, floor=False)
        product = np.abs(t * moved.value)
        value_error = (t + t_error) * moved.value_error + t_error * np.abs(moved.value)
        return t, moved, value_error + self.eps * product, x, error


def coding_bounds(inputs: CodingInputs, claim: Claim, dtype: Any) -> CodingResult:
    """Largest acceptable errors of value and gradients.

    Parameters
    ----------
    inputs : CodingInputs
        Exactly what the implementation got.
    claim : Claim
        The pipeline.
    dtype : dtype-like
        float32 or float64: the unit of rounding.

    Returns
    -------
    CodingResult
        Positive. The value of the straight-through form has none but :data:`EXACT`.

    References
    ----------
    Codec control thesis, sections 4.1.1 and 4.1.2, and the chain rule.
    """
    return bounds_of(CodingPath(inputs, claim, dtype), inputs)


def bounds_of(path: CodingPath, inputs: CodingInputs) -> CodingResult:
    """The same for a path that is there; the weights are those of the inputs."""
    claim, eps, factors = path.claim, path.eps, path.factors
    value, clip, value_error, clip_error = clipped(
        path.decoded,
        path.decoded_error,
        0,
        255,
        claim.output_slope,
        straight_through=claim.straight_through,
        dtype=path.dtype,
    )
    if claim.straight_through:
        value_error = np.full_like(value, EXACT)
    g = inputs.grad_output
    largest = float(np.abs(g).max())
    back = steps.decode_adjoint(g * clip, factors)
    # Rounding of the adjoint steps: a cell of chroma gathers as many pixels as it has.
    rounding = LINEAR * eps * 8 * 3 * factors[0] * factors[1] * largest
    back_error = magnitudes.decode_adjoint(np.abs(g) * clip_error, factors)

    errors, by_table, slopes = [], [], 1.0
    for gz, e, (_, moved, _, _, _) in zip(back, back_error, path.quantized, strict=True):
        e = e + rounding
        size, slope = np.abs(gz), np.abs(moved.slope)
        errors.append(size * (moved.slope_error + eps * slope) + e * (slope + moved.slope_error))
        slopes = max(slopes, float(slope.max()))
        rest = np.abs(moved.rest)
        terms = size * moved.rest_error + e * (rest + moved.rest_error)
        # Products, and a sum in any order.
        count = gz[0, ..., 0, 0].size + 2
        by_table.append(
            np.array([gz * moved.rest, terms + count * eps * size * rest]).sum(axis=(2, 3, 4))
        )
    images = magnitudes.encode_adjoint(Coefficients(*errors), factors, path.shape)
    gathered = magnitudes.gathered(back, factors, path.shape)
    images = images + LINEAR * eps * 64 * largest * slopes * gathered

    found, error = np.stack(by_table, axis=2)  # (2, N, 2, 8, 8)
    tables = path.tables
    by_argument = error * (np.abs(tables.derivative) + tables.derivative_error)
    by_argument = by_argument + np.abs(found) * tables.derivative_error
    size = np.abs(found * tables.derivative)
    if inputs.quality is not None:
        count = size.size + 2
        by_image = (by_argument + count * eps * size).sum(axis=(1, 2, 3))
        quality = by_image if inputs.quality.ndim else np.asarray(by_image.sum())
        return CodingResult(value_error, images, quality + EXACT, None)
    by_argument = by_argument + eps * size
    if np.asarray(inputs.qtables).ndim == 3:
        by_argument = (by_argument + len(size) * eps * size).sum(axis=0)
    return CodingResult(value_error, images, None, by_argument + EXACT)
