"""Worst-case search: the input with the largest error, regime by regime."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oracles.contract import ContractError
from oracles.quantizer.judge import check_arguments, level_counts
from oracles.quantizer.reference_check import expectation
from oracles.quantizer.search_draw import NEAR, draw_cloud
from oracles.quantizer.search_result import SearchResult
from oracles.regimes import REGIMES
from oracles.report import Check, Location, Report
from oracles.subject import OUTPUTS, Array, Inputs, QuantizerFunction, Subject

__all__ = ["SearchResult", "search_worst"]

#: Told of the regime, how many are done, and how many there are.
Progress = Callable[[str, int, int], None]

# Points per call. One call should cost more than its overhead, and less than a second.
_CLOUD = 256
_CLOUD_OF_MANY_LEVELS = 64
_MANY_LEVELS = 1023
_LEVELS = {1: 1, 3: 1, 15: 1, 127: 1, _MANY_LEVELS: 1}
_GUIDED = 0.7  # part of the effort; the rest refines what it found
_NUMBERS = 12  # that Hypothesis chooses for one cloud; no regime makes as many draws
_EXAMPLES = 150  # of Hypothesis, in one round: enough for its hill climbing to begin
_KEPT = 4  # best points per output that are refined


class _Spent(BaseException):
    """Ends a round of Hypothesis at once: it takes an ordinary exception for a failing example."""


@dataclass
class _Effort:
    """What is left of the time, or of the points, for a part of the search."""

    deadline: float
    points: float
    tried: int = 0

    def spent(self, part: float = 1.0) -> bool:
        return self.tried >= part * self.points or time.monotonic() >= self.deadline

    def until(self, part: float) -> _Effort:
        now = time.monotonic()
        left = self.deadline - now
        return _Effort(now + part * left, part * self.points)


@dataclass
class _Regime:
    """The best points so far of one regime, by output."""

    name: str
    best: list[list[tuple[float, Location]]] = field(default_factory=lambda: [[] for _ in OUTPUTS])
    beyond: list[int] = field(default_factory=lambda: [0] * len(OUTPUTS))
    low: Array = field(default_factory=lambda: np.full(6, np.inf))
    high: Array = field(default_factory=lambda: np.full(6, -np.inf))
    tried: int = 0
    broke: str = ""

    def judge(self, subject: Subject, inputs: Inputs) -> Array:
        """Call, compare, remember; units of the tolerance, shape (4, n)."""
        self.tried += inputs.z.size
        got = subject(inputs)
        with np.errstate(all="ignore"):
            expected, tolerance = expectation(subject, inputs, got)
            units = np.abs(got - expected) / tolerance
        units = np.where(np.isnan(units), np.inf, units)
        for row, members in enumerate(self.best):
            self.beyond[row] += int(np.sum(units[row] > 1))
            i = int(np.argmax(units[row]))
            if len(members) == _KEPT and units[row, i] <= members[-1][0]:
                continue
            place: dict[str, Any] = {k: float(a[i]) for k, a in inputs._asdict().items()}
            place["max_level"] = subject.max_level
            g, e, t = (float(a[row, i]) for a in (got, expected, tolerance))
            members.append((float(units[row, i]), Location(i, place, g, e, t)))
            members.sort(key=lambda member: -member[0])
            del members[_KEPT:]
        return units

    def widen(self, inputs: Inputs, max_level: int) -> None:
        """Remember which ranges the regime's own draws span."""
        columns = _coordinates(inputs, max_level)
        self.low = np.minimum(self.low, columns.min(axis=1))
        self.high = np.maximum(self.high, columns.max(axis=1))

    def holds(self, inputs: Inputs, max_level: int) -> Any:
        """Which points lie within those ranges: a refinement must not leave its regime."""
        columns = _coordinates(inputs, max_level)
        inside = (columns >= self.low[:, None]) & (columns <= self.high[:, None])
        return inside.all(axis=0) & (inputs.q > 0) & (inputs.alpha > 0)

    def checks(self) -> list[Check]:
        """The verdict on this regime."""
        if self.broke:
            return [Check("search", self.name, "call", np.inf, self.tried, 1, None, self.broke)]
        return [
            Check("search", self.name, output, members[0][0], self.tried, beyond, members[0][1])
            for output, members, beyond in zip(OUTPUTS, self.best, self.beyond, strict=True)
        ]


