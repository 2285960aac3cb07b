"""The simplest input that still fails: simple, failing, and found within the calls allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from oracles import Report, replay_point, verify_soft_quantizer
from oracles.mutants.quantizer import MUTANTS
from oracles.mutants.sound import rounded_reference
from oracles.quantizer.replay import parse_point
from oracles.quantizer.shrink import shrink_failures


class Counted:
    """Counts the calls of a function."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        self.calls = 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        return self.fn(*arguments)


def shrunk(report: Report) -> dict[str, str]:
    """Text by output."""
    return {
        check.output: check.where.shrunk
        for check in report.failures
        if check.where is not None and check.where.shrunk
    }


def planted(output: int, wrong: Callable[..., Any]) -> Callable[..., Any]:
    """The reference with one output off by 1 where ``wrong(z, q, alpha, max_level)`` holds."""
    sound = rounded_reference(None)

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        parts = [np.array(part) for part in sound(z, q, alpha, max_level)]
        parts[output] = parts[output] + np.where(wrong(z, q, alpha, max_level), z.dtype.type(1), 0)
        return tuple(parts)

    return fn


@pytest.mark.parametrize(
    ("wrong", "point"),
    [
        (lambda z, q, alpha, level: z == z, "z=0x0p+0 q=0x1p+0 alpha=0x1p+0 max_level=1"),
        (lambda z, q, alpha, level: z < 0, None),
        (lambda z, q, alpha, level: alpha * q * q > 4, None),
        (lambda z, q, alpha, level: np.abs(z / q) > level, None),
        (lambda z, q, alpha, level: (z < 0) & (level >= 127), None),
    ],
)
def test_a_planted_condition_survives_and_the_rest_becomes_simple(
    wrong: Callable[..., Any], point: str | None
) -> None:
    fn = planted(1, wrong)
    report = verify_soft_quantizer(fn)
    text, _, told = shrunk(report)["dz"].partition(": ")
    columns, level = parse_point(text)
    (z,), (q,), (alpha,) = (np.array(columns[n], np.float32) for n in ("z", "q", "alpha"))
    assert wrong(z, q, alpha, level)
    assert level in (1, 127)
    for number in (z, q, alpha):  # one significant bit, or two
        assert abs(np.frexp(number)[0]) in (0.0, 0.5, 0.75)
    assert point in (None, text)
    assert "x tolerance" in told
    assert not replay_point(fn, text).passed


@pytest.mark.parametrize("name", ["dz without factor 2", "dq uncentred", "dz NaN when saturated"])
def test_what_is_shrunk_fails_as_the_original_did(name: str) -> None:
    window = MUTANTS[name].windows[-1]
    fn = MUTANTS[name].factory(window)
    report = verify_soft_quantizer(fn, window=window)
    found = shrunk(report)
    assert set(found) == {c.output for c in report.failures if c.evidence == "reference"}
    for output, text in found.items():
        replay = replay_point(fn, text.partition(": ")[0], window=window)
        where = next(where for name, where in replay.rows if name == output)
        assert where.units > 1
        original = max(
            (c for c in report.failures if (c.evidence, c.output) == ("reference", output)),
            key=lambda c: c.worst,
        ).where
        assert original is not None
        assert np.isfinite(where.got) == np.isfinite(original.got)
        assert f"got {where.got!r}" in text


def test_not_a_number_is_not_taken_for_another_error() -> None:
    sound = rounded_reference(None)

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        value, dz, *rest = sound(z, q, alpha, max_level)
        wrong = np.where(np.abs(z) > 2 * max_level * q, np.nan, dz + 1)
        return value, wrong.astype(z.dtype), *rest

    # At z = 0, which is simpler, it is off by 1.
    assert "got nan" in shrunk(verify_soft_quantizer(fn))["dz"]


def test_the_batch_is_kept_where_it_matters() -> None:
    """A fault that needs company: dz of the neighbour is added."""
    fn = MUTANTS["dz leaks to the neighbour"].factory(None)
    report = verify_soft_quantizer(fn)
    text, _, told = shrunk(report)["dz"].partition(": ")
    columns, _ = parse_point(text)
    assert len(columns["z"]) == 2
    assert "element 1 of 2, not alone" in told
    assert not replay_point(fn, text).passed
    for i in range(2):
        one = " ".join(f"{name}={column[i]!r}" for name, column in columns.items())
        assert replay_point(fn, f"{one} max_level=127").passed


def test_a_failure_that_does_not_come_again_is_said_so() -> None:
    calls = 0
    sound = rounded_reference(None)

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        nonlocal calls
        calls += 1
        value, *rest = sound(z, q, alpha, max_level)
        return (value + (calls == 1) * z.dtype.type(1e30), *rest)

    assert "not reproduced" in shrunk(verify_soft_quantizer(fn))["value"]


@pytest.mark.parametrize("calls", [0, 1, 5, 20, 150])
@pytest.mark.parametrize("name", ["alpha of element 0 for all", "half the exponent"])
def test_the_calls_are_counted(name: str, calls: int) -> None:
    fn = MUTANTS[name].factory(5)
    report = verify_soft_quantizer(fn, window=5)
    counted = Counted(fn)
    shrink_failures(counted, bare(report), calls=calls)
    # One more for each output: what the result says was called for.
    assert counted.calls <= calls + 4
    assert calls > 0 or counted.calls == 0


def bare(report: Report) -> Report:
    """The same, before anything was shrunk."""
    return replace(
        report,
        checks=tuple(
            replace(c, where=None if c.where is None else replace(c.where, shrunk=""))
            for c in report.checks
        ),
    )


def test_it_is_repeatable_and_leaves_the_rest_alone() -> None:
    fn = MUTANTS["half the exponent"].factory(5)
    report = verify_soft_quantizer(fn, window=5)
    assert bare(report) != report
    assert shrink_failures(fn, bare(report)) == report


@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_function_that_begins_to_raise_is_left_alone(after: int) -> None:
    fn = MUTANTS["half the exponent"].factory(5)
    report = bare(verify_soft_quantizer(fn, window=5))

    def raising(*arguments: Any) -> Any:
        raising.left -= 1  # type: ignore[attr-defined]
        if raising.left < 0:  # type: ignore[attr-defined]
            raise RuntimeError("out of order")
        return fn(*arguments)

    raising.left = after  # type: ignore[attr-defined]
    result = shrink_failures(raising, report)
    assert bare(result) == report


@pytest.mark.parametrize("name", MUTANTS)
def test_no_fault_makes_it_raise(name: str) -> None:
    mutant = MUTANTS[name]
    window = mutant.windows[-1]
    counted = Counted(mutant.factory(window))
    report = verify_soft_quantizer(counted, window=window, dtype=mutant.dtype)
    before = counted.calls
    shrink_failures(counted, bare(report))
    assert counted.calls - before <= 154
