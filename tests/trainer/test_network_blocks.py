"""Each kind of block against its formula, written out as sums over shifted copies."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.trainer._networks import norms_of, random_images, vary_norms
from trainer.networks import CifarVGG, PreActResNet18
from trainer.networks.mobilenet import InvertedResidual
from trainer.networks.preact_resnet import PreActBlock
from trainer.networks.resnet import ResidualBlock
from trainer.networks.shufflenet import ShuffleDownUnit, ShuffleUnit, channel_shuffle


def _normalize(features: Tensor, norm: nn.Module) -> Tensor:
    """Batch normalization with the stored statistics, written out."""
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    factor = norm.weight / (norm.running_var + 1e-5).sqrt()
    shift = norm.bias - norm.running_mean * factor
    return features * factor[:, None, None] + shift[:, None, None]


def _convolve(features: Tensor, layer: nn.Module, stride: int = 1) -> Tensor:
    """Convolution as a sum over shifted copies; groups is 1 or the number of channels."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    kernel = weight.shape[-1]
    half = kernel // 2
    padded = nn.functional.pad(features, (half,) * 4)
    height, width = features.shape[-2:]
    depthwise = weight.shape[1] == 1 and features.shape[1] > 1
    total: Tensor = torch.zeros(())
    for i in range(kernel):
        for j in range(kernel):
            part = padded[:, :, i : i + height : stride, j : j + width : stride]
            taps = weight[:, :, i, j]
            total = total + (
                part * taps[:, 0, None, None]
                if depthwise
                else torch.einsum("oc,nchw->nohw", taps, part)
            )
    bias = getattr(layer, "bias", None)
    return total if bias is None else total + bias[:, None, None]


def _close(result: Tensor, expected: Tensor) -> None:
    # Float32 sums of up to 9 * 512 products in another order: 3e-7 seen, relative to 1 + the value.
    torch.testing.assert_close(result, expected, rtol=5e-6, atol=5e-6)


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(6, 6, 1), (6, 10, 2)])
def test_residual_block(inputs: int, outputs: int, stride: int) -> None:
    torch.manual_seed(0)
    block = ResidualBlock(inputs, outputs, stride).eval()
    vary_norms(block)
    features = torch.randn(2, inputs, 8, 8)
    with torch.no_grad():
        hidden = _normalize(_convolve(features, block.conv1, stride), block.norm1).relu()
        residual = _normalize(_convolve(hidden, block.conv2), block.norm2)
        shortcut = features
        if stride == 2:
            convolution, norm = block.shortcut.children()
            shortcut = _normalize(_convolve(features, convolution, 2), norm)
        _close(block(features), (residual + shortcut).relu())
        block.norm2.weight.zero_()
        block.norm2.bias.zero_()
        _close(block(features), shortcut.relu())


@pytest.mark.parametrize(("outputs", "stride"), [(6, 1), (10, 2)])
def test_preact_block(outputs: int, stride: int) -> None:
    torch.manual_seed(0)
    block = PreActBlock(6, outputs, stride).eval()
    vary_norms(block)
    features = torch.randn(2, 6, 8, 8)
    norm1, norm2 = norms_of(block)
    with torch.no_grad():
        activated = _normalize(features, norm1).relu()
        hidden = _normalize(_convolve(activated, block.conv1, stride), norm2).relu()
        # The identity takes the features as they are, the convolution the activated ones.
        shortcut = features if stride == 1 else _convolve(activated, block.shortcut, 2)
        _close(block(features), _convolve(hidden, block.conv2) + shortcut)
        block.conv2.weight.zero_()
        _close(block(features), shortcut)
        if stride == 1:
            assert torch.equal(block(features), features)


def test_the_first_preact_block_takes_its_input_as_activated() -> None:
    torch.manual_seed(0)
    block = PreActBlock(6, 6, activate=False).eval()
    features = torch.randn(2, 6, 8, 8)
    (norm,) = norms_of(block)
    with torch.no_grad():
        hidden = _normalize(_convolve(features, block.conv1), norm).relu()
        _close(block(features), _convolve(hidden, block.conv2) + features)
    first, *others = (m for m in PreActResNet18(2).modules() if isinstance(m, PreActBlock))
    assert len(norms_of(first)) == 1
    assert [len(norms_of(other)) for other in others] == [2] * 7


