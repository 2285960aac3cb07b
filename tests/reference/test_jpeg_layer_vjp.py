"""The closed-form gradients of the layer: against autograd of the naive layer, and differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.jpeg_layer import jpeg_layer, jpeg_layer_vjp
from reference.standard import SUBSAMPLINGS
from tests.reference._naive_layer import draw_case, naive_layer

seeds = st.integers(0, 2**32 - 1)
names = st.sampled_from(list(SUBSAMPLINGS))
windows = st.sampled_from([None, 3, 5])


def assert_near(ours, theirs, *, relative):
    """Compare arrays by the largest entry of the true one, and by 1 where all is smaller.

    Output weights are of order 1, so an image gradient that underflows through hard rounds is
    zero for all purposes; autograd leaves 1e-16 there.
    """
    for name, a, b in zip(("image", "q", "alpha"), ours, theirs, strict=True):
        assert a.shape == b.shape, name
        error = np.abs(a - b).max() / max(np.abs(b).max(), 1)
        assert error < relative, f"{name}: {error:.1e} of the largest entry"


def autograd(image, q, alpha, grad_output, **options):
    leaves = [torch.tensor(a, requires_grad=True) for a in (image, q, alpha)]
    naive_layer(*leaves, **options).backward(torch.tensor(grad_output))
    return [leaf.grad.numpy() for leaf in leaves]


@settings(max_examples=40)
@given(
    seed=seeds,
    size=st.tuples(st.integers(1, 2), st.integers(1, 34), st.integers(1, 34)),
    subsampling=names,
    rounds=st.sampled_from([None, 1, 2, 3]),
    window=windows,
)
def test_gradients_are_those_of_autograd_through_the_naive_layer(
    seed, size, subsampling, rounds, window
):
    case = draw_case(seed, size, rounds)
    options = {"max_level": 15, "window": window, "subsampling": subsampling}
    # Measured over 150 draws: 2e-12, mostly autograd's own cancellation. A wrong term shows at
    # 1e-2 or more.
    assert_near(jpeg_layer_vjp(*case, **options), autograd(*case, **options), relative=1e-9)


@settings(max_examples=20)
@given(
    seed=seeds,
    size=st.tuples(st.just(1), st.integers(1, 20), st.integers(1, 20)),
    subsampling=names,
    rounds=st.sampled_from([None, 2]),
    support=st.sampled_from([(None, 0.3, 2.0), (None, 2.0, 8.0), (5, 5.0, 8.0)]),
    compiled=st.booleans(),
)
def test_gradients_are_central_differences(seed, size, subsampling, rounds, support, compiled):
    # A masked quantizer jumps where its window moves; from h = 5 on, by less than 1e-12 q.
    window, softest, hardest = support
    rng = np.random.default_rng(seed)
    image, q, _, grad_output = draw_case(seed, size, rounds)
    point = [image, q, rng.uniform(softest, hardest, q.shape) / q**2]
    options = {"max_level": 15, "window": window, "subsampling": subsampling, "compiled": compiled}
    gradients = jpeg_layer_vjp(*point, grad_output, **options)
    units = [np.full_like(image, 10.0), q, point[2]]
    step = 1e-6
    for index, (gradient, unit) in enumerate(zip(gradients, units, strict=True)):
        direction = rng.normal(size=unit.shape) * unit
        ahead, behind = (
            np.vdot(
                grad_output,
                jpeg_layer(
                    *(a + s * direction if i == index else a for i, a in enumerate(point)),
                    **options,
                ),
            )
            for s in (step, -step)
        )
        slope = np.vdot(gradient, direction)
        # The loss is a sum of up to 1200 numbers near 255 and rounds by 1e-11, over a step of
        # 2e-6; the curvature of two quantizers in a row with h = 8 adds 1e-5 of the slope.
        tolerance = 1e-5 * np.linalg.norm(gradient * unit) + 2e-5
        assert abs((ahead - behind) / (2 * step) - slope) < tolerance


@settings(max_examples=20)
@given(seed=seeds, subsampling=names, rounds=st.sampled_from([None, 2]), window=windows)
def test_compiled_twin_gives_the_same(seed, subsampling, rounds, window):
    case = draw_case(seed, (2, 17, 9), rounds)
    options = {"max_level": 15, "window": window, "subsampling": subsampling}
    # Both sum the same terms in another order; 9e-14 measured.
    assert_near(
        jpeg_layer_vjp(*case, compiled=True, **options),
        jpeg_layer_vjp(*case, **options),
        relative=1e-11,
    )


@settings(max_examples=20)
@given(seed=seeds, subsampling=names, window=windows)
def test_linear_in_the_output_gradient(seed, subsampling, window):
    image, q, alpha, first = draw_case(seed, (2, 9, 17), 2)
    second = np.random.default_rng(seed + 1).normal(size=first.shape)
    options = {"max_level": 15, "window": window, "subsampling": subsampling}
    one, two, both = (
        jpeg_layer_vjp(image, q, alpha, g, **options)
        for g in (first, second, 2 * first - 3 * second)
    )
    combined = [2 * a - 3 * b for a, b in zip(one, two, strict=True)]
    assert_near(both, combined, relative=1e-12)  # some hundred eps, for sums over blocks


@settings(max_examples=20)
@given(seed=seeds, subsampling=names, rounds=st.sampled_from([None, 2]))
def test_hard_quantizer_has_a_gradient_in_q_alone(seed, subsampling, rounds):
    image, q, _, grad_output = draw_case(seed, (1, 9, 20), rounds)
    options = {"max_level": 15, "subsampling": subsampling, "quantizer": "hard"}
    gradients = jpeg_layer_vjp(image, q, None, grad_output, **options)
    assert not gradients.image.any()
    assert not gradients.alpha.any()
    assert gradients.alpha.shape == q.shape
    if rounds is None:
        # Levels stay where they are for so small a step, so the layer is linear in q.
        direction = np.random.default_rng(seed).normal(size=q.shape) * 1e-9
        moved = jpeg_layer(image, q + direction, **options) - jpeg_layer(image, q, **options)
        slope = np.vdot(gradients.q, direction)
        # 1e-11 is the rounding of the loss, against slopes of 1e-7 to 1e-6.
        assert np.vdot(grad_output, moved) == pytest.approx(slope, rel=0, abs=5e-10)
        assert np.abs(gradients.q).max() > 1
    else:
        # What follows stands still when the last round's input moves: only its own q counts.
        assert not gradients.q[0].any()
        assert gradients.q[1].any()


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize(
    ("subsampling", "rows", "columns"),
    [("4:4:4", (16, 24), (24, 32)), ("4:2:2", (16, 24), (16, 32)), ("4:2:0", (16, 32), (16, 32))],
)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_spoils_the_gradient_of_its_own_block_or_mcu(hard, subsampling, rows, columns, bad):
    image, q, alpha, grad_output = draw_case(3, (2, 33, 41), None)
    options = {
        "max_level": 15,
        "subsampling": subsampling,
        "quantizer": "hard" if hard else "soft",
    }
    clean = jpeg_layer_vjp(image, q, alpha, grad_output, **options).image
    image[1, 0, 17, 30] = bad
    gradients = jpeg_layer_vjp(image, q, alpha, grad_output, **options)
    expected = np.zeros(image.shape, dtype=bool)
    expected[1, :, slice(*rows), slice(*columns)] = True
    np.testing.assert_array_equal(np.isnan(gradients.image), expected)
    np.testing.assert_array_equal(gradients.image[~expected], clean[~expected])
    assert np.isnan(gradients.q).all()


def test_a_saturated_block_passes_nothing_on():
    # L = 1 and q = 1: every coefficient of this noise lies far outside, where Q_d = +-q.
    image = np.random.default_rng(0).choice([0.0, 255.0], size=(1, 3, 8, 8))
    q, alpha = np.ones((2, 2, 8, 8)) * [[[[1.0]]], [[[1e-3]]]]
    grad_output = np.ones_like(image)
    gradients = jpeg_layer_vjp(image, q * 1e-3, alpha * 1e9, grad_output, max_level=1)
    assert np.abs(gradients.image).max() == 0
    assert np.abs(gradients.alpha).max() == 0
    # The value is +-q per coefficient, so the slope in q is the sum of signs: whole numbers
    # times the colour and DCT weights of the output, the same as for the hard quantizer.
    hard = jpeg_layer_vjp(image, q * 1e-3, None, grad_output, max_level=1, quantizer="hard")
    np.testing.assert_allclose(gradients.q, hard.q, rtol=0, atol=1e-12)


IMAGE, ONES = np.zeros((1, 3, 8, 8)), np.ones((2, 8, 8))
BAD = [
    ({"grad_output": IMAGE.astype(int)}, TypeError, "grad_output must have a floating dtype"),
    ({"grad_output": IMAGE.tolist()}, TypeError, "grad_output must be a NumPy array of floats"),
    ({"grad_output": IMAGE[..., :4]}, ValueError, r"shape of the image, \(1, 3, 8, 8\)"),
    ({"image": IMAGE.astype(np.uint8)}, TypeError, "image must have a floating dtype"),
    ({"image": IMAGE[:0]}, ValueError, "image must not be empty"),
    ({"q": ONES[0]}, ValueError, "q must have shape"),
    ({"alpha": None}, TypeError, "alpha is missing"),
    ({"alpha": -ONES}, ValueError, "alpha must be positive and finite"),
    ({"subsampling": "444"}, ValueError, "subsampling must be one of"),
    ({"quantizer": None}, ValueError, "quantizer must be 'soft' or 'hard'"),
    ({"window": 2}, ValueError, "window must be None"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_wrong_arguments(change, error, message):
    arguments = {
        "image": IMAGE,
        "q": ONES,
        "alpha": ONES,
        "grad_output": IMAGE,
        "max_level": 15,
    } | change
    with pytest.raises(error, match=message):
        jpeg_layer_vjp(**arguments)
