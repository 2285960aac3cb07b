"""The judge of JPEG layers: its arguments, broken functions, and what the report says."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from oracles import Report, verify_jpeg_layer
from oracles.layer.cases import LAYER_CASES, make_layer_cases
from oracles.mutants.layer_sound import rounded_reference

SOUND = rounded_reference(5, "4:4:4")


def judge(fn: Any, **arguments: Any) -> Report:
    return verify_jpeg_layer(fn, window=5, **arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"fn": 3}, TypeError, "fn must be callable as fn.image, q, alpha, grad_output"),
        ({"window": 4}, ValueError, "window must be None or an odd number"),
        ({"window": 2.5}, TypeError, "window must be None or an int"),
        ({"subsampling": "4:1:1"}, ValueError, "subsampling must be one of 4:4:4, 4:2:2, 4:2:0"),
        ({"subsampling": None}, ValueError, "subsampling must be one of"),
        ({"dtype": "float16"}, ValueError, "dtype must be 'float32' or 'float64'"),
        ({"seed": -1}, ValueError, "seed must be >= 0"),
        ({"seed": 1.5}, TypeError, "seed must be an int"),
        ({"budget": "huge"}, ValueError, "budget must be one of quick, full"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        verify_jpeg_layer(**({"fn": SOUND} | arguments))


def _raises(*_: Any) -> Any:
    raise RuntimeError("no such device")


def _broken(change: Any) -> Any:
    return lambda *arguments: change(list(SOUND(*arguments)))


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (_raises, "no such device"),
        (lambda *_: None, "returned NoneType"),
        (_broken(lambda r: r[:3]), "returned 3 outputs; return 4: output, grad_image, grad_q"),
        (_broken(lambda r: [r[0][0], *r[1:]]), r"output has shape \(3, "),
        (_broken(lambda r: [*r[:2], r[3][:1], r[3]]), r"grad_q has shape \(1, 8, 8\)"),
        (_broken(lambda r: [r[0].astype(np.float16), *r[1:]]), "output has dtype float16"),
        (_broken(lambda r: [r[0].astype(int), *r[1:]]), "output has dtype int"),
        (_broken(lambda r: [r[0], r[1].tolist(), *r[2:]]), "grad_image is list"),
        (lambda image, *_: image.__setitem__(0, 0), "changed its input"),
    ],
)
def test_a_broken_function_gets_a_failed_report(fn: Any, message: str) -> None:
    report = judge(fn)
    assert report.evidence(failed=True) == ("contract",)
    with pytest.raises(AssertionError, match=message):
        report.raise_if_failed()


def test_a_function_that_breaks_for_some_sizes_only_is_rejected() -> None:
    def fn(image: Any, *rest: Any) -> Any:
        if image.shape[-1] % 8:
            raise ValueError("sides must be multiples of 8")
        return SOUND(image, *rest)

    report = judge(fn)
    assert report.evidence(failed=True) == ("contract",)
    assert "sides must be multiples of 8" in str(report)


@functools.cache
def _sound_report(seed: int) -> Report:
    return judge(SOUND, seed=seed)


def test_the_report_names_every_case_and_what_was_asked() -> None:
    report = _sound_report(0)
    assert report.passed
    regimes = {check.regime for check in report.checks if check.evidence == "reference"}
    assert regimes == set(LAYER_CASES)
    assert report.settings == {
        "contract": "layer",
        "window": 5,
        "subsampling": "4:4:4",
        "dtype": "float32",
        "seed": 0,
        "budget": "quick",
    }
    assert report.title == "JPEG layer 4:4:4, window 5, float32, seed 0, budget quick"


def test_the_verdict_is_reproducible_and_the_seed_matters() -> None:
    assert judge(SOUND).checks == _sound_report(0).checks
    assert _sound_report(1).checks != _sound_report(0).checks


def test_inputs_keep_to_the_contract() -> None:
    """Samples in [0, 255], q in [1e-3, 255], alpha >= 4e-6: also after every transformation."""
    seen: list[tuple[float, ...]] = []

    def fn(image: Any, q: Any, alpha: Any, grad_output: Any, max_level: int) -> Any:
        seen.append(
            (image.min(), image.max(), q.min(), q.max(), alpha.min(), np.abs(grad_output).max())
        )
        assert image.dtype == q.dtype == alpha.dtype == grad_output.dtype == np.float32
        assert type(max_level) is int
        assert max_level >= 2
        return SOUND(image, q, alpha, grad_output, max_level)

    judge(fn).raise_if_failed()
    low, high = np.min(seen, axis=0), np.max(seen, axis=0)
    assert low[0] >= 0
    assert high[1] <= 255
    # A quarter of the smallest step, where everything is scaled by 1/4.
    assert low[2] >= 1e-3 / 4
    assert high[3] <= 255
    assert low[4] >= 4e-6
    assert np.isfinite(high).all()


def test_cases_are_exact_in_the_dtype() -> None:
    for case in make_layer_cases(window=None, dtype=np.dtype("float32"), seed=3, budget="full"):
        for array in (*case.inputs, 256 - case.inputs.image, 128 + case.inputs.image / 4):
            assert np.array_equal(array, array.astype(np.float32))


@pytest.mark.parametrize("row", [2, 3])
def test_one_wrong_table_entry_is_named_and_on_the_map(row: int) -> None:
    def fn(*arguments: Any) -> Any:
        result = SOUND(*arguments)
        result[row][1, 5, 2] += 10 * np.abs(result[row]).max()
        return result

    report = judge(fn)
    name = ("grad_q", "grad_alpha")[row - 2]
    failed = [check for check in report.failures if check.evidence == "reference"]
    assert {check.output for check in failed} == {name}
    for check in failed:
        assert check.where is not None
        inputs = check.where.inputs
        assert (inputs["table"], inputs["u"], inputs["v"]) == ("chroma", 5, 2)
        assert inputs["case"] == check.regime
    maps = {m.output: m for m in report.maps}
    worst = np.array(maps[f"{name} chroma"].worst)
    assert np.unravel_index(worst.argmax(), worst.shape) == (5, 2)
    assert np.sort(worst.ravel())[-2] < 1 < worst.max()
    assert (maps[f"{name} chroma"].x_label, maps[f"{name} chroma"].y_label) == ("v", "u")
    assert np.array(maps[f"{name} luma"].worst).max() < 1


@pytest.mark.parametrize("row", [0, 1])
def test_one_wrong_pixel_is_named_and_on_the_map(row: int) -> None:
    def fn(image: Any, *rest: Any) -> Any:
        result = SOUND(image, *rest)
        result[row][-1, 2, image.shape[2] - 1, image.shape[3] // 2] += 30.0
        return result

    report = judge(fn)
    name = ("output", "grad_image")[row]
    failed = [check for check in report.failures if check.evidence == "reference"]
    assert {(check.output, check.regime) for check in failed} == {(name, c) for c in LAYER_CASES}
    for check in failed:
        assert check.where is not None
        assert check.where.inputs["channel"] == 2
    odd = next(check for check in failed if check.regime == "odd size").where
    assert odd is not None
    assert (odd.inputs["image"], odd.inputs["row"], odd.inputs["column"]) == (1, 8, 8)
    shown = next(m for m in report.maps if m.output == f"{name}, odd size")
    worst = np.array(shown.worst)
    assert worst.shape == (9, 17)
    assert np.unravel_index(worst.argmax(), worst.shape) == (8, 8)
    assert (shown.x_label, shown.y_label) == ("column", "row")


def test_table_sums_may_round_in_any_order_but_pixels_may_not() -> None:
    rng = np.random.default_rng(0)

    def sums(*arguments: Any) -> Any:
        result = SOUND(*arguments)
        for part in result[2:]:
            part *= 1 + rng.choice([0.0, 1e-7], part.shape).astype(part.dtype)
        return result

    def pixels(*arguments: Any) -> Any:
        result = SOUND(*arguments)
        return (result[0] * (1 + rng.choice([0.0, 1e-7], result[0].shape)), *result[1:])

    assert judge(sums).passed
    assert set(judge(pixels).evidence(failed=True)) == {"determinism", "unwritten"}
