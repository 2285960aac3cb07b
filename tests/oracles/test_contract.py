"""A function that breaks its contract gets a failed report; the judge itself never crashes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from oracles import verify_soft_quantizer
from oracles.mutants.sound import rounded_reference

SOUND = rounded_reference(None)


def _raises(*_: Any) -> Any:
    raise ZeroDivisionError("division by a quantum")


def _mutates(z: Any, q: Any, alpha: Any, level: int) -> Any:
    out = SOUND(z, q, alpha, level)
    q *= 1.5
    return out


def _second_call_raises() -> Callable[..., Any]:
    calls = []

    def fn(*args: Any) -> Any:
        calls.append(1)
        if len(calls) > 1:
            raise MemoryError("out of luck")
        return SOUND(*args)

    return fn


def _with(row: int, change: Callable[[Any], Any]) -> Callable[..., Any]:
    def fn(*args: Any) -> Any:
        out = list(SOUND(*args))
        out[row] = change(out[row])
        return tuple(out)

    return fn


BROKEN: dict[str, tuple[Callable[..., Any], str]] = {
    "raises": (_raises, "raised ZeroDivisionError: division by a quantum"),
    "raises later": (_second_call_raises(), "raised MemoryError: out of luck"),
    "wrong signature": (lambda z: z, "raised TypeError"),
    "None": (lambda *_: None, "returned NoneType"),
    "one array": (lambda z, *_: z, "returned ndarray"),
    "three outputs": (lambda *a: SOUND(*a)[:3], "returned 3 outputs"),
    "five outputs": (lambda *a: (*SOUND(*a), a[0]), "returned 5 outputs"),
    "a list of floats": (_with(1, list), "dz is list"),
    "a scalar": (_with(0, lambda x: x[0]), "value is float32"),
    "one element short": (_with(2, lambda x: x[:-1]), "dq has shape"),
    "two-dimensional": (_with(3, lambda x: x[None]), "dalpha has shape"),
    "integers": (_with(0, lambda x: np.zeros(x.shape, np.int64)), "value has dtype int64"),
    "complex": (_with(1, lambda x: x + 0j), "dz has dtype complex64"),
    "objects": (_with(1, lambda x: x.astype(object)), "dz has dtype object"),
    "float16": (_with(0, lambda x: x.astype(np.float16)), "value has dtype float16"),
    "changes its inputs": (_mutates, "changed its input arrays"),
}


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_contract_is_a_failed_report(name: str) -> None:
    fn, message = BROKEN[name]
    report = verify_soft_quantizer(fn)
    assert not report.passed
    contract = [check for check in report.failures if check.evidence == "contract"]
    assert len(contract) == 1
    assert message in contract[0].message
    assert message in str(report)
    with pytest.raises(AssertionError, match="contract"):
        report.raise_if_failed()


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("row", range(4))
def test_one_nan_or_inf_is_found(row: int, poison: float) -> None:
    def fn(*args: Any) -> Any:
        out = SOUND(*args)
        out[row][out[row].size // 2] = poison
        return out

    report = verify_soft_quantizer(fn)
    kinds = report.evidence(failed=True)
    assert {"finite", "reference"} <= set(kinds)
    assert report.worst == np.inf


def test_a_function_that_warns_is_not_accused() -> None:
    def fn(*args: Any) -> Any:
        import warnings

        warnings.warn("approximate", RuntimeWarning, stacklevel=1)
        np.exp(np.float32(1000.0))
        return SOUND(*args)

    verify_soft_quantizer(fn).raise_if_failed()


def test_a_function_may_reuse_its_buffers_and_return_wider_floats() -> None:
    buffers: dict[int, Any] = {}

    def fn(z: Any, *args: Any) -> Any:
        out = buffers.setdefault(z.size, [np.empty(z.size) for _ in range(4)])
        for buffer, part in zip(out, SOUND(z, *args), strict=True):
            buffer[:] = part
        return out

    verify_soft_quantizer(fn).raise_if_failed()


def test_the_level_count_is_an_int_and_inputs_have_the_dtype() -> None:
    seen = set()

    def fn(z: Any, q: Any, alpha: Any, level: int) -> Any:
        seen.add((type(level), z.dtype.name, q.dtype.name, alpha.dtype.name, z.ndim))
        assert z.flags.writeable
        assert all(step >= 0 for step in z.strides)
        return SOUND(z, q, alpha, level)

    verify_soft_quantizer(fn, dtype="float64", broadcast=False).raise_if_failed()
    assert seen == {(int, "float64", "float64", "float64", 1)}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"window": 4}, ValueError, "window must be None or an odd number >= 3, got 4"),
        ({"window": 1}, ValueError, "window must be"),
        ({"window": -5}, ValueError, "window must be"),
        ({"window": 5.0}, TypeError, "window must be None or an int, got 5.0"),
        ({"window": True}, TypeError, "window must be None or an int, got True"),
        ({"dtype": "float16"}, ValueError, "dtype must be 'float32' or 'float64'"),
        ({"dtype": "bananas"}, ValueError, "dtype must be .* got 'bananas'"),
        ({"dtype": None}, ValueError, "dtype must be .* got None"),
        ({"seed": -1}, ValueError, "seed must be >= 0, got -1"),
        ({"seed": 0.5}, TypeError, "seed must be an int, got 0.5"),
        ({"budget": "endless"}, ValueError, "budget must be one of quick, full, got 'endless'"),
    ],
)
def test_wrong_arguments_of_the_judge_itself(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        verify_soft_quantizer(SOUND, **arguments)


def test_a_function_that_is_none() -> None:
    with pytest.raises(TypeError, match=r"fn must be callable .* got NoneType"):
        verify_soft_quantizer(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32")])
def test_dtype_spellings_agree(dtype: Any) -> None:
    report = verify_soft_quantizer(SOUND, dtype=dtype)
    assert report == verify_soft_quantizer(SOUND)


def test_the_verdict_is_repeatable_and_the_seed_matters() -> None:
    one = verify_soft_quantizer(SOUND, seed=3)
    assert one == verify_soft_quantizer(SOUND, seed=3)
    assert one.checks != verify_soft_quantizer(SOUND, seed=4).checks
