"""Values and gradients of the torch soft quantizer against the reference."""

from __future__ import annotations

import itertools
import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oracles.tolerance import tolerances
from reference import hard_quantize
from reference import soft_quantize_partials as reference_partials
from tests.strategies import Points, points, seeds
from tests.torch_impl._judging import assert_sound, eager_kernels, leaves, torch_partials
from torch_impl import soft_quantize

EPS32 = 2.0**-23
WINDOWS = [None, 3, 5, 7]


def one(z, q, alpha, max_level, window=None):
    return Points(*(np.array([float(x)]) for x in (z, q, alpha)), max_level, window)


@settings(max_examples=200)
@given(points(dtype="float32"))
@example(one(127.5, 1, math.pi, 127))  # the last tie, at the crossover
@example(one(128.5, 1, 0.05, 127))
@example(one(-127, 1, 1e-6, 127))
@example(one(1e6 * 127, 1, 3, 127))
@example(one(0.5, 1, 1, 127, 5))  # Table 10
@example(one(-1, 1, 0.7, 1, 3))
def test_float32_is_sound(p: Points):
    assert_sound(p, "float32")


@given(points(dtype="float32"))
@example(one(127.5, 1, math.pi, 127))
@example(one(-127, 1, 1e-6, 127))
@example(one(-1, 1, 0.7, 1, 3))
def test_float32_is_sound_without_compiled_kernels(p: Points):
    with eager_kernels() as asked:
        assert_sound(p, "float32")
    assert asked.called


@settings(max_examples=200)
@given(points(dtype="float64"))
@example(one(127.5, 1, math.pi, 127))
@example(one(np.nextafter(0.5, 0), 1, 1e6, 127, 3))  # + 1/2 rounds to 1
@example(one(-1e6 * 1023, 1, 0.01, 1023))
def test_float64_is_sound(p: Points):
    assert_sound(p, "float64")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("window", WINDOWS)
def test_long_mixed_batches_are_sound(dtype, window):
    # Long enough for vectorized loops and their tails, with every regime side by side.
    rng = np.random.default_rng(11)
    n = 5003
    for max_level in (7, 127):
        c = rng.uniform(-1.2, 1.2, n) * max_level
        c[::5] = np.floor(c[::5]) + 0.5
        q = 10.0 ** rng.uniform(-2, 2.4, n)
        q[::5] = 2.0 ** np.round(np.log2(q[::5]))
        h = 10.0 ** rng.uniform(-3, 4, n)
        z, q, alpha = (a.astype(dtype).astype(float) for a in (c * q, q, h / q**2))
        batch = Points(z, q, alpha, max_level, window)
        assert_sound(batch, dtype)
        with eager_kernels():
            assert_sound(batch, dtype)


