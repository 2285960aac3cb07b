"""JPEG at a random quality: real files against Pillow, gradients against diff_jpeg."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from tests.strategies import seeds
from torch_impl import RandomJPEG, diff_jpeg

SUBSAMPLINGS = ["4:4:4", "4:2:2", "4:2:0"]
FORMS = [True, False]


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


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    subsampling=st.sampled_from(SUBSAMPLINGS),
    seed=seeds,
)
def test_each_image_is_what_pillow_makes_of_it_at_its_own_quality(height, width, subsampling, seed):
    images = noise(3, height, width, seed).round()
    qualities = drawn(seed, 1, 100, 3)
    torch.manual_seed(seed)
    result = RandomJPEG(subsampling=subsampling)(images)
    for ours, one, quality in zip(result, images, qualities, strict=True):
        assert torch.equal(ours, through_pillow(one, quality, subsampling).float())


def test_pixels_are_rounded_half_up_and_clipped_before():
    images = noise(1)
    images[0, :, 0, :6] = torch.tensor([2.5, 3.5, 3.4999, -7.0, 300.0, 1e30])
    whole = images.clone()
    whole[0, :, 0, :6] = torch.tensor([3.0, 4.0, 3.0, 0.0, 255.0, 255.0])
    expected = through_pillow(torch.floor(whole[0] + 0.5), 90, "4:2:0").float()
    assert torch.equal(RandomJPEG((90, 90))(images)[0], expected)


@pytest.mark.parametrize("straight_through", FORMS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_compute_in_float32(dtype, straight_through):
    images = noise(3).to(dtype)
    layer = RandomJPEG((30, 30), straight_through=straight_through)
    result = layer(images)
    assert result.dtype == dtype
    assert torch.equal(result, layer(images.float()).to(dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = layer(images.float())
    assert torch.equal(inside, layer(images.float()))


@pytest.mark.parametrize("straight_through", FORMS)
@pytest.mark.parametrize("rounding", ["cubic", "straight_through"])
def test_value_and_gradient_are_those_of_diff_jpeg(straight_through, rounding):
    images = noise(3, 16, 24).requires_grad_()
    options = {"straight_through": straight_through, "rounding": rounding, "subsampling": "4:2:2"}
    weights = noise(3, 16, 24, seed=9)
    qualities = torch.tensor(drawn(4, 5, 95, 3))
    assert len(set(qualities.tolist())) == 3
    expected = diff_jpeg(images, quality=qualities, **options)
    torch.manual_seed(4)
    result = RandomJPEG((5, 95), **options)(images)
    assert torch.equal(result, expected)
    gradients = [torch.autograd.grad(x, images, weights)[0] for x in (result, expected)]
    assert torch.equal(*gradients)
    assert bool((gradients[0] != 0).any())


def test_without_a_leaf_nothing_is_differentiated():
    images = noise()
    assert not RandomJPEG()(images).requires_grad
    with torch.no_grad():
        assert not RandomJPEG()(images.requires_grad_()).requires_grad


def test_a_file_holds_no_nan_and_the_substitute_keeps_it_to_its_block():
    images = noise(2, 16, 24)
    images[1, 0, 3, 12] = math.nan
    with pytest.raises(ValueError, match="images must be finite"):
        RandomJPEG()(images)
    assert RandomJPEG().eval()(images) is images
    result = RandomJPEG(straight_through=False, subsampling="4:4:4")(images)
    inside = torch.zeros(2, 1, 16, 24, dtype=torch.bool)
    inside[1, :, :8, 8:16] = True
    assert torch.equal(result.isnan(), inside.expand_as(result))


@pytest.mark.parametrize("straight_through", FORMS)
def test_eval_mode_is_the_identity_and_draws_nothing(straight_through):
    layer = RandomJPEG((1, 5), p=0.5, straight_through=straight_through).eval()
    images = noise()
    torch.manual_seed(3)
    assert layer(images) is images
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))


@pytest.mark.parametrize("straight_through", FORMS)
def test_the_seed_governs_the_qualities(straight_through):
    layer = RandomJPEG((1, 100), p=0.7, straight_through=straight_through)
    images = noise(4)
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        results.append(layer(images))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


class _Listener(nn.Module):
    """In the place of the codec: keeps the qualities, and gives zeros."""

    def forward(self, images: Tensor, quality: Tensor) -> Tensor:
        self.quality = quality
        return torch.zeros_like(images)


@pytest.mark.parametrize(("low", "high"), [(1, 50), (50, 100), (1, 100), (7, 7)])
def test_every_quality_of_the_range_is_drawn_equally_often(low, high):
    layer = RandomJPEG((low, high))
    layer.codec = _Listener()
    torch.manual_seed(0)
    number = 100_000
    layer(torch.zeros(1, 3, 1, 1).expand(number, 3, 1, 1))
    counts = np.bincount(layer.codec.quality.numpy(), minlength=102)[low : high + 1]
    share = 1 / len(counts)
    assert counts.sum() == number  # none outside
    # Binomial counts: six standard deviations, about 2e-9 for each.
    assert (np.abs(counts - number * share) <= 6 * math.sqrt(number * share * (1 - share))).all()


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_so_many_images_are_coded_whole_and_the_others_not_at_all(p):
    layer = RandomJPEG(p=p)
    layer.codec = _Listener()
    torch.manual_seed(1)
    number = 20_000
    result = layer(torch.ones(number, 3, 1, 2))
    assert bool((result == result[:, :1, :, :1]).all())
    coded = int((result[:, 0, 0, 0] == 0).sum())
    assert abs(coded - number * p) <= 6 * math.sqrt(number * p * (1 - p))


@pytest.mark.gpu
@pytest.mark.parametrize("straight_through", FORMS)
def test_images_on_a_gpu(straight_through):
    images = noise(4).cuda()
    layer = RandomJPEG(straight_through=straight_through)
    torch.manual_seed(5)
    result = layer(images)
    torch.manual_seed(5)
    expected = layer(images.cpu())
    assert result.device == images.device
    if straight_through:
        assert torch.equal(result.cpu(), expected)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"quality": (0, 5)}, ValueError, "quality must be at least 1, got 0"),
        ({"quality": (1.5, 5)}, TypeError, "quality must be an integer"),
        ({"quality": (1, 101)}, ValueError, r"quality must end at 100 or below, got \(1, 101\)"),
        ({"quality": (60, 50)}, ValueError, r"low <= high, got \(60, 50\)"),
        ({"quality": 50}, TypeError, r"quality must be a pair \(low, high\).* got 50"),
        ({"quality": "19"}, TypeError, r"quality must be a pair \(low, high\).* got '19'"),
        ({"quality": (1, 2, 3)}, TypeError, r"quality must be a pair \(low, high\)"),
        ({"p": 1.1}, ValueError, r"p must be a probability in \[0, 1\], got 1.1"),
        ({"p": math.nan}, ValueError, "p must be a probability"),
        ({"p": True}, TypeError, "p must be a number"),
        ({"straight_through": 1}, TypeError, "straight_through must be True or False, got 1"),
        ({"subsampling": "420"}, ValueError, "subsampling must be one of 4:4:4, 4:2:2, 4:2:0"),
        ({"rounding": "cubik"}, ValueError, "did you mean 'cubic'"),
    ],
)
def test_wrong_options(arguments, error, message):
    with pytest.raises(error, match=message):
        RandomJPEG(**arguments)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.zeros(3, 8, 8), ValueError, "images must be RGB"),
        (torch.zeros(1, 1, 8, 8), ValueError, "images must be RGB of shape"),
        (torch.zeros(0, 3, 8, 8), ValueError, "at least one image"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, "images must be floating point"),
        ([1.0], TypeError, "images must be a torch.Tensor"),
    ],
)
def test_wrong_images(training, images, error, message):
    with pytest.raises(error, match=message):
        RandomJPEG().train(training)(images)


def test_its_options_are_printed():
    text = repr(RandomJPEG((5, 50), p=0.25))
    assert "quality=(5, 50), p=0.25" in text
    assert "subsampling='4:2:0', straight_through=True" in text
