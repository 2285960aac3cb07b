"""The judge of quantizers without alpha: whom it clears, what it says, what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import reference
import torch_impl
from oracles import array_function, torch_quantizer_baseline, verify_quantizer_baseline
from oracles.baselines import KINDS, step_tolerances
from oracles.baselines.cases import STEP_REGIMES, make_step_cases
from oracles.baselines.subject import STEP_OUTPUTS, BaselineSubject, Points, partials_at
from oracles.baselines.tolerance import ambiguous
from oracles.mutants.baselines_sound import (
    BASELINE_SOUND,
    FINITE_ONLY,
    LSQ_SCALE,
    plain,
    rounded_baseline,
    scale_of,
)
from reference.cpmf import nearest_level

CONFIGURATIONS = [(kind, dtype) for kind in KINDS for dtype in ("float32", "float64")]
EVIDENCE = {
    "contract",
    "finite",
    "reference",
    "determinism",
    "neighbours",
    "definition",
    "euler",
    "bounds",
    "oddness",
    "scale",
    "shift",
    "limits",
    "strided",
    "empty",
    "unwritten",
    "broadcast",
}


def own(kind: str, **options: Any) -> Any:
    """The library's torch function."""
    function = getattr(torch_impl, f"{kind}_quantize")
    return torch_quantizer_baseline(function, kind, **options)


# Whom it clears


@pytest.mark.parametrize("name", BASELINE_SOUND)
def test_a_sound_implementation_passes_for_every_seed(name: str) -> None:
    # Each seed takes the next configuration; half of the tolerance stays in reserve (measured
    # over 50 seeds of every configuration: 0.47 at most, by the reciprocal in float64).
    for seed in range(len(CONFIGURATIONS) if name == "remainder" else 48):
        kind, dtype = CONFIGURATIONS[seed % len(CONFIGURATIONS)]
        finite_only = name in FINITE_ONLY
        report = verify_quantizer_baseline(
            BASELINE_SOUND[name](kind),
            kind,
            dtype=dtype,
            seed=seed,
            gradient_scale=scale_of(kind),
            nonfinite=not finite_only,
        )
        report.raise_if_failed()
        assert report.worst < 0.5
        expected = EVIDENCE | (set() if finite_only else {"nonfinite"})
        assert set(report.evidence()) == expected | (
            set() if kind == "straight_through" else {"differences"}
        )
        assert not report.notes


@pytest.mark.parametrize(("kind", "dtype"), CONFIGURATIONS)
def test_the_librarys_own_are_exact(kind: str, dtype: str) -> None:
    scale = scale_of(kind)
    for fn in (own(kind, dtype=dtype, gradient_scale=scale), rounded_baseline(kind)):
        report = verify_quantizer_baseline(
            fn, kind, dtype=dtype, seed=1, gradient_scale=scale, exact=True
        )
        report.raise_if_failed()


@pytest.mark.parametrize("kind", ["cubic", "straight_through", "hard"])
def test_division_moves_levels_and_so_is_not_exact(kind: str) -> None:
    options: dict[str, Any] = {"gradient_scale": scale_of(kind), "budget": "full"}
    verify_quantizer_baseline(plain(kind), kind, **options).raise_if_failed()
    report = verify_quantizer_baseline(plain(kind), kind, exact=True, **options)
    assert "reference" in report.evidence(failed=True)
    wrong = {check.regime for check in report.failures if check.evidence == "reference"}
    assert "near ties" in wrong


def test_a_larger_budget_has_more_inputs() -> None:
    quick, full = (
        verify_quantizer_baseline(rounded_baseline("hard"), "hard", budget=budget)
        for budget in ("quick", "full")
    )
    full.raise_if_failed()
    assert sum(c.count for c in full.checks) > 5 * sum(c.count for c in quick.checks)


def test_other_array_libraries() -> None:
    def fn(z: Any, q: Any, max_level: int) -> Any:
        return plain("hard")(z, q, max_level)

    adapted = array_function(fn, namespace=np)
    verify_quantizer_baseline(adapted, "hard").raise_if_failed()


