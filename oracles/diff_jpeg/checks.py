"""Evidence about differentiable JPEG that needs no twin of the pipeline."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.diff_jpeg.bounds import CodingPath, bounds_of, coding_bounds
from oracles.diff_jpeg.movement import rounded
from oracles.diff_jpeg.subject import (
    Claim,
    CodingCase,
    CodingFindings,
    CodingInputs,
    CodingResult,
    CodingSubject,
    whole_tables,
)
from reference.standard import CHROMINANCE_TABLE, LUMINANCE_TABLE
from reference.surrogates import quality_scale, scaled_table

__all__ = [
    "JudgedCoding",
    "chain",
    "check_by_hand",
    "check_differences",
    "check_quality",
    "euler",
    "linear",
    "neighbours",
]

Array = NDArray[np.float64]
_BASE = np.stack([LUMINANCE_TABLE, CHROMINANCE_TABLE]).astype(np.float64)
_GRADIENTS = ("d_images", "d_quality", "d_qtables")


class JudgedCoding(NamedTuple):
    """A case, what came out, and what may differ."""

    case: CodingCase
    got: CodingResult
    tolerance: CodingResult


def linear(
    subject: CodingSubject,
    judged: JudgedCoding,
    path: CodingPath,
    out: CodingFindings,
    rng: np.random.Generator,
) -> None:
    """The value does not depend on grad_output, and the gradients are linear in it."""
    inputs = judged.case.inputs
    g = inputs.grad_output
    # Powers of two at random: sums with them are exact in float32, but not below 2^-24.
    other = np.exp2(rng.integers(-2, 3, g.shape)) * rng.choice([-1.0, 1.0], g.shape)
    total = (g + other).astype(subject.dtype).astype(np.float64)
    other = total - g
    second, both = (inputs._replace(grad_output=w) for w in (other, total))
    there, sums = subject(second), subject(both)
    # What is on the way does not depend on the weights.
    allowed = judged.tolerance.plus(bounds_of(path, second)).plus(bounds_of(path, both))
    out.compare(
        "linear",
        judged.case,
        got=sums,
        expected=judged.got.plus(there),
        tolerance=allowed,
        outputs=_GRADIENTS,
    )
    zero = subject(inputs._replace(grad_output=np.zeros_like(g)))
    out.compare(
        "linear",
        judged.case,
        got=CodingResult(zero.value, *zero[1:]),
        expected=CodingResult(judged.got.value, *judged.got.times(0.0)[1:]),
        tolerance=judged.tolerance.times(1e-6)._replace(value=judged.tolerance.value),
    )


def neighbours(subject: CodingSubject, judged: JudgedCoding, out: CodingFindings) -> None:
    """Images do not see each other, and what a shared quality or table gets adds up."""
    inputs, got, tolerance = judged.case.inputs, judged.got, judged.tolerance
    count = len(inputs.images)
    groups = [np.arange(count)[::-1][: count // 2 + 1], np.arange(count - count // 2 - 1)]
    if count <= 4:
        groups = [np.array([i]) for i in range(count)]
    parts = [subject(inputs.take(index)) for index in groups if index.size]
    groups = [index for index in groups if index.size]

    def joined(name: str) -> Array | None:
        found = [getattr(part, name) for part in parts]
        want = getattr(got, name)
        if want is None:
            return None
        if name not in ("value", "d_images") and want.ndim in (0, 3):
            return np.asarray(sum(found))
        result = np.full_like(want, np.nan)
        for index, part in zip(groups, found, strict=True):
            result[index] = part
        return result

    apart = CodingResult._make(joined(name) for name in CodingResult._fields)
    out.compare("neighbours", judged.case, got=apart, expected=got, tolerance=tolerance.times(3.0))


def euler(
    subject: CodingSubject, judged: JudgedCoding, path: CodingPath, out: CodingFindings
) -> None:
    """About 128 the coding is homogeneous in images and tables, as long as nothing is clipped."""
    inputs, claim = judged.case.inputs, subject.claim
    tables = inputs.qtables
    if tables is None or claim.straight_through:
        return
    if claim.qtable_rounding not in (None, "straight_through"):
        return
    if claim.qtable_rounding is not None and (tables != np.floor(tables)).any():
        tables = np.rint(tables)
        inputs = inputs._replace(qtables=tables)
        path = CodingPath(inputs, claim, subject.dtype)
    margin = path.decoded_error + 1e-9
    inside = (path.decoded > margin) & (path.decoded < 255 - margin)
    # A pixel that is clipped has no weight.
    inputs = inputs._replace(grad_output=np.where(inside, inputs.grad_output, 0.0))
    case = CodingCase(judged.case.name, inputs)
    found, allowed = subject(inputs), bounds_of(path, inputs)
    x, g = inputs.images - 128, inputs.grad_output
    assert found.d_qtables is not None
    assert allowed.d_qtables is not None
    out.add(
        "euler",
        case.name,
        "value",
        lambda i: {"case": case.name, "place": f"image {i}" if tables.ndim == 4 else "all images"},
        got=_sums(x * found.d_images, tables) + _sums(tables * found.d_qtables, tables),
        expected=_sums(g * (found.value - 128), tables),
        tolerance=(
            _sums(np.abs(x) * allowed.d_images, tables)
            + _sums(tables * allowed.d_qtables, tables)
            + _sums(np.abs(g) * allowed.value, tables)
            + 1e-300
        ),
    )


def _sums(array: Array, tables: Array) -> Array:
    """One number for each image with tables of its own, or one for all."""
    if tables.ndim == 4:
        return np.asarray(array.reshape(len(array), -1).sum(1))
    return np.array([array.sum()])


def chain(subject: CodingSubject, judged: JudgedCoding, out: CodingFindings) -> None:
    """Straight-through: a quality is its tables, and its derivative theirs times dt/dq."""
    claim, inputs = subject.claim, judged.case.inputs
    quality = inputs.quality
    if not claim.straight_through or quality is None or claim.table_slope is None:
        return
    if claim.qtable_rounding not in (None, "straight_through"):
        return
    if claim.scale_floor is None or claim.table_floor is None:
        return  # its tables are not those of a file
    base = whole_tables(inputs).astype(np.float64)
    tables = np.broadcast_to(base, (len(inputs.images), 2, 8, 8))
    explicit = inputs._replace(quality=None, qtables=tables)
    there = subject(explicit)
    scale = quality_scale(
        quality.reshape(-1, 1, 1, 1), claim.floor(claim.scale_floor), straight_through=True
    )
    steps = scaled_table(
        _BASE,
        scale.value,
        floor=claim.floor(claim.table_floor),
        slope=claim.table_slope,
        straight_through=True,
    )
    slope = steps.derivative * scale.derivative
    allowed = coding_bounds(explicit, claim, subject.dtype)
    assert there.d_qtables is not None
    assert allowed.d_qtables is not None
    by_image = (there.d_qtables * slope).sum(axis=(1, 2, 3))
    error = (allowed.d_qtables * np.abs(slope)).sum(axis=(1, 2, 3))
    if not quality.ndim:
        by_image, error = np.asarray(by_image.sum()), np.asarray(error.sum())
    assert judged.tolerance.d_quality is not None
    out.compare(
        "chain",
        judged.case,
        got=judged.got,
        expected=CodingResult(there.value, there.d_images, by_image, None),
        tolerance=CodingResult(
            judged.tolerance.value,
            judged.tolerance.d_images + allowed.d_images,
            judged.tolerance.d_quality + error,
            None,
        ),
    )


def check_quality(subject: CodingSubject, case: CodingCase, out: CodingFindings) -> None:
    """The error that coding makes falls with the quality, and by as much as the twin says."""
    inputs = case.inputs
    assert inputs.quality is not None
    error = subject(inputs).value - inputs.images
    inputs = inputs._replace(
        grad_output=(error / error[0].size * 2).astype(subject.dtype).astype(np.float64)
    )
    got, expected = subject(inputs), subject.expected(inputs)
    tolerance = coding_bounds(inputs, subject.claim, subject.dtype)
    of_error = CodingCase("its own error", inputs)
    out.compare(
        "quality", of_error, got=got, expected=expected, tolerance=tolerance, outputs=("d_quality",)
    )
    assert got.d_quality is not None
    assert tolerance.d_quality is not None
    if not {subject.claim.rounding, _floor(subject.claim)} <= {"straight_through", "uniform_noise"}:
        return
    # With R' = 1 the derivative in a step is the rounding error, and the sum has the sign that it
    # should have. The other kinds leave much of R - x R', of the size of the level.
    assert inputs.quality is not None
    kept = (inputs.quality >= 20) & (inputs.quality <= 95)
    total = np.array([got.d_quality[kept].sum()])
    out.add(
        "quality",
        "sum",
        "d_quality",
        lambda i: {"case": "its own error"},
        got=total,
        expected=np.minimum(total, 0.0),
        tolerance=np.array([tolerance.d_quality[kept].sum()]),
    )


def _floor(claim: Claim) -> str | None:
    """What both floors are; None where they differ or there is none."""
    floors = {claim.floor(claim.scale_floor), claim.floor(claim.table_floor)}
    return floors.pop() if len(floors) == 1 else None


def check_by_hand(subject: CodingSubject, out: CodingFindings, rng: np.random.Generator) -> None:
    """Grey images have one coefficient: y = 128 + t/8 R(8 (x - 128) / t), ties on both sides."""
    claim = subject.claim
    if claim.rounding == "tanh":
        return  # jumps at 0, where all other coefficients are
    if claim.qtable_rounding not in (None, "straight_through"):
        return
    count = 40
    step = rng.integers(6, 120, count).astype(np.float64)
    most = np.floor(8 * 100 / step)
    level = np.rint(rng.uniform(-1, 1, count) * most)
    # Ties, integers, and on both sides of them. Half a grey level is a whole multiple of 1/16.
    away = rng.choice([0.25, 0.5, 0.49, -0.49, 0.02, -0.02], count)
    grey = np.clip(128 + step * (level + away) / 8, 2, 253)
    if claim.straight_through:
        grey = np.rint(grey)
    grey = grey.astype(subject.dtype).astype(np.float64)
    tables = rng.integers(6, 120, (count, 2, 8, 8)).astype(np.float64)
    tables[:, 0, 0, 0] = step
    images = np.broadcast_to(grey[:, None, None, None], (count, 3, 16, 16))
    inputs = CodingInputs(images.copy(), None, tables, np.ones_like(images))
    case = CodingCase("grey", inputs)
    got, allowed = subject(inputs), coding_bounds(inputs, claim, subject.dtype)
    found = rounded(
        claim.rounding,
        8 * (grey - 128) / step,
        0.0,
        floor=False,
        straight_through=claim.straight_through,
        dtype=subject.dtype,
    )
    y = 128 + step / 8 * found.value
    assert got.d_qtables is not None
    assert allowed.d_qtables is not None
    if not claim.straight_through:
        inside = (y > 0) & (y < 255)  # what is clipped is judged elsewhere
        _grey(out, case, "value", got.value[inside], y[inside], allowed.value[inside])
    else:
        inside = (y > 1) & (y < 254)
    # Weight 1 in 3 channels: the chroma shares of the gradient cancel in the sum of channels.
    summed = got.d_images.sum(axis=1, keepdims=True)
    error = allowed.d_images.sum(axis=1, keepdims=True)
    _grey(out, case, "d_images", summed[inside], 3 * found.slope[inside], error[inside])
    # Each of four blocks: 64 pixels, weight 3, 1/8 of the coefficient in each.
    _grey(
        out,
        case,
        "d_qtables",
        got.d_qtables[inside, 0, 0, 0],
        4 * 24 * found.rest[inside],
        allowed.d_qtables[inside, 0, 0, 0],
    )


def _grey(
    out: CodingFindings, case: CodingCase, name: str, got: Array, expected: Array, allowed: Array
) -> None:
    expected = np.broadcast_to(expected.reshape(-1, *[1] * (got.ndim - 1)), got.shape)
    out.add(
        "by hand",
        case.name,
        name,
        lambda i: {"case": case.name, "place": f"{name}[{i}]"},
        got=got.ravel(),
        expected=expected.ravel(),
        tolerance=2 * allowed.ravel(),
    )


def check_differences(
    subject: CodingSubject, out: CodingFindings, rng: np.random.Generator, *, count: int
) -> None:
    """Central differences of the value along random directions, where no kink is passed.

    In float64, and not for the straight-through form, whose gradient is no derivative of its value.
    """
    claim = subject.claim
    if claim.straight_through or subject.dtype != np.float64:
        return
    decreed = {claim.rounding, claim.floor(claim.scale_floor), claim.floor(claim.table_floor)}
    if "straight_through" in decreed:
        return
    for number in range(count):
        for _ in range(40):
            found = _segment(subject, rng, by_quality=number % 2 == 0)
            if found is not None:
                break
        else:
            out.note("differences: no segment without a kink was found")
            return
        centre, direction, ends, reach = found
        low, high = (subject(inputs) for inputs in ends)
        got, allowed = subject(centre), coding_bounds(centre, claim, subject.dtype)
        pairs = [
            (part, unit, error)
            for part, unit, error in zip(got[1:], direction, allowed[1:], strict=True)
            if part is not None
        ]
        g = np.abs(centre.grad_output)
        noise = sum(float((g * coding_bounds(e, claim, subject.dtype).value).sum()) for e in ends)
        slope = sum(float((part * unit).sum()) for part, unit, _ in pairs)
        rise = float((centre.grad_output * (high.value - low.value)).sum())
        size = sum(float(np.abs(part * unit).sum()) for part, unit, _ in pairs)
        out.add(
            "differences",
            "quality" if centre.quality is not None else "tables",
            "gradients",
            lambda i: {"case": "a random direction"},
            got=np.array([slope]),
            expected=np.array([rise / (2 * reach)]),
            tolerance=np.array(
                [
                    sum(float((np.abs(unit) * error).sum()) for _, unit, error in pairs)
                    + noise / (2 * reach)
                    + _BENT * size
                ]
            ),
        )


#: Of the size of the sum: what is left of the value's third derivative. A step of 1e-6 in units
#: where a sigmoid has its 60 leaves (6e-5)^2, in all variables together a hundred times that.
_BENT = 1e-5
_REACH = 1e-7


def _segment(
    subject: CodingSubject, rng: np.random.Generator, *, by_quality: bool
) -> tuple[CodingInputs, tuple[Any, Any, Any], tuple[CodingInputs, CodingInputs], float] | None:
    """A place, a direction, and both ends of a step along it; None where a kink lies between."""
    shape = (2, 3, int(rng.integers(6, 12)), int(rng.integers(6, 12)))
    images = rng.uniform(20, 235, shape)
    quality = rng.uniform(3, 97, 2) if by_quality else None
    tables = None if by_quality else rng.uniform(2, 250, (2, 2, 8, 8))
    units = (
        rng.normal(size=shape),
        rng.normal(size=2) if by_quality else None,
        None if by_quality else rng.normal(size=(2, 2, 8, 8)),
    )
    if not by_quality and subject.claim.qtable_rounding == "straight_through":
        units = (units[0], None, np.zeros((2, 2, 8, 8)))  # derivative by decree
    weights = rng.normal(size=shape)

    def at(step: float) -> CodingInputs:
        moved = (
            None if a is None or u is None else a + step * u
            for a, u in zip((images, quality, tables), units, strict=True)
        )
        return CodingInputs._make((*moved, weights))

    centre, low, high = at(0.0), at(-_REACH), at(_REACH)
    pieces = [CodingPath(i, subject.claim, subject.dtype).pieces for i in (low, high)]
    same = all((a == b).all() for a, b in zip(*pieces, strict=True))
    return (centre, units, (low, high), _REACH) if same else None
