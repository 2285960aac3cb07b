"""The paper's unified model: JPEG layer, normalization, ResNet-18; with or without the layer.

References
----------
JPEG-DL, section 3.3, and Table 11 for what the layer costs there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.measure import Work
from benchmarks.resnet18 import ResNet18

#: Table 11, milliseconds per image on an RTX A5000: without the layer, masked and full CPMF.
PAPER_MS = {"none": 5.46, "window 5": 7.43, "full": 18.86}

CLASSES = 1000
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet, in grey levels


def paper_overhead(support: str) -> float:
    """Share that the paper's layer adds to the time of its network: 0.36 masked, 2.45 full."""
    return PAPER_MS[support] / PAPER_MS["none"] - 1


class UnifiedModel(nn.Module):
    """Network behind an optional JPEG layer.

    Parameters
    ----------
    layer : nn.Module or None
        Images -> images, in [0, 255]. None: the network alone, normalization included.
    classes : int
        Outputs of the network.
    """

    def __init__(self, layer: nn.Module | None, classes: int = CLASSES) -> None:
        super().__init__()
        self.layer = nn.Identity() if layer is None else layer
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(3, 1, 1))
        self.network = ResNet18(classes)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 255] -> logits."""
        return self.network((self.layer(image) - self.mean) / self.std)


def inference(model: UnifiedModel, image: Tensor) -> Work:
    """One forward pass in eval mode."""
    model.eval()

    def run() -> Tensor:
        with torch.no_grad():
            return model(image)

    return run


def training(model: UnifiedModel, image: Tensor) -> Work:
    """One step of SGD: forward, backward, update of the network and of the tables."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    classes = model.network.classifier.out_features
    labels = torch.arange(image.shape[0], device=image.device) % classes

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(image), labels).backward()
        optimizer.step()

    return run


MODES = {"inference": inference, "training": training}

__all__ = [
    "CLASSES",
    "MODES",
    "PAPER_MS",
    "UnifiedModel",
    "inference",
    "paper_overhead",
    "training",
]