def _coordinates(inputs: Inputs, max_level: int) -> Array:
    """q, alpha, h, |z|, |z/q| and how far that is beyond the end: they bound a regime."""
    with np.errstate(all="ignore"):
        h = inputs.alpha * inputs.q * inputs.q
        c = np.abs(inputs.z / inputs.q)
    return np.array([inputs.q, inputs.alpha, h, np.abs(inputs.z), c, c - max_level])


def search_worst(
    fn: QuantizerFunction,
    *,
    window: int | None = None,
    dtype: Any = "float32",
    seconds: float = 60.0,
    evaluations: int | None = None,
    seed: int = 0,
    regimes: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> SearchResult:
    """Search for the input with the largest error in units of the tolerance.

    In each regime Hypothesis chooses the parameters, guided by the errors of the four outputs
    that it has seen (``hypothesis.target``); what it chooses is the middle of a cloud of points
    that are judged in one call. Then the worst points are moved, by ever smaller factors and by
    single units in the last place, as long as that makes them worse.

    Parameters
    ----------
    fn : callable
        As for :func:`oracles.verify_soft_quantizer`.
    window : int, optional
        The support that ``fn`` claims.
    dtype : {"float32", "float64"}
        Dtype of the inputs, and unit of the tolerances.
    seconds : float
        Time for all regimes together, > 0.
    evaluations : int, optional
        Number of points instead of time: the same seed gives the same result.
    seed : int
        Of the search, >= 0.
    regimes : sequence of str, optional
        Names out of ``oracles.regimes.REGIMES``; all of them by default.
    progress : callable, optional
        ``progress(regime, done, total)``, called before each regime.

    Returns
    -------
    SearchResult

    Raises
    ------
    TypeError, ValueError
        If an argument of this function itself is out of range.

    Examples
    --------
    >>> from oracles.mutants.sound import rounded_reference
    >>> search_worst(rounded_reference(None), evaluations=4000, regimes=["soft"]).passed
    True
    """
    kind = check_arguments(fn, window, dtype, seed, "quick")
    names = _check_arguments(seconds, evaluations, regimes)
    whole = _Effort(
        time.monotonic() + seconds if evaluations is None else np.inf,
        np.inf if evaluations is None else evaluations,
    )
    _warm_up(window, kind)
    checks: list[Check] = []
    for done, name in enumerate(names):
        if progress is not None:
            progress(name, done, len(names))
        found = _Regime(name)
        slot = whole.until(1 / (len(names) - done))
        try:
            _search(found, fn, window, kind, slot, [seed, list(REGIMES).index(name)])
        except ContractError as error:
            found.broke = str(error)
        if evaluations is not None:
            whole.points -= found.tried
        checks += found.checks()
    amount = f"{seconds:g} s" if evaluations is None else f"{evaluations} points"
    support = "all levels" if window is None else f"window {window}"
    settings = {
        "contract": "quantizer",
        "window": window,
        "dtype": kind.name,
        "seed": seed,
        "budget": "quick",
    }
    title = f"search, soft quantizer, {support}, {kind}, seed {seed}, {amount}"
    return SearchResult(Report(title, tuple(checks), settings=settings))


def _check_arguments(seconds: Any, evaluations: Any, regimes: Any) -> list[str]:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"seconds must be a number, got {seconds!r}")
    if not 0 < seconds < np.inf:
        raise ValueError(f"seconds must be > 0 and finite, got {seconds}")
    if evaluations is not None:
        if isinstance(evaluations, bool) or not isinstance(evaluations, int):
            raise TypeError(f"evaluations must be None or an int, got {evaluations!r}")
        if evaluations < 1:
            raise ValueError(f"evaluations must be >= 1, got {evaluations}")
    names = list(REGIMES) if regimes is None else list(regimes)
    unknown = [name for name in names if name not in REGIMES]
    if unknown or not names:
        raise ValueError(f"regimes must be some of {', '.join(REGIMES)}; got {regimes!r}")
    return names


