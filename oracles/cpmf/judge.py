"""The judge of conditional probability mass functions over the levels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.contract import ContractError
from oracles.cpmf import identities
from oracles.cpmf.subject import CpmfFindings, CpmfFunction, CpmfSubject, Masses
from oracles.layouts import Batch, check_broadcast, check_layouts, make_grid, same_bits
from oracles.quantizer.error_map import MAP_LEVEL
from oracles.quantizer.judge import cheap_level, check_arguments, level_counts
from oracles.regimes import REGIMES, Cases, make_cases
from oracles.report import ErrorMap, Report
from oracles.subject import Array, Inputs
from oracles.tolerance import tolerances
from reference.compiled import soft_quantize
from reference.cpmf import nearest_level

__all__ = ["CPMF_BUDGETS", "verify_cpmf"]

#: Elements per regime, by budget, for each level count.
CPMF_BUDGETS: dict[str, dict[int, int]] = {
    "quick": {1: 5, 3: 5, 127: 7, 1023: 3},
    "full": {1: 60, 3: 60, 127: 120, 1023: 20},
}
# Columns and rows of the error map.
_MAP = {"quick": (25, 31), "full": (61, 81)}


def verify_cpmf(
    fn: CpmfFunction,
    *,
    window: int | None = None,
    dtype: Any = "float32",
    seed: int = 0,
    budget: str = "quick",
) -> Report:
    """Judge an implementation of the CPMF: the levels of the support and their probabilities.

    Parameters
    ----------
    fn : callable
        ``fn(z, q, alpha, max_level) -> (levels, probabilities)``: three NumPy arrays of shape
        (n,) and of ``dtype`` in; two arrays of shape (n, K) out, K = 2 max_level + 1 or the
        window. ``levels`` are ascending integers, of an integer or floating dtype, in units of
        q; ``probabilities`` are floating, at least as wide as ``dtype``. n may be 0.
    window : int, optional
        The support that ``fn`` claims: an odd number >= 3 of levels about the nearest one, ties
        half-up, pushed back into {-max_level..max_level} at its ends; None for all levels.
    dtype : {"float32", "float64"}
        Dtype of the inputs, and unit of the tolerances.
    seed : int
        Of the inputs, >= 0.
    budget : {"quick", "full"}
        How many inputs: some 300, or some 3,900.

    Returns
    -------
    Report
        As of :func:`oracles.verify_soft_quantizer`; its map shows the worst error of a
        probability over h = alpha q^2 and c = z/q.

    Raises
    ------
    TypeError, ValueError
        If an argument of this function itself is out of range.

    Examples
    --------
    >>> import reference
    >>> def fn(z, q, alpha, max_level):
    ...     levels, probabilities = reference.cpmf(z, q, alpha, max_level=max_level)
    ...     return levels, probabilities.astype(z.dtype)
    >>> verify_cpmf(fn).passed
    True

    References
    ----------
    JPEG-DL, eq. (5) and (6); appendix A.12 for the masked CPMF.
    """
    kind = check_arguments(fn, window, dtype, seed, budget)
    out = CpmfFindings(tuple(REGIMES))
    maps: tuple[ErrorMap, ...] = ()
    try:
        for max_level, per_regime in level_counts(window, CPMF_BUDGETS[budget]).items():
            subject = CpmfSubject(fn, window, kind, max_level)
            rng = np.random.default_rng([seed, max_level])
            cases = make_cases(max_level, per_regime=per_regime, dtype=kind, rng=rng)
            # Wrong outputs may be infinite or NaN; that is counted, not warned of.
            with np.errstate(all="ignore"):
                _judge(subject, cases, out, rng)
                if max_level == MAP_LEVEL:
                    maps = _check_map(subject, out, budget)
                if max_level == cheap_level(window):
                    rng = np.random.default_rng([seed, max_level, 1])
                    _judge_layouts(subject, out, rng, budget=budget)
    except ContractError as error:
        out.broke(str(error))
    support = "all levels" if window is None else f"window {window}"
    title = f"CPMF, {support}, {kind}, seed {seed}, budget {budget}"
    settings = {
        "contract": "cpmf",
        "window": window,
        "dtype": kind.name,
        "seed": seed,
        "budget": budget,
    }
    return Report(title, out.checks, maps, tuple(out.notes), settings)


def _judge(subject: CpmfSubject, cases: Cases, out: CpmfFindings, rng: np.random.Generator) -> None:
    inputs, regimes = cases.inputs, cases.regimes
    got = subject(inputs)
    out.called()
    finite = [np.isfinite(part) for part in got]
    ones = np.ones(got.levels.shape)
    out.compare_masses(
        "finite",
        regimes,
        subject,
        inputs,
        got=Masses(*(np.where(good, 0.0, np.nan) for good in finite)),
        expected=Masses(0 * ones, 0 * ones),
        tolerance=ones,
    )
    expected = subject.expected_like(inputs, got.levels)
    bounds = subject.bounds(inputs, expected.levels)
    for evidence, output, levels, one, other, tolerance in (
        ("levels", "levels", expected.levels, got.levels, expected.levels, 0.25 * ones),
        ("reference", "probabilities", expected.levels, *_second(got, expected), bounds[0]),
    ):
        out.compare(
            evidence,
            regimes,
            output,
            subject,
            inputs,
            levels=levels,
            got=one,
            expected=other,
            tolerance=tolerance,
        )
    identities.sums(subject, inputs, regimes, got, out)
    identities.ratio(subject, inputs, regimes, got, out)
    _check_mean(subject, cases, got, out)
    again, before, exact = (
        Masses(*pair)
        for pair in zip(
            *(same_bits(*pair) for pair in zip(subject(inputs), got, strict=True)), strict=True
        )
    )
    out.compare_masses(
        "determinism",
        regimes,
        subject,
        inputs,
        got=again,
        expected=before,
        tolerance=exact.probabilities,
    )
    sure = subject.sure(inputs)
    for index in (rng.permutation(inputs.z.size), np.arange(1)):
        result = subject(inputs.take(index))
        keep = sure[index]
        chosen = index[keep]
        out.compare_masses(
            "neighbours",
            regimes[chosen],
            subject,
            inputs.take(chosen),
            got=result.take(keep),
            expected=got.take(chosen),
            tolerance=2 * bounds.probabilities[chosen],
        )
    identities.oddness(subject, inputs, regimes, got, out)
    identities.scale(subject, inputs, regimes, got, out)
    count = 2 * int(np.sum(regimes == regimes[0])) + 15
    identities.shift(subject, out, rng, count=count)
    identities.limits(subject, out, rng, count=count)


def _second(got: Masses, expected: Masses) -> tuple[Array, Array]:
    return got.probabilities, expected.probabilities


def _check_mean(subject: CpmfSubject, cases: Cases, got: Masses, out: CpmfFindings) -> None:
    """The mean of levels times q is the soft quantizer."""
    sure = subject.sure(cases.inputs)
    inputs, regimes, got = cases.inputs.take(sure), cases.regimes[sure], got.take(sure)
    nearest, _ = nearest_level(inputs.z, inputs.q, subject.max_level)
    k = got.levels - nearest[:, None]
    support = {"max_level": subject.max_level, "window": subject.window}
    bounds = subject.bounds(inputs, subject.expected(inputs).levels)
    allowed = inputs.q * np.sum(bounds.probabilities * np.abs(bounds.offsets), axis=1)
    own = tolerances(*inputs, max_level=subject.max_level, window=subject.window, dtype="float64")
    # Not normalized exactly: what the sum may be off by counts in units of the nearest level,
    # which is left out of the moment.
    mean = inputs.q * (nearest + np.sum(got.probabilities * k, axis=1))
    out.compare(
        "mean",
        regimes,
        "probabilities",
        subject,
        inputs,
        levels=None,
        got=mean[:, None],
        expected=soft_quantize(*inputs, **support)[:, None],  # type: ignore[arg-type]
        tolerance=(allowed + own.value)[:, None],
    )


def _judge_layouts(
    subject: CpmfSubject, out: CpmfFindings, rng: np.random.Generator, *, budget: str
) -> None:
    """Strides, lengths and unwritten memory; see :mod:`oracles.layouts`."""
    cases = make_cases(subject.max_level, per_regime=5, dtype=subject.dtype, rng=rng)
    grid = make_grid(subject.max_level, subject.dtype, rng)
    z, q, alpha = (np.append(a, b) for a, b in zip(cases.inputs, grid.inputs, strict=True))
    inputs = Inputs(z, q, alpha)
    plain = subject(inputs)
    sure = subject.sure(inputs)
    tolerance = 2 * subject.bounds(inputs, subject.expected(inputs).levels).probabilities

    def compare(
        evidence: str, regime: str, index: NDArray[np.intp], got: Array, want: Array, exact: bool
    ) -> None:
        if exact:
            got, want, allowed = (rows.T for rows in same_bits(got, want))
            allowed = allowed[:, subject.count :]
        else:
            keep = sure[index]
            index, got, want = index[keep], got[:, keep].T, want[:, keep].T
            allowed = tolerance[index]
        out.compare_masses(
            evidence,
            regime,
            subject,
            inputs.take(index),
            got=Masses(got[:, : subject.count], got[:, subject.count :]),
            expected=Masses(want[:, : subject.count], want[:, subject.count :]),
            tolerance=allowed,
        )

    expected = np.concatenate([plain.levels.T, plain.probabilities.T])
    batch = Batch((z, q, alpha), expected, subject.dtype, subject.raw, compare)
    check_layouts(batch, out, rng, budget=budget, levels=subject.count)
    # The levels are an axis of their own: more dimensions are no part of this contract.
    check_broadcast(batch, grid, out, offset=cases.inputs.z.size, broadcast=False)


def _check_map(subject: CpmfSubject, out: CpmfFindings, budget: str) -> tuple[ErrorMap, ...]:
    """Worst error of a probability over (h, c)."""
    columns, rows = _MAP[budget]
    h = np.geomspace(1e-3, 1e6, columns)
    c = np.round(np.linspace(-1.2, 1.2, rows) * subject.max_level)
    row, column = (a.ravel() for a in np.meshgrid(c, h, indexing="ij"))
    # Place within a cell and step take turns, neither tied to a row or a column.
    turn = np.arange(row.size)
    q = np.array([0.37, 1.0, 2.9, 17.0, 250.0])[turn % 7 % 5]
    phase = np.array([0.0, 0.23, 0.5])[turn % 3]
    inputs = subject.points.round((row + phase) * q, q, column / q**2)
    got = subject(inputs)
    expected = subject.expected_like(inputs, got.levels)
    tolerance = subject.bounds(inputs, expected.levels).probabilities
    out.compare_masses(
        "reference", "grid", subject, inputs, got=got, expected=expected, tolerance=tolerance
    )
    units = np.abs(got.probabilities - expected.probabilities) / tolerance
    worst = np.where(np.isnan(units), np.inf, units).max(axis=1).reshape(rows, columns)
    return (
        ErrorMap(
            "probabilities",
            "h = alpha q^2",
            "c = z / q",
            tuple(h.tolist()),
            tuple(c.tolist()),
            tuple(tuple(line) for line in worst.tolist()),
        ),
    )
