"""The two optimizers of a run and the schedule of their learning rates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from trainer.config import TrainConfig
from trainer.networks import ImageClassifier


def schedule_factor(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Factor on the learning rates at a step (from 0): a pure function, nothing to restore.

    A warm-up rises linearly to the full rates; the cosine takes up the steps after it, the steps of
    the "step" schedule stay where they are (JPEG-DL, A.3 and A.5, name a schedule for each
    experiment).
    """
    warmup = config.warmup_epochs * steps_per_epoch
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    if config.schedule == "cosine":
        done = max(0, step - warmup) / (config.epochs * steps_per_epoch - warmup)
        return rise * 0.5 * (1 + math.cos(math.pi * done))
    passed = sum(step >= milestone * steps_per_epoch for milestone in config.milestones)
    return float(rise * config.decay**passed)


def build_optimizers(
    config: TrainConfig, model: ImageClassifier
) -> dict[str, torch.optim.Optimizer]:
    """One for the network as "network" and, with a quantizer, one for its tables as "q".

    A trained alpha is the second group of "q", with a learning rate of its own.

    References
    ----------
    "JPEG Inspired Deep Learning" (JPEG-DL), section 4: Adam evens out the gradients of q, whose
    size varies from frequency to frequency; SGD for q on ImageNet.
    """
    weights = model.network_parameters()
    optimizers: dict[str, torch.optim.Optimizer] = {
        "network": torch.optim.SGD(
            weights,
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
        if config.optimizer == "sgd"
        else torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay)
    }
    quantizer = model.quantizer
    if quantizer is not None:
        groups: list[dict[str, Any]] = [{"params": [quantizer.q], "lr": config.q_learning_rate}]
        others = [p for p in model.table_parameters() if p is not quantizer.q]
        if others:
            groups.append({"params": others, "lr": config.alpha_learning_rate})
        kind = torch.optim.Adam if config.q_optimizer == "adam" else torch.optim.SGD
        optimizers["q"] = kind(groups)
    return optimizers


def set_learning_rates(
    config: TrainConfig, optimizers: Mapping[str, torch.optim.Optimizer], factor: float
) -> None:
    """Learning rates of a step whose schedule factor is given."""
    for group in optimizers["network"].param_groups:
        group["lr"] = config.learning_rate * factor
    if "q" in optimizers:
        q_factor = factor if config.q_follows_schedule else 1.0
        rates = (config.q_learning_rate, config.alpha_learning_rate)
        for group, rate in zip(optimizers["q"].param_groups, rates, strict=False):
            group["lr"] = rate * q_factor
