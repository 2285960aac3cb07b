"""Differentiable JPEG against its float64 twin and libjpeg: values and gradients."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch

from reference import diff_jpeg as twin
from reference.standard import RGB_TO_YCBCR
from reference.surrogates import Surrogate
from tests.torch_impl._coding import batch_of, images_of, through_pillow
from torch_impl import DiffJPEG, diff_jpeg, jpeg_roundtrip
from torch_impl.surrogates import KINDS

SAMPLINGS = ["4:4:4", "4:2:2", "4:2:0", "4:4:0"]
SIZES = [(1, 1), (1, 4), (2, 3), (9, 5), (16, 16), (17, 19)]
FORMS = [False, True]
PLAIN = {"scale_floor": None, "table_floor": None, "table_slope": None, "output_slope": None}


MATRIX = np.array([[0.3, 0.5, 0.2], [-0.2, -0.3, 0.6], [0.4, -0.5, -0.1]])


def smooth(height, width, count=2, dtype=torch.float64):
    """Random, in [0, 255], not whole."""
    torch.manual_seed(height * 100 + width)
    return torch.rand(count, 3, height, width, dtype=dtype) * 255


def assert_twins(images, weights, straight_through, options, given, rtol=1e-9):
    """Value (of the form that has one) and gradients are those of the reference."""
    leaves = {name: torch.tensor(v, requires_grad=True) for name, v in given.items()}
    leaf = images.clone().requires_grad_()
    coded = diff_jpeg(leaf, straight_through=straight_through, **leaves, **options)
    coded.backward(weights)
    arguments = {**options, **given, "straight_through": straight_through}
    if not straight_through:
        expected = twin.diff_jpeg(images.numpy(), **arguments)
        # A few hundred operations on numbers of 1e3.
        np.testing.assert_allclose(coded.detach().numpy(), expected, rtol=0, atol=1e-10)
    found = twin.diff_jpeg_vjp(images.numpy(), weights.numpy(), **arguments)
    np.testing.assert_allclose(leaf.grad.numpy(), found.images, rtol=rtol, atol=1e-10)
    for name, tensor in leaves.items():
        expected = getattr(found, name)
        assert tuple(tensor.grad.shape) == np.shape(given[name])
        # Sums over blocks: their size, not that of a difference, bounds the rounding.
        size = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(tensor.grad.numpy(), expected, rtol=rtol, atol=rtol * size)


# Value and gradient of the twin


@pytest.mark.parametrize("straight_through", FORMS)
@pytest.mark.parametrize("subsampling", SAMPLINGS)
@pytest.mark.parametrize("size", SIZES)
def test_values_and_gradients_are_those_of_the_reference(size, subsampling, straight_through):
    images = smooth(*size)
    weights = torch.randn_like(images)
    rng = np.random.default_rng(0)
    for given in (
        {"quality": np.float64(37.31)},
        {"quality": np.array([4.21, 83.6])},
        {"qtables": rng.uniform(1, 255, (2, 8, 8))},
        {"qtables": rng.uniform(1, 255, (2, 2, 8, 8))},
        {"quality": np.float64(37.31), "base_tables": rng.uniform(1, 255, (2, 8, 8))},
        {"quality": np.array([4.21, 83.6]), "base_tables": rng.uniform(1, 255, (2, 2, 8, 8))},
        {"quality": np.float64(37.31), "color_matrix": MATRIX},
        {
            "qtables": rng.uniform(1, 255, (2, 8, 8)),
            "color_matrix": MATRIX + rng.uniform(-0.1, 0.1, (2, 3, 3)),
        },
    ):
        assert_twins(images, weights, straight_through, {"subsampling": subsampling}, given)


@pytest.mark.parametrize("straight_through", FORMS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "uniform_noise"])
def test_every_kind_is_put_in_where_the_reference_puts_it(kind, straight_through):
    # One whole unit: padding would make coefficients of 0 up to rounding, where tanh jumps.
    images = smooth(16, 16)
    weights = torch.randn_like(images)
    tables = np.random.default_rng(1).uniform(1, 255, (2, 8, 8))
    for options in (
        {"rounding": kind},
        {"scale_floor": kind},
        {"table_floor": kind},
        {"rounding": kind, "scale_floor": "cubic", "table_floor": None},
    ):
        given = {"quality": np.array([9.37, 71.13])}
        # Steep kinds multiply the rounding of z / t, 1e-14, by their curvature, up to 700.
        assert_twins(images, weights, straight_through, options, given, rtol=1e-7)
    options = {"qtable_rounding": kind}
    assert_twins(images, weights, straight_through, options, {"qtables": tables}, rtol=1e-7)


@pytest.mark.parametrize("straight_through", FORMS)
def test_noise_is_put_in_where_the_reference_puts_it(straight_through):
    # A function of one's own, as noise is drawn in an order of torch's own.
    def torch_noise(x):
        return x + 0.3 * torch.cos(1e3 * x.detach())

    def twin_noise(x):
        return Surrogate(x + 0.3 * np.cos(1e3 * x), np.ones_like(x))

    images, weights = smooth(16, 16), torch.randn(2, 3, 16, 16, dtype=torch.float64)
    leaf = images.clone().requires_grad_()
    quality = torch.tensor([9.37, 71.13], dtype=torch.float64, requires_grad=True)
    options = {"straight_through": straight_through, "scale_floor": None, "table_floor": None}
    coded = diff_jpeg(leaf, quality=quality, rounding=torch_noise, **options)
    coded.backward(weights)
    given = {"quality": quality.detach().numpy(), "rounding": twin_noise, **options}
    if not straight_through:
        # 1e3 multiplies the rounding of z / t, up to 1e-13.
        np.testing.assert_allclose(
            coded.detach().numpy(), twin.diff_jpeg(images.numpy(), **given), rtol=0, atol=1e-7
        )
    found = twin.diff_jpeg_vjp(images.numpy(), weights.numpy(), **given)
    np.testing.assert_allclose(leaf.grad.numpy(), found.images, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(quality.grad.numpy(), found.quality, rtol=1e-6, atol=1e-6)


def test_drawn_noise_stays_within_half_a_step():
    images = smooth(16, 16)
    tables = torch.full((2, 8, 8), 24.0)

    def coded(**options):
        return diff_jpeg(images, qtables=tables, subsampling="4:4:4", output_slope=None, **options)

    clean = coded(rounding=lambda x: x)
    noisy = coded(rounding="uniform_noise")
    assert not torch.equal(noisy, coded(rounding="uniform_noise"))
    # Each of 64 coefficients is off by U(-12, 12), so each sample by a variance of 24^2 / 12 = 48.
    # RGB takes Y + 1.402 Cr and so on: rows with sums of squares of 2.97, 1.63 and 4.14, mean 2.91.
    # 1,536 draws, whose mean square has a standard error of sqrt(0.8 / 1536) = 2.3 %: six of it.
    assert float((noisy - clean).square().mean()) == pytest.approx(2.91 * 48, rel=0.15)


@pytest.mark.parametrize("straight_through", FORMS)
@pytest.mark.parametrize(
    "options",
    [{name: None} for name in PLAIN]
    + [PLAIN, {"output_slope": 0}, {"table_slope": 0.5}, {"qtable_rounding": None}],
    ids=str,
)
def test_every_part_can_be_left_out(options, straight_through):
    images = smooth(9, 21)
    weights = torch.randn_like(images)
    given = {"quality": np.array([2.3, 88.8])}
    if "qtable_rounding" in options:
        given = {"qtables": np.random.default_rng(1).uniform(1, 255, (2, 8, 8))}
    assert_twins(images, weights, straight_through, options, given)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_gradients_at_generic_points(subsampling):
    images = smooth(3, 5, count=1).requires_grad_()
    quality = torch.tensor([63.37], dtype=torch.float64, requires_grad=True)
    tables = (torch.rand(2, 8, 8, dtype=torch.float64) * 60 + 20).requires_grad_()
    # A coefficient within eps of a tie would show: none is.
    check = {"eps": 1e-7, "rtol": 1e-3, "atol": 1e-5}
    assert torch.autograd.gradcheck(
        lambda x, q: diff_jpeg(x, quality=q, subsampling=subsampling), (images, quality), **check
    )
    assert torch.autograd.gradcheck(
        lambda x, t: diff_jpeg(x, qtables=t, qtable_rounding=None, subsampling=subsampling),
        (images, tables),
        **check,
    )


def test_better_quality_lowers_the_error_and_the_gradient_says_so():
    images = batch_of(images_of(2, 32, 32)).float()
    for straight_through in FORMS:
        quality = torch.tensor([5.0, 20.0, 60.0], requires_grad=True)
        coded = diff_jpeg(
            images, quality=quality, straight_through=straight_through, rounding="straight_through"
        )
        (coded - images).square().mean().backward()
        assert (quality.grad != 0).any()
        assert quality.grad.sum() < 0


@pytest.mark.parametrize("quality", range(1, 101))
def test_where_the_cubic_floors_have_no_slope(quality):
    images = smooth(16, 16)

    def gradient(**options):
        leaf = torch.tensor(float(quality), dtype=torch.float64, requires_grad=True)
        coded = diff_jpeg(images, quality=leaf, straight_through=True, **options)
        return float(torch.autograd.grad(coded.square().sum(), leaf)[0])

    part = "scale_floor" if quality == 16 else "table_floor"
    assert (gradient() == 0) == (quality in (1, 2, 5, 10, 16, 25, 50, 100))
    for kind in ("straight_through", "linear"):
        assert gradient(**{part: kind}) != 0


# The straight-through form is libjpeg


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_the_straight_through_form_is_libjpeg(subsampling):
    for seed, (height, width) in enumerate(SIZES):
        images = images_of(seed, height, width)
        for quality in (1, 11, 50, 75, 100):
            target = through_pillow(images, quality, subsampling=subsampling)
            coded = diff_jpeg(
                batch_of(images).float(),
                quality=quality,
                subsampling=subsampling,
                straight_through=True,
            )
            assert torch.equal(coded, target.float()), (height, width, quality)


def test_every_quality_has_the_tables_of_libjpeg():
    images = batch_of(images_of(0, 8, 9, count=1)).float()
    for quality in range(1, 101):
        expected = jpeg_roundtrip(images, quality=quality)
        for given in (quality, torch.tensor([float(quality)], requires_grad=True)):
            coded = diff_jpeg(images, quality=given, straight_through=True)
            assert torch.equal(coded, expected), quality


@pytest.mark.parametrize("options", [PLAIN, {"rounding": "tanh"}, {"rounding": torch.sin}], ids=str)
def test_no_part_changes_the_straight_through_value(options):
    images = smooth(17, 12, dtype=torch.float32)
    for quality in (1, 40, 100):
        coded = diff_jpeg(images, quality=quality, straight_through=True, **options)
        assert torch.equal(coded, jpeg_roundtrip(images, quality=quality))


def test_qualities_and_tables_that_are_not_whole():
    images = smooth(8, 8, dtype=torch.float32)
    # 200 - 2 * 74.6 = 50.8 percent, floored: quality 75. 5000 / 30.1 = 166.1: 166, quality 30.
    for quality, same in ((74.6, 75), (30.1, 30), (74.4, None)):
        coded = diff_jpeg(images, quality=quality, straight_through=True)
        if same is None:
            # 51 percent belongs to no whole quality.
            same_tables = [torch.equal(coded, jpeg_roundtrip(images, quality=q)) for q in (74, 75)]
            assert not any(same_tables)
        else:
            assert torch.equal(coded, jpeg_roundtrip(images, quality=same))
    tables = torch.full((2, 8, 8), 6.5)
    tables[0, 0, 0] = 9.4
    whole = torch.full((2, 8, 8), 7)
    whole[0, 0, 0] = 9
    coded = diff_jpeg(images, qtables=tables, straight_through=True)
    assert torch.equal(coded, jpeg_roundtrip(images, qtables=whole))


def test_without_gradients_it_is_the_same():
    images = smooth(8, 8, dtype=torch.float32)
    expected = diff_jpeg(images.requires_grad_(), quality=31.4, straight_through=True)
    with torch.no_grad():
        assert torch.equal(diff_jpeg(images, quality=31.4, straight_through=True), expected)


@pytest.mark.parametrize("quality", [1, 30, 90])
def test_a_colour_matrix_stands_around_libjpeg(quality):
    images = batch_of(images_of(3, 20, 28)).float()
    matrix = torch.tensor(MATRIX, dtype=torch.float32, requires_grad=True)
    coded = diff_jpeg(images, quality=quality, color_matrix=matrix, straight_through=True)
    front = np.linalg.inv(RGB_TO_YCBCR) @ matrix.detach().double().numpy()
    x = images.numpy().transpose(0, 2, 3, 1) - 128.0
    there = np.clip(np.floor(x @ front.T + 128.5), 0, 255).astype(np.uint8)
    file = through_pillow(there, quality).numpy().transpose(0, 2, 3, 1) - 128.0
    back = np.clip(np.floor(file @ np.linalg.inv(front).T + 128.5), 0, 255)
    difference = np.abs(coded.detach().numpy().transpose(0, 2, 3, 1) - back)
    # float32 may fall on the other side of a tie now and then, on the way back; on the way there
    # these pixels do not.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3
    coded.square().mean().backward()
    assert bool((matrix.grad != 0).any())
    # The matrix of JFIF changes nothing, not one bit.
    standard = torch.tensor(RGB_TO_YCBCR, dtype=torch.float32)
    coded = diff_jpeg(images, quality=quality, color_matrix=standard, straight_through=True)
    assert torch.equal(coded, jpeg_roundtrip(images, quality=quality))


def test_base_tables_are_scaled_as_libjpeg_scales():
    images = batch_of(images_of(4, 16, 16)).float()
    base = torch.randint(1, 256, (2, 8, 8))
    for quality in range(1, 101):
        percent = 5000 // quality if quality < 50 else 200 - 2 * quality
        tables = ((base * percent + 50) // 100).clamp(1, 255)
        coded = diff_jpeg(images, quality=quality, base_tables=base, straight_through=True)
        assert torch.equal(coded, jpeg_roundtrip(images, qtables=tables)), quality


@pytest.mark.parametrize("part", ["rounding", "scale_floor", "table_floor"])
@pytest.mark.parametrize("straight_through", FORMS)
def test_parameters_within_a_function_are_trained(straight_through, part):
    slope = torch.tensor(0.3, requires_grad=True)
    options = {part: lambda x: slope * x, "straight_through": straight_through}
    coded = diff_jpeg(smooth(9, 9, dtype=torch.float32), quality=33.0, **options)
    coded.square().mean().backward()
    assert slope.grad is not None
    assert float(slope.grad) != 0


def test_what_nobody_asks_for_is_not_computed(monkeypatch):
    module = importlib.import_module("torch_impl.diff_jpeg")
    images = smooth(8, 8, dtype=torch.float32)
    leaf = images.clone().requires_grad_()
    monkeypatch.setattr(module, "surrogate", lambda *arguments: 1 / 0)
    diff_jpeg(images, straight_through=True)
    with torch.no_grad():
        diff_jpeg(leaf, straight_through=True)
    coded = diff_jpeg(leaf, straight_through=True)  # but in the backward pass
    with pytest.raises(ZeroDivisionError):
        coded.sum().backward()


# The surrogate is near


@pytest.mark.parametrize("quality", [1, 10, 50, 90])
def test_the_surrogate_is_near_libjpeg(quality):
    images = batch_of(images_of(2, 64, 64, count=1)).float()
    target = jpeg_roundtrip(images, quality=quality)

    def psnr(**options):
        error = (diff_jpeg(images, quality=quality, **options) - target).square().mean()
        return float(10 * torch.log10(255**2 / error))

    # The photographs of docs/diff_jpeg.md have 39 dB up to quality 10 and 45 above; this image,
    # a steep random walk that saturates, 34 at quality 1.
    assert psnr() > 32
    assert psnr() > psnr(**PLAIN)


def test_a_whole_table_is_itself_and_has_a_gradient():
    images = smooth(16, 16)
    tables = torch.full((2, 8, 8), 16.0, dtype=torch.float64, requires_grad=True)
    coded = diff_jpeg(images, qtables=tables)
    assert torch.equal(coded, diff_jpeg(images, qtables=tables, qtable_rounding=None))
    coded.square().sum().backward()
    assert (tables.grad.abs() > 0).float().mean() > 0.9
    # What the default avoids:
    tables.grad = None
    diff_jpeg(images, qtables=tables, qtable_rounding="cubic").square().sum().backward()
    assert (tables.grad == 0).all()


def test_the_default_quality_is_that_of_libjpeg():
    images = smooth(9, 9)
    assert torch.equal(diff_jpeg(images), diff_jpeg(images, quality=75))


@pytest.mark.parametrize("straight_through", FORMS)
def test_the_module_is_the_function(straight_through):
    options = {"subsampling": "4:2:2", "rounding": "linear", "output_slope": 0.1}
    layer = DiffJPEG(straight_through=straight_through, **options)
    assert "rounding='linear'" in repr(layer)
    assert not list(layer.parameters())
    images = smooth(9, 9)
    tables = torch.full((2, 8, 8), 16.0)
    for given in ({}, {"quality": 20}, {"qtables": tables}):
        expected = diff_jpeg(images, straight_through=straight_through, **options, **given)
        assert torch.equal(layer(images, **given), expected)
