"""The torch quantizer baselines against their reference: values, gradients, wrong input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

import reference
import torch_impl.quantizer_baselines as baselines
from tests.strategies import points, seeds
from tests.torch_impl._baselines import FUNCTIONS, NAMES, assert_sound, noise_for, truth
from tests.torch_impl._judging import leaves
from torch_impl.quantizer_baselines import (
    cubic_quantize,
    learned_steps,
    step_gradient_scale,
    straight_through_quantize,
    uniform_noise_quantize,
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), seed=seeds)
def test_values_and_gradients_are_those_of_the_reference(name, dtype, data, seed):
    p = data.draw(points(dtype=dtype))
    assert_sound(name, p.z, p.q, p.max_level, dtype, seed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_ties_and_ends_to_the_last_bit(name, dtype):
    # q with all its digits; the floats on both sides of every tie, level and end.
    for q0 in (1.0, 0.1, 1 / 3, 254.9, 1e-5):
        q = np.array(q0).astype(dtype)
        c = np.arange(-8, 8.5, 0.5).astype(dtype)
        z = np.concatenate([np.nextafter(c * q, s * q.dtype.type(np.inf)) for s in (1, -1)])
        z = np.concatenate([z, c * q]).astype(float)
        assert_sound(name, z, np.full_like(z, float(q)), 7, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_long_batches_with_their_tails(name, dtype):
    rng = np.random.default_rng(5)
    n = 5003
    q = (10.0 ** rng.uniform(-5, 2.4, n)).astype(dtype)
    c = rng.uniform(-160, 160, n)
    c[::3] = np.floor(c[::3]) + 0.5
    z = (c * q).astype(dtype)
    assert_sound(name, z.astype(float), q.astype(float), 127, dtype)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_finds_the_same_levels(name, dtype):
    rng = np.random.default_rng(6)
    n = 200_000
    q = (10.0 ** rng.uniform(-5, 2.4, n)).astype(dtype)
    c = rng.uniform(-160, 160, n)
    c[::3] = np.floor(c[::3]) + 0.5
    z = (c * q).astype(dtype)
    assert_sound(name, z.astype(float), q.astype(float), 127, dtype, device="cuda")


@pytest.mark.gpu
def test_noise_on_a_gpu_comes_from_its_generator():
    z = torch.zeros(1000, device="cuda")
    draws = [
        uniform_noise_quantize(
            z, 1.0, max_level=3, generator=torch.Generator("cuda").manual_seed(4)
        )
        for _ in range(2)
    ]
    assert torch.equal(*draws)
    assert draws[0].abs().max() <= 0.5
    assert draws[0].unique().numel() > 900


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_steps_and_coefficients_at_the_ends_of_the_format(name, dtype):
    limits = np.finfo(dtype)
    tiny, small, large = float(limits.tiny), float(limits.smallest_subnormal), float(limits.max)
    steps = np.array([small, 3 * small, tiny / 8, tiny, 1e-5, 255.0, large / 64])
    ratios = np.array([0.0, -0.0, 1.0, -0.5, 0.25, 7.0, -7.5, 9.0, 1e30])
    q, c = (a.ravel() for a in np.meshgrid(steps, ratios))
    with np.errstate(over="ignore", under="ignore"):
        z = (c * q).astype(dtype).astype(float)
    z = np.where(np.isinf(z), np.sign(z) * large, z)  # inf has a test of its own
    assert_sound(name, z, q.astype(dtype).astype(float), 7, dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_infinity_saturates_and_nan_stays_where_it_was(name, dtype):
    z = torch.tensor([math.inf, -math.inf, math.nan, 0.3], dtype=dtype, requires_grad=True)
    q = torch.full_like(z, 0.5).requires_grad_()
    shift = 0.25 if name == "uniform_noise" else 0.0
    options = {"noise": torch.full((4,), 0.25)} if name == "uniform_noise" else {}
    value = FUNCTIONS[name](z, q, max_level=7, **options)
    dz, dq = torch.autograd.grad(value.sum(), (z, q))
    assert value[:2].tolist() == [0.5 * (7 + shift), 0.5 * (-7 + shift)]
    assert dq[:2].tolist() == [7 + shift, -7 + shift]
    assert dz[:2].tolist() == [0.0, 0.0]
    for part in (value, dz, dq):
        assert torch.equal(part.isnan(), z.isnan())


# The gradient as autograd sees it


@settings(max_examples=20)
@given(seeds)
def test_gradcheck_of_the_true_derivatives(seed):
    # Generic points: more than 0.05 q away from ties and from the end.
    rng = np.random.default_rng(seed)
    q = rng.uniform(0.5, 2, 12)
    z, q = leaves((rng.integers(-6, 7, 12) + rng.uniform(-0.45, 0.45, 12)) * q, q)
    u = torch.from_numpy(noise_for(z.detach()))
    assert torch.autograd.gradcheck(lambda a, b: cubic_quantize(a, b, max_level=7), (z, q))
    assert torch.autograd.gradcheck(
        lambda a, b: uniform_noise_quantize(a, b, max_level=7, noise=u), (z, q)
    )


SHAPES = [
    ((2, 3, 4), (4,)),
    ((2, 3, 4), ()),
    ((4,), (2, 3, 4)),
    ((), (2, 3)),
    ((1, 3, 1), (2, 1, 4)),
]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_broadcast_gradients_are_sums_of_the_elementwise_ones(name, shapes):
    rng = np.random.default_rng(3)
    z, q = rng.uniform(-9, 9, shapes[0]), rng.uniform(0.3, 2.0, shapes[1])
    a, b = leaves(z, q)
    shape = np.broadcast_shapes(*shapes)
    u = noise_for(np.empty(shape))
    options = {"noise": torch.from_numpy(u)} if name == "uniform_noise" else {}
    value = FUNCTIONS[name](a, b, max_level=7, **options)
    assert value.shape == shape
    weight = torch.from_numpy(rng.normal(size=shape))
    gradients = torch.autograd.grad(value, (a, b), weight)
    full = truth(name, u)(*np.broadcast_arrays(z, q), max_level=7)
    # Sums of up to 24 terms of size 10 at most.
    for leaf, got, part in zip((a, b), gradients, full[1:], strict=True):
        want = (torch.from_numpy(part) * weight).sum_to_size(leaf.shape)
        torch.testing.assert_close(got, want, rtol=0, atol=24 * 24 * 10 * 2.0**-52)


@pytest.mark.parametrize("name", NAMES)
def test_the_backward_pass_saves_its_inputs_and_nothing_else(name):
    saved: list[int] = []

    def pack(t: Tensor) -> Tensor:
        saved.append(t.numel())
        return t

    z = torch.randn(32, 64, requires_grad=True)
    q = torch.ones(64, requires_grad=True)
    with saved_tensors_hooks(pack, lambda t: t):
        FUNCTIONS[name](z, q, max_level=7)
    noise = [2048] if name == "uniform_noise" else []
    assert sorted(saved) == sorted([2048, 64, *noise])


@pytest.mark.parametrize("name", NAMES)
def test_gradients_that_nobody_asked_for_are_not_given(name):
    z, q = torch.randn(8), torch.ones(8)
    for a, b in ((z.clone().requires_grad_(), q), (z, q.clone().requires_grad_())):
        FUNCTIONS[name](a, b, max_level=7).sum().backward()
        assert (a.grad is None) == (a is z)
        assert (b.grad is None) == (b is q)


@pytest.mark.parametrize("name", NAMES)
def test_no_second_derivatives(name):
    z = torch.randn(8, requires_grad=True)

    def loss(a: Tensor) -> Tensor:
        return FUNCTIONS[name](a, 0.5, max_level=7).square().sum()

    (grad,) = torch.autograd.grad(loss(z), z, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        grad.sum().backward()
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        torch.func.grad(lambda a: torch.func.grad(loss)(a).sum())(z.detach())


def test_the_gradient_scale_acts_on_the_step_alone():
    z = torch.tensor([0.3, -1.4, 9.0, -20.0], dtype=torch.float64, requires_grad=True)
    q = torch.ones((), dtype=torch.float64, requires_grad=True)
    plain = torch.autograd.grad(straight_through_quantize(z, q, max_level=7).sum(), (z, q))
    scale = step_gradient_scale(4, 7)
    assert scale == 1 / math.sqrt(28)
    value = straight_through_quantize(z, q, max_level=7, gradient_scale=scale)
    assert value.tolist() == [0.0, -1.0, 7.0, -7.0]
    by_z, by_q = torch.autograd.grad(value.sum(), (z, q))
    assert by_z.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert torch.equal(by_z, plain[0])
    # -0.3 + 0.4 + 7 - 7, and rounding of terms of size 7.
    assert float(by_q) == pytest.approx(0.1 * scale, rel=0, abs=8 * 7 * 2.0**-52)
    torch.testing.assert_close(by_q, scale * plain[1])


def test_learned_steps_are_the_reference():
    mean = torch.tensor([[0.5, 8.0], [1e-9, 300.0]], dtype=torch.float64)
    for bits in (2, 6, 8, 11):
        got = learned_steps(mean, bits=bits)
        want = reference.learned_steps(mean.numpy(), bits=bits)
        np.testing.assert_allclose(got.numpy(), want, rtol=4 * 2.0**-52)
    assert step_gradient_scale(784, 31) == reference.step_gradient_scale(784, 31)


# Wrong input


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0], 1.0, 7), TypeError, "z must be a torch.Tensor, got list"),
        ((torch.ones(2, dtype=torch.int64), 1.0, 7), TypeError, "z must be a floating-point"),
        ((torch.ones(2), 0.0, 7), ValueError, "q must be positive and finite, got 0.0"),
        ((torch.ones(2), torch.tensor([1.0, -1.0]), 7), ValueError, r"q must be .* index \(1,\)"),
        ((torch.ones(2), torch.tensor([1.0, math.nan]), 7), ValueError, "q must be positive"),
        ((torch.ones(2), "1", 7), TypeError, "q must be a torch.Tensor, got str"),
        ((torch.ones(2), torch.ones(3), 7), ValueError, r"broadcast .* shapes \(2,\), \(3,\)"),
        ((torch.ones(2), 1.0, 0), ValueError, "max_level must be at least 1"),
        ((torch.ones(2), 1.0, 7.0), TypeError, "max_level must be an integer"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_wrong_arguments(name, arguments, error, message):
    z, q, max_level = arguments
    with pytest.raises(error, match=message):
        FUNCTIONS[name](z, q, max_level=max_level)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda z: uniform_noise_quantize(
                z, 1.0, max_level=3, noise=z, generator=torch.Generator()
            ),
            ValueError,
            "noise and generator exclude each other",
        ),
        (
            lambda z: uniform_noise_quantize(z, 1.0, max_level=3, noise=torch.zeros(3)),
            ValueError,
            r"noise must broadcast to the shape of z and q, \(2,\), got \(3,\)",
        ),
        (
            lambda z: uniform_noise_quantize(z, 1.0, max_level=3, noise=0.5),
            TypeError,
            "noise must be a torch.Tensor",
        ),
        (
            lambda z: straight_through_quantize(z, 1.0, max_level=3, gradient_scale=0.0),
            ValueError,
            "gradient_scale must be positive",
        ),
        (lambda z: step_gradient_scale(0, 3), ValueError, "count must be at least 1"),
        (lambda z: step_gradient_scale(2.0, 3), TypeError, "count must be an integer"),
        (lambda z: learned_steps(-z, bits=8), ValueError, "mean_magnitude must be positive"),
        (lambda z: learned_steps(3.0, bits=8), TypeError, "mean_magnitude must be a torch.Tensor"),
        (lambda z: learned_steps(z, bits=1), ValueError, "bits must be at least 2"),
        (
            lambda z: baselines.baseline_quantize(
                "cubik", z, z, max_level=3, training=True, count=1
            ),
            ValueError,
            "did you mean 'cubic'",
        ),
    ],
)
def test_wrong_options(call, error, message):
    with pytest.raises(error, match=message):
        call(torch.ones(2))