def test_scan_across_the_crossover_and_the_reach_of_the_ends():
    # Where the eager kernel changes its form: h = pi, and h (L - |c|)^2 = 30 (50 in float64).
    h = np.concatenate([math.pi + np.array([-1e-3, -1e-6, 0, 1e-6, 1e-3]), [0.3, 1.0, 3.0]])
    room = np.sqrt(np.array([25.0, 29.9, 30.1, 49.9, 50.1, 60])[:, None] / h)  # (6, 8)
    c = np.stack([15 - room, room - 15, 15 - room - 0.5])
    for dtype in ("float32", "float64"):
        alpha = np.broadcast_to(h, c.shape)
        z, q, alpha = (np.ravel(a).astype(dtype).astype(float) for a in (c, np.ones_like(c), alpha))
        assert_sound(Points(z, q, alpha, 15, None), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("window", WINDOWS)
def test_steps_and_alphas_at_the_ends_of_the_format(dtype, window):
    limits = np.finfo(dtype)
    tiny, small, large = float(limits.tiny), float(limits.smallest_subnormal), float(limits.max)
    # q^3 of dalpha must stay a number: q up to the cube root of the largest.
    steps = [small, tiny / 8, tiny, 1e-5, 255.0, (large / 1e4) ** (1 / 3) / 16]
    alphas = [small, tiny, 1.0, large / 4]
    ratios = [0.0, 1.0, -0.5, 0.25, 7.0, -7.5, 9.0]
    for q, alpha, c in itertools.product(steps, alphas, ratios):
        z, q_, alpha_ = (np.array([x]).astype(dtype).astype(float) for x in (c * q, q, alpha))
        got = torch_partials(Points(z, q_, alpha_, 7, window), dtype)
        assert np.isfinite(got[:2]).all(), (z, q_, alpha_)
        assert not np.isnan(got).any(), (z, q_, alpha_)
        # |Q| <= L q, and one rounding.
        assert abs(got[0, 0]) <= 7 * q_[0] * (1 + float(limits.eps))
        assert got[1, 0] >= -float(limits.eps)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("alpha", [1e-30, 1e-3, 0.7, 5.0, 1e6, 1e30])
def test_saturation_and_infinity_have_the_limit_and_its_gradients(dtype, window, alpha):
    far = [7.0 * 10**k for k in range(1, 7)] + [1e29, torch.finfo(dtype).max, math.inf]
    z = torch.tensor(far + [-x for x in far], dtype=dtype, requires_grad=True)
    q = torch.full_like(z, 0.5).requires_grad_()
    a = torch.full_like(z, alpha).requires_grad_()
    value = soft_quantize(z, q, a, max_level=7, window=window)
    gradients = torch.autograd.grad(value.sum(), (z, q, a))
    expected = reference_partials(
        z.detach().double().numpy(), 0.5, a.detach().double().numpy(), max_level=7, window=window
    )
    # The next level weighs exp(-h (2 (|c| - L) + 1)): below exp(-800) nothing is left of it.
    gone = (alpha * 0.25) * 2 * (z.detach().abs() / 0.5 - 7) > 800
    sign = torch.sign(z.detach())[gone]
    limits = (sign * 3.5, 0 * sign, sign * 7, 0 * sign)
    for got, want in zip((value, *gradients), limits, strict=True):
        assert torch.equal(got[gone], want)
    eps = torch.finfo(dtype).eps
    # Natural sizes of the four: L q, 1, L, (L q)^3.
    for got, want, size in zip((value, *gradients), expected, (3.5, 1.0, 7.0, 43.0), strict=True):
        assert torch.isfinite(got).all()
        np.testing.assert_allclose(
            got.detach().double().numpy(), want, rtol=2e3 * eps, atol=16 * eps * size
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("alpha", [1e-3, 0.7, 5.0, 100.0])
def test_nan_stays_where_it_was(dtype, window, alpha):
    z = torch.tensor([0.3, math.nan, -2.0, math.inf, math.nan, -math.inf], dtype=dtype)
    z.requires_grad_()
    q, a = torch.full_like(z, 0.5).requires_grad_(), torch.full_like(z, alpha).requires_grad_()
    value = soft_quantize(z, q, a, max_level=7, window=window)
    for result in (value, *torch.autograd.grad(value.sum(), (z, q, a))):
        assert torch.equal(torch.isnan(result), torch.isnan(z)), result


@given(p=points(dtype="float32", max_size=1), seed=seeds)
def test_scaling_by_a_power_of_two_is_exact(p: Points, seed: int):
    s = 2.0 ** np.random.default_rng(seed).integers(-6, 7)
    plain = torch_partials(p, "float32")
    scaled = torch_partials(Points(s * p.z, s * p.q, p.alpha / s**2, *p[3:]), "float32")
    # z = 1e-300 is 0 in float32; q^3 >= 1e-15 and 2^-18 leave dalpha a normal number.
    wanted = plain * np.array([s, 1, 1, s**3])[:, None]
    normal = (wanted == 0) | (np.abs(wanted) > 1e-30)
    np.testing.assert_array_equal(scaled[normal], wanted[normal])


@given(level=st.integers(-900, 900), numerator=st.integers(-128, 128), log_h=st.floats(-1, 6))
def test_shift_by_one_step_is_exact_in_the_gradient(level, numerator, log_h):
    # L = 1023 and |c| < 902: the ends are out of sight, and z, z + 1 are exact in float32.
    z = level + numerator / 256
    two = Points(np.array([z, z + 1]), np.ones(2), np.full(2, 10.0**log_h), 1023, None)
    value, dz, _, dalpha = torch_partials(two, "float32")
    assert dz[0] == dz[1]
    assert dalpha[0] == dalpha[1]
    assert abs(value[1] - value[0] - 1) <= EPS32 * (abs(z) + 1)


@given(points(dtype="float32"))
def test_bounded_and_monotone_slope(p: Points):
    value, dz, _, _ = torch_partials(p, "float32")
    assert (np.abs(value) <= p.max_level * p.q * (1 + EPS32)).all()
    tolerance = tolerances(p.z, p.q, p.alpha, **p.support, dtype="float32")
    assert (dz >= -tolerance.dz).all()


@given(level=st.integers(-7, 6), exponent=st.integers(-10, 7))
def test_hard_limit_and_ties(level, exponent):
    q = 2.0**exponent
    alpha = 1e6 / q**2
    for window in (None, 5):
        z = torch.tensor([level * q, (level + 0.25) * q, (level + 0.5) * q])
        got = soft_quantize(z, q, alpha, max_level=7, window=window)
        hard = hard_quantize(z[:2].numpy(), q, max_level=7)
        assert got.tolist() == [*hard, (level + 0.5) * q]


def test_the_window_at_a_tie_is_the_upper_one():
    # The paper's Table 10; half-to-even gives 0.4973.
    for dtype in (torch.float32, torch.float64):
        z = torch.tensor([0.5, -0.5, 1.5, -1.5], dtype=dtype)
        got = soft_quantize(z, 1.0, 1.0, max_level=127, window=5)
        np.testing.assert_allclose(got - z, [0.0027] * 4, rtol=0, atol=5e-5)


HALF = st.sampled_from([torch.float16, torch.bfloat16])


@pytest.mark.parametrize("kernels", ["compiled", "eager"])
@given(dtype=HALF, seed=seeds, window=st.sampled_from(WINDOWS))
def test_half_precision_is_float32_rounded_once(kernels, dtype, seed, window):
    with eager_kernels() if kernels == "eager" else nullcontext():
        check_half_precision(dtype, seed, window)


def check_half_precision(dtype, seed, window):
    rng = np.random.default_rng(seed)
    q = 10.0 ** rng.uniform(-1, 2, 16)
    alpha = np.clip(10.0 ** rng.uniform(-2, 3, 16) / q**2, 1e-5, 6e4)  # what float16 can hold
    z, q, alpha = leaves(rng.uniform(-9, 9, 16) * q, q, alpha)
    narrow = [x.detach().to(dtype).requires_grad_() for x in (z, q, alpha)]
    wide = [x.detach().float().requires_grad_() for x in narrow]
    got = soft_quantize(*narrow, max_level=7, window=window)
    want = soft_quantize(*wide, max_level=7, window=window)
    assert got.dtype == dtype
    assert torch.equal(got, want.to(dtype))
    weight = torch.from_numpy(rng.normal(size=16)).to(dtype)
    got_grads = torch.autograd.grad(got, narrow, weight)
    want_grads = torch.autograd.grad(want, wide, weight.float())
    for a, b in zip(got_grads, want_grads, strict=True):
        assert a.dtype == dtype
        assert torch.equal(a, b.to(dtype))


def test_half_precision_coefficients_with_float32_tables():
    z = torch.tensor([[1.3, -0.2], [7.7, 300.0]], dtype=torch.bfloat16, requires_grad=True)
    q = torch.tensor([0.7, 3.0], requires_grad=True)
    alpha = torch.tensor([2.0, 0.3], requires_grad=True)
    value = soft_quantize(z, q, alpha, max_level=127)
    assert value.dtype == torch.float32  # as torch promotes bfloat16 and float32
    value.sum().backward()
    assert [x.grad.dtype for x in (z, q, alpha)] == [torch.bfloat16, torch.float32, torch.float32]
    z_wide = z.detach().float().requires_grad_()
    wide = soft_quantize(z_wide, q.detach(), alpha.detach(), max_level=127)
    assert torch.equal(value, wide)
    wide.sum().backward()
    assert torch.equal(z.grad, z_wide.grad.bfloat16())


SHAPES = [
    ((2, 3, 4), (4,), (3, 1)),
    ((2, 3, 4), (), (1, 1, 1)),
    ((4,), (2, 3, 4), (3, 1)),
    ((1, 3, 1), (2, 1, 4), ()),
    ((), (2, 3), (3,)),
    ((), (), ()),
]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("window", [None, 5])
def test_broadcast_gradients_are_sums_of_the_elementwise_ones(shapes, window):
    rng = np.random.default_rng(3)
    arrays = [
        rng.uniform(-9, 9, shapes[0]),
        rng.uniform(0.3, 2.0, shapes[1]),
        rng.uniform(0.2, 9.0, shapes[2]),
    ]
    tensors = leaves(*arrays)
    value = soft_quantize(*tensors, max_level=7, window=window)
    weight = torch.tensor(rng.normal(size=value.shape))
    gradients = torch.autograd.grad(value, tensors, weight)
    full = [np.broadcast_to(a, value.shape) for a in arrays]
    expected = reference_partials(*full, max_level=7, window=window)
    tol = tolerances(*full, max_level=7, window=window, dtype="float64")
    assert value.shape == np.broadcast_shapes(*shapes)
    assert (np.abs(value.detach().numpy() - expected.value) <= tol.value).all()
    for tensor, got, partial, bound in zip(tensors, gradients, expected[1:], tol[1:], strict=True):
        assert got.shape == tensor.shape
        products = torch.from_numpy(partial) * weight
        want = products.sum_to_size(tensor.shape)
        # Elementwise tolerances, and the rounding of at most 24 products and additions.
        allowed = torch.from_numpy(bound) * weight.abs() + 25 * 2.0**-52 * products.abs()
        assert ((got - want).abs() <= allowed.sum_to_size(tensor.shape)).all()


@pytest.mark.parametrize("window", [None, 5])
def test_layouts_do_not_matter(window):
    rng = np.random.default_rng(4)
    z = torch.tensor(rng.uniform(-9, 9, (3, 4, 5)))
    q = torch.tensor(rng.uniform(0.3, 2.0, (3, 4, 5)))
    plain = soft_quantize(z, q, 2.0, max_level=7, window=window)
    padded = torch.full((3, 4, 10), math.nan, dtype=torch.float64)
    padded[..., ::2] = z
    transposed = z.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    for other in (padded[..., ::2], transposed):
        assert not other.is_contiguous()
        leaf = other.detach().requires_grad_()
        got = soft_quantize(leaf, q, 2.0, max_level=7, window=window)
        assert torch.equal(got, plain)
        assert got.is_contiguous()
        # A gradient that comes in as an expanded scalar, and one that is strided.
        (summed,) = torch.autograd.grad(got.sum(), leaf, retain_graph=True)
        weight = torch.ones(3, 5, 4, dtype=torch.float64).mT
        (weighted,) = torch.autograd.grad(got, leaf, weight)
        assert torch.equal(summed, weighted)
    row = z[:1].expand(3, 4, 5).requires_grad_()
    got = soft_quantize(row, q, 2.0, max_level=7, window=window)
    assert torch.equal(got, soft_quantize(z[:1], q, 2.0, max_level=7, window=window))


def test_channels_last_and_large_enough_for_several_threads():
    z = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 20
    plain = soft_quantize(z, 1.5, 0.4, max_level=127)
    last = soft_quantize(z.to(memory_format=torch.channels_last), 1.5, 0.4, max_level=127)
    assert torch.equal(plain, last)


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2)])
@pytest.mark.parametrize("window", [None, 5])
def test_empty(shape, window):
    z = torch.empty(shape, requires_grad=True)
    q = torch.ones((), requires_grad=True)
    value = soft_quantize(z, q, 5.0, max_level=7, window=window)
    assert value.shape == shape
    value.sum().backward()
    assert z.grad is not None
    assert z.grad.shape == shape
    assert q.grad == 0


