"""What the convolutional networks share: the bias-free convolution and the initialization."""

from __future__ import annotations

from torch import nn


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Convolution that keeps H and W at stride 1; no bias, the normalization after it has one."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def initialize_convolutions(network: nn.Module) -> None:
    """Draw every convolution from a normal distribution of variance 2 / (kernel area * outputs).

    The outputs of all groups count, so a depthwise convolution starts as small as a full one:
    that is what the training code of CRD does.

    References
    ----------
    He et al., "Delving Deep into Rectifiers", 2015, section 2.2 (backward propagation case).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def initialize_linear(layer: nn.Linear) -> None:
    """Draw the weights from a normal distribution of standard deviation 0.01; biases are 0."""
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
