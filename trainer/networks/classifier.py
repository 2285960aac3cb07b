"""The composition of a network with the JPEG layer, and the model of the quickstart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from torch_impl import JPEGLayer
from trainer.networks.small import SmallCNN

if TYPE_CHECKING:
    from trainer.config import TrainConfig


class ImageClassifier(nn.Module):
    """Optional JPEG layer, then normalization, then a network: one model from pixel to logit.

    JPEG-DL, section 3.3: the JPEG layer is the first layer of the model, in training and in
    validation alike, so it sees pixels and the network sees what the layer makes of them.

    Parameters
    ----------
    network
        Takes normalized images (N, 3, H, W), gives logits (N, classes).
    mean, std
        (3,) float32, of R, G, B in [0, 255].
    jpeg
        The layer, or None for the baseline.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, mean: Tensor, std: Tensor, jpeg: JPEGLayer | None = None
    ) -> None:
        super().__init__()
        self.jpeg = jpeg
        self.network = network
        self.register_buffer("mean", mean.reshape(3, 1, 1).clone())
        self.register_buffer("std", std.reshape(3, 1, 1).clone())

    def forward(self, image: Tensor) -> Tensor:
        """RGB images (N, 3, H, W) in [0, 255] to logits (N, classes)."""
        if self.jpeg is not None:
            image = self.jpeg(image)
        logits: Tensor = self.network((image - self.mean) / self.std)
        return logits


def build_model(config: TrainConfig, *, classes: int, mean: Tensor, std: Tensor) -> ImageClassifier:
    """The model of a configuration, initialized from ``torch``'s global generator.

    The JPEG layer draws no random numbers, so baseline and JPEG-DL runs of one seed start from
    the same network weights.
    """
    network = SmallCNN(classes, config.width)
    jpeg = None
    if config.method == "jpeg-dl":
        jpeg = JPEGLayer(
            config.q_initial,
            config.alpha if config.hbar is None else None,  # the layer takes one of the two
            max_level=config.max_level,
            window=config.window,
            subsampling=config.subsampling,
            hbar=config.hbar,
        )
    # A constant channel would divide by zero.
    return ImageClassifier(network, mean, torch.clamp(std, min=1.0), jpeg)
