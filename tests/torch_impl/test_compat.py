"""The layer of the authors' code against its float64 twin, and what each quirk of it changes."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.tolerance import ambiguous_windows, tolerances, windowed
from reference import jpeg_dl_code as twin
from reference.blocks import pad_edges
from reference.sampling import downsample, upsample
from tests.strategies import Points, points
from tests.torch_impl._code_layer_bounds import Bounds, bounds
from torch_impl import TableClampWarning, compat
from torch_impl.compat import jpeg_dl_code_layer

BITS = {3: 3, 7: 4, 127: 8, 1023: 11}
TYPES = {"float32": torch.float32, "float64": torch.float64}


# The quantizer


def torch_partials(p: Points, dtype: str):
    z, q, alpha = (
        torch.tensor(a, dtype=TYPES[dtype], requires_grad=True) for a in (p.z, p.q, p.alpha)
    )
    value = compat._Quantize.apply(z, q, alpha, p.max_level)
    value.sum().backward()
    return np.array([t.detach().double().numpy() for t in (value, z.grad, q.grad, alpha.grad)])


@pytest.mark.parametrize("dtype", TYPES)
@given(data=st.data())
@settings(max_examples=60)
def test_quantizer_is_the_twins_to_rounding(data, dtype):
    p = data.draw(points(levels=st.sampled_from(sorted(BITS)), dtype=dtype))._replace(window=5)
    got = torch_partials(p, dtype)
    expected = np.array(twin.quantize_code_partials(p.z, p.q, p.alpha, bits=BITS[p.max_level]))
    tolerance = np.array(tolerances(p.z, p.q, p.alpha, **p.support, dtype=dtype))
    # The twin's own float64 softmax over levels i q loses eps |z| in each exponent.
    noise = np.array(tolerances(p.z, p.q, p.alpha, **p.support, dtype="float64"))
    good = np.abs(got - expected) <= tolerance + noise
    # Where rounding z/q may pick either of two windows, either is right.
    support = {"max_level": p.max_level, "window": 5, "dtype": dtype}
    either, *centres = ambiguous_windows(p.z, p.q, **support)
    tie = np.abs(np.abs(p.z / p.q) % 1 - 0.5) < 1e-12  # the oracles know of half-up only
    for centre in centres:
        expected_2, tolerance_2 = windowed(p.z, p.q, p.alpha, centre, **support)
        good |= (either & ~exact_quotient(p, dtype) | tie & either) & (
            np.abs(got - expected_2) <= tolerance_2
        )
    assert good.all(), (p, got, expected, tolerance)


def exact_quotient(p: Points, dtype: str):
    """Where z / q comes out of the division as it went in: no window but one is right."""
    return (np.asarray(p.z, dtype) / np.asarray(p.q, dtype)).astype(float) * p.q == p.z


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("q", [0.25, 1.0, 3.0])
def test_ties_go_to_the_even_level(dtype, q):
    # At h = 0.3 the two windows differ by 0.13 q; 3 (n + 1/2) / 3 is exact in both types.
    level = np.arange(-6, 6.0)
    z = (level + 0.5) * q
    p = Points(z, np.full(12, q), np.full(12, 0.3 / q**2), 127, 5)
    even = level + (level % 2)
    half_up = level + 1
    support = {"max_level": 127, "window": 5, "dtype": dtype}
    value, *_ = torch_partials(p, dtype)
    (expected, *_), (tolerance, *_) = windowed(p.z, p.q, p.alpha, even, **support)
    assert (np.abs(value - expected) <= tolerance).all()
    (other, *_), _ = windowed(p.z, p.q, p.alpha, half_up, **support)
    assert (np.abs(value - other)[even != half_up] > 0.1 * q).all()


# The layer


def case(seed, size, bits, dtype="float64"):
    """Image, tables with h over a decade, and output weights, exact in `dtype`."""
    rng = np.random.default_rng(seed)
    image = rng.uniform(0, 255, (size[0], 3, *size[1:]))
    q = rng.uniform(2, 40, (2, 8, 8))  # 7 levels of any of these saturate, 255 hardly
    alpha = 10 ** rng.uniform(-0.3, 0.7, (2, 8, 8)) / q**2
    arrays = (image, q, alpha, rng.normal(size=image.shape))
    return [a.astype(dtype).astype(np.float64) for a in arrays]


def run(image, q, alpha, weight, *, bits, dtype="float64", **options):
    """Output and gradients of the torch layer."""
    kind = TYPES[dtype]
    layer = jpeg_dl_code_layer(
        torch.tensor(q, dtype=kind),
        torch.tensor(alpha, dtype=kind),
        bits=bits,
        trainable_alpha=True,
        **options,
    )
    x = torch.tensor(image, dtype=kind, requires_grad=True)
    out = layer(x)
    assert out.dtype == kind
    (out * torch.tensor(weight, dtype=kind)).sum().backward()
    grads = (out.detach(), x.grad, layer.q.grad, layer.alpha.grad)
    return Bounds(*(t.double().numpy() for t in grads))


def expected_of(image, q, alpha, weight, *, bits):
    grads = twin.jpeg_dl_code_vjp(image, q, alpha, weight, bits=bits)
    return Bounds(twin.jpeg_dl_code(image, q, alpha, bits=bits), *grads)


def excess(got: Bounds, expected: Bounds, allowed: Bounds) -> dict[str, float]:
    """Largest error of each output, in units of what is allowed."""
    return {
        name: float((np.abs(a - b) / c).max())
        for name, a, b, c in zip(Bounds._fields, got, expected, allowed, strict=True)
    }


SIZES = [(2, 8, 8), (1, 16, 24), (2, 13, 11), (1, 1, 1), (1, 9, 40)]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("bits", [3, 8, 11])
@pytest.mark.parametrize("size", SIZES)
def test_output_and_gradients_are_the_twins_to_rounding(size, bits, dtype):
    arrays = case(sum(size), size, bits, dtype)
    got = run(*arrays, bits=bits, dtype=dtype)
    found = excess(got, expected_of(*arrays, bits=bits), bounds(*arrays, bits=bits, dtype=dtype))
    assert max(found.values()) <= 1, found


@pytest.mark.parametrize("bits", [8, 11])
def test_a_photograph_agrees_in_float32(bits):
    data = pytest.importorskip("skimage.data")
    image = np.moveaxis(data.astronaut()[100:161, 180:250], -1, 0)[None].astype(np.float64)
    _, q, alpha, _ = case(0, (1, 8, 8), bits, "float32")
    weight = np.random.default_rng(1).normal(size=image.shape).astype("float32").astype(float)
    arrays = image, q, alpha, weight
    got = run(*arrays, bits=bits, dtype="float32")
    expected = expected_of(*arrays, bits=bits)
    found = excess(got, expected, bounds(*arrays, bits=bits, dtype="float32"))
    assert max(found.values()) <= 1, found
    # The bounds are no blank cheque: a thousandth of a grey level, but at the rare coefficient
    # next to a tie, where the window may be either.
    assert np.quantile(np.abs(got.output - expected.output), 0.99) < 1e-3


@pytest.mark.parametrize("rounds", [2, 3])
def test_rounds_follow_each_other(rounds):
    image, _, _, weight = case(5, (2, 13, 11), 8)
    pairs = [case(i, (1, 8, 8), 8)[1:3] for i in range(rounds)]
    q, alpha = (np.stack(tables) for tables in zip(*pairs, strict=True))
    got = run(image, q, alpha, weight, bits=8, rounds=rounds)
    expected = expected_of(image, q, alpha, weight, bits=8)
    for a, b in zip(got, expected, strict=True):
        # A round amplifies by at most h/2 < 3; 1e-12 of a coefficient in float64 becomes 1e-11,
        # and the partials, up to q^3, are 1e5 larger.
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-7)


# Each quirk matters: the twin without it is no longer what the layer computes


def _half_up(ratio):
    return np.floor(ratio + 0.5)


def _clip(z, size, synthesize=twin._synthesize):
    return synthesize(z, size).clip(0, 255)


def _subsampled(image, analyse=twin._analyse):
    planes = twin.merge_blocks(analyse(image))
    chroma = upsample(downsample(planes[:, 1:], (2, 2)), (2, 2))
    return twin.dct2(twin.split_blocks(np.concatenate([planes[:, :1], chroma], axis=1)))


QUIRKS = {
    "chroma offset": ("CHROMA_OFFSET", 0.0),
    "zero padding": ("_pad", lambda plane: pad_edges(plane, (8, 8))),
    "lowest and highest level": ("_max_level", lambda bits: 2 ** (bits - 1)),
    "window inside the levels": ("_first_level", lambda nearest, max_level: nearest - 2),
    "window of five": ("WINDOW", 3),
    "window centred": ("_first_level", lambda r, top: np.clip(r - 1, -top, top - 4)),
    "no clipping": ("_synthesize", _clip),
    "no chroma subsampling": ("_analyse", _subsampled),
    "one table for both chromas": (
        "_quantize",
        lambda z, q, alpha, bits: twin.quantize_code_partials(
            z, q[[0, 1, 0], None, None], alpha[[0, 1, 0], None, None], bits=bits
        ),
    ),
}


@pytest.mark.parametrize("quirk", QUIRKS)
def test_without_a_quirk_the_twin_is_another_layer(quirk, monkeypatch):
    arrays = case(3, (1, 13, 11), 5)
    got, allowed = run(*arrays, bits=5), bounds(*arrays, bits=5, dtype="float64")
    assert excess(got, expected_of(*arrays, bits=5), allowed)["output"] <= 1
    monkeypatch.setattr(twin, *QUIRKS[quirk])
    try:
        other = twin.jpeg_dl_code(arrays[0], *arrays[1:3], bits=5)
    finally:
        monkeypatch.undo()
    # Not an accident of rounding: by more than a hundredth of a grey level.
    assert np.abs(got.output - other).max() > 1e-2


def chroma_at_a_tie(level: float) -> np.ndarray:
    """Colour of a grey image whose chroma DC coefficients, 4, are half a step of 8, at h = 0.3.

    The window is centred on `level`. Every other coefficient is 0, and so is its quantizer.
    """
    z, q, alpha, centre = (np.array([x]) for x in (4.0, 8.0, 0.3 / 64, level))
    (value, *_), _ = windowed(z, q, alpha, centre, max_level=127, window=5, dtype="float64")
    chroma = (value.item() - 4) / 8  # of a sample
    return 128 + twin.ycbcr_to_rgb(np.array([0, chroma, chroma])[:, None, None]).ravel()


def test_without_half_to_even_the_layer_is_another():
    # The step is twice the very coefficient that the layer computes, 4 but for rounding.
    halves = torch.full((1, 1, 8, 8), 0.5, dtype=torch.float64)
    step = 2 * compat.transforms.dct(halves).flatten()[0].item()
    q = np.full((2, 8, 8), step)
    image = np.full((1, 3, 8, 8), 128.0)
    got = run(image, q, 0.3 / q**2, np.zeros_like(image), bits=8).output
    np.testing.assert_allclose(got[0, :, 0, 0], chroma_at_a_tie(0.0), atol=1e-9)  # rounding of 128
    assert np.abs(chroma_at_a_tie(1.0) - chroma_at_a_tie(0.0)).max() > 0.1


def test_levels_carry_no_gradient():
    # Inside one window the output is smooth, so a difference quotient sees no moving level.
    image, q, alpha, weight = case(9, (1, 8, 8), 8)
    grad = run(image, q, alpha, weight, bits=8)
    direction = np.random.default_rng(2).normal(size=image.shape)
    step = 1e-5

    def loss(x):
        return float((twin.jpeg_dl_code(x, q, alpha, bits=8) * weight).sum())

    slope = (loss(image + step * direction) - loss(image - step * direction)) / (2 * step)
    # Central difference: 1e-5^2 times third derivatives of order 1e2, and 1e-11 / 1e-5 rounding.
    np.testing.assert_allclose((grad.image * direction).sum(), slope, rtol=1e-5, atol=1e-4)


# The module


def test_output_range():
    image = torch.rand(1, 3, 9, 9, dtype=torch.float64) * 255
    pixels = jpeg_dl_code_layer(60.0, 0.01)(image)
    unit = jpeg_dl_code_layer(60.0, 0.01, unit_range=True)(image)
    assert torch.equal(unit, pixels / 255)
    assert pixels.max() > 255 or pixels.min() < 0  # never clipped


@pytest.mark.parametrize("hbar", [0.7, 0.5])
def test_hbar_matching(hbar):
    q = torch.linspace(1, 255, 128).reshape(2, 8, 8)
    layer = jpeg_dl_code_layer(q, hbar=hbar, bits=11)
    image = torch.rand(1, 3, 16, 16) * 255
    layer(image).sum().backward()
    _, alpha = layer.tables()
    # At q = 255 0.5 / q^2 is 7.7e-6: the code keeps alpha at 1e-5.
    expected = (hbar / q**2).clamp(min=1e-5)
    assert torch.equal(alpha[0], expected)
    assert bool((hbar / q**2 < 1e-5).any()) is (hbar == 0.5)
    assert not layer.alpha.requires_grad
    by_number = jpeg_dl_code_layer(q, expected, bits=11)
    by_number(image).sum().backward()
    # A constant for the gradient.
    assert torch.equal(by_number.q.grad, layer.q.grad)
    assert float(layer.q.grad.abs().max()) > 0


def test_trained_alpha_stays_above_its_limit():
    layer = jpeg_dl_code_layer(2.0, 5.0, trainable_alpha=True)
    with torch.no_grad():
        layer.alpha[0, 3, 3] = 3e-6  # above the limit of JPEGLayer, below the code's
        layer.q[1, 2, 2] = 300.0
    image = torch.rand(1, 3, 8, 8) * 255
    quiet = layer.eval()(image)
    assert float(layer.alpha[0, 3, 3].detach()) == pytest.approx(3e-6)
    layer.train()
    with pytest.warns(TableClampWarning):
        loud = layer(image)
    assert torch.equal(quiet, loud)
    assert float(layer.alpha[0, 3, 3].detach()) == pytest.approx(1e-5)
    assert float(layer.q[1, 2, 2].detach()) == 255
    assert int(layer.clamp_count) == 2
    loud.square().sum().backward()
    assert float(layer.alpha.grad[0, 3, 3]) != 0  # straight through the clamp


def test_nothing_is_said_of_masking():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer = jpeg_dl_code_layer(1.0, hbar=0.7, bits=11)
        layer(torch.rand(1, 3, 8, 8) * 255)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_computes_in_float32(dtype):
    image = (torch.rand(1, 3, 10, 10) * 255).to(dtype)
    layer = jpeg_dl_code_layer(3.0, 5.0)
    assert torch.equal(layer(image), layer(image.float()).to(dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = layer(image.float())
    assert torch.equal(inside, layer(image.float()))


def test_state_is_that_of_a_jpeg_layer():
    layer = jpeg_dl_code_layer(torch.rand(2, 8, 8) * 9 + 1, 5.0)
    other = jpeg_dl_code_layer(1.0, 1.0)
    other.load_state_dict(layer.state_dict())
    image = torch.rand(1, 3, 8, 8) * 255
    assert torch.equal(layer(image), other(image))
    assert sorted(layer.state_dict()) == ["alpha", "q"]
    assert [name for name, _ in layer.named_parameters()] == ["q"]
    assert "unit_range=False" in repr(layer)


def test_training_moves_the_tables():
    torch.manual_seed(3)
    layer = jpeg_dl_code_layer(20.0, hbar=2.0)
    image = torch.rand(4, 3, 16, 16) * 255
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.5)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = (layer(image) - image).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    # Finer steps lose less.
    assert all(later < earlier for earlier, later in pairwise(losses))


def test_a_missing_value_spoils_its_block_only():
    image = torch.rand(1, 3, 16, 16) * 255
    spoilt = image.clone()
    spoilt[0, 0, 9, 3] = float("nan")
    layer = jpeg_dl_code_layer(3.0, 5.0)
    out = layer(spoilt)
    where = torch.zeros(1, 3, 16, 16, dtype=torch.bool)
    where[..., 8:, :8] = True
    assert torch.equal(torch.isnan(out), where)
    assert torch.equal(out[~where], layer(image)[~where])


def test_second_derivatives_are_refused():
    image = torch.rand(1, 3, 8, 8, requires_grad=True)
    out = jpeg_dl_code_layer(3.0, 5.0)(image * 255).square().sum()
    (grad,) = torch.autograd.grad(out, image, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"q": 1.0}, ValueError, "alpha is missing"),
        ({"q": 1.0, "alpha": 5.0, "hbar": 0.7}, ValueError, "hbar=0.7 sets alpha"),
        ({"q": 1.0, "alpha": 5.0, "bits": 2}, ValueError, "bits must be at least 3"),
        ({"q": 1.0, "alpha": 5.0, "bits": 8.0}, TypeError, "bits must be an integer"),
        ({"q": 300.0, "alpha": 5.0}, ValueError, "q must lie in"),
        ({"q": torch.ones(8, 8), "alpha": 5.0}, ValueError, "q must have shape"),
        ({"q": 1.0, "alpha": 0.0}, ValueError, "alpha must be positive"),
        ({"q": 1.0, "alpha": 5.0, "unit_range": 1}, TypeError, "unit_range must be"),
        ({"q": 1.0, "alpha": 5.0, "rounds": 0}, ValueError, "rounds must be at least 1"),
    ],
)
def test_wrong_options_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        jpeg_dl_code_layer(**arguments)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (torch.zeros(3, 8, 8), ValueError, "image must be RGB"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, "image must be floating"),
        (torch.zeros(1, 3, 0, 8), ValueError, "at least one pixel"),
        (np.zeros((1, 3, 8, 8)), TypeError, "image must be a torch.Tensor"),
    ],
)
def test_wrong_images_are_named(image, error, message):
    with pytest.raises(error, match=message):
        jpeg_dl_code_layer(1.0, 5.0)(image)
