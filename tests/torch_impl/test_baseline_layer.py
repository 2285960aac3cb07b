"""JPEGLayer with the quantizer baselines: against the reference, in training, wrong input."""

from __future__ import annotations

import copy
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import reference
from reference.layer_steps import (
    Coefficients,
    analyse,
    analyse_adjoint,
    synthesize,
    synthesize_adjoint,
)
from reference.standard import SUBSAMPLINGS
from torch_impl import JPEGLayer, TableClampWarning
from torch_impl.quantizer_baselines import BASELINES

DETERMINISTIC = ["cubic", "straight_through"]
TRUTHS: dict[str, Any] = {
    "cubic": reference.cubic_partials,
    "straight_through": reference.straight_through_partials,
    "uniform_noise": reference.hard_partials,  # in eval mode
}
IMAGE = torch.rand(2, 3, 19, 13, generator=torch.Generator().manual_seed(0)) * 255


def reference_layer(
    name: str, image: Any, q: Any, weight: Any, max_level: int, subsampling: str
) -> tuple[Any, Any, Any]:
    """Output, gradient of the image and of q, (rounds, 2, 8, 8), by the parts of the reference."""
    factors = SUBSAMPLINGS[subsampling]
    height, width = image.shape[-2:]
    z = analyse(image, factors)
    rounds = []
    for tables in q:
        options = [{}, {}]
        if name == "straight_through":
            counts = [p[0].size // 64 for p in z]
            options = [
                {"gradient_scale": reference.step_gradient_scale(n, max_level)} for n in counts
            ]
        rounds.append(
            [
                TRUTHS[name](plane, table, max_level=max_level, **option)
                for plane, table, option in zip(z, tables, options, strict=True)
            ]
        )
        z = Coefficients(*(partials.value for partials in rounds[-1]))
    output = synthesize(z, factors)[..., :height, :width]
    grad = synthesize_adjoint(weight, factors)
    by_q = np.zeros(q.shape)
    for i, partials in reversed(list(enumerate(rounds))):
        for table, (g, p) in enumerate(zip(grad, partials, strict=True)):
            by_q[i, table] = (g * p.dq).sum(axis=(0, 1, 2, 3))
        grad = Coefficients(*(g * p.dz for g, p in zip(grad, partials, strict=True)))
    return output, analyse_adjoint(grad, factors, (height, width)), by_q


@pytest.mark.parametrize("subsampling", sorted(SUBSAMPLINGS))
@pytest.mark.parametrize("rounds", [1, 2])
@pytest.mark.parametrize("name", BASELINES)
def test_the_layer_is_the_reference(name, rounds, subsampling):
    # In float64 no coefficient of these images is as near to a tie as rounding reaches.
    rng = np.random.default_rng(rounds)
    image = rng.uniform(0, 255, (2, 3, 19, 21))
    q = rng.uniform(3, 20, (rounds, 2, 8, 8))
    weight = rng.normal(size=image.shape)
    layer = JPEGLayer(
        torch.from_numpy(q if rounds > 1 else q[0]),
        max_level=15,  # some coefficients saturate
        subsampling=subsampling,
        rounds=rounds,
        quantizer=name,
    )
    layer.train(name != "uniform_noise")
    x = torch.from_numpy(image).requires_grad_()
    got = layer(x)
    got.backward(torch.from_numpy(weight))
    output, by_image, by_q = reference_layer(name, image, q, weight, 15, subsampling)
    eps = 2.0**-52
    # In eps of the largest coefficient, 1024. Measured over 30 images a quantizer: output 0.5,
    # gradient of the image 0.1, of q 2.5.
    assert np.abs(got.detach().numpy() - output).max() <= 16 * eps * 1024
    assert np.abs(x.grad.numpy() - by_image).max() <= 16 * eps * 1024
    assert np.abs(layer.q.grad.numpy().reshape(by_q.shape) - by_q).max() <= 16 * eps * 1024
    if name == "uniform_noise":
        assert not x.grad.any()


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_float32_away_from_ties(name):
    # A picture made of coefficients that stay 0.1 q away from every tie and from the ends.
    rng = np.random.default_rng(2)
    q = rng.uniform(4, 20, (1, 2, 8, 8)).astype(np.float32).astype(float)
    shapes = [(1, 1, 2, 3, 8, 8), (1, 2, 2, 3, 8, 8)]
    z = Coefficients(
        *(
            (rng.integers(-5, 6, shape) + rng.uniform(-0.4, 0.4, shape)) * q[0, i]
            for i, shape in enumerate(shapes)
        )
    )
    image = synthesize(z, (1, 1)).astype(np.float32).astype(float)
    weight = rng.normal(size=image.shape).astype(np.float32).astype(float)
    layer = JPEGLayer(torch.from_numpy(q[0]).float(), max_level=7, quantizer=name)
    x = torch.from_numpy(image).float().requires_grad_()
    got = layer(x)
    got.backward(torch.from_numpy(weight).float())
    output, by_image, by_q = reference_layer(name, image, q, weight, 7, "4:4:4")
    eps, size = 2.0**-23, np.abs(image).max()
    # In eps of the largest pixel. Measured over 20 images: 1.6, 0.07 and 1.3.
    assert np.abs(got.detach().numpy() - output).max() <= 16 * eps * size
    assert np.abs(x.grad.numpy() - by_image).max() <= 16 * eps * size
    assert np.abs(layer.q.grad.numpy() - by_q[0]).max() <= 16 * eps * size


def test_uniform_noise_in_training_rounding_in_validation():
    layer = JPEGLayer(6.0, quantizer="uniform_noise")
    first, second = layer(IMAGE), layer(IMAGE)
    assert not torch.equal(first, second)
    torch.manual_seed(5)
    third = layer(IMAGE)
    torch.manual_seed(5)
    assert torch.equal(layer(IMAGE), third)
    layer.eval()
    assert torch.equal(layer(IMAGE), layer(IMAGE))
    # Eval mode is the straight-through layer's output: both are Q_u.
    assert torch.equal(layer(IMAGE), JPEGLayer(6.0, quantizer="straight_through")(IMAGE))
    # Without gradients, but in training mode, it still adds noise.
    layer.train()
    with torch.no_grad():
        assert not torch.equal(layer(IMAGE), layer(IMAGE))


def test_the_noise_passes_the_gradient_to_the_image_and_itself_to_q():
    layer = JPEGLayer(torch.full((2, 8, 8), 6.0, dtype=torch.float64), quantizer="uniform_noise")
    x = IMAGE[..., :16, :8].double().requires_grad_()
    out = layer(x)
    weight = torch.randn_like(x)
    out.backward(weight)
    # No coefficient reaches 127 * 6 = 762 but DC: these images have |DC| < 200.
    torch.testing.assert_close(x.grad, weight, rtol=0, atol=64 * 2.0**-52)
    noise = Coefficients(
        *(
            (a - b) / 6
            for a, b in zip(
                analyse(out.detach().numpy(), (1, 1)),
                analyse(x.detach().numpy(), (1, 1)),
                strict=True,
            )
        )
    )
    grads = synthesize_adjoint(weight.numpy(), (1, 1))
    for table, (g, u) in enumerate(zip(grads, noise, strict=True)):
        assert np.abs(u).max() <= 0.5 + 1e-12
        want = (g * u).sum(axis=(0, 1, 2, 3))
        # The noise, read back from pixels of size 255: a hundred times their rounding.
        np.testing.assert_allclose(layer.q.grad[table].numpy(), want, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("subsampling", "chroma"), [("4:4:4", 2 * 6), ("4:2:0", 2 * 2)])
def test_straight_through_scales_by_the_coefficients_of_one_image(subsampling, chroma):
    # 24 x 16 pixels: 6 blocks of luma and 2 x 6 of chroma, or, padded to the 32 x 16 pixels of
    # whole MCUs, 8 and 2 x 2.
    image = torch.rand(3, 3, 24, 16, dtype=torch.float64) * 255
    q = torch.full((2, 8, 8), 6.0, dtype=torch.float64)
    layer = JPEGLayer(q, quantizer="straight_through", subsampling=subsampling, max_level=31)
    layer(image).square().sum().backward()
    plain = reference_layer_gradient(image, q, subsampling)
    padded = 6 if subsampling == "4:4:4" else 8
    for table, count in enumerate([padded, chroma]):
        ratio = (layer.q.grad[table] / plain[table]).numpy()
        np.testing.assert_allclose(ratio, 1 / math.sqrt(count * 31), rtol=1e-6)


def reference_layer_gradient(image: Tensor, q: Tensor, subsampling: str) -> Tensor:
    """The same gradient without a scale, by the torch function around the reference's steps."""
    factors = SUBSAMPLINGS[subsampling]
    z = analyse(image.numpy(), factors)
    parts = [
        reference.straight_through_partials(plane, table.numpy(), max_level=31)
        for plane, table in zip(z, q, strict=True)
    ]
    output = synthesize(Coefficients(*(p.value for p in parts)), factors)[..., :24, :16]
    grads = synthesize_adjoint(2 * output, factors)
    sums = [(g * p.dq).sum(axis=(0, 1, 2, 3)) for g, p in zip(grads, parts, strict=True)]
    return torch.from_numpy(np.stack(sums))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", BASELINES)
def test_a_nan_or_infinite_pixel_spoils_its_own_block(name, bad):
    layer = JPEGLayer(6.0, quantizer=name)
    image = IMAGE.clone()
    image[0, 1, 9, 10] = bad
    image.requires_grad_()
    out = layer(image)
    spoilt = torch.zeros_like(image, dtype=torch.bool)
    spoilt[0, :, 8:16, 8:16] = True
    assert torch.equal(out.isnan(), spoilt)
    assert not out.isinf().any()
    out.sum().backward()
    assert torch.equal(image.grad.isnan(), spoilt)


@pytest.mark.parametrize("name", BASELINES)
def test_out_of_range_steps_are_moved_back_with_a_warning(name):
    layer = JPEGLayer(6.0, quantizer=name)
    with torch.no_grad():
        layer.q[0, 0, :3] = torch.tensor([-1.0, 300.0, 0.0])
    with pytest.warns(TableClampWarning, match="3 of 128 entries of q") as caught:
        layer(IMAGE)
    assert caught[0].filename == __file__
    assert layer.clamp_count == 3
    assert layer.q[0, 0, :3].tolist() == [pytest.approx(1e-5), 255.0, pytest.approx(1e-5)]


@pytest.mark.parametrize("name", BASELINES)
def test_state_copies_and_options(name):
    layer = JPEGLayer(torch.rand(2, 8, 8) + 3, quantizer=name, max_level=31)
    assert list(layer.state_dict()) == ["q"]
    assert [n for n, _ in layer.named_parameters()] == ["q"]
    assert f"quantizer={name!r}" in repr(layer)
    assert layer.steps().shape == (1, 2, 8, 8)
    fresh = JPEGLayer(quantizer=name, max_level=31)
    fresh.load_state_dict(layer.state_dict())
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    for other in (fresh, copy.deepcopy(layer), torch.load(buffer, weights_only=False)):
        torch.manual_seed(1)
        got = other(IMAGE)
        torch.manual_seed(1)
        assert torch.equal(got, layer(IMAGE))


@pytest.mark.parametrize("name", BASELINES)
def test_half_precision_and_autocast_compute_in_float32(name):
    layer = JPEGLayer(6.0, quantizer=name)

    def seeded(image: Tensor) -> Tensor:
        torch.manual_seed(2)
        return layer(image)

    half = IMAGE.bfloat16()
    assert seeded(half).dtype == torch.bfloat16
    assert torch.equal(seeded(half), seeded(half.float()).bfloat16())
    plain = seeded(IMAGE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(seeded(IMAGE), plain)


@pytest.mark.parametrize("name", BASELINES)
def test_compiles_without_a_break(name):
    layer = JPEGLayer(6.0, quantizer=name)
    layer.train(name != "uniform_noise")
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    # Float32 rounding of pixels; no coefficient of this image lies on a tie.
    torch.testing.assert_close(compiled(IMAGE), layer(IMAGE), rtol=0, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("name", BASELINES)
def test_a_gpu_gives_the_same_picture(name):
    layer = JPEGLayer(6.0, quantizer=name, subsampling="4:2:0").eval()
    want = layer(IMAGE)
    got = copy.deepcopy(layer).cuda()(IMAGE.cuda())
    # Float32 rounding of pixels; no coefficient of this image lies on a tie.
    torch.testing.assert_close(got.cpu(), want, rtol=0, atol=1e-3)


def test_the_soft_layer_is_what_it_was():
    plain, named = JPEGLayer(6.0), JPEGLayer(6.0, quantizer="soft")
    assert torch.equal(plain(IMAGE), named(IMAGE))
    assert sorted(named.state_dict()) == ["alpha", "q"]


# Wrong input


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"quantizer": "cubik"}, ValueError, "got 'cubik'; did you mean 'cubic'"),
        ({"quantizer": "noise"}, ValueError, "one of soft, uniform_noise, cubic, straight_through"),
        ({"quantizer": "uniform-noise"}, ValueError, "did you mean 'uniform_noise'"),
        ({"quantizer": "xyz"}, ValueError, "got 'xyz'$"),
        ({"quantizer": None}, TypeError, "quantizer must be one of .* got None"),
        ({"quantizer": "cubic", "alpha": 5.0}, ValueError, "alpha must be left out with"),
        ({"quantizer": "cubic", "hbar": 0.7}, ValueError, "hbar must be left out with"),
        ({"quantizer": "cubic", "window": 5}, ValueError, "window must be left out with"),
        (
            {"quantizer": "straight_through", "trainable_alpha": True, "window": 5},
            ValueError,
            "window and trainable_alpha must be left out with quantizer='straight_through'",
        ),
    ],
)
def test_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        JPEGLayer(**options)


def test_wrong_states_and_tables():
    soft, cubic = JPEGLayer(), JPEGLayer(quantizer="cubic")
    with pytest.raises(RuntimeError, match="alpha belongs to the soft quantizer"):
        cubic.load_state_dict(soft.state_dict())
    with pytest.raises(RuntimeError, match=r'Missing key.*"alpha"'):
        soft.load_state_dict(cubic.state_dict())
    with pytest.raises(RuntimeError, match="q holds NaN or infinity"):
        cubic.load_state_dict({"q": torch.full((2, 8, 8), math.nan)})
    with pytest.raises(ValueError, match=r"has no alpha: use steps\(\)"):
        cubic.tables()
    with pytest.raises(AttributeError, match="alpha"):
        _ = cubic.alpha
