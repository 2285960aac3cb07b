"""After a failed verdict: the simplest input that still fails in the same way."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oracles.contract import ContractError
from oracles.quantizer.reference_check import expectation
from oracles.quantizer.replay import format_point
from oracles.regimes import make_cases
from oracles.report import Check, Report
from oracles.subject import OUTPUTS, Array, Inputs, QuantizerFunction, Subject

__all__ = ["shrink_failures"]

_LEVELS = (1, 2, 3, 7, 15, 31, 127)
_BITS = (1, 2, 3, 4, 6, 9)  # of a mantissa, from simple to exact enough
_ROUNDS = 8
_TRIES = 3  # candidates confirmed alone, per round
_SHOWN = 8  # a larger batch is not written out


class _OutOfCallsError(Exception):
    """The calls allowed are used up, or the function gives up."""


@dataclass
class _Prober:
    """Calls the function, as often as allowed, and tells where it fails in the same way."""

    fn: QuantizerFunction
    window: int | None
    dtype: np.dtype[Any]
    row: int  # the output looked at
    finite: bool  # whether what came out was a number
    calls: int

    def subject(self, max_level: int) -> Subject:
        return Subject(self.fn, self.window, self.dtype, max_level)

    def __call__(self, inputs: Inputs, max_level: int) -> tuple[Array, Array, Array]:
        """Got, expected and units of the output, units 0 where the failure is another one."""
        if self.calls <= 0:
            raise _OutOfCallsError
        self.calls -= 1
        subject = self.subject(max_level)
        try:
            got = subject(inputs)
        except ContractError as error:
            # It may have hung until its time limit: not again.
            raise _OutOfCallsError from error
        with np.errstate(all="ignore"):
            expected, tolerance = (a[self.row] for a in expectation(subject, inputs, got))
            units = np.abs(got[self.row] - expected) / tolerance
        units = np.where(np.isnan(units), np.inf, units)
        same = np.isfinite(got[self.row]) == self.finite
        return got[self.row], expected, np.where(same, units, 0.0)

    def alone(self, point: Inputs, max_level: int) -> bool:
        """Whether the one element of a batch of one fails."""
        return bool(self(point, max_level)[2][0] > 1)


def shrink_failures(fn: QuantizerFunction, report: Report, *, calls: int = 150) -> Report:
    """Look for the simplest input that fails as the worst one does, for each output.

    Simple is: few levels, q = 1 or a power of two, few significant bits, near 0, one element
    alone. The search is greedy and repeatable; many candidates share a call.

    Parameters
    ----------
    fn : callable
        The function that the report is about.
    report : Report
        From :func:`oracles.verify_soft_quantizer`.
    calls : int
        How often ``fn`` may be called, for all outputs together.

    Returns
    -------
    Report
        The same with ``where.shrunk`` at the worst check of evidence ``"reference"`` of each
        output: the inputs as :func:`oracles.replay_point` reads them, and what came out there.
    """
    failures = [check for check in report.failures if check.evidence == "reference"]
    worst = {}
    for output in OUTPUTS:
        members = [c for c in failures if c.output == output and c.where is not None]
        if members:
            worst[output] = max(members, key=lambda c: c.worst)
    shrunk: dict[tuple[str, str], str] = {}
    for left, (output, check) in zip(range(len(worst), 0, -1), worst.items(), strict=True):
        share = calls // left
        members = [c for c in failures if c.output == output]
        text, used = _shrink(fn, report, check, members, share)
        calls -= used
        shrunk[check.regime, output] = text
    checks = tuple(
        replace(check, where=replace(check.where, shrunk=shrunk[check.regime, check.output]))
        if check.evidence == "reference"
        and check.where is not None
        and (check.regime, check.output) in shrunk
        else check
        for check in report.checks
    )
    return replace(report, checks=checks)


def _shrink(
    fn: QuantizerFunction, report: Report, check: Check, members: list[Check], calls: int
) -> tuple[str, int]:
    """Text for one output, and the calls that it took."""
    assert check.where is not None
    row = OUTPUTS.index(check.output)
    finite = bool(np.isfinite(check.where.got))
    dtype = np.dtype(report.settings["dtype"])
    probe = _Prober(fn, report.settings["window"], dtype, row, finite, calls)
    point, level = _point(check)
    best: tuple[Inputs, int] | None = None
    text = ""
    try:
        if probe.alone(point, level):
            best = point, level
            for simpler in _simpler(probe, point, level):
                best = simpler
        else:
            text = _in_company(probe, report, members)
    except _OutOfCallsError:
        pass
    if best is not None:
        text = _tell(probe, *best, 0)
    return text, calls - probe.calls


def _point(check: Check) -> tuple[Inputs, int]:
    assert check.where is not None
    inputs: dict[str, Any] = dict(check.where.inputs)
    return Inputs(*(np.array([inputs[name]]) for name in Inputs._fields)), inputs["max_level"]


def _tell(probe: _Prober, inputs: Inputs, max_level: int, position: int) -> str:
    """Write the inputs and what came out; one more call than allowed."""
    probe.calls += 1
    text = format_point(inputs._asdict(), max_level)
    if inputs.z.size > 1:
        place = f"element {position} of {inputs.z.size}, not alone"
        text = f"{text}: {place}" if inputs.z.size <= _SHOWN else place
    try:
        got, expected, units = (float(a[position]) for a in probe(inputs, max_level))
    except _OutOfCallsError:
        return text
    return f"{text}: got {got!r}, expected {expected!r}, {units:.3g} x tolerance"


def _simpler(probe: _Prober, point: Inputs, level: int) -> Iterator[tuple[Inputs, int]]:
    """Ever simpler points that fail alone."""
    half = 1 if probe.window is None else probe.window // 2
    for fewer in sorted({half, *_LEVELS}):
        if half <= fewer < level:
            found = _first_alone(probe, _moved(probe, point, level, fewer), fewer)
            if found is not None:
                point, level = found, fewer
                yield point, level
                break
    for _ in range(_ROUNDS):
        candidates = _candidates(probe, point, level)
        cost = _cost(candidates)
        cheaper = np.flatnonzero(cost < _cost(point)[0])
        order = cheaper[np.argsort(cost[cheaper], kind="stable")]
        found = _first_alone(probe, candidates.take(order), level)
        if found is None:
            return
        point = found
        yield point, level


def _first_alone(probe: _Prober, candidates: Inputs, level: int) -> Inputs | None:
    """The first candidate that fails, in a batch of all and alone."""
    if not candidates.z.size:
        return None
    failing = np.flatnonzero(probe(candidates, level)[2] > 1)
    for i in failing[:_TRIES]:
        one = candidates.take(slice(i, i + 1))
        if probe.alone(one, level):
            return one
    return None


def _moved(probe: _Prober, point: Inputs, level: int, fewer: int) -> Inputs:
    """The point among fewer levels: where it is, next to 0, and as far from the end."""
    z, q, alpha = (float(a[0]) for a in point)
    c = z / q
    nearest = math.floor(c + 0.5)
    ratios = [c - nearest, math.copysign(1, c) * (fewer + abs(c) - level)]
    if abs(c) <= fewer:
        ratios.insert(0, c)
    return _admissible(probe, [(ratio * q, q, alpha) for ratio in ratios])


def _candidates(probe: _Prober, point: Inputs, level: int) -> Inputs:
    """Simpler steps at the same ratio and hardness, simpler ratios, simpler alphas."""
    z, q, alpha = (float(a[0]) for a in point)
    c, h = z / q, alpha * q * q
    steps = [1.0, 2.0 ** round(math.log2(q)), *_rounded(q), q]
    nearest = math.floor(c + 0.5)
    ratios = [0.0, 0.5, 0.25, c - nearest, abs(c - nearest), *_rounded(c - nearest)]
    ratios += [abs(c), *_rounded(abs(c)), *_rounded(c), c]
    found = []
    for step in steps:
        here = alpha if step == q else h / step / step
        for a in (1.0, *_rounded(here), here):
            found += [(ratio * step, step, a) for ratio in ratios]
            found += [(zz, step, a) for zz in _rounded(c * step)]
    return _admissible(probe, found)


def _rounded(x: float) -> list[float]:
    mantissa, exponent = math.frexp(x)
    shorter = [math.ldexp(round(mantissa * 2**bits) / 2**bits, exponent) for bits in _BITS]
    # The power of two below is among them mostly; this is the one above.
    return [*shorter, math.copysign(math.ldexp(1.0, exponent), x) if x else 0.0]


def _admissible(probe: _Prober, points: list[tuple[float, float, float]]) -> Inputs:
    """Rounded to the dtype, within the contract, each once."""
    with np.errstate(all="ignore"):
        columns = np.array(points).T.astype(probe.dtype).astype(np.float64)
    z, q, alpha = columns
    keep = np.isfinite(columns).all(axis=0) & (q > 0) & (alpha > 0)
    return Inputs(*np.unique(np.array([z, q, alpha])[:, keep], axis=1))


def _cost(inputs: Inputs) -> Array:
    """Length of the inputs, written down: bits of the mantissas, exponents, a sign."""
    total = np.where(np.signbit(inputs.z), 0.5, 0.0)
    for array in inputs:
        mantissa, exponent = np.frexp(array)
        whole = np.ldexp(np.abs(mantissa), 53).astype(np.int64)
        # Of the 53 bits, those down to the last that is set.
        last = np.where(whole == 0, 0, whole & -whole)
        bits = np.where(whole == 0, 0.0, 53 - np.log2(np.maximum(last, 1)))
        total = total + bits + np.where(whole == 0, 0.0, 0.3 * np.abs(exponent - 1))
    return total


def _in_company(probe: _Prober, report: Report, members: list[Check]) -> str:
    """The smallest batch in which an element fails that does not fail alone."""
    batches = _batches(report)
    for check in sorted(members, key=lambda c: -c.worst):
        point, level = _point(check)
        assert check.where is not None
        batch, index = batches.get(level), check.where.index
        if batch is None or index >= batch.z.size or _differ(batch.take([index]), point):
            continue  # of the grid
        if probe(batch, level)[2][index] <= 1:
            continue
        return _tell(probe, *_smaller_batch(probe, batch, level, index))
    return "not reproduced: neither alone nor in the same batch again"


def _smaller_batch(
    probe: _Prober, batch: Inputs, level: int, index: int
) -> tuple[Inputs, int, int]:
    """Leave out ever smaller parts, as long as the element goes on to fail."""
    keep = np.arange(batch.z.size)
    size = keep.size // 2
    try:
        while size:
            start = 0
            while start < keep.size:
                fewer = np.concatenate([keep[:start], keep[start + size :]])
                position = np.flatnonzero(fewer == index)
                if position.size and probe(batch.take(fewer), level)[2][position[0]] > 1:
                    keep = fewer
                else:
                    start += size
            size //= 2
    except _OutOfCallsError:
        pass
    return batch.take(keep), level, int(np.flatnonzero(keep == index)[0])


def _batches(report: Report) -> dict[int, Inputs]:
    """The batches of the verdict, drawn again."""
    from oracles.quantizer.judge import BUDGETS, level_counts

    window, dtype, seed, budget = (
        report.settings[name] for name in ("window", "dtype", "seed", "budget")
    )
    return {
        level: make_cases(
            level, per_regime=count, dtype=dtype, rng=np.random.default_rng([seed, level])
        ).inputs
        for level, count in level_counts(window, BUDGETS[budget]).items()
    }


def _differ(one: Inputs, other: Inputs) -> bool:
    return any(a.tobytes() != b.tobytes() for a, b in zip(one, other, strict=True))