def _warm_up(window: int | None, dtype: np.dtype[Any]) -> None:
    """Import and compile what the first regime would otherwise lose its time to."""
    import hypothesis  # noqa: F401

    subject = Subject(_nothing, window, dtype, 1 if window is None else window // 2)
    one = Inputs(np.ones(1), np.ones(1), np.ones(1))
    expectation(subject, one, np.zeros((4, 1)))


def _nothing(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
    raise NotImplementedError


def _search(
    found: _Regime,
    fn: QuantizerFunction,
    window: int | None,
    dtype: np.dtype[Any],
    slot: _Effort,
    seed: list[int],
) -> None:
    """Guided search, then refinement, within one slot of time or points."""
    subjects = [Subject(fn, window, dtype, level) for level in level_counts(window, _LEVELS)]
    guided = slot.until(_GUIDED)
    rng = np.random.default_rng([*seed, 1 << 20])
    turn = 0
    refined: list[float] = []
    while turn == 0 or not slot.spent():
        worst = [members[0][0] for members in found.best if members]
        if guided.spent() and worst != refined:
            refined = worst
            _refine(found, subjects, rng, slot)
        else:
            effort = slot if guided.spent() else guided
            _guided(found, subjects, effort, [*seed, turn])
            turn += 1
        guided.tried = slot.tried = found.tried


def _guided(found: _Regime, subjects: list[Subject], effort: _Effort, seed: list[int]) -> None:
    """One round of Hypothesis: it chooses, and is told the errors."""
    from hypothesis import HealthCheck, Phase, given, settings, target
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    number = st.floats(0.0, 1.0, exclude_max=True, allow_subnormal=False)
    numbers = st.lists(number, min_size=_NUMBERS, max_size=_NUMBERS)

    @seeded(int(np.random.default_rng(seed).integers(1 << 62)))
    @settings(
        max_examples=_EXAMPLES,
        phases=[Phase.generate, Phase.target],
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(numbers, st.sampled_from(subjects), st.integers(0, 6), st.integers(0, 2**32 - 1))
    def example(chosen: list[float], subject: Subject, narrow: int, noise: int) -> None:
        if found.tried and effort.spent():
            raise _Spent
        inputs = draw_cloud(
            found.name,
            chosen,
            noise=np.random.default_rng(noise),
            spread=10.0**-narrow,
            count=_CLOUD if subject.max_level < _MANY_LEVELS else _CLOUD_OF_MANY_LEVELS,
            max_level=subject.max_level,
            dtype=subject.dtype,
        )
        found.widen(inputs, subject.max_level)
        units = found.judge(subject, inputs)
        effort.tried = found.tried
        # Only by what was chosen: the rest of the cloud is everywhere, and is there for what no
        # slope leads to.
        near = units[:, : inputs.z.size // NEAR]
        for output, row in zip(OUTPUTS, near, strict=True):
            # Orders of magnitude, and finite.
            target(float(np.log10(np.clip(row.max(), 1e-30, 1e30))), label=output)

    with contextlib.suppress(_Spent):
        example()


def _refine(
    found: _Regime, subjects: list[Subject], rng: np.random.Generator, effort: _Effort
) -> None:
    """Move the best points of each output: by factors that shrink, then by last places."""
    by_level = {subject.max_level: subject for subject in subjects}
    starts = [(row, where) for row, members in enumerate(found.best) for _, where in members]
    for row, start in starts:
        where = start
        for radius in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 0.0):
            effort.tried = found.tried
            if effort.spent():
                return
            place: dict[str, Any] = dict(where.inputs)
            subject = by_level[place["max_level"]]
            inputs = _near(subject, place, radius, rng)
            inputs = inputs.take(found.holds(inputs, subject.max_level))
            if not inputs.z.size:
                continue
            before = found.best[row][0][0]
            found.judge(subject, inputs)
            if found.best[row][0][0] > before:
                where = found.best[row][0][1]


def _near(
    subject: Subject, place: dict[str, Any], radius: float, rng: np.random.Generator
) -> Inputs:
    """Points about one: each coordinate moved, or left, by a factor or by some last places."""
    size = _CLOUD if subject.max_level < _MANY_LEVELS else _CLOUD_OF_MANY_LEVELS
    columns = []
    for name in Inputs._fields:
        x = np.full(size, place[name])
        if radius:
            moved = x * (1 + radius * rng.uniform(-1, 1, size))
        else:
            moved = x + rng.integers(-8, 9, size) * np.spacing(x.astype(subject.dtype))
        columns.append(np.where(rng.random(size) < 0.6, moved, x))
    return subject.round(*columns)