# What either side of a tie or of an end gives


@pytest.mark.parametrize("kind", KINDS)
def test_the_judges_own_formulas_are_those_of_the_reference(kind: str) -> None:
    for level in (1, 3, 127):
        rng = np.random.default_rng(level)
        cases = make_step_cases(level, per_regime=30, dtype=np.dtype("float32"), rng=rng)
        points = cases.points
        nearest, distance = nearest_level(points.z, points.q, level)
        outside = (np.abs(nearest) == level) & (np.sign(nearest) * distance >= 0)
        with np.errstate(over="ignore"):
            d = distance / points.q
        ours = partials_at(kind, points, nearest, d, outside, scale_of(kind))
        subject = BaselineSubject(
            plain(kind), kind, np.dtype("float64"), level, scale_of(kind), True
        )
        # Both in float64: within its tolerances.
        assert (np.abs(ours - subject.expected(points)) <= subject.tolerance(points)).all()


def test_either_side_is_right_where_rounding_decides_and_nowhere_else() -> None:
    q = np.array([0.1, 0.1, 1.0, 1.0, 0.1, 0.1, 1.0, 0.1])
    c = np.array([2.5, 2.4, 2.5, -2.5, 7.0, -7.0, 7.0, 7.6])
    q = q.astype(np.float32).astype(float)
    z = (c * q).astype(np.float32).astype(float)
    tie, end = ambiguous(z, q, max_level=7, dtype="float32")
    assert tie.tolist() == [True, False, False, False, False, False, False, False]
    assert end.tolist() == [False, False, False, False, True, True, False, False]
    # In float64 these z are far from their ties.
    tie, end = ambiguous(z, q, max_level=7, dtype="float64")
    assert not (tie | end).any()


@pytest.mark.parametrize("kind", ["cubic", "straight_through", "hard"])
def test_outputs_of_two_different_sides_are_rejected(kind: str) -> None:
    """Value of one level, gradient of its neighbour."""

    def fn(z: Any, q: Any, level: int) -> Any:
        good = plain(kind)(z, q, level)
        up, down = (plain(kind)(z * z.dtype.type(s), q, level) for s in (1 + 2e-7, 1 - 2e-7))
        near = up[0] - down[0] > 0.5 * q  # a level in between
        near &= abs(z / q) % 1 != 0.5  # where half-up is required anyway
        return (
            np.where(near, up[0], good[0]),
            np.where(near, down[1], good[1]),
            np.where(near, down[2], good[2]),
        )

    report = verify_quantizer_baseline(
        fn, kind, gradient_scale=scale_of(kind), budget="full", nonfinite=False
    )
    assert "reference" in report.evidence(failed=True)


# Inputs and tolerances


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cases_hold_every_regime_and_are_exact(dtype: str) -> None:
    kind = np.dtype(dtype)
    for level in (1, 127):
        cases = make_step_cases(level, per_regime=4, dtype=kind, rng=np.random.default_rng(0))
        assert cases.points.z.size % 2
        assert set(cases.regimes) == set(range(len(STEP_REGIMES)))
        names = list(STEP_REGIMES)
        assert (names[cases.regimes[0]], names[cases.regimes[-1]]) == ("saturated", "inside")
        for array in cases.points:
            np.testing.assert_array_equal(array.astype(kind).astype(float), array)
        assert (cases.points.q > 0).all()
        assert (np.abs(cases.points.noise) <= 0.5).all()
        assert np.isfinite(cases.points.z).all()


def test_ties_and_ends_are_where_their_names_say() -> None:
    cases = make_step_cases(
        7, per_regime=50, dtype=np.dtype("float32"), rng=np.random.default_rng(3)
    )
    c = cases.points.z / cases.points.q
    names = list(STEP_REGIMES)

    def of(name: str) -> Any:
        return c[cases.regimes == names.index(name)]

    np.testing.assert_array_equal(np.abs(of("ties")) % 1, 0.5)
    near = np.abs(of("near ties")) % 1
    assert (np.abs(near - 0.5) < 1e-5).all()
    assert len(set(near)) > 5
    assert (np.abs(of("ends")) == 7).any()
    assert np.any(np.abs(of("near ends")) < 7)
    assert np.any(np.abs(of("near ends")) > 7)
    assert (np.abs(of("saturated")) > 7).all()


