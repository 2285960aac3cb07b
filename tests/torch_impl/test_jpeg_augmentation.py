"""JPEG at a random quality: files against Pillow itself, the differentiable form against those."""

from __future__ import annotations

import builtins
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from tests.strategies import seeds
from torch_impl import JPEGAugmentation, JPEGLayer, standard_tables

SUBSAMPLINGS = ["4:4:4", "4:2:2", "4:2:0"]


def noise(n: int = 2, height: int = 17, width: int = 23, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 255 * torch.rand(n, 3, height, width, generator=generator)


def through_pillow(image: Tensor, quality: int, subsampling: str) -> Tensor:
    """One image (3, H, W) of whole numbers."""
    file = io.BytesIO()
    pixels = image.permute(1, 2, 0).numpy().astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1)


def drawn(seed: int, low: int, high: int, count: int) -> list[int]:
    """Qualities that a layer draws after ``torch.manual_seed(seed)``."""
    torch.manual_seed(seed)
    return [int(quality) for quality in torch.randint(low, high + 1, (count,))]


# Real files


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    subsampling=st.sampled_from(SUBSAMPLINGS),
    seed=seeds,
)
def test_each_image_is_what_pillow_makes_of_it_at_its_own_quality(height, width, subsampling, seed):
    image = noise(3, height, width, seed).round()
    qualities = drawn(seed, 1, 100, 3)
    torch.manual_seed(seed)
    result = JPEGAugmentation(subsampling=subsampling)(image)
    for ours, one, quality in zip(result, image, qualities, strict=True):
        assert torch.equal(ours, through_pillow(one, quality, subsampling).float())


def test_pixels_are_rounded_half_up_and_clipped_before():
    image = noise(1)
    image[0, :, 0, :6] = torch.tensor([2.5, 3.5, 3.4999, -7.0, 300.0, math.inf])
    whole = image.clone()
    whole[0, :, 0, :6] = torch.tensor([3.0, 4.0, 3.0, 0.0, 255.0, 255.0])
    expected = through_pillow(torch.floor(whole[0] + 0.5), 90, "4:4:4").float()
    assert torch.equal(JPEGAugmentation(90, 90)(image)[0], expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes_go_through_the_same_file(dtype):
    image = noise(2).to(dtype)
    result = JPEGAugmentation(40, 40)(image)
    assert result.dtype == dtype
    # Whole numbers up to 255 are exact in all of them.
    assert torch.equal(result.float(), JPEGAugmentation(40, 40)(image.float()))


def test_no_gradient_passes_a_file():
    image = noise().requires_grad_()
    result = JPEGAugmentation()(image)
    assert not result.requires_grad
    (result * image).sum().backward()
    assert torch.equal(image.grad, result)


def test_a_file_holds_no_nan():
    image = noise()
    image[1, 2, 3, 4] = math.nan
    with pytest.raises(ValueError, match="image holds NaN, which no JPEG file can"):
        JPEGAugmentation()(image)
    assert JPEGAugmentation().eval()(image) is image


def test_without_pillow_only_the_differentiable_form_works(monkeypatch):
    def missing(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "PIL":
            raise ImportError("no PIL")
        return importing(name, *arguments, **keywords)

    importing = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match="pip install pillow, or use differentiable=True"):
        JPEGAugmentation()
    assert JPEGAugmentation(differentiable=True)(noise()).isfinite().all()


# Both forms


@pytest.mark.parametrize("differentiable", [False, True])
def test_eval_mode_is_the_identity_and_draws_nothing(differentiable):
    layer = JPEGAugmentation(1, 5, differentiable=differentiable).eval()
    image = noise()
    torch.manual_seed(3)
    assert layer(image) is image
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))


@pytest.mark.parametrize("differentiable", [False, True])
def test_the_seed_governs_the_qualities(differentiable):
    layer = JPEGAugmentation(1, 100, differentiable=differentiable)
    image = noise(4)
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        results.append(layer(image))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.parametrize(("low", "high"), [(1, 50), (50, 100), (1, 100), (7, 7)])
def test_every_quality_of_the_range_is_drawn_equally_often(low, high, monkeypatch):
    found: list[int] = []
    monkeypatch.setattr(
        JPEGAugmentation, "_files", lambda self, image, qualities: found.extend(qualities)
    )
    torch.manual_seed(0)
    number = 100_000
    JPEGAugmentation(low, high)(torch.zeros(1, 3, 1, 1).expand(number, 3, 1, 1))
    counts = np.bincount(found, minlength=102)[low : high + 1]
    share = 1 / len(counts)
    assert counts.sum() == number  # none outside
    # Binomial counts: six standard deviations, about 2e-9 for each.
    assert (np.abs(counts - number * share) <= 6 * math.sqrt(number * share * (1 - share))).all()


