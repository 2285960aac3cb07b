"""What the tests of attacks share: the attacks, and a model whose best attack is known."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainer.attacks import fgsm, pgd

ATTACKS: list[Callable[..., Tensor]] = [fgsm, functools.partial(pgd, steps=3)]


class TwoClasses(nn.Module):
    """Logits 0 and w.(x - x0), with the pixels in any shape."""

    def __init__(self, weight: Tensor, bias: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = bias

    def forward(self, image: Tensor) -> Tensor:
        score = image.flatten(1) @ self.weight + self.bias
        return torch.stack([torch.zeros_like(score), score], dim=1)
