"""A whole training step of the CIFAR-100 recipes: what the JPEG layer adds to it."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from benchmarks.measure import Opponent, Work
from benchmarks.plugin import Runner
from benchmarks.ratios import Kind
from benchmarks.workloads import images
from trainer import recipe
from trainer.config import TrainConfig
from trainer.networks import build_model
from trainer.optimizers import build_optimizers

BATCH, CLASSES = 64, 100


def _step(config: TrainConfig) -> Work:
    """Forward, backward and both optimizers on one batch of made images."""
    torch.manual_seed(0)
    mean, std = torch.full((3,), 120.0), torch.full((3,), 60.0)
    model = build_model(config, classes=CLASSES, mean=mean, std=std, size=(32, 32))
    optimizers = build_optimizers(config, model).values()
    image, label = images((BATCH, 3, 32, 32)), torch.arange(BATCH) % CLASSES

    def run() -> None:
        for optimizer in optimizers:
            optimizer.zero_grad()
        functional.cross_entropy(model(image), label).backward()
        for optimizer in optimizers:
            optimizer.step()

    return run


@pytest.mark.parametrize("window", [5, None], ids=["window 5", "full"])
@pytest.mark.parametrize("network", ["resnet32", "mobilenetv2"])
def test_training_step_with_the_layer(race: Runner, network: str, window: int | None) -> None:
    ours = recipe(f"cifar100-{network}-jpeg-dl", tables="constant", q_initial=2.0, window=window)
    without = _step(recipe(f"cifar100-{network}-baseline"))
    support = "full" if window is None else f"window {window}"
    race(
        f"CIFAR-100 step, {network}, batch {BATCH}, JPEG-DL {support}",
        _step(ours),
        [Opponent("without the layer", without, Kind.OVERHEAD)],
        seconds=6.0,
    )
