"""Interleaved timing: the candidate and what it is compared with take turns.

Other work on the machine, its clock and its temperature change during a run. Two things timed
one right after the other see the same machine, so the ratio of each pair is sound where the
times are not, and the median of these ratios forgets the pairs that were disturbed.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.ratios import Kind, Ratio

Work = Callable[[], Any]
Clock = Callable[[Work], float]
"""Runs the work and returns the seconds that one call took."""

_FEWEST, _MOST = 5, 40
_ENOUGH_PAIRS = 3


@dataclass(frozen=True)
class Opponent:
    """What a candidate is measured against.

    Parameters
    ----------
    name : str
        For the table.
    run : callable
        One call.
    kind : Kind
        Which ratio to report.
    work : float
        How much more work one call of the candidate does than one of `run`: 16 where `run` got
        one of 16 images. For a share of bandwidth, the quotient of the bytes moved.
    goal : float, optional
        What the project wants the ratio to be.
    once : bool
        It takes seconds: time a single call, and do not warm it up.
    note : str
        Printed with the figure.
    """

    name: str
    run: Work
    kind: Kind = Kind.SPEEDUP
    work: float = 1.0
    goal: float | None = None
    once: bool = False
    note: str = ""


def wall_clock(run: Work) -> float:
    """Time one call; what it returns is freed after the clock has stopped."""
    start = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - start
    del result
    return seconds


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect first, then not until the end: a collection would hit one side by chance."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Race:
    """A candidate and its opponents, round by round.

    Parameters
    ----------
    candidate : callable
        One call of what is measured.
    opponents : sequence of Opponent
        All of them run in the same rounds, right before the candidate.
    clock : Clock
        Times one call.
    seconds : float
        Budget for the candidate, and for each opponent. An opponent that would exceed it sits
        out some rounds.
    """

    def __init__(
        self,
        candidate: Work,
        opponents: Sequence[Opponent],
        clock: Clock = wall_clock,
        seconds: float = 0.6,
    ) -> None:
        names = [opponent.name for opponent in opponents]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                f"opponents must be at least one, with names of their own, got {names}"
            )
        self._candidate, self._opponents, self._clock = candidate, opponents, clock
        self._times: list[float] = []
        self._opponent_times: list[dict[int, float]] = [{} for _ in opponents]
        one_call = _one_call(clock, candidate, seconds)
        self.rounds = _rounds(one_call, seconds, _FEWEST if one_call < seconds else _ENOUGH_PAIRS)
        self._schedule = [self._rounds_of(opponent, seconds) for opponent in opponents]

    def _rounds_of(self, opponent: Opponent, seconds: float) -> set[int]:
        count = 1
        if not opponent.once:
            one_call = _one_call(self._clock, opponent.run, seconds)
            count = min(self.rounds, _rounds(one_call, seconds, _ENOUGH_PAIRS))
        # Spread over the run: the middle of `count` equal parts.
        return {(2 * i + 1) * self.rounds // (2 * count) for i in range(count)}

    def run_opponents(self) -> None:
        """First half of a round."""
        now = len(self._times)
        for opponent, schedule, times in zip(
            self._opponents, self._schedule, self._opponent_times, strict=True
        ):
            if now in schedule:
                times[now] = self._clock(opponent.run)

    def run_candidate(self) -> None:
        """Second half of a round."""
        self._times.append(self._clock(self._candidate))

    def ratios(self, name: str, device: str, benchmark: str = "") -> list[Ratio]:
        """One ratio for each opponent, after all rounds."""
        result = []
        mine = statistics.median(self._times)
        for opponent, times in zip(self._opponents, self._opponent_times, strict=True):
            theirs = statistics.median(times.values())
            if len(times) >= _ENOUGH_PAIRS:
                costs = [self._times[i] / (opponent.work * t) for i, t in times.items()]
                quartiles = statistics.quantiles(costs, n=4, method="inclusive")
            else:  # too few pairs: the candidate's median is steadier than its one partner
                quartiles = [mine / (opponent.work * theirs)] * 3
            low, middle, high = sorted(opponent.kind.from_cost(cost) for cost in quartiles)
            result.append(
                Ratio(
                    name=name,
                    against=opponent.name,
                    device=device,
                    kind=opponent.kind,
                    value=middle,
                    low=low,
                    high=high,
                    pairs=len(times),
                    seconds=mine,
                    against_seconds=theirs,
                    goal=opponent.goal,
                    note=opponent.note,
                    benchmark=benchmark,
                )
            )
        return result


def _one_call(clock: Clock, run: Work, budget: float) -> float:
    """Warm up; the first call compiles and allocates, so a second one tells the time."""
    first = clock(run)
    return min(first, clock(run)) if first < budget else first


def _rounds(one_call: float, budget: float, fewest: int) -> int:
    return max(fewest, min(_MOST, int(budget / max(one_call, 1e-9))))


__all__ = ["Clock", "Opponent", "Race", "Work", "no_garbage_collection", "wall_clock"]
