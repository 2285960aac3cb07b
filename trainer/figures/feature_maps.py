"""Feature maps inside a run's network: which modules there are, and what they give for an image."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainer._checks import nearest
from trainer.networks import ImageClassifier

_DENSE_BLOCK = re.compile(r"(^|\.)dense_?(block)?_?1$")
_CAM_SIDE = 4


@dataclass(frozen=True)
class MapSize:
    """Output of a module that gives feature maps.

    Parameters
    ----------
    layer
        Dotted name in the network.
    channels, height, width
        Of the output.
    """

    layer: str
    channels: int
    height: int
    width: int


def map_sizes(model: ImageClassifier, image: Tensor) -> list[MapSize]:
    """Modules of the network that give feature maps (N, C, H, W), in the order they finish.

    Parameters
    ----------
    model
        In eval mode.
    image
        (1, 3, H, W) in [0, 255].
    """
    found: dict[str, MapSize] = {}
    with ExitStack() as hooks, torch.no_grad():
        for name, module in model.network.named_modules():

            def note(_: nn.Module, __: Any, output: Any, *, name: str = name) -> None:
                if name and isinstance(output, Tensor) and output.dim() == 4:
                    found[name] = MapSize(name, *output.shape[1:])

            hooks.enter_context(_removed_after(module, note))
        model(image)
    return list(found.values())


def default_layer(model: ImageClassifier, image: Tensor) -> str:
    """First dense block of a DenseNet, else the first module at a quarter of the image's side.

    Raises
    ------
    ValueError
        If the network has neither.

    References
    ----------
    JPEG-DL, Fig. 5: 56x56 maps of 224x224 images after the first dense block.
    """
    sizes = map_sizes(model, image)
    for size in sizes:
        if _DENSE_BLOCK.search(size.layer):
            return size.layer
    quarter = tuple(-(-side // 4) for side in image.shape[2:])
    for size in sizes:
        if (size.height, size.width) == quarter:
            return size.layer
    there = ", ".join(f"{size.layer} ({size.height}x{size.width})" for size in sizes[:12])
    raise ValueError(
        f"no module of the network gives feature maps of {quarter[0]}x{quarter[1]}, a quarter of "
        f"the image: choose one with --layer, such as {there}"
    )


def default_cam_layer(model: ImageClassifier, image: Tensor) -> str:
    """Last module with maps of at least 4x4: later ones are too coarse to show a place."""
    sizes = map_sizes(model, image)
    if not sizes:
        raise ValueError("no module of the network gives feature maps (N, C, H, W)")
    fine = [size for size in sizes if min(size.height, size.width) >= _CAM_SIDE]
    return (fine or sizes)[-1].layer


def feature_maps(model: ImageClassifier, image: Tensor, layer: str) -> Tensor:
    """Output of a named module for one image.

    Parameters
    ----------
    model
        In eval mode.
    image
        (1, 3, H, W) in [0, 255].
    layer
        Dotted name in ``model.network``.

    Returns
    -------
    Tensor
        (C, h, w).

    Raises
    ------
    ValueError
        If there is no such module (the message has the nearest name), or it gives no maps.

    References
    ----------
    JPEG-DL, Fig. 5 and Fig. 12.
    """
    with torch.no_grad():
        maps, _ = maps_and_logits(model, image, layer)
    return maps[0].clone()


def maps_and_logits(model: ImageClassifier, image: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """Maps (1, C, h, w) of a named module and the logits that follow from them.

    Raises
    ------
    ValueError
        As for :func:`feature_maps`.
    """
    modules = dict(model.network.named_modules())
    module = modules.get(layer) if layer else None
    if module is None:
        raise ValueError(
            f"layer: the network has no module {layer!r}{nearest(layer, modules)} "
            f"It begins with {', '.join(list(modules)[1:9])}"
        )
    seen: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Any) -> Tensor | None:
        if not isinstance(output, Tensor) or output.dim() != 4:
            return None
        # Twice: a module may give its own input, which others use as well, and what follows may
        # work in place.
        seen.append(output.clone())
        return seen[-1].clone()

    with _removed_after(module, keep):
        logits = model(image)
    if not seen:
        raise ValueError(f"layer: {layer!r} gives no feature maps (N, C, H, W)")
    return seen[-1], logits


@contextmanager
def _removed_after(module: nn.Module, hook: Callable[..., Any]) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