# The differentiable form


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_each_image_has_the_tables_of_its_own_quality(subsampling):
    # Some qualities twice, in no order: images come back in theirs. Float64, so that a
    # coefficient near a tie rounds the same way whatever images stand beside it.
    image = noise(9, 19, 30).double()
    seed = next(s for s in range(99) if len(set(drawn(s, 30, 36, 9))) in (4, 5))
    qualities = drawn(seed, 30, 36, 9)
    assert qualities != sorted(qualities)
    torch.manual_seed(seed)
    result = JPEGAugmentation(30, 36, differentiable=True, subsampling=subsampling)(image)
    for i, quality in enumerate(qualities):
        layer = JPEGLayer(
            standard_tables(quality),
            max_level=2047,
            quantizer="straight_through",
            subsampling=subsampling,
        ).double()
        expected = layer(image[i : i + 1])[0]
        # Sums of 8 numbers of up to 1024 several times over, each rounded: far below 1e-9.
        torch.testing.assert_close(result[i], expected.detach(), rtol=0, atol=1e-9)


def photograph() -> Tensor:
    data = pytest.importorskip("skimage.data")
    picture = torch.from_numpy(data.astronaut()[:201, :299].copy())
    return picture.permute(2, 0, 1)[None].float()


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("quality", [1, 10, 50, 90, 100])
def test_it_is_close_to_a_real_file(quality, subsampling):
    image = photograph()
    real, ours = (
        JPEGAugmentation(quality, quality, differentiable=d, subsampling=subsampling)(image)
        for d in (False, True)
    )
    ours = ours.clamp(0, 255).round()
    psnr = 10 * math.log10(255**2 / float(((real - ours) ** 2).mean()))
    # The file rounds Y, Cb and Cr to integers before the DCT and after the inverse one, and where
    # that moves a coefficient across a tie its whole step. Measured: 41.2 dB and more. At quality
    # 10 the chroma table for both leaves 27 dB, the tables of quality 11 30 dB, and no
    # subsampling in the place of 4:2:0 32 dB.
    assert psnr > 40


def test_the_gradient_is_that_of_a_smooth_map_not_zero():
    # Straight-through: the derivative of the linear steps around a quantizer of derivative 1,
    # which is the identity where nothing saturates (4:4:4, whole blocks).
    image = noise(2, 16, 24).double().requires_grad_()
    result = JPEGAugmentation(5, 95, differentiable=True)(image)
    weight = noise(2, 16, 24, seed=9).double()
    (gradient,) = torch.autograd.grad(result, image, weight)
    # Float64 sums of numbers up to 255 (measured: 5e-13).
    torch.testing.assert_close(gradient, weight, rtol=0, atol=1e-9)


def test_a_nan_keeps_to_its_block():
    image = noise(2, 16, 24)
    image[1, 0, 3, 12] = math.nan
    result = JPEGAugmentation(differentiable=True)(image)
    inside = torch.zeros(2, 1, 16, 24, dtype=torch.bool)
    inside[1, :, :8, 8:16] = True
    assert torch.equal(result.isnan(), inside.expand_as(result))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_compute_in_float32(dtype):
    image = noise(3).to(dtype)
    layer = JPEGAugmentation(30, 30, differentiable=True)
    result = layer(image)
    assert result.dtype == dtype
    assert torch.equal(result, layer(image.float()).to(dtype))
    for module in (layer, JPEGAugmentation(30, 30)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = module(image.float())
        assert torch.equal(inside, module(image.float()))


@pytest.mark.gpu
@pytest.mark.parametrize("differentiable", [False, True])
def test_images_on_a_gpu(differentiable):
    image = noise(4).cuda()
    layer = JPEGAugmentation(differentiable=differentiable)
    torch.manual_seed(5)
    result = layer(image)
    torch.manual_seed(5)
    expected = layer(image.cpu())
    assert result.device == image.device
    if not differentiable:
        assert torch.equal(result.cpu(), expected)


# Wrong input


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"low": 0}, ValueError, "low must be at least 1, got 0"),
        ({"low": 1.5}, TypeError, "low must be an integer"),
        ({"high": 101}, ValueError, "high must be a JPEG quality of at most 100, got 101"),
        ({"low": 60, "high": 50}, ValueError, "low must not exceed high, got low=60, high=50"),
        ({"differentiable": 1}, TypeError, "differentiable must be True or False, got 1"),
        ({"subsampling": "420"}, ValueError, "subsampling must be one of 4:4:4, 4:2:2, 4:2:0"),
    ],
)
def test_wrong_options(arguments, error, message):
    with pytest.raises(error, match=message):
        JPEGAugmentation(**arguments)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (torch.zeros(3, 8, 8), ValueError, "image must be RGB of shape"),
        (torch.zeros(1, 1, 8, 8), ValueError, "image must be RGB of shape"),
        (torch.zeros(0, 3, 8, 8), ValueError, "at least one image"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, "image must be floating point"),
        ([1.0], TypeError, "image must be a torch.Tensor"),
    ],
)
def test_wrong_images(training, image, error, message):
    with pytest.raises(error, match=message):
        JPEGAugmentation().train(training)(image)


def test_its_options_are_printed():
    assert repr(JPEGAugmentation(5, 50)) == (
        "JPEGAugmentation(low=5, high=50, differentiable=False, subsampling='4:4:4')"
    )
