"""The Numba kernels: accuracy of their parts, reductions, threads, processes, compilation."""

from __future__ import annotations

import math
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Iterator

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from oracles import verify_soft_quantizer
from oracles.adapters import torch_soft_quantizer
from oracles.tolerance import tolerances
from reference.compiled import soft_quantize_partials
from torch_impl import soft_quantize
from torch_impl.encode_decode import encode_decode
from torch_impl.kernels import cpu_jit, cpu_quantizer, eager
from torch_impl.kernels.cpu_math import ROW, exp_negative
from torch_impl.kernels.threads import run_tasks


@cpu_jit.jit
def _exp_all(x, out):
    for i in range(x.size):
        out[i] = exp_negative(x[i])


def test_exp_is_good_to_one_ulp():
    x = -np.linspace(0, 85.99, 400_001).astype(np.float32)
    out = np.full_like(x, np.nan)
    _exp_all(x, out)
    expected = np.exp(x.astype(np.float64))
    # Measured: 0.71. One rounding is half a unit, the polynomial and its argument the rest.
    assert np.max(np.abs(out - expected) / expected) < 1.0 * np.finfo(np.float32).eps


def test_exp_underflows_to_zero_and_never_exceeds_one():
    x = np.array([-86.0, -87.5, -1e4, -math.inf, 0.0, 1e-3, 90.0, math.inf, math.nan], np.float32)
    out = np.full_like(x, np.nan)
    _exp_all(x, out)
    np.testing.assert_array_equal(out, [0, 0, 0, 0, 1, 1, 1, 1, 0])


@pytest.mark.parametrize("window", [None, 3, 5, 9, 31])
def test_the_oracle_accepts_the_kernels(window):
    subject = torch_soft_quantizer(soft_quantize, window=window)
    report = verify_soft_quantizer(subject, window=window, seed=5)
    assert report.passed, str(report)


@settings(max_examples=60)
@given(
    level=st.sampled_from([1, 2, 7, 127, 1023]),
    log_h=st.floats(-6, math.log10(0.4)),
    seed=st.integers(0, 2**32 - 1),
)
def test_soft_elements_near_and_beyond_the_ends(level, log_h, seed):
    # All of them at h < 0.4: the identity, sums of few levels, and sums by integral.
    rng = np.random.default_rng(seed)
    h = 10.0**log_h
    reach = 3 / math.sqrt(h)
    c = rng.choice([-1.0, 1.0], 200) * (level + rng.normal(0, reach, 200))
    c[:40] = rng.uniform(-level, level, 40)
    q = rng.uniform(0.5, 2.0, 200).astype(np.float32)
    z = (c * q).astype(np.float32)
    alpha = (h / (q * q)).astype(np.float32)
    fn = torch_soft_quantizer(soft_quantize)
    got = np.array(fn(z, q, alpha, level), float)
    points = [x.astype(float) for x in (z, q, alpha)]
    expected = np.array(soft_quantize_partials(*points, max_level=level))
    tolerance = np.array(tolerances(*points, max_level=level))
    assert np.all(np.abs(got - expected) <= tolerance)


@pytest.mark.parametrize("h", [1e-12, 1e-5, 1e-3, 0.1])
def test_the_integral_agrees_with_the_sum(h):
    from torch_impl.kernels.cpu_ends import _few, _many

    @cpu_jit.jit
    def both(h, g, first, last):
        return _few(h, g, first, last), _many(h, g, first, last)

    # g as at the fallback: one end within reach, 128 levels or more of it.
    for slope in (0.0, 0.3, 0.5):
        reach = 2 * 34 / (slope + math.sqrt(slope**2 + 4 * h * 34))
        first = -float(min(2046, math.ceil(reach)))
        if -first < 128:
            continue
        few, many = (np.array(x) for x in both(h, slope, first, 0.0))
        # Measured: 2e-10, from the rule of 32 nodes. float32 needs 6e-8.
        np.testing.assert_allclose(many, few, rtol=1e-9)


