"""The VGG networks for CIFAR: VGG-8 and VGG-13 of JPEG-DL, Table 1."""

from __future__ import annotations

from torch import Tensor, nn

from trainer.networks._layers import initialize_convolutions, initialize_linear

_WIDTHS = (64, 128, 256, 512, 512)


class CifarVGG(nn.Module):
    """Five stages of 3x3 convolutions with batch normalization, then one linear map.

    Maxima over 2x2 pixels follow the first three stages only: 32x32 pixels become 4x4, and their
    mean goes to the linear map. The convolutions keep the bias that the batch normalization after
    them makes useless, because CRD's have one and it counts among their parameters.

    Parameters
    ----------
    classes
        Number of classes.
    convolutions
        Per stage: 1 for VGG-8, 2 for VGG-13.

    Raises
    ------
    ValueError
        If convolutions is less than 1.

    References
    ----------
    Simonyan and Zisserman, "Very Deep Convolutional Networks", 2014, table 1 (B without its
    hidden linear layers is VGG-13 here). JPEG-DL, Table 1 and section A.3; Tian et al. (CRD),
    2020, for the pooling and the initialization (normal with fan-out; linear map 0.01).
    """

    def __init__(self, classes: int, convolutions: int) -> None:
        if convolutions < 1:
            raise ValueError(
                f"convolutions must be at least 1, got {convolutions}: take 1 for VGG-8, 2 for 13"
            )
        super().__init__()
        stages: list[nn.Module] = []
        inputs = 3
        for index, width in enumerate(_WIDTHS):
            layers: list[nn.Module] = []
            for _ in range(convolutions):
                layers += [
                    nn.Conv2d(inputs, width, 3, padding=1),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
                inputs = width
            if index < 3:
                layers.append(nn.MaxPool2d(2))
            stages.append(nn.Sequential(*layers))
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(_WIDTHS[-1], classes)
        initialize_convolutions(self)
        initialize_linear(self.classifier)

    def forward(self, image: Tensor) -> Tensor:
        """Normalized images (N, 3, H, W), H and W at least 8, to logits (N, classes)."""
        features: Tensor = self.stages(image)
        logits: Tensor = self.classifier(features.mean((2, 3)))
        return logits
