"""The quantizer baselines as part of torch: noise, precision, autocast, transforms, compilation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.torch_impl._baselines import FUNCTIONS, NAMES, noise_for
from tests.torch_impl._judging import leaves
from torch_impl.quantizer_baselines import (
    cubic_quantize,
    uniform_noise_quantize,
)

# The noise


def test_the_noise_is_uniform_on_one_bin():
    # Dvoretzky-Kiefer-Wolfowitz: the empirical distribution of n draws is further than
    # sqrt(ln(2/p) / 2n) from the true one with probability p; here p = 1e-9.
    n = 200_000
    generator = torch.Generator().manual_seed(7)
    z = torch.zeros(n, dtype=torch.float64)
    u = uniform_noise_quantize(z, 1.0, max_level=7, generator=generator)
    assert u.min() >= -0.5
    assert u.max() < 0.5
    grid = torch.arange(1, n + 1) / n
    distance = (u.sort().values + 0.5 - grid).abs().max()
    assert distance <= math.sqrt(math.log(2e9) / (2 * n)) + 1 / n
    # Mean 0 and variance 1/12, the latter with variance 1/180 / n; neighbours uncorrelated, with
    # variance 1/144 / n. Each off by more than 6 standard deviations with probability 2e-9.
    assert u.mean().abs() <= 6 * math.sqrt(1 / 12 / n)
    assert (u.square().mean() - 1 / 12).abs() <= 6 * math.sqrt(1 / 180 / n)
    assert (u[1:] * u[:-1]).mean().abs() <= 6 * math.sqrt(1 / 144 / n)


def test_every_element_has_its_own_noise_and_its_gradient_for_q_is_that_noise():
    z = torch.zeros(4, 5, 6)
    q = torch.full((6,), 2.0, requires_grad=True)
    value = uniform_noise_quantize(z, q, max_level=7)
    assert value.unique().numel() == value.numel()
    (dq,) = torch.autograd.grad(value.sum(), q)
    # Sums of 20 numbers up to 1/2, in float32.
    torch.testing.assert_close(dq, (value.detach() / 2).sum((0, 1)), rtol=0, atol=20 * 2**-24)
    assert (
        uniform_noise_quantize(torch.zeros(6), torch.ones(4, 6), max_level=7).unique().numel() == 24
    )


def test_the_noise_is_reproducible_by_generator_and_by_seed():
    z = torch.randn(64)

    def draw(**options: Any) -> Tensor:
        return uniform_noise_quantize(z, 0.5, max_level=7, **options)

    by_generator = [draw(generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*by_generator)
    torch.manual_seed(3)
    first, second = draw(), draw()
    assert torch.equal(first, by_generator[0])
    assert not torch.equal(first, second)
    before = torch.get_rng_state()
    draw(generator=torch.Generator().manual_seed(3))
    draw(noise=torch.zeros(64))
    cubic_quantize(z, 0.5, max_level=7)
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_of_half_precision_coefficients_is_not_coarse():
    # Drawn in bfloat16 it would have at most 257 values.
    z = torch.zeros(4096, dtype=torch.bfloat16)
    q = torch.ones((4096,), requires_grad=True)
    value = uniform_noise_quantize(z, q, max_level=7)
    assert value.dtype == torch.float32
    (dq,) = torch.autograd.grad(value.sum(), q)
    assert torch.equal(dq, value)
    assert dq.unique().numel() > 4000


# Surroundings


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_float32_rounded_once(name, dtype):
    generator = torch.Generator().manual_seed(0)
    z = (4 * torch.randn(512, generator=generator)).to(dtype)
    q = (torch.rand(512, generator=generator) + 0.25).to(dtype)
    u = torch.from_numpy(noise_for(z)).float()
    options = {"noise": u} if name == "uniform_noise" else {}
    narrow = [t.clone().requires_grad_() for t in (z, q)]
    wide = [t.float().requires_grad_() for t in (z, q)]
    got = FUNCTIONS[name](*narrow, max_level=7, **options)
    want = FUNCTIONS[name](*wide, max_level=7, **options)
    assert got.dtype == dtype
    assert torch.equal(got, want.to(dtype))
    got.backward(torch.ones_like(got))
    want.backward(torch.ones_like(want))
    for a, b in zip(narrow, wide, strict=True):
        assert a.grad.dtype == dtype
        assert torch.equal(a.grad, b.grad.to(dtype))


@pytest.mark.parametrize("name", NAMES)
def test_autocast_changes_nothing(name):
    z, q = torch.randn(16, 8), torch.rand(8) + 0.5
    options = {"noise": torch.from_numpy(noise_for(z)).float()} if name == "uniform_noise" else {}
    plain = FUNCTIONS[name](z, q, max_level=7, **options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = FUNCTIONS[name](z, q, max_level=7, **options)
    assert torch.equal(inside, plain)


@pytest.mark.parametrize("name", NAMES)
def test_a_number_stands_for_a_table_and_does_not_widen(name):
    z = torch.randn(8, dtype=torch.float16)
    options = {"noise": torch.zeros(8)} if name == "uniform_noise" else {}
    got = FUNCTIONS[name](z, 0.5, max_level=7, **options)
    assert got.dtype == torch.float16
    assert torch.equal(
        got, FUNCTIONS[name](z, torch.full((8,), 0.5).half(), max_level=7, **options)
    )


@pytest.mark.parametrize("name", NAMES)
def test_vmap_and_func_grad(name):
    z, q = torch.randn(5, 4), torch.rand(4) + 0.5
    u = torch.from_numpy(noise_for(z)).float()

    def loss(a: Tensor, b: Tensor, noise: Tensor) -> Tensor:
        options = {"noise": noise} if name == "uniform_noise" else {}
        return FUNCTIONS[name](a, b, max_level=3, **options).sin().sum()

    per_example = torch.func.vmap(torch.func.grad(loss, argnums=(0, 1)), in_dims=(0, None, 0))
    by_z, by_q = per_example(z, q, u)
    for i in range(5):
        a, b = z[i].clone().requires_grad_(), q.clone().requires_grad_()
        want = torch.autograd.grad(loss(a, b, u[i]), (a, b))
        # One rounding in float32, of numbers up to 3.
        torch.testing.assert_close((by_z[i], by_q[i]), want, rtol=0, atol=4 * 2.0**-23)


@pytest.mark.parametrize("name", NAMES)
def test_compiles_without_a_break(name):
    z, q = leaves(np.linspace(-5, 5, 61), np.full(61, 0.7), dtype=torch.float32)
    u = torch.from_numpy(noise_for(np.empty(61))).float()
    options = {"noise": u} if name == "uniform_noise" else {}

    def loss(a: Tensor, b: Tensor) -> Tensor:
        return FUNCTIONS[name](a, b, max_level=5, **options).square().sum()

    want = torch.autograd.grad(loss(z, q), (z, q))
    got = torch.autograd.grad(
        torch.compile(loss, fullgraph=True, backend="aot_eager")(z, q), (z, q)
    )
    # The same operations, perhaps in another order.
    torch.testing.assert_close(got, want, rtol=0, atol=16 * 5 * 2.0**-23)


def test_compiled_noise_is_drawn_anew_and_obeys_the_seed():
    draw = torch.compile(
        lambda a: uniform_noise_quantize(a, 1.0, max_level=5), fullgraph=True, backend="aot_eager"
    )
    z = torch.zeros(32)
    torch.manual_seed(1)
    first, second = draw(z), draw(z)
    torch.manual_seed(1)
    assert torch.equal(draw(z), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("name", NAMES)
def test_empty_and_strided(name):
    q = torch.ones((), requires_grad=True)
    FUNCTIONS[name](torch.empty(3, 0), q, max_level=7).sum().backward()
    assert q.grad == 0
    if name == "uniform_noise":
        return
    z = torch.randn(6, 8)
    got = FUNCTIONS[name](z.T[::2], 0.5, max_level=7)
    assert torch.equal(got, FUNCTIONS[name](z.T[::2].contiguous(), 0.5, max_level=7))
