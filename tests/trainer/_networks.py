"""Random images and normalizations with numbers that show, for the tests of the networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def random_images(count: int, side: int = 32, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def norms_of(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def vary_norms(network: nn.Module) -> None:
    """Weights, biases and statistics that no layer could be confused with the identity for."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for norm in norms_of(network):
            for values in (norm.weight, norm.running_var):
                assert values is not None
                values.uniform_(0.5, 1.5, generator=generator)
            for values in (norm.bias, norm.running_mean):
                assert values is not None
                values.uniform_(-0.5, 0.5, generator=generator)
