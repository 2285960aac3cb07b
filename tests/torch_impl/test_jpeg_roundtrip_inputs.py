"""Images of every dtype and layout for the integer codec, what torch does to it, wrong input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.torch_impl._coding import batch_of, images_of
from torch_impl import jpeg_coefficients, jpeg_roundtrip

FUNCTIONS = [jpeg_roundtrip, jpeg_coefficients]
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


@pytest.fixture(scope="module")
def images():
    return batch_of(images_of(0, 19, 26))


# Floating point


@pytest.mark.parametrize("dtype", FLOATS)
def test_whole_numbers_in_floating_point_are_the_pixels(images, dtype):
    coded = jpeg_roundtrip(images.to(dtype), quality=40)
    assert coded.dtype == dtype
    # bfloat16 too holds every whole number up to 256.
    assert torch.equal(coded, jpeg_roundtrip(images, quality=40).to(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_values_are_rounded_half_up_and_saturated(dtype):
    below_half = float(
        torch.nextafter(torch.tensor(0.5, dtype=dtype), torch.zeros((), dtype=dtype))
    )
    given = [2.5, 3.5, 2.25, 2.75, -0.25, -0.5, -7.0, 300.0, 61440.0, 0.5, below_half, 126.5]
    whole = [3, 4, 2, 3, 0, 0, 0, 255, 255, 1, 0, 127]
    values = torch.tensor(given, dtype=dtype)
    assert values.tolist() == given  # the dtype holds them
    pixels = torch.tensor(whole, dtype=torch.uint8)
    coded = jpeg_roundtrip(values.view(1, 1, 1, -1), quality=100)
    assert torch.equal(coded.to(torch.uint8), jpeg_roundtrip(pixels.view(1, 1, 1, -1), quality=100))
    for one, pixel in zip(values, pixels, strict=True):
        # A flat block at quality 100 keeps its level, which a row of pixels may not show.
        found = jpeg_coefficients(one.expand(1, 1, 8, 8), quality=100)[0]
        assert int(found.flatten()[0]) == 8 * (int(pixel) - 128)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_images_must_be_finite(function, images, value, dtype):
    bad = images.to(dtype)
    bad[-1, -1, -1, -1] = value
    with pytest.raises(ValueError, match="images must be finite, got NaN or infinity"):
        function(bad)


def test_a_value_that_is_not_finite_is_found_in_a_large_batch():
    # More numbers than one task of the threads rounds.
    batch = torch.zeros(1, 3, 300, 301)
    batch[0, 0, 0, 0] = math.nan
    with pytest.raises(ValueError, match="images must be finite"):
        jpeg_roundtrip(batch)


# Layouts, and what torch does


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_every_memory_layout_gives_the_same(images, dtype):
    batch = images.to(dtype)
    before, expected = batch.clone(), jpeg_roundtrip(batch)
    wide = torch.full((3, 3, 40, 60), 7, dtype=dtype)
    wide[:, :, 3:22, 5:57:2] = batch
    layouts = {
        "channels last": batch.to(memory_format=torch.channels_last),
        "slice": wide[:, :, 3:22, 5:57:2],
        "transposed": batch.transpose(2, 3).contiguous().transpose(2, 3),
        "flipped": batch.flip(0).flip(0),
    }
    for name, layout in layouts.items():
        coded = jpeg_roundtrip(layout)
        assert torch.equal(coded, expected), name
        assert coded.is_contiguous()
    one = batch[:1].expand(4, -1, -1, -1)
    assert torch.equal(jpeg_roundtrip(one), expected[:1].expand(4, -1, -1, -1))
    assert torch.equal(batch, before)


def test_no_gradient_passes(images):
    leaf = images.float().requires_grad_()
    tables = torch.full((2, 8, 8), 9.0, requires_grad=True)
    coded = jpeg_roundtrip(leaf, qtables=tables)
    assert not coded.requires_grad
    with torch.no_grad():
        assert torch.equal(jpeg_roundtrip(leaf, qtables=tables), coded)
    with torch.inference_mode():
        assert torch.equal(jpeg_roundtrip(leaf, qtables=tables), coded)
    assert not any(part.requires_grad for part in jpeg_coefficients(leaf, qtables=tables))


def test_autocast_changes_nothing(images):
    expected = jpeg_roundtrip(images.float(), quality=90)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(jpeg_roundtrip(images.float(), quality=90), expected)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_both_are_one_node_of_a_compiled_graph(images, subsampling):
    def coded(x):
        components = jpeg_coefficients(x, quality=30, subsampling=subsampling)
        return jpeg_roundtrip(x, quality=30, subsampling=subsampling), *components

    compiled = torch.compile(coded, backend="aot_eager", fullgraph=True)
    for a, b in zip(compiled(images), coded(images), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["jpeg_roundtrip", "jpeg_coefficients"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_operators_are_registered_as_torch_wants_them(images, name, channels):
    tables = torch.full((3, 2, 8, 8), 20)
    found = getattr(torch.ops.jpegdl, name).default
    torch.library.opcheck(found, (images[:, :channels], tables, 2, 1))


@pytest.mark.parametrize(
    "quality",
    [30, np.int64(30), torch.tensor(30), torch.full((3,), 30), torch.full((3,), 30).byte()],
)
def test_a_quality_may_be_any_whole_number(images, quality):
    expected = jpeg_roundtrip(images, quality=30)
    assert torch.equal(jpeg_roundtrip(images, quality=quality), expected)


def test_tables_may_be_any_array_of_whole_numbers(images):
    tables = torch.arange(1, 129).view(2, 8, 8)
    expected = jpeg_roundtrip(images, qtables=tables)
    fixed = tables.numpy().copy()
    fixed.setflags(write=False)
    arrays = (fixed, fixed.astype(np.uint16), fixed.astype(float), fixed.tolist())
    for given in (tables.double(), tables.byte(), tables.expand(3, 2, 8, 8), *arrays):
        assert torch.equal(jpeg_roundtrip(images, qtables=given), expected)


# Wrong input

OPTIONS = [
    ({"quality": 0}, ValueError, "quality must be at least 1, got 0"),
    ({"quality": 101}, ValueError, "quality must be at most 100, got 101"),
    ({"quality": 75.0}, TypeError, "quality must be an integer, got 75.0"),
    ({"quality": math.nan}, TypeError, "quality must be an integer, got nan"),
    ({"quality": True}, TypeError, "quality must be an integer, got the boolean"),
    ({"quality": "75"}, TypeError, "quality must be an integer, got '75'"),
    ({"quality": torch.tensor([1, 2])}, ValueError, r"quality must be .* shape \(3,\); got shape"),
    ({"quality": torch.tensor([[1, 2, 3]])}, ValueError, r"quality must be .*got shape \(1, 3\)"),
    ({"quality": torch.tensor([1, 0, 3])}, ValueError, r"quality must lie in 1..100, got 0 at .*1"),
    ({"quality": torch.tensor([1, 2, 101])}, ValueError, "quality must lie in 1..100, got 101"),
    ({"quality": torch.ones(3)}, TypeError, "quality must be an integer.*got torch.float32"),
    ({"quality": 75, "qtables": torch.ones(2, 8, 8)}, ValueError, "quality or qtables, not both"),
    ({"qtables": torch.zeros(2, 8, 8)}, ValueError, "qtables must lie in 1..255, got 0.0 at index"),
    ({"qtables": torch.full((2, 8, 8), 256)}, ValueError, "qtables must lie in 1..255, got 256"),
    (
        {"qtables": torch.full((2, 8, 8), 1.5)},
        ValueError,
        "qtables must hold whole numbers, got 1.5",
    ),
    ({"qtables": torch.full((2, 8, 8), math.nan)}, ValueError, "qtables must .*got nan"),
    ({"qtables": torch.full((2, 8, 8), math.inf)}, ValueError, "qtables must .*got inf"),
    ({"qtables": torch.ones(2, 8, 8, dtype=torch.bool)}, TypeError, "qtables must .*torch.bool"),
    ({"qtables": torch.ones(2, 8, 8) * 1j}, TypeError, "qtables must .*complex"),
    (
        {"qtables": np.full((2, 8, 8), "1")},
        TypeError,
        "qtables must be a tensor or an array of numbers, got ndarray",
    ),
    (
        {"qtables": "standard"},
        TypeError,
        "qtables must be a tensor or an array of numbers, got str",
    ),
    ({"qtables": torch.ones(8, 8)}, ValueError, r"qtables must have shape .*got \(8, 8\)"),
    ({"qtables": torch.ones(2, 2, 8, 8)}, ValueError, r"qtables must have .*\(3, 2, 8, 8\); got"),
    ({"subsampling": "4:1:1"}, ValueError, "subsampling must be one of 4:4:4.*got '4:1:1'"),
    ({"subsampling": ["4:2:0"]}, ValueError, "subsampling must be one of"),
    ({"subsampling": None}, ValueError, "subsampling must be one of"),
]
IMAGES = [
    (np.zeros((1, 3, 8, 8), np.uint8), TypeError, "images must be a torch.Tensor, got ndarray"),
    (torch.zeros(1, 3, 8, 8, dtype=torch.int64), TypeError, "images must be uint8 or floating"),
    (torch.zeros(1, 3, 8, 8, dtype=torch.complex64), TypeError, "images must be .*complex64"),
    (torch.zeros(3, 8, 8), ValueError, r"images must be RGB .*got shape \(3, 8, 8\)"),
    (torch.zeros(1, 8, 8, 3), ValueError, r"images must be RGB .*got shape \(1, 8, 8, 3\)"),
    (torch.zeros(1, 2, 8, 8), ValueError, "images must be RGB .* or grey"),
    (torch.zeros(0, 3, 8, 8), ValueError, "images must hold at least one image"),
    (torch.zeros(1, 3, 0, 8), ValueError, r"images must have 1..65535 rows and columns"),
    (torch.zeros(1, 1, 1, 65536), ValueError, r"images must have 1..65535 rows and columns"),
]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("options", "error", "message"), OPTIONS)
def test_wrong_options_are_named(function, images, options, error, message):
    with pytest.raises(error, match=message):
        function(images, **options)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("images", "error", "message"), IMAGES)
def test_wrong_images_are_named(function, images, error, message):
    with pytest.raises(error, match=message):
        function(images)


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 2, 8, 8), (1, 2, 64)])
def test_the_operator_does_not_read_beyond_its_tables(images, shape):
    with pytest.raises(ValueError, match="tables must have shape"):
        torch.ops.jpegdl.jpeg_roundtrip(images, torch.ones(shape), 2, 2)
