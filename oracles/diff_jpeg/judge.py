"""The judge of differentiable JPEG."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.contract import ContractError
from oracles.diff_jpeg import checks
from oracles.diff_jpeg.bounds import FACTORS, CodingPath, bounds_of
from oracles.diff_jpeg.cases import CODING_BUDGETS, make_coding_cases
from oracles.diff_jpeg.checks import JudgedCoding
from oracles.diff_jpeg.subject import (
    Claim,
    CodingFindings,
    CodingFunction,
    CodingResult,
    CodingSubject,
)
from oracles.quantizer.judge import check_arguments
from oracles.report import Report
from reference.surrogates import CLIP_SLOPE, KINDS

__all__ = ["check_claim", "verify_diff_jpeg"]

_TINY = float(np.finfo(np.float64).tiny)
# Another content of freed memory than the NaN of every other call.
_OTHER_POISON = 1e30


def verify_diff_jpeg(
    fn: CodingFunction,
    *,
    subsampling: str = "4:2:0",
    straight_through: bool = False,
    rounding: str = "cubic",
    scale_floor: str | None = "same",
    table_floor: str | None = "same",
    qtable_rounding: str | None = "straight_through",
    table_slope: float | None = CLIP_SLOPE,
    output_slope: float | None = CLIP_SLOPE,
    dtype: Any = "float32",
    seed: int = 0,
    budget: str = "quick",
) -> Report:
    """Judge an implementation of differentiable JPEG and its gradients.

    Parameters
    ----------
    fn : callable
        ``fn(images, quality, qtables, grad_output) -> (value, d_images, d_quality, d_qtables)``.
        In: NumPy arrays of ``dtype``; images and grad_output (N, 3, H, W), any N, H, W >= 1, RGB
        in [0, 255] and the weights of the output; of the next two one is None: quality in
        [1, 100], () or (N,), tables in [1, 255], (2, 8, 8) or (N, 2, 8, 8), [0] luma and [1]
        chroma, natural order. Out: the coded images, and the gradients of sum(grad_output *
        value), each of its argument's shape and None for what was None.
    subsampling : {"4:4:4", "4:2:2", "4:2:0", "4:4:0"}
        The chroma subsampling that ``fn`` claims.
    straight_through : bool
        Whether the value is that of libjpeg, to the last bit, of images rounded to whole numbers
        and saturated, with the gradient of the pipeline of true operations and soft derivatives.
    rounding, scale_floor, table_floor, qtable_rounding, table_slope, output_slope
        The parts that ``fn`` claims, as in :func:`reference.diff_jpeg.diff_jpeg`. Uniform noise
        is random, and judged in the straight-through form only.
    dtype : {"float32", "float64"}
        Dtype of the inputs, and unit of the tolerances.
    seed : int
        Of the inputs, >= 0.
    budget : {"quick", "full"}
        Every case once, or six times.

    Returns
    -------
    Report
        As of :func:`oracles.verify_soft_quantizer`; a note says how many coefficients lay so near
        to a tie that either side was accepted.

    Raises
    ------
    TypeError, ValueError
        If an argument of this function itself is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from oracles import verify_diff_jpeg
    >>> from reference.diff_jpeg import diff_jpeg, diff_jpeg_vjp
    >>> def fn(images, quality, qtables, grad_output):
    ...     given = {"quality": quality, "qtables": qtables}
    ...     return diff_jpeg(images, **given), *diff_jpeg_vjp(images, grad_output, **given)
    >>> verify_diff_jpeg(fn, dtype="float64").passed
    True

    References
    ----------
    Codec control thesis, sections 4.1.1 and 4.1.2, Fig. 4.1.
    """
    if not callable(fn):
        raise TypeError(
            "fn must be callable as fn(images, quality, qtables, grad_output), "
            f"got {type(fn).__name__}"
        )
    claim = Claim(
        subsampling,
        straight_through,
        rounding,
        scale_floor,
        table_floor,
        qtable_rounding,
        table_slope,
        output_slope,
    )
    check_claim(claim)
    working = check_arguments(fn, None, dtype, seed, budget)
    subject = CodingSubject(fn, claim, working)
    out = CodingFindings()
    try:
        # Wrong outputs may be infinite or NaN; that is counted, not warned of.
        with np.errstate(all="ignore"):
            _judge(subject, out, seed, budget)
    except ContractError as error:
        out.broke(str(error))
    form = ", straight-through" if straight_through else ""
    title = (
        f"differentiable JPEG {subsampling}, {rounding}{form}, {working}, seed {seed}, "
        f"budget {budget}"
    )
    settings = {
        "contract": "diff_jpeg",
        **claim.options(),
        "dtype": working.name,
        "seed": seed,
        "budget": budget,
    }
    return Report(title, out.checks, (), tuple(out.notes), settings)


def check_claim(claim: Claim) -> None:
    """Check what is claimed; for the judge and its adapter.

    Raises
    ------
    TypeError, ValueError
        Names the argument.
    """
    if not isinstance(claim.subsampling, str) or claim.subsampling not in FACTORS:
        raise ValueError(
            f"subsampling must be one of {', '.join(FACTORS)}, got {claim.subsampling!r}"
        )
    if not isinstance(claim.straight_through, bool):
        raise TypeError(f"straight_through must be True or False, got {claim.straight_through!r}")
    for name in ("rounding", "scale_floor", "table_floor", "qtable_rounding"):
        kind = getattr(claim, name)
        allowed = (
            *KINDS,
            *({"rounding": (), "qtable_rounding": (None,)}.get(name, ("same", None))),
        )
        if not (kind is None or isinstance(kind, str)) or kind not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, got {kind!r}")
        if kind == "uniform_noise" and not claim.straight_through:
            raise ValueError(
                f"{name} must not be uniform_noise unless straight_through: its value is random"
            )
    for name in ("table_slope", "output_slope"):
        slope = getattr(claim, name)
        if slope is None:
            continue
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise TypeError(f"{name} must be a number or None, got {slope!r}")
        if not 0 <= slope <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {slope!r}")


def _judge(subject: CodingSubject, out: CodingFindings, seed: int, budget: str) -> None:
    near = total = 0
    cases = make_coding_cases(dtype=subject.dtype, seed=seed, budget=budget)
    for number, case in enumerate(cases):
        rng = np.random.default_rng([seed, 100, number])
        path = CodingPath(case.inputs, subject.claim, subject.dtype)
        got = subject(case.inputs)
        out.called(regime=case.name)
        judged = JudgedCoding(case, got, bounds_of(path, case.inputs))
        counted = path.near_ties
        near, total = near + counted[0], total + counted[1]
        _check_finite(judged, out)
        expected = subject.expected(case.inputs)
        out.compare("reference", case, got=got, expected=expected, tolerance=judged.tolerance)
        _check_repeatable(subject, judged, out)
        _check_strides(subject, judged, out)
        checks.linear(subject, judged, path, out, rng)
        checks.neighbours(subject, judged, out)
        checks.euler(subject, judged, path, out)
        checks.chain(subject, judged, out)
        if case.name == "every quality":
            checks.check_quality(subject, case, out)
    for repetition in range(CODING_BUDGETS[budget]):
        rng = np.random.default_rng([seed, 200, repetition])
        checks.check_by_hand(subject, out, rng)
        checks.check_differences(subject, out, rng, count=6)
    out.note(f"{near} of {total} coefficients lay within rounding of a tie: either side was right")


def _check_finite(judged: JudgedCoding, out: CodingFindings) -> None:
    """Inputs in range give finite outputs."""

    def each(function: Any) -> CodingResult:
        return CodingResult._make(None if part is None else function(part) for part in judged.got)

    out.compare(
        "finite",
        judged.case,
        got=each(lambda part: np.where(np.isfinite(part), 0.0, part)),
        expected=each(np.zeros_like),
        tolerance=each(np.ones_like),
    )


def _check_repeatable(subject: CodingSubject, judged: JudgedCoding, out: CodingFindings) -> None:
    """The same call gives the same, with other leftovers in memory too; sums within tolerance."""
    inputs, got = judged.case.inputs, judged.got
    bits = [np.full_like(part, _TINY) for part in got[:2]]
    sums = [None if part is None else 2 * part for part in judged.tolerance[2:]]
    for evidence, result in (
        ("determinism", subject(inputs)),
        ("unwritten", subject(inputs, poison=_OTHER_POISON)),
    ):
        same = (
            None if a is None or b is None else np.where(np.isnan(a) & np.isnan(b), 0.0, a)
            for a, b in zip(result, got, strict=True)
        )
        expected = (None if part is None else np.nan_to_num(part) for part in got)
        out.compare(
            evidence,
            judged.case,
            got=CodingResult._make(same),
            expected=CodingResult._make(expected),
            tolerance=CodingResult(bits[0], bits[1], sums[0], sums[1]),
        )


def _check_strides(subject: CodingSubject, judged: JudgedCoding, out: CodingFindings) -> None:
    """Inputs that are not contiguous: columns first, and every second entry of a NaN buffer."""
    for arrange in (_columns_first, _every_second):
        out.compare(
            "strided",
            judged.case,
            got=subject(judged.case.inputs, arrange=arrange),
            expected=judged.got,
            tolerance=judged.tolerance.times(2.0),
        )


def _columns_first(array: NDArray[Any]) -> NDArray[Any]:
    return np.array(array, order="F")


def _every_second(array: NDArray[Any]) -> NDArray[Any]:
    if not array.ndim:
        return array
    buffer = np.full(tuple(2 * side for side in array.shape), np.nan, dtype=array.dtype)
    view = buffer[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view
