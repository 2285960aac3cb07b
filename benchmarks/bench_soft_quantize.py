"""soft_quantize against the plain softmax, all levels and masked, and against a copy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from benchmarks.baselines import Quantize, naive_full, naive_masked
from benchmarks.measure import Opponent, Work
from benchmarks.plugin import Runner
from benchmarks.ratios import Kind
from benchmarks.verify import check_quantizer
from benchmarks.workloads import (
    CIFAR,
    IMAGENET,
    PART_FOR_FULL,
    SHAPES,
    TRAINED,
    Setting,
    Shape,
    coefficients,
    images,
    name_of,
    part_for_masked,
    part_note,
    part_of,
    per_component,
)
from torch_impl import soft_quantize

WINDOW = 5
MAIN: Shape = (16, 3, 224, 224)
SUPPORTS = {"full": None, "window 5": WINDOW}
SHORT = {"forward": "fwd", "forward+backward": "fwd+bwd"}

Make = Callable[[Quantize, Tensor], Work]


def _call(direction: str, q: Tensor, alpha: Tensor) -> Make:
    """How to call a quantizer once, in one `direction`."""

    def make(quantize: Quantize, z: Tensor) -> Work:
        if direction == "forward":
            return lambda: quantize(z, q, alpha)
        leaf, table = z.clone().requires_grad_(), q.clone().requires_grad_()
        grad = torch.randn(z.shape, generator=torch.Generator().manual_seed(2))
        return lambda: torch.autograd.grad(quantize(leaf, table, alpha), (leaf, table), grad)

    return make


def _copy(z: Tensor) -> Opponent:
    target = torch.empty_like(z)
    return Opponent("tensor copy", lambda: target.copy_(z), Kind.MULTIPLE)


def _masked(make: Make, z: Tensor, max_level: int, goal: float | None = None) -> Opponent:
    quantize = partial(naive_masked, max_level=max_level, window=WINDOW)
    part, work = part_for_masked(z)
    return Opponent(
        "naive masked", make(quantize, part), work=work, goal=goal, note=part_note(work)
    )


def _full(
    make: Make, z: Tensor, max_level: int, *, whole: bool, goal: float | None = None
) -> Opponent:
    quantize = partial(naive_full, max_level=max_level)
    name = f"naive full, {2 * max_level + 1} levels"
    part, work = part_of(z, PART_FOR_FULL)
    if whole and work > 1:
        parts = [make(quantize, one) for one in z.split(1)]
        run: Work = lambda: torch.cat([one() for one in parts])  # noqa: E731
        return Opponent(name, run, goal=goal, once=True, note="image by image")
    return Opponent(name, make(quantize, part), work=work, goal=goal, note=part_note(work))


def _measure(
    race: Runner, direction: str, shape: Shape, setting: Setting, support: str, **options: bool
) -> None:
    z = coefficients(images(shape))
    q, alpha = (per_component(table) for table in setting.tables())
    window = SUPPORTS[support]
    candidate = partial(soft_quantize, max_level=setting.max_level, window=window)
    check_quantizer(candidate, z, q, alpha, max_level=setting.max_level, window=window)

    make = _call(direction, q, alpha)
    # The goals are for all levels, on 16 images of 224 x 224, in the paper's CIFAR setting.
    goals = shape == MAIN and setting is CIFAR and window is None
    forward = direction == "forward"
    masked_goal = (10.0 if forward else 8.0) if goals else None
    opponents = [_copy(z), _masked(make, z, setting.max_level, masked_goal)]
    if options.get("all_levels"):
        goal = 200.0 if goals and forward else None
        opponents.append(_full(make, z, setting.max_level, whole=goal is not None, goal=goal))
    name = f"soft_quantize {support} {SHORT[direction]} {name_of(shape)} {setting.name}"
    race(name, make(candidate, z), opponents)


@pytest.mark.parametrize("support", SUPPORTS)
@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
@pytest.mark.parametrize("direction", SHORT)
def test_soft_quantize(race: Runner, direction: str, shape: Shape, support: str) -> None:
    _measure(race, direction, shape, CIFAR, support, all_levels=support == "full")


@pytest.mark.parametrize("support", SUPPORTS)
@pytest.mark.parametrize("setting", [IMAGENET, TRAINED], ids=lambda setting: setting.name)
@pytest.mark.parametrize("direction", SHORT)
def test_soft_quantize_settings(
    race: Runner, direction: str, setting: Setting, support: str
) -> None:
    """Other ways through the code: small h, and small and large h side by side."""
    _measure(race, direction, MAIN, setting, support)


@pytest.mark.parametrize("max_level", [127, 1023])
@pytest.mark.parametrize("setting", [CIFAR, IMAGENET], ids=lambda setting: setting.name)
def test_scaling_in_levels(race: Runner, setting: Setting, max_level: int) -> None:
    """The time must not depend on L; coefficients stay inside the smallest index set."""
    smallest = 15
    shape = (64, 3, 4, 8, 4, 8)
    q, alpha = (per_component(table) for table in setting.tables())
    z = 12 * torch.rand(shape, generator=torch.Generator().manual_seed(3)) - 6
    candidate = partial(soft_quantize, max_level=max_level)
    check_quantizer(candidate, z, q, alpha, max_level=max_level, window=None)
    fewer = partial(soft_quantize, max_level=smallest)
    check_quantizer(fewer, z, q, alpha, max_level=smallest, window=None)
    make = _call("forward+backward", q, alpha)
    name = f"soft_quantize full fwd+bwd L={max_level} {setting.name}"
    opponent = Opponent(f"L={smallest}", make(fewer, z), Kind.MULTIPLE, goal=1.1)
    race(name, make(candidate, z), [opponent])
