"""CIFAR-100: Table 1 (networks of CRD) and its part of Table 5 (EfficientFormer-L1)."""

from __future__ import annotations

from trainer.config import TrainConfig
from trainer.recipes._common import jpeg_layer, transformer, with_method

CIFAR100_NETWORKS = (
    "resnet32",
    "resnet56",
    "resnet110",
    "vgg8",
    "vgg13",
    "mobilenetv2",
    "shufflenetv2",
)


def cifar100(network: str, method: str) -> TrainConfig:
    """A cell of Table 1.

    SGD with momentum 0.9, weight decay 0.0005, batches of 64, learning rate 0.05 (0.01 for
    MobileNetV2 and ShuffleNetV2), times 0.1 after epochs 150, 180 and 210 of 240.

    Parameters
    ----------
    network
        One of `CIFAR100_NETWORKS`.
    method
        "baseline" or "jpeg-dl".

    References
    ----------
    JPEG-DL, section 4 and appendix A.3, after CRD (Tian et al., 2020); Table 1.
    """
    base = TrainConfig(
        recipe=f"cifar100-{network}-baseline",
        method="baseline",
        dataset="cifar100",
        normalization="cifar100",
        network=network,
        epochs=240,
        batch_size=64,
        learning_rate=0.01 if network in ("mobilenetv2", "shufflenetv2") else 0.05,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="step",
        milestones=(150, 180, 210),
        max_level=127,
    )
    return with_method(base, method, jpeg_layer(base, q_learning_rate=0.003))


def cifar100_efficientformer(method: str) -> TrainConfig:
    """The CIFAR-100 rows of Table 5: EfficientFormer-L1 at 224 pixels.

    Parameters
    ----------
    method
        "baseline" or "jpeg-dl"; the tables then start at one (A.5).

    References
    ----------
    JPEG-DL, appendix A.5, Tables 4 and 5, after Xu et al. (2023).
    """
    return transformer("cifar100", method, epochs=300, warmup_epochs=50, q_learning_rate=0.003)
