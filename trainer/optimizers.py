"""The two optimizers of a run and the schedule of their learning rates."""

from __future__ import annotations

import math

import torch

from trainer.config import TrainConfig
from trainer.networks import ImageClassifier


def schedule_factor(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Factor on the learning rates at a step (from 0): a pure function, nothing to restore."""
    if config.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * step / (config.epochs * steps_per_epoch)))
    passed = sum(step >= milestone * steps_per_epoch for milestone in config.milestones)
    return float(config.decay**passed)


def build_optimizers(
    config: TrainConfig, model: ImageClassifier
) -> dict[str, torch.optim.Optimizer]:
    """SGD for the network as "network" and, with a JPEG layer, Adam for its steps as "q".

    References
    ----------
    "JPEG Inspired Deep Learning" (JPEG-DL), section 4: Adam evens out the gradients of q, whose
    size varies from frequency to frequency.
    """
    optimizers: dict[str, torch.optim.Optimizer] = {
        "network": torch.optim.SGD(
            model.network.parameters(),
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
    }
    if model.jpeg is not None:
        optimizers["q"] = torch.optim.Adam([model.jpeg.q], lr=config.q_learning_rate)
    return optimizers
