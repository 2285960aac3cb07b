"""ResNet-18, so that the cost of the layer can be put beside that of a network.

The standard network for 224x224 images and 1000 classes, with its usual initialization; it has
no weights and needs none to be timed.

References
----------
He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", CVPR 2016, Table 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels, stride of the first block
_BLOCKS = 2


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the shortcut is a 1x1 convolution where sizes change."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(channels_in, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv3x3(channels, channels, 1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, channels, H/stride, W/stride)."""
        residual = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(residual + self.shortcut(x))


class ResNet18(nn.Module):
    """ResNet-18 for normalized RGB images.

    Parameters
    ----------
    classes : int
        Number of outputs.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        blocks: list[nn.Module] = []
        channels_in = 64
        for channels, stride in _STAGES:
            for index in range(_BLOCKS):
                blocks.append(BasicBlock(channels_in, channels, stride if index == 0 else 1))
                channels_in = channels
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(channels_in, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> logits (N, classes)."""
        features = self.blocks(self.stem(x))
        return self.classifier(torch.flatten(nn.functional.adaptive_avg_pool2d(features, 1), 1))


def _conv3x3(channels_in: int, channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)


__all__ = ["BasicBlock", "ResNet18"]