def test_numbers_stand_for_zero_dimensional_tensors():
    z = torch.tensor([0.2, 1.7, -3.1])
    tensor = soft_quantize(z, torch.tensor(0.7), torch.tensor(3.0), max_level=7)
    assert torch.equal(soft_quantize(z, 0.7, 3, max_level=7), tensor)
    wide = soft_quantize(z.double(), 0.7, 3, max_level=7)
    # In float64 a number is not rounded to float32 on its way.
    want = reference_partials(z.double().numpy(), 0.7, 3.0, max_level=7).value
    tol = tolerances(z.double().numpy(), 0.7, 3.0, max_level=7, dtype="float64").value
    assert wide.dtype == torch.float64
    assert (np.abs(wide.numpy() - want) <= tol).all()


@pytest.mark.parametrize("needs", list(itertools.product([False, True], repeat=3)))
@pytest.mark.parametrize("window", [None, 5])
def test_every_subset_of_gradients(needs, window):
    arrays = [np.array([0.4, -7.2, 30.0]), np.array([0.7]), np.array([[2.0], [0.5]])]
    everything = leaves(*arrays)
    soft_quantize(*everything, max_level=7, window=window).sum().backward()
    some = [x.detach().requires_grad_(n) for x, n in zip(everything, needs, strict=True)]
    value = soft_quantize(*some, max_level=7, window=window)
    assert value.requires_grad == any(needs)
    if any(needs):
        value.sum().backward()
    for x, full, needed in zip(some, everything, needs, strict=True):
        assert (x.grad is not None) == needed
        if needed:
            assert torch.equal(x.grad, full.grad)


