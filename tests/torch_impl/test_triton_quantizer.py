"""The Triton quantizer kernels against the reference: interpreted on the CPU, compiled on CUDA."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import verify_soft_quantizer
from oracles.tolerance import tolerances
from reference.compiled import soft_quantize_partials
from tests.strategies import Points, points
from tests.torch_impl._judging import assert_outputs_sound
from tests.torch_impl._triton_devices import DEVICES, assert_rounded, ignore_numpy_warnings

pytest.importorskip("triton", reason="Triton is not installed")
from torch_impl.kernels import triton_quantizer

pytestmark = ignore_numpy_warnings
# The interpreter takes a tenth of a second per launch.
few = settings(max_examples=25)
EPS = float(np.finfo(np.float32).eps)


@pytest.fixture(scope="module", params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return request.param


def elementwise(
    z: Any, q: Any, alpha: Any, max_level: int, *, window: int | None, device: str
) -> Any:
    """Value and partials, one number of each per element."""
    tensors = [
        torch.tensor(np.asarray(a), dtype=torch.float32, device=device) for a in (z, q, alpha)
    ]
    support = (max_level, window or 0)
    value = triton_quantizer.soft_quantize(*tensors, *support)
    ones = torch.ones_like(value)
    gradients = triton_quantizer.soft_quantize_backward(ones, *tensors, *support, [True] * 3)
    return [t.cpu().numpy() for t in (value, *gradients)]


# Small L: interpreted, the sum near the ends takes a step in NumPy per level.
@few
@given(p=points(levels=st.sampled_from([1, 2, 3, 7, 20]), dtype="float32"))
def test_values_and_partials_are_those_of_the_reference(device: str, p: Points) -> None:
    got = elementwise(p.z, p.q, p.alpha, p.max_level, window=p.window, device=device)
    assert_outputs_sound(p, np.array(got, dtype=float), "float32")


def test_the_oracle_of_the_masked_quantizer_passes(device: str) -> None:
    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        return elementwise(z, q, alpha, max_level, window=5, device=device)

    report = verify_soft_quantizer(fn, window=5)
    assert report.passed, str(report)


@pytest.mark.parametrize("h", [1e-3, 0.04, 0.7, 3.0, 3.3, 40.0, 1e6])
def test_the_whole_range_at_every_hardness(device: str, h: float) -> None:
    # One regime per launch, and both sides of the borders between them.
    c = np.linspace(-16.5, 16.5, 529)
    q = np.full_like(c, 0.75, dtype=np.float32).astype(float)
    z = (c * q).astype(np.float32).astype(float)
    alpha = (h / q**2).astype(np.float32).astype(float)
    got = elementwise(z, q, alpha, 15, window=None, device=device)
    assert_outputs_sound(Points(z, q, alpha, 15, None), np.array(got, dtype=float), "float32")


@pytest.mark.parametrize("h", [1e3, 1e9, 1e20, 1e30])
def test_just_beside_a_tie_of_a_hard_quantizer(device: str, h: float) -> None:
    # 0.49999997 + 0.5 rounds to 1 in float32: no weight may overflow for the wrong level.
    beside = np.nextafter(np.float32(0.5), np.float32(0))
    z = np.array([beside, -beside, 0.5, -0.5, 2.5, -2.5], dtype=np.float32)
    alpha = np.full_like(z, h)
    got = np.array(elementwise(z, np.ones_like(z), alpha, 7, window=None, device=device))
    assert np.isfinite(got).all()
    assert_outputs_sound(Points(*map(np.float64, (z, z * 0 + 1, alpha)), 7, None), got, "float32")


PATTERNS = {
    "numbers": ((37, 31), (), ()),
    "elementwise": ((7, 301), (7, 301), (7, 301)),
    "tables of a few blocks": ((2, 3, 2, 8, 3, 8), (3, 1, 8, 1, 8), (3, 1, 8, 1, 8)),
    "tables of many blocks": ((5, 2, 3, 8, 9, 8), (2, 1, 8, 1, 8), (2, 1, 8, 1, 8)),
    "table and number": ((5, 2, 3, 8, 9, 8), (2, 1, 8, 1, 8), ()),
    "channels": ((2, 3, 20, 30), (1, 3, 1, 1), (3, 1, 1)),
    "last axis": ((1100, 3), (3,), (3,)),
    "long last axis": ((3, 1500), (1500,), (1,)),
    "crossed": ((7, 40), (40,), (7, 1)),
    "tables wider than z": ((1, 40), (30, 1), (30, 1)),
    "too many groups": ((2, 3, 2, 3, 2, 3, 2, 3), (1, 3, 1, 3, 1, 3, 1, 3), ()),
    "one element": ((1, 1), (1,), ()),
}


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_broadcasting_and_the_sums_of_table_gradients(
    device: str, pattern: str, window: int | None
) -> None:
    z_shape, q_shape, alpha_shape = PATTERNS[pattern]
    rng = np.random.default_rng(3)
    shape = np.broadcast_shapes(*PATTERNS[pattern])
    q = rng.uniform(0.5, 3, q_shape).astype(np.float32)
    alpha = rng.uniform(0.3, 3, alpha_shape).astype(np.float32)
    z = rng.normal(0, 12, z_shape).astype(np.float32)
    grad = rng.normal(size=shape).astype(np.float32)
    tensors = [torch.from_numpy(np.asarray(a)).to(device) for a in (grad, z, q, alpha)]
    value = triton_quantizer.soft_quantize(*tensors[1:], 15, window or 0)
    gradients = triton_quantizer.soft_quantize_backward(*tensors, 15, window or 0, [True] * 3)

    support = {"max_level": 15, "window": window}
    expected = soft_quantize_partials(z, q, alpha, **support)
    allowed = tolerances(z, q, alpha, **support)
    assert value.shape == shape
    assert (np.abs(value.cpu().numpy() - expected.value) <= allowed.value).all()
    count = grad.size
    for got, like, partial, tolerance in zip(
        gradients, tensors[1:], expected[1:], allowed[1:], strict=True
    ):
        assert got.shape == like.shape
        # Each partial has its tolerance; products and a float32 sum in any order add the rest.
        error = np.abs(grad) * (tolerance + (2 + count) * EPS * np.abs(partial))
        want, bound = (
            torch.from_numpy(x).sum_to_size(like.shape).numpy() for x in (grad * partial, error)
        )
        assert (np.abs(got.cpu().numpy() - want) <= bound).all()


def test_the_patterns_reach_every_way_of_walking() -> None:
    # Otherwise the test above would check one path twelve times.
    plans = [
        triton_quantizer._plan(
            torch.Size(np.broadcast_shapes(*shapes)), *(torch.empty(s) for s in shapes[1:])
        )
        for shapes in PATTERNS.values()
    ]
    ways = {(p.constants()["EXACT"], p.constants()["FLAT"], p.chunks > 1) for p in plans}
    assert {(True, True, True), (False, True, False), (True, False, True)} <= ways


def test_offsets_of_64_bits_walk_the_same_way(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(4)
    z, grad = (torch.randn(5, 2, 3, 8, 9, 8, generator=generator).to(device) for _ in range(2))
    q = torch.rand(2, 1, 8, 1, 8, generator=generator).to(device) + 0.1

    def run() -> list[torch.Tensor]:
        value = triton_quantizer.soft_quantize(z, q, q, 7, 5)
        gradients = triton_quantizer.soft_quantize_backward(grad, z, q, q, 7, 5, [True] * 3)
        return [value, *gradients]

    narrow = run()
    monkeypatch.setattr(triton_quantizer, "_WIDE", 1)
    for a, b in zip(narrow, run(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("window", [0, 5])
@pytest.mark.parametrize("alpha", [0.01, 5.0])
def test_nan_stays_alone_and_infinity_saturates(device: str, window: int, alpha: float) -> None:
    z = torch.tensor([np.nan, np.inf, -np.inf, 1e8, -3e38, 0.5], device=device)
    q, alphas = torch.full_like(z, 2.0), torch.full_like(z, alpha)
    value = triton_quantizer.soft_quantize(z, q, alphas, 15, window).cpu()
    dz, dq, dalpha = (
        g.cpu()
        for g in triton_quantizer.soft_quantize_backward(
            torch.ones_like(z), z, q, alphas, 15, window, [True] * 3
        )
    )
    for output in (value, dz, dq, dalpha):
        assert output.isnan().tolist() == [True] + [False] * 5
    assert value[1:5].tolist() == [30.0, -30.0, 30.0, -30.0]
    assert dz[1:5].tolist() == [0.0] * 4
    assert dq[1:5].tolist() == [15.0, -15.0, 15.0, -15.0]
    assert dalpha[1:5].tolist() == [0.0] * 4


@pytest.mark.parametrize("window", [0, 5])
def test_infinity_saturates_even_where_alpha_q_underflows(device: str, window: int) -> None:
    z = torch.tensor([np.inf, -np.inf], device=device)
    q, alpha = torch.full_like(z, 1e-20), torch.full_like(z, 1e-30)
    value = triton_quantizer.soft_quantize(z, q, alpha, 4, window)
    assert (value / q).tolist() == [4.0, -4.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_computes_in_float32(device: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    z, grad = (torch.randn(2, 500, generator=generator).to(device, dtype) for _ in range(2))
    q, alpha = torch.tensor(0.3, device=device), torch.tensor(20.0, device=device)
    half = triton_quantizer.soft_quantize_backward(grad, z, q, alpha, 15, 0, [True] * 3)
    wide = triton_quantizer.soft_quantize_backward(
        grad.float(), z.float(), q, alpha, 15, 0, [True] * 3
    )
    assert half[0].dtype == dtype
    for ours, theirs in zip(half, wide, strict=True):
        assert_rounded(ours, theirs)
    value = triton_quantizer.soft_quantize(z, q, alpha, 15, 0)
    assert torch.equal(value, triton_quantizer.soft_quantize(z.float(), q, alpha, 15, 0))


def test_strided_inputs(device: str) -> None:
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(40, 30, generator=generator).to(device).T[::2]
    q, alpha = torch.rand(80, device=device)[::2] + 0.5, torch.tensor(3.0, device=device)
    dense = (z.clone(memory_format=torch.contiguous_format), q.clone(), alpha)
    value = triton_quantizer.soft_quantize(z, q, alpha, 7, 0)
    assert torch.equal(value, triton_quantizer.soft_quantize(*dense, 7, 0))


@pytest.mark.parametrize("wanted", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)])
def test_only_the_wanted_gradients(device: str, wanted: tuple[int, ...]) -> None:
    tensors = [torch.tensor([x], device=device) for x in (1.0, 2.3, 1.5, 0.8)]
    needs = [bool(x) for x in wanted]
    everything = triton_quantizer.soft_quantize_backward(*tensors, 7, 0, [True] * 3)
    some = triton_quantizer.soft_quantize_backward(*tensors, 7, 0, needs)
    for need, a, b in zip(needs, some, everything, strict=True):
        assert a.shape == (b.shape if need else (0,))
        assert not need or torch.equal(a, b)


def test_nothing_to_do(device: str) -> None:
    z, q = torch.empty(0, 8, device=device), torch.ones(8, device=device)
    assert triton_quantizer.soft_quantize(z, q, q, 7, 0).shape == (0, 8)
    gradients = triton_quantizer.soft_quantize_backward(z, z, q, q, 7, 0, [True] * 3)
    assert gradients[0].shape == (0, 8)
    assert gradients[1].tolist() == [0.0] * 8
    assert gradients[2].tolist() == [0.0] * 8


def test_the_same_bits_from_run_to_run(device: str) -> None:
    generator = torch.Generator().manual_seed(2)
    z, grad = (torch.randn(4, 5000, generator=generator).to(device) for _ in range(2))
    q, alpha = torch.tensor(0.3, device=device), torch.tensor(20.0, device=device)
    first, second = (
        triton_quantizer.soft_quantize_backward(grad, z, q, alpha, 7, 0, [True] * 3)
        for _ in range(2)
    )
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)
