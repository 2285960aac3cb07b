"""The network of the quickstart."""

from __future__ import annotations

import itertools

from torch import Tensor, nn


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
