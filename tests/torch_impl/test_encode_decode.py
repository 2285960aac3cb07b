"""The layer as one operator: its parts, its adjoints, and what torch asks of an operator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.layer.bounds import layer_bounds
from reference.jpeg_layer import jpeg_layer, jpeg_layer_vjp
from reference.standard import SUBSAMPLINGS
from torch_impl import adjoints, transforms
from torch_impl.encode_decode import encode_decode
from torch_impl.kernels.cpu_blocks import tiles

FACTORS = sorted(SUBSAMPLINGS.values())
NAMES = {factors: name for name, factors in SUBSAMPLINGS.items()}


def case(shape, rounds, seed, hardness=(0.5, 20.0)):
    """Image and tables whose h = alpha q^2 spreads over `hardness`."""
    rng = np.random.default_rng(seed)
    image = rng.uniform(0, 255, (shape[0], 3, *shape[1:])).astype(np.float32)
    q = rng.uniform(1, 20, (rounds, 2, 8, 8)).astype(np.float32)
    h = np.exp(rng.uniform(*np.log(hardness), q.shape))
    alpha = (h / q**2).astype(np.float32)
    grad = rng.standard_normal(image.shape).astype(np.float32)
    return image, q, alpha, grad


def run(image, q, alpha, grad, *, dtype, **options):
    leaves = [torch.tensor(x, dtype=dtype, requires_grad=True) for x in (image, q, alpha)]
    out = encode_decode(*leaves, **options)
    out.backward(torch.tensor(grad, dtype=dtype))
    return out.detach().double().numpy(), [x.grad.double().numpy() for x in leaves]


@settings(max_examples=25)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)),
    rounds=st.integers(1, 3),
    factors=st.sampled_from(FACTORS),
    options=st.sampled_from([(127, None), (31, 5), (7, None), (2, 5), (15, 9)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_fused_layer_is_the_reference_in_float64(shape, rounds, factors, options, seed):
    arrays = case(shape, rounds, seed)
    level, window = options
    wide = [x.astype(np.float64) for x in arrays]
    support = {"max_level": level, "window": window, "subsampling": NAMES[factors]}
    expected = jpeg_layer(*wide[:3], **support)
    gradients = jpeg_layer_vjp(*wide, **support)
    bounds = layer_bounds(*wide, **support, dtype="float32")
    out, got = run(*arrays, dtype=torch.float32, max_level=level, window=window, factors=factors)
    assert np.all(np.abs(out - expected) <= bounds.output)
    for one, exact, bound in zip(got, gradients, bounds.gradients, strict=True):
        assert np.all(np.abs(one - exact.reshape(one.shape)) <= bound.reshape(one.shape))


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize("window", [None, 5])
def test_float64_is_the_reference(factors, window):
    arrays = [x.astype(np.float64) for x in case((2, 19, 25), 2, 3)]
    support = {"max_level": 31, "window": window, "subsampling": NAMES[factors]}
    expected, gradients = jpeg_layer(*arrays[:3], **support), jpeg_layer_vjp(*arrays, **support)
    out, got = run(*arrays, dtype=torch.float64, max_level=31, window=window, factors=factors)
    # 1e-10 of the largest: eps64 times a conditioning of h z / q of some thousands.
    for one, exact in zip([out, *got], [expected, *gradients], strict=True):
        exact = exact.reshape(one.shape)
        assert np.abs(one - exact).max() <= 1e-10 * np.abs(exact).max()


@pytest.mark.parametrize("shape", [(66, 16, 16), (1, 8, 2060), (1, 400, 48), (2, 100, 98)])
def test_batches_of_many_tiles(shape):
    # More blocks than a tile: whole images, parts of a row of blocks, several rows.
    arrays = case(shape, 1, 4)
    wide = [x.astype(np.float64) for x in arrays]
    assert len(tiles(*shape)) > 1
    support = {"max_level": 127, "window": None, "subsampling": "4:4:4"}
    bounds = layer_bounds(*wide, **support, dtype="float32")
    out, got = run(*arrays, dtype=torch.float32, max_level=127)
    assert np.all(np.abs(out - jpeg_layer(*wide[:3], **support)) <= bounds.output)
    for one, exact, bound in zip(
        got, jpeg_layer_vjp(*wide, **support), bounds.gradients, strict=True
    ):
        assert np.all(np.abs(one - exact.reshape(one.shape)) <= bound.reshape(one.shape))


def test_soft_steps_near_the_ends():
    # Saturated coefficients at h < 0.4: those that the row kernels leave to the slow path,
    # in the first and the second round.
    arrays = case((1, 24, 24), 2, 5, hardness=(1e-3, 0.3))
    wide = [x.astype(np.float64) for x in arrays]
    support = {"max_level": 3, "window": None, "subsampling": "4:4:4"}
    bounds = layer_bounds(*wide, **support, dtype="float32")
    out, got = run(*arrays, dtype=torch.float32, max_level=3)
    assert np.all(np.abs(out - jpeg_layer(*wide[:3], **support)) <= bounds.output)
    for one, exact, bound in zip(
        got, jpeg_layer_vjp(*wide, **support), bounds.gradients, strict=True
    ):
        assert np.all(np.abs(one - exact.reshape(one.shape)) <= bound.reshape(one.shape))


@given(
    images=st.integers(1, 300),
    height=st.integers(1, 2000),
    width=st.integers(1, 2000),
)
def test_tiles_cover_every_block_once(images, height, width):
    images = min(images, 1 + 200_000 // (height * width))
    down, across = -(-height // 8), -(-width // 8)
    seen = np.zeros((images, down, across), int)
    for tile in tiles(images, height, width):
        seen[tile.images, tile.rows, tile.columns] += 1
        assert tile.size == seen[tile.images, tile.rows, tile.columns].size <= 256
    assert np.all(seen == 1)


ADJOINTS = [
    (transforms.rgb_to_ycbcr, adjoints.rgb_to_ycbcr_adjoint),
    (transforms.ycbcr_to_rgb, adjoints.ycbcr_to_rgb_adjoint),
    (lambda x: transforms.pad_to_multiple(x, 8, 16), lambda g: adjoints.pad_adjoint(g, 18, 14)),
    (lambda x: transforms.pad_to_multiple(x, 2, 7), lambda g: adjoints.pad_adjoint(g, 18, 14)),
    (lambda g: g[..., :18, :14], lambda x: adjoints.crop_adjoint(x, 8, 8)),
    *(
        (
            lambda x, f=f: transforms.downsample(x, f),
            lambda g, f=f: adjoints.downsample_adjoint(g, f),
        )
        for f in FACTORS
    ),
    *(
        (lambda x, f=f: transforms.upsample(x, f), lambda g, f=f: adjoints.upsample_adjoint(g, f))
        for f in FACTORS
    ),
]


@pytest.mark.parametrize(("step", "adjoint"), ADJOINTS)
def test_adjoints(step, adjoint):
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, 24, 16) if step is ADJOINTS[4][0] else (2, 3, 18, 14)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    y = torch.randn(step(x).shape, generator=generator, dtype=torch.float64)
    # <A x, y> = <x, A* y>, to the rounding of a sum of 3000 terms of size 1.
    torch.testing.assert_close((step(x) * y).sum(), (x * adjoint(y)).sum(), rtol=0, atol=1e-11)


def tensors(dtype=torch.float32, rounds=1, size=(1, 3, 9, 12)):
    generator = torch.Generator().manual_seed(2)
    image = 255 * torch.rand(size, generator=generator, dtype=dtype)
    q = 2 + 3 * torch.rand(rounds, 2, 8, 8, generator=generator, dtype=dtype)
    return image, q, 1 / q**2


OPERATOR_OPTIONS = [(15, 0, 1, 1), (15, 5, 2, 1), (7, 0, 2, 2)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("options", OPERATOR_OPTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opcheck(options, dtype):
    arguments = [x.requires_grad_() for x in tensors(dtype)]
    torch.library.opcheck(torch.ops.jpegdl.encode_decode.default, (*arguments, *options))
    grad = torch.ones_like(arguments[0])
    plain = [x.detach() for x in arguments]
    for needs in ([True, True, True], [False, True, False]):
        torch.library.opcheck(
            torch.ops.jpegdl.encode_decode_backward.default, (grad, *plain, *options, needs)
        )


@pytest.mark.parametrize("options", OPERATOR_OPTIONS)
def test_the_operator_has_the_gradient_of_the_function(options):
    level, window, *factors = options
    one, two = ([x.clone().requires_grad_() for x in tensors()] for _ in range(2))
    encode_decode(
        *one, max_level=level, window=window or None, factors=tuple(factors)
    ).square().sum().backward()
    torch.ops.jpegdl.encode_decode(*two, *options).square().sum().backward()
    for a, b in zip(one, two, strict=True):
        assert torch.equal(a.grad, b.grad)


@pytest.mark.parametrize("in_dims", [(0, None, None), (None, 1, 0), (2, 0, 0)])
def test_vmap_is_a_loop(in_dims):
    base = tensors()
    batched = [
        x if d is None else torch.stack([x, 1.5 * x, 0.7 * x], dim=d)
        for x, d in zip(base, in_dims, strict=True)
    ]

    def loss(image, q, alpha):
        return encode_decode(image, q, alpha, max_level=15).square().mean()

    def example(i):
        return [x if d is None else x.select(d, i) for x, d in zip(batched, in_dims, strict=True)]

    got = torch.func.vmap(torch.func.grad(loss, argnums=(0, 1, 2)), in_dims)(*batched)
    for i in range(3):
        expected = torch.func.grad(loss, argnums=(0, 1, 2))(*example(i))
        for a, b in zip(got, expected, strict=True):
            assert torch.equal(a[i], b)


def test_second_derivatives_are_refused_in_words():
    image, q, alpha = (x.requires_grad_() for x in tensors())
    (gradient,) = torch.autograd.grad(
        encode_decode(image, q, alpha, max_level=7).square().sum(), q, create_graph=True
    )
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        gradient.sum().backward()


@pytest.mark.parametrize("factors", FACTORS)
def test_layouts_and_dtypes(factors):
    image, q, alpha = tensors(size=(2, 3, 16, 24))
    options = {"max_level": 31, "factors": factors}
    expected = encode_decode(image, q, alpha, **options)
    for other in (
        image.contiguous(memory_format=torch.channels_last),
        torch.stack([image, image], dim=-1)[..., 1],
        image.flip(3).flip(3),
    ):
        assert torch.equal(encode_decode(other, q, alpha, **options), expected)
    spread = q[:, :, :1, :1].expand(1, 2, 8, 8)
    assert torch.equal(
        encode_decode(image, spread, alpha, **options),
        encode_decode(image, spread.contiguous(), alpha, **options),
    )
    one = image[:1].expand(2, 3, 16, 24)
    assert torch.equal(*encode_decode(one, q, alpha, **options))
    half = image.to(torch.bfloat16)
    decoded = encode_decode(half, q, alpha, **options)
    assert decoded.dtype == torch.bfloat16
    assert torch.equal(decoded, encode_decode(half.float(), q, alpha, **options).bfloat16())


def test_an_empty_batch():
    image, q, alpha = tensors(size=(0, 3, 16, 16))
    q.requires_grad_()
    out = encode_decode(image, q, alpha, max_level=7)
    out.sum().backward()
    assert out.shape == image.shape
    assert torch.equal(q.grad, torch.zeros_like(q))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": torch.zeros(3, 8, 8)}, r"image must be RGB .* got \(3, 8, 8\)"),
        ({"image": torch.zeros(1, 1, 8, 8)}, r"image must be RGB .* got \(1, 1, 8, 8\)"),
        ({"image": torch.zeros(1, 3, 0, 8)}, "image must have at least one pixel"),
        ({"q": torch.ones(2, 8, 8)}, r"q must have shape \(rounds, 2, 8, 8\)"),
        ({"alpha": torch.ones(2, 2, 8, 8)}, r"alpha must have shape .* the same as q"),
        ({"q": torch.zeros(1, 2, 8, 8)}, "q must be positive"),
        ({"alpha": torch.full((1, 2, 8, 8), torch.inf)}, "alpha must be positive and finite"),
    ],
)
def test_errors(change, message):
    arguments = dict(zip(("image", "q", "alpha"), tensors(), strict=True)) | change
    with pytest.raises(ValueError, match=message):
        encode_decode(**arguments, max_level=7)


def test_the_backward_checks_the_gradient():
    image, q, alpha = tensors()
    with pytest.raises(ValueError, match="grad must have the shape of image"):
        torch.ops.jpegdl.encode_decode_backward(
            image[:, :, 1:], image, q, alpha, 7, 0, 1, 1, [True, True, True]
        )
