"""ShuffleNetV2 for CIFAR, at width 1: JPEG-DL, Table 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.networks._layers import convolution

# (channels, units of stride 1 after the one of stride 2): ShuffleNetV2, table 5, width 1.
_STAGES = ((116, 3), (232, 7), (464, 3))
_STEM_CHANNELS = 24
_LAST_CHANNELS = 1024


def channel_shuffle(features: Tensor, groups: int = 2) -> Tensor:
    """Deal the channels of each group out in turn: 0 1 2 | 3 4 5 becomes 0 3 1 4 2 5.

    Parameters
    ----------
    features
        (N, C, H, W), C a multiple of groups.
    groups
        Number of groups of consecutive channels.

    Returns
    -------
    Tensor
        (N, C, H, W), the channels permuted.

    References
    ----------
    Zhang et al., "ShuffleNet", 2017, section 3.1.
    """
    return features.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def _branch(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """1x1 convolution, 3x3 depthwise convolution without ReLU, 1x1 convolution."""
    return nn.Sequential(
        convolution(inputs, outputs, 1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        convolution(outputs, outputs, 3, stride, groups=outputs),
        nn.BatchNorm2d(outputs),
        convolution(outputs, outputs, 1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class ShuffleUnit(nn.Module):
    """Half of the channels passes, the other half is convolved, then both are shuffled.

    Parameters
    ----------
    channels
        An even number, the same before and after.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = _branch(channels // 2, channels // 2, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, H, W) to the same shape."""
        kept, convolved = features.chunk(2, dim=1)
        return channel_shuffle(torch.cat((kept, self.branch(convolved)), 1))


class ShuffleDownUnit(nn.Module):
    """Two branches of stride 2 that both see all channels, joined and shuffled.

    Parameters
    ----------
    inputs, outputs
        Channels before and after; outputs is even.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.shortcut = nn.Sequential(
            convolution(inputs, inputs, 3, 2, groups=inputs),
            nn.BatchNorm2d(inputs),
            convolution(inputs, half, 1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
        )
        self.branch = _branch(inputs, half, 2)

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / 2, W / 2)."""
        return channel_shuffle(torch.cat((self.shortcut(features), self.branch(features)), 1))


class CifarShuffleNetV2(nn.Module):
    """Three stages at 16x16, 8x8 and 4x4 pixels after a stem that keeps 32x32.

    As in CRD, and unlike the paper of ShuffleNetV2: the stem is a 1x1 convolution of stride 1
    without a maximum after it. All weights start from torch's default initialization, as there.

    Parameters
    ----------
    classes
        Number of classes.

    References
    ----------
    Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", 2018,
    figure 3 (c, d) and table 5. JPEG-DL, Table 1 and section A.3; Tian et al. (CRD), 2020, for
    the stem.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            convolution(3, _STEM_CHANNELS, 1), nn.BatchNorm2d(_STEM_CHANNELS), nn.ReLU()
        )
        stages = []
        channels = _STEM_CHANNELS
        for outputs, units in _STAGES:
            rest = [ShuffleUnit(outputs) for _ in range(units)]
            stages.append(nn.Sequential(ShuffleDownUnit(channels, outputs), *rest))
            channels = outputs
        self.stages = nn.Sequential(*stages)
        self.last = nn.Sequential(
            convolution(channels, _LAST_CHANNELS, 1), nn.BatchNorm2d(_LAST_CHANNELS), nn.ReLU()
        )
        self.classifier = nn.Linear(_LAST_CHANNELS, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Normalized images (N, 3, H, W), 32x32 in the paper, to logits (N, classes)."""
        features: Tensor = self.last(self.stages(self.stem(image)))
        logits: Tensor = self.classifier(features.mean((2, 3)))
        return logits
