"""Differentiable JPEG in float64: near libjpeg, and a gradient that is that of its value."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import dctn, idctn

from reference import _diff_jpeg_steps as steps
from reference.diff_jpeg import diff_jpeg, diff_jpeg_vjp
from reference.jpeg_codec import coefficients, roundtrip
from reference.jpeg_layer import jpeg_layer
from reference.layer_steps import Coefficients, analyse, synthesize
from reference.standard import RGB_TO_YCBCR, annex_k_tables
from reference.surrogates import KINDS, soft_round

SAMPLINGS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2), "4:4:0": (2, 1)}
SIZES = [(1, 1), (1, 4), (2, 3), (9, 5), (16, 16), (17, 19), (8, 33)]
PLAIN = {"scale_floor": None, "table_floor": None, "table_slope": None, "output_slope": None}


def images_of(height, width, count=2, seed=0):
    """Smooth, with a little noise: nothing saturates."""
    rng = np.random.default_rng([seed, height, width])
    y, x = np.mgrid[:height, :width] / 9
    waves = np.sin(y[None, None] + rng.uniform(0, 6, (count, 3, 1, 1)) + x[None, None])
    return 128 + 60 * waves + rng.normal(0, 4, (count, 3, height, width))


def whole(images):
    return np.rint(images).clip(0, 255).astype(np.uint8)


# The linear steps


@pytest.mark.parametrize("factors", SAMPLINGS.values(), ids=SAMPLINGS)
@pytest.mark.parametrize("size", SIZES)
def test_the_adjoints_are_transposes(factors, size):
    rng = np.random.default_rng(1)
    x, other = rng.normal(size=(2, 1, 3, *size))
    zero = steps.encode(np.zeros_like(x), factors)
    z = Coefficients(*(a - b for a, b in zip(steps.encode(x, factors), zero, strict=True)))
    g = Coefficients(*(rng.normal(size=plane.shape) for plane in z))
    forward = sum(float((a * b).sum()) for a, b in zip(z, g, strict=True))
    # Sums of a few thousand products of order one, each rounded to 1e-16.
    assert forward == pytest.approx(float((x * steps.encode_adjoint(g, factors, size)).sum()))
    linear = steps.decode(g, factors, size) - 128
    back = steps.decode_adjoint(other, factors)
    assert float((linear * other).sum()) == pytest.approx(
        sum(float((a * b).sum()) for a, b in zip(g, back, strict=True))
    )


@pytest.mark.parametrize("factors", [(1, 1), (1, 2), (2, 2)])
def test_whole_units_are_coded_as_by_the_layer(factors):
    x = images_of(32, 48)
    for ours, theirs in zip(steps.encode(x, factors), analyse(x, factors), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11)  # sums of 64 of order 1e3
    z = analyse(x, factors)
    np.testing.assert_allclose(
        steps.decode(z, factors, (32, 48)), synthesize(z, factors), rtol=0, atol=1e-11
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("subsampling", SAMPLINGS)
def test_edges_are_those_of_libjpeg(subsampling, size):
    """At quality 100 what differs is rounding: to integer samples, in colour, of coefficients."""
    x = whole(images_of(*size, count=8))
    targets = [
        roundtrip(image.transpose(1, 2, 0), quality=100, subsampling=subsampling) for image in x
    ]
    found = diff_jpeg(x.astype(float), quality=100, subsampling=subsampling, rounding="linear")
    difference = found.transpose(0, 2, 3, 1) - np.stack(targets)
    # Mean of what rounding does: 0.4 to 0.8. A wrong edge errs by the noise of 4 and by the waves'
    # 7 grey levels a pixel, in a good part of an image as small as these.
    assert np.abs(difference).mean() < 0.9


@pytest.mark.parametrize("size", [(2, 3), (10, 6), (17, 19), (34, 18)])
@pytest.mark.parametrize("subsampling", SAMPLINGS)
def test_padded_blocks_have_the_coefficients_of_libjpeg(subsampling, size):
    x = whole(images_of(*size, count=4))
    z = steps.encode(x.astype(float), SAMPLINGS[subsampling])
    for index, image in enumerate(x):
        planes = coefficients(image.transpose(1, 2, 0), quality=100, subsampling=subsampling)
        ours = [z.luma[index, 0], *z.chroma[index]]
        for found, expected in zip(ours, planes, strict=True):
            # The DCT keeps mean squares. Rounding of coefficients has 1/12; that of samples, once
            # for colour and once for reduction, 1/12 each, where one sample is repeated over the
            # block its own square, 1/4 at most. Wrong padding of these sizes gives 3 and more.
            assert np.sqrt(np.mean((found - expected) ** 2)) < 1


# The whole pipeline


def test_the_parts_left_out_it_is_the_hard_layer():
    x = images_of(16, 32)
    tables = annex_k_tables(40)
    found = diff_jpeg(x, qtables=tables, output_slope=None, straight_through=True)
    expected = jpeg_layer(np.rint(x), tables, max_level=2047, subsampling="4:2:0", quantizer="hard")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("quality", [1, 10, 50, 75])
@pytest.mark.parametrize("kind", ["cubic", "linear", "sigmoid"])
def test_it_is_closer_to_libjpeg_than_coding_without_its_parts(quality, kind):
    """The ablation of Table 5.1 in small, on an image that saturates."""
    x = whole(images_of(32, 48, count=1) * 2 - 128)
    target = roundtrip(x[0].transpose(1, 2, 0), quality=quality).astype(float)

    def error(**parts):
        coded = diff_jpeg(x.astype(float), quality=quality, rounding=kind, **parts)
        return np.sqrt(np.mean((coded[0].transpose(1, 2, 0) - target) ** 2))

    assert error() < error(**PLAIN)


@pytest.mark.parametrize("quality", [1, 3, 25, 50, 51, 99, 100])
def test_a_quality_stands_for_the_tables_of_libjpeg(quality):
    x = images_of(16, 24)
    by_quality = diff_jpeg(x, quality=quality, straight_through=True)
    by_tables = diff_jpeg(x, qtables=annex_k_tables(quality), straight_through=True)
    np.testing.assert_allclose(by_quality, by_tables, rtol=0, atol=1e-11)


def test_each_image_has_its_own_quality_and_tables():
    x = images_of(17, 9, count=3)
    quality = np.array([3.0, 50.0, 91.3])
    tables = np.random.default_rng(0).uniform(1, 255, (3, 2, 8, 8))
    for name, values in (("quality", quality), ("qtables", tables)):
        together = diff_jpeg(x, **{name: values})
        for i in range(3):
            alone = diff_jpeg(x[i : i + 1], **{name: values[i]})
            np.testing.assert_allclose(together[i : i + 1], alone, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "uniform_noise"])
@pytest.mark.parametrize("parts", [{}, PLAIN, {"straight_through": True}], ids=str)
@pytest.mark.parametrize("level", [0.0, 255.0, 128.0])
def test_nothing_in_range_is_not_finite(kind, parts, level):
    x = np.full((1, 3, 1, 1), level)
    for quality in (1, 50, 100):
        found = diff_jpeg(x, quality=quality, rounding=kind, **parts)
        gradients = diff_jpeg_vjp(x, x + 1, quality=quality, rounding=kind, **parts)
        assert np.isfinite(found).all()
        assert np.isfinite(gradients.images).all()
        assert np.isfinite(gradients.quality).all()


# The gradient


def directional(function, x, direction, step):
    return (function(x + step * direction) - function(x - step * direction)) / (2 * step)


@pytest.mark.parametrize("kind", ["cubic", "linear", "sigmoid"])
@pytest.mark.parametrize("subsampling", SAMPLINGS)
@pytest.mark.parametrize("size", [(1, 1), (9, 5), (17, 19)])
def test_the_gradient_is_that_of_the_value(subsampling, size, kind):
    rng = np.random.default_rng(5)
    x = images_of(*size)
    g = rng.normal(size=x.shape)
    # Off whole percents and off whole steps.
    quality, tables = np.array([22.71, 63.37]), rng.uniform(20, 80, (2, 2, 8, 8))
    options = {"subsampling": subsampling, "rounding": kind}

    def value(images=x, **given):
        return float((g * diff_jpeg(images, **given, **options)).sum())

    found = diff_jpeg_vjp(x, g, quality=quality, **options)
    v = rng.normal(size=x.shape)
    # No coefficient comes within 1e-7 of a tie; the central difference loses 1e-16 * 1e5 / 1e-7.
    step = 1e-7
    assert found.images.shape == x.shape
    slope = directional(lambda images: value(images, quality=quality), x, v, step)
    assert float((found.images * v).sum()) == pytest.approx(slope, rel=1e-4, abs=1e-3)
    w = rng.normal(size=2)
    slope = directional(lambda q: value(quality=q), quality, w, step)
    assert float((found.quality * w).sum()) == pytest.approx(slope, rel=1e-4, abs=1e-3)
    found = diff_jpeg_vjp(x, g, qtables=tables, qtable_rounding=None, **options)
    w = rng.normal(size=tables.shape)
    slope = directional(lambda t: value(qtables=t, qtable_rounding=None), tables, w, step)
    assert float((found.qtables * w).sum()) == pytest.approx(slope, rel=1e-4, abs=1e-3)


MATRIX = np.array([[0.3, 0.5, 0.2], [-0.2, -0.3, 0.6], [0.4, -0.5, -0.1]])


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_gradients_of_base_tables_and_colour_are_those_of_the_value(own, subsampling):
    rng = np.random.default_rng(3)
    x = images_of(9, 21)
    g = rng.normal(size=x.shape)
    base = rng.uniform(10, 120, (2, 2, 8, 8) if own else (2, 8, 8))
    matrix = MATRIX + rng.uniform(-0.1, 0.1, (2, 3, 3) if own else (3, 3))
    quality = np.array([22.71, 63.37])

    def value(base_tables=base, color_matrix=matrix):
        coded = diff_jpeg(
            x,
            quality=quality,
            base_tables=base_tables,
            color_matrix=color_matrix,
            subsampling=subsampling,
        )
        return float((g * coded).sum())

    found = diff_jpeg_vjp(
        x, g, quality=quality, base_tables=base, color_matrix=matrix, subsampling=subsampling
    )
    for name, at in (("base_tables", base), ("color_matrix", matrix)):
        gradient = getattr(found, name)
        assert gradient.shape == at.shape
        w = rng.normal(size=at.shape)
        slope = directional(lambda t, name=name: value(**{name: t}), at, w, 1e-8)
        assert float((gradient * w).sum()) == pytest.approx(slope, rel=1e-4, abs=1e-2)
    v = rng.normal(size=x.shape)
    slope = directional(
        lambda images: float((g * diff_jpeg(images, quality=30, color_matrix=matrix)).sum()),
        x,
        v,
        1e-7,
    )
    gradient = diff_jpeg_vjp(x, g, quality=30, color_matrix=matrix).images
    assert float((gradient * v).sum()) == pytest.approx(slope, rel=1e-4, abs=1e-3)


def test_coding_with_a_colour_matrix_is_coding_its_planes():
    """One block, 4:4:4: planes by hand, quantized, and back by the inverse."""
    x = images_of(8, 8)
    tables = np.stack([np.full((8, 8), 9.0), np.full((8, 8), 31.0)])
    planes = np.einsum("ij,njhw->nihw", MATRIX, x - 128)
    z = dctn(planes, axes=(2, 3), norm="ortho")
    step = tables[[0, 1, 1]]
    z = step * soft_round(z / step).value
    rgb = np.einsum("ij,njhw->nihw", np.linalg.inv(MATRIX), idctn(z, axes=(2, 3), norm="ortho"))
    found = diff_jpeg(
        x, qtables=tables, color_matrix=MATRIX, subsampling="4:4:4", output_slope=None
    )
    np.testing.assert_allclose(found, rgb + 128, rtol=0, atol=1e-10)  # sums of 64 of order 1e3


@pytest.mark.parametrize("straight_through", [False, True])
def test_the_standard_tables_and_colours_may_be_given(straight_through):
    x = images_of(16, 24)
    g = np.random.default_rng(2).normal(size=x.shape)
    options = {"quality": 33, "straight_through": straight_through}
    given = {"base_tables": annex_k_tables(50), "color_matrix": RGB_TO_YCBCR}
    expected = diff_jpeg(x, **options)
    # The inverse of the matrix instead of that of JFIF, entry by entry the nearest double.
    np.testing.assert_allclose(diff_jpeg(x, **options, **given), expected, rtol=0, atol=1e-9)
    found = diff_jpeg_vjp(x, g, **options, **given)
    plain = diff_jpeg_vjp(x, g, **options)
    if not straight_through:  # which clips twice there
        np.testing.assert_allclose(found.images, plain.images, rtol=1e-9, atol=1e-9)
    assert plain.base_tables is None
    assert plain.color_matrix is None
    with pytest.raises(ValueError, match="base_tables are what a quality scales"):
        diff_jpeg(x, qtables=annex_k_tables(50), base_tables=annex_k_tables(50))


def test_gradients_of_what_is_shared_are_sums():
    x = images_of(16, 16)
    g = np.random.default_rng(2).normal(size=x.shape)
    own = diff_jpeg_vjp(x, g, quality=np.full(2, 30.2))
    shared = diff_jpeg_vjp(x, g, quality=30.2)
    assert np.shape(shared.quality) == ()
    assert shared.quality == pytest.approx(own.quality.sum())
    table = np.full((2, 8, 8), 17.0)
    own = diff_jpeg_vjp(x, g, qtables=np.stack([table] * 2))
    shared = diff_jpeg_vjp(x, g, qtables=table)
    assert shared.qtables.shape == (2, 8, 8)
    np.testing.assert_allclose(shared.qtables, own.qtables.sum(axis=0), rtol=1e-12)
    assert shared.quality is None


def test_straight_through_on_the_levels_has_the_gradients_by_hand():
    """A flat image of one block, coefficient DC = 8 (v - 128) = 3.3 steps of 20."""
    v = 128 + 3.3 * 20 / 8
    x = np.full((1, 3, 8, 8), v)
    x_whole = np.floor(v + 0.5)
    g = np.ones_like(x)
    d = 8 * (x_whole - 128) / 20 - 3
    found = diff_jpeg_vjp(
        x, g, qtables=np.full((2, 8, 8), 20.0), subsampling="4:4:4", straight_through=True
    )
    # Grey: each pixel's three colours give one luma; the DC passes 3 d^2 of it.
    np.testing.assert_allclose(found.images.sum(), 3 * 64 * 3 * d**2, rtol=1e-12)
    # Value of each pixel: 128 + t R(z / t) / 8; dt = R - x R' with the true R = 3.
    expected = 3 * 64 / 8 * (3 - (3 + d) * 3 * d**2)
    assert found.qtables[0, 0, 0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("given", [{}, {"quality": 5, "qtables": annex_k_tables(5)}])
def test_one_of_quality_and_tables_is_given(given):
    x = np.zeros((1, 3, 8, 8))
    with pytest.raises(ValueError, match="exactly one of quality and qtables"):
        diff_jpeg(x, **given)
    with pytest.raises(ValueError, match="exactly one of quality and qtables"):
        diff_jpeg_vjp(x, x, **given)
