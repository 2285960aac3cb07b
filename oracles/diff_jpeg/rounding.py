"""The judge of substitutes of rounding and of the floor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.contract import ContractError
from oracles.diff_jpeg import rounding_checks as checks
from oracles.diff_jpeg.rounding_cases import ROUNDING_REGIMES, make_rounding_cases
from oracles.diff_jpeg.rounding_subject import (
    Array,
    RoundingFindings,
    RoundingFunction,
    RoundingPoints,
    RoundingSubject,
)
from oracles.findings import Codes
from oracles.layouts import Batch, check_layouts, same_bits
from oracles.quantizer.judge import check_arguments
from oracles.report import Report
from reference.surrogates import KINDS

__all__ = ["ROUNDING_BUDGETS", "check_rounding_kind", "verify_rounding"]

#: Elements per regime, by budget.
ROUNDING_BUDGETS = {"quick": 21, "full": 2001}


def verify_rounding(
    fn: RoundingFunction,
    kind: str,
    *,
    dtype: Any = "float32",
    seed: int = 0,
    budget: str = "quick",
    floor: bool = False,
    straight_through: bool = False,
    nonfinite: bool = True,
) -> Report:
    """Judge a differentiable substitute of rounding, or of the floor, and its derivative.

    Parameters
    ----------
    fn : callable
        ``fn(x) -> (value, derivative)``, elementwise: one NumPy array of shape (n,) and of
        ``dtype`` in, two floating arrays of that shape out. For ``"uniform_noise"``
        ``fn(x, noise)``, with a draw in [-1/2, 1/2) for each element, unless it is the
        straight-through form, which draws nothing. n may be 0, and arrays may
        have any stride >= 0.
    kind : str
        One of :data:`reference.surrogates.KINDS`, where the formulas stand.
    dtype : {"float32", "float64"}
        Dtype of the inputs, and unit of the tolerances.
    seed : int
        Of the inputs, >= 0.
    budget : {"quick", "full"}
        How many inputs: some 400, or some 25,000.
    floor : bool
        Whether ``fn`` stands for the floor: the rounding of x - 1/2.
    straight_through : bool
        Whether the value is that of the true operation, to the last bit, with the derivative of
        the substitute.
    nonfinite : bool
        Whether NaN has to stay NaN, and infinity must not become finite.

    Returns
    -------
    Report
        As of :func:`oracles.verify_soft_quantizer`. Halves go up, and nothing is left to
        rounding: the remainder of a floating-point number is exact.

    Raises
    ------
    TypeError, ValueError
        If an argument of this function itself is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from oracles import verify_rounding
    >>> def cubic(x):
    ...     nearest = np.ceil(np.floor(2 * x) / 2)
    ...     return nearest + (x - nearest) ** 3, 3 * (x - nearest) ** 2
    >>> verify_rounding(cubic, "cubic").passed
    True

    References
    ----------
    Codec control thesis, eq. (4.2), (4.3), section 4.1.2 and Table 5.5.
    """
    check_rounding_kind(kind)
    if not callable(fn):
        raise TypeError(f"fn must be callable as fn(x), got {type(fn).__name__}")
    working = check_arguments(fn, None, dtype, seed, budget)
    flags = {"floor": floor, "straight_through": straight_through, "nonfinite": nonfinite}
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise TypeError(f"{name} must be True or False, got {flag!r}")
    subject = RoundingSubject(fn, kind, working, floor, straight_through)
    out = RoundingFindings(tuple(ROUNDING_REGIMES))
    try:
        # Wrong outputs may be infinite or NaN; that is counted, not warned of.
        with np.errstate(all="ignore"):
            _judge(subject, out, seed, budget, nonfinite=nonfinite)
    except ContractError as error:
        out.broke(str(error))
    form = f"{'floor' if floor else 'rounding'}{', straight-through' if straight_through else ''}"
    title = f"{kind.replace('_', ' ')} {form}, {working}, seed {seed}, budget {budget}"
    settings = {
        "contract": "floor" if floor else "rounding",
        "kind": kind,
        "dtype": working.name,
        "seed": seed,
        "budget": budget,
        **flags,
    }
    return Report(title, out.checks, (), tuple(out.notes), settings)


def check_rounding_kind(kind: Any) -> None:
    """Check which substitute is claimed; for the judge and its adapter.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")


def _judge(
    subject: RoundingSubject, out: RoundingFindings, seed: int, budget: str, *, nonfinite: bool
) -> None:
    rng = np.random.default_rng([seed, 0])
    points, regimes = make_rounding_cases(
        per_regime=ROUNDING_BUDGETS[budget], dtype=subject.dtype, rng=rng
    )
    got = subject(points)
    out.called()
    tolerance = subject.tolerance(points)
    good = np.isfinite(got)
    out.compare(
        "finite",
        regimes,
        subject,
        points,
        got=np.where(good, 0.0, got),
        expected=np.zeros_like(got),
        tolerance=np.where(good, 1.0, np.nan),
    )
    out.compare(
        "reference",
        regimes,
        subject,
        points,
        got=got,
        expected=subject.expected(points),
        tolerance=tolerance,
    )
    again, before, bits = same_bits(subject(points), got)
    out.compare("determinism", regimes, subject, points, got=again, expected=before, tolerance=bits)
    for check in (checks.integers, checks.bounds, checks.monotone):
        check(subject, points, regimes, got, out)
    count = 2 * ROUNDING_BUDGETS["quick"] + 5
    for other in (
        checks.period,
        checks.oddness,
        checks.differences,
        checks.jumps,
        checks.limits,
    ):
        other(subject, out, np.random.default_rng([seed, 1]), count=count)
    rng = np.random.default_rng([seed, 2])
    _check_neighbours(subject, points, regimes, got, out, rng)
    _check_arrays(subject, points, got, out, rng, budget=budget)
    if nonfinite:
        checks.nonfinite(subject, out, rng)


def _check_neighbours(
    subject: RoundingSubject,
    points: RoundingPoints,
    regimes: NDArray[np.intp],
    got: Array,
    out: RoundingFindings,
    rng: np.random.Generator,
) -> None:
    """Neighbours in the batch do not matter: another order, a part of it, one element alone."""
    size = points.x.size
    part = rng.permutation(size)[: max(size // 3, 1)]
    for index in (rng.permutation(size), part, np.arange(1), np.arange(size)[::-1]):
        codes: Codes = regimes[index]
        chosen = points.take(index)
        out.compare(
            "neighbours",
            codes,
            subject,
            chosen,
            got=subject(chosen),
            expected=got[:, index],
            tolerance=2 * subject.tolerance(chosen),
        )


def _check_arrays(
    subject: RoundingSubject,
    points: RoundingPoints,
    got: Array,
    out: RoundingFindings,
    rng: np.random.Generator,
    *,
    budget: str,
) -> None:
    """Strides, lengths and unwritten memory; see :mod:`oracles.layouts`."""
    allowed = 2 * subject.tolerance(points)

    def compare(
        evidence: str, regime: str, index: NDArray[np.intp], found: Array, want: Array, exact: bool
    ) -> None:
        tolerance = allowed[:, index]
        if exact:
            found, want, tolerance = same_bits(found, want)
        out.compare(
            evidence,
            regime,
            subject,
            points.take(index),
            got=found,
            expected=want,
            tolerance=tolerance,
        )

    # The third array is not handed over.
    inputs = (points.x, points.noise, points.noise)
    batch = Batch(inputs, got, subject.dtype, subject.raw, compare)
    check_layouts(batch, out, rng, budget=budget, levels=2)
