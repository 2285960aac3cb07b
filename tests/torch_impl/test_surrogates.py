"""The torch substitutes against their float64 twins: value, gradient, kinks, dtypes, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reference import surrogates as reference
from reference.standard import CHROMINANCE_TABLE, LUMINANCE_TABLE
from torch_impl import soft_quantize, surrogates
from torch_impl.surrogates import (
    KINDS,
    quality_scale,
    scaled_table,
    soft_clip,
    soft_floor,
    soft_round,
)

# Noise has a test of its own.
FIXED = [kind for kind in KINDS if kind != "uniform_noise"]
SMOOTH = [kind for kind in FIXED if kind != "straight_through"]
BASE = np.stack([LUMINANCE_TABLE, CHROMINANCE_TABLE]).astype(float)
PARTS = ["soft_round", "soft_floor"]
# Ties and whole numbers among them: one-sided derivatives are the same on both sides of a jump.
POINTS = np.concatenate([np.arange(-24, 25) / 8, [-300.77, 0.3, 1e4 + 0.26, -1e-9, 0.49999999]])
# The same few operations in the same order of magnitude: profile up to 1, slope up to 21,
# arguments of sin up to 20 pi.
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def value_and_gradient(function, x, **options):
    leaf = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    value = function(leaf, **options)
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach().numpy(), gradient.numpy()


def assert_twins(found, expected):
    np.testing.assert_allclose(found[0], expected.value, **CLOSE)
    np.testing.assert_allclose(found[1], expected.derivative, **CLOSE)


def test_both_rooms_know_the_same_parts():
    assert KINDS == reference.KINDS
    assert surrogates.CLIP_SLOPE == reference.CLIP_SLOPE
    assert surrogates.SMALLEST_STEP == reference.SMALLEST_STEP
    assert surrogates.SOFT_HBAR == reference.SOFT_HBAR
    names = {"soft_round", "soft_floor", "soft_clip", "quality_scale", "scaled_table"}
    assert names <= set(surrogates.__all__) & set(reference.__all__)


@pytest.mark.parametrize("straight_through", [False, True])
@pytest.mark.parametrize("kind", FIXED)
@pytest.mark.parametrize("part", PARTS)
def test_value_and_gradient_are_those_of_the_reference(part, kind, straight_through):
    options = {"kind": kind, "straight_through": straight_through}
    found = value_and_gradient(getattr(surrogates, part), POINTS, **options)
    assert_twins(found, getattr(reference, part)(POINTS, **options))


@pytest.mark.parametrize("kind", FIXED)
@given(x=st.floats(-1e5, 1e5))
def test_any_number_is_rounded_as_by_the_reference(kind, x):
    for part in PARTS:
        found = value_and_gradient(getattr(surrogates, part), [x], kind=kind)
        assert_twins(found, getattr(reference, part)([x], kind))


@pytest.mark.parametrize("kind", SMOOTH)
@pytest.mark.parametrize("part", [soft_round, soft_floor])
def test_gradients_at_generic_points(part, kind):
    x = torch.tensor([-2.34, -0.77, 0.03, 0.26, 1.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: part(t, kind), x, eps=1e-7, rtol=1e-4, atol=1e-6)
    assert torch.autograd.gradgradcheck(lambda t: part(t, kind), x, eps=1e-7, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("slope", [0, 1e-3, 1.0])
@pytest.mark.parametrize("straight_through", [False, True])
def test_clipping_is_that_of_the_reference_ends_included(slope, straight_through):
    x = np.array([-1e4, -0.5, 0.0, 3.3, 255.0, 255.1, 1e5])
    options = {"low": 0, "high": 255, "slope": slope, "straight_through": straight_through}
    assert_twins(value_and_gradient(soft_clip, x, **options), reference.soft_clip(x, **options))


@pytest.mark.parametrize("slope", [None, 1e-3])
@pytest.mark.parametrize("straight_through", [False, True])
@pytest.mark.parametrize("floor", [None, *FIXED])
def test_scales_and_tables_are_those_of_the_reference(floor, straight_through, slope):
    quality = np.concatenate([np.arange(1, 101), np.arange(1, 100) + 0.37])
    options = {"floor": floor, "straight_through": straight_through}
    found = value_and_gradient(quality_scale, quality, **options)
    expected = reference.quality_scale(quality, **options)
    np.testing.assert_allclose(found[0], expected.value, rtol=1e-12)
    # The scale's slope, up to 5000, times the curvature of the floor, up to 4 pi (1 + .. + 10)
    # with Fourier and 0.1 * 60^2 with sigmoid, times the rounding of a scale of 5000, 1e-12.
    np.testing.assert_allclose(found[1], expected.derivative, rtol=1e-9, atol=4e-6)

    scale = expected.value[:, None, None, None]
    leaf = torch.tensor(scale, requires_grad=True)
    table = scaled_table(torch.tensor(BASE), leaf, slope=slope, **options)
    table.sum().backward()
    twin = reference.scaled_table(BASE, scale, slope=slope, **options)
    np.testing.assert_allclose(table.detach().numpy(), twin.value, rtol=1e-12, atol=1e-9)
    summed = twin.derivative.sum(axis=(1, 2, 3), keepdims=True)
    # 128 entries, each with a curvature of 700 on 1e-12 at most.
    np.testing.assert_allclose(leaf.grad.numpy(), summed, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_straight_through_values_are_exactly_whole_in_every_dtype(kind, dtype):
    x = torch.linspace(-9, 9, 1001).to(dtype)
    whole = torch.tensor([math.floor(v + 0.5) for v in x.double().tolist()])
    for part, expected in ((soft_round, whole), (soft_floor, x.double().floor())):
        found = part(x, kind, straight_through=True)
        assert found.dtype == dtype
        assert torch.equal(found.double(), expected.double())


@pytest.mark.parametrize("part", PARTS)
def test_noise_is_that_of_the_reference_and_uniform(part):
    function, twin = getattr(surrogates, part), getattr(reference, part)
    torch.manual_seed(7)
    found = value_and_gradient(function, POINTS, kind="uniform_noise")
    torch.manual_seed(7)
    noise = torch.rand(POINTS.shape, dtype=torch.float64).numpy() - 0.5
    assert_twins(found, twin(POINTS, "uniform_noise", noise=noise))
    true = value_and_gradient(function, POINTS, kind="uniform_noise", straight_through=True)
    assert_twins(true, twin(POINTS, "uniform_noise", straight_through=True))
    drawn = function(torch.full((100_000,), 5.0), "uniform_noise") - (
        5 if part == PARTS[0] else 4.5
    )
    assert float(drawn.min()) >= -0.5
    assert float(drawn.max()) <= 0.5
    # Four standard errors: sqrt(1 / 12 / n) of the mean, sqrt(1 / 180 / n) of the mean square.
    assert float(drawn.mean()) == pytest.approx(0, abs=4 * (1 / 12e5) ** 0.5)
    assert float(drawn.square().mean()) == pytest.approx(1 / 12, abs=4 * (1 / 180e5) ** 0.5)


def test_the_soft_kind_is_the_soft_quantizer_of_jpeg_dl():
    x = torch.linspace(-4, 4, 801, dtype=torch.float64)
    hbar = torch.tensor(surrogates.SOFT_HBAR, dtype=torch.float64)
    expected = soft_quantize(x, 1.0, hbar, max_level=20)
    # Levels that one of the two leaves out weigh e^-60; a few roundings of numbers up to 4.
    torch.testing.assert_close(soft_round(x, "soft"), expected, rtol=0, atol=1e-14)


def test_a_function_may_stand_for_rounding():
    x = torch.tensor([0.2, 1.6], requires_grad=True)
    found = soft_round(x, lambda t: 2 * t)
    assert torch.equal(found, 2 * x)
    floor = soft_floor(x, lambda t: 2 * t)
    assert torch.equal(floor, 2 * (x - 0.5))
    for part, whole in ((soft_round, [0.0, 2.0]), (soft_floor, [0.0, 1.0])):
        true = part(x, lambda t: 2 * t, straight_through=True)
        assert true.tolist() == whole
        assert torch.autograd.grad(true.sum(), x)[0].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("part", [soft_round, soft_floor])
def test_unknown_kinds_are_named(part):
    x = torch.zeros(1)
    with pytest.raises(
        ValueError, match=r"kind must be one of cubic.*'cubik'; did you mean 'cubic'"
    ):
        part(x, "cubik")
    with pytest.raises(TypeError, match=r"kind must be one of .* got 3 of type int"):
        part(x, 3)
    with pytest.raises(TypeError, match=r"kind must be one of .* got None"):
        part(x, None)


@pytest.mark.parametrize("slope", [-0.1, 1.5, math.nan])
def test_slopes_out_of_range_are_named(slope):
    with pytest.raises(ValueError, match=r"slope must lie in \[0, 1\]"):
        soft_clip(torch.zeros(1), 0, 1, slope=slope)


@pytest.mark.parametrize("slope", [True, "0.1", torch.tensor(0.1)])
def test_slopes_of_other_types_are_named(slope):
    with pytest.raises(TypeError, match="slope must be a number, got"):
        soft_clip(torch.zeros(1), 0, 1, slope=slope)
