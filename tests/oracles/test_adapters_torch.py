"""The torch adapters: strides, uninitialised memory, broadcasting, CPMF, torch.compile."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
import torch

from oracles import torch_cpmf, torch_soft_quantizer, verify_cpmf, verify_soft_quantizer
from oracles.adapters import torch_tools as tools
from oracles.adapters.torch_tools import compiled, fresh_memory_is_nan, to_tensor
from oracles.regimes import make_cases
from oracles.tolerance import ambiguous_windows, tolerances
from torch_impl import soft_quantize


def masses(z: Any, q: Any, alpha: Any, *, max_level: int, window: int | None) -> Any:
    """Levels and probabilities of 2L+1 levels or a window, in the dtype of the inputs."""
    ratio = z / q
    nearest = torch.clamp(torch.floor(ratio + 0.5), -max_level, max_level)
    count = window or 2 * max_level + 1
    first = torch.full_like(nearest, -max_level)
    if window is not None:
        first = torch.clamp(nearest - window // 2, -max_level, max_level - window + 1)
    levels = first[..., None] + torch.arange(count, dtype=z.dtype, device=z.device)
    k = levels - nearest[..., None]
    f, h = ratio - nearest, alpha * q * q
    return levels, torch.softmax(h[..., None] * k * (2 * f[..., None] - k), dim=-1)


def quantizer(z: Any, q: Any, alpha: Any, *, max_level: int, window: int | None) -> Any:
    """Autograd through a softmax about the nearest level; broadcasts."""
    z, q, alpha = torch.broadcast_tensors(z, q, alpha)
    nearest = torch.clamp(torch.floor(z / q + 0.5), -max_level, max_level).detach()
    levels, p = masses(z, q, alpha, max_level=max_level, window=window)
    return q * (nearest + (p * (levels.detach() - nearest[..., None])).sum(-1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("window", [None, 5])
def test_a_function_that_broadcasts_is_judged_on_that(window: int | None, dtype: str) -> None:
    fn = torch_soft_quantizer(quantizer, window=window, dtype=dtype)
    report = verify_soft_quantizer(fn, window=window, dtype=dtype, broadcast=True)
    report.raise_if_failed()
    assert not report.notes


def test_broadcasting_along_the_wrong_axis_is_found() -> None:
    def function(z: Any, q: Any, alpha: Any, **support: Any) -> Any:
        if alpha.ndim == 2 and alpha.shape[1] == 1:
            alpha = alpha.flatten().repeat(3)[: z.shape[-1]]
        return quantizer(z, q, alpha, **support)

    report = verify_soft_quantizer(torch_soft_quantizer(function, window=5), window=5)
    assert report.evidence(failed=True) == ("broadcast",)
    # The partials come from inputs that were expanded before.
    assert {check.output for check in report.failures} == {"value"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_package_s_own_quantizer_broadcasts(dtype: str) -> None:
    fn = torch_soft_quantizer(soft_quantize, window=5, dtype=dtype)
    verify_soft_quantizer(fn, window=5, dtype=dtype, broadcast=True).raise_if_failed()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("window", [None, 5])
def test_a_torch_cpmf_is_judged(window: int | None, dtype: str) -> None:
    fn = torch_cpmf(masses, window=window, dtype=dtype)
    verify_cpmf(fn, window=window, dtype=dtype).raise_if_failed()

    def wrong(*arguments: Any, **support: Any) -> Any:
        levels, p = masses(*arguments, **support)
        return levels.to(torch.int64), p.flip(-1)

    report = verify_cpmf(torch_cpmf(wrong, window=window, dtype=dtype), window=window, dtype=dtype)
    assert {"reference", "ratio", "mean"} <= set(report.evidence(failed=True))
    report = verify_cpmf(torch_cpmf(lambda *_, **__: None, window=window), window=window)
    assert "returned NoneType" in str(report)


def test_tensors_have_the_strides_of_the_arrays_and_nan_between() -> None:
    buffer = np.arange(9, dtype=np.float32)
    tensor = to_tensor(buffer[1::3], dtype="bfloat16", device="cpu")
    assert tensor.stride() == (3,)
    assert tensor.tolist() == [1.0, 4.0, 7.0]
    whole = torch.as_strided(tensor, (7,), (1,), 0)
    assert whole.isnan().sum() == 4
    one = np.lib.stride_tricks.as_strided(buffer, (4,), (0,))
    tensor = to_tensor(one, dtype="float64", device="cpu")
    assert (tensor.stride(), tensor.tolist()) == ((0,), [0.0] * 4)
    assert to_tensor(np.empty(0, np.float32), dtype="float32", device="cpu").shape == (0,)
    assert to_tensor(np.array(2.0), dtype="float32", device="cpu").item() == 2.0


def test_ignoring_strides_is_found_through_the_adapter() -> None:
    def function(z: Any, q: Any, alpha: Any, **support: Any) -> Any:
        # A kernel that takes a data pointer and a length.
        return quantizer(torch.as_strided(z, z.shape, (1,)), q, alpha, **support)

    report = verify_soft_quantizer(torch_soft_quantizer(function, window=5), window=5)
    assert {"strided", "broadcast"} == set(report.evidence(failed=True))


def test_uninitialised_memory_is_nan_and_settings_are_restored() -> None:
    fill = torch.utils.deterministic

    def settings() -> tuple[bool, bool, bool]:
        return (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            fill.fill_uninitialized_memory,
        )

    before = settings()
    with fresh_memory_is_nan():
        assert torch.empty(5).isnan().all()
        assert settings() == (True, True, True)
    assert settings() == before
    fill.fill_uninitialized_memory = False
    try:
        with fresh_memory_is_nan():
            assert settings() == (True, True, True)
        with pytest.raises(ZeroDivisionError), fresh_memory_is_nan():
            raise ZeroDivisionError
        assert settings() == (*before[:2], False)
    finally:
        fill.fill_uninitialized_memory = before[2]


@pytest.mark.parametrize("window", [None, 5])
def test_an_unwritten_element_is_found(window: int | None) -> None:
    def function(*arguments: Any, **support: Any) -> Any:
        value = quantizer(*arguments, **support)
        size = value.numel()
        mask = torch.zeros_like(value, dtype=torch.bool)
        if size % 2:
            mask.view(-1)[-1] = True
        return torch.where(mask, torch.empty_like(value), value)

    fn = torch_soft_quantizer(function, window=window)
    report = verify_soft_quantizer(fn, window=window)
    assert "finite" in report.evidence(failed=True)


def test_a_function_that_cannot_be_compiled_as_often_as_needed_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def function(x: Any, *, number: Any) -> Any:
        return x * hash(number)

    call = compiled(function, "eager")
    monkeypatch.setattr(tools, "_RECOMPILATIONS", 2)

    def all_numbers() -> None:
        for number in "abcdef":
            call(torch.ones(2), number=number)

    try:
        with pytest.raises(Exception, match="recompile_limit"):
            all_numbers()
    finally:
        torch._dynamo.reset()


@pytest.mark.slow
def test_the_verdict_on_a_compiled_function() -> None:
    """Traced and differentiated by torch's compiler, without code generation: that is slow."""
    fn = torch_soft_quantizer(quantizer, window=5, compile="aot_eager")
    try:
        verify_soft_quantizer(fn, window=5, broadcast=False).raise_if_failed()
    finally:
        torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("c++") or shutil.which("g++")), reason="needs a C++ compiler")
