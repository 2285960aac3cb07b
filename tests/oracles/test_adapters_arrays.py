"""Functions of any library with the array API or DLPack, judged as they are."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import array_api_strict
import numpy as np
import pytest
import torch

from oracles import array_function, verify_cpmf, verify_soft_quantizer

WINDOW = 5


def quantizer(xp: Any, *, fault: bool = False) -> Callable[..., Any]:
    """The masked quantizer in the functions of the standard, and nothing else."""

    def function(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        _, p, k, nearest, f, h = _masses(xp, z, q, alpha, max_level)
        mean = xp.sum(p * k, axis=1)
        x = k - xp.reshape(mean, (-1, 1))
        var, mu3 = xp.sum(p * x * x, axis=1), xp.sum(p * x * x * x, axis=1)
        if fault:
            mu3 = 0 * mu3
        return (
            q * (nearest + mean),
            2 * h * var,
            nearest + mean - 2 * h * (mu3 + (nearest + 2 * mean - f) * var),
            -q * q * q * (mu3 + 2 * (mean - f) * var),
        )

    return function


def masses(xp: Any) -> Callable[..., Any]:
    """The masked CPMF."""
    return lambda *arguments: _masses(xp, *arguments)[:2]


def _masses(xp: Any, z: Any, q: Any, alpha: Any, max_level: int) -> Any:
    nearest = xp.floor(z / q + 0.5)
    nearest = xp.clip(nearest, -float(max_level), float(max_level))
    first = xp.clip(nearest - WINDOW // 2, -float(max_level), float(max_level - WINDOW + 1))
    k = xp.reshape(first - nearest, (-1, 1)) + xp.reshape(xp.arange(WINDOW, dtype=z.dtype), (1, -1))
    f, h = z / q - nearest, alpha * q * q
    w = xp.exp(xp.reshape(h, (-1, 1)) * k * (2 * xp.reshape(f, (-1, 1)) - k))
    p = w / xp.reshape(xp.sum(w, axis=1), (-1, 1))
    return xp.reshape(nearest, (-1, 1)) + k, p, k, nearest, f, h


LIBRARIES: dict[str, tuple[Any, Any]] = {
    "array_api_strict": (array_api_strict, array_api_strict),
    "numpy": (np, np),
    "torch": (torch, torch),
    # No asarray: the way in is DLPack alone.
    "torch through DLPack": (torch, SimpleNamespace(from_dlpack=torch.from_dlpack)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LIBRARIES)
def test_a_function_of_a_library_is_judged(name: str, dtype: str) -> None:
    xp, namespace = LIBRARIES[name]
    fn = array_function(quantizer(xp), namespace=namespace)
    verify_soft_quantizer(fn, window=WINDOW, dtype=dtype).raise_if_failed()
    fn = array_function(quantizer(xp, fault=True), namespace=namespace)
    report = verify_soft_quantizer(fn, window=WINDOW, dtype=dtype)
    assert {c.output for c in report.failures if c.evidence == "reference"} == {"dq", "dalpha"}
    fn = array_function(masses(xp), namespace=namespace)
    verify_cpmf(fn, window=WINDOW, dtype=dtype).raise_if_failed()


def test_arrays_are_those_of_the_library_and_results_those_of_numpy() -> None:
    seen = []

    def function(a: Any, b: Any, level: int) -> Any:
        seen.append((type(a), type(b), level))
        return a + b, [a, b], "text"

    fn = array_function(function, namespace=array_api_strict)
    x = np.ones(3, np.float32)
    total, listed, text = fn(x, x, 7)
    kind = type(array_api_strict.asarray(x))
    assert seen == [(kind, kind, 7)]
    assert type(total) is np.ndarray
    np.testing.assert_array_equal(total, 2 * x)
    # What is no array is left for the contract to name.
    assert isinstance(listed, list)
    assert text == "text"
    assert array_function(lambda a, level: a, namespace=np)(x, 7) is not None


def test_writing_into_a_shared_buffer_is_found() -> None:
    def function(z: Any, q: Any, alpha: Any, level: int) -> Any:
        out = quantizer(torch)(z, q, alpha, level)
        z.add_(1.0)
        return out

    report = verify_soft_quantizer(array_function(function, namespace=torch), window=WINDOW)
    assert report.evidence(failed=True) == ("contract",)
    assert "changed its input arrays" in str(report)


class _Device:
    """An array of another device: DLPack gives it to the CPU only as a copy."""

    def __init__(self, array: Any, *, copies: bool) -> None:
        self.array, self.copies = array, copies

    def __dlpack_device__(self) -> Any:
        return (2, 0)

    def __dlpack__(self, *, dl_device: Any = None, **_: Any) -> Any:
        if dl_device is None or not self.copies:
            raise BufferError("the array is on another device")
        return self.array.__dlpack__()


def test_results_of_another_device_are_copied_or_named() -> None:
    x = np.ones(3)
    fn = array_function(lambda a, level: (_Device(a, copies=True),), namespace=np)
    np.testing.assert_array_equal(fn(x, 1)[0], x)
    fn = array_function(lambda z, q, a, level: (_Device(z, copies=False),) * 4, namespace=np)
    report = verify_soft_quantizer(fn)
    assert "value is _Device; return a NumPy array" in str(report)


def test_asarray_that_takes_no_numpy_arrays_gives_way_to_dlpack() -> None:
    def asarray(array: Any) -> Any:
        raise TypeError("lists only")

    namespace = SimpleNamespace(asarray=asarray, from_dlpack=torch.from_dlpack)
    fn = array_function(lambda a, level: (a * 2,), namespace=namespace)
    np.testing.assert_array_equal(fn(np.ones(2), 1)[0], 2 * np.ones(2))


def test_wrong_arguments_of_the_adapter() -> None:
    with pytest.raises(TypeError, match=r"function must be callable .* got int"):
        array_function(3, namespace=np)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"namespace must have asarray or from_dlpack.* got 'math'"):
        array_function(abs, namespace=__import__("math"))
