"""The judge of roundings: whom it clears, what it says, what it refuses; and its twin."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from oracles import torch_rounding, verify_rounding
from oracles.diff_jpeg.rounding_cases import ROUNDING_REGIMES, make_rounding_cases
from oracles.diff_jpeg.rounding_subject import RoundingPoints, RoundingSubject
from oracles.diff_jpeg.rounding_tolerance import EXACT, rounding_tolerances, split
from oracles.mutants.rounding_sound import ROUNDING_SOUND, plain_rounding, rounded_twin
from oracles.report import Report
from reference.surrogates import KINDS

FORMS = [(floor, true) for floor in (False, True) for true in (False, True)]


# The twin


def exactly(kind: str, x: float, noise: float, *, floor: bool) -> tuple[Any, Any]:
    """Value and derivative as the definitions stand; in 360 digits x - 1/2 rounds nowhere."""
    y = mpmath.mpf(x) - (mpmath.mpf(1) / 2 if floor else 0)
    whole = mpmath.floor(y + mpmath.mpf(1) / 2)
    if kind == "uniform_noise":
        return y + noise, 1
    if kind == "straight_through":
        return whole, 1

    def value(t: Any) -> Any:
        d = t - whole
        if kind == "cubic":
            return whole + d**3
        if kind == "linear":
            return whole + d / 10
        if kind == "fourier":
            terms = (
                (-1) ** (k + 1) * mpmath.sin(2 * mpmath.pi * k * t) / (k * mpmath.pi)
                for k in range(1, 11)
            )
            return t - mpmath.fsum(terms)
        if kind == "soft":
            near = range(int(whole) - 6, int(whole) + 7)
            weights = {k: mpmath.exp(-10 * (t - k) ** 2) for k in near}
            return mpmath.fsum(k * w for k, w in weights.items()) / mpmath.fsum(weights.values())
        steepness = {"sigmoid": 60, "tanh": 10}[kind]
        low = mpmath.floor(y)
        return low + 1 / (1 + mpmath.exp(-steepness * (t - low - mpmath.mpf(1) / 2)))

    # One-sided where a logistic step jumps: the profile to the right.
    return value(y), mpmath.diff(value, y)


@pytest.mark.parametrize("floor", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_twin_is_the_definition_in_many_digits(kind: str, floor: bool) -> None:
    rng = np.random.default_rng(1)
    points, _ = make_rounding_cases(per_regime=5, dtype=np.dtype("float64"), rng=rng)
    # Beyond 2^40 the definition needs more digits than there are.
    points = points.take(np.abs(points.x) < 2.0**40)
    subject = RoundingSubject(rounded_twin(kind, floor=floor), kind, np.dtype("float64"), floor)
    ours, tolerance = subject.expected(points), subject.tolerance(points)
    with mpmath.workdps(360):
        rows = [
            exactly(kind, x, u, floor=floor)
            for x, u in zip(points.x.tolist(), points.noise.tolist(), strict=True)
        ]
    theirs = np.array([[float(a) for a in row] for row in rows]).T
    _, d = split(points.x, floor=floor)
    # The judge holds others to these tolerances: the twin has to keep half of them.
    if kind in ("sigmoid", "tanh"):
        smooth = (d != 0) & (np.abs(d) != 0.5)
        ours, theirs, tolerance = ours[:, smooth], theirs[:, smooth], tolerance[:, smooth]
    assert (np.abs(ours[0] - theirs[0]) <= 0.5 * tolerance[0] + EXACT).all()
    # Numerical differentiation at a kink takes points on both sides; the profile here has one.
    assert (np.abs(ours[1] - theirs[1]) <= 0.5 * tolerance[1] + 1e-25).all()


# Whom it clears


@pytest.mark.parametrize("name", ROUNDING_SOUND)
def test_a_sound_rounding_passes_for_every_seed(name: str) -> None:
    # Four seeds of each kind, dtype and form; a quarter of the tolerance stays in reserve. Measured
    # over 20 seeds of each: 0.6 at most, where a float has no fraction and the profile is lost.
    for seed in range(4):
        for kind in KINDS:
            for dtype in ("float32", "float64"):
                floor, true = FORMS[(seed + KINDS.index(kind)) % 4]
                options = {"floor": floor, "straight_through": true}
                fn = ROUNDING_SOUND[name](kind, **options)
                report = verify_rounding(fn, kind, dtype=dtype, seed=seed, **options)
                report.raise_if_failed()
                assert report.worst < 0.75
                assert not report.notes


def test_a_larger_budget_has_more_inputs() -> None:
    quick, full = (
        verify_rounding(rounded_twin("cubic"), "cubic", budget=budget)
        for budget in ("quick", "full")
    )
    full.raise_if_failed()
    assert sum(c.count for c in full.checks) > 20 * sum(c.count for c in quick.checks)


# What it says


EVIDENCE = {
    *("contract", "finite", "reference", "determinism", "bounds", "monotone", "period"),
    *("oddness", "differences", "jumps", "limits", "neighbours", "strided", "empty"),
    *("unwritten", "nonfinite"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_looked_at(kind: str) -> None:
    report = verify_rounding(rounded_twin(kind), kind)
    expected = EVIDENCE - ({"monotone"} if kind == "fourier" else set())
    if kind == "straight_through":
        expected = expected - {"differences"} | {"integers"}
    assert set(report.evidence()) == expected
    true = verify_rounding(rounded_twin(kind, straight_through=True), kind, straight_through=True)
    assert "integers" in true.evidence()
    assert "differences" not in true.evidence()
    finite = verify_rounding(rounded_twin(kind), kind, nonfinite=False)
    assert "nonfinite" not in finite.evidence()


@pytest.mark.parametrize("output", [0, 1])
@pytest.mark.parametrize("kind", ["cubic", "straight_through", "uniform_noise"])
def test_one_wrong_element_is_found_and_named(kind: str, output: int) -> None:
    def fn(x: Any, *noise: Any) -> Any:
        results = rounded_twin(kind)(x, *noise)
        results[output][x == 8388609] += 1
        return results

    report = verify_rounding(fn, kind)
    (check,) = (c for c in report.failures if c.evidence == "reference")
    assert (check.regime, check.output, check.failed) == (
        "no fraction",
        ("value", "derivative")[output],
        1,
    )
    assert check.where is not None
    assert check.where.inputs["x"] == 8388609
    assert set(check.where.inputs) == ({"x", "noise"} if kind == "uniform_noise" else {"x"})


def test_the_number_below_one_half_is_always_there() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        points, regimes = make_rounding_cases(per_regime=5, dtype=np.dtype("float32"), rng=rng)
        assert np.float32(0.49999997) in points.x
        assert set(regimes) == set(range(len(ROUNDING_REGIMES)))
        assert points.x.size % 2
        np.testing.assert_array_equal(points.x.astype(np.float32).astype(float), points.x)
        assert (points.noise >= -0.5).all()
        assert (points.noise < 0.5).all()


def test_tolerances_are_of_the_size_of_rounding() -> None:
    x, eps = np.array([0.25, 100.25, -3.0]), 2.0**-23

    def at(kind: str, **form: bool) -> Any:
        form = {"floor": False, "straight_through": False} | form
        return rounding_tolerances(kind, x, 0 * x, **form, dtype="float32")

    value, slope = at("cubic")
    np.testing.assert_allclose(slope, 8 * eps * np.array([3 / 16, 3 / 16, 0]), atol=1e-40)
    np.testing.assert_allclose(value[0], 10 * eps / 64)
    assert value[1] == pytest.approx(2 * eps * 100, rel=0.01)
    assert (at("cubic", floor=True) >= at("cubic")).all()
    assert (at("cubic", straight_through=True)[0] == EXACT).all()
    assert (at("straight_through") == EXACT).all()
    # A logistic step has no more digits than the integer below it.
    assert (at("sigmoid")[0] >= 2 * eps).all()


def test_the_verdict_is_repeatable_and_replayable() -> None:
    fn = plain_rounding("soft", floor=True)
    report = verify_rounding(fn, "soft", floor=True, seed=3, dtype="float64")
    again = verify_rounding(fn, "soft", floor=True, seed=3, dtype="float64")
    assert report.to_json() == again.to_json()  # an x that is NaN equals no other
    assert report.title == "soft floor, float64, seed 3, budget quick"
    assert report.replay() == (
        "oracles.verify_rounding(fn, dtype='float64', seed=3, budget='quick', nonfinite=True, "
        "kind='soft', floor=True, straight_through=False)"
    )
    assert Report.from_json(report.to_json()).to_json() == report.to_json()
    assert "soft floor" in report.to_html()


BROKEN: dict[str, tuple[Any, str]] = {
    "None": (lambda x: None, "returned NoneType"),
    "value only": (lambda x: rounded_twin("cubic")(x)[0], "returned ndarray"),
    "a number": (lambda x: (x, 1.0), "derivative is float"),
    "raises": (lambda x: x @ x @ x, "the function raised ValueError"),
    "takes noise": (lambda x, noise: None, "the function raised TypeError"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_contract_is_a_failed_report(name: str) -> None:
    fn, message = BROKEN[name]
    report = verify_rounding(fn, "cubic")
    assert [check.evidence for check in report.failures] == ["contract"]
    assert message in str(report)


# What it refuses


@pytest.mark.parametrize(
    ("kind", "arguments", "error", "message"),
    [
        ("cubik", {}, ValueError, "kind must be one of cubic, .*, got 'cubik'"),
        (None, {}, ValueError, "kind must be one of .*, got None"),
        ("cubic", {"dtype": "float16"}, ValueError, "dtype must be 'float32' or 'float64'"),
        ("cubic", {"seed": -1}, ValueError, "seed must be >= 0"),
        ("cubic", {"budget": "x"}, ValueError, "budget must be one of quick, full"),
        ("cubic", {"floor": 1}, TypeError, "floor must be True or False, got 1"),
        ("cubic", {"straight_through": None}, TypeError, "straight_through must be True or False"),
        ("cubic", {"nonfinite": "no"}, TypeError, "nonfinite must be True or False, got 'no'"),
    ],
)
def test_wrong_arguments_of_the_judge_itself(
    kind: Any, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        verify_rounding(rounded_twin("cubic"), kind, **arguments)


def test_the_judge_and_the_adapter_want_a_function() -> None:
    with pytest.raises(TypeError, match=r"fn must be callable as fn\(x\), got NoneType"):
        verify_rounding(None, "cubic")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"function must be callable as function\(x\)"):
        torch_rounding(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dtype must be one of"):
        torch_rounding(round, dtype="int8")


def test_the_adapter_hands_over_noise_and_gives_derivatives() -> None:
    x, u = np.array([0.3, -1.5]), np.array([0.25, -0.5])
    fn = torch_rounding(lambda t, noise: 3 * t + noise, dtype="float64")
    value, slope = fn(x, u)
    np.testing.assert_allclose(value, 3 * x + u)
    np.testing.assert_array_equal(slope, [3, 3])
    assert torch_rounding(lambda t: t * t)(x.astype(np.float32))[1].dtype == np.float32


def test_points_are_taken_together() -> None:
    points = RoundingPoints(np.arange(4.0), np.arange(4.0) / 8)
    assert [array.tolist() for array in points.take([1, 3])] == [[1, 3], [0.125, 0.375]]
