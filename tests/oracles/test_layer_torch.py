"""The torch layer is judged by the oracle: every dtype, sampling and support."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from oracles import torch_jpeg_layer, verify_jpeg_layer
from oracles.mutants.layer_sound import rounded_reference
from reference.standard import SUBSAMPLINGS
from tests.oracles._layer_memo import remembered_bounds
from torch_impl import JPEGLayer
from torch_impl.encode_decode import encode_decode


@pytest.fixture(autouse=True, scope="module")
def _memory() -> Iterator[None]:
    with remembered_bounds():
        yield


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_the_torch_layer_passes(dtype: str, window: int | None, subsampling: str) -> None:
    options: dict[str, Any] = {"window": window, "subsampling": subsampling, "dtype": dtype}
    report = verify_jpeg_layer(torch_jpeg_layer(JPEGLayer, **options), **options)
    report.raise_if_failed()
    assert report.worst < 0.5


def layer(
    image: Any, q: Any, alpha: Any, *, max_level: int, window: int | None, subsampling: str
) -> Any:
    factors = SUBSAMPLINGS[subsampling]
    options: dict[str, Any] = {"max_level": max_level, "window": window, "factors": factors}
    return encode_decode(image, q[None], alpha[None], **options)


def test_a_function_is_judged_as_well() -> None:
    verify_jpeg_layer(torch_jpeg_layer(layer, window=5), window=5).raise_if_failed()


def arguments(dtype: str = "float32") -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    image, g = rng.uniform(0, 255, (2, 1, 3, 9, 10))
    q = rng.uniform(5, 30, (2, 8, 8))
    return *(a.astype(dtype) for a in (image, q, 1 / q**2, g)), 31


@pytest.mark.parametrize("function", [layer, JPEGLayer])
def test_a_compiled_layer_gives_the_same(function: Any) -> None:
    plain = torch_jpeg_layer(function, window=5, subsampling="4:2:0")
    compiled = torch_jpeg_layer(function, window=5, subsampling="4:2:0", compile="aot_eager")
    for a, b in zip(plain(*arguments()), compiled(*arguments()), strict=True):
        # The same kernels; sums over blocks may be ordered differently.
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_an_unused_input_has_gradient_zero() -> None:
    def blind(image: Any, q: Any, alpha: Any, **_: Any) -> Any:
        return image * q.mean()

    *_, grad_q, grad_alpha = torch_jpeg_layer(blind)(*arguments())
    assert grad_q.shape == grad_alpha.shape == (2, 8, 8)
    assert np.abs(grad_q).min() > 0
    assert not grad_alpha.any()


def test_memory_that_the_layer_leaves_unwritten_is_nan() -> None:
    def empty(image: Any, q: Any, alpha: Any, **_: Any) -> Any:
        return torch.empty_like(image) + image * 0 + (q * alpha).sum()

    output = torch_jpeg_layer(empty)(*arguments())[0]
    assert np.isnan(output).all()


def test_a_layer_in_half_precision_is_rejected() -> None:
    report = verify_jpeg_layer(torch_jpeg_layer(layer, window=5, dtype="bfloat16"), window=5)
    assert len(report.evidence(failed=True)) >= 2


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"function": 3}, TypeError, "function must be callable as function.image, q, alpha"),
        ({"dtype": "int8"}, ValueError, "dtype must be one of"),
        ({"compile": 1}, TypeError, "compile must be True, False or the name"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        torch_jpeg_layer(**({"function": layer} | options))


def test_the_reference_and_the_torch_layer_agree_through_the_adapter() -> None:
    got = torch_jpeg_layer(JPEGLayer, subsampling="4:2:2", dtype="float64")(*arguments("float64"))
    want = rounded_reference(None, "4:2:2")(*arguments("float64"))
    for a, b in zip(got, want, strict=True):
        assert a.dtype == np.float64
        # eps64 times coefficients of 1000 and a conditioning of some tens.
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
