"""Gaussian denoising against scipy, histogram equalization against Pillow; wrong input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from scipy import ndimage

from reference.standard import RGB_TO_YCBCR
from tests.strategies import seeds
from torch_impl import GaussianDenoise, HistogramEqualization

# scipy's names for the same edges.
EDGES = {"reflect": "mirror", "replicate": "nearest", "zero": "constant"}


def gaussian_of_scipy(image: np.ndarray, kernel_size: int, sigma: float, edge: str) -> np.ndarray:
    return ndimage.gaussian_filter(
        image, sigma, mode=EDGES[edge], radius=kernel_size // 2, axes=(2, 3)
    )


@st.composite
def filters(draw: st.DrawFn) -> tuple[np.ndarray, dict[str, Any]]:
    kernel_size = draw(st.sampled_from([1, 3, 5, 9]))
    edge = draw(st.sampled_from(sorted(EDGES)))
    least = kernel_size // 2 + 1 if edge == "reflect" else 1
    shape = (draw(st.integers(1, 2)), 3, *(draw(st.integers(least, 14)) for _ in "HW"))
    image = np.random.default_rng(draw(seeds)).uniform(0, 255, shape)
    options = {"kernel_size": kernel_size, "sigma": draw(st.sampled_from([0.2, 1.0, 3.5]))}
    return image, {**options, "edge": edge}


@given(case=filters(), dtype=st.sampled_from([torch.float32, torch.float64]))
@settings(max_examples=60, deadline=None)
def test_denoising_is_the_gaussian_filter_of_scipy(
    case: tuple[np.ndarray, dict[str, Any]], dtype: torch.dtype
) -> None:
    image, options = case
    tensor = torch.from_numpy(image).to(dtype)
    result = GaussianDenoise(**options)(tensor)
    expected = gaussian_of_scipy(tensor.double().numpy(), **options)
    # Two passes; each rounds the weights, k products and k - 1 sums, all at most 255.
    tolerance = 2 * (options["kernel_size"] + 2) * torch.finfo(dtype).eps * 255
    assert result.dtype == dtype
    np.testing.assert_allclose(result.double(), expected, rtol=0, atol=tolerance)


@given(case=filters(), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_gradient_of_denoising_is_the_adjoint_of_the_filter(
    case: tuple[np.ndarray, dict[str, Any]], seed: int
) -> None:
    image, options = case
    x = torch.from_numpy(image).requires_grad_()
    y = np.random.default_rng(seed).normal(size=image.shape)
    GaussianDenoise(**options)(x).backward(torch.from_numpy(y))
    assert x.grad is not None
    forward = np.sum(gaussian_of_scipy(image, **options) * y)
    backward = np.sum(image * x.grad.numpy())
    # Rounding of two sums of at most 1200 products, and of the filter (above); measured 5e-17.
    scale = 255 * np.abs(y).sum()
    assert abs(forward - backward) <= 1e-15 * scale


def test_default_denoising_keeps_constants_and_the_mean_of_noise_but_not_its_spread() -> None:
    constant = torch.full((1, 3, 9, 7), 200.0)
    # Weights of sum 1: a few roundings of 200.
    torch.testing.assert_close(GaussianDenoise()(constant), constant, rtol=0, atol=1e-4)
    noise = 128 + 30 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    smooth = GaussianDenoise()(noise)
    # The squared weights of the default filter sum to 0.287 along each axis, and that is how far
    # the spread falls; 4096 samples, about 340 of them independent: 4 % of standard error.
    assert (smooth.std() / noise.std()).item() == pytest.approx(0.287, rel=0.12)
    assert smooth.mean().item() == pytest.approx(noise.mean().item(), abs=0.1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_images_are_filtered_in_single_precision(dtype: torch.dtype) -> None:
    image = (255 * torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(1))).to(dtype)
    expected = GaussianDenoise()(image.float()).to(dtype)
    assert torch.equal(GaussianDenoise()(image), expected)


def test_autocast_does_not_lower_the_precision_of_the_filter() -> None:
    image = 255 * torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(2))
    with torch.autocast("cpu", torch.bfloat16):
        result = GaussianDenoise()(image)
    assert torch.equal(result, GaussianDenoise()(image))


def test_nan_reaches_as_far_as_the_kernel() -> None:
    image = torch.zeros(1, 3, 11, 11)
    image[0, 1, 5, 5] = torch.nan
    nan = GaussianDenoise(5)(image).isnan()
    assert nan[0, 1, 3:8, 3:8].all()
    assert nan.sum() == 25


@st.composite
def pictures(draw: st.DrawFn) -> np.ndarray:
    """uint8 (N, H, W, 3), some with few levels, some small, some dark, with a level apart."""
    rng = np.random.default_rng(draw(seeds))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 40)), draw(st.integers(1, 40)), 3)
    low = draw(st.integers(0, 255))
    high = draw(st.integers(low, 255))
    image = rng.integers(low, high + 1, shape)
    if draw(st.booleans()):
        image = low + (image - low) ** 2 // max(high - low, 1)  # not uniform
    image[..., 0, 0, 0] = draw(st.sampled_from([low, 0, 255]))
    return image.astype(np.uint8)


def as_tensor(picture: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.from_numpy(picture.transpose(0, 3, 1, 2).copy()).to(dtype)


@given(picture=pictures(), dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
@settings(max_examples=100, deadline=None)
def test_rgb_equalization_is_that_of_pillow_exactly(
    picture: np.ndarray, dtype: torch.dtype
) -> None:
    expected = np.stack([np.asarray(ImageOps.equalize(Image.fromarray(p))) for p in picture])
    result = HistogramEqualization("rgb")(as_tensor(picture, dtype))
    assert result.dtype == dtype
    np.testing.assert_array_equal(result.float(), as_tensor(expected))


@given(picture=pictures())
@settings(max_examples=60, deadline=None)
def test_luma_equalization_moves_the_luma_as_pillow_and_keeps_the_chroma(
    picture: np.ndarray,
) -> None:
    image = as_tensor(picture, torch.float64).numpy()
    luma = np.tensordot(RGB_TO_YCBCR[0], image, axes=(0, 1))
    # Weights of three decimals: some sums are exact halves, which rounding may decide either way.
    assume(not (np.abs(luma - np.floor(luma) - 0.5) < 1e-9).any())
    levels = np.rint(luma).astype(np.uint8)
    equal = np.stack([np.asarray(ImageOps.equalize(Image.fromarray(p))) for p in levels])
    change = equal.astype(float) - levels
    result = HistogramEqualization("luma")(torch.from_numpy(image)).numpy()
    np.testing.assert_array_equal(result, np.clip(image + change[:, None], 0, 255))


def test_fractions_count_at_the_nearest_level_and_out_of_range_at_the_ends() -> None:
    rng = np.random.default_rng(3)
    whole = torch.from_numpy(rng.integers(0, 256, (2, 3, 20, 20))).float()
    moved = whole + torch.from_numpy(rng.uniform(-0.49, 0.49, whole.shape)).float()
    moved[whole == 255] = 300.0
    moved[whole == 0] = -40.0
    assert torch.equal(HistogramEqualization()(moved), HistogramEqualization()(whole))


@pytest.mark.parametrize("mode", ["rgb", "luma"])
@pytest.mark.parametrize("level", [0.0, 93.0, 255.0])
def test_constant_images_stay(mode: str, level: float) -> None:
    image = torch.full((2, 3, 24, 24), level)
    assert torch.equal(HistogramEqualization(mode)(image), image)


def test_unknown_samples_become_nan_and_count_nowhere() -> None:
    rng = np.random.default_rng(4)
    image = torch.from_numpy(rng.integers(0, 200, (1, 3, 17, 24))).float()
    spoilt = torch.cat([image, torch.full((1, 3, 1, 24), torch.nan)], dim=2)
    spoilt[0, 2, 17, :5] = torch.inf
    result = HistogramEqualization()(spoilt)
    assert torch.equal(result[:, :, :17], HistogramEqualization()(image))
    assert result[:, :, 17].isnan().all()
    in_luma = HistogramEqualization("luma")(spoilt)
    assert torch.equal(in_luma[:, :, :17], HistogramEqualization("luma")(image))
    assert in_luma[:, :, 17].isnan().all()


@pytest.mark.parametrize("mode", ["rgb", "luma"])
def test_gradient_of_equalization_is_straight_through(mode: str) -> None:
    image = 255 * torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    image.requires_grad_()
    cotangent = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(6))
    HistogramEqualization(mode)(image).backward(cotangent)
    assert image.grad is not None
    assert torch.equal(image.grad, cotangent)


@pytest.mark.parametrize("module", [GaussianDenoise(), HistogramEqualization()])
def test_modules_have_no_state_and_say_their_options(module: torch.nn.Module) -> None:
    assert not module.state_dict()
    assert repr(module) in {
        "GaussianDenoise(kernel_size=5, sigma=1.0, edge='reflect')",
        "HistogramEqualization(mode='rgb')",
    }


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kernel_size": 4}, ValueError, "kernel_size must be odd.*got 4"),
        ({"kernel_size": 0}, ValueError, "kernel_size must be at least 1, got 0"),
        ({"kernel_size": 5.0}, TypeError, "kernel_size must be an integer, got 5.0"),
        ({"sigma": 0.0}, ValueError, "sigma must be positive and finite, got 0.0"),
        ({"sigma": float("nan")}, ValueError, "sigma must be positive and finite, got nan"),
        ({"sigma": "1"}, TypeError, "sigma must be a number, got '1'"),
        ({"edge": "wrap"}, ValueError, "edge must be one of reflect, replicate, zero, got 'wrap'"),
    ],
)
def test_wrong_options_of_denoising(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        GaussianDenoise(**options)


def test_wrong_mode_of_equalization() -> None:
    with pytest.raises(ValueError, match="mode must be one of rgb, luma, got 'hsv'"):
        HistogramEqualization("hsv")


@pytest.mark.parametrize("module", [GaussianDenoise(), HistogramEqualization()])
def test_wrong_images(module: torch.nn.Module) -> None:
    with pytest.raises(TypeError, match="image must be floating point"):
        module(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"image must be RGB of shape \(N, 3, H, W\)"):
        module(torch.zeros(3, 8, 8))


def test_images_too_small_to_mirror() -> None:
    tiny = torch.zeros(1, 3, 2, 9)
    with pytest.raises(ValueError, match=r"image of \(2, 9\) pixels is too small to mirror 2"):
        GaussianDenoise(5)(tiny)
    assert torch.equal(GaussianDenoise(5, edge="replicate")(tiny), tiny)
