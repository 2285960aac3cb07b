"""The judge of differentiable JPEG: whom it clears, what it says, what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oracles import torch_diff_jpeg, verify_diff_jpeg
from oracles.diff_jpeg import magnitudes
from oracles.diff_jpeg.bounds import FACTORS, CodingPath, coding_bounds
from oracles.diff_jpeg.cases import make_coding_cases
from oracles.diff_jpeg.movement import clipped, rounded
from oracles.diff_jpeg.subject import Claim, CodingInputs, CodingSubject, whole_tables
from oracles.mutants.diff_jpeg_sound import DIFF_JPEG_SOUND, plain_coding, rounded_coding
from oracles.report import Report
from reference import _diff_jpeg_steps as steps
from reference.layer_steps import Coefficients
from reference.standard import annex_k_tables
from reference.surrogates import KINDS, soft_round

DOUBLE = np.dtype("float64")
SAMPLINGS = list(FACTORS)


# Whom it clears


@pytest.mark.parametrize("name", DIFF_JPEG_SOUND)
def test_a_sound_implementation_passes_for_every_seed(name: str) -> None:
    # A third of the kinds, each in another sampling, form and dtype. Half of the tolerance stays in
    # reserve; docs/tolerances.md has the measurement with all of them.
    first = list(DIFF_JPEG_SOUND).index(name)
    for seed, kind in list(enumerate(KINDS))[first::3]:
        options: dict[str, Any] = {
            "rounding": kind,
            "subsampling": SAMPLINGS[seed % 4],
            "straight_through": bool(seed % 3) or kind == "uniform_noise",
        }
        dtype = ("float32", "float64")[seed % 2]
        report = verify_diff_jpeg(
            DIFF_JPEG_SOUND[name](**options), dtype=dtype, seed=seed, **options
        )
        report.raise_if_failed()
        assert report.worst < 0.5


@pytest.mark.parametrize(
    "parts",
    [
        {"scale_floor": None, "table_floor": None, "table_slope": None, "output_slope": None},
        {"scale_floor": "linear", "table_floor": "straight_through", "output_slope": 0.0},
        {"qtable_rounding": "cubic", "table_slope": 0.5},
        {"qtable_rounding": None, "scale_floor": None},
    ],
    ids=str,
)
def test_parts_are_judged_as_they_are_claimed(parts: dict[str, Any]) -> None:
    fn = plain_coding(**parts)
    verify_diff_jpeg(fn, dtype="float64", **parts).raise_if_failed()
    assert not verify_diff_jpeg(fn, dtype="float64").passed


def test_a_larger_budget_has_more_inputs() -> None:
    quick, full = (
        verify_diff_jpeg(plain_coding(rounding="linear"), rounding="linear", budget=budget)
        for budget in ("quick", "full")
    )
    full.raise_if_failed()
    assert sum(c.count for c in full.checks) > 5 * sum(c.count for c in quick.checks)


# What it looks at


def test_cases_hold_every_quality_and_are_exact() -> None:
    kind = np.dtype("float32")
    cases = {c.name: c.inputs for c in make_coding_cases(dtype=kind, seed=0, budget="quick")}
    quality = cases["every quality"].quality
    assert quality is not None
    assert quality.tolist() == list(range(1, 101))
    assert {i.images.shape[-2:] for i in cases.values()} >= {(1, 1), (19, 3), (5, 4), (1, 21)}
    assert {np.ndim(i.quality) for i in cases.values() if i.quality is not None} == {0, 1}
    assert {np.ndim(i.qtables) for i in cases.values() if i.qtables is not None} == {3, 4}
    for inputs in cases.values():
        assert (inputs.quality is None) != (inputs.qtables is None)
        for array in inputs:
            if array is not None:
                np.testing.assert_array_equal(array.astype(kind).astype(float), array)
        assert inputs.images.min() >= 0
        assert inputs.images.max() <= 255
        if inputs.qtables is not None:
            assert inputs.qtables.min() >= 1
            assert inputs.qtables.max() <= 255
    assert cases["flat colours"].images.reshape(8, 3, -1).std(axis=-1).max() == 0


def test_what_is_looked_at() -> None:
    shared = {"contract", "finite", "reference", "determinism", "unwritten", "strided", "linear"}
    shared |= {"neighbours", "quality", "by hand"}
    for dtype, true, more in (
        ("float32", False, {"euler"}),
        ("float64", False, {"euler", "differences"}),
        ("float32", True, {"chain"}),
    ):
        options: dict[str, Any] = {"rounding": "linear", "straight_through": true}
        report = verify_diff_jpeg(rounded_coding(**options), dtype=dtype, **options)
        assert set(report.evidence()) == shared | more
        (note,) = report.notes
        assert "coefficients lay within rounding of a tie" in note


def test_whole_tables_are_those_of_the_standard() -> None:
    images = np.zeros((100, 3, 1, 1))
    inputs = CodingInputs(images, np.arange(1.0, 101), None, images)
    for quality, table in zip(range(1, 101), whole_tables(inputs), strict=True):
        np.testing.assert_array_equal(table, annex_k_tables(quality))


# Bounds


@pytest.mark.parametrize("factors", FACTORS.values(), ids=FACTORS)
def test_magnitudes_bound_the_linear_steps(factors: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (5, 3), (17, 20)):
        zero = steps.encode(np.zeros((1, 3, *shape)), factors)
        error = Coefficients(*(rng.normal(size=z.shape) for z in zero))
        size = Coefficients(*(np.abs(e) for e in error))
        moved = np.abs(steps.decode(error, factors, shape) - 128)
        assert (moved <= magnitudes.decode(size, factors, shape) + 1e-9).all()
        back = np.abs(steps.encode_adjoint(error, factors, shape))
        assert (back <= magnitudes.encode_adjoint(size, factors, shape) + 1e-9).all()
        g = rng.normal(size=(1, 3, *shape))
        bounds = magnitudes.decode_adjoint(np.abs(g), factors)
        for found, bound in zip(steps.decode_adjoint(g, factors), bounds, strict=True):
            assert (np.abs(found) <= bound + 1e-9).all()
        # One error alone is passed on as it is: the bound is no larger than it has to be.
        one = Coefficients(np.zeros_like(zero.luma), np.zeros_like(zero.chroma))
        one.luma[..., 0, 0, 1, 2] = 1
        there = np.abs(steps.decode(one, factors, shape) - 128)
        np.testing.assert_allclose(magnitudes.decode(one, factors, shape), there, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_rounding_stays_within_its_movement(kind: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(-40, 40, 4000) / 2 + rng.choice([0, 1e-3, 0.2], 4000)
    error = 10.0 ** rng.uniform(-6, -2, 4000)
    form = {"straight_through": True}
    moved = rounded(kind, x, error, floor=False, dtype="float64", **form)
    y = x + rng.uniform(-1, 1, 4000) * error
    value, slope = soft_round(y, kind, **form)
    assert (np.abs(value - moved.value) <= moved.value_error).all()
    assert (np.abs(slope - moved.slope) <= moved.slope_error).all()
    assert (np.abs(value - y * slope - moved.rest) <= moved.rest_error).all()
    # Where nothing is off, a tie is a tie.
    sure = rounded(kind, x, 0.0, floor=False, dtype="float64", **form)
    assert (sure.value_error == 0).all()


def test_ends_within_reach_leave_the_slope_open() -> None:
    x = np.array([-0.1, 0.0, 0.05, 255.2])
    form = {"straight_through": False, "dtype": "float64"}
    value, slope, _, error = clipped(x, np.full(4, 0.1), 0, 255, 0.25, **form)
    np.testing.assert_allclose(value, [-0.025, 0, 0.05, 255.05])
    np.testing.assert_array_equal(slope, [0.25, 1, 1, 0.25])
    np.testing.assert_array_equal(error, [0.75, 0.75, 0.75, 0])
    assert (clipped(x, np.zeros(4), 0, 255, 0.25, **form)[3] == 0).all()


def test_whole_scales_are_exact_and_others_are_not() -> None:
    """A floor of a whole number is on its kink: the judge may not leave the side open there."""
    images = np.full((4, 3, 8, 8), 77.0)
    quality = np.array([75.0, 40.0, 33.0, 60.7])
    for dtype in ("float32", "float64"):
        inputs = CodingInputs(images, quality, None, images)
        path = CodingPath(inputs, Claim(), dtype)
        assert (path.tables.value_error[:2] < 1e-3).all()
        # Off the kinks rounding alone is left.
        assert np.median(path.tables.value_error) < 100 * np.finfo(dtype).eps * 255


def test_tolerances_are_small_but_where_rounding_decides() -> None:
    rng = np.random.default_rng(0)
    images = rng.uniform(40, 210, (2, 3, 16, 16))
    inputs = CodingInputs(images, np.array([40.0, 80.0]), None, rng.normal(size=images.shape))
    for dtype, largest in (("float32", 0.2), ("float64", 1e-9)):
        bounds = coding_bounds(inputs, Claim(), dtype)
        assert np.median(bounds.value) < largest
        assert np.median(bounds.d_images) < largest
    near, total = CodingPath(inputs, Claim(), "float64").near_ties
    assert (near, total) == (0, 2 * (256 + 128))


# What it says


@pytest.mark.parametrize("output", ["value", "d_images", "d_quality", "d_qtables"])
def test_one_wrong_number_is_found_and_named(output: str) -> None:
    position = ["value", "d_images", "d_quality", "d_qtables"].index(output)

    def fn(*arrays: Any) -> Any:
        results = plain_coding(rounding="linear")(*arrays)
        if results[position] is not None:
            results[position][(-1,) * results[position].ndim] += 3
        return results

    report = verify_diff_jpeg(fn, rounding="linear")
    found = [check for check in report.failures if check.evidence == "reference"]
    assert found
    for check in found:
        assert (check.output, check.failed) == (output, 1)
        assert check.where is not None
        assert check.where.inputs["case"] == check.regime
        assert str(check.where.inputs["place"]).startswith(output)


def test_a_step_off_by_one_at_one_quality_is_found() -> None:
    for wrong in (4, 50, 99):  # 1 and 2 differ in a single step

        def fn(images: Any, quality: Any, qtables: Any, g: Any, wrong: int = wrong) -> Any:
            value, *gradients = rounded_coding(straight_through=True)(images, quality, qtables, g)
            if quality is not None and quality.ndim and (quality == wrong).any():
                other = np.where(quality == wrong, wrong + (1 if wrong < 50 else -1), quality)
                value = rounded_coding(straight_through=True)(images, other, qtables, g)[0]
            return value, *gradients

        report = verify_diff_jpeg(fn, straight_through=True)
        regimes = {check.regime for check in report.failures if check.evidence == "reference"}
        assert "every quality" in regimes


def test_the_verdict_is_repeatable_and_replayable() -> None:
    fn = plain_coding(rounding="linear")
    report = verify_diff_jpeg(fn, rounding="linear", seed=3)
    assert report == verify_diff_jpeg(fn, rounding="linear", seed=3)
    title = "differentiable JPEG 4:2:0, linear, float32, seed 3, budget quick"
    assert report.title == title
    assert report.replay() == (
        "oracles.verify_diff_jpeg(fn, subsampling='4:2:0', dtype='float32', seed=3, "
        "budget='quick', straight_through=False, rounding='linear', scale_floor='same', "
        "table_floor='same', qtable_rounding='straight_through', table_slope=0.001, "
        "output_slope=0.001)"
    )
    assert Report.from_json(report.to_json()) == report
    assert "differentiable JPEG" in report.to_html()


def _four(*arrays: Any) -> Any:
    return plain_coding()(*arrays)


BROKEN: dict[str, tuple[Any, str]] = {
    "None": (lambda *_: None, "returned NoneType"),
    "value only": (lambda *a: _four(*a)[:1], "returned 1 outputs; return 4: value, d_images"),
    "no gradient of the quality": (
        lambda *a: (*_four(*a)[:2], None, None),
        "d_quality is NoneType; return a NumPy array",
    ),
    "float16": (
        lambda *a: tuple(None if p is None else p.astype(np.float16) for p in _four(*a)),
        "value has dtype float16; return float32",
    ),
    "raises": (lambda images, *_: images @ np.ones(3), "the function raised ValueError"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_contract_is_a_failed_report(name: str) -> None:
    fn, message = BROKEN[name]
    report = verify_diff_jpeg(fn)
    assert [check.evidence for check in report.failures] == ["contract"]
    assert message in str(report)


# What it refuses


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"subsampling": "4:1:1"}, ValueError, "subsampling must be one of 4:4:4, .*'4:1:1'"),
        ({"straight_through": 1}, TypeError, "straight_through must be True or False, got 1"),
        ({"rounding": "cubik"}, ValueError, "rounding must be one of cubic, .*'cubik'"),
        ({"rounding": None}, ValueError, "rounding must be one of cubic, .*None"),
        ({"rounding": abs}, ValueError, "rounding must be one of cubic"),
        ({"scale_floor": "x"}, ValueError, "scale_floor must be one of .*same, None, got 'x'"),
        ({"qtable_rounding": "same"}, ValueError, "qtable_rounding must be one of .*'same'"),
        ({"rounding": "uniform_noise"}, ValueError, "rounding must not be uniform_noise unless"),
        ({"table_slope": True}, TypeError, "table_slope must be a number or None, got True"),
        ({"output_slope": 2}, ValueError, r"output_slope must lie in \[0, 1\], got 2"),
        ({"dtype": "float16"}, ValueError, "dtype must be 'float32' or 'float64'"),
        ({"seed": -1}, ValueError, "seed must be >= 0"),
        ({"budget": "x"}, ValueError, "budget must be one of quick, full"),
    ],
)
def test_wrong_arguments_of_the_judge_itself(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        verify_diff_jpeg(plain_coding(), **arguments)


def test_the_judge_and_the_adapter_want_a_function() -> None:
    with pytest.raises(TypeError, match=r"fn must be callable as fn\(images, quality, qtables"):
        verify_diff_jpeg(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"function must be callable as function\(images, \*"):
        torch_diff_jpeg(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dtype must be one of"):
        torch_diff_jpeg(plain_coding(), dtype="int8")


def test_the_adapter_hands_over_what_is_given() -> None:
    seen: list[Any] = []

    def function(images: Any, *, quality: Any = None, qtables: Any = None, factor: int = 1) -> Any:
        seen.append((quality is None, qtables is None))
        return factor * images * (quality if quality is not None else qtables.sum())

    fn = torch_diff_jpeg(function, dtype="float64", factor=3)
    x, g = np.full((1, 3, 2, 2), 2.0), np.full((1, 3, 2, 2), 0.5)
    value, dx, dq, dt = fn(x, np.asarray(4.0), None, g)
    assert dt is None
    np.testing.assert_array_equal(value, 24)
    np.testing.assert_array_equal(dx, 6)
    np.testing.assert_array_equal(dq, 36)
    _, _, dq, dt = fn(x, None, np.ones((2, 8, 8)), g)
    assert dq is None
    np.testing.assert_array_equal(dt, 36)
    assert seen == [(False, True), (True, False)]


def test_a_result_is_judged_in_the_subjects_dtype() -> None:
    subject = CodingSubject(plain_coding(), Claim(), np.dtype("float32"))
    x = np.full((1, 3, 4, 4), 99.0)
    found = subject(CodingInputs(x, np.array([50.0]), None, x))
    assert found.value.dtype == DOUBLE
    assert found.d_qtables is None
