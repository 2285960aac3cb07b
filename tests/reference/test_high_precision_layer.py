"""The arbiter of layers: against the float64 reference, its own derivatives, and exact cases."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from oracles.layer.bounds import layer_bounds
from reference.high_precision_layer import jpeg_layer_vjp as exact_vjp
from reference.jpeg_layer import jpeg_layer, jpeg_layer_vjp

SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
PARTS = ("output", "image", "q", "alpha")


def drawn(seed, height, width, *, h=(0.5, 5.0)):
    rng = np.random.default_rng(seed)
    q = rng.uniform(4, 60, (2, 8, 8))
    image = rng.integers(0, 256, (3, height, width)).astype(float)
    return image, q, rng.uniform(*h, (2, 8, 8)) / q**2, rng.normal(size=image.shape)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize(("size", "window"), [((3, 5), None), ((9, 11), 3), ((1, 1), 5)])
def test_the_float64_reference_agrees_within_the_bounds(subsampling, size, window):
    image, q, alpha, grad = drawn(1, *size)
    options = {"max_level": 15, "window": window, "subsampling": subsampling}
    exact = exact_vjp(image, q, alpha, grad, **options)
    batch = image[None], q, alpha, grad[None]
    output = jpeg_layer(*batch[:3], **options)
    gradients = jpeg_layer_vjp(*batch, **options)
    bounds = layer_bounds(*batch, **options, dtype=np.dtype("float64"))
    found = (output[0], gradients.image[0], gradients.q, gradients.alpha)
    limits = (bounds.output[0], bounds.gradients.image[0], *bounds.gradients[1:])
    for part, got, want, limit in zip(PARTS, found, exact, limits, strict=True):
        error = np.abs(got - want.astype(float))
        # Entries of alpha may lack any coefficient that moves them: bound and error are 0.
        assert np.all(error <= limit), part
        assert np.abs(want).max() > 0, part


def test_gradients_are_the_derivatives_of_the_output():
    """Differences at 40 digits: no adjoint and no closed form in them."""
    image, q, alpha, grad = drawn(2, 2, 3)
    options = {"max_level": 3, "subsampling": "4:2:0", "digits": 40}
    exact = exact_vjp(image, q, alpha, grad, **options)

    def objective(**changed):
        arrays = {"image": image, "q": q, "alpha": alpha} | changed
        found = exact_vjp(**arrays, grad_output=grad, **options)
        return mpmath.fsum((grad * found.output).ravel())

    places = {"image": (1, 1, 2), "q": (0, 0, 1), "alpha": (1, 0, 0)}
    with mpmath.workdps(50):
        for name, place in places.items():
            array = {"image": image, "q": q, "alpha": alpha}[name]
            # A power of two near 1e-7 of the entry; both sides are exact in binary64.
            step = 2.0 ** np.floor(np.log2(abs(array[place])) - 22)
            up, down = array.copy(), array.copy()
            up[place], down[place] = array[place] + step, array[place] - step
            width = mpmath.mpf(float(up[place])) - mpmath.mpf(float(down[place]))
            slope = (objective(**{name: up}) - objective(**{name: down})) / width
            want = getattr(exact, name)[place]
            # Of second order: (1e-7)^2 times third derivatives of the size of the first.
            assert abs(slope - want) < 1e-11 * (1 + abs(want)), name


def test_a_flat_picture_keeps_its_zeros_exactly():
    """AC coefficients vanish, by cancellation of cosines: they must come out as 0, not 1e-50."""
    q = np.full((2, 8, 8), 20.0)
    grad = np.zeros((3, 8, 8))
    grad[:, 0, 0] = 1.0
    found = exact_vjp(np.full((3, 8, 8), 200.0), q, 2.0 / q**2, grad, max_level=31)
    # Where z = 0 the quantizer does not depend on q or alpha; chroma of grey is 0 altogether.
    assert all(number == 0 for number in found.q[0].ravel()[1:])
    assert all(number == 0 for number in found.alpha[0].ravel()[1:])
    assert all(number == 0 for number in found.q[1].ravel())
    # Constant, up to the working precision of 50 digits.
    spread = max(found.output.ravel()) - min(found.output.ravel())
    assert spread < mpmath.mpf(10) ** -40


def test_an_exact_tie_goes_to_the_upper_window():
    """DC of a flat block of 128 + x is 8 x: with 8 x / q = 1/2 a window of three is {0, 1, 2}."""
    q = np.full((2, 8, 8), 16.0)
    alpha = np.full((2, 8, 8), 1.0 / 256.0)
    found = exact_vjp(
        np.full((3, 8, 8), 129.0), q, alpha, np.ones((3, 8, 8)), max_level=7, window=3
    )
    weights = [mpmath.exp(-((k - mpmath.mpf(1) / 2) ** 2)) for k in range(3)]
    mean = mpmath.fsum(k * w for k, w in enumerate(weights)) / mpmath.fsum(weights)
    # 28 digits of the 30 that are asked for: the mean is computed at 15 digits here.
    assert float(found.output[0, 0, 0]) == pytest.approx(128 + float(mean) * 16 / 8, rel=1e-14)


def test_colour_is_exact_where_binary_fractions_are_not():
    """With a quantizer so soft that it is the identity, R, G and B come back to 25 digits."""
    image = np.array([127.0, 129.0, 128.0]).reshape(3, 1, 1)
    ones = np.ones((2, 8, 8))
    # h = 0.15: what is left of the lattice is 4 pi / 2h exp(-pi^2 / h) = 1e-27; coefficients are
    # at most 8, and the ends of the index set, 23 levels off, weigh exp(-79).
    found = exact_vjp(image, ones, 0.15 * ones, image, max_level=31)
    error = max(abs(number) for number in (found.output - image).ravel())
    assert 0 < error < mpmath.mpf(10) ** -25


def test_wrong_arguments_are_named():
    image, q, alpha, grad = drawn(4, 2, 2)
    with pytest.raises(ValueError, match=r"image must have shape \(3, H, W\)"):
        exact_vjp(image[None], q, alpha, grad, max_level=3)
    with pytest.raises(ValueError, match="grad_output must have the shape"):
        exact_vjp(image, q, alpha, grad[:, :1], max_level=3)
    with pytest.raises(ValueError, match="finite"):
        exact_vjp(image * np.nan, q, alpha, grad, max_level=3)
    with pytest.raises(ValueError, match=r"q must have shape \(2, 8, 8\)"):
        exact_vjp(image, q[0], alpha, grad, max_level=3)
    with pytest.raises(ValueError, match="alpha must be positive"):
        exact_vjp(image, q, -alpha, grad, max_level=3)
    with pytest.raises(ValueError, match="subsampling must be one of"):
        exact_vjp(image, q, alpha, grad, max_level=3, subsampling="4:1:1")
    with pytest.raises(ValueError, match="digits must be at least 1"):
        exact_vjp(image, q, alpha, grad, max_level=3, digits=0)
    with pytest.raises(ValueError, match="window must be None"):
        exact_vjp(image, q, alpha, grad, max_level=3, window=4)