def test_ratios_that_float32_cannot_hold():
    # z/q up to 3e41, and so soft that every level counts.
    z = np.array([3e38, -3e38, 1e30, -1e34], np.float32)
    q, alpha = np.full(4, 1e-3, np.float32), np.full(4, 1e-40, np.float32)
    got = torch_soft_quantizer(soft_quantize)(z, q, alpha, 127)
    points = [x.astype(float) for x in (z, q, alpha)]
    expected = soft_quantize_partials(*points, max_level=127)
    # float64 inside; the smallest value is 1e-12 q, left by terms of 1 that cancel.
    np.testing.assert_allclose(got[0], expected.value, rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(got[2], expected.dq, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(got[3], expected.dalpha, rtol=1e-6)


SHAPES = [
    # z, q, alpha
    ((2, 3, 4, 8, 5, 8), (3, 1, 8, 1, 8), (3, 1, 8, 1, 8)),
    ((2, 3, 4, 8, 80, 8), (3, 1, 8, 1, 8), (1,)),
    ((70000,), (1,), (70000,)),
    ((3, 50, 50), (3, 1, 1), ()),
    ((40, 3, 7), (7,), (3, 1)),
    ((5, 1, 3), (5, 900, 1), (3,)),
    ((1, 1), (300, 300), (300, 1)),
    ((2, 3, 40, 64), (1, 3, 40, 64), (2, 1, 1, 64)),
    ((ROW + 1,), (ROW + 1,), ()),
    ((4, 4096), (4, 1), (4096,)),
]


@pytest.mark.parametrize(("z_shape", "q_shape", "alpha_shape"), SHAPES)
@pytest.mark.parametrize("window", [0, 5])
def test_every_broadcast_pattern(z_shape, q_shape, alpha_shape, window):
    generator = torch.Generator().manual_seed(0)

    def draw(shape, low, high):
        return low + (high - low) * torch.rand(shape, generator=generator)

    # h from 0.9 to 14: no conditioning to speak of.
    z, q, alpha = draw(z_shape, -20, 20), draw(q_shape, 1, 2), draw(alpha_shape, 0.9, 3.5)
    grad = draw(torch.broadcast_shapes(z_shape, q_shape, alpha_shape), 0.5, 1.5)
    # The kernel picks a window by z/q in float32; z within rounding of its jump is left out.
    same = (torch.frac((z / q).abs() + torch.zeros_like(grad)) - 0.5).abs() > 1e-5
    grad = grad * same
    value = cpu_quantizer.soft_quantize(z, q, alpha, 15, window)
    gradients = cpu_quantizer.soft_quantize_backward(grad, z, q, alpha, 15, window, [True] * 3)
    wide = [x.double() for x in (z, q, alpha)]
    expected, *partials = eager.soft_quantize_partials(*wide, 15, window)
    scale = 64 * torch.finfo(torch.float32).eps * 20
    assert torch.allclose(value[same].double(), expected[same], rtol=0, atol=scale)
    for got, partial, like in zip(gradients, partials, (z, q, alpha), strict=True):
        terms = grad.double() * partial
        total = terms.sum_to_size(like.shape)
        # float32 partials of up to 15 levels and their conditioning, relative to the
        # magnitudes summed. Measured: at most 1.5e-5.
        bound = (terms.abs() + 15).sum_to_size(like.shape) * 1e-4
        assert got.shape == like.shape
        assert bool(((got - total).abs() <= bound).all())


@pytest.fixture
def _threads_restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _work() -> list[torch.Tensor]:
    """Results of both operators, with shares of gradients to sum and rare elements among them."""
    generator = torch.Generator().manual_seed(1)
    z = 40 * torch.randn(3, 50_000, generator=generator)
    q = torch.tensor(0.5).requires_grad_()
    alpha = (0.1 + 3 * torch.rand(50_000, generator=generator)).requires_grad_()
    z.requires_grad_()
    value = soft_quantize(z, q, alpha, max_level=63)
    one = torch.tensor(0.7).requires_grad_()
    soft_quantize(z.detach().reshape(-1), one, 1.0, max_level=63).square().mean().backward()
    image = (255 * torch.rand(3, 3, 70, 130, generator=generator)).requires_grad_()
    tables = (0.2 + 9 * torch.rand(2, 2, 8, 8, generator=generator)).requires_grad_()
    decoded = encode_decode(image, tables, torch.full((2, 2, 8, 8), 0.8), max_level=31)
    ((value**2).mean() + (decoded**2).mean()).backward()
    leaves = (z, q, alpha, one, image, tables)
    return [value.detach(), decoded.detach(), *(x.grad for x in leaves)]


@pytest.mark.usefixtures("_threads_restored")
def test_bit_equal_for_every_number_of_threads():
    torch.set_num_threads(1)
    expected = _work()
    for count in (2, 3, 7):
        torch.set_num_threads(count)
        cpu_quantizer._layout.cache_clear()  # or it would remember the partition
        for got, one in zip(_work(), expected, strict=True):
            assert torch.equal(got, one)


@pytest.mark.usefixtures("_threads_restored")
def test_from_many_python_threads_at_once():
    torch.set_num_threads(3)
    expected = _work()
    results: list[list[torch.Tensor]] = []
    workers = [threading.Thread(target=lambda: results.append(_work())) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(results) == len(workers)
    for result in results:
        assert all(map(torch.equal, result, expected))


class _Quantized(Dataset[torch.Tensor]):
    """Runs the kernels inside the workers of a DataLoader."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        # Workers start with one. With two, torch's own loops hang after a fork, so that the
        # inputs are made by NumPy.
        torch.set_num_threads(2)
        z = torch.from_numpy(np.arange(70_000, dtype=np.float32) * np.float32(1e-3) + index)
        image = torch.full((1, 3, 40, 40), 100.0 + index)
        decoded = encode_decode(image, torch.ones(1, 2, 8, 8), torch.ones(1, 2, 8, 8), max_level=9)
        value = soft_quantize(z, 1.5, 2.0, max_level=31)
        return torch.from_numpy(np.concatenate([value.numpy(), decoded.numpy().reshape(-1)]))


@pytest.mark.usefixtures("_threads_restored")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_inside_data_loader_workers(method):
    torch.set_num_threads(2)
    data = _Quantized()
    expected = [data[i] for i in range(len(data))]  # the pool of the parent is running
    loader = DataLoader(
        data, batch_size=None, num_workers=2, multiprocessing_context=method, timeout=60
    )
    for got, one in zip(loader, expected, strict=True):
        assert torch.equal(got, one)


@pytest.mark.usefixtures("_threads_restored")
@pytest.mark.parametrize("threads", [1, 4])
def test_tasks_run_once_each_and_errors_come_back(threads):
    torch.set_num_threads(threads)
    done: list[int] = []
    run_tasks(done.append, 100)
    assert sorted(done) == list(range(100))

    def fail(i: int) -> None:
        if i == 50:
            raise RuntimeError("task 50")

    with pytest.raises(RuntimeError, match="task 50"):
        run_tasks(fail, 100)
    run_tasks(fail, 0)


def _meet() -> None:
    """Two tasks that wait for each other: they end only where two threads work."""
    torch.set_num_threads(2)
    barrier = threading.Barrier(2)
    run_tasks(lambda _: barrier.wait(20), 2)


@pytest.mark.usefixtures("_threads_restored")
def test_a_forked_process_has_threads_of_its_own():
    _meet()
    child = multiprocessing.get_context("fork").Process(target=_meet)
    child.start()
    child.join(40)
    assert child.exitcode == 0


@pytest.mark.usefixtures("_threads_restored")
def test_tasks_may_hand_out_tasks():
    torch.set_num_threads(2)
    done: list[int] = []
    run_tasks(lambda _: run_tasks(done.append, 10), 10)
    assert len(done) == 100


def test_importing_compiles_and_imports_nothing():
    code = "import sys, torch_impl; assert not {'numba', 'llvmlite', 'triton'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_a_place_for_a_cache(monkeypatch):
    compile_ = numba.njit

    def refuse(*args, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compile_(*args, **options)

    monkeypatch.setattr(numba, "njit", refuse)

    @cpu_jit.jit
    def double(x):
        return 2 * x

    assert double(3) == 6
    assert double.signatures


def test_kernels_are_compiled_for_one_set_of_types():
    from torch_impl.kernels.cpu_rows import backward_rows, forward_rows

    _work()
    half = torch.ones(3, 3, dtype=torch.float16)[::2, 1:]
    soft_quantize(half, 1, torch.ones(2, dtype=torch.float64).float(), max_level=3)
    # More would mean a pause of a second in the middle of somebody's training.
    assert len(forward_rows.signatures) == 1
    assert len(backward_rows.signatures) == 1
