"""The differentiable JPEGs of other papers, against their formulas and what the thesis says."""

from __future__ import annotations

import math

import pytest
import torch

from reference.standard import CHROMINANCE_TABLE, LUMINANCE_TABLE
from tests.torch_impl._coding import batch_of, images_of
from torch_impl import ABLATION, PEERS, DiffJPEG, diff_jpeg, jpeg_roundtrip, transforms
from torch_impl.diff_jpeg_peers import tanh_straight_through
from torch_impl.surrogates import soft_round

ALL = {**PEERS, **ABLATION}


def fourier(x):
    """As Xing et al. write it: of x itself."""
    waves = [(-1) ** (k + 1) / (k * math.pi) * torch.sin(2 * math.pi * k * x) for k in range(1, 11)]
    return x - torch.stack(waves).sum(0)


ROUNDINGS = {
    "shin_song": lambda x: x.round() + (x - x.round()) ** 3,
    "xing": fourier,
    "xie": torch.round,
}


@pytest.mark.parametrize("quality", [1.0, 7.0, 49.0, 62.0, 96.0])
@pytest.mark.parametrize("name", PEERS)
def test_a_peer_is_what_its_paper_says(name, quality):
    """4:4:4, whole blocks: the pipeline by hand, with 50 / q and 2 - 2 q / 100."""
    torch.manual_seed(0)
    images = torch.rand(1, 3, 16, 24, dtype=torch.float64) * 255
    factor = 50 / quality if quality < 50 else 2 - 2 * quality / 100
    planes = transforms.dct(transforms.rgb_to_ycbcr(images - 128))
    coded = []
    for plane, base in zip(
        planes.unbind(1), (LUMINANCE_TABLE, CHROMINANCE_TABLE, CHROMINANCE_TABLE), strict=True
    ):
        table = factor * torch.tensor(base.tolist(), dtype=torch.float64)[None, None, :, None, :]
        coded.append(table * ROUNDINGS[name](plane / table))
    expected = transforms.ycbcr_to_rgb(transforms.inverse_dct(torch.stack(coded, 1))) + 128
    if name == "xing":
        expected = expected.clamp(0, 255)
    found = diff_jpeg(images, quality=quality, subsampling="4:4:4", **PEERS[name].options)
    # A few hundred operations on numbers of 1e3; Fourier multiplies the rounding of x, up to 300,
    # by 20 pi 10.
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)


def test_what_is_clipped_hard_has_no_gradient():
    images = batch_of(images_of(1, 16, 16, count=1)).double().requires_grad_()  # saturated
    found = diff_jpeg(images, quality=3, **PEERS["xing"].options)
    outside = (found == 0) | (found == 255)
    assert bool(outside.any())
    (gradient,) = torch.autograd.grad(found, images, outside.double())
    # At the ends themselves the derivative would be 1; no pixel lies there.
    assert float(gradient.abs().max()) == 0
    soft = diff_jpeg(images, quality=3, **PEERS["shin_song"].options)
    (gradient,) = torch.autograd.grad(soft, images, outside.double())
    assert float(gradient.abs().max()) > 0


def test_xie_rounds_truly_and_passes_the_slope_of_tanh():
    x = torch.tensor([-1.5, -0.2, 0.4999, 0.5, 7.3], requires_grad=True)
    found = tanh_straight_through(x)
    assert found.tolist() == [-1, 0, 0, 1, 7]
    (gradient,) = torch.autograd.grad(found.sum(), x)
    (expected,) = torch.autograd.grad(soft_round(x, "tanh").sum(), x)
    assert torch.equal(gradient, expected)


def test_the_ablation_puts_in_one_part_after_the_other():
    plain = dict(ABLATION["A"].options)
    assert plain == dict(PEERS["shin_song"].options)
    before = plain
    for letter in "BCDEF":
        options = dict(ABLATION[letter].options)
        changed = {name for name in options if options[name] != before.get(name)}
        assert len(changed) == 1, letter
        before = options
    images = batch_of(images_of(2, 20, 28)).float()
    for quality in (1, 50, 93.4):
        found = diff_jpeg(images, quality=quality, **ABLATION["E"].options)
        assert torch.equal(found, diff_jpeg(images, quality=quality))
    found = diff_jpeg(images, quality=12, **ABLATION["F"].options)
    assert torch.equal(found, jpeg_roundtrip(images, quality=12))


def test_each_part_brings_it_nearer_at_low_quality():
    """Table 5.1 at qualities 1 to 3, on images that saturate."""
    images = batch_of(images_of(1, 64, 64, count=3)).float()

    def error(options):
        found = [
            diff_jpeg(images, quality=q, **options) - jpeg_roundtrip(images, quality=q)
            for q in (1, 2, 3)
        ]
        return float(torch.stack(found).square().mean())

    errors = {letter: error(peer.options) for letter, peer in ABLATION.items()}
    assert errors["A"] > errors["B"] > errors["E"] > errors["F"] == 0
    for name in PEERS:
        assert error(PEERS[name].options) > errors["E"]


@pytest.mark.parametrize("name", ALL)
def test_a_peer_can_be_a_module_and_gives_finite_gradients(name):
    peer = ALL[name]
    assert peer.title
    assert peer.leaves_out
    layer = DiffJPEG(**peer.options)
    images = batch_of(images_of(0, 9, 21, count=6)).float().requires_grad_()
    quality = torch.tensor([1.0, 2.0, 3.0, 50.0, 99.0, 100.0], requires_grad=True)
    coded = layer(images, quality=quality)
    assert bool(coded.isfinite().all())
    for gradient in torch.autograd.grad(coded.square().sum(), (images, quality)):
        assert bool(gradient.isfinite().all())
