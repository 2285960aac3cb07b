"""The kernels of differentiable JPEG against the torch operations that they stand for."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad

from benchmarks.memory import peak_bytes
from benchmarks.plain_diff_jpeg import plain_diff_jpeg
from reference import _diff_jpeg_steps as twin
from reference.layer_steps import Coefficients
from torch_impl import DiffJPEG, diff_jpeg
from torch_impl import _diff_jpeg_operators as operators
from torch_impl import _diff_jpeg_steps as steps

FACTORS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2), "4:4:0": (2, 1)}
SAMPLINGS = list(FACTORS)
KINDS = operators.ROUNDINGS
# Beyond one tile of 256 columns, and just at its end.
WIDE = [(3, 257), (9, 520), (17, 272), (2, 256)]

# Eight products in each of two passes of the DCT, a few more for colour and chroma: relative to the
# largest number of the result 1e-6 is 16 units in the last place of float32.
CLOSE = 1e-6

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40)) | st.sampled_from(WIDE)
cases = given(size=sizes, sampling=st.sampled_from(SAMPLINGS), seed=st.integers(0, 2**31))
runs = settings(max_examples=60)


def random_images(seed, count, height, width):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, height, width, generator=generator) * 340 - 40


def like(tensors, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed + 1)
    return [scale * torch.randn(t.shape, generator=generator) for t in tensors]


def assert_close(found, expected, tolerance=CLOSE):
    found, expected = found.detach().double(), torch.as_tensor(expected).detach().double()
    assert found.shape == expected.shape
    size = max(1.0, float(expected.abs().max()))
    assert float((found - expected).abs().max()) <= tolerance * size


def as_reference(luma, chroma):
    """(N, C, rows, 8, columns, 8) as the reference has blocks: (N, C, rows, columns, 8, 8)."""
    return Coefficients(*(z.transpose(3, 4).double().numpy() for z in (luma, chroma)))


# Linear steps, in themselves and in double precision


@cases
@runs
def test_encoding_is_that_of_torch_and_of_the_reference(size, sampling, seed):
    images, factors = random_images(seed, 2, *size), FACTORS[sampling]
    found = operators.encode(images, factors, False)
    for a, b in zip(found, steps.encode(images.double(), factors), strict=True):
        assert_close(a, b)
    expected = twin.encode(images.double().numpy(), factors)
    for a, b in zip(as_reference(*found), expected, strict=True):
        assert_close(torch.from_numpy(a), b)


@cases
@runs
def test_whole_pixels_are_coded_where_they_are_asked_for(size, sampling, seed):
    factors = FACTORS[sampling]
    # With halves, and beyond both ends.
    images = (random_images(seed, 1, *size) * 2).round() / 2
    whole = ((2 * images).floor() / 2).ceil().clamp(0, 255)
    for a, b in zip(
        operators.encode(images, factors, True),
        operators.encode(whole, factors, False),
        strict=True,
    ):
        assert torch.equal(a, b)


@cases
@runs
def test_decoding_is_that_of_torch_and_of_the_reference(size, sampling, seed):
    factors = FACTORS[sampling]
    z = like(operators.encode(random_images(seed, 2, *size), factors, False), seed, 90.0)
    plain = operators.decode(*z, factors, size, 1.0, False)
    assert_close(plain, steps.decode(*(x.double() for x in z), factors, size))
    assert_close(plain, twin.decode(as_reference(*z), factors, size))
    for slope in (0.0, 0.3):
        for true in (False, True):
            found = operators.decode(*z, factors, size, slope, true)
            options = {"slope": slope, "straight_through": true}
            assert_close(found, steps.decode(*(x.double() for x in z), factors, size, **options))


@cases
@runs
def test_gradients_of_the_linear_steps(size, sampling, seed):
    factors = FACTORS[sampling]
    images = random_images(seed, 2, *size).requires_grad_()
    z = operators.encode(images, factors, False)
    weights = like(z, seed)
    (found,) = torch.autograd.grad(z, images, weights)
    wide = images.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(
        steps.encode(wide, factors), wide, [w.double() for w in weights]
    )
    assert_close(found, expected)

    given_z = [x.requires_grad_() for x in like(z, seed + 2, 90.0)]
    wide_z = [x.detach().double().requires_grad_() for x in given_z]
    coded = operators.decode(*given_z, factors, size, 0.3, False)
    raw = steps.decode(*wide_z, factors, size)
    (weight,) = like([coded], seed + 3)
    # A pixel within rounding of 0 or 255 may lie on either side.
    weight[((raw.abs() < 1e-3) | ((raw - 255).abs() < 1e-3))] = 0
    found = torch.autograd.grad(coded, given_z, weight)
    expected = torch.autograd.grad(
        steps.decode(*wide_z, factors, size, slope=0.3), wide_z, weight.double()
    )
    for a, b in zip(found, expected, strict=True):
        assert_close(a, b)


@cases
@runs
def test_adjoints_are_adjoint(size, sampling, seed):
    """<A x, y> = <x, A^T y>, in the very numbers that the kernels give."""
    factors = FACTORS[sampling]
    images = random_images(seed, 1, *size) - 128
    zero = operators.encode(torch.zeros_like(images), factors, False)
    z = [a - b for a, b in zip(operators.encode(images, factors, False), zero, strict=True)]
    y = like(z, seed)
    back = operators._encode_adjoint_op(*y, *factors, *size)
    left = sum(float((a.double() * b.double()).sum()) for a, b in zip(z, y, strict=True))
    right = float((images.double() * back.double()).sum())
    # Sums of products whose errors are independent: relative to the product of the norms.
    bound = (
        CLOSE
        * float(sum(a.norm() ** 2 for a in z)) ** 0.5
        * float(sum(b.norm() ** 2 for b in y)) ** 0.5
    )
    # Taking off what -128 gives leaves the rounding of numbers of 1e3 behind.
    assert abs(left - right) <= bound + 1e-3 * len(y) * float(sum(b.norm() for b in y)) ** 0.5


# Quantization


@pytest.mark.parametrize("true", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 3])
def test_quantization_and_its_gradients(kind, true, count):
    for rows, columns in ((1, 1), (5, 7), (40, 33)):
        generator = torch.Generator().manual_seed(rows)
        z = torch.randn(3, 2, rows, 8, columns, 8, generator=generator) * 100
        tables = torch.rand(count, 8, 8, generator=generator) * 60 + 1
        weights = torch.randn(z.shape, generator=generator)
        x = z.double() / tables.double()[:, None, None, :, None]
        # Within rounding of a tie float32 may round the other way: values are 1e2 at most.
        tie = ((x - x.floor() - 0.5).abs() < 1e-4).broadcast_to(z.shape)
        z = torch.where(tie, z + 0.01 * tables[:, None, None, :, None], z)
        leaves = z.requires_grad_(), tables.requires_grad_()
        wide = [t.detach().double().requires_grad_() for t in leaves]
        found = operators.quantize(*leaves, kind, true)
        expected = operators.quantize_in_torch(*wide, kind, true)
        assert_close(found, expected)
        gradients = torch.autograd.grad(found, leaves, weights)
        judges = torch.autograd.grad(expected, wide, weights.double())
        # 3 d^2 has an absolute error of three times that of d, which is that of z / t: 1e2 eps.
        assert_close(gradients[0], judges[0], 1e-4)
        assert_close(gradients[1], judges[1], 1e-5)
        assert gradients[1].shape == (count, 8, 8)


@pytest.mark.parametrize("true", [False, True])
def test_ties_round_up(true):
    z = torch.zeros(1, 1, 1, 8, 1, 8)
    z.view(-1)[:6] = torch.tensor([0.5, -0.5, 1.5, -1.5, 2.5, -2.5]) * 4
    found = operators.quantize(z, torch.full((1, 8, 8), 4.0), "straight_through", true)
    assert found.view(-1)[:6].tolist() == [4, 0, 8, -4, 12, -8]


# The whole


def away_from_ties(images, tables, sampling):
    """Whether no coefficient over its step is near a tie, and no pixel near 0 or 255."""
    z = steps.encode(images.double(), FACTORS[sampling])
    for i, plane in enumerate(z):
        x = plane / tables[i].double()[None, None, None, :, None]
        if bool(((x - x.floor() - 0.5).abs() < 1e-5).any()):
            return False
    return True


@pytest.mark.parametrize("straight_through", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_single_and_double_precision_agree(sampling, kind, straight_through):
    checked = 0
    for seed, size in enumerate([(1, 1), (1, 9), (13, 3), (17, 19), (24, 33)]):
        images = random_images(seed, 2, *size).clamp(0, 255)
        tables = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(seed)) * 60 + 8
        tables = tables.round() + 0.3
        options = {
            "subsampling": sampling,
            "rounding": kind,
            "straight_through": straight_through,
            "qtable_rounding": None,
            # Its mask depends on the last digit of a pixel.
            "output_slope": None,
        }
        coded_images = ((2 * images).floor() / 2).ceil() if straight_through else images
        if not away_from_ties(coded_images, tables, sampling):
            continue
        checked += 1
        results = []
        for dtype in (torch.float32, torch.float64):
            leaves = images.to(dtype).requires_grad_(), tables.to(dtype).requires_grad_()
            coded = diff_jpeg(leaves[0], qtables=leaves[1], **options)
            (weights,) = like([coded], seed)
            results.append((coded, *torch.autograd.grad(coded, leaves, weights.to(dtype))))
        for found, expected in zip(*results, strict=True):
            # Coefficients of 1e3 are off by 1e-4, levels by 1e-5, 3 d^2 by three times that.
            assert_close(found, expected, 1e-4)
    assert checked >= 3


@pytest.mark.parametrize("straight_through", [False, True])
def test_the_number_of_threads_changes_no_bit(straight_through):
    images = random_images(0, 3, 100, 300).clamp(0, 255)

    def results(threads):
        torch.set_num_threads(threads)
        try:
            leaf = images.clone().requires_grad_()
            quality = torch.tensor([20.3, 55.5, 90.1], requires_grad=True)
            coded = diff_jpeg(leaf, quality=quality, straight_through=straight_through)
            return coded, *torch.autograd.grad(coded.square().sum(), (leaf, quality))
        finally:
            torch.set_num_threads(1)

    for one, three in zip(results(1), results(3), strict=True):
        assert torch.equal(one, three)


@pytest.mark.parametrize("straight_through", [False, True])
def test_second_derivatives(straight_through):
    images = random_images(1, 1, 9, 11).clamp(0, 255)
    found = []
    for dtype in (torch.float32, torch.float64):
        leaf = images.to(dtype).requires_grad_()
        tables = torch.full((2, 8, 8), 23.3, dtype=dtype, requires_grad=True)
        coded = diff_jpeg(
            leaf, qtables=tables, qtable_rounding=None, straight_through=straight_through
        )
        first = torch.autograd.grad(coded.square().sum(), (leaf, tables), create_graph=True)
        loss = first[0].square().sum() + first[1].sum() * 1e-2
        found.append(torch.autograd.grad(loss, (leaf, tables)))
    for a, b in zip(*found, strict=True):
        assert bool((b != 0).any())
        # Products of three numbers with errors of 1e-5 each, added up.
        assert_close(a, b, 1e-3)


def test_second_derivatives_of_the_steps_themselves():
    factors, size = (2, 2), (9, 11)
    images = random_images(1, 1, *size).requires_grad_()
    z = operators.encode(images, factors, False)
    weights = [w.requires_grad_() for w in like(z, 0)]
    (first,) = torch.autograd.grad(z, images, weights, create_graph=True)
    (weight,) = like([first], 1)
    # The gradient is linear in the weights: its derivative along `weight` is the coding of that.
    second = torch.autograd.grad(first, weights, weight)
    zero = operators.encode(torch.zeros_like(images), factors, False)
    for a, b, c in zip(second, operators.encode(weight, factors, False), zero, strict=True):
        assert_close(a, b - c, 1e-4)

    given_z = [x.requires_grad_() for x in like(z, 2, 90.0)]
    coded = operators.decode(*given_z, factors, size, 0.3, False)
    (g,) = like([coded], 3)
    g.requires_grad_()
    first = torch.autograd.grad(coded, given_z, g, create_graph=True)
    y = like(first, 4)
    (second,) = torch.autograd.grad(first, g, y)
    shifted = operators.decode(*y, factors, size, 1.0, False) - 128
    raw = operators.decode(*given_z, factors, size, 1.0, False)
    assert_close(second, torch.where((raw >= 0) & (raw <= 255), shifted, 0.3 * shifted), 1e-4)


# When they apply


@pytest.fixture
def calls(monkeypatch):
    """Names of the kernels that have been called."""
    seen = []
    for name in ("encode", "decode", "quantize"):
        true = getattr(operators, name)

        def spy(*args, _true=true, _name=name):
            seen.append(_name)
            return _true(*args)

        monkeypatch.setattr(operators, name, spy)
    return seen


def test_they_serve_single_precision_and_the_kinds_that_they_know(calls):
    images = random_images(0, 1, 9, 9)
    diff_jpeg(images)
    assert calls == ["encode", "quantize", "quantize", "decode"]
    calls.clear()
    diff_jpeg(images, rounding="tanh")
    diff_jpeg(images, rounding=torch.round)
    assert calls == ["encode", "decode"] * 2
    calls.clear()
    diff_jpeg(images.double())
    torch.func.vmap(lambda x: diff_jpeg(x[None], quality=50))(images)
    assert not calls


def test_forward_derivatives_and_transforms_are_those_of_torch():
    images, change = random_images(0, 1, 9, 9), random_images(1, 1, 9, 9)
    for straight_through in (False, True):

        def loss(x, straight_through=straight_through):
            coded = diff_jpeg(x, quality=40.0, straight_through=straight_through)
            return coded.square().mean()

        leaf = images.clone().requires_grad_()
        (expected,) = torch.autograd.grad(loss(leaf), leaf)
        _, slope = torch.func.jvp(loss, (images,), (change,))
        assert_close(slope, (expected * change).sum(), 1e-4)
        if not straight_through:
            with forward_ad.dual_level():
                slope = forward_ad.unpack_dual(loss(forward_ad.make_dual(images, change))).tangent
            assert_close(slope, (expected * change).sum(), 1e-4)
        many = torch.func.vmap(torch.func.grad(loss))(torch.stack([images, change]))
        # In other operations, whose rounding differs.
        assert_close(many[0], expected, 1e-4)


def test_layouts_and_expanded_tensors_change_no_bit():
    images = random_images(0, 1, 17, 23)
    expected = diff_jpeg(images, quality=30)
    assert torch.equal(diff_jpeg(images.expand(3, -1, -1, -1), quality=30)[2:], expected)
    leaf = images.clone().requires_grad_()
    (a,) = torch.autograd.grad(diff_jpeg(leaf, quality=30).sum(), leaf)  # expanded gradient
    (b,) = torch.autograd.grad(diff_jpeg(leaf, quality=30), leaf, torch.ones_like(leaf))
    assert torch.equal(a, b)
    flipped = images.transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.equal(diff_jpeg(flipped, quality=30), expected)


@pytest.mark.parametrize("straight_through", [False, True])
def test_a_compiler_gets_one_graph_with_the_kernels(straight_through):
    images = random_images(2, 2, 9, 17).clamp(0, 255)
    layer = DiffJPEG(straight_through=straight_through)
    graphs = []

    def backend(graph, inputs):
        graphs.append(str(graph.graph))
        return graph.forward

    torch.compile(layer, backend=backend, fullgraph=True)(images, torch.tensor([20.3, 70.2]))
    assert len(graphs) == 1
    assert ("jpeg_roundtrip" if straight_through else "diff_jpeg_encode") in graphs[0]


def test_the_straight_through_form_keeps_its_arguments_alone():
    images = random_images(0, 1, 16, 16).clamp(0, 255).requires_grad_()
    quality = torch.tensor([30.0], requires_grad=True)
    saved = []

    def keep(tensor):
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        diff_jpeg(images, quality=quality, straight_through=True)
    assert {x.data_ptr() for x in saved} == {images.data_ptr(), quality.data_ptr()}


@pytest.mark.parametrize("straight_through", [False, True])
def test_memory_is_at_most_half_of_a_plain_implementation(straight_through):
    images = random_images(0, 8, 112, 112).clamp(0, 255).requires_grad_()
    quality = torch.linspace(5, 95, 8).requires_grad_()
    grad = torch.ones_like(images)

    def backward(codec):
        return lambda: torch.autograd.grad(codec(), (images, quality), grad)

    ours = backward(lambda: diff_jpeg(images, quality=quality, straight_through=straight_through))
    ours()  # compiles
    peak = peak_bytes(ours)
    # The pixels and the gradient of the images must have shown.
    assert peak > 2 * images.numel() * 4
    assert peak <= 0.5 * peak_bytes(backward(lambda: plain_diff_jpeg(images, quality)))


def test_not_a_number_gets_the_slope_of_the_clipping():
    z = operators.encode(random_images(0, 1, 16, 16), (1, 1), False)
    z = [x.clone().requires_grad_() for x in z]
    with torch.no_grad():
        z[0][0, 0, 0, 0, 0, 0] = torch.nan
    found = operators.decode(*z, (1, 1), (16, 16), 0.25, False)
    judge = steps.decode(*(x.double() for x in z), (1, 1), (16, 16), slope=0.25)
    assert torch.equal(found.isnan(), judge.isnan())
    assert bool(found[..., :8, :8].isnan().all())
    assert not bool(found[..., 8:].isnan().any())
    for a, b in zip(
        torch.autograd.grad(found.sum(), z), torch.autograd.grad(judge.sum(), z), strict=True
    ):
        assert_close(a, b)
