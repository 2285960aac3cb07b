"""Networks by name, or from any importable function."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

from torch import nn

from trainer.networks.mobilenet import CifarMobileNetV2
from trainer.networks.preact_resnet import PreActResNet18
from trainer.networks.resnet import CifarResNet
from trainer.networks.shufflenet import CifarShuffleNetV2
from trainer.networks.small import SmallCNN
from trainer.networks.vgg import CifarVGG

NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "small_cnn": SmallCNN,
    "resnet32": partial(CifarResNet, depth=32),
    "resnet56": partial(CifarResNet, depth=56),
    "resnet110": partial(CifarResNet, depth=110),
    "vgg8": partial(CifarVGG, convolutions=1),
    "vgg13": partial(CifarVGG, convolutions=2),
    "mobilenetv2": CifarMobileNetV2,
    "shufflenetv2": CifarShuffleNetV2,
    "preact_resnet18": PreActResNet18,
    "preact_resnet18_32px": partial(PreActResNet18, stem="32"),
}
"""The networks written here: a function of the number of classes for each name."""


def make_network(name: str, classes: int) -> nn.Module:
    """A network with random weights, drawn from torch's global generator.

    Parameters
    ----------
    name
        A key of `NETWORKS`, or "package.module:function". The function is called with
        ``num_classes=classes`` if it takes such a keyword, as in torchvision and timm, else with
        the number of classes as its only argument.
    classes
        Number of classes, at least 1.

    Returns
    -------
    nn.Module
        Takes normalized RGB images (N, 3, H, W), gives logits (N, classes).

    Raises
    ------
    ValueError
        If the name is unknown, the module or the function does not exist, or classes is below 1.
    TypeError
        If an argument has the wrong type, or the function cannot be called with a number of
        classes, or returns something else than a module.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {type(name).__name__}: {name!r}")
    if isinstance(classes, bool) or not isinstance(classes, int):
        raise TypeError(f"classes must be an integer, got {type(classes).__name__}: {classes!r}")
    if classes < 1:
        raise ValueError(f"classes must be at least 1, got {classes}")
    if name in NETWORKS:
        return NETWORKS[name](classes)
    if ":" not in name:
        raise ValueError(
            f"name: there is no network {name!r}{_hint(name.lower(), list(NETWORKS))}. Known are "
            f'{", ".join(NETWORKS)}, and any function as "package.module:function"'
        )
    network = _call(name, _find(name), classes)
    if not isinstance(network, nn.Module):
        raise TypeError(
            f"name: {name!r} must return a torch.nn.Module, got {type(network).__name__}"
        )
    return network


def _hint(word: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(word, known, n=1)
    return f", did you mean {nearest[0]!r}?" if nearest else ""


def _find(name: str) -> Callable[..., Any]:
    """The function that "package.module:function" names."""
    path, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in [*path.split("."), attribute]):
        raise ValueError(f'name must have the form "package.module:function", got {name!r}')
    module = _import(path, name)
    if not hasattr(module, attribute):
        public = [item for item in vars(module) if not item.startswith("_")]
        raise ValueError(
            f"name: module {path!r} has no {attribute!r}{_hint(attribute, public)} (from {name!r})"
        )
    function = getattr(module, attribute)
    if not callable(function):
        raise TypeError(f"name: {name!r} must be a function, got {type(function).__name__}")
    return function


def _import(path: str, name: str) -> ModuleType:
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if path != missing and not path.startswith(f"{missing}."):
            raise  # the module is there; something that it imports is not
        raise ValueError(
            f"name: there is no module {missing!r} (from {name!r}). Install its package, or put "
            "the folder that holds it on PYTHONPATH"
        ) from error


def _call(name: str, function: Callable[..., Any], classes: int) -> Any:
    """Call with ``num_classes`` by keyword if possible.

    The keyword goes first: the first positional argument of torchvision's and timm's functions
    is something else.
    """
    signature = inspect.signature(function)
    for args, kwargs in (((), {"num_classes": classes}), ((classes,), {})):
        try:
            signature.bind(*args, **kwargs)
        except TypeError:
            continue
        return function(*args, **kwargs)
    raise TypeError(
        f"name: {name!r} must be callable with num_classes=N or with the number of classes as its "
        f"only argument, its signature is {signature}"
    )
