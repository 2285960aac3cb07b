"""FeatureQuantizer against its reference, in training, in a network; wrong input."""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from oracles import tolerances
from reference import feature_quantizer, feature_quantizer_vjp, max_level_from_bits
from reference import soft_quantize_partials as partials_of
from reference.blocks import dct2, merge_blocks, pad_edges, pad_edges_adjoint, split_blocks
from reference.standard import DCT_MATRIX
from tests.strategies import seeds
from torch_impl import FeatureQuantizer, MaskedWindowWarning, TableClampWarning, replace_relu
from torch_impl.feature_quantizer import LEVELS_OF_THE_PAPER

# Rounding of the two passes of a DCT, in eps times the largest result (8 times the largest
# sample): the figure of the oracles of the layer for images, measured there at 1.5.
LINEAR = 2.0


class Case(NamedTuple):
    features: Any
    q: Any
    alpha: Any
    weight: Any
    support: dict[str, Any]


@st.composite
def cases(draw: st.DrawFn, dtype: str) -> Case:
    rng = np.random.default_rng(draw(seeds))
    shape = tuple(draw(st.integers(1, n)) for n in (2, 3, 20, 20))
    scale = draw(st.sampled_from([1e-3, 1.0, 50.0]))
    features = scale * rng.normal(size=shape)
    if draw(st.booleans()):  # as they leave a ReLU
        features = np.maximum(features, 0)
    q = (
        scale
        * draw(st.sampled_from([0.1, 1.0, 3.0]))
        * 10.0 ** rng.uniform(-0.5, 0.5, (shape[1], 8, 8))
    )
    q = np.clip(q, 1e-5, 255)
    h = draw(st.sampled_from([0.3, 0.7, 2.0, 8.0])) * 10.0 ** rng.uniform(-0.3, 0.3, q.shape)
    arrays = (features, q, h / q**2, rng.normal(size=shape))
    support = {
        "max_level": draw(st.sampled_from([3, 31, 127])),
        # The masked function jumps where its window moves; at h >= 2 by less than 1e-5 q.
        "window": None,
    }
    return Case(*(a.astype(dtype).astype(float) for a in arrays), support)


def bounds(case: Case, dtype: str) -> tuple[Any, Any, Any, Any]:
    """Largest errors of output and gradients: the rounding of z, passed on by the quantizer."""
    features, q, alpha, weight, support = case
    eps = float(np.finfo(dtype).eps)
    z = dct2(split_blocks(pad_edges(features, (8, 8))))
    height, width = features.shape[-2:]
    grad = dct2(split_blocks(np.pad(weight, ((0, 0), (0, 0), (0, -height % 8), (0, -width % 8)))))
    steps, factors = q[:, None, None], alpha[:, None, None]
    e = LINEAR * eps * 8 * np.abs(features).max()
    e_grad = LINEAR * eps * 8 * np.abs(weight).max()
    centre = np.array(partials_of(z, steps, factors, **support))
    # The quantizer is smooth on the scale of e (alpha q e << 1), so the ends of the interval tell
    # how far it moves; half as much again for what bends in between.
    moved = np.max(
        [np.abs(np.array(partials_of(z + d, steps, factors, **support)) - centre) for d in (-e, e)],
        axis=0,
    )
    errors = 1.5 * moved + np.array(tolerances(z, steps, factors, **support, dtype=dtype))
    matrix = np.abs(DCT_MATRIX)

    def passed_on(error: Any) -> Any:
        return merge_blocks(matrix.T @ error @ matrix)

    output = passed_on(errors[0])[..., :height, :width] + LINEAR * eps * 8 * np.abs(z).max()
    back = np.abs(grad) * (errors[1] + 2 * eps * centre[1]) + e_grad * (centre[1] + errors[1])
    # The last sum of a pass over 8 terms, and sums of what was padded.
    back = passed_on(back + 16 * eps * np.abs(grad * centre[1]))
    count = grad[:, 0, ..., 0, 0].size + 2
    tables = [
        (
            np.abs(grad) * errors[i]
            + e_grad * (np.abs(centre[i]) + errors[i])
            + count * eps * np.abs(grad * centre[i])
        ).sum(axis=(0, 2, 3))
        for i in (2, 3)
    ]
    return output, pad_edges_adjoint(back, (height, width)), *tables


