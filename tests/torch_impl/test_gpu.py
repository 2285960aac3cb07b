"""Full verification on CUDA, through the public functions; all tests need a device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from oracles import verify_soft_quantizer
from oracles.adapters import torch_soft_quantizer
from oracles.layer.bounds import layer_bounds
from reference.jpeg_layer import jpeg_layer, jpeg_layer_vjp
from reference.standard import SUBSAMPLINGS, annex_k_tables
from torch_impl import JPEGLayer, soft_quantize
from torch_impl.encode_decode import encode_decode
from torch_impl.kernels import composition

# Before the first matrix product: the compositions multiply matrices, and the tests ask for
# deterministic algorithms.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

pytestmark = pytest.mark.gpu
NAMES = sorted(SUBSAMPLINGS)


def photograph_like(*size: int, seed: int = 0) -> torch.Tensor:
    """Smooth waves with noise: coefficients that decay, as those of photographs do."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(*(np.arange(n) for n in size[-2:]), indexing="ij")
    waves = np.sin(y / 17) + np.cos(x / 11) + np.sin((x + y) / 41)
    image = 128 + 35 * waves + rng.normal(0, 8, size)
    return torch.tensor(image.clip(0, 255), dtype=torch.float32, device="cuda")


def tables(alpha: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    q = torch.tensor(annex_k_tables(75)[None], dtype=torch.float32, device="cuda")
    return q, alpha * torch.ones_like(q)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("window", [None, 3, 5])
def test_the_oracle_passes(window: int | None, dtype: str) -> None:
    fn = torch_soft_quantizer(soft_quantize, window=window, dtype=dtype, device="cuda")
    report = verify_soft_quantizer(fn, window=window, dtype=dtype)
    assert report.passed, str(report)


@pytest.mark.parametrize("subsampling", NAMES)
@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("size", [(2, 3, 40, 56), (1, 3, 61, 35)])
@pytest.mark.parametrize("hbar", [0.1, 0.7, 5.0, 100.0])
def test_the_layer_is_that_of_the_reference(
    hbar: float, size: tuple[int, ...], window: int | None, subsampling: str
) -> None:
    rng = np.random.default_rng(1)
    image, weight = rng.uniform(0, 255, size), rng.normal(size=size)
    q = 10 ** rng.uniform(-0.3, 1.7, (2, 2, 8, 8))
    alpha = hbar * 10 ** rng.uniform(-0.3, 0.3, q.shape) / q**2
    image, weight, q, alpha = (
        a.astype(np.float32).astype(float) for a in (image, weight, q, alpha)
    )
    options: dict[str, Any] = {"max_level": 127, "window": window, "subsampling": subsampling}
    leaves = (torch.tensor(t, dtype=torch.float32) for t in (q, alpha))
    layer = JPEGLayer(*leaves, rounds=2, trainable_alpha=True, **options).cuda()
    x = torch.tensor(image, dtype=torch.float32, device="cuda", requires_grad=True)
    y = layer(x)
    y.backward(torch.tensor(weight, dtype=torch.float32, device="cuda"))
    bounds = layer_bounds(image, q, alpha, weight, **options, dtype="float32")
    expected = jpeg_layer(image, q, alpha, **options, compiled=True)
    gradients = jpeg_layer_vjp(image, q, alpha, weight, **options, compiled=True)
    for got, want, bound in zip(
        (y.detach(), x.grad, layer.q.grad, layer.alpha.grad),
        (expected, *gradients),
        (bounds.output, *bounds.gradients),
        strict=True,
    ):
        assert (np.abs(got.double().cpu().numpy() - want) <= bound).all()


@pytest.mark.parametrize("subsampling", NAMES)
def test_kernels_and_composition_agree_at_full_size(subsampling: str) -> None:
    image, (q, alpha) = photograph_like(16, 3, 224, 224), tables(0.05)
    grad = torch.randn(image.shape, generator=torch.Generator("cuda").manual_seed(0), device="cuda")
    factors = SUBSAMPLINGS[subsampling]
    leaves = [t.clone().requires_grad_() for t in (image, q, alpha)]
    output = encode_decode(*leaves, max_level=127, factors=factors)
    output.backward(grad)
    wide = [t.double() for t in (image, q, alpha)]
    expected = composition.encode_decode(*wide, 127, 0, factors)
    gradients = composition.encode_decode_backward(grad.double(), *wide, 127, 0, factors)
    for got, want in zip(
        (output.detach(), *(t.grad for t in leaves)), (expected, *gradients), strict=True
    ):
        # h = 0.05 q^2 reaches 500: a coefficient off by 2 eps 1024 moves its slope by
        # h / q * 2.4e-4, a few per cent of the steepest; in the mean it is far less.
        error = (got.double() - want).norm() / want.norm()
        assert error < 1e-3


@pytest.mark.parametrize("subsampling", NAMES)
@pytest.mark.parametrize("window", [None, 5])
def test_the_same_bits_from_run_to_run(subsampling: str, window: int | None) -> None:
    image, (q, alpha) = photograph_like(16, 3, 224, 224), tables()
    grad = torch.randn_like(image)
    runs = []
    for _ in range(3):
        leaves = [t.clone().requires_grad_() for t in (image, q, alpha)]
        factors = SUBSAMPLINGS[subsampling]
        output = encode_decode(*leaves, max_level=127, window=window, factors=factors)
        output.backward(grad)
        runs.append([output.detach(), *(t.grad for t in leaves)])
    for other in runs[1:]:
        for a, b in zip(runs[0], other, strict=True):
            assert torch.equal(a, b)


@pytest.fixture
def _no_fill() -> Iterator[None]:
    torch.utils.deterministic.fill_uninitialized_memory = False
    yield
    torch.utils.deterministic.fill_uninitialized_memory = True


@pytest.mark.usefixtures("_no_fill")
@pytest.mark.parametrize("size", [(224, 224), (225, 223)])
@pytest.mark.parametrize("subsampling", NAMES)
def test_at_most_four_images_above_input_and_output(
    subsampling: str, size: tuple[int, int]
) -> None:
    layer = JPEGLayer(subsampling=subsampling).cuda()
    image = photograph_like(16, 3, *size).requires_grad_()
    grad = torch.randn_like(image)
    layer(image).backward(grad)  # compile and cache outside of the measurement
    image.grad = None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    output = layer(image)
    output.backward(grad)
    torch.cuda.synchronize()
    one = image.numel() * image.element_size()
    peak = torch.cuda.max_memory_allocated() - before
    # The gradient of the image is one of the four; the output does not count.
    assert peak - one <= 4 * one, f"{(peak - one) / one:.2f} images"


@pytest.mark.parametrize("subsampling", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_images(dtype: torch.dtype, subsampling: str) -> None:
    layer = JPEGLayer(*(t[0].cpu() for t in tables()), subsampling=subsampling).cuda()
    image = photograph_like(4, 3, 64, 80).to(dtype)
    output = layer(image)
    assert output.dtype == dtype
    assert torch.equal(output, layer(image.float()).to(dtype))


@pytest.mark.parametrize("subsampling", NAMES)
def test_nothing_waits_for_the_device(subsampling: str) -> None:
    layer = JPEGLayer(subsampling=subsampling).cuda()
    image = photograph_like(2, 3, 32, 32).requires_grad_()
    layer(image).sum().backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        layer(image).sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_captured_in_a_cuda_graph() -> None:
    image, (q, alpha) = photograph_like(2, 3, 32, 32), tables()
    expected = encode_decode(image, q, alpha, max_level=127)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = encode_decode(image, q, alpha, max_level=127)
    captured.fill_(float("nan"))
    graph.replay()
    assert torch.equal(captured, expected)


def test_traced_by_torch_compile() -> None:
    layer = JPEGLayer(max_level=127).cuda().eval()
    image = photograph_like(2, 3, 32, 32)
    compiled = torch.compile(layer, fullgraph=True)
    assert torch.equal(compiled(image), layer(image))