def test_tolerances_are_of_the_size_of_rounding() -> None:
    z, q = np.array([0.3, 100.2, 1e9]), np.ones(3)
    tight = step_tolerances(z, q, max_level=127, dtype="float32")
    loose = step_tolerances(z, q, max_level=127, dtype="float32", exact=False, gradient_scale=0.5)
    eps = 2.0**-23
    np.testing.assert_allclose(tight.dz, 8 * eps)
    np.testing.assert_allclose(tight.value, 8 * eps * np.array([0.8, 100.7, 127.5]))
    assert (np.array(loose)[:2] >= np.array(tight)[:2]).all()
    # Saturated, d is 0, and division loses nothing of it.
    assert loose.value[2] == tight.value[2]
    # d/dq of the cubic: 6 r d times 2 eps (1 + |c|), at |c| = 100 and d = 0.2.
    assert loose.dq[1] == pytest.approx(0.5 * eps * (8 * 100.7 + 203 * (1 + 1.2 * 100.4)), rel=0.01)


# What it says


@pytest.mark.parametrize("output", range(3))
@pytest.mark.parametrize("position", [0, -1])
def test_one_wrong_element_is_found_and_named(output: int, position: int) -> None:
    sizes = []

    def fn(z: Any, q: Any, max_level: int) -> Any:
        results = rounded_baseline("cubic")(z, q, max_level)
        if z.size:
            results[output][position] += 0.5 * q[position] ** (output == 0)
        sizes.append(z.size)
        return results

    report = verify_quantizer_baseline(fn, "cubic")
    found = [check for check in report.failures if check.evidence == "reference"]
    assert found
    for check in found:
        assert check.output == STEP_OUTPUTS[output]
        assert check.where is not None
        assert set(check.where.inputs) == {"z", "q", "max_level"}
        assert check.where.index == 0 if position == 0 else check.where.index + 1 in sizes


def test_one_element_alone_is_compared_with_the_batch() -> None:
    def fn(z: Any, q: Any, max_level: int) -> Any:
        value, dz, dq = rounded_baseline("hard")(z, q, max_level)
        return value, dz, dq * dq.dtype.type(1 + (z.size == 1))

    report = verify_quantizer_baseline(fn, "hard")
    wrong = {check.regime for check in report.failures if check.evidence == "neighbours"}
    assert wrong <= set(STEP_REGIMES)
    assert "saturated" in wrong  # the first element


def test_the_verdict_is_repeatable_and_replayable() -> None:
    fn = rounded_baseline("uniform_noise")
    report = verify_quantizer_baseline(fn, "uniform_noise", seed=3, dtype="float64")
    assert report == verify_quantizer_baseline(fn, "uniform_noise", seed=3, dtype="float64")
    assert report.title == "uniform noise quantizer, float64, seed 3, budget quick"
    assert report.replay() == (
        "oracles.verify_quantizer_baseline(fn, 'uniform_noise', dtype='float64', seed=3, "
        "budget='quick', gradient_scale=1.0, exact=False, nonfinite=True)"
    )
    assert type(report).from_json(report.to_json()) == report
    assert "uniform noise quantizer" in report.to_html()


def _three(z: Any, q: Any, level: int) -> Any:
    return rounded_baseline("hard")(z, q, level)


