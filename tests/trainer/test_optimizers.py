"""Each optimizer has its parameters, its learning rates and its schedule."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from trainer import TrainConfig, train
from trainer._randomness import derive_seed, generator
from trainer.checkpoint import CHECKPOINT_FILE, load_checkpoint
from trainer.data import ImageData
from trainer.networks import ImageClassifier, build_model
from trainer.optimizers import build_optimizers, schedule_factor, set_learning_rates


def _model(config: TrainConfig, data: ImageData) -> ImageClassifier:
    torch.manual_seed(derive_seed(config.seed, "weights"))
    mean, std = data.channel_statistics
    return build_model(config, classes=3, mean=mean, std=std, size=data.size)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "baseline"},
        {"alpha_learning_rate": 0.1},
        {"preprocessing": "resize"},
        {"quantizer": "cubic", "rounds": 2},
    ],
    ids=str,
)
def test_every_parameter_has_one_optimizer(
    options: dict[str, Any], config: TrainConfig, data: ImageData
) -> None:
    model = _model(dataclasses.replace(config, **options), data)
    optimizers = build_optimizers(dataclasses.replace(config, **options), model)
    owners = [
        id(p) for o in optimizers.values() for group in o.param_groups for p in group["params"]
    ]
    assert len(owners) == len(set(owners))
    assert set(owners) == {id(parameter) for parameter in model.parameters()}
    assert ("q" in optimizers) == (model.quantizer is not None)


def test_the_first_step_of_adamw_and_of_sgd_for_the_tables(
    config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    config = dataclasses.replace(
        config,
        epochs=1,
        batch_size=24,  # one step in all
        optimizer="adamw",
        learning_rate=0.01,
        weight_decay=0.1,
        q_optimizer="sgd",
        q_learning_rate=0.5,
        alpha_learning_rate=0.25,
        label_smoothing=0.1,
    )
    train(config, tmp_path, data=data)
    after = load_checkpoint(tmp_path / CHECKPOINT_FILE).tensors
    model = _model(config, data)
    order = torch.randperm(24, generator=generator(config.seed, "order", 1))
    image = data.train_batch(order, seed=config.seed, step=0, augment=True).float()
    target = 0.9 * functional.one_hot(data.train_labels[order], 3) + 0.1 / 3
    (-(target * model(image).log_softmax(1)).sum(1).mean()).backward()
    for name, weight in model.network.named_parameters():
        assert weight.grad is not None
        decayed = weight - 0.01 * 0.1 * weight
        expected = (decayed - 0.01 * weight.grad / (weight.grad.abs() + 1e-8)).detach()
        large = weight.grad.abs() > 1e-5  # else rounding decides the direction of Adam's step
        # A step of 0.01 to a few roundings of the gradient.
        torch.testing.assert_close(
            after[f"model.network.{name}"][large], expected[large], rtol=1e-5, atol=1e-5, msg=name
        )
    assert model.jpeg is not None
    for name, rate, start in (("q", 0.5, 1.0), ("alpha", 0.25, 5.0)):
        gradient = getattr(model.jpeg, name).grad
        assert (gradient != 0).any()
        # Gradients of some 1e-3, to float32 rounding of the loss.
        torch.testing.assert_close(
            after[f"model.jpeg.{name}"], start - rate * gradient, rtol=1e-6, atol=1e-6, msg=name
        )


@pytest.mark.parametrize("schedule", ["cosine", "step"])
def test_the_warm_up_rises_linearly_and_then_leaves_the_schedule(schedule: str) -> None:
    config = TrainConfig(
        epochs=6, schedule=schedule, milestones=(4,) if schedule == "step" else (), warmup_epochs=2
    )
    factors = [schedule_factor(config, step, 5) for step in range(30)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)], rel=1e-12)
    if schedule == "cosine":
        # the whole of a cosine run of four epochs
        after = dataclasses.replace(config, warmup_epochs=0, epochs=4)
        assert factors[10:] == [schedule_factor(after, step, 5) for step in range(20)]
        assert factors[10] == 1.0
    else:
        assert factors[10:] == pytest.approx([1.0] * 10 + [0.1] * 10, rel=1e-12)


@pytest.mark.parametrize("follows", [True, False])
def test_the_rates_of_the_tables_follow_the_schedule_if_told_so(
    follows: bool, config: TrainConfig, data: ImageData
) -> None:
    config = dataclasses.replace(
        config, q_follows_schedule=follows, alpha_learning_rate=0.2, q_learning_rate=0.1
    )
    optimizers = build_optimizers(config, _model(config, data))
    set_learning_rates(config, optimizers, 0.5)
    assert [g["lr"] for g in optimizers["network"].param_groups] == [0.025]
    factor = 0.5 if follows else 1.0
    assert [g["lr"] for g in optimizers["q"].param_groups] == [0.1 * factor, 0.2 * factor]
