"""Mixed precision: the network in 16 bits, pixels and tables in 32, one loss scale for both."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from trainer import DivergenceError, TrainConfig, train, training_run
from trainer import fabric as fabric_module
from trainer.checkpoint import CHECKPOINT_FILE, load_checkpoint
from trainer.data import ImageData
from trainer.fabric import _Mixed, launch, step_optimizers
from trainer.networks import ImageClassifier, build_model


def test_pixels_are_not_rounded_and_the_network_is(config: TrainConfig) -> None:
    class Watch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            self.seen = x
            self.inside = self.linear(x)
            return self.inside

    fabric = launch(dataclasses.replace(config, precision="bf16-mixed"))
    watch = Watch()
    pixels = torch.tensor([[200.3, 7.7]])  # bfloat16 has 200 and 7.6875
    out = fabric.setup(watch)(pixels)
    assert torch.equal(watch.seen, pixels)
    assert watch.inside.dtype == torch.bfloat16
    assert out.dtype == torch.float32


def test_training_in_bfloat16_is_close_to_float32(
    config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    exact = train(config, tmp_path / "exact", data=data)
    mixed = train(dataclasses.replace(config, precision="bf16-mixed"), tmp_path / "b", data=data)
    one, other = exact.history[-1], mixed.history[-1]
    assert one.train_loss != other.train_loss
    # bfloat16 rounds by 2^-9 in each layer; a loss near 1 after nine steps.
    assert one.train_loss == pytest.approx(other.train_loss, abs=0.1)


class _Scaler(torch.amp.GradScaler):
    """A scaler on the CPU that begins where it doubles after the next good step."""

    def __init__(self, scale: float) -> None:
        super().__init__("cpu", init_scale=scale, growth_interval=1)


@pytest.mark.parametrize("overflow", [False, True])
def test_both_optimizers_divide_by_the_scale_that_was_multiplied_with(
    overflow: bool, config: TrainConfig
) -> None:
    fabric = launch(config)
    plugin = _Mixed("16-mixed", "cpu", _Scaler(4.0))
    fabric.strategy.precision = fabric._precision = plugin
    weights = [nn.Parameter(torch.tensor([1.0])) for _ in range(2)]
    module = nn.Module()
    module.one, module.two = weights
    optimizers = [torch.optim.SGD([w], lr=1.0) for w in weights]
    _, *steppers = fabric.setup(module, *optimizers)
    plugin.scaler.scale(weights[0] * 0.25 + weights[1] * 0.5).backward()
    if overflow:
        assert weights[0].grad is not None
        weights[0].grad.fill_(torch.inf)
    step_optimizers(fabric, steppers)
    assert weights[0].item() == (1.0 if overflow else 0.75)
    assert weights[1].item() == 0.5
    assert plugin.scaler.get_scale() == (2.0 if overflow else 8.0)


@pytest.fixture
def overflowing(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, float], None]:
    """Overflow the first weight's gradient in so many steps; a scaler on the CPU.

    Float16 itself needs CUDA.
    """

    def prepare(times: int, scale: float) -> None:
        left = iter([math.inf] * times)

        def build(*args: Any, **kwargs: Any) -> ImageClassifier:
            model = build_model(*args, **kwargs)
            weight = next(model.network.parameters())
            weight.register_hook(lambda gradient: gradient * next(left, 1.0))
            return model

        def with_scaler(config: TrainConfig) -> Fabric:
            fabric = launch(config)
            plugin = _Mixed("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=scale))
            monkeypatch.setattr(plugin, "forward_context", nullcontext)
            fabric.strategy.precision = fabric._precision = plugin
            return fabric

        monkeypatch.setattr(training_run, "build_model", build)
        monkeypatch.setattr(fabric_module, "launch", with_scaler)

    return prepare


def test_skipped_steps_are_no_divergence_and_the_scale_is_resumed(
    overflowing: Callable[[int, float], None],
    config: TrainConfig,
    data: ImageData,
    tmp_path: Path,
    interrupt_at: Callable[[int], Any],
    interruption: type[BaseException],
) -> None:
    config = dataclasses.replace(config, checkpoint_steps=1)
    overflowing(2, 16.0)
    train(config, tmp_path / "whole", data=data)
    overflowing(2, 16.0)
    with pytest.raises(interruption):
        train(config, tmp_path / "cut", data=data, listener=interrupt_at(2))
    halfway = load_checkpoint(tmp_path / "cut" / CHECKPOINT_FILE)
    assert halfway.progress["states"] == {"network": 0, "q": 1}  # SGD has not made a step yet
    assert halfway.progress["scaler"]["scale"] == 4.0
    train(config, tmp_path / "cut", data=data)
    one, other = (load_checkpoint(tmp_path / n / CHECKPOINT_FILE) for n in ("whole", "cut"))
    assert one.progress["scaler"] == other.progress["scaler"]
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name


def test_steps_skipped_without_end_are_divergence(
    overflowing: Callable[[int, float], None],
    config: TrainConfig,
    data: ImageData,
    tmp_path: Path,
) -> None:
    overflowing(9, 2.0**-8)
    with pytest.raises(DivergenceError, match=r"step 3: gradients overflow float16 even with"):
        train(config, tmp_path, data=data)
