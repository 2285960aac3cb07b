"""Interleaving and ratios, with a clock that the test sets."""

from __future__ import annotations

import pytest

from benchmarks.measure import Opponent, Race, no_garbage_collection, wall_clock
from benchmarks.ratios import SMALLEST_OVERHEAD, Kind, Ratio


class FakeMachine:
    """Work takes as long as it says, times how slow the machine is at the moment."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.slowness = 1.0
        self.drift = 1.0  # factor from call to call

    def work(self, name: str, seconds: float):
        def run() -> float:
            self.calls.append(name)
            return seconds

        return run

    def clock(self, run) -> float:
        self.slowness *= self.drift
        return run() * self.slowness


def _run(race: Race) -> None:
    for _ in range(race.rounds):
        race.run_opponents()
        race.run_candidate()


def _race(machine: FakeMachine, *opponents: Opponent, mine: float = 0.01) -> Race:
    race = Race(machine.work("mine", mine), opponents, machine.clock, seconds=0.1)
    machine.calls.clear()
    return race


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(Kind.SPEEDUP, 4.0), (Kind.MULTIPLE, 0.25), (Kind.SHARE, 4.0), (Kind.OVERHEAD, -0.75)],
)
def test_kinds(kind: Kind, expected: float) -> None:
    machine = FakeMachine()
    race = _race(machine, Opponent("slow", machine.work("slow", 0.04), kind))
    _run(race)
    (ratio,) = race.ratios("fast", "cpu", "test_x")
    assert ratio.value == pytest.approx(expected)
    assert (ratio.name, ratio.against, ratio.benchmark) == ("fast", "slow", "test_x")
    assert ratio.seconds == pytest.approx(0.01)
    assert ratio.against_seconds == pytest.approx(0.04)


def test_rounds_alternate_and_fill_the_budget() -> None:
    machine = FakeMachine()
    race = _race(machine, Opponent("other", machine.work("other", 0.01)))
    _run(race)
    assert machine.calls == ["other", "mine"] * 10  # 0.1 s of 0.01 s each


def test_drift_of_the_machine_cancels() -> None:
    """A machine that gets 5 % slower with every call: the two medians are still of one time."""
    machine = FakeMachine()
    machine.drift = 1.05
    race = _race(machine, Opponent("other", machine.work("other", 0.02)))
    _run(race)
    (ratio,) = race.ratios("x", "cpu")
    assert ratio.value == pytest.approx(2.0 / 1.05)
    assert ratio.low == pytest.approx(ratio.high)


def test_disturbed_rounds_are_forgotten() -> None:
    machine = FakeMachine()
    race = _race(machine, Opponent("other", machine.work("other", 0.02)))
    for i in range(race.rounds):
        race.run_opponents()
        machine.slowness = 50.0 if i % 3 == 0 else 1.0
        race.run_candidate()
        machine.slowness = 1.0
    (ratio,) = race.ratios("x", "cpu")
    assert ratio.value == pytest.approx(2.0)
    assert ratio.low < 0.1


def test_part_of_the_work_is_scaled() -> None:
    machine = FakeMachine()
    quarter = Opponent("part", machine.work("part", 0.01), work=4.0, note="on 1/4")
    race = _race(machine, quarter)
    _run(race)
    (ratio,) = race.ratios("x", "cpu")
    assert ratio.value == pytest.approx(4.0)
    assert ratio.note == "on 1/4"


def test_slow_opponents_sit_out() -> None:
    machine = FakeMachine()
    once = Opponent("once", machine.work("once", 9.0), once=True)
    seldom = Opponent("seldom", machine.work("seldom", 0.09))
    race = Race(machine.work("mine", 0.01), (once, seldom), machine.clock, seconds=0.1)
    assert machine.calls.count("once") == 0  # not even to warm up
    machine.calls.clear()
    _run(race)
    assert machine.calls.count("mine") == 10
    assert machine.calls.count("once") == 1
    assert machine.calls.count("seldom") == 3
    where = [
        machine.calls[: i + 1].count("mine") for i, c in enumerate(machine.calls) if c != "mine"
    ]
    assert min(where) > 0  # spread over the run, not all in front
    assert max(where) < 10
    first, second = race.ratios("x", "cpu")
    assert first.value == pytest.approx(900.0)
    assert (first.low, first.high, first.pairs) == (first.value, first.value, 1)
    assert second.pairs == 3


def test_few_rounds_of_a_slow_candidate() -> None:
    machine = FakeMachine()
    race = _race(machine, Opponent("other", machine.work("other", 0.01)), mine=3.0)
    _run(race)
    assert machine.calls == ["other", "mine"] * 3


def test_opponents_need_names_of_their_own() -> None:
    machine = FakeMachine()
    one = Opponent("same", machine.work("a", 1.0))
    with pytest.raises(ValueError, match="names of their own"):
        _race(machine, one, one)
    with pytest.raises(ValueError, match="at least one"):
        _race(machine)


def test_wall_clock_measures_the_call() -> None:
    import time

    seconds = wall_clock(lambda: time.sleep(0.02))
    assert 0.02 <= seconds < 10  # a sleep is never shorter; the rest is the machine's business


def test_garbage_collection_is_off_and_comes_back() -> None:
    import gc

    with no_garbage_collection():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), no_garbage_collection():
        raise KeyError
    assert gc.isenabled()


def _ratio(kind: Kind, value: float, goal: float | None) -> Ratio:
    return Ratio("a", "b", "cpu", kind, value, value, value, 5, 1.0, 1.0, goal)


@pytest.mark.parametrize(
    ("kind", "value", "goal", "met"),
    [
        (Kind.SPEEDUP, 200.0, 200.0, True),
        (Kind.SPEEDUP, 199.0, 200.0, False),
        (Kind.SHARE, 0.61, 0.60, True),
        (Kind.SHARE, 0.59, 0.60, False),
        (Kind.OVERHEAD, 0.03, 0.03, True),
        (Kind.OVERHEAD, 0.04, 0.03, False),
        (Kind.MULTIPLE, 1.0, 1.1, True),
        (Kind.MULTIPLE, 1.2, 1.1, False),
        (Kind.SPEEDUP, 5.0, None, None),
    ],
)
def test_goals(kind: Kind, value: float, goal: float | None, met: bool | None) -> None:
    assert _ratio(kind, value, goal).goal_met is met


@pytest.mark.parametrize("kind", list(Kind))
def test_cost_undoes_from_cost(kind: Kind) -> None:
    """Up to a constant: twice the time is twice the cost (an overhead counts by itself)."""
    cost = 1.3
    value = kind.from_cost(cost)
    assert kind.cost(value) == pytest.approx(0.3 if kind is Kind.OVERHEAD else cost)
    assert (kind.from_cost(2 * cost) > value) is not kind.more_is_better


def test_small_overheads_are_alike() -> None:
    assert Kind.OVERHEAD.cost(0.01) == Kind.OVERHEAD.cost(-0.02) == SMALLEST_OVERHEAD


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Kind.SPEEDUP, 12.345, "12.3x faster"),
        (Kind.SPEEDUP, 1234.5, "1234x faster"),
        (Kind.SPEEDUP, 0.5, "0.5x as fast"),
        (Kind.MULTIPLE, 1.5, "1.5x the time"),
        (Kind.SHARE, 0.618, "61.8% of it"),
        (Kind.OVERHEAD, 0.36, "+36.0% time"),
    ],
)
def test_text(kind: Kind, value: float, text: str) -> None:
    assert kind.text(value) == text
