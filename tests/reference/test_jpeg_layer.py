"""The layer against an independent composition in torch, real JPEG files, and by its properties.

Gradients are in test_jpeg_layer_vjp.py.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from reference.jpeg_layer import jpeg_layer
from reference.standard import SUBSAMPLINGS, annex_k_tables
from tests.reference._naive_layer import draw_case, naive_layer

seeds = st.integers(0, 2**32 - 1)
names = st.sampled_from(list(SUBSAMPLINGS))
windows = st.sampled_from([None, 3, 5])
# Both sides round sums of 64 products of size up to 1024, and of up to 31 levels; 1e-10 of a grey
# level is 50 times what was measured over 150 draws; a wrong weight anywhere shows at 1e-2.
PIXEL_ATOL = 1e-10


@settings(max_examples=40)
@given(
    seed=seeds,
    size=st.tuples(st.integers(1, 2), st.integers(1, 34), st.integers(1, 34)),
    subsampling=names,
    rounds=st.sampled_from([None, 1, 3]),
    window=windows,
)
def test_layer_is_the_naive_composition(seed, size, subsampling, rounds, window):
    image, q, alpha, _ = draw_case(seed, size, rounds)
    options = {"max_level": 15, "window": window, "subsampling": subsampling}
    ours = jpeg_layer(image, q, alpha, **options)
    theirs = naive_layer(image, q, alpha, **options).detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=PIXEL_ATOL)


@settings(max_examples=20)
@given(
    seed=seeds,
    size=st.tuples(st.integers(1, 2), st.integers(1, 20), st.integers(1, 20)),
    subsampling=names,
    window=windows,
)
def test_compiled_twin_gives_the_same(seed, size, subsampling, window):
    image, q, alpha, _ = draw_case(seed, size, 2)
    options = {"max_level": 15, "window": window, "subsampling": subsampling}
    np.testing.assert_allclose(
        jpeg_layer(image, q, alpha, compiled=True, **options),
        jpeg_layer(image, q, alpha, **options),
        rtol=0,
        atol=PIXEL_ATOL,
    )


@settings(max_examples=30)
@given(
    seed=seeds,
    size=st.tuples(st.just(1), st.integers(1, 34), st.integers(1, 34)),
    subsampling=names,
)
def test_odd_sizes_are_padded_by_their_edges_and_cropped(seed, size, subsampling):
    image, q, alpha, _ = draw_case(seed, size, None)
    v, h = SUBSAMPLINGS[subsampling]
    extra = [-size[1] % (8 * v), -size[2] % (8 * h)]
    padded = np.pad(image, ((0, 0), (0, 0), (0, extra[0]), (0, extra[1])), mode="edge")
    options = {"max_level": 15, "subsampling": subsampling}
    np.testing.assert_array_equal(
        jpeg_layer(image, q, alpha, **options),
        jpeg_layer(padded, q, alpha, **options)[..., : size[1], : size[2]],
    )


@given(seed=seeds, subsampling=names)
def test_images_of_a_batch_do_not_meet(seed, subsampling):
    image, q, alpha, _ = draw_case(seed, (3, 9, 9), None)
    options = {"max_level": 15, "subsampling": subsampling}
    together = jpeg_layer(image, q, alpha, **options)
    alone = np.concatenate([jpeg_layer(one[None], q, alpha, **options) for one in image])
    np.testing.assert_allclose(together, alone, rtol=0, atol=PIXEL_ATOL)


@settings(max_examples=20)
@given(seed=seeds, window=windows)
def test_rounds_are_layers_in_a_row(seed, window):
    # Whole blocks at 4:4:4: between two layers the inverse DCT, the colours and the shift
    # cancel, so rounds in the DCT domain must equal layers applied one after the other.
    image, q, alpha, _ = draw_case(seed, (1, 16, 8), 3)
    options = {"max_level": 15, "window": window}
    one_by_one = image
    for q_round, alpha_round in zip(q, alpha, strict=True):
        one_by_one = jpeg_layer(one_by_one, q_round, alpha_round, **options)
    np.testing.assert_allclose(
        jpeg_layer(image, q, alpha, **options), one_by_one, rtol=0, atol=1e-8
    )  # coefficients that differ by 1e-12 pass two quantizers of slope up to some 100


def test_a_very_soft_quantizer_in_range_is_the_identity():
    # h = 0.7 and no coefficient near the ends: Q_d(z) = z up to 6.8e-6 q (theta function), and
    # 64 coefficients of q = 10 bring that to the pixels.
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 16, 16))
    q = np.full((2, 8, 8), 10.0)
    result = jpeg_layer(image, q, 0.7 / q**2, max_level=255)
    np.testing.assert_allclose(result, image, rtol=0, atol=6.8e-6 * 10 * 8 * 2.8)
    assert np.abs(result - image).max() > 1e-6  # it is soft, not absent


@given(seed=seeds, subsampling=names)
def test_hard_is_the_limit_of_soft(seed, subsampling):
    image, q, _, _ = draw_case(seed, (1, 17, 11), None)
    options = {"max_level": 15, "subsampling": subsampling}
    hard = jpeg_layer(image, q, quantizer="hard", **options)
    # h = 1e9: a coefficient within 2e-8 q of a tie would be seen; none of these is.
    soft = jpeg_layer(image, q, 1e9 / q**2, **options)
    np.testing.assert_allclose(hard, soft, rtol=0, atol=PIXEL_ATOL)
    ignoring = jpeg_layer(image, q, np.full((2, 8, 8), 3.0), quantizer="hard", **options)
    np.testing.assert_array_equal(ignoring, hard)


@settings(max_examples=20)
@given(seed=seeds)
def test_hard_rounds_coefficients_to_whole_steps(seed):
    image, q, _, _ = draw_case(seed, (1, 8, 8), None)
    result = jpeg_layer(image, q, quantizer="hard", max_level=1000)
    # Quantizing what is quantized changes nothing.
    np.testing.assert_allclose(
        jpeg_layer(result, q, quantizer="hard", max_level=1000), result, rtol=0, atol=PIXEL_ATOL
    )
    assert np.abs(result - image).max() > 0.1


@pytest.mark.parametrize("quality", [5, 20, 75])
@pytest.mark.parametrize(("index", "subsampling"), list(enumerate(SUBSAMPLINGS)))
def test_hard_layer_is_what_libjpeg_does_up_to_its_integers(index, subsampling, quality):
    picture = data.astronaut()[32:160, 160:288]
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=index)
    real = np.asarray(Image.open(buffer), dtype=float)

    def distance(tables):
        image = np.moveaxis(picture, -1, 0)[None].astype(float)
        ours = jpeg_layer(image, tables, quantizer="hard", max_level=1023, subsampling=subsampling)
        ours = np.moveaxis(np.clip(np.rint(ours[0]), 0, 255), 0, -1)
        return np.sqrt(np.mean((ours - real) ** 2))

    # libjpeg rounds YCbCr to integers before its DCT, which moves a few coefficients to the
    # next step: root mean square 1.35 to 1.78 measured, with a compression loss of 5.4 to 17.
    # Tables laid down sideways give at least 3.67.
    tables = annex_k_tables(quality)
    assert distance(tables) < 2
    assert distance(tables.swapaxes(1, 2)) > 3


NAN_CASES = [
    # (subsampling, NaN at (row, column), rows and columns that it spoils), image 40 x 56
    ("4:4:4", (0, 0), (0, 8), (0, 8)),
    ("4:4:4", (17, 30), (16, 24), (24, 32)),
    ("4:4:4", (39, 55), (32, 40), (48, 56)),
    ("4:2:2", (17, 30), (16, 24), (15, 33)),
    ("4:2:2", (17, 0), (16, 24), (0, 17)),
    ("4:2:2", (17, 55), (16, 24), (47, 56)),
    ("4:2:0", (17, 30), (15, 33), (15, 33)),
    ("4:2:0", (0, 0), (0, 17), (0, 17)),
    ("4:2:0", (39, 55), (31, 40), (47, 56)),
]


@pytest.mark.parametrize(("subsampling", "where", "rows", "columns"), NAN_CASES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("quantizer", ["soft", "hard", "compiled"])
def test_nan_spoils_its_block_or_mcu_only(subsampling, where, rows, columns, bad, quantizer):
    image, q, alpha, _ = draw_case(5, (2, 40, 56), None)
    options = {
        "max_level": 15,
        "subsampling": subsampling,
        "quantizer": "hard" if quantizer == "hard" else "soft",
        "compiled": quantizer == "compiled",
    }
    clean = jpeg_layer(image, q, alpha, **options)
    spoilt = image.copy()
    spoilt[1, 2, where[0], where[1]] = bad
    result = jpeg_layer(spoilt, q, alpha, **options)
    expected = np.zeros(image.shape, dtype=bool)
    expected[1, :, slice(*rows), slice(*columns)] = True
    np.testing.assert_array_equal(np.isnan(result), expected)
    np.testing.assert_array_equal(result[~expected], clean[~expected])


def test_arguments_are_not_changed_and_low_precision_is_widened():
    image, q, alpha, _ = draw_case(1, (1, 9, 9), None)
    image = image.astype(np.float32)
    before = [array.copy() for array in (image, q, alpha)]
    result = jpeg_layer(image, q, alpha, max_level=15)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, jpeg_layer(image.astype(float), q, alpha, max_level=15))
    for array, copy in zip((image, q, alpha), before, strict=True):
        np.testing.assert_array_equal(array, copy)


ONES = np.ones((2, 8, 8))
IMAGE = np.zeros((1, 3, 8, 8))
BAD = [
    ({"image": IMAGE.astype(np.uint8)}, TypeError, r"floating dtype, got uint8.*astype\(float\)"),
    ({"image": IMAGE.astype(int)}, TypeError, "image must have a floating dtype, got int64"),
    ({"image": IMAGE.astype(complex)}, TypeError, "floating dtype, got complex128"),
    ({"image": IMAGE.tolist()}, TypeError, "image must be a NumPy array of floats, got list"),
    ({"image": IMAGE[0]}, ValueError, r"shape \(N, 3, H, W\), got \(3, 8, 8\)"),
    ({"image": np.zeros((1, 1, 8, 8))}, ValueError, r"image must be RGB.*got \(1, 1, 8, 8\)"),
    ({"image": np.zeros((1, 4, 8, 8))}, ValueError, "image must be RGB"),
    ({"image": np.zeros((1, 8, 8, 3))}, ValueError, "image must be RGB.*moveaxis"),
    ({"image": np.zeros((0, 3, 8, 8))}, ValueError, "image must not be empty"),
    ({"image": np.zeros((1, 3, 0, 8))}, ValueError, "image must not be empty"),
    ({"q": np.ones((8, 8))}, ValueError, r"q must have shape \(2, 8, 8\) or \(rounds, 2, 8, 8\)"),
    ({"q": np.ones((3, 8, 8))}, ValueError, "q must have shape"),
    ({"q": np.ones((2, 64))}, ValueError, "q must have shape"),
    ({"q": np.ones((0, 2, 8, 8))}, ValueError, "q must have shape"),
    ({"q": np.ones((1, 1, 2, 8, 8))}, ValueError, "q must have shape"),
    ({"q": 1.0}, ValueError, "q must have shape"),
    ({"q": ONES * 0}, ValueError, "q must be positive and finite"),
    ({"q": -ONES}, ValueError, "q must be positive and finite"),
    ({"q": ONES * np.nan}, ValueError, "q must be positive and finite"),
    ({"alpha": ONES * np.inf}, ValueError, "alpha must be positive and finite"),
    ({"alpha": ONES * 0}, ValueError, "alpha must be positive and finite"),
    ({"alpha": 5.0}, ValueError, r"alpha must have the shape of q, \(2, 8, 8\), got \(\)"),
    ({"alpha": np.ones((2, 2, 8, 8))}, ValueError, "alpha must have the shape of q"),
    ({"alpha": None}, TypeError, "alpha is missing: only quantizer='hard'"),
    ({"subsampling": "4:1:1"}, ValueError, "subsampling must be one of.*got '4:1:1'"),
    ({"quantizer": "round"}, ValueError, "quantizer must be 'soft' or 'hard', got 'round'"),
    ({"window": 4}, ValueError, "window must be None"),
    ({"window": 33}, ValueError, "window must not exceed"),
    ({"max_level": 0}, ValueError, "max_level must be at least 1"),
    ({"max_level": 1.5}, TypeError, "max_level must be an integer"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_wrong_arguments(change, error, message):
    arguments = {"image": IMAGE, "q": ONES, "alpha": ONES, "max_level": 15} | change
    with pytest.raises(error, match=message):
        jpeg_layer(**arguments)
