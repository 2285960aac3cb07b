"""Mixup and CutMix: one mixture per step, the same for all parts of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainer._randomness import derive_seed
from trainer.config import TrainConfig


@dataclass(frozen=True)
class Mixture:
    """How the images of one step are mixed with their partners.

    Parameters
    ----------
    weight
        Of an image's own label, in [0, 1]; the partner's has the rest.
    box
        (top, bottom, left, right) in pixels that come from the partner (CutMix); None mixes
        all pixels with `weight` (mixup).
    """

    weight: float
    box: tuple[int, int, int, int] | None = None

    def images(self, own: Tensor, partner: Tensor) -> Tensor:
        """Mixed images, floating point (P, 3, H, W)."""
        if self.box is None:
            return torch.lerp(partner, own, self.weight)
        top, bottom, left, right = self.box
        mixed = own.clone()
        mixed[:, :, top:bottom, left:right] = partner[:, :, top:bottom, left:right]
        return mixed


def draw_mixture(config: TrainConfig, step: int, size: tuple[int, int]) -> Mixture:
    """The mixture of a step: a pure function of seed and step.

    With both mixup and CutMix, either has probability 1/2.

    Parameters
    ----------
    config
        Whose ``mixup`` and ``cutmix`` are the parameters a of Beta(a, a); one is above 0.
    step
        From 0.
    size
        Height and width of the images in pixels.

    References
    ----------
    Zhang et al., "mixup: Beyond Empirical Risk Minimization" (2018); Yun et al., "CutMix" (2019),
    section 3.1: the box has the part 1 - lambda of the area around a random middle, and lambda is
    what is left of the image after the box was cut off at the border.
    """
    source = np.random.default_rng(derive_seed(config.seed, "mixup", step))
    cuts = config.mixup == 0 or (config.cutmix > 0 and source.random() < 0.5)
    if not cuts:
        return Mixture(float(source.beta(config.mixup, config.mixup)))
    height, width = size
    side = float(np.sqrt(1 - source.beta(config.cutmix, config.cutmix)))
    middle_y, middle_x = int(source.integers(height)), int(source.integers(width))
    half_y, half_x = int(side * height) // 2, int(side * width) // 2
    top, bottom = max(middle_y - half_y, 0), min(middle_y + half_y, height)
    left, right = max(middle_x - half_x, 0), min(middle_x + half_x, width)
    weight = 1 - (bottom - top) * (right - left) / (height * width)
    return Mixture(weight, (top, bottom, left, right))
