"""CUB-200, Dogs, Flowers and Pets: Tables 2, 6, 7, 8, 9 and their part of Table 5."""

from __future__ import annotations

import dataclasses
from typing import Any

from trainer._checks import check_choice
from trainer.config import TrainConfig
from trainer.recipes._common import baseline_folder, jpeg_layer, named, transformer, with_method

FINE_GRAINED = ("cub200", "dogs", "flowers", "pets")
FINE_GRAINED_NETWORKS = ("resnet18", "densenet121")
QUANTIZERS = ("uniform-noise", "cubic", "straight-through")
QUALITIES = ((1, 50), (50, 100), (1, 100))
PREPROCESSINGS = ("denoise", "equalize", "resize")
SUBSAMPLINGS = ("4:2:0", "4:2:2")

_MODULES = {"resnet18": "preact_resnet18", "densenet121": "torchvision.models:densenet121"}


def fine_grained(dataset: str, network: str, method: str) -> TrainConfig:
    """A cell of Table 2: trained from scratch on images of 224 pixels.

    SGD with momentum 0.9, weight decay 0.0001, batches of 32, learning rate 0.1, divided by 10
    after epochs 100 and 150 of 200; learning rate of q 0.005.

    Parameters
    ----------
    dataset
        One of `FINE_GRAINED`.
    network
        "resnet18", the PreAct ResNet-18 that section 4 names, with the stem of A.4 for 224 pixels
        (``network=torchvision.models:resnet18`` for the standard one), or "densenet121".
    method
        "baseline" or "jpeg-dl".

    References
    ----------
    JPEG-DL, section 4, appendices A.3 and A.4, Table 2.
    """
    check_choice("dataset", dataset, FINE_GRAINED)
    check_choice("network", network, FINE_GRAINED_NETWORKS)
    base = TrainConfig(
        recipe=f"{dataset}-{network}-baseline",
        method="baseline",
        dataset=dataset,
        image_size=224,
        normalization="imagenet",
        network=_MODULES[network],
        epochs=200,
        batch_size=32,
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="step",
        milestones=(100, 150),
        max_level=127,
    )
    return with_method(base, method, jpeg_layer(base, q_learning_rate=0.005))


def quantizer_baseline(dataset: str, network: str, quantizer: str) -> TrainConfig:
    """A cell of Table 6: JPEG made differentiable by other means.

    Parameters
    ----------
    dataset, network
        As in `fine_grained`.
    quantizer
        "uniform-noise" (Ballé et al.), "cubic" (Shin & Song) or "straight-through" (Esser et al.:
        SGD with learning rate 0.01 for q, following the network's schedule, tables from the mean
        size of the coefficients). The first two keep the optimizer and the tables of JPEG-DL,
        since the paper names none.

    References
    ----------
    JPEG-DL, appendix A.6, Table 6.
    """
    check_choice("quantizer", quantizer, QUANTIZERS)
    layer: dict[str, Any] = {"quantizer": quantizer.replace("-", "_"), "window": None}
    if quantizer == "straight-through":
        layer |= {
            "q_optimizer": "sgd",
            "q_learning_rate": 0.01,
            "tables": "coefficients",
            "tables_from": None,
        }
    return _variant(dataset, network, quantizer, layer)


def layer_replacement(dataset: str) -> TrainConfig:
    """A cell of Table 7: the quantizer instead of the ReLU after the first convolution.

    A table for each of the 64 kernels, no colour conversion, alpha 2, b = 6, learning rate 0.001.
    The standard ResNet-18, whose first convolution gives 64 maps of 112 x 112.

    References
    ----------
    JPEG-DL, appendix A.7, Table 7.
    """
    return _variant(
        dataset,
        "resnet18",
        "layer-replacement",
        {
            "network": "torchvision.models:resnet18",
            "placement": "relu",
            "tables": "constant",
            "tables_from": None,
            "alpha": 2.0,
            "max_level": 31,
            "q_learning_rate": 0.001,
        },
    )


def jpeg_augmentation(dataset: str, network: str, low: int, high: int) -> TrainConfig:
    """A cell of Table 8: JPEG at a random quality for each training image.

    Parameters
    ----------
    dataset, network
        As in `fine_grained`.
    low, high
        Range of the quality; the paper has 1 to 50, 50 to 100 and 1 to 100.

    References
    ----------
    JPEG-DL, appendix A.8, Table 8.
    """
    base = fine_grained(dataset, network, "baseline")
    fields = {"preprocessing": "jpeg", "jpeg_quality_low": low, "jpeg_quality_high": high}
    return named(base, f"jpeg-quality-{low}-{high}", **fields)


def preprocessing(dataset: str, network: str, kind: str) -> TrainConfig:
    """A cell of Table 8: the network without the JPEG layer, images prepared by other means.

    Parameters
    ----------
    dataset, network
        As in `fine_grained`.
    kind
        "denoise", "equalize", or "resize": MULLER, with which the trained baseline is tuned
        further. The paper gives no numbers for that; here 20 epochs from a learning rate of 0.001
        that falls to 0 along a cosine.

    References
    ----------
    JPEG-DL, appendix A.8, Table 8.
    """
    check_choice("kind", kind, PREPROCESSINGS)
    base = fine_grained(dataset, network, "baseline")
    tuned = {
        "pretrained": baseline_folder(base),
        "epochs": 20,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "milestones": (),
    }
    return named(base, kind, preprocessing=kind, **(tuned if kind == "resize" else {}))


def subsampled(dataset: str, network: str, subsampling: str) -> TrainConfig:
    """A cell of Table 8: JPEG-DL with chroma subsampling.

    Parameters
    ----------
    dataset, network
        As in `fine_grained`.
    subsampling
        "4:2:0" or "4:2:2"; "4:4:4" is `fine_grained`.

    References
    ----------
    JPEG-DL, appendix A.8, Table 8.
    """
    variant = f"jpeg-dl-{subsampling.replace(':', '')}"
    return _variant(dataset, network, variant, {"subsampling": subsampling})


def lower_q_rate(dataset: str, network: str) -> TrainConfig:
    """A cell of Table 9: JPEG-DL with the learning rate of q that CIFAR-100 has, 0.003.

    References
    ----------
    JPEG-DL, appendix A.9, Table 9.
    """
    return _variant(dataset, network, "jpeg-dl-rate-0.003", {"q_learning_rate": 0.003})


def fine_grained_efficientformer(dataset: str, method: str) -> TrainConfig:
    """The Flowers and Pets rows of Table 5: EfficientFormer-L1.

    Parameters
    ----------
    dataset
        "flowers" or "pets".
    method
        "baseline" or "jpeg-dl"; the tables then start at one (A.5).

    References
    ----------
    JPEG-DL, appendix A.5, Tables 4 and 5.
    """
    check_choice("dataset", dataset, ("flowers", "pets"))
    return transformer(dataset, method, epochs=600, warmup_epochs=100, q_learning_rate=0.005)


def _variant(dataset: str, network: str, variant: str, fields: dict[str, Any]) -> TrainConfig:
    jpeg_dl = fine_grained(dataset, network, "jpeg-dl")
    name = str(jpeg_dl.recipe).removesuffix("jpeg-dl") + variant
    return dataclasses.replace(jpeg_dl, recipe=name, **fields)
