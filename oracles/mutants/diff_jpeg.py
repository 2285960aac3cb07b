"""Faulty differentiable JPEG, of realistic kinds: every one has to be rejected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oracles.diff_jpeg.judge import verify_diff_jpeg
from oracles.diff_jpeg.subject import CodingFunction
from oracles.mutants import diff_jpeg_calls as calls
from oracles.mutants.diff_jpeg_sound import PlainCoding
from oracles.mutants.rounding_sound import plain_rounding
from oracles.mutants.table import FULL, Mutant
from oracles.report import Report

__all__ = ["DIFF_JPEG_MUTANTS", "judge_diff_jpeg"]

_STE = {"straight_through": True}


def changed(
    evidence: int = 2, *, subsampling: str = "4:2:0", dtype: str = "float32", **parts: Any
) -> Callable[..., Mutant]:
    """``changed(...)(step=...)``: a pipeline of these parts with some of its steps replaced.

    A step gets the pipeline, the correct step, and its arguments.
    """
    options = {"rounding": "cubic"} | parts

    def make(**steps: Callable[..., Any]) -> Mutant:
        body = {name: _method(name, step) for name, step in steps.items()}
        made = type("Changed", (PlainCoding,), body)

        def factory(window: int | None) -> CodingFunction:
            return made(subsampling=subsampling, **options)

        return Mutant(factory, FULL, evidence, dtype, subsampling, options["rounding"], options)

    return make


def _method(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
    right = getattr(PlainCoding, name)

    def method(self: Any, *arguments: Any, **keywords: Any) -> Any:
        return step(self, lambda *a, **k: right(self, *a, **k), *arguments, **keywords)

    return method


def called(wrap: Callable[[CodingFunction], Any], evidence: int = 1, **parts: Any) -> Mutant:
    """A fault in how a correct function treats what it is given."""
    options = {"rounding": "cubic"} | parts

    def factory(window: int | None) -> Any:
        return wrap(PlainCoding(subsampling="4:2:0", **options))

    return Mutant(factory, FULL, evidence, "float32", "4:2:0", options["rounding"], options)


# Tables


def _no_scale_floor(self: Any, right: Any, q: Any) -> Any:
    keep = self.floor
    calls = iter((lambda x, kind: (x, np.ones_like(x)), keep))
    self.floor = lambda x, kind: next(calls)(x, kind)
    try:
        return right(q)
    finally:
        self.floor = keep


def _without_50(self: Any, right: Any, base: Any, scale: Any) -> Any:
    steps, slope = self.floor(base * scale / 100, self.claim.rounding)
    return steps, slope * base / 100


def _branch_above_50(self: Any, right: Any, q: Any) -> Any:
    """The branch changes at 51: 5000 / 50.5 is near 99, the slope near -1.96."""
    low = q < 51
    return np.where(low, 5000 / q, 200 - 2 * q), np.where(low, -5000 / (q * q), -2 + 0 * q)


def _scale_slope_of_one_branch(self: Any, right: Any, q: Any) -> Any:
    return right(q)[0], -2 + 0 * q


def _scale_slope_without_q(self: Any, right: Any, q: Any) -> Any:
    scale, slope = right(q)
    return scale, np.where(q < 50, slope * q, slope)


def _no_table_clip(self: Any, right: Any, x: Any, low: float, high: float, slope: float) -> Any:
    return right(x, low, high, slope) if low == 0 else (np.maximum(x, 1e-3), np.ones_like(x))


def _clip_slopes_swapped(self: Any, right: Any, x: Any, *rest: Any) -> Any:
    value, slope = right(x, *rest)
    return value, np.where(slope == 1, slope.dtype.type(rest[2]), 1)


def _clip_hard(self: Any, right: Any, x: Any, low: float, high: float, slope: float) -> Any:
    return right(x, low, high, 0.0)


def _clip_slope_zero(self: Any, right: Any, x: Any, *rest: Any) -> Any:
    value, slope = right(x, *rest)
    return value, np.where(slope == 1, slope, 0)


def _clip_in_zero_one(self: Any, right: Any, x: Any, low: float, high: float, slope: float) -> Any:
    return right(x, low, high - (low == 0), slope)


def _clip_table_from_0(self: Any, right: Any, x: Any, low: float, high: float, slope: float) -> Any:
    return right(x, 0.5 if low == 1 else low, high, slope)


def _kind_for_floors(kind: str) -> Callable[..., Any]:
    def floor(self: Any, right: Any, x: Any, _: str) -> Any:
        return right(x, kind)

    return floor


def _derivative_of(kind: str) -> Callable[..., Any]:
    def round_(self: Any, right: Any, x: Any, own: str) -> Any:
        return right(x, own)[0], right(x, kind)[1]

    return round_


def _soft_rounding(self: Any, right: Any, x: Any, kind: str) -> Any:
    """The value of the substitute where the true one is asked for."""
    return plain_rounding(kind)(x)


# Linear steps


def _whole_mcu(self: Any, right: Any, n: int, factor: int, padded: int) -> Any:
    """Rows padded to whole MCUs before they are reduced."""
    return right(n, factor, 8 * factor)


def _zero_padding(self: Any, right: Any, n: int, factor: int, padded: int) -> Any:
    matrix = right(n, factor, padded).copy()
    matrix[-(-n // factor) :] = 0
    return matrix


def _first_of_pair(self: Any, right: Any, n: int, factor: int, padded: int) -> Any:
    matrix = right(n, factor, padded)
    if factor == 2:
        matrix = np.where(matrix == 0.5, np.arange(n) % 2 == 0, matrix)
    return matrix


def _repeated(self: Any, right: Any, n: int, factor: int, *, repeat: bool) -> Any:
    return right(n, factor, repeat=True)


def _never_repeated(self: Any, right: Any, n: int, factor: int, *, repeat: bool) -> Any:
    return right(n, factor, repeat=False)


def _adjoint_without_quarter(self: Any, right: Any, matrices: Any, channel: int) -> Any:
    rows, columns, up_rows, up_columns = matrices
    factor = 2 if channel else 1
    return rows * factor, columns * factor, up_rows, up_columns


def _adjoint_of_the_crop_only(self: Any, right: Any, matrices: Any, channel: int) -> Any:
    """What padding repeated is dropped on the way back instead of folded."""
    rows, columns, up_rows, up_columns = matrices
    factor = 2 if channel else 1
    height, width = rows.shape[1], columns.shape[1]
    rows, columns = (
        self.cosines(len(m) // 8) @ _zero_padding(self, _reducing(self), n, factor, p)
        for m, n, p in ((rows, height, factor), (columns, width, 8 * factor))
    )
    return rows.astype(self.real), columns.astype(self.real), up_rows, up_columns


def _reducing(self: Any) -> Any:
    return lambda *a: PlainCoding.reducing(self, *a)


def _adjoint_nearest(self: Any, right: Any, matrices: Any, channel: int) -> Any:
    """Interpolation forth, repetition on the way back."""
    rows, columns, up_rows, up_columns = matrices
    if not channel:
        return matrices
    up = [
        (self.widening(m.shape[0], 2, repeat=True) @ self.cosines(m.shape[1] // 8).T).astype(
            self.real
        )
        for m in (up_rows, up_columns)
    ]
    return rows, columns, *up


def _cosines_without_root(self: Any, right: Any, blocks: int) -> Any:
    matrix = right(blocks).copy()
    matrix[::8] *= 2**0.5
    return matrix


def _rounded_colour(self: Any, right: Any) -> Any:
    return np.round(right(), 3)


def _transposed_back(self: Any, right: Any, g: Any, *rest: Any) -> Any:
    images, steps = right(g, *rest)
    return images, steps.swapaxes(-2, -1)


def _transposed_tables(self: Any, right: Any, x: Any, tables: Any) -> Any:
    value, back = right(x, tables.swapaxes(-2, -1))

    def backward(g: Any) -> Any:
        images, steps = back(g)
        return images, steps.swapaxes(-2, -1)

    return value, backward


def _one_chroma(self: Any, right: Any, g: Any, kept: Any, *rest: Any) -> Any:
    """The steps' gradient from Cb alone."""
    matrices, dz, dt, tiles = kept[2]
    return right(g, [*kept[:2], (matrices, dz, 0 * dt, tiles)], *rest)


