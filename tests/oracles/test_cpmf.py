"""The judge of CPMFs: sound ones pass for every seed, broken ones get a failed report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from oracles import verify_cpmf
from oracles.cpmf.bounds import CPMF_CONSTANTS, cpmf_bounds
from oracles.cpmf.subject import CpmfSubject
from oracles.mutants.cpmf_sound import CPMF_SOUND, absolute, rounded_cpmf
from oracles.regimes import make_cases
from oracles.subject import Inputs
from reference.cpmf import cpmf, nearest_level
from tests.oracles.test_sound import CONFIGURATIONS

SOUND = rounded_cpmf(None)
EVIDENCE = {
    "contract",
    "finite",
    "levels",
    "reference",
    "sums",
    "range",
    "ratio",
    "mean",
    "determinism",
    "neighbours",
    "oddness",
    "scale",
    "shift",
    "limits",
    "strided",
    "empty",
    "unwritten",
    "broadcast",
}


@pytest.mark.parametrize("name", CPMF_SOUND)
def test_a_sound_implementation_passes_for_every_seed(name: str) -> None:
    # Each support and dtype once; tests.oracles.calibrate_cpmf has more seeds.
    for seed in range(len(CONFIGURATIONS)):
        dtype, window = CONFIGURATIONS[seed % len(CONFIGURATIONS)]
        fn = CPMF_SOUND[name](window)
        report = verify_cpmf(fn, window=window, dtype=dtype, seed=seed)
        report.raise_if_failed()
        assert set(report.evidence()) == EVIDENCE
        assert not report.notes


def test_absolute_coordinates_are_sound_in_float64_only() -> None:
    """Far outside, float32 squares lose the difference between two levels."""
    verify_cpmf(absolute(None), dtype="float64").raise_if_failed()
    report = verify_cpmf(absolute(None))
    assert set(report.evidence(failed=True)) == {"reference", "ratio", "mean"}
    # Not by a hair, and nowhere but where a coefficient is saturated or the sum is long.
    assert {check.regime for check in report.failures} <= {"saturated", "grid", "flat"}
    assert report.worst > 30


@pytest.mark.parametrize("window", [None, 5])
def test_a_larger_budget_passes_too(window: int | None) -> None:
    report = verify_cpmf(CPMF_SOUND["log-sum-exp in z"](window), window=window, budget="full")
    report.raise_if_failed()
    quick = verify_cpmf(SOUND if window is None else rounded_cpmf(window), window=window)
    assert sum(c.count for c in report.checks) > 5 * sum(c.count for c in quick.checks)


def test_the_map_is_of_probabilities_over_h_and_c() -> None:
    (found,) = verify_cpmf(SOUND).maps
    assert (found.output, found.x_label, found.y_label) == (
        "probabilities",
        "h = alpha q^2",
        "c = z / q",
    )
    assert (len(found.worst), len(found.worst[0])) == (len(found.y), len(found.x)) == (31, 25)
    assert max(max(row) for row in found.worst) < 1

    def fn(z: Any, q: Any, alpha: Any, level: int) -> Any:
        levels, p = SOUND(z, q, alpha, level)
        return levels, np.where((alpha * q * q > 100)[:, None], p * np.float32(1.01), p)

    (found,) = verify_cpmf(fn).maps
    columns = np.array(found.worst).max(axis=0)
    assert np.all(columns[np.array(found.x) > 101] > 1)
    assert np.all(columns[np.array(found.x) < 99] < 1)


def _with(row: int, change: Callable[[Any], Any]) -> Callable[..., Any]:
    def fn(*args: Any) -> Any:
        out = list(SOUND(*args))
        out[row] = change(out[row])
        return tuple(out)

    return fn


def _mutates(z: Any, q: Any, alpha: Any, level: int) -> Any:
    out = SOUND(z, q, alpha, level)
    alpha *= 2
    return out


BROKEN: dict[str, tuple[Callable[..., Any], str]] = {
    "None": (lambda *_: None, "returned NoneType"),
    "probabilities only": (lambda *a: SOUND(*a)[1], "returned ndarray"),
    "three outputs": (lambda *a: (*SOUND(*a), a[0]), "returned 3 outputs"),
    "transposed": (_with(1, lambda p: p.T), "probabilities has shape"),
    "flat": (_with(1, np.ravel), "probabilities has shape"),
    "one row of levels": (_with(0, lambda n: n[0]), "levels has shape"),
    "a level short": (_with(1, lambda p: p[:, :-1]), "probabilities has shape"),
    "integers as probabilities": (_with(1, lambda p: p.astype(int)), "probabilities has dtype"),
    "float16": (_with(1, lambda p: p.astype(np.float16)), "probabilities has dtype float16"),
    "complex levels": (_with(0, lambda n: n + 0j), "levels has dtype complex"),
    "changes its inputs": (_mutates, "changed its input arrays"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_contract_is_a_failed_report(name: str) -> None:
    fn, message = BROKEN[name]
    report = verify_cpmf(fn)
    assert [check.evidence for check in report.failures] == ["contract"]
    assert message in str(report)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64, np.float32, np.float64])
def test_levels_may_be_of_any_integer_or_floating_dtype(dtype: Any) -> None:
    def fn(z: Any, q: Any, alpha: Any, level: int) -> Any:
        levels, p = rounded_cpmf(5)(z, q, alpha, level)
        return levels.astype(np.int16 if level > 127 and dtype is np.int8 else dtype), p

    verify_cpmf(fn, window=5).raise_if_failed()


def test_either_window_is_accepted_where_rounding_decides() -> None:
    """Next to a tie, with probabilities of the window that was named, and of no other."""
    rng = np.random.default_rng(0)
    n = rng.integers(-90, 90, 4000)
    q = rng.uniform(1.0, 3.0, n.size).astype(np.float32).astype(float)
    z = ((n + 0.5) * q).astype(np.float32).astype(float)
    inputs = Inputs(z, q, 0.5 / q**2)
    subject = CpmfSubject(SOUND, 5, np.dtype(np.float32), 127)
    either = ~subject.sure(inputs)
    assert np.count_nonzero(either) > 3000
    inputs = inputs.take(either)
    expected = subject.expected(inputs)
    _, distance = nearest_level(*inputs[:2], 127)
    other = np.where(distance < 0, -1, 1)[:, None] + expected.levels
    found = subject.expected_like(inputs, other)
    np.testing.assert_array_equal(found.levels, other)
    for i in range(0, inputs.z.size, 500):
        with mpmath.workdps(30):
            a, b, c = (mpmath.mpf(float(x[i])) for x in inputs)
            weights = [mpmath.exp(-c * (a - int(k) * b) ** 2) for k in other[i]]
            exact = [float(w / mpmath.fsum(weights)) for w in weights]
        np.testing.assert_allclose(found.probabilities[i], exact, rtol=1e-13)
    # A window that neither rounding gives is none of these.
    again = subject.expected_like(inputs, other + 1 * np.sign(distance)[:, None])
    np.testing.assert_array_equal(again.levels, expected.levels)


def test_bounds_grow_with_their_constants_and_hold_the_exact_ratio() -> None:
    cases = make_cases(15, per_regime=9, dtype="float32", rng=np.random.default_rng(2))
    levels = np.arange(-15.0, 16.0) * np.ones((cases.inputs.z.size, 1))
    found = cpmf_bounds(*cases.inputs, levels, max_level=15, dtype="float32")
    for field in CPMF_CONSTANTS._fields:
        smaller = CPMF_CONSTANTS._replace(**{field: getattr(CPMF_CONSTANTS, field) / 2})
        less = cpmf_bounds(*cases.inputs, levels, max_level=15, dtype="float32", constants=smaller)
        assert np.all(less.probabilities <= found.probabilities)
        assert np.all(less.total <= found.total)
        changed = np.any(less.probabilities < found.probabilities)
        assert changed or np.any(less.total < found.total)
    assert np.all(found.probabilities > 0)
    # A probability is at most 1: no error is larger than twice that and the rounding.
    assert np.all(found.probabilities < 2.01)
    with np.errstate(all="ignore"):
        p = cpmf(*cases.inputs, max_level=15).probabilities
        got = np.log(p[:, 1:] / p[:, :-1])
    sure = (p[:, 1:] > 1e-290) & (p[:, :-1] > 1e-290)
    np.testing.assert_allclose(got[sure], found.log_ratio[sure], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"window": 4}, ValueError, "window must be None or an odd number >= 3, got 4"),
        ({"dtype": "float16"}, ValueError, "dtype must be 'float32' or 'float64'"),
        ({"seed": -1}, ValueError, "seed must be >= 0"),
        ({"budget": "x"}, ValueError, "budget must be one of quick, full"),
    ],
)
def test_wrong_arguments_of_the_judge_itself(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        verify_cpmf(SOUND, **arguments)
    with pytest.raises(TypeError, match="fn must be callable"):
        verify_cpmf(None)  # type: ignore[arg-type]


def test_the_verdict_is_repeatable_and_replayable() -> None:
    report = verify_cpmf(SOUND, seed=3, dtype="float64")
    assert report == verify_cpmf(SOUND, seed=3, dtype="float64")
    assert report.settings == {
        "contract": "cpmf",
        "window": None,
        "dtype": "float64",
        "seed": 3,
        "budget": "quick",
    }
    assert report.title == "CPMF, all levels, float64, seed 3, budget quick"
