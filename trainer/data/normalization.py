"""Mean and standard deviation that images are normalized with before the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trainer.data.source import ImageSource

if TYPE_CHECKING:
    from trainer.config import TrainConfig

# Of R, G, B in [0, 1]: as in the code of CRD (Tian et al., 2020), and as in PyTorch's recipe.
CONSTANTS = {
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def constant_normalization(name: str) -> tuple[Tensor, Tensor] | None:
    """Mean and standard deviation in [0, 255], (3,) float32 each; None for "data"."""
    if name not in CONSTANTS:
        return None
    mean, std = CONSTANTS[name]
    return 255.0 * torch.tensor(mean), 255.0 * torch.tensor(std)


def channel_normalization(config: TrainConfig, source: ImageSource) -> tuple[Tensor, Tensor]:
    """What ``config.normalization`` stands for.

    Parameters
    ----------
    config
        "data" takes the statistics of the training images, "cifar100" and "imagenet" are the
        usual constants.
    source
        The images.

    Returns
    -------
    tuple of Tensor
        Mean and standard deviation of R, G, B in [0, 255], (3,) float32 each.
    """
    return constant_normalization(config.normalization) or source.channel_statistics
