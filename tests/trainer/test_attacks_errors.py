"""Attacks on wrong input: every argument, and models that cannot be attacked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainer._attacked import ATTACKS, TwoClasses
from trainer.attacks import fgsm, pgd, robust_accuracy
from trainer.errors import DivergenceError

GOOD: dict[str, Any] = {
    "images": torch.full((2, 3), 100.0),
    "labels": torch.tensor([0, 1]),
    "epsilon": 2.0,
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"epsilon": -1.0}, ValueError, "epsilon must be at least 0, in pixel units, got -1.0"),
        ({"epsilon": math.nan}, ValueError, "epsilon must be finite, got nan"),
        ({"epsilon": "2"}, TypeError, "epsilon must be a number, got '2'"),
        ({"images": torch.full((2, 3), 256.0)}, ValueError, r"images must be in \[0, 255\]"),
        ({"images": torch.full((2, 3), -0.5)}, ValueError, "from -0.5 to -0.5"),
        ({"images": torch.full((2, 3), math.nan)}, ValueError, "from nan to nan"),
        ({"images": torch.zeros(2, 3).byte()}, TypeError, "images must be a float32 or float64"),
        ({"images": torch.zeros(2, 3).half()}, TypeError, "got torch.float16"),
        ({"images": torch.zeros(2)}, ValueError, r"images must be a batch \(N, ...\)"),
        ({"images": torch.zeros(0, 3)}, ValueError, r"images must be a batch \(N, ...\)"),
        ({"labels": torch.tensor([0])}, ValueError, r"labels must have shape \(2,\).*got \(1,\)"),
        ({"labels": torch.eye(2).long()}, ValueError, r"labels must have shape \(2,\)"),
        ({"labels": torch.tensor([0.0, 1.0])}, TypeError, "labels must be an int64 tensor"),
        ({"labels": torch.tensor([0, -1])}, ValueError, "labels must be at least 0, got -1"),
        ({"labels": torch.tensor([0, 2])}, ValueError, "labels must be below the 2 classes"),
        ({"model": "net"}, TypeError, "model must be a torch.nn.Module, got str"),
        ({"model": nn.Flatten(0)}, ValueError, r"model must give logits of shape \(2, classes\)"),
        ({"loss": lambda x, y: x.sum(1)}, ValueError, r"loss must give a single number.*\(2,\)"),
        ({"loss": lambda x, y: x.sum() * math.nan}, DivergenceError, "loss under attack is nan"),
        ({"loss": lambda x, y: x.sum().detach()}, ValueError, "does not depend on the images"),
    ],
)
def test_wrong_arguments(
    attack: Callable[..., Tensor], wrong: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments = {"model": TwoClasses(torch.ones(3), 0.0), **GOOD, **wrong}
    with pytest.raises(error, match=message):
        attack(**arguments)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"steps": 2.0}, TypeError, "steps must be an integer, got 2.0"),
        ({"step_size": 0.0}, ValueError, "step_size must be positive, got 0.0"),
        ({"step_size": math.inf}, ValueError, "step_size must be finite, got inf"),
    ],
)
def test_wrong_steps(wrong: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pgd(TwoClasses(torch.ones(3), 0.0), **GOOD, **wrong)


def test_models_that_cannot_be_attacked() -> None:
    class Detached(TwoClasses):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image.detach())

    with pytest.raises(ValueError, match="detaches its input cannot be attacked"):
        fgsm(Detached(torch.ones(3), 0.0), **GOOD)
    broken = TwoClasses(torch.full((3,), math.nan), 0.0)
    with pytest.raises(DivergenceError, match="loss under attack is nan"):
        fgsm(broken, **GOOD)

    class Kink(TwoClasses):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward((image - 100).sqrt())  # slope infinite at 100

    with pytest.raises(DivergenceError, match=r"gradient of the loss.*is not finite"):
        fgsm(Kink(torch.ones(3), 0.0), **GOOD)


def test_wrong_arguments_of_robust_accuracy() -> None:
    model = TwoClasses(torch.ones(3), 0.0)
    batch = (GOOD["images"], GOOD["labels"])
    with pytest.raises(ValueError, match="epsilons must name at least one strength"):
        robust_accuracy(model, [batch], fgsm, [])
    with pytest.raises(ValueError, match="epsilon must be at least 0"):
        robust_accuracy(model, [batch], fgsm, [0, -1])
    with pytest.raises(ValueError, match="loader gave no images"):
        robust_accuracy(model, [], fgsm, [0])
    with pytest.raises(TypeError, match="model must be a torch"):
        robust_accuracy(len, [batch], fgsm, [0])  # type: ignore[arg-type]
    broken = TwoClasses(torch.full((3,), math.nan), 0.0)
    with pytest.raises(DivergenceError, match="the model's output is NaN"):
        robust_accuracy(broken, [batch], fgsm, [0])