@pytest.mark.parametrize("h", [0.5, 2.0, math.pi + 0.5, 10.0])
@pytest.mark.parametrize("window", [None, 5, 15])
def test_gradcheck(h, window):
    # Away from ties of the window (jumps), inside, at the ends and beyond.
    c = torch.tensor([0.3, -2.2, 0.1, 6.7, 7.3, -8.1, 3.0], dtype=torch.float64)
    q = torch.tensor([0.7, 1.3, 2.0, 1.0, 0.9, 1.1, 3.0], dtype=torch.float64)
    tensors = [x.clone().requires_grad_() for x in (c * q, q, h / q**2)]
    assert torch.autograd.gradcheck(
        lambda *x: soft_quantize(*x, max_level=7, window=window), tensors
    )


BAD_VALUES = [0.0, -1.0, math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("name", ["q", "alpha"])
@pytest.mark.parametrize("bad", BAD_VALUES)
def test_q_and_alpha_must_be_positive_and_finite(name, bad):
    z = torch.zeros(2, 3)
    table = torch.ones(2, 3)
    table[1, 2] = bad
    for value, where in ((table, r" at index \(1, 2\)"), (torch.tensor(bad), ""), (bad, "")):
        arguments = {"q": 1.0, "alpha": 1.0, name: value}
        with pytest.raises(ValueError, match=rf"{name} must be positive and finite, got .*{where}"):
            soft_quantize(z, **arguments, max_level=7)


def test_max_level_and_window_are_checked():
    z = torch.zeros(3)
    for bad in (0, -1):
        with pytest.raises(ValueError, match="max_level must be at least 1"):
            soft_quantize(z, 1.0, 1.0, max_level=bad)
    for bad in (7.0, "7", None, True):
        with pytest.raises(TypeError, match="max_level must be an integer"):
            soft_quantize(z, 1.0, 1.0, max_level=bad)
    for bad, message in ((4, "odd"), (1, "at least 3"), (0, "at least 3"), (17, "the 15 levels")):
        with pytest.raises(ValueError, match=f"window must .*{message}"):
            soft_quantize(z, 1.0, 1.0, max_level=7, window=bad)
    for bad in (5.0, "5", True):
        with pytest.raises(TypeError, match="window must be an integer"):
            soft_quantize(z, 1.0, 1.0, max_level=7, window=bad)


def test_tensors_must_be_floating_point():
    good = torch.ones(3)
    for bad in (torch.ones(3, dtype=torch.int32), torch.ones(3, dtype=torch.complex64), [1.0], "1"):
        for name in ("z", "q", "alpha"):
            arguments = {"z": good, "q": good, "alpha": good, name: bad}
            with pytest.raises(TypeError, match=f"{name} must be a"):
                soft_quantize(**arguments, max_level=7)
    with pytest.raises(TypeError, match="q must be a"):
        soft_quantize(good, True, 1.0, max_level=7)


def test_shapes_must_broadcast():
    with pytest.raises(ValueError, match=r"must broadcast .*\(3,\), \(2,\), \(\)"):
        soft_quantize(torch.ones(3), torch.ones(2), 1.0, max_level=7)
