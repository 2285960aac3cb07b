"""Differentiable JPEG: nothing that is not finite, dtypes, what torch does to it, wrong input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from torch_impl import DiffJPEG, diff_jpeg
from torch_impl.surrogates import KINDS

FORMS = [False, True]
PLAIN = {"scale_floor": None, "table_floor": None, "table_slope": None, "output_slope": None}
COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "red": (255, 0, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
}


def random_images(*shape, dtype=torch.float32):
    return torch.rand(*shape, dtype=dtype) * 255


# Nothing that is not finite


@pytest.mark.parametrize("straight_through", FORMS)
@pytest.mark.parametrize("parts", [{}, PLAIN, {"table_slope": None}, {"output_slope": 0}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_range_is_not_finite(kind, parts, straight_through):
    colours = torch.tensor(list(COLOURS.values()), dtype=torch.float32)
    edges = torch.tensor([1.0, 49.9999, 50.0, 50.0001, 99.9999, 100.0])
    for size in ((1, 1), (3, 17)):
        flat = colours[:, :, None, None].expand(-1, -1, *size)
        for images in (flat, flat.roll(1, 0) * (torch.rand(size) < 0.5)):
            leaf = images.clone().requires_grad_()
            quality = edges.clone().requires_grad_()
            options = {"rounding": kind, "straight_through": straight_through, **parts}
            coded = diff_jpeg(leaf, quality=quality, **options)
            coded.square().sum().backward()
            for tensor in (coded, leaf.grad, quality.grad):
                assert bool(torch.isfinite(tensor).all())
            for step in (1.0, 255.0):
                tables = torch.full((2, 8, 8), step, requires_grad=True)
                coded = diff_jpeg(leaf, qtables=tables, qtable_rounding=kind, **options)
                coded.square().sum().backward()
                for tensor in (coded, leaf.grad, tables.grad):
                    assert bool(torch.isfinite(tensor).all())


@pytest.mark.parametrize("straight_through", FORMS)
@pytest.mark.parametrize("colour", COLOURS)
def test_flat_images_of_one_pixel_come_back(colour, straight_through):
    images = torch.tensor(COLOURS[colour], dtype=torch.float32).view(1, 3, 1, 1)
    coded = diff_jpeg(images, quality=100, straight_through=straight_through)
    # Integer colour errs by up to 1 a component, and by 1.77 where a chroma is off by one.
    assert float((coded - images).abs().max()) <= 2


def test_all_qualities_are_finite_in_value_and_gradient():
    images = random_images(100, 3, 5, 6)
    quality = torch.arange(1.0, 101.0, requires_grad=True)
    for straight_through in FORMS:
        quality.grad = None
        coded = diff_jpeg(images, quality=quality, straight_through=straight_through)
        coded.square().mean().backward()
        assert bool(torch.isfinite(coded).all())
        assert bool(torch.isfinite(quality.grad).all())


def test_not_a_number_stays_in_its_unit():
    images = random_images(2, 3, 32, 48)
    spoiled = images.clone()
    spoiled[1, 0, 20, 40] = math.nan
    clean, coded = diff_jpeg(images, quality=50), diff_jpeg(spoiled, quality=50)
    assert torch.equal(coded[0], clean[0])
    # Its MCU of 16 x 16, and one pixel around, which its chroma reaches.
    assert bool(coded[1, :, 16:, 32:].isnan().all())
    assert torch.equal(coded[1, :, :15, :], clean[1, :, :15, :])
    with pytest.raises(ValueError, match="images must be finite"):
        diff_jpeg(spoiled, quality=50, straight_through=True)


# Dtypes, and what torch does


@pytest.mark.parametrize("straight_through", FORMS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_dtype_is_kept_and_half_precision_computes_in_float32(dtype, straight_through):
    images = random_images(2, 3, 9, 17).to(dtype)
    quality = torch.tensor([20, 90], dtype=dtype, requires_grad=True)
    leaf = images.clone().requires_grad_()
    coded = diff_jpeg(leaf, quality=quality, straight_through=straight_through)
    assert coded.dtype == dtype
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    options = {"quality": quality.detach().to(wide), "straight_through": straight_through}
    assert torch.equal(coded, diff_jpeg(images.to(wide), **options).to(dtype))
    coded.float().mean().backward()
    assert leaf.grad.dtype == dtype
    assert quality.grad.dtype == dtype


@pytest.mark.parametrize("straight_through", FORMS)
def test_autocast_changes_nothing(straight_through):
    images = random_images(1, 3, 16, 16)
    expected = diff_jpeg(images, quality=30, straight_through=straight_through)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = diff_jpeg(images, quality=30, straight_through=straight_through)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("straight_through", FORMS)
def test_memory_layout_changes_nothing_and_arguments_are_left_alone(straight_through):
    images = random_images(2, 3, 9, 17)
    before = images.clone()
    expected = diff_jpeg(images, quality=30, straight_through=straight_through)
    for layout in (
        images.to(memory_format=torch.channels_last),
        images.transpose(2, 3).contiguous().transpose(2, 3),
    ):
        assert torch.equal(
            diff_jpeg(layout, quality=30, straight_through=straight_through), expected
        )
    assert torch.equal(images, before)


@pytest.mark.parametrize("straight_through", FORMS)
def test_gradients_of_a_function_transform_are_those_of_autograd(straight_through):
    def loss(images, quality):
        options = {"quality": quality, "straight_through": straight_through}
        return diff_jpeg(images, **options).square().mean()

    images, quality = random_images(2, 3, 9, 9), torch.tensor([20.0, 70.0])
    found = torch.func.grad(loss, argnums=(0, 1))(images, quality)
    leaves = images.requires_grad_(), quality.requires_grad_()
    for a, b in zip(found, torch.autograd.grad(loss(*leaves), leaves), strict=True):
        assert torch.equal(a, b)
        assert bool((a != 0).any())


@pytest.mark.parametrize("straight_through", FORMS)
def test_one_graph_under_compile(straight_through):
    images = random_images(2, 3, 9, 17)
    layer = DiffJPEG(straight_through=straight_through)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    results = []
    for function in (layer, compiled):
        leaf = images.clone().requires_grad_()
        quality = torch.tensor([20.3, 70.2], requires_grad=True)
        coded = function(leaf, quality)
        coded.square().mean().backward()
        results.append((coded.detach(), leaf.grad, quality.grad))
    for eager, graph in zip(*results, strict=True):
        # The same operations; sums over blocks may be taken in another order.
        torch.testing.assert_close(eager, graph, rtol=1e-5, atol=1e-4)
    if straight_through:
        assert torch.equal(results[0][0], results[1][0])


@pytest.mark.parametrize(
    "quality",
    [
        30,
        30.0,
        np.float32(30),
        np.int64(30),
        torch.tensor(30),
        torch.full((2,), 30),
        torch.tensor(30.0),
    ],
)
def test_a_quality_may_be_any_number(quality):
    images = random_images(2, 3, 8, 8)
    assert torch.equal(diff_jpeg(images, quality=quality), diff_jpeg(images, quality=30))


def test_tables_may_be_any_array():
    images = random_images(2, 3, 8, 8)
    tables = torch.arange(1, 129).view(2, 8, 8)
    expected = diff_jpeg(images, qtables=tables)
    for given in (
        tables.float(),
        tables.byte(),
        tables.numpy(),
        tables.tolist(),
        tables.expand(2, 2, 8, 8),
    ):
        assert torch.equal(diff_jpeg(images, qtables=given), expected)


# Wrong input

GIVEN = [
    ({"quality": 0}, ValueError, r"quality must lie in \[1, 100\], got 0"),
    ({"quality": 0.999}, ValueError, r"quality must lie in \[1, 100\], got 0.999"),
    ({"quality": 101}, ValueError, r"quality must lie in \[1, 100\], got 101"),
    ({"quality": math.nan}, ValueError, r"quality must lie in \[1, 100\], got nan"),
    ({"quality": math.inf}, ValueError, r"quality must lie in \[1, 100\], got inf"),
    ({"quality": True}, TypeError, "quality must be a number in .* got True of type bool"),
    ({"quality": "75"}, TypeError, "quality must be a number in .* got '75' of type str"),
    ({"quality": [1, 2]}, TypeError, "quality must be a number in .* or a tensor"),
    ({"quality": torch.tensor([5.0, math.nan])}, ValueError, r"quality must .*got nan at .*\(1,\)"),
    ({"quality": torch.tensor([0, 5])}, ValueError, r"quality must .*got 0 at index \(0,\)"),
    ({"quality": torch.tensor(100.5)}, ValueError, "quality must lie in .*got 100.5"),
    ({"quality": torch.ones(3)}, ValueError, r"quality must be .*shape \(2,\); got shape \(3,\)"),
    ({"quality": torch.ones(1)}, ValueError, r"quality must be .*shape \(2,\); got shape \(1,\)"),
    ({"quality": torch.ones(2, 1)}, ValueError, r"quality must be .*got shape \(2, 1\)"),
    ({"quality": torch.ones(2, dtype=torch.bool)}, TypeError, "quality must hold real numbers"),
    ({"quality": torch.ones(2) * 1j}, TypeError, "quality must hold real numbers, got .*complex"),
    ({"quality": 5, "qtables": torch.ones(2, 8, 8)}, ValueError, "quality or qtables, not both"),
    ({"qtables": torch.zeros(2, 8, 8)}, ValueError, r"qtables must lie in \[1, 255\], got 0.0 at"),
    ({"qtables": torch.full((2, 8, 8), 255.1)}, ValueError, r"qtables must lie in .*got 255.1"),
    ({"qtables": torch.full((2, 8, 8), math.nan)}, ValueError, "qtables must lie in .*got nan"),
    ({"qtables": torch.ones(8, 8)}, ValueError, r"qtables must have shape \(2, 8, 8\).*got \(8, 8"),
    ({"qtables": torch.ones(3, 2, 8, 8)}, ValueError, r"qtables must have .*\(2, 2, 8, 8\); got"),
    ({"qtables": torch.ones(2, 8, 8) * 1j}, TypeError, "qtables must .*complex"),
    ({"qtables": "standard"}, TypeError, "qtables must be a tensor or an array of numbers"),
    (
        {"qtables": torch.ones(2, 8, 8), "base_tables": torch.ones(2, 8, 8)},
        ValueError,
        "base_tables or qtables, not both",
    ),
    ({"base_tables": torch.zeros(2, 8, 8)}, ValueError, r"base_tables must lie in \[1, 255\]"),
    ({"base_tables": torch.ones(8, 8)}, ValueError, r"base_tables must have shape \(2, 8, 8\)"),
    ({"color_matrix": torch.ones(3)}, ValueError, r"color_matrix must have shape \(3, 3\).*\(3,\)"),
    (
        {"color_matrix": torch.eye(3).expand(3, 3, 3)},
        ValueError,
        r"or \(2, 3, 3\).*got \(3, 3, 3\)",
    ),
    ({"color_matrix": torch.ones(3, 3)}, ValueError, "color_matrix must be invertible.*condition"),
    ({"color_matrix": torch.zeros(3, 3)}, ValueError, "color_matrix must be invertible"),
    (
        {"color_matrix": torch.eye(3) * torch.tensor([1, 1, 1e-5])},
        ValueError,
        r"color_matrix must be invertible.*1e\+05, and 10000 is",
    ),
    ({"color_matrix": torch.full((3, 3), math.nan)}, ValueError, "color_matrix must be finite"),
    ({"color_matrix": torch.eye(3) * 1j}, TypeError, "color_matrix must hold real.*complex"),
    ({"color_matrix": "JFIF"}, TypeError, "color_matrix must be a tensor or an array of numbers"),
]
OPTIONS = [
    ({"subsampling": "4:1:1"}, ValueError, "subsampling must be one of 4:4:4.*got '4:1:1'"),
    ({"straight_through": 1}, TypeError, "straight_through must be True or False, got 1"),
    ({"rounding": "cube"}, ValueError, "rounding must be one of cubic.*got 'cube'"),
    ({"rounding": "same"}, ValueError, "rounding must be one of cubic.*got 'same'"),
    ({"rounding": None}, TypeError, "rounding must be one of .*got None"),
    ({"scale_floor": "tanhh"}, ValueError, "scale_floor must be .*; did you mean 'tanh'"),
    ({"table_floor": 0}, TypeError, "table_floor must be one of .*got 0 of type int"),
    ({"qtable_rounding": "same"}, ValueError, "qtable_rounding must be one of .*got 'same'"),
    ({"table_slope": -0.1}, ValueError, r"table_slope must lie in \[0, 1\].*got -0.1"),
    ({"output_slope": math.nan}, ValueError, r"output_slope must lie in \[0, 1\].*got nan"),
    ({"output_slope": "soft"}, TypeError, "output_slope must be a number, got 'soft'"),
]
IMAGES = [
    (np.zeros((1, 3, 8, 8), np.float32), TypeError, "images must be a torch.Tensor, got ndarray"),
    (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, "images must be floating.*uint8"),
    (torch.zeros(1, 3, 8, 8, dtype=torch.complex64), TypeError, "images must be .*complex64"),
    (torch.zeros(3, 8, 8), ValueError, r"images must be RGB .*got shape \(3, 8, 8\)"),
    (
        torch.zeros(1, 1, 8, 8),
        ValueError,
        r"images must be RGB of shape \(N, 3, H, W\), got \(1, 1",
    ),
    (torch.zeros(1, 8, 8, 3), ValueError, "images must be RGB"),
    (torch.zeros(0, 3, 8, 8), ValueError, "images must hold at least one image"),
    (torch.zeros(1, 3, 0, 8), ValueError, "images must have 1..65535 rows and columns"),
]


@pytest.mark.parametrize("straight_through", FORMS)
@pytest.mark.parametrize(("given", "error", "message"), GIVEN)
def test_wrong_qualities_and_tables_are_named(given, error, message, straight_through):
    with pytest.raises(error, match=message):
        diff_jpeg(torch.zeros(2, 3, 8, 8), straight_through=straight_through, **given)


@pytest.mark.parametrize(("options", "error", "message"), OPTIONS)
def test_wrong_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        diff_jpeg(torch.zeros(2, 3, 8, 8), **options)
    with pytest.raises(error, match=message):
        DiffJPEG(**options)


@pytest.mark.parametrize("straight_through", FORMS)
@pytest.mark.parametrize(("images", "error", "message"), IMAGES)
def test_wrong_images_are_named(images, error, message, straight_through):
    with pytest.raises(error, match=message):
        diff_jpeg(images, straight_through=straight_through)
