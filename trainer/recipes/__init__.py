"""The paper's experiments: a function for each kind, and the list of all by name.

``RECIPES`` maps the name of each experiment to a function without arguments that returns its
``TrainConfig``; ``recipe(name, field=value)`` makes one with changes. Names are
``dataset-network-variant``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from trainer._checks import nearest
from trainer.config import TrainConfig
from trainer.recipes.cifar100 import CIFAR100_NETWORKS, cifar100, cifar100_efficientformer
from trainer.recipes.embedded import EMBEDDED, embedded
from trainer.recipes.fine_grained import (
    FINE_GRAINED,
    FINE_GRAINED_NETWORKS,
    PREPROCESSINGS,
    QUALITIES,
    QUANTIZERS,
    SUBSAMPLINGS,
    fine_grained,
    fine_grained_efficientformer,
    jpeg_augmentation,
    layer_replacement,
    lower_q_rate,
    preprocessing,
    quantizer_baseline,
    subsampled,
)
from trainer.recipes.imagenet import IMAGENET_NETWORKS, imagenet
from trainer.recipes.published import PUBLISHED, Published


def _experiments() -> list[Callable[[], TrainConfig]]:
    methods = ("baseline", "jpeg-dl")
    makers: list[Callable[[], TrainConfig]] = [partial(embedded, variant) for variant in EMBEDDED]
    makers += [partial(cifar100, net, method) for net in CIFAR100_NETWORKS for method in methods]
    makers += [partial(cifar100_efficientformer, method) for method in methods]
    for dataset in FINE_GRAINED:
        for net in FINE_GRAINED_NETWORKS:
            makers += [partial(fine_grained, dataset, net, method) for method in methods]
            makers += [partial(quantizer_baseline, dataset, net, name) for name in QUANTIZERS]
            makers += [partial(jpeg_augmentation, dataset, net, *ends) for ends in QUALITIES]
            makers += [partial(preprocessing, dataset, net, kind) for kind in PREPROCESSINGS]
            makers += [partial(subsampled, dataset, net, chroma) for chroma in SUBSAMPLINGS]
            makers.append(partial(lower_q_rate, dataset, net))
        makers.append(partial(layer_replacement, dataset))
        if dataset in ("flowers", "pets"):
            makers += [partial(fine_grained_efficientformer, dataset, m) for m in methods]
    makers += [partial(imagenet, net, method) for net in IMAGENET_NETWORKS for method in methods]
    makers.append(partial(imagenet, "squeezenet1_1", "jpeg-dl", rounds=5))
    return makers


RECIPES: dict[str, Callable[[], TrainConfig]] = {
    str(make().recipe): make for make in _experiments()
}
"""Every experiment by name."""


def recipe(name: str, **fields: Any) -> TrainConfig:
    """The options of an experiment.

    Parameters
    ----------
    name
        A key of `RECIPES`.
    **fields
        Options of ``TrainConfig`` to change.

    Raises
    ------
    ValueError, TypeError
        If there is no such recipe or field (the message has the nearest name), or the options do
        not fit together.

    Examples
    --------
    >>> from trainer import recipe
    >>> recipe("cifar100-resnet56-baseline", epochs=2).learning_rate
    0.05
    """
    if name not in RECIPES:
        raise ValueError(
            f"recipe: there is no {name!r}{nearest(name, RECIPES)}; jpegdl recipes lists them"
        )
    known = [field.name for field in dataclasses.fields(TrainConfig)]
    for field in fields:
        if field not in known:
            raise ValueError(f"there is no option {field!r}{nearest(field, known)}")
    return dataclasses.replace(RECIPES[name](), **fields)


def tables_of(name: str) -> tuple[int, ...]:
    """Numbers of the paper's tables that a recipe belongs to."""
    return tuple(sorted({cell.table for cell in PUBLISHED if cell.recipe == name}))


__all__ = [
    "PUBLISHED",
    "RECIPES",
    "Published",
    "cifar100",
    "cifar100_efficientformer",
    "embedded",
    "fine_grained",
    "fine_grained_efficientformer",
    "imagenet",
    "jpeg_augmentation",
    "layer_replacement",
    "lower_q_rate",
    "preprocessing",
    "quantizer_baseline",
    "recipe",
    "subsampled",
    "tables_of",
]
