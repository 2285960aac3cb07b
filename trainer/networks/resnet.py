"""The residual networks for CIFAR: ResNet-32, 56 and 110 of JPEG-DL, Table 1."""

from __future__ import annotations

from torch import Tensor, nn

from trainer.networks._layers import convolution, initialize_convolutions


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, ReLU after their sum.

    The shortcut is the identity, or a 1x1 convolution with batch normalization where the size
    changes (option B of He et al., section 3.3; CRD uses it on CIFAR as well, where that paper
    pads with zeros).

    Parameters
    ----------
    inputs, outputs
        Channels before and after.
    stride
        Of the first convolution and of the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, stride)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = convolution(outputs, outputs, 3)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
            )
        self.relu2 = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        residual = self.relu1(self.norm1(self.conv1(features)))
        residual = self.norm2(self.conv2(residual))
        result: Tensor = self.relu2(residual + self.shortcut(features))
        return result


class CifarResNet(nn.Module):
    """Three stages of 16, 32 and 64 channels at 32x32, 16x16 and 8x8 pixels.

    Convolutions start from the fan-out normal distribution, the linear map from torch's default,
    as in CRD.

    Parameters
    ----------
    classes
        Number of classes.
    depth
        Layers on the longest path, 6n + 2 for n blocks per stage: 32, 56 and 110 in the paper.

    Raises
    ------
    ValueError
        If depth is not 6n + 2 with n >= 1.

    References
    ----------
    He et al., "Deep Residual Learning for Image Recognition", 2015, section 4.2.
    JPEG-DL, Table 1 and section A.3; Tian et al. (CRD), 2020, for the shortcuts.
    """

    def __init__(self, classes: int, depth: int) -> None:
        if depth < 8 or depth % 6 != 2:
            raise ValueError(
                f"depth must be 6n + 2 with n >= 1, got {depth}: "
                "take 32, 56 or 110 as in the paper, or 8, 14, 20, ..."
            )
        super().__init__()
        self.stem = nn.Sequential(convolution(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
        blocks = (depth - 2) // 6
        stages = []
        for inputs, outputs, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2)):
            first = ResidualBlock(inputs, outputs, stride)
            rest = [ResidualBlock(outputs, outputs) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(first, *rest))
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(64, classes)
        initialize_convolutions(self)

    def forward(self, image: Tensor) -> Tensor:
        """Normalized images (N, 3, H, W), 32x32 in the paper, to logits (N, classes)."""
        features: Tensor = self.stages(self.stem(image))
        logits: Tensor = self.classifier(features.mean((2, 3)))
        return logits