BROKEN: dict[str, tuple[Any, str]] = {
    "None": (lambda *_: None, "returned NoneType"),
    "value only": (lambda *a: _three(*a)[0], "returned ndarray"),
    "two outputs": (lambda *a: _three(*a)[:2], "returned 2 outputs"),
    "a number": (lambda z, q, level: (*_three(z, q, level)[:2], 1.0), "dq is float"),
    "raises": (lambda z, q, level: z @ np.ones((2, 2)), "the function raised ValueError"),
    "takes noise": (lambda z, q, noise, level: None, "the function raised TypeError"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_contract_is_a_failed_report(name: str) -> None:
    fn, message = BROKEN[name]
    report = verify_quantizer_baseline(fn, "hard")
    assert [check.evidence for check in report.failures] == ["contract"]
    assert message in str(report)


# What it refuses


@pytest.mark.parametrize(
    ("kind", "arguments", "error", "message"),
    [
        ("balle", {}, ValueError, "kind must be one of uniform_noise, cubic, straight_through"),
        (None, {}, ValueError, "kind must be one of .*, got None"),
        ("cubic", {"dtype": "float16"}, ValueError, "dtype must be 'float32' or 'float64'"),
        ("cubic", {"seed": -1}, ValueError, "seed must be >= 0"),
        ("cubic", {"budget": "x"}, ValueError, "budget must be one of quick, full"),
        ("cubic", {"exact": 1}, TypeError, "exact must be True or False, got 1"),
        ("cubic", {"nonfinite": None}, TypeError, "nonfinite must be True or False, got None"),
        ("cubic", {"gradient_scale": 0.5}, ValueError, "belongs to straight_through alone"),
        ("straight_through", {"gradient_scale": 0.0}, ValueError, "positive and finite, got 0.0"),
        ("straight_through", {"gradient_scale": "1"}, TypeError, "gradient_scale must be a number"),
    ],
)
def test_wrong_arguments_of_the_judge_itself(
    kind: Any, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        verify_quantizer_baseline(rounded_baseline("cubic"), kind, **arguments)


def test_the_judge_and_the_adapter_want_a_function() -> None:
    with pytest.raises(TypeError, match="fn must be callable"):
        verify_quantizer_baseline(None, "cubic")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"function must be callable as function\(z, q"):
        torch_quantizer_baseline(3, "cubic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kind must be one of"):
        torch_quantizer_baseline(torch_impl.cubic_quantize, "cube")
    with pytest.raises(ValueError, match="dtype must be one of"):
        torch_quantizer_baseline(torch_impl.cubic_quantize, "cubic", dtype="int8")


# The adapter


def test_the_adapter_hands_over_noise_and_scale() -> None:
    z, q, u = (np.array([x], dtype=np.float32) for x in (0.3, 2.0, 0.25))
    value, dz, dq = own("uniform_noise")(z, q, u, 7)
    assert (float(value[0]), float(dz[0]), float(dq[0])) == pytest.approx((0.8, 1.0, 0.25))
    scaled = own("straight_through", gradient_scale=LSQ_SCALE)(z, q, 7)
    assert float(scaled[2][0]) == pytest.approx(-0.15 * LSQ_SCALE, rel=1e-6)
    plain_ = own("straight_through")(z, q, 7)
    assert float(plain_[2][0]) == pytest.approx(-0.15, rel=1e-6)


def test_the_adapter_refuses_nothing_that_the_reference_takes() -> None:
    """Different shapes: value from the call as it is, partials of the expanded inputs."""
    z, q = np.linspace(-3, 3, 8).reshape(2, 4), np.array([[0.5], [2.0]])
    u = np.full(4, 0.25)
    got = own("uniform_noise", dtype="float64")(z, q, u, 7)
    expected = reference.uniform_noise_partials(z, q, u, max_level=7)
    tolerance = step_tolerances(
        z.ravel(), np.broadcast_to(q, z.shape).ravel(), max_level=7, dtype="float64"
    )
    for ours, theirs, allowed in zip(got, expected, tolerance, strict=True):
        assert (np.abs(ours - theirs).ravel() <= allowed).all()


def test_points_are_taken_together() -> None:
    points = Points(*(np.arange(4.0) + i for i in range(3)))
    assert [array.tolist() for array in points.take([1, 3])] == [[1, 3], [2, 4], [3, 5]]
