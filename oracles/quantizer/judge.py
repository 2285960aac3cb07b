"""The judge of soft quantizers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.contract import ContractError
from oracles.layouts import Batch, check_broadcast, check_layouts, make_grid, same_bits
from oracles.quantizer import identities
from oracles.quantizer.differences import check_differences
from oracles.quantizer.error_map import MAP_LEVEL, check_map
from oracles.quantizer.reference_check import check_reference
from oracles.quantizer.shrink import shrink_failures
from oracles.regimes import REGIMES, Cases, make_cases
from oracles.report import ErrorMap, Report
from oracles.subject import Array, Inputs, PointFindings, QuantizerFunction, Subject

__all__ = ["BUDGETS", "cheap_level", "check_arguments", "level_counts", "verify_soft_quantizer"]

#: Elements per regime, by budget, for each level count.
BUDGETS: dict[str, dict[int, int]] = {
    "quick": {1: 5, 3: 5, 127: 11, 1023: 3},
    "full": {1: 60, 3: 60, 127: 220, 1023: 40},
}


def verify_soft_quantizer(
    fn: QuantizerFunction,
    *,
    window: int | None = None,
    dtype: Any = "float32",
    seed: int = 0,
    budget: str = "quick",
    broadcast: bool | None = None,
) -> Report:
    """Judge an implementation of the soft quantizer and its partials.

    Parameters
    ----------
    fn : callable
        ``fn(z, q, alpha, max_level) -> (value, dz, dq, dalpha)``, elementwise: three NumPy arrays
        of shape (n,) and of ``dtype`` in, four floating arrays of that shape out. ``max_level``
        is an int. q and alpha are positive; all inputs are finite. n may be 0, and arrays may
        have any stride >= 0.
    window : int, optional
        The support that ``fn`` claims: an odd number >= 3 of levels about the nearest one (the
        masked CPMF), or None for all 2L+1 levels.
    dtype : {"float32", "float64"}
        Dtype of the inputs, and unit of the tolerances.
    seed : int
        Of the inputs, >= 0.
    budget : {"quick", "full"}
        How many inputs: some 360, or some 5,700.
    broadcast : bool, optional
        Inputs of more dimensions, and of different shapes that broadcast (all four outputs have
        the broadcast shape, none is reduced). True: required. False: not tried. None: judged if
        ``fn`` gives finite results of that shape, otherwise said in ``Report.notes``.

    Returns
    -------
    Report
        ``passed``, and every check with the place and size of its worst error. A function that
        raises, changes its inputs or returns something unfitting gets a failed report.

    Raises
    ------
    TypeError, ValueError
        If an argument of this function itself is out of range.

    Examples
    --------
    >>> import reference
    >>> def fn(z, q, alpha, max_level):
    ...     return tuple(
    ...         part.astype(z.dtype)
    ...         for part in reference.soft_quantize_partials(z, q, alpha, max_level=max_level)
    ...     )
    >>> verify_soft_quantizer(fn).passed
    True

    References
    ----------
    JPEG-DL, eq. (5)-(7) and (10); appendix A.12 for the masked CPMF.
    """
    kind = check_arguments(fn, window, dtype, seed, budget)
    if broadcast is not None and not isinstance(broadcast, bool):
        raise TypeError(f"broadcast must be None, True or False, got {broadcast!r}")
    out = PointFindings(tuple(REGIMES))
    maps: tuple[ErrorMap, ...] = ()
    try:
        for max_level, per_regime in level_counts(window, BUDGETS[budget]).items():
            subject = Subject(fn, window, kind, max_level)
            # A stream of its own per level count: adding one changes no other.
            rng = np.random.default_rng([seed, max_level])
            cases = make_cases(max_level, per_regime=per_regime, dtype=kind, rng=rng)
            # Wrong outputs may be infinite or NaN; that is counted, not warned of.
            with np.errstate(all="ignore"):
                _judge(subject, cases, out, rng)
                if max_level == MAP_LEVEL:
                    maps = check_map(subject, out, budget=budget)
                if max_level == cheap_level(window):
                    rng = np.random.default_rng([seed, max_level, 1])
                    _judge_layouts(subject, out, rng, budget=budget, broadcast=broadcast)
    except ContractError as error:
        out.broke(str(error))
    support = "all levels" if window is None else f"window {window}"
    title = f"soft quantizer, {support}, {kind}, seed {seed}, budget {budget}"
    settings = {
        "contract": "quantizer",
        "window": window,
        "dtype": kind.name,
        "seed": seed,
        "budget": budget,
        "broadcast": broadcast,
    }
    with np.errstate(all="ignore"):
        return shrink_failures(fn, Report(title, out.checks, maps, tuple(out.notes), settings))


def check_arguments(fn: Any, window: Any, dtype: Any, seed: Any, budget: Any) -> np.dtype[Any]:
    """Check the arguments that the judges of elementwise functions share; return the dtype."""
    if not callable(fn):
        raise TypeError(
            f"fn must be callable as fn(z, q, alpha, max_level), got {type(fn).__name__}"
        )
    if window is not None:
        if isinstance(window, bool) or not isinstance(window, int | np.integer):
            raise TypeError(f"window must be None or an int, got {window!r}")
        if window < 3 or window % 2 == 0:
            raise ValueError(f"window must be None or an odd number >= 3, got {window}")
    try:
        # NumPy takes None for float64.
        name = "" if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = ""
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed must be an int, got {seed!r}")
    if seed < 0:
        raise ValueError(f"seed must be >= 0, got {seed}")
    if budget not in BUDGETS:
        raise ValueError(f"budget must be one of {', '.join(BUDGETS)}, got {budget!r}")
    return np.dtype(name)


def level_counts(window: int | None, counts: dict[int, int]) -> dict[int, int]:
    """Level counts to try: those that hold the window, and the one that it just fills."""
    if window is None:
        return counts
    fill = int(window) // 2
    return {fill: counts[1]} | {level: n for level, n in counts.items() if level > fill}


def cheap_level(window: int | None) -> int:
    """Level count of the checks that need many elements, not many levels."""
    return 3 if window is None else max(3, int(window) // 2)


def _judge(subject: Subject, cases: Cases, out: PointFindings, rng: np.random.Generator) -> None:
    inputs, regimes = cases.inputs, cases.regimes
    got = subject(inputs)
    out.called()
    _check_finite(subject, cases, got, out)
    check_reference(subject, inputs, regimes, got, out)
    _check_repeatable(subject, cases, got, out)
    _check_neighbours(subject, cases, got, out, rng)
    identities.oddness(subject, inputs, regimes, got, out)
    identities.scale(subject, inputs, regimes, got, out)
    identities.euler(subject, inputs, regimes, got, out)
    identities.bounds(subject, inputs, regimes, got, out)
    identities.monotone(subject, inputs, regimes, got, out, rng)
    count = 2 * int(np.sum(regimes == regimes[0])) + 15
    identities.shift(subject, out, rng, count=count)
    identities.limits(subject, out, rng, count=count)
    check_differences(subject, inputs, regimes, out)


def _check_finite(subject: Subject, cases: Cases, got: Array, out: PointFindings) -> None:
    """Finite inputs give finite outputs, saturated or not."""
    bad = np.where(np.isfinite(got), 0.0, np.nan)
    zero = np.zeros_like(got)
    out.compare_all(
        "finite",
        cases.regimes,
        subject,
        cases.inputs,
        got=np.where(np.isfinite(got), zero, got),
        expected=zero,
        tolerance=1 + bad,
    )


def _check_repeatable(subject: Subject, cases: Cases, got: Array, out: PointFindings) -> None:
    """The same call again gives the same bits."""
    again, before, tolerance = same_bits(subject(cases.inputs), got)
    out.compare_all(
        "determinism",
        cases.regimes,
        subject,
        cases.inputs,
        got=again,
        expected=before,
        tolerance=tolerance,
    )


def _check_neighbours(
    subject: Subject, cases: Cases, got: Array, out: PointFindings, rng: np.random.Generator
) -> None:
    """Neighbours in the batch do not matter: another order, a part of it, one element alone.

    Not bit by bit: the tail of a vector loop may round differently from its body.
    """
    size = cases.inputs.z.size
    sure = ~subject.ambiguous(cases.inputs)
    tolerance = 2 * subject.tolerance(cases.inputs)
    part = rng.permutation(size)[: max(size // 3, 1)]
    for index in (rng.permutation(size), part, np.arange(1), np.arange(size)[::-1]):
        result = subject(cases.inputs.take(index))
        keep = sure[index]
        if keep.any():
            chosen = index[keep]
            out.compare_all(
                "neighbours",
                cases.regimes[chosen],
                subject,
                cases.inputs.take(chosen),
                got=result[:, keep],
                expected=got[:, chosen],
                tolerance=tolerance[:, chosen],
            )


def _judge_layouts(
    subject: Subject,
    out: PointFindings,
    rng: np.random.Generator,
    *,
    budget: str,
    broadcast: bool | None,
) -> None:
    """Strides, broadcasting, lengths and unwritten memory; see :mod:`oracles.layouts`."""
    level, window = subject.max_level, subject.window
    cases = make_cases(level, per_regime=5, dtype=subject.dtype, rng=rng)
    grid = make_grid(level, subject.dtype, rng)
    z, q, alpha = (np.append(a, b) for a, b in zip(cases.inputs, grid.inputs, strict=True))
    inputs = Inputs(z, q, alpha)
    expected = subject(inputs)
    sure = ~subject.ambiguous(inputs)
    tolerance = 2 * subject.tolerance(inputs)

    def compare(
        evidence: str, regime: str, index: NDArray[np.intp], got: Array, want: Array, exact: bool
    ) -> None:
        if exact:
            got, want, allowed = same_bits(got, want)
        else:
            keep = sure[index]
            index, got, want = index[keep], got[:, keep], want[:, keep]
            allowed = tolerance[:, index]
        out.compare_all(
            evidence,
            regime,
            subject,
            inputs.take(index),
            got=got,
            expected=want,
            tolerance=allowed,
        )

    batch = Batch((z, q, alpha), expected, subject.dtype, subject.raw, compare)
    levels = 2 * level + 1 if window is None else window
    check_layouts(batch, out, rng, budget=budget, levels=levels)
    check_broadcast(batch, grid, out, offset=cases.inputs.z.size, broadcast=broadcast)
