"""What is compared: configurations of ``torch_impl.diff_jpeg``, by the names of the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torch_impl import ABLATION, PEERS, diff_jpeg
from torch_impl.surrogates import KINDS
from trainer._randomness import derive_seed

SURROGATE, STRAIGHT_THROUGH = "ours", "ours_straight_through"
_PEER_ORDER = ("xing", "xie", "shin_song")


@dataclass(frozen=True)
class Approach:
    """A differentiable JPEG.

    Parameters
    ----------
    key
        Its name in files, and in `trainer.codec_evaluation.published`.
    title
        Its name in tables and figures.
    options
        Keyword arguments of ``torch_impl.diff_jpeg``.
    """

    key: str
    title: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, images: Tensor, *, quality: Any, subsampling: str, **more: Any) -> Tensor:
        """Coded images of (N, 3, H, W) in [0, 255]."""
        return diff_jpeg(images, quality=quality, subsampling=subsampling, **self.options, **more)

    def describe(self) -> str:
        """Options as a text that changes when they do, and never otherwise."""
        return repr([(name, _plain(value)) for name, value in sorted(self.options.items())])


def compared_approaches() -> tuple[Approach, ...]:
    """The peers and both forms of this library: the rows of Tables 5.1 to 5.4."""
    return (
        *(Approach(key, PEERS[key].title, PEERS[key].options) for key in _PEER_ORDER),
        Approach(SURROGATE, "ours"),
        Approach(STRAIGHT_THROUGH, "ours, straight-through", {"straight_through": True}),
    )


def ablation_steps() -> tuple[Approach, ...]:
    """Configurations A to F of Table 5.1."""
    return tuple(
        Approach(key, f"{key}: {step.title}", step.options) for key, step in ABLATION.items()
    )


def rounding_kinds() -> tuple[Approach, ...]:
    """The surrogate form with each substitute of rounding and floors: Tables 5.5 and 5.6."""
    return tuple(
        Approach(f"rounding_{kind}", kind.replace("_", " "), {"rounding": kind}) for kind in KINDS
    )


def backward_kinds() -> tuple[Approach, ...]:
    """The straight-through form with two derivatives: Table 5.7."""
    straight = {"straight_through": True}
    return (
        Approach(
            "backward_constant",
            "straight-through, constant derivative",
            {**straight, "rounding": "straight_through"},
        ),
        Approach(
            "backward_surrogate",
            "straight-through, derivative of the surrogate",
            {**straight, "rounding": "cubic"},
        ),
    )


@contextmanager
def drawing_for(*purpose: int | str) -> Iterator[None]:
    """Make what "uniform_noise" draws a function of its purpose, and leave torch's state alone."""
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed("rounding noise", *purpose))
        yield


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor | np.ndarray):
        return value.tolist()
    if callable(value):  # its repr would hold an address
        return f"{value.__module__}.{value.__qualname__}"
    return value