def check(case: Case, dtype: str, device: str = "cpu") -> None:
    features, q, alpha, weight, support = case
    kind = getattr(torch, dtype)
    layer = FeatureQuantizer(
        features.shape[1], torch.tensor(q, dtype=kind), torch.tensor(alpha, dtype=kind), **support
    ).to(device)
    layer.alpha.requires_grad_()  # a buffer, whose gradient the reference knows
    x = torch.tensor(features, dtype=kind, device=device, requires_grad=True)
    got = layer(x)
    assert got.dtype == kind
    got.backward(torch.tensor(weight, dtype=kind, device=device))
    output = feature_quantizer(features, q, alpha, **support)
    gradients = feature_quantizer_vjp(features, q, alpha, weight, **support)
    ours = (got.detach(), x.grad, layer.q.grad, layer.alpha.grad)
    names = ("output", "feature gradient", "q gradient", "alpha gradient")
    for name, mine, want, allowed in zip(
        names, ours, (output, *gradients), bounds(case, dtype), strict=True
    ):
        error = np.abs(mine.cpu().double().numpy() - want)
        worst = np.unravel_index(np.argmax(error / allowed), error.shape)
        assert (error <= allowed).all(), (
            f"{name} at {worst}: off by {error[worst]:.3g}, allowed {allowed[worst]:.3g}"
        )


@settings(max_examples=40)
@given(cases("float32"))
def test_float32_is_the_reference(case):
    check(case, "float32")


@settings(max_examples=40)
@given(cases("float64"))
def test_float64_is_the_reference(case):
    check(case, "float64")


@pytest.mark.gpu
@settings(max_examples=15)
@given(cases("float32"))
def test_float32_on_a_gpu_is_the_reference(case):
    check(case, "float32", "cuda")


def test_the_masked_layer_is_the_masked_reference():
    rng = np.random.default_rng(0)
    features, q = rng.normal(size=(2, 3, 11, 9)), rng.uniform(0.8, 1.2, (3, 8, 8))
    weight = rng.normal(size=features.shape)
    for window in (3, 5):
        layer = FeatureQuantizer(3, torch.from_numpy(q), 0.9, window=window)
        x = torch.from_numpy(features).requires_grad_()
        layer(x).backward(torch.from_numpy(weight))
        alpha = np.full(q.shape, 0.9)
        support = {"max_level": 31, "window": window}
        want = feature_quantizer(features, q, alpha, **support)
        grads = feature_quantizer_vjp(features, q, alpha, weight, **support)
        # Float64, numbers up to 30; no coefficient is within rounding of a jump.
        got = layer(x).detach().numpy()
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)
        np.testing.assert_allclose(x.grad.numpy(), grads.image, rtol=0, atol=1e-12)
        np.testing.assert_allclose(layer.q.grad.numpy(), grads.q, rtol=0, atol=1e-11)


def test_what_the_paper_sets_is_the_default():
    layer = FeatureQuantizer(64)
    assert layer.max_level == LEVELS_OF_THE_PAPER == max_level_from_bits(6)
    assert layer.q.shape == (64, 8, 8)
    assert layer.alpha.unique().tolist() == [2.0]
    assert sum(p.numel() for p in layer.parameters()) == 64 * 64


def test_channels_and_examples_do_not_mix_and_have_tables_of_their_own():
    x = torch.randn(3, 4, 16, 16)
    layer = FeatureQuantizer(4)
    with torch.no_grad():
        layer.q.copy_(torch.rand(4, 8, 8) + 0.5)
    whole = layer(x)
    for c in range(4):
        alone = FeatureQuantizer(1, layer.q[c : c + 1])
        for n in range(3):
            one = alone(x[n : n + 1, c : c + 1])
            # The same operations in a batch of another size: float32 rounding of numbers up to 5.
            torch.testing.assert_close(whole[n, c], one[0, 0], rtol=0, atol=64 * 2.0**-23)


