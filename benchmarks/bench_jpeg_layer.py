"""JPEGLayer against the same layer with a plain softmax, and against a copy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from benchmarks.baselines import Quantize, naive_full, naive_layer, naive_masked
from benchmarks.measure import Opponent, Work
from benchmarks.plugin import Runner
from benchmarks.ratios import Kind
from benchmarks.verify import check_layer
from benchmarks.workloads import (
    CIFAR,
    PART_FOR_FULL,
    SHAPES,
    Shape,
    images,
    name_of,
    part_for_masked,
    part_note,
    part_of,
)
from torch_impl import JPEGLayer

WINDOW = 5
MAIN: Shape = (16, 3, 224, 224)
SUPPORTS = {"full": None, "window 5": WINDOW}
SHORT = {"forward": "fwd", "forward+backward": "fwd+bwd"}

Layer = Callable[[Tensor], Tensor]


def _one_call(direction: str, layer: Layer, q: Tensor, image: Tensor) -> Work:
    """One pass; backwards to the image and to q."""
    if direction == "forward":

        def forward() -> Tensor:
            with torch.no_grad():
                return layer(image)

        return forward
    leaf = image.clone().requires_grad_()
    grad = torch.randn(image.shape, generator=torch.Generator().manual_seed(2))
    return lambda: torch.autograd.grad(layer(leaf), (leaf, q), grad)


def _checked_layer(image: Tensor, window: int | None, subsampling: str) -> JPEGLayer:
    layer = JPEGLayer(
        *CIFAR.tables(), max_level=CIFAR.max_level, window=window, subsampling=subsampling
    )
    check_layer(
        layer,
        (layer.q, layer.alpha),
        image,
        max_level=CIFAR.max_level,
        window=window,
        subsampling=subsampling,
    )
    return layer


def _naive(quantize: Quantize, subsampling: str = "4:4:4") -> tuple[Layer, Tensor]:
    q, alpha = CIFAR.tables()
    q.requires_grad_()
    return lambda image: naive_layer(image, q, alpha, quantize, subsampling=subsampling), q


def _copy(image: Tensor) -> Opponent:
    target = torch.empty_like(image)
    return Opponent("tensor copy", lambda: target.copy_(image), Kind.MULTIPLE)


def _masked(
    direction: str, image: Tensor, subsampling: str = "4:4:4", goal: float | None = None
) -> Opponent:
    quantize = partial(naive_masked, max_level=CIFAR.max_level, window=WINDOW)
    part, work = part_for_masked(image)
    run = _one_call(direction, *_naive(quantize, subsampling), part)
    return Opponent("naive masked layer", run, work=work, goal=goal, note=part_note(work))


def _full(direction: str, image: Tensor) -> Opponent:
    quantize = partial(naive_full, max_level=CIFAR.max_level)
    part, work = part_of(image, PART_FOR_FULL)
    run = _one_call(direction, *_naive(quantize), part)
    return Opponent("naive full layer", run, work=work, note=part_note(work))


@pytest.mark.parametrize("support", SUPPORTS)
@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
@pytest.mark.parametrize("direction", SHORT)
def test_jpeg_layer(race: Runner, direction: str, shape: Shape, support: str) -> None:
    image = images(shape)
    layer = _checked_layer(image, SUPPORTS[support], "4:4:4")
    goal = 8.0 if (shape, direction, support) == (MAIN, "forward+backward", "full") else None
    opponents = [_copy(image), _masked(direction, image, goal=goal)]
    if support == "full":
        opponents.append(_full(direction, image))
    name = f"JPEGLayer {support} {SHORT[direction]} {name_of(shape)}"
    race(name, _one_call(direction, layer, layer.q, image), opponents)


@pytest.mark.parametrize("subsampling", ["4:2:2", "4:2:0"])
def test_subsampling(race: Runner, subsampling: str) -> None:
    image = images(MAIN)
    layer = _checked_layer(image, None, subsampling)
    direction = "forward+backward"
    name = f"JPEGLayer full {SHORT[direction]} {name_of(MAIN)} {subsampling}"
    run = _one_call(direction, layer, layer.q, image)
    race(name, run, [_copy(image), _masked(direction, image, subsampling)])


def test_training_step(race: Runner) -> None:
    """As in training: the gradient of q alone."""
    image = images(MAIN)
    layer = _checked_layer(image, None, "4:4:4")
    grad = torch.randn(image.shape, generator=torch.Generator().manual_seed(2))
    quantize = partial(naive_masked, max_level=CIFAR.max_level, window=WINDOW)
    naive, q = _naive(quantize)
    race(
        f"JPEGLayer full fwd+bwd {name_of(MAIN)}, q only",
        lambda: torch.autograd.grad(layer(image), layer.q, grad),
        [Opponent("naive masked layer", lambda: torch.autograd.grad(naive(image), q, grad))],
    )


@pytest.mark.parametrize("batch", [4, 16, 64])
def test_scaling_in_batch(race: Runner, batch: int) -> None:
    """Time per image against a batch of one: below 1 as far as the cost of a call is shared."""
    image = images((batch, 3, 64, 64))
    layer = _checked_layer(image, None, "4:4:4")
    direction = "forward+backward"
    one = Opponent(
        "batch 1, per image",
        _one_call(direction, layer, layer.q, image[:1].contiguous()),
        Kind.MULTIPLE,
        work=batch,
    )
    name = f"JPEGLayer full {SHORT[direction]} batch {batch} of 3x64x64"
    race(name, _one_call(direction, layer, layer.q, image), [one])
