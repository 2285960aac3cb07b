"""Coded pixels of batches: against libjpeg-turbo through Pillow and OpenCV, and the reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import reference.jpeg_codec as reference
from reference.standard import annex_k_tables
from tests.reference._codec_cases import (
    SUBSAMPLINGS,
    libjpeg_or_skip,
    natural_images,
    random_tables,
)
from tests.strategies import seeds
from tests.torch_impl._coding import (
    COEFFICIENTS,
    ROUNDTRIPS,
    batch_of,
    images_of,
    through_pillow,
)
from torch_impl import jpeg_coefficients, jpeg_roundtrip
from torch_impl.kernels import cpu_codec_dct
from torch_impl.kernels.cpu_jit import jit

IMPLEMENTATIONS = sorted(ROUNDTRIPS)
ALL_SUBSAMPLINGS = (*SUBSAMPLINGS, "4:4:0")
sides = st.integers(1, 48)


@pytest.fixture
def libjpeg(request):
    libjpeg_or_skip(request)


# Pixels, against libjpeg-turbo. Equal means equal: no tolerance anywhere.


@pytest.mark.usefixtures("libjpeg")
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@settings(max_examples=100, deadline=None)
@given(
    seed=seeds,
    height=sides,
    width=sides,
    subsampling=st.sampled_from(SUBSAMPLINGS),
    grey=st.booleans(),
    qualities=st.lists(st.integers(1, 100), min_size=3, max_size=3),
)
def test_each_image_is_coded_at_its_own_quality(
    implementation, seed, height, width, subsampling, grey, qualities
):
    images = images_of(seed, height, width, grey=grey)
    coded = ROUNDTRIPS[implementation](
        batch_of(images), quality=torch.tensor(qualities), subsampling=subsampling
    )
    assert torch.equal(coded, through_pillow(images, qualities, subsampling=subsampling))


@pytest.mark.usefixtures("libjpeg")
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    height=sides,
    width=sides,
    subsampling=st.sampled_from(SUBSAMPLINGS),
    shared=st.booleans(),
)
def test_tables_of_ones_own(implementation, seed, height, width, subsampling, shared):
    rng = np.random.default_rng(seed)
    images = images_of(seed, height, width)
    tables = random_tables(rng) if shared else np.stack([random_tables(rng) for _ in images])
    coded = ROUNDTRIPS[implementation](
        batch_of(images), qtables=torch.from_numpy(tables), subsampling=subsampling
    )
    assert torch.equal(coded, through_pillow(images, None, tables, subsampling))


@pytest.mark.usefixtures("libjpeg")
@pytest.mark.parametrize(("implementation", "largest"), [("kernels", 32), ("tensors", 10)])
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_every_small_size(implementation, largest, subsampling):
    for height in range(1, largest + 1):
        for width in range(1, largest + 1):
            images = images_of(height * width, height, width, count=1)
            coded = ROUNDTRIPS[implementation](
                batch_of(images), quality=60, subsampling=subsampling
            )
            expected = through_pillow(images, 60, subsampling=subsampling)
            assert torch.equal(coded, expected), (height, width)


@pytest.mark.usefixtures("libjpeg")
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("quality", range(1, 101, 9))
def test_natural_pictures(implementation, quality):
    for name, picture in natural_images().items():
        image = picture[60:163, 100:251]
        for subsampling in SUBSAMPLINGS:
            coded = ROUNDTRIPS[implementation](
                batch_of([image]), quality=quality, subsampling=subsampling
            )
            expected = through_pillow([image], quality, subsampling=subsampling)
            assert torch.equal(coded, expected), (name, subsampling)


@pytest.mark.usefixtures("libjpeg")
def test_without_options_as_pillow_without_options():
    images = images_of(0, 21, 34, count=6)
    assert torch.equal(jpeg_roundtrip(batch_of(images)), through_pillow(images, 75))


@pytest.mark.usefixtures("libjpeg")
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_chroma_halved_in_height_only_as_opencv_has_it(implementation):
    cv2 = pytest.importorskip("cv2")
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440]
    for seed in range(40):
        height, width = np.random.default_rng(seed).integers(1, 49, 2).tolist()
        quality = 1 + 5 * seed % 100
        (image,) = images_of(seed, height, width, count=1)
        found, file = cv2.imencode(
            ".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling]
        )
        assert found
        expected = cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1]
        coded = ROUNDTRIPS[implementation](batch_of([image]), quality=quality, subsampling="4:4:0")
        assert np.array_equal(coded[0].permute(1, 2, 0), expected), (height, width, quality)


@pytest.mark.usefixtures("libjpeg")
@pytest.mark.parametrize("size", [(700, 300), (17, 3000), (530, 9)])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_strips_and_threads_leave_no_trace(size, threads):
    images = images_of(2, *size, count=2)
    torch.set_num_threads(threads)
    try:
        for subsampling in SUBSAMPLINGS:
            coded = jpeg_roundtrip(batch_of(images), quality=80, subsampling=subsampling)
            assert torch.equal(coded, through_pillow(images, 80, subsampling=subsampling))
    finally:
        torch.set_num_threads(1)


# The reference, and the two implementations against each other.


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    height=sides,
    width=sides,
    subsampling=st.sampled_from(ALL_SUBSAMPLINGS),
    grey=st.booleans(),
)
def test_coefficients_and_pixels_are_those_of_the_reference(
    implementation, seed, height, width, subsampling, grey
):
    rng = np.random.default_rng(seed)
    images = images_of(seed, height, width, count=2, grey=grey)
    tables = np.stack([random_tables(rng) for _ in images])
    options = {"qtables": torch.from_numpy(tables), "subsampling": subsampling}
    coded = ROUNDTRIPS[implementation](batch_of(images), **options)
    components = COEFFICIENTS[implementation](batch_of(images), **options)
    assert len(components) == (1 if grey else 3)
    for i, image in enumerate(images):
        own = {"qtables": tables[i], "subsampling": subsampling}
        assert torch.equal(coded[i : i + 1], batch_of([reference.roundtrip(image, **own)]))
        for found, expected in zip(components, reference.coefficients(image, **own), strict=True):
            assert found.dtype == torch.int16
            assert np.array_equal(found[i], expected)


def test_a_quality_stands_for_the_tables_of_annex_k():
    image = batch_of(images_of(4, 30, 30))
    for quality in (1, 33, 50, 100):
        tables = annex_k_tables(quality)
        expected = jpeg_coefficients(image, qtables=tables)
        found = jpeg_coefficients(image, quality=quality)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


# The claim in its docstring, for every step and far beyond every coefficient.


@jit
def _quantize_all(values, half, reciprocal, result):
    for i in range(values.size):
        result[i] = cpu_codec_dct.quantized(values[i], half, reciprocal)


def test_the_quotient_in_float32_is_exact():
    for table_entry in range(1, 256):
        step = 8 * table_entry
        values = np.arange(-(2**14) + step, 2**14 - step, dtype=np.int32)
        result = np.empty_like(values)
        _quantize_all(values, np.int32(step // 2), np.float32(1) / np.float32(step), result)
        expected = np.sign(values) * ((np.abs(values) + step // 2) // step)
        assert np.array_equal(result, expected), step