def test_any_range_without_an_offset():
    # Scaling features and steps alike, by a power of two, is exact; a layer shift would show.
    x = torch.randn(2, 3, 17, 9)
    want = FeatureQuantizer(3, 1.0, 2.0)(x)
    for s in (2.0**-12, 2.0**7):
        assert torch.equal(FeatureQuantizer(3, s, 2.0 / s**2)(s * x), s * want)
    assert not FeatureQuantizer(3)(torch.zeros(1, 3, 8, 8)).any()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_nan_or_infinite_entry_spoils_its_own_block(bad):
    x = torch.randn(2, 3, 19, 21)
    x[1, 2, 9, 17] = bad
    x.requires_grad_()
    layer = FeatureQuantizer(3)
    out = layer(x)
    spoilt = torch.zeros_like(x, dtype=torch.bool)
    spoilt[1, 2, 8:16, 16:24] = True
    assert torch.equal(out.isnan(), spoilt)
    out.sum().backward()
    assert torch.equal(x.grad.isnan(), spoilt)
    reference = feature_quantizer(
        x.detach().double().numpy(), np.ones((3, 8, 8)), np.full((3, 8, 8), 2.0), max_level=31
    )
    assert np.array_equal(np.isnan(reference), spoilt.numpy())
    assert bool(layer.q.grad[2].isnan().all())
    assert not layer.q.grad[:2].isnan().any()


def test_gradcheck():
    x = torch.randn(1, 2, 3, 9, dtype=torch.float64, requires_grad=True)
    layer = FeatureQuantizer(2, torch.rand(2, 8, 8, dtype=torch.float64) + 0.8)

    def of_both(features: Tensor, q: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"q": q}, (features,))

    layer.eval()
    assert torch.autograd.gradcheck(of_both, (x, layer.q.detach().requires_grad_()), atol=1e-6)


# As a module


def test_training_moves_q_back_and_says_so():
    layer = FeatureQuantizer(2)
    x = torch.randn(1, 2, 8, 8)
    with torch.no_grad():
        layer.q[0, 0, :2] = torch.tensor([-1.0, 300.0])
    layer.eval()
    assert torch.isfinite(layer(x)).all()
    assert layer.clamp_count == 0
    layer.train()
    with pytest.warns(TableClampWarning, match="2 of 128 entries of q") as caught:
        layer(x)
    assert caught[0].filename == __file__
    assert layer.clamp_count == 2
    assert layer.q[0, 0, :2].tolist() == [pytest.approx(1e-5), 255.0]


def test_a_window_far_from_the_full_space_is_told_of_once():
    with pytest.warns(MaskedWindowWarning, match="alpha q\\^2 = 0.7") as caught:
        layer = FeatureQuantizer(1, 1.0, 0.7, window=5)
    assert caught[0].filename == __file__
    layer(torch.randn(1, 1, 8, 8))  # warnings are errors here: no second one
    later = FeatureQuantizer(1, 1.0, 2.0, window=5)
    with torch.no_grad():
        later.q.fill_(0.5)
    with pytest.warns(MaskedWindowWarning, match="alpha q\\^2 = 0.5") as caught:
        later(torch.randn(1, 1, 8, 8))
    assert caught[0].filename == __file__
    later(torch.randn(1, 1, 8, 8))