def test_the_default_backend_generates_code_that_agrees() -> None:
    """One call of the whole path; a verdict compiles seven times."""
    cases = make_cases(9, per_regime=9, dtype="float32", rng=np.random.default_rng(0))
    arrays = [array.astype(np.float32) for array in cases.inputs]
    limit = tolerances(*cases.inputs, max_level=9, window=5, dtype="float32")
    try:
        got = torch_soft_quantizer(quantizer, window=5, compile=True)(*arrays, 9)
    finally:
        torch._dynamo.reset()
    plain = torch_soft_quantizer(quantizer, window=5)(*arrays, 9)
    sure = ~ambiguous_windows(*cases.inputs[:2], max_level=9, window=5, dtype="float32")[0]
    for one, other, allowed in zip(got, plain, limit, strict=True):
        assert np.all(np.abs(one - other.astype(float))[sure] <= 2 * allowed[sure])


@pytest.mark.parametrize("adapter", [torch_soft_quantizer, torch_cpmf])
def test_wrong_arguments_of_the_adapters(adapter: Any) -> None:
    with pytest.raises(TypeError, match=r"function must be callable .* got int"):
        adapter(3)
    with pytest.raises(ValueError, match=r"dtype must be one of .* got 'int8'"):
        adapter(quantizer, dtype="int8")
    with pytest.raises(TypeError, match=r"compile must be True, False or the name.* got 3"):
        adapter(quantizer, compile=3)
