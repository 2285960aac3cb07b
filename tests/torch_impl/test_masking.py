"""The distance of a masked CPMF from the full space, and the warning about it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from reference import soft_quantize
from torch_impl import JPEGLayer, MaskedWindowWarning, masked_distance
from torch_impl.masking import CERTAINLY_CLOSE, NOTICEABLE

IMAGE = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 255


@pytest.mark.parametrize("window", [3, 5, 7, 9])
@pytest.mark.parametrize("h", [0.01, 0.1, 0.3, 0.7, 1.0, 2.0, np.pi, 5.0])
def test_distance_is_that_of_the_reference(h, window):
    # A finer grid than the function's: its 202 points miss the largest value by less than 2 %.
    c = np.concatenate([np.linspace(-0.5, 0.5, 4001), [np.nextafter(0.5, 0.0)]])
    full = soft_quantize(c, 1.0, h, max_level=200)
    masked = soft_quantize(c, 1.0, h, max_level=200, window=window)
    # Both are of order 1 and rounded to some 1e-15.
    assert masked_distance(h, window) == pytest.approx(
        np.abs(masked - full).max(), rel=0.02, abs=1e-14
    )


def test_closer_with_more_levels_and_harder_quantizers():
    assert masked_distance(0.7, 3) > masked_distance(0.7, 5) > masked_distance(0.7, 7)
    assert masked_distance(0.3, 5) > masked_distance(0.7, 5) > masked_distance(2.0, 5)


def test_no_window_is_far_where_none_is_asked():
    assert masked_distance(CERTAINLY_CLOSE, 3) <= NOTICEABLE


def test_the_papers_imagenet_setting_warns_once_with_the_distance():
    with pytest.warns(MaskedWindowWarning, match=r"window=5 at alpha q\^2 = 0.7 .* 1.5e-02 q"):
        layer = JPEGLayer(hbar=0.7, window=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MaskedWindowWarning)
        layer(IMAGE)


@pytest.mark.parametrize("options", [{"window": 5}, {"window": None, "hbar": 0.7}])
def test_close_or_full_says_nothing(options):
    with warnings.catch_warnings():
        warnings.simplefilter("error", MaskedWindowWarning)
        JPEGLayer(**options)(IMAGE)


def test_training_into_the_soft_regime_warns():
    layer = JPEGLayer(window=5)  # h = 5
    with torch.no_grad():
        layer.q[0, 3, 4] = 0.3  # h = 0.45
    with pytest.warns(MaskedWindowWarning, match=r"alpha q\^2 = 0.45"):
        layer(IMAGE)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MaskedWindowWarning)
        layer(IMAGE)