def _mean_of_blocks(self: Any, right: Any, g: Any, kept: Any, *rest: Any) -> Any:
    images, steps = right(g, kept, *rest)
    return images, steps / max(1, kept[0][3][0] * kept[0][3][1])


_CUBIC, _LINEAR = changed(), changed(rounding="linear")
_TRUE = changed(straight_through=True)
_WIDE = changed(dtype="float64")

#: The faults.
DIFF_JPEG_MUTANTS: dict[str, Mutant] = {
    "scale not floored": _CUBIC(of_quality=_no_scale_floor),
    "half of the table's floor missing": _CUBIC(scaled=_without_50),
    "branch of the scale at 51": changed(1)(percent=_branch_above_50),
    "slope of the scale -2 everywhere": changed()(percent=_scale_slope_of_one_branch),
    "slope of the scale 5000 / q": changed()(percent=_scale_slope_without_q),
    "tables not clipped": _CUBIC(clip=_no_table_clip),
    "slopes of clipping swapped": changed()(clip=_clip_slopes_swapped),
    "hard clipping": _CUBIC(clip=_clip_hard),
    "soft clipping with slope 0": changed()(clip=_clip_slope_zero),
    "output clipped at 254": _CUBIC(clip=_clip_in_zero_one),
    "tables clipped from 1/2": changed()(clip=_clip_table_from_0),
    "floors linear": _CUBIC(floor=_kind_for_floors("linear")),
    "floors straight through": _LINEAR(floor=_kind_for_floors("straight_through")),
    "cubic with the slope of linear": _CUBIC(round=_derivative_of("linear")),
    "cubic with slope 1": _CUBIC(round=_derivative_of("straight_through")),
    "linear with the slope of cubic": _LINEAR(round=_derivative_of("cubic")),
    "ties to even": _CUBIC(
        round=lambda self, right, x, kind: (
            np.round(x) + (x - np.round(x)) ** 3,
            3 * (x - np.round(x)) ** 2,
        )
    ),
    "derivative of the step without -x R'": _CUBIC(
        by_step=lambda self, right, x, level, slope: level
    ),
    "derivative of the step with +x R'": _LINEAR(
        by_step=lambda self, right, x, level, slope: level + x * slope
    ),
    "derivative of the step with the level for x": _LINEAR(
        by_step=lambda self, right, x, level, slope: level * (1 - slope)
    ),
    "tables of luma and chroma swapped": _CUBIC(
        index_of=lambda self, right, channel: 1 - min(channel, 1),
        index_back=lambda self, right, channel: 1 - min(channel, 1),
    ),
    "tables of luma and chroma swapped on the way back": changed()(
        index_back=lambda self, right, channel: 1 - min(channel, 1)
    ),
    "tables transposed": _CUBIC(coded=_transposed_tables),
    "tables transposed on the way back": changed()(backward=_transposed_back),
    "gradient of the chroma table from Cb alone": changed()(backward=_one_chroma),
    "gradient of tables a mean over blocks": changed()(backward=_mean_of_blocks),
    "padding to whole MCUs before reduction": changed()(reducing=_whole_mcu),
    "padding with zeros": changed()(reducing=_zero_padding),
    "chroma not averaged": _CUBIC(reducing=_first_of_pair),
    "chroma repeated instead of interpolated": _CUBIC(widening=_repeated),
    "narrow chroma interpolated": changed(1)(widening=_never_repeated),
    "adjoint of the reduction without 1/4": changed()(adjoints=_adjoint_without_quarter),
    "adjoint of the padding drops what it repeated": changed()(adjoints=_adjoint_of_the_crop_only),
    "adjoint of the interpolation repeats": changed()(adjoints=_adjoint_nearest),
    "DC not divided by the root of 2": _CUBIC(cosines=_cosines_without_root),
    "colour in three digits": changed()(to_ycc=_rounded_colour),
    "level shift 127.5": _CUBIC(shifts=lambda self, right: (127.5, 127.5)),
    "level shift forgotten on the way back": _CUBIC(shifts=lambda self, right: (128, 0)),
    "gradient passes the clipped output": changed()(at_ends=lambda self, right, g, clip: g),
    "quality of the first image for all": called(calls.of_the_first, 2),
    "gradient of quality summed over the batch": called(calls.summed_quality, 2),
    "gradient of quality a mean over the batch": called(calls.mean_quality, 2),
    "quality rounded": called(calls.whole_quality),
    "NaN at quality 100": called(calls.nan_at_100, 2),
    "weights ignored": called(calls.weights_ignored, 2),
    "weights clipped": called(calls.clipped_weights, 2),
    "output saturated": called(calls.saturating),
    "gradient in units of [0, 1]": called(calls.scaled_input, 2),
    "images shifted in place": called(calls.in_place),
    "last row of the gradient not written": called(calls.last_row_unwritten, 2),
    "strides ignored": called(calls.of_its_base),
    "another last bit on each call": called(calls.jitter, 2),
    "float64: slope of cubic off by 1e-9": changed(dtype="float64")(
        round=lambda self, right, x, kind: (right(x, kind)[0], right(x, kind)[1] * (1 + 1e-9))
    ),
    "float64: computed in float32": Mutant(
        lambda window: type("Narrow", (PlainCoding,), {"wide": np.dtype(np.float32)})(
            rounding="cubic"
        ),
        FULL,
        2,
        "float64",
        "4:2:0",
        "cubic",
        {"rounding": "cubic"},
    ),
    "straight-through: value from floats": changed(1, straight_through=True)(
        file=lambda self, right, images, quality, qtables: np.rint(
            self.coded(
                self.pixels(images.astype(self.real)),
                (
                    self.of_quality(quality.astype(self.real))
                    if quality is not None
                    else self.of_tables(qtables.astype(self.real))
                )[0],
            )[0]
        ).clip(0, 255)
    ),
    "straight-through: pixels not rounded for the gradient": _TRUE(pixels=lambda self, right, x: x),
    "straight-through: gradient at the substitute's levels": _TRUE(round=_soft_rounding),
    "straight-through: slope 1 in the coefficients": _TRUE(
        round=_derivative_of("straight_through")
    ),
    "straight-through: qualities rounded": called(calls.whole_quality, 2, **_STE),
    "straight-through: floors soft": _TRUE(
        floor=lambda self, right, x, kind: plain_rounding(kind, floor=True)(x)
    ),
}


def judge_diff_jpeg(mutant: Mutant, window: int | None, seed: int) -> Report:
    """Judge a fault under the claim that it breaks.

    Parameters
    ----------
    mutant : Mutant
        Of :data:`DIFF_JPEG_MUTANTS`.
    window : None
        Differentiable JPEG has none.
    seed : int
        Of the inputs.

    Returns
    -------
    Report
    """
    return verify_diff_jpeg(
        mutant.factory(window),
        dtype=mutant.dtype,
        seed=seed,
        subsampling=mutant.subsampling,
        **mutant.options,
    )
