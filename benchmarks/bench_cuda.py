"""On a GPU: share of the memory bandwidth, and the cost on top of a ResNet-18."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from benchmarks.cuda_timing import CudaClock, as_graph
from benchmarks.measure import Opponent, Work
from benchmarks.plugin import Runner
from benchmarks.ratios import Kind
from benchmarks.unified import MODES, UnifiedModel, inference, paper_overhead
from benchmarks.verify import check_layer, check_quantizer
from benchmarks.workloads import (
    CIFAR,
    IMAGENET,
    Setting,
    Shape,
    coefficients,
    images,
    name_of,
    per_component,
)
from torch_impl import JPEGLayer, soft_quantize

pytestmark = pytest.mark.gpu

DEVICE = "cuda"
LARGE: Shape = (256, 3, 224, 224)
SHORT = {"forward": "fwd", "forward+backward": "fwd+bwd"}
SUPPORTS = {"full": None, "window 5": 5}
# Images that have to cross the memory bus: in and out; and backwards image and gradient in,
# gradient out. A copy moves two.
TRAFFIC = {"forward": 2, "forward+backward": 5}
LAYER_GOALS = {"forward": 0.60, "forward+backward": 0.40}
# On top of ResNet-18 inference, by batch.
OVERHEAD_GOALS = {1: 0.03, 256: 0.02}


def _copy(like: Tensor, direction: str, goal: float | None) -> Opponent:
    target = torch.empty_like(like)
    return Opponent(
        "bandwidth of a copy",
        lambda: target.copy_(like),
        Kind.SHARE,
        work=TRAFFIC[direction] / 2,
        goal=goal,
    )


def _gradient(like: Tensor) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(2)).to(DEVICE)


def _layer(setting: Setting, window: int | None) -> JPEGLayer:
    return JPEGLayer(*setting.tables(), max_level=setting.max_level, window=window).to(DEVICE)


def _check(layer: JPEGLayer, image: Tensor) -> None:
    check_layer(
        layer, (layer.q, layer.alpha), image, max_level=layer.max_level, window=layer.window
    )


@pytest.mark.parametrize("support", SUPPORTS)
@pytest.mark.parametrize("setting", [CIFAR, IMAGENET], ids=lambda setting: setting.name)
@pytest.mark.parametrize("direction", TRAFFIC)
def test_layer_bandwidth(race: Runner, direction: str, setting: Setting, support: str) -> None:
    image = images(LARGE, DEVICE)
    layer = _layer(setting, SUPPORTS[support])
    _check(layer, image)
    goal = LAYER_GOALS[direction] if support == "full" and setting is CIFAR else None
    opponent = _copy(image, direction, goal)
    if direction == "forward":
        run = _inference_of(layer, image)
    else:
        leaf, grad = image.clone().requires_grad_(), _gradient(image)
        run = lambda: torch.autograd.grad(layer(leaf), (leaf, layer.q), grad)  # noqa: E731
    name = f"JPEGLayer {support} {SHORT[direction]} {name_of(LARGE)} {setting.name}"
    race(name, run, [opponent], clock=CudaClock(), device=DEVICE)


def _inference_of(layer: JPEGLayer, image: Tensor) -> Work:
    def run() -> Tensor:
        with torch.no_grad():
            return layer(image)

    return run


@pytest.mark.parametrize("support", SUPPORTS)
@pytest.mark.parametrize("setting", [CIFAR, IMAGENET], ids=lambda setting: setting.name)
@pytest.mark.parametrize("direction", TRAFFIC)
def test_quantizer_bandwidth(race: Runner, direction: str, setting: Setting, support: str) -> None:
    z = coefficients(images(LARGE, DEVICE))
    q, alpha = (per_component(table) for table in setting.tables(DEVICE))
    window = SUPPORTS[support]
    quantize = partial(soft_quantize, max_level=setting.max_level, window=window)
    check_quantizer(quantize, z, q, alpha, max_level=setting.max_level, window=window)
    opponent = _copy(z, direction, None)
    if direction == "forward":
        run: Work = lambda: quantize(z, q, alpha)  # noqa: E731
    else:
        leaf, table, grad = z.requires_grad_(), q.requires_grad_(), _gradient(z)
        run = lambda: torch.autograd.grad(  # noqa: E731
            quantize(leaf, table, alpha), (leaf, table), grad
        )
    name = f"soft_quantize {support} {SHORT[direction]} {name_of(LARGE)} {setting.name}"
    race(name, run, [opponent], clock=CudaClock(), device=DEVICE)


def _with_and_without(support: str, batch: int) -> tuple[UnifiedModel, UnifiedModel, Tensor]:
    image = images((batch, 3, 224, 224), DEVICE)
    layer = _layer(IMAGENET, SUPPORTS[support])
    _check(layer, image)
    torch.manual_seed(0)
    return UnifiedModel(layer).to(DEVICE), UnifiedModel(None).to(DEVICE), image


@pytest.mark.parametrize("support", SUPPORTS)
@pytest.mark.parametrize("batch", [1, 256])
@pytest.mark.parametrize("mode", MODES)
def test_cost_on_top_of_resnet18(race: Runner, mode: str, batch: int, support: str) -> None:
    model, bare, image = _with_and_without(support, batch)
    goal, note = None, ""
    if mode == "inference":
        note = f"paper, batch 1: {paper_overhead(support):+.0%}"
        goal = OVERHEAD_GOALS[batch] if support == "full" else None
    opponent = Opponent(
        "ResNet-18 alone", MODES[mode](bare, image), Kind.OVERHEAD, goal=goal, note=note
    )
    name = f"JPEGLayer {support} + ResNet-18 {mode}, batch {batch}"
    race(name, MODES[mode](model, image), [opponent], clock=CudaClock(), device=DEVICE)


@pytest.mark.parametrize("support", SUPPORTS)
def test_cost_in_a_cuda_graph(race: Runner, support: str) -> None:
    """Batch 1 without launch costs, which hide the work of both otherwise."""
    model, bare, image = _with_and_without(support, 1)
    try:
        run = as_graph(inference(model, image))
    except RuntimeError as error:
        pytest.skip(f"not measured: the layer cannot be captured in a CUDA graph ({error})")
    alone = as_graph(inference(bare, image))
    opponent = Opponent("ResNet-18 alone, CUDA graph", alone, Kind.OVERHEAD)
    name = f"JPEGLayer {support} + ResNet-18 inference, batch 1, CUDA graph"
    race(name, run, [opponent], clock=CudaClock(), device=DEVICE)
