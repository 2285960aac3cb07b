"""MobileNetV2 for CIFAR, at half width: JPEG-DL, Table 1."""

from __future__ import annotations

from torch import Tensor, nn

from trainer.networks._layers import convolution, initialize_convolutions, initialize_linear

# (expansion t, channels c at width 1, blocks n, stride s of the first block). MobileNetV2,
# table 2, but stride 1 in the second row: CRD's choice for 32x32 pixels.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_LAST_CHANNELS = 1280  # not narrowed by a width below 1


def _normalized(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> nn.Sequential:
    """Convolution, batch normalization, ReLU."""
    return nn.Sequential(
        convolution(inputs, outputs, kernel, stride, groups), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise convolution, 1x1 projection without ReLU after it.

    The input is added where the size stays the same.

    Parameters
    ----------
    inputs, outputs
        Channels before and after.
    stride
        Of the depthwise convolution.
    expansion
        Channels in the middle per input channel.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = _normalized(inputs, hidden, 1, 1, 1)
        self.depthwise = _normalized(hidden, hidden, 3, stride, hidden)
        self.project = nn.Sequential(convolution(hidden, outputs, 1), nn.BatchNorm2d(outputs))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        result: Tensor = self.project(self.depthwise(self.expand(features)))
        return features + result if self.residual else result


class CifarMobileNetV2(nn.Module):
    """Inverted residual blocks in seven stages; 32x32 pixels become 2x2 before the mean.

    As in CRD, and unlike the paper of MobileNetV2: ReLU instead of ReLU6, a 1x1 expansion in the
    first block too (where the expansion is 1), and no dropout.

    Parameters
    ----------
    classes
        Number of classes.
    width
        Factor of all channel counts but the last, 1280. JPEG-DL's MobileNetV2 has 0.5.

    Raises
    ------
    ValueError
        If width is not in (0, 1] or leaves a stage without channels.

    References
    ----------
    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, table 2.
    JPEG-DL, Table 1 and section A.3; Tian et al. (CRD), 2020, for the strides, the width and
    the initialization (normal with fan-out; linear map 0.01).
    """

    def __init__(self, classes: int, width: float = 0.5) -> None:
        if not 1 / 16 <= width <= 1:
            raise ValueError(
                f"width must be from 1/16 (one channel in the first stage) to 1, got {width}: "
                "take 0.5 as in the paper"
            )
        super().__init__()
        channels = int(32 * width)
        self.stem = _normalized(3, channels, 3, 2, 1)
        stages = []
        for expansion, base, blocks, first_stride in _STAGES:
            outputs = int(base * width)
            layers = []
            for index in range(blocks):
                stride = first_stride if index == 0 else 1
                layers.append(InvertedResidual(channels, outputs, stride, expansion))
                channels = outputs
            stages.append(nn.Sequential(*layers))
        self.stages = nn.Sequential(*stages)
        self.last = _normalized(channels, _LAST_CHANNELS, 1, 1, 1)
        self.classifier = nn.Linear(_LAST_CHANNELS, classes)
        initialize_convolutions(self)
        initialize_linear(self.classifier)

    def forward(self, image: Tensor) -> Tensor:
        """Normalized images (N, 3, H, W), 32x32 in the paper, to logits (N, classes)."""
        features: Tensor = self.last(self.stages(self.stem(image)))
        logits: Tensor = self.classifier(features.mean((2, 3)))
        return logits