@pytest.mark.parametrize(
    ("outputs", "stride", "added"), [(6, 1, True), (6, 2, False), (4, 1, False)]
)
def test_inverted_residual(outputs: int, stride: int, added: bool) -> None:
    torch.manual_seed(0)
    block = InvertedResidual(6, outputs, stride, 3).eval()
    vary_norms(block)
    features = 10 * torch.randn(2, 6, 8, 8)
    expand, norm1, _ = block.expand
    depthwise, norm2, _ = block.depthwise
    project, norm3 = block.project
    with torch.no_grad():
        hidden = _normalize(_convolve(features, expand), norm1).relu()
        assert hidden.max() > 6  # ReLU6 would show
        hidden = _normalize(_convolve(hidden, depthwise, stride), norm2).relu()
        expected = _normalize(_convolve(hidden, project), norm3)  # linear: no ReLU here
        _close(block(features) / 10, (expected + features if added else expected) / 10)
        norm3.weight.zero_()
        norm3.bias.zero_()
        result = block(features)
    assert torch.equal(result, features if added else torch.zeros_like(result))


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_channel_shuffle_deals_the_groups_out_in_turn(groups: int) -> None:
    features = torch.arange(12.0)[None, :, None, None] + torch.zeros(2, 12, 2, 3)
    shuffled = channel_shuffle(features, groups)
    per_group = 12 // groups
    order = [g * per_group + i for i in range(per_group) for g in range(groups)]
    assert shuffled[1, :, 1, 2].tolist() == order
    assert torch.equal(channel_shuffle(shuffled, per_group), features)  # its inverse


def test_shuffle_unit() -> None:
    torch.manual_seed(0)
    unit = ShuffleUnit(12).eval()
    vary_norms(unit)
    features = torch.randn(2, 12, 8, 8)
    conv1, norm1, _, conv2, norm2, conv3, norm3, _ = unit.branch
    with torch.no_grad():
        hidden = _normalize(_convolve(features[:, 6:], conv1), norm1).relu()
        hidden = _normalize(_convolve(hidden, conv2), norm2)  # no ReLU after the depthwise one
        hidden = _normalize(_convolve(hidden, conv3), norm3).relu()
        result = unit(features)
    assert torch.equal(result[:, 0::2], features[:, :6])
    _close(result[:, 1::2], hidden)


def test_shuffle_down_unit() -> None:
    torch.manual_seed(0)
    unit = ShuffleDownUnit(6, 16).eval()
    vary_norms(unit)
    features = torch.randn(2, 6, 8, 8)
    conv1, norm1, _, conv2, norm2, conv3, norm3, _ = unit.branch
    conv4, norm4, conv5, norm5, _ = unit.shortcut
    with torch.no_grad():
        right = _normalize(_convolve(features, conv1), norm1).relu()
        right = _normalize(_convolve(right, conv2, 2), norm2)
        right = _normalize(_convolve(right, conv3), norm3).relu()
        left = _normalize(_convolve(features, conv4, 2), norm4)
        left = _normalize(_convolve(left, conv5), norm5).relu()
        result = unit(features)
    _close(result[:, 0::2], left)
    _close(result[:, 1::2], right)


def test_vgg8_from_pixel_to_logit() -> None:
    network = CifarVGG(5, 1).eval()
    vary_norms(network)
    features = images = random_images(1)
    with torch.no_grad():
        for index, stage in enumerate(network.stages):
            convolution, norm = list(stage.children())[:2]
            features = _normalize(_convolve(features, convolution), norm).relu()
            if index < 3:
                features = features.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2)).amax((-3, -1))
        expected = network.classifier(features.mean((2, 3)))
        _close(network(images), expected)
