"""The network of the overhead figures is the standard one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.resnet18 import BasicBlock, ResNet18
from benchmarks.unified import MODES, UnifiedModel, paper_overhead
from torch_impl import JPEGLayer


def test_parameters_and_multiplications() -> None:
    """11,689,512 parameters, and 1.814e9 multiplications at 224x224, as published."""
    model = ResNet18().eval()
    assert sum(p.numel() for p in model.parameters()) == 11_689_512

    multiplications = 0

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal multiplications
        if isinstance(module, nn.Conv2d):
            per_output = module.weight[0].numel()
            multiplications += output.numel() * per_output
        elif isinstance(module, nn.Linear):
            multiplications += module.weight.numel()

    for module in model.modules():
        module.register_forward_hook(count)
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)
    # Counted by hand from Table 1 of the ResNet paper: each convolution is
    # output pixels * output channels * input channels * kernel area.
    stem = 112 * 112 * 64 * 3 * 49
    plain = 56 * 56 * 64 * 64 * 9  # the same for every stage: half the size, twice the channels
    stages = 4 * plain + 3 * (plain // 2 + 3 * plain + plain // 18)
    assert multiplications == stem + stages + 512 * 1000


def test_block_adds_its_shortcut() -> None:
    block = BasicBlock(8, 8, 1).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    # The branch gives exactly 0 (fresh batch norm has no bias), so the shortcut alone is left.
    torch.testing.assert_close(block(x), x.relu(), rtol=0, atol=0)


def test_paper_figures() -> None:
    """The issue's 36 % and 245 %, from the milliseconds of Table 11."""
    assert round(paper_overhead("window 5"), 2) == 0.36
    assert round(paper_overhead("full"), 2) == 2.45


@pytest.mark.parametrize("mode", MODES)
def test_one_step(mode: str) -> None:
    """Inference changes nothing; training moves the network and the tables."""
    torch.manual_seed(0)
    layer = JPEGLayer(max_level=127)
    model = UnifiedModel(layer, classes=10)
    image = 255 * torch.rand(2, 3, 32, 32)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    MODES[mode](model, image)()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    if mode == "inference":
        assert moved == set()
    else:
        assert {"layer.q", "network.classifier.weight", "network.stem.0.weight"} <= moved


def test_unified_model_normalizes_behind_the_layer() -> None:
    model = UnifiedModel(None, classes=10).eval()
    image = 255 * torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        expected = model.network((image / 255 - mean) / std)
        # float32 rounding of inputs of about 2, through 18 layers: measured 2e-6.
        torch.testing.assert_close(model(image), expected, rtol=1e-4, atol=1e-4)