def test_state_and_copies():
    layer = FeatureQuantizer(2, torch.rand(2, 8, 8) + 0.5, 1.5)
    assert sorted(layer.state_dict()) == ["alpha", "q"]
    other = FeatureQuantizer(2)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(1, 2, 9, 9)
    assert torch.equal(other(x), layer(x))
    assert torch.equal(copy.deepcopy(layer)(x), layer(x))
    with pytest.raises(RuntimeError, match="q holds NaN or infinity"):
        layer.load_state_dict({**layer.state_dict(), "q": torch.full((2, 8, 8), math.nan)})
    with pytest.raises(RuntimeError, match="size mismatch for q"):
        layer.load_state_dict(FeatureQuantizer(3).state_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_compute_in_float32(dtype):
    layer = FeatureQuantizer(2)
    x = torch.randn(1, 2, 9, 9).to(dtype)
    assert torch.equal(layer(x), layer(x.float()).to(dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(x.float()), layer(x.float()))
        assert layer(x.float()).dtype == torch.float32
    plain = layer(x.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(x.float()), plain)


def test_compiles_without_a_break():
    layer = FeatureQuantizer(2)
    x = torch.randn(1, 2, 11, 9)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    # Float32 rounding of numbers up to 5, h = 2.
    torch.testing.assert_close(compiled(x), layer(x), rtol=0, atol=256 * 2.0**-23)


def test_it_trains():
    # Least squares onto what other steps made: 100 steps of Adam take the loss down by a factor of
    # 50,000 (measured), 100 will do.
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 2, 32, 32, generator=generator)
    target = FeatureQuantizer(2, 1.3)(x).detach()
    layer = FeatureQuantizer(2, 1.0)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
    losses = []
    for _ in range(100):
        loss = (layer(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.01 * losses[0]


# In a network


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU()), nn.Conv2d(5, 1, 1)
    )


def test_replace_relu():
    model = network().eval()
    new = replace_relu(model, "0.2", 5, q=0.5, max_level=15)
    assert model[0][2] is new
    assert isinstance(new, FeatureQuantizer)
    assert (new.channels, new.max_level, new.q[0, 0, 0].item()) == (5, 15, 0.5)
    assert not new.training
    assert "0.2.q" in model.state_dict()
    model.train()(torch.randn(2, 3, 12, 12)).sum().backward()
    assert new.q.grad.abs().sum() > 0
    top = nn.Sequential(nn.ReLU())
    replace_relu(top, "0", 2)
    assert top(torch.randn(1, 2, 4, 4)).shape == (1, 2, 4, 4)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("0.3", ValueError, "got '0.3'; did you mean '0.2'"),
        ("relu", ValueError, "must be that of an nn.ReLU of the model, got 'relu'"),
        ("", ValueError, "got ''; did you mean '0.2'"),
        ("0.1", TypeError, "'0.1' is a BatchNorm2d"),
    ],
)
def test_replace_what_is_no_relu(name, error, message):
    with pytest.raises(error, match=message):
        replace_relu(network(), name, 5)
    with pytest.raises(ValueError, match=r"it has no nn.ReLU at all"):
        replace_relu(nn.Conv2d(1, 1, 1), "relu", 5)


# Wrong input


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0,), {}, ValueError, "channels must be at least 1"),
        ((2.0,), {}, TypeError, "channels must be an integer"),
        ((2, torch.ones(3, 8, 8)), {}, ValueError, r"q must have shape \(2, 8, 8\) .*channel"),
        ((2, torch.ones(8, 8)), {}, ValueError, r"q must have shape \(2, 8, 8\)"),
        ((2, -1.0), {}, ValueError, "q must be positive and finite"),
        ((2, 300.0), {}, ValueError, "q must lie in"),
        ((2, "1"), {}, TypeError, "q must be a number or a table"),
        ((2, 1.0, 0.0), {}, ValueError, "alpha must be positive and finite"),
        ((2, 1.0, torch.ones(2, 8)), {}, ValueError, r"alpha must have shape \(2, 8, 8\)"),
        ((2,), {"max_level": 0}, ValueError, "max_level must be at least 1"),
        ((2,), {"window": 4}, ValueError, "window must be None .* or odd"),
        ((2,), {"window": 9, "max_level": 3}, ValueError, "window must not exceed the 7 levels"),
    ],
)
def test_wrong_options(arguments, options, error, message):
    with pytest.raises(error, match=message):
        FeatureQuantizer(*arguments, **options)


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (np.zeros((1, 2, 8, 8)), TypeError, "features must be a torch.Tensor, got ndarray"),
        (torch.zeros(1, 2, 8, 8).int(), TypeError, "features must be a floating-point tensor"),
        (torch.zeros(1, 3, 8, 8), ValueError, r"shape \(N, 2, H, W\).* got \(1, 3, 8, 8\)"),
        (torch.zeros(2, 8, 8), ValueError, r"shape \(N, 2, H, W\)"),
        (torch.zeros(0, 2, 8, 8), ValueError, "none of them 0"),
        (torch.zeros(1, 2, 0, 8), ValueError, "none of them 0"),
    ],
)
def test_wrong_features(features, error, message):
    with pytest.raises(error, match=message):
        FeatureQuantizer(2)(features)
