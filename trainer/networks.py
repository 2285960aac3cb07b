"""The network of the quickstart, and its composition with the JPEG layer."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from torch_impl import JPEGLayer

if TYPE_CHECKING:
    from trainer.config import TrainConfig


class SmallCNN(nn.Module):
    """Four 3x3 convolutions with batch normalization, then one linear map.

    Small enough for a few seconds per pass over the embedded data on two CPU cores.

    Parameters
    ----------
    classes
        Number of classes.
    width
        Channels of the first convolution; the later ones have 2, 4 and 4 times as many.
    """

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width, 4 * width]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.MaxPool2d(2, ceil_mode=True),  # ceil_mode: images smaller than 16 pixels work
            ]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(widths[-1], classes)

    def forward(self, image: Tensor) -> Tensor:
        """Normalized images (N, 3, H, W) to logits (N, classes)."""
        features: Tensor = self.features(image).mean((2, 3))
        logits: Tensor = self.classifier(features)
        return logits


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
