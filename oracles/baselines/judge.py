"""The judge of quantizers without alpha."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.baselines import identities
from oracles.baselines.cases import STEP_REGIMES, StepCases, make_step_cases, round_points
from oracles.baselines.subject import (
    KINDS,
    STEP_OUTPUTS,
    BaselineFindings,
    BaselineFunction,
    BaselineSubject,
    Points,
)
from oracles.contract import ContractError
from oracles.layouts import Batch, Grid, check_broadcast, check_layouts, make_grid, same_bits
from oracles.quantizer.judge import check_arguments
from oracles.report import Report
from oracles.subject import Array

__all__ = ["STEP_BUDGETS", "check_kind", "verify_quantizer_baseline"]

#: Elements per regime, by budget, for each level count.
STEP_BUDGETS: dict[str, dict[int, int]] = {
    "quick": {1: 7, 3: 7, 127: 13, 1023: 5},
    "full": {1: 100, 3: 100, 127: 300, 1023: 100},
}
# Level count of the checks of layouts and of NaN.
_CHEAP = 3


def verify_quantizer_baseline(
    fn: BaselineFunction,
    kind: str,
    *,
    dtype: Any = "float32",
    seed: int = 0,
    budget: str = "quick",
    gradient_scale: float = 1.0,
    exact: bool = False,
    nonfinite: bool = True,
) -> Report:
    """Judge one of the quantizers that JPEG-DL is compared with in Table 6, and its gradients.

    Parameters
    ----------
    fn : callable
        ``fn(z, q, max_level) -> (value, dz, dq)``, elementwise: two NumPy arrays of shape (n,)
        and of ``dtype`` in, three floating arrays of that shape out. For ``"uniform_noise"``
        ``fn(z, q, noise, max_level)``, with a draw in [-1/2, 1/2] for each element. q is
        positive. n may be 0, and arrays may have any stride >= 0.
    kind : {"uniform_noise", "cubic", "straight_through", "hard"}
        Which quantizer ``fn`` claims to be; :mod:`reference.quantizer_baselines` has the
        formulas. "hard" is Q_u itself, with which uniform noise is validated.
    dtype : {"float32", "float64"}
        Dtype of the inputs, and unit of the tolerances.
    seed : int
        Of the inputs, >= 0.
    budget : {"quick", "full"}
        How many inputs: some 450, or some 7,800.
    gradient_scale : float
        Factor on dq that ``fn`` claims, positive; for ``"straight_through"`` alone
        (:func:`reference.step_gradient_scale`).
    exact : bool
        Whether ``fn`` claims that rounding moves no level: the remainder of a floating-point
        division is exact. Then no tie and no end is left to rounding, and tolerances are
        tighter. False is right for everything that divides z by q.
    nonfinite : bool
        Whether infinite z have to saturate and NaN has to stay NaN.

    Returns
    -------
    Report
        As of :func:`oracles.verify_soft_quantizer`.

    Raises
    ------
    TypeError, ValueError
        If an argument of this function itself is out of range.

    Examples
    --------
    >>> import reference
    >>> def fn(z, q, max_level):
    ...     return tuple(
    ...         part.astype(z.dtype) for part in reference.cubic_partials(z, q, max_level=max_level)
    ...     )
    >>> verify_quantizer_baseline(fn, "cubic").passed
    True

    References
    ----------
    JPEG-DL, appendix A.6 and Table 6: Ballé et al. (2016), Shin & Song (2017), Esser et al.
    (2019).
    """
    check_kind(kind, gradient_scale)
    working = check_arguments(fn, None, dtype, seed, budget)
    for name, flag in (("exact", exact), ("nonfinite", nonfinite)):
        if not isinstance(flag, bool):
            raise TypeError(f"{name} must be True or False, got {flag!r}")
    out = BaselineFindings(tuple(STEP_REGIMES))
    try:
        for max_level, per_regime in STEP_BUDGETS[budget].items():
            subject = BaselineSubject(fn, kind, working, max_level, float(gradient_scale), exact)
            # A stream of its own per level count: adding one changes no other.
            rng = np.random.default_rng([seed, max_level])
            cases = make_step_cases(max_level, per_regime=per_regime, dtype=working, rng=rng)
            # Wrong outputs may be infinite or NaN; that is counted, not warned of.
            with np.errstate(all="ignore"):
                _judge(subject, cases, out, rng)
                if max_level == _CHEAP:
                    rng = np.random.default_rng([seed, max_level, 1])
                    _judge_layouts(subject, out, rng, budget=budget)
                    if nonfinite:
                        identities.nonfinite(subject, out, rng)
    except ContractError as error:
        out.broke(str(error))
    title = f"{kind.replace('_', ' ')} quantizer, {working}, seed {seed}, budget {budget}"
    settings = {
        "contract": kind,
        "dtype": working.name,
        "seed": seed,
        "budget": budget,
        "gradient_scale": float(gradient_scale),
        "exact": exact,
        "nonfinite": nonfinite,
    }
    return Report(title, out.checks, (), tuple(out.notes), settings)


def check_kind(kind: Any, gradient_scale: Any = 1.0) -> None:
    """Check which quantizer is claimed; for the judge and its adapters.

    Raises
    ------
    TypeError, ValueError
        If there is no such quantizer, or the scale is out of range or not for it.
    """
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if isinstance(gradient_scale, bool) or not isinstance(gradient_scale, int | float):
        raise TypeError(f"gradient_scale must be a number, got {gradient_scale!r}")
    if not (np.isfinite(gradient_scale) and gradient_scale > 0):
        raise ValueError(f"gradient_scale must be positive and finite, got {gradient_scale!r}")
    if gradient_scale != 1 and kind != "straight_through":
        raise ValueError(f"gradient_scale belongs to straight_through alone, not to {kind}")


def _judge(
    subject: BaselineSubject, cases: StepCases, out: BaselineFindings, rng: np.random.Generator
) -> None:
    points, regimes = cases
    got = subject(points)
    out.called()
    good, zero = np.isfinite(got), np.zeros_like(got)
    out.compare(
        "finite",
        regimes,
        subject,
        points,
        got=np.where(good, 0.0, got),
        expected=zero,
        tolerance=np.where(good, 1.0, np.nan),
    )
    out.compare(
        "reference",
        regimes,
        subject,
        points,
        got=got,
        expected=subject.expected_like(points, got),
        tolerance=subject.tolerance(points),
    )
    again, before, tolerance = same_bits(subject(points), got)
    out.compare(
        "determinism", regimes, subject, points, got=again, expected=before, tolerance=tolerance
    )
    _check_neighbours(subject, cases, got, out, rng)
    for check in (
        identities.definition,
        identities.euler,
        identities.bounds,
        identities.oddness,
        identities.scale,
    ):
        check(subject, points, regimes, got, out)
    count = 2 * int(np.sum(regimes == regimes[0])) + 15
    identities.shift(subject, out, rng, count=count)
    identities.differences(subject, out, rng, count=count)
    identities.limits(subject, out, rng, count=count)


def _check_neighbours(
    subject: BaselineSubject,
    cases: StepCases,
    got: Array,
    out: BaselineFindings,
    rng: np.random.Generator,
) -> None:
    """Neighbours in the batch do not matter: another order, a part of it, one element alone."""
    size = cases.points.z.size
    sure = subject.sure(cases.points)
    tolerance = 2 * subject.tolerance(cases.points)
    part = rng.permutation(size)[: max(size // 3, 1)]
    for index in (rng.permutation(size), part, np.arange(1), np.arange(size)[::-1]):
        result = subject(cases.points.take(index))
        keep = sure[index]
        chosen = index[keep]
        out.compare(
            "neighbours",
            cases.regimes[chosen],
            subject,
            cases.points.take(chosen),
            got=result[:, keep],
            expected=got[:, chosen],
            tolerance=tolerance[:, chosen],
        )


def _judge_layouts(
    subject: BaselineSubject, out: BaselineFindings, rng: np.random.Generator, *, budget: str
) -> None:
    """Strides, broadcasting, lengths and unwritten memory; see :mod:`oracles.layouts`."""
    dtype, noisy = subject.dtype, subject.kind == "uniform_noise"
    cases = make_step_cases(subject.max_level, per_regime=5, dtype=dtype, rng=rng)
    grid = _grid(subject.max_level, dtype, rng, noisy=noisy)
    joined = (np.append(a, b) for a, b in zip(cases.points, grid.inputs, strict=True))
    points = Points(*joined)
    expected = subject(points)
    sure = subject.sure(points)
    allowed = 2 * subject.tolerance(points)

    def compare(
        evidence: str, regime: str, index: NDArray[np.intp], got: Array, want: Array, exact: bool
    ) -> None:
        if exact:
            got, want, tolerance = same_bits(got, want)
        else:
            keep = sure[index]
            index, got, want = index[keep], got[:, keep], want[:, keep]
            tolerance = allowed[:, index]
        out.compare(
            evidence,
            regime,
            subject,
            points.take(index),
            got=got,
            expected=want,
            tolerance=tolerance,
        )

    batch = Batch((points.z, points.q, points.noise), expected, dtype, subject.raw, compare)
    check_layouts(batch, out, rng, budget=budget, levels=len(STEP_OUTPUTS))
    check_broadcast(batch, grid, out, offset=cases.points.z.size, broadcast=None)


def _without(name: str) -> str:
    """The name of a layout for inputs that have no third array."""
    name = name.replace(" and alpha", "")
    return "one row of q" if "alpha" in name else name


def _grid(max_level: int, dtype: np.dtype[Any], rng: np.random.Generator, *, noisy: bool) -> Grid:
    """The soft quantizer's grid, with noise in the place of alpha, which is at most 5."""
    made = make_grid(max_level, dtype, rng)

    def noise(alpha: Array) -> Array:
        return round_points(dtype, alpha, np.ones(1), alpha / 8 - 0.5).noise

    layouts = tuple(
        layout._replace(
            name=layout.name.replace("alpha", "noise") if noisy else _without(layout.name),
            alpha=noise(layout.alpha),
        )
        for layout in made.layouts
    )
    z, q, alpha = made.inputs
    return Grid((z, q, noise(alpha)), layouts)
