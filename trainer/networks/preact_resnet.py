"""PreAct ResNet-18, which JPEG-DL names for the fine-grained data (section A.4)."""

from __future__ import annotations

from torch import Tensor, nn

from trainer.networks._layers import convolution, initialize_convolutions

_STEMS = ("224", "32")


class PreActBlock(nn.Module):
    """Two 3x3 convolutions, each after batch normalization and ReLU, beside a shortcut.

    Nothing follows the sum, so an identity shortcut carries the features through unchanged. Where
    the size changes the shortcut is a 1x1 convolution of the activated input.

    Parameters
    ----------
    inputs, outputs
        Channels before and after.
    stride
        Of the first convolution and of the shortcut.
    activate
        Whether normalization and ReLU come first; not so in the first block, whose input the
        stem has activated already (He et al., appendix).
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, *, activate: bool = True
    ) -> None:
        super().__init__()
        self.activation1: nn.Module = nn.Identity()
        if activate:
            self.activation1 = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.conv1 = convolution(inputs, outputs, 3, stride)
        self.activation2 = nn.Sequential(nn.BatchNorm2d(outputs), nn.ReLU())
        self.conv2 = convolution(outputs, outputs, 3)
        self.shortcut: nn.Conv2d | None = None
        if stride != 1 or inputs != outputs:
            self.shortcut = convolution(inputs, outputs, 1, stride)

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        activated = self.activation1(features)
        residual: Tensor = self.conv2(self.activation2(self.conv1(activated)))
        return residual + (features if self.shortcut is None else self.shortcut(activated))


class PreActResNet18(nn.Module):
    """Four stages of two blocks with 64, 128, 256 and 512 channels.

    Parameters
    ----------
    classes
        Number of classes.
    stem
        "224": 7x7 convolution of stride 2, then maxima over 3x3 pixels at stride 2, for images of
        224x224 pixels. "32": 3x3 convolution of stride 1, for 32x32 pixels.

    Raises
    ------
    ValueError
        If stem is neither.

    References
    ----------
    He et al., "Identity Mappings in Deep Residual Networks", 2016, figure 4 (e) and appendix.
    JPEG-DL, section A.4, for the stems; the initialization is that of `CifarResNet`.
    """

    def __init__(self, classes: int, stem: str = "224") -> None:
        if stem not in _STEMS:
            raise ValueError(
                f'stem must be "224" or "32", the size of the images it is made for, got {stem!r}'
            )
        super().__init__()
        large = stem == "224"
        layers: list[nn.Module] = [
            convolution(3, 64, 7, 2) if large else convolution(3, 64, 3),
            nn.BatchNorm2d(64),
            nn.ReLU(),
        ]
        if large:
            layers.append(nn.MaxPool2d(3, 2, padding=1))
        self.stem = nn.Sequential(*layers)
        stages = []
        for inputs, outputs, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
            first = PreActBlock(inputs, outputs, stride, activate=stride != 1)
            stages.append(nn.Sequential(first, PreActBlock(outputs, outputs)))
        self.stages = nn.Sequential(*stages)
        self.last = nn.Sequential(nn.BatchNorm2d(512), nn.ReLU())
        self.classifier = nn.Linear(512, classes)
        initialize_convolutions(self)

    def forward(self, image: Tensor) -> Tensor:
        """Normalized images (N, 3, H, W) to logits (N, classes)."""
        features: Tensor = self.last(self.stages(self.stem(image)))
        logits: Tensor = self.classifier(features.mean((2, 3)))
        return logits
