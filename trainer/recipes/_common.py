"""What recipes share: the JPEG layer of section 4, and the setting of the transformers."""

from __future__ import annotations

import dataclasses
from typing import Any

from trainer._checks import check_choice
from trainer.config import METHODS, TrainConfig

WINDOW = 5
"""Levels of the masked CPMF, with which the paper trained (A.12)."""
BITS_8 = 127
"""L of b = 8."""


def named(base: TrainConfig, variant: str, **fields: Any) -> TrainConfig:
    """Another recipe on the setting of a baseline recipe."""
    name = str(base.recipe).removesuffix("-baseline")
    return dataclasses.replace(base, recipe=f"{name}-{variant}", **fields)


def baseline_folder(base: TrainConfig) -> str:
    """Where ``jpegdl train`` puts the baseline run of the first seed."""
    return f"runs/{base.recipe}-seed0"


def jpeg_layer(base: TrainConfig, *, q_learning_rate: float) -> dict[str, Any]:
    """Options of the JPEG layer on CIFAR-100 and the fine-grained data (section 4).

    alpha = 5 and b = 8, masked CPMF, Adam for q, tables from the sensitivity of the baseline's
    network with q_max = 10.
    """
    return {
        "method": "jpeg-dl",
        "tables": "sensitivity",
        "tables_from": baseline_folder(base),
        "q_max": 10.0,
        "q_optimizer": "adam",
        "q_learning_rate": q_learning_rate,
        "alpha": 5.0,
        "max_level": BITS_8,
        "window": WINDOW,
    }


def with_method(base: TrainConfig, method: str, layer: dict[str, Any]) -> TrainConfig:
    """The baseline recipe itself, or JPEG-DL on its setting."""
    check_choice("method", method, METHODS)
    return base if method == "baseline" else named(base, "jpeg-dl", **layer)


def transformer(
    dataset: str, method: str, *, epochs: int, warmup_epochs: int, q_learning_rate: float
) -> TrainConfig:
    """EfficientFormer-L1 of timm, trained from scratch (A.5, Table 4).

    The paper gives the batch size, the epochs and the warm-up (Table 4), the learning rate of q and
    the tables of ones; for the rest it refers to Xu et al. (2023), whose public code has AdamW with
    learning rate 0.002 for batches of 512 and weight decay 0.05, a cosine schedule, images of
    224 pixels, RandAugment, mixup 0.8, CutMix 1, label smoothing 0.1 and random erasing 0.25.
    """
    base = TrainConfig(
        recipe=f"{dataset}-efficientformer_l1-baseline",
        method="baseline",
        dataset=dataset,
        image_size=224,
        normalization="imagenet",
        network="timm.models.efficientformer:efficientformer_l1",
        epochs=epochs,
        warmup_epochs=warmup_epochs,
        batch_size=512,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=0.05,
        schedule="cosine",
        label_smoothing=0.1,
        mixup=0.8,
        cutmix=1.0,
        randaugment="rand-m9-mstd0.5-inc1",
        random_erasing=0.25,
        max_level=BITS_8,
    )
    layer = jpeg_layer(base, q_learning_rate=q_learning_rate)
    layer |= {"tables": "constant", "tables_from": None, "q_initial": 1.0}
    return with_method(base, method, layer)
