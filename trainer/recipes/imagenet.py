"""ImageNet-1K: Table 3, and SqueezeNet with five rounds (section 4)."""

from __future__ import annotations

from trainer._checks import check_choice, check_whole
from trainer.config import TrainConfig
from trainer.recipes._common import WINDOW, named, with_method

IMAGENET_NETWORKS = ("squeezenet1_1", "resnet18", "resnet34")


def imagenet(network: str, method: str, *, rounds: int = 1) -> TrainConfig:
    """A cell of Table 3, by the standard recipe of PyTorch's ImageNet example.

    SGD with momentum 0.9, weight decay 0.0001, batches of 256, learning rate 0.1 (0.01 for
    SqueezeNet, as PyTorch advises), times 0.1 every 30 of 90 epochs. The JPEG layer has b = 11,
    alpha = 0.7 / q^2 before each step, SGD with learning rate 0.5 for q, and tables from the
    mean size of the DCT coefficients. At hbar = 0.7 the masked CPMF is far from the full space;
    see docs/paper_notes.md.

    Parameters
    ----------
    network
        One of `IMAGENET_NETWORKS`, from torchvision.
    method
        "baseline" or "jpeg-dl".
    rounds
        Quantizations in a row; the paper has 1, and 5 for SqueezeNet.

    References
    ----------
    JPEG-DL, section 4 and Table 3; Paszke et al. (2019) for the standard recipe.
    """
    check_choice("network", network, IMAGENET_NETWORKS)
    check_whole("rounds", rounds, low=1)
    base = TrainConfig(
        recipe=f"imagenet-{network}-baseline",
        method="baseline",
        dataset="folder",
        image_size=224,
        normalization="imagenet",
        network=f"torchvision.models:{network}",
        epochs=90,
        batch_size=256,
        learning_rate=0.01 if network == "squeezenet1_1" else 0.1,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="step",
        milestones=(30, 60),
        max_level=1023,
    )
    layer = {
        "method": "jpeg-dl",
        "tables": "coefficients",
        "tables_images": 1_281_167,  # all training images
        "q_optimizer": "sgd",
        "q_learning_rate": 0.5,
        "hbar": 0.7,
        "window": WINDOW,
        "rounds": rounds,
    }
    if method == "jpeg-dl" and rounds > 1:
        return named(base, f"jpeg-dl-{rounds}-rounds", **layer)
    return with_method(base, method, layer)
