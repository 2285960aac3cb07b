"""The torch JPEG layer against the reference layer and its closed-form gradient; wrong inputs."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oracles.layer.bounds import layer_bounds
from reference.jpeg_layer import jpeg_layer, jpeg_layer_vjp
from reference.standard import SUBSAMPLINGS, annex_k_tables
from tests.strategies import seeds
from tests.torch_impl._judging import eager_kernels
from torch_impl import JPEGLayer

NAMES = sorted(SUBSAMPLINGS)


class Case(NamedTuple):
    image: Any
    q: Any
    alpha: Any
    weight: Any
    options: dict[str, Any]


@st.composite
def cases(draw: st.DrawFn, dtype: str) -> Case:
    rng = np.random.default_rng(draw(seeds))
    size = draw(st.integers(1, 2)), 3, draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rounds = draw(st.integers(1, 3))
    shape = (2, 8, 8) if rounds == 1 else (rounds, 2, 8, 8)
    image = rng.uniform(0, 255, size)
    if draw(st.booleans()):  # a smooth picture: most coefficients next to 0
        image = np.cumsum(image - 127.5, axis=-1) / 8 + 127.5
        image = np.clip(image, 0, 255)
    step = draw(st.sampled_from([1.0, 4.0, 20.0]))
    q = step * 10.0 ** rng.uniform(-0.5, 0.5, shape)
    hbar = draw(st.sampled_from([0.3, 0.7, 2.0, 5.0, 30.0]))
    alpha = hbar * 10.0 ** rng.uniform(-0.3, 0.3, shape) / q**2
    weight = rng.normal(size=size)
    image, q, alpha, weight = (
        a.astype(dtype).astype(np.float64) for a in (image, q, alpha, weight)
    )
    options = {
        "max_level": draw(st.sampled_from([15, 127, 1023])),
        "window": draw(st.sampled_from([None, 3, 5, 7])),
        "subsampling": draw(st.sampled_from(NAMES)),
    }
    return Case(image, q, alpha, weight, options)


def check_against_reference(case: Case, dtype: torch.dtype) -> None:
    image, q, alpha, weight, options = case
    rounds = 1 if q.ndim == 3 else len(q)
    tables = (torch.tensor(t, dtype=dtype) for t in (q, alpha))
    layer = JPEGLayer(*tables, rounds=rounds, trainable_alpha=True, **options)
    x = torch.tensor(image, dtype=dtype, requires_grad=True)
    got = layer(x)
    assert got.dtype == dtype
    got.backward(torch.tensor(weight, dtype=dtype))
    output = jpeg_layer(image, q, alpha, **options, compiled=True)
    gradients = jpeg_layer_vjp(image, q, alpha, weight, **options, compiled=True)
    name = str(dtype).removeprefix("torch.")
    bounds = layer_bounds(image, q, alpha, weight, **options, dtype=name)
    results = {
        "output": (got, output, bounds.output),
        "image gradient": (x.grad, gradients.image, bounds.gradients.image),
        "q gradient": (layer.q.grad, gradients.q, bounds.gradients.q),
        "alpha gradient": (layer.alpha.grad, gradients.alpha, bounds.gradients.alpha),
    }
    for what, (ours, theirs, bound) in results.items():
        error = np.abs(ours.detach().double().numpy() - theirs)
        worst = np.unravel_index(np.argmax(error / bound), error.shape)
        assert (error <= bound).all(), (
            f"{what} at {worst}: off by {error[worst]:.3g}, allowed {bound[worst]:.3g}"
        )


@settings(max_examples=30)
@given(cases("float32"))
def test_float32_is_the_reference(case):
    check_against_reference(case, torch.float32)


@settings(max_examples=15)
@given(cases("float32"))
def test_float32_is_the_reference_without_compiled_kernels(case):
    with eager_kernels() as asked:
        check_against_reference(case, torch.float32)
    assert asked.called


@settings(max_examples=30)
@given(cases("float64"))
def test_float64_is_the_reference(case):
    check_against_reference(case, torch.float64)


@settings(max_examples=20)
@given(seed=seeds, quality=st.integers(5, 95), subsampling=st.sampled_from(NAMES))
@example(seed=0, quality=50, subsampling="4:2:0")
def test_bounds_in_pixels(seed, quality, subsampling):
    # The same in plain words: with the tables of libjpeg, a float32 layer is within 1e-3 grey
    # levels of the truth, 33 eps of 255. Measured over 300 images: 9.4e-5, 3 eps of 255.
    image = np.random.default_rng(seed).uniform(0, 255, (1, 3, 17, 23)).astype(np.float32)
    q = annex_k_tables(quality).astype(np.float32)
    alpha = (5 / q**2).astype(np.float32)
    layer = JPEGLayer(q, alpha, max_level=1023, subsampling=subsampling)
    truth = jpeg_layer(image, q, alpha, max_level=1023, subsampling=subsampling, compiled=True)
    error = np.abs(layer(torch.from_numpy(image)).detach().numpy() - truth)
    assert error.max() < 1e-3


@settings(max_examples=10)
@given(cases("float64"), st.sampled_from([0.7, 5.0]))
def test_hbar_is_alpha_at_hbar_over_q_squared(case, hbar):
    image, q, _, weight, options = case
    rounds = 1 if q.ndim == 3 else len(q)
    layer = JPEGLayer(torch.from_numpy(q), hbar=hbar, rounds=rounds, **options)
    alpha = hbar / torch.from_numpy(q) ** 2
    plain = JPEGLayer(torch.from_numpy(q), alpha, rounds=rounds, **options)
    assert torch.equal(layer.alpha, plain.alpha)
    for module in (layer, plain):
        module(torch.from_numpy(image)).backward(torch.from_numpy(weight))
    # A constant for the gradient: alpha does not pass one on to q.
    assert torch.equal(layer.q.grad, plain.q.grad)


def test_one_number_and_one_pair_of_tables_fill_every_round():
    image = torch.rand(1, 3, 9, 9, dtype=torch.float64) * 255
    tables = torch.from_numpy(annex_k_tables(50))
    many = JPEGLayer(tables, 0.1, rounds=3)
    assert many.q.shape == many.alpha.shape == (3, 2, 8, 8)
    expected = jpeg_layer(
        image.numpy(), np.stack([annex_k_tables(50)] * 3), np.full((3, 2, 8, 8), 0.1), max_level=127
    )
    # alpha = 0.1 is one number for both; coefficients up to 1024 in float64.
    np.testing.assert_allclose(many(image).detach(), expected, rtol=0, atol=1e-9)
    defaults = JPEGLayer()
    assert torch.equal(defaults.q, torch.ones(2, 8, 8))
    assert torch.equal(defaults.alpha, torch.full((2, 8, 8), 5.0))
    assert (defaults.max_level, defaults.window, defaults.subsampling) == (127, None, "4:4:4")


def test_luma_and_chroma_use_their_own_table():
    # A grey picture has no chroma; a coarse chroma table leaves it alone, a coarse luma one not.
    grey = torch.rand(1, 1, 16, 16).expand(1, 3, 16, 16) * 255
    fine, coarse = torch.ones(8, 8), torch.full((8, 8), 200.0)
    chroma_coarse = JPEGLayer(torch.stack([fine, coarse]), max_level=1023)(grey)
    luma_coarse = JPEGLayer(torch.stack([coarse, fine]), max_level=1023)(grey)
    assert (chroma_coarse - grey).abs().max() < 5  # q = 1 on 64 frequencies
    assert (luma_coarse - grey).abs().mean() > 20


def test_tables_are_in_natural_order():
    # Vertical stripes live at (0, v): a step of 200 there removes them, at (v, 0) it does not.
    stripes = 10 * torch.cos((2 * torch.arange(8) + 1) * 3 * math.pi / 16)
    image = (128 + stripes).expand(1, 3, 8, 8).contiguous()
    q = torch.full((2, 8, 8), 0.01)
    q[:, 0, 3] = 255
    removed = JPEGLayer(q, 5e4, max_level=2**15)(image)
    assert (removed - 128).abs().max() < 1
    kept = JPEGLayer(q.mT, 5e4, max_level=2**15)(image)
    assert (kept - image).abs().max() < 1


def test_output_is_not_clipped():
    image = torch.zeros(1, 3, 8, 8)
    image[..., ::2] = 255
    out = JPEGLayer(q=90.0, alpha=1.0, max_level=1023)(image)
    assert out.max() > 256
    assert out.min() < -1


# Layouts and dtypes


@pytest.mark.parametrize("subsampling", NAMES)
def test_memory_layout_does_not_matter(subsampling):
    image = torch.rand(2, 3, 19, 21) * 255
    layer = JPEGLayer(q=3.0, subsampling=subsampling).eval()
    plain = layer(image)
    wide = torch.full((2, 3, 19, 42), math.nan)
    wide[..., ::2] = image
    others = [
        image.to(memory_format=torch.channels_last),
        wide[..., ::2],
        image.transpose(2, 3).contiguous().transpose(2, 3),
        image.flip(0).flip(0),
    ]
    for other in others:
        assert torch.equal(layer(other), plain)
    assert torch.equal(layer(image[:1].expand(3, 3, 19, 21)), plain[:1].expand(3, 3, 19, 21))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("subsampling", NAMES)
def test_half_images_compute_in_float32(dtype, subsampling):
    layer = JPEGLayer(q=3.0, subsampling=subsampling)
    image = (torch.rand(1, 3, 9, 12) * 255).to(dtype).requires_grad_()
    wide = image.detach().float().requires_grad_()
    weight = torch.randn(1, 3, 9, 12).to(dtype)
    got, want = layer(image), layer(wide)
    assert got.dtype == dtype
    assert torch.equal(got, want.to(dtype))
    got.backward(weight)
    gradient, layer.q.grad = layer.q.grad, None
    want.backward(weight.float())
    assert torch.equal(image.grad, wide.grad.to(dtype))
    assert torch.equal(gradient, layer.q.grad)
    assert gradient.dtype == torch.float32


def test_autocast_computes_in_float32():
    layer = JPEGLayer(q=3.0)
    image = torch.rand(1, 3, 16, 16) * 255
    expected = layer(image)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = layer(image)
        image_of_a_network = image @ torch.eye(16)
        assert image_of_a_network.dtype == torch.bfloat16
        narrow = layer(image_of_a_network)
    assert torch.equal(got, expected)
    assert torch.equal(narrow, layer(image.bfloat16().float()).bfloat16())


# NaN


NAN_EXTENTS = [
    # The rows and columns that a NaN at (20, 20) of 48 x 48 pixels spoils.
    ("4:4:4", slice(16, 24), slice(16, 24)),
    # Its MCU and one pixel around: chroma is interpolated.
    ("4:2:0", slice(15, 33), slice(15, 33)),
    ("4:2:2", slice(16, 24), slice(15, 33)),
]


@pytest.mark.parametrize(("subsampling", "rows", "columns"), NAN_EXTENTS)
@pytest.mark.parametrize("options", [{}, {"window": 5}, {"rounds": 2}, {"hbar": 0.7}])
def test_nan_spoils_its_own_block_only(subsampling, rows, columns, options):
    image = torch.rand(2, 3, 48, 48) * 255
    layer = JPEGLayer(q=2.0, subsampling=subsampling, **options)
    clean = layer(image)
    image[1, 0, 20, 20] = math.nan
    image.requires_grad_()
    got = layer(image)
    spoilt = torch.zeros(48, 48, dtype=torch.bool)
    spoilt[rows, columns] = True
    assert torch.equal(got[1].isnan().all(0), spoilt)
    assert torch.equal(got[1].isnan().any(0), spoilt)
    assert torch.equal(got[0], clean[0])
    assert torch.equal(got[1][:, ~spoilt], clean[1][:, ~spoilt])
    got.sum().backward()
    height, width = SUBSAMPLINGS[subsampling]
    own = torch.zeros(48, 48, dtype=torch.bool)
    own[16 : 16 + 8 * height, 16 : 16 + 8 * width] = True
    assert torch.equal(image.grad[1].isnan().any(0), own)
    assert not image.grad[0].isnan().any()
    # The tables sum over all blocks: nothing is hidden.
    assert layer.q.grad.isnan().all()


@pytest.mark.parametrize("subsampling", NAMES)
def test_values_far_out_of_range_stay_finite(subsampling):
    image = torch.full((1, 3, 16, 16), 1e30)
    image[..., ::2] = -1e30
    image.requires_grad_()
    layer = JPEGLayer(q=2.0, subsampling=subsampling)
    out = layer(image)
    out.sum().backward()
    for tensor in (out, image.grad, layer.q.grad):
        assert torch.isfinite(tensor).all()


# Wrong input


GOOD = torch.full((2, 8, 8), 4.0)


def spoilt(value: float) -> torch.Tensor:
    table = GOOD.clone()
    table[1, 2, 3] = value
    return table


@pytest.mark.parametrize("name", ["q", "alpha"])
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_tables_must_be_positive_and_finite(name, bad):
    for table in (spoilt(bad), spoilt(bad).numpy(), spoilt(bad).double()):
        with pytest.raises(ValueError, match=rf"{name} must be positive .* at index \(1, 2, 3\)"):
            JPEGLayer(**{name: table})
    with pytest.raises(ValueError, match=f"{name} must be positive and finite, got"):
        JPEGLayer(**{name: bad})


@pytest.mark.parametrize("bad", [256.0, 9e-6, 1e30])
def test_q_must_lie_in_its_range(bad):
    for q in (bad, spoilt(bad)):
        with pytest.raises(ValueError, match="q must"):
            JPEGLayer(q)
    for fine in (1e-5, 255.0, 255, np.full((2, 8, 8), 1e-5), torch.full((2, 8, 8), 255)):
        JPEGLayer(fine)


@pytest.mark.parametrize("name", ["q", "alpha"])
@pytest.mark.parametrize("shape", [(), (8, 8), (1, 8, 8), (3, 8, 8), (2, 64), (2, 2, 8, 8), (0,)])
def test_tables_must_have_their_shape(name, shape):
    with pytest.raises(ValueError, match=rf"{name} must have shape \(2, 8, 8\).*got"):
        JPEGLayer(**{name: torch.ones(shape)})
    if shape != (2, 2, 8, 8):
        with pytest.raises(ValueError, match=rf"{name} must .*\(2, 8, 8\) or \(2, 2, 8, 8\)"):
            JPEGLayer(**{name: torch.ones(shape)}, rounds=2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"q": True}, TypeError, "q must be a number or a table"),
        ({"q": "fine"}, TypeError, "q must be a number or a table"),
        ({"q": GOOD > 0}, TypeError, "q must hold real numbers, got dtype torch.bool"),
        ({"q": GOOD * 1j}, TypeError, "q must hold real numbers, got dtype torch.complex"),
        ({"alpha": "5"}, TypeError, "alpha must be a number or a table"),
        ({"max_level": 0}, ValueError, "max_level must be at least 1"),
        ({"max_level": 127.0}, TypeError, "max_level must be an integer"),
        ({"window": 4}, ValueError, "window must be .* odd"),
        ({"window": 257}, ValueError, "window must not exceed the 255 levels"),
        ({"window": 1}, ValueError, "window must be at least 3"),
        ({"window": 5.0}, TypeError, "window must be an integer"),
        ({"subsampling": "4:1:1"}, ValueError, "subsampling must be one of 4:4:4, 4:2:2, 4:2:0"),
        ({"rounds": 0}, ValueError, "rounds must be at least 1"),
        ({"rounds": 1.5}, TypeError, "rounds must be an integer"),
        ({"rounds": True}, TypeError, "rounds must be an integer"),
        ({"hbar": 0.0}, ValueError, "hbar must be positive and finite"),
        ({"hbar": math.nan}, ValueError, "hbar must be positive and finite"),
        ({"hbar": math.inf}, ValueError, "hbar must be positive and finite"),
        ({"hbar": "0.7"}, TypeError, "hbar must be a number"),
        ({"hbar": 0.7, "alpha": 5.0}, ValueError, "leave out alpha and trainable_alpha"),
        ({"hbar": 0.7, "trainable_alpha": True}, ValueError, "leave out alpha and"),
    ],
)
def test_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        JPEGLayer(**options)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((1, 3, 8, 8)), TypeError, "image must be a torch.Tensor, got ndarray"),
        (None, TypeError, "image must be a torch.Tensor"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, r"convert it with image.float\(\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), TypeError, "image must be floating point"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.bool), TypeError, "image must be floating point"),
        (torch.zeros(1, 3, 8, 8) * 1j, TypeError, "image must be floating point"),
        (torch.zeros(3, 8, 8), ValueError, r"RGB of shape \(N, 3, H, W\), got \(3, 8, 8\)"),
        (torch.zeros(1, 1, 8, 8), ValueError, "image must be RGB"),
        (torch.zeros(1, 4, 8, 8), ValueError, "image must be RGB"),
        (torch.zeros(1, 8, 8, 3), ValueError, "image must be RGB"),
        (torch.zeros(1, 1, 3, 8, 8), ValueError, "image must be RGB"),
        (torch.zeros(0, 3, 8, 8), ValueError, "at least one image of at least one pixel"),
        (torch.zeros(1, 3, 0, 8), ValueError, "at least one image of at least one pixel"),
        (torch.zeros(1, 3, 8, 0), ValueError, "at least one image of at least one pixel"),
    ],
)
def test_wrong_images(image, error, message):
    with pytest.raises(error, match=message):
        JPEGLayer()(image)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("infinite", [math.inf, -math.inf])
def test_an_infinite_pixel_counts_as_nan(infinite, subsampling, dtype):
    layer = JPEGLayer(4.0, subsampling=subsampling)
    image = torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(0), dtype=dtype) * 255
    results = []
    for bad in (infinite, math.nan):
        spoilt = image.clone()
        spoilt[0, 1, 9, 10] = bad
        spoilt.requires_grad_()
        value = layer(spoilt)
        (gradient,) = torch.autograd.grad(value.nan_to_num().sum(), spoilt)
        results.append((value.detach(), gradient))
    assert bool(results[0][0][0, :, 8:16, 8:16].isnan().all())
    for got, want in zip(*results, strict=True):
        assert torch.equal(got.isnan(), want.isnan())
        torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)
