"""The embedded pictures: minutes on a CPU, for every kind of method. Not from the paper."""

from __future__ import annotations

from typing import Any

from trainer._checks import check_choice
from trainer.config import TrainConfig
from trainer.recipes._common import WINDOW

EMBEDDED: dict[str, dict[str, Any]] = {
    "baseline": {"method": "baseline"},
    "jpeg-dl": {},
    "jpeg-dl-masked": {"window": WINDOW},
    "uniform-noise": {"quantizer": "uniform_noise"},
    "cubic": {"quantizer": "cubic"},
    "straight-through": {"quantizer": "straight_through"},
    "layer-replacement": {"placement": "features.2", "alpha": 2.0, "max_level": 31},
    "jpeg-augmentation": {"method": "baseline", "preprocessing": "jpeg"},
    "denoise": {"method": "baseline", "preprocessing": "denoise"},
    "equalize": {"method": "baseline", "preprocessing": "equalize"},
    "resize": {"method": "baseline", "preprocessing": "resize"},
}
"""Variant: what it changes of the default configuration."""


def embedded(variant: str) -> TrainConfig:
    """A small network on patches of the pictures inside scikit-image, as in the quickstart.

    Parameters
    ----------
    variant
        A key of `EMBEDDED`.
    """
    check_choice("variant", variant, tuple(EMBEDDED))
    return TrainConfig(recipe=f"embedded-{variant}", **EMBEDDED[variant])
