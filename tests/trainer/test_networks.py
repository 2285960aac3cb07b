"""The CIFAR networks of CRD and PreAct ResNet-18: sizes counted by hand, gradients, blocks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.trainer._networks import norms_of, random_images, vary_norms
from trainer.networks import NETWORKS, make_network

CLASSES = 100

# One representative of each family is enough where only the kind of block matters.
FAMILIES = ["small_cnn", "resnet32", "vgg8", "mobilenetv2", "shufflenetv2", "preact_resnet18_32px"]


def _mobile_stage(inputs: int, outputs: int, expansion: int, blocks: int) -> int:
    """Expansion, its normalization, 3x3 depthwise, its normalization, projection and its own."""
    total = 0
    for _ in range(blocks):
        hidden = expansion * inputs
        total += inputs * hidden + 2 * hidden
        total += 9 * hidden + 2 * hidden
        total += hidden * outputs + 2 * outputs
        inputs = outputs
    return total


def _preact_tail(first: int) -> dict[str, int]:
    """Stages behind a stem of that size; `first` is the only convolution that differs."""
    return {
        "stem": 3 * 64 * first + 2 * 64,
        # four convolutions; three normalizations, for the stem activates the first block
        "stages.0": 4 * 9 * 64 * 64 + 3 * 2 * 64,
        # four convolutions, the 1x1 shortcut, one normalization of the input, three of the output
        "stages.1": 9 * 64 * 128 + 3 * 9 * 128 * 128 + 64 * 128 + 2 * 64 + 3 * 2 * 128,
        "stages.2": 9 * 128 * 256 + 3 * 9 * 256 * 256 + 128 * 256 + 2 * 128 + 3 * 2 * 256,
        "stages.3": 9 * 256 * 512 + 3 * 9 * 512 * 512 + 256 * 512 + 2 * 256 + 3 * 2 * 512,
        "last": 2 * 512,
        "classifier": 512 * 100 + 100,
    }


def _resnet(blocks: int) -> dict[str, int]:
    """Per stage 2n 3x3 convolutions, each with 2 numbers per channel of its normalization."""
    stage3 = 9 * 32 * 64 + (2 * blocks - 1) * 9 * 64 * 64 + 2 * blocks * 2 * 64
    stage2 = 9 * 16 * 32 + (2 * blocks - 1) * 9 * 32 * 32 + 2 * blocks * 2 * 32
    return {
        "stem": 9 * 3 * 16 + 2 * 16,
        "stages.0": 2 * blocks * (9 * 16 * 16 + 2 * 16),
        "stages.1": stage2 + (16 * 32 + 2 * 32),  # + shortcut
        "stages.2": stage3 + (32 * 64 + 2 * 64),
        "classifier": 64 * 100 + 100,
    }


# Totals of the CRD code for 100 classes (PreAct: this library's own), and where they come from.
COUNTS: dict[str, tuple[int, dict[str, int]]] = {
    "resnet32": (472_756, _resnet(5)),
    "resnet56": (861_620, _resnet(9)),
    "resnet110": (1_736_564, _resnet(18)),
    # each convolution with its bias (1) and normalization (2): 3 numbers per channel
    "vgg8": (
        3_965_028,
        {
            "stages.0": 9 * 3 * 64 + 3 * 64,
            "stages.1": 9 * 64 * 128 + 3 * 128,
            "stages.2": 9 * 128 * 256 + 3 * 256,
            "stages.3": 9 * 256 * 512 + 3 * 512,
            "stages.4": 9 * 512 * 512 + 3 * 512,
            "classifier": 512 * 100 + 100,
        },
    ),
    "vgg13": (
        9_462_180,
        {
            "stages.0": 9 * 3 * 64 + 9 * 64 * 64 + 2 * 3 * 64,
            "stages.1": 9 * 64 * 128 + 9 * 128 * 128 + 2 * 3 * 128,
            "stages.2": 9 * 128 * 256 + 9 * 256 * 256 + 2 * 3 * 256,
            "stages.3": 9 * 256 * 512 + 9 * 512 * 512 + 2 * 3 * 512,
            "stages.4": 2 * 9 * 512 * 512 + 2 * 3 * 512,
            "classifier": 512 * 100 + 100,
        },
    ),
    # half of 32, 16, 24, 32, 64, 96, 160, 320 channels; 1280 stays
    "mobilenetv2": (
        812_836,
        {
            "stem": 9 * 3 * 16 + 2 * 16,
            "stages.0": _mobile_stage(16, 8, 1, 1),
            "stages.1": _mobile_stage(8, 12, 6, 2),
            "stages.2": _mobile_stage(12, 16, 6, 3),
            "stages.3": _mobile_stage(16, 32, 6, 4),
            "stages.4": _mobile_stage(32, 48, 6, 3),
            "stages.5": _mobile_stage(48, 80, 6, 3),
            "stages.6": _mobile_stage(80, 160, 6, 1),
            "last": 160 * 1280 + 2 * 1280,
            "classifier": 1280 * 100 + 100,
        },
    ),
    # stride 2: depthwise and its norm 11 i, two 1x1 from i to m, one m to m, depthwise 9 m, four
    # norms 8 m; stride 1: two 1x1 m to m, depthwise 9 m, three norms 6 m (m = half the channels)
    "shufflenetv2": (
        1_355_528,
        {
            "stem": 3 * 24 + 2 * 24,
            "stages.0": (11 * 24 + 2 * 24 * 58 + 58**2 + 17 * 58) + 3 * (2 * 58**2 + 15 * 58),
            "stages.1": (11 * 116 + 2 * 116 * 116 + 116**2 + 17 * 116)
            + 7 * (2 * 116**2 + 15 * 116),
            "stages.2": (11 * 232 + 2 * 232 * 232 + 232**2 + 17 * 232)
            + 3 * (2 * 232**2 + 15 * 232),
            "last": 464 * 1024 + 2 * 1024,
            "classifier": 1024 * 100 + 100,
        },
    ),
    "preact_resnet18": (11_226_020, _preact_tail(7 * 7)),
    "preact_resnet18_32px": (11_218_340, _preact_tail(3 * 3)),
}

# Height of the output of each stage, for the height of the input.
HEIGHTS = {
    "resnet32": (32, [32, 16, 8]),
    "vgg8": (32, [16, 8, 4, 4, 4]),  # the first three end with a maximum over 2x2
    "vgg13": (32, [16, 8, 4, 4, 4]),
    "mobilenetv2": (32, [16, 16, 8, 4, 4, 2, 2]),
    "shufflenetv2": (32, [16, 8, 4]),
    "preact_resnet18": (224, [56, 28, 14, 7]),
    "preact_resnet18_32px": (32, [32, 16, 8, 4]),
}


# Biases that reach batch normalization through nothing but sums and 1x1 convolutions: those of
# VGG's convolutions, of MobileNetV2's projections and, in ShuffleNetV2, of the normalizations
# without ReLU. Their count: one per convolution, block (1+2+3+4+3+3+1) or unit (16, and 3 more in
# the other branch of the units of stride 2).
CANCELLED = {
    "vgg8": r"stages\.\d\.0\.bias",
    "vgg13": r"stages\.\d\.[03]\.bias",
    "mobilenetv2": r"stages\.\d\.\d\.project\.1\.bias",
    "shufflenetv2": r"stages\.\d\.\d\.(branch\.4|shortcut\.1)\.bias",
}
CANCELLED_COUNTS = {"vgg8": 5, "vgg13": 10, "mobilenetv2": 17, "shufflenetv2": 16 + 3}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Layers this small gain nothing from threads, and wait for them on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _paths(network: nn.Module) -> list[str]:
    return [path for path, _ in network.named_parameters()]


def _network(name: str, seed: int = 0, classes: int = CLASSES) -> nn.Module:
    torch.manual_seed(seed)
    return make_network(name, classes)


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_those_counted_by_hand(name: str) -> None:
    total, parts = COUNTS[name]
    network = _network(name)
    counted = {
        part: sum(p.numel() for p in network.get_submodule(part).parameters()) for part in parts
    }
    assert counted == parts
    assert sum(parts.values()) == total
    assert sum(p.numel() for p in network.parameters()) == total


def test_every_network_of_the_paper_is_counted() -> None:
    assert set(COUNTS) == set(NETWORKS) - {"small_cnn"}


@pytest.mark.parametrize("name", HEIGHTS)
def test_each_stage_has_the_resolution_of_its_paper(name: str) -> None:
    side, heights = HEIGHTS[name]
    network = _network(name, classes=7).eval()
    stages = network.get_submodule("stages")
    seen: list[tuple[int, ...]] = []
    for stage in stages.children():
        stage.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape[-2:])))
    with torch.no_grad():
        logits = network(random_images(2, side))
    assert seen == [(height, height) for height in heights]
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()


def _largest_gradients(network: nn.Module) -> dict[str, float]:
    """Per parameter the largest absolute gradient of the loss of one batch."""
    loss = nn.functional.cross_entropy(network(random_images(8).double()), torch.arange(8))
    loss.backward()
    largest = {}
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
        largest[path] = float(parameter.grad.abs().max())
    return largest


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    """In training, all but the biases that the next batch mean takes away again."""
    network = _network(name, classes=10).double().train()
    cancelled = {path for path in _paths(network) if re.fullmatch(CANCELLED.get(name, ""), path)}
    assert len(cancelled) == CANCELLED_COUNTS.get(name, 0)
    # In float64, as a sum that cancels is far from the smallest gradient there: at most 6e-16
    # and at least 8e-7 seen over all networks.
    training = _largest_gradients(network)
    assert {path for path, largest in training.items() if largest < 1e-11} == cancelled
    network.zero_grad()
    validation = _largest_gradients(network.eval())  # stored statistics take nothing away
    assert all(validation[path] > 1e-11 for path in cancelled)  # at least 4e-9 seen


@pytest.mark.parametrize("name", NETWORKS)
def test_only_vgg_has_a_bias_before_batch_normalization(name: str) -> None:
    convolutions = [m for m in _network(name).modules() if isinstance(m, nn.Conv2d)]
    biased = [layer for layer in convolutions if layer.bias is not None]
    # CRD's VGG has them and they count among its parameters.
    assert biased == (convolutions if name.startswith("vgg") else [])


@pytest.mark.parametrize("name", FAMILIES)
def test_training_and_validation_differ_through_batch_normalization_alone(name: str) -> None:
    network = _network(name)
    vary_norms(network)
    images = random_images(4)
    with torch.no_grad():
        expected = network.eval()(images)
        network.train()
        for norm in norms_of(network):
            norm.eval()
        assert torch.equal(network(images), expected)
        assert not torch.allclose(network.train()(images), expected, atol=1e-2)


@pytest.mark.parametrize("name", FAMILIES)
def test_an_image_does_not_see_the_rest_of_its_batch_in_validation(name: str) -> None:
    network = _network(name)
    images, others = random_images(4), random_images(4, seed=2)
    others[0] = images[0]
    with torch.no_grad():
        trained = network.train()(images)[0], network(others)[0]
        validated = network.eval()(images)[0], network(others)[0]
    assert not torch.allclose(*trained, atol=1e-3)
    # Same shape, same place in the batch: the same sums in the same order, so no tolerance.
    assert torch.equal(*validated)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_seed_decides_the_weights(name: str) -> None:
    once, again, other = (_network(name, seed).state_dict() for seed in (3, 3, 4))
    assert once.keys() == again.keys()
    assert all(torch.equal(once[key], again[key]) for key in once)
    drawn = [key for key in once if key.endswith("weight") and once[key].std() > 0]
    assert len(drawn) >= 5
    assert not any(torch.equal(once[key], other[key]) for key in drawn)


@pytest.mark.parametrize("name", FAMILIES)
def test_safetensors_restore_the_network(name: str, tmp_path: Path) -> None:
    network = _network(name)
    vary_norms(network)
    save_file(network.state_dict(), tmp_path / "network.safetensors")
    restored = _network(name, seed=9)
    images = random_images(2)
    with torch.no_grad():
        expected = network.eval()(images)
        assert not torch.equal(restored.eval()(images), expected)
        restored.load_state_dict(load_file(tmp_path / "network.safetensors"))
        assert torch.equal(restored(images), expected)


@pytest.mark.parametrize("name", [n for n in NETWORKS if n not in {"small_cnn", "shufflenetv2"}])
def test_convolutions_start_with_the_fan_out_variance(name: str) -> None:
    for layer in _network(name).modules():
        if isinstance(layer, nn.Conv2d):
            outputs, area = layer.out_channels, math.prod(layer.kernel_size)
            expected = math.sqrt(2 / (area * outputs))
            # The deviation of n normal draws is off by 1 / sqrt(2 n); 5 of these never happen.
            allowed = 5 / math.sqrt(2 * layer.weight.numel())
            assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=allowed)
            assert layer.bias is None or not layer.bias.any()


def test_shufflenet_starts_uniform_within_one_over_root_fan_in() -> None:
    for layer in _network("shufflenetv2").modules():
        if isinstance(layer, nn.Conv2d):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            weight = layer.weight.detach()
            # All within, and of n >= 72 draws the largest lies above 0.8 but for 0.8^72 = 1e-7.
            assert 0.8 * bound < float(weight.abs().max()) <= bound


@pytest.mark.parametrize("name", ["vgg8", "mobilenetv2"])
def test_linear_maps_of_vgg_and_mobilenet_start_small(name: str) -> None:
    layer = _network(name).get_submodule("classifier")
    assert isinstance(layer, nn.Linear)
    allowed = 5 / math.sqrt(2 * layer.weight.numel())
    assert float(layer.weight.detach().std()) == pytest.approx(0.01, rel=allowed)
    assert not layer.bias.any()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_use_of_a_relu_is_a_module_of_its_own(name: str) -> None:
    """So that one alone can be replaced (JPEG-DL, A.7); none overwrites what a hook keeps."""
    network = _network(name, classes=2).eval()
    relus = [module for module in network.modules() if isinstance(module, nn.ReLU)]
    used: list[nn.Module] = []
    for relu in relus:
        assert not relu.inplace
        relu.register_forward_hook(lambda module, _, __: used.append(module))
    with torch.no_grad():
        network(random_images(1))
    assert sorted(map(id, used)) == sorted(map(id, relus))
