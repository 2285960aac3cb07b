"""The codec is libjpeg, byte for byte and pixel for pixel, by Pillow; and its wrong arguments."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.entropy import HuffmanPair, SymbolCounts, optimal_table
from reference.jpeg_codec import (
    block_bits,
    coefficients,
    count_symbols,
    decode,
    encode,
    file_size,
    roundtrip,
)
from reference.jpeg_codec.codec import MAX_PIXELS
from reference.standard import annex_k_tables
from tests.reference._codec_cases import (
    KINDS,
    SUBSAMPLINGS,
    Case,
    differences,
    image_of,
    libjpeg_or_skip,
    natural_images,
    pillow_pixels,
    random_cases,
    random_tables,
)

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOUR = np.stack([GREY, GREY.T, GREY[::-1]], axis=-1)

libjpeg = pytest.fixture(libjpeg_or_skip)


@pytest.mark.usefixtures("libjpeg")
def test_200_random_images() -> None:
    different = [
        f"{case}: {found}"
        for case in random_cases(200, seed=0, largest=64)
        if (found := differences(case))
    ]
    assert not different


@pytest.mark.usefixtures("libjpeg")
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_every_small_size(subsampling: str) -> None:
    """Noise: one or two columns of chroma are not filtered, and every edge counts."""
    for height, width in np.ndindex(6, 6):
        image = image_of("noise", 6 * height + width, height + 1, width + 1)
        case = Case(image, 100, None, subsampling)
        assert not differences(case), case


@pytest.mark.usefixtures("libjpeg")
@pytest.mark.parametrize("quality", [1, 10, 50, 75, 95, 100])
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_natural_pictures(quality: int, subsampling: str) -> None:
    for name, picture in natural_images().items():
        case = Case(picture[:203, :171], quality, None, subsampling, quality % 2 == 0)
        assert not differences(case), name


@pytest.mark.usefixtures("libjpeg")
@settings(max_examples=150)
@given(
    kind=st.sampled_from(list(KINDS)),
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    grey=st.booleans(),
    quality=st.integers(1, 100) | st.none(),
    subsampling=st.sampled_from(SUBSAMPLINGS),
    optimize=st.booleans(),
)
def test_any_image(
    kind: str,
    seed: int,
    height: int,
    width: int,
    grey: bool,
    quality: int | None,
    subsampling: str,
    optimize: bool,
) -> None:
    tables = random_tables(np.random.default_rng(seed)) if quality is None else None
    image = image_of(kind, seed, height, width, grey=grey)
    assert not differences(Case(image, quality, tables, subsampling, optimize))


@pytest.mark.usefixtures("libjpeg")
@settings(max_examples=50)
@given(
    pixels=st.lists(st.integers(0, 255), min_size=12, max_size=12),
    quality=st.integers(1, 100),
    subsampling=st.sampled_from(SUBSAMPLINGS),
)
def test_few_free_pixels(pixels: list[int], quality: int, subsampling: str) -> None:
    """Each sample free, so that Hypothesis can shrink what differs to one of them."""
    image = np.array(pixels, np.uint8).reshape(2, 2, 3)
    assert not differences(Case(image, quality, None, subsampling))


@pytest.mark.usefixtures("libjpeg")
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (9, 16), (33, 18)])
def test_440(size: tuple[int, int]) -> None:
    """Pillow reads 4:4:0; only OpenCV can write it."""
    image = image_of("smooth", 1, *size)
    data = encode(image, quality=90, subsampling="4:4:0")
    assert np.array_equal(decode(data), pillow_pixels(data))
    assert np.array_equal(roundtrip(image, quality=90, subsampling="4:4:0"), decode(data))


@pytest.mark.parametrize("subsampling", [*SUBSAMPLINGS, "4:4:0"])
@pytest.mark.parametrize("shape", [(1, 1, 3), (17, 40, 3), (40, 17, 3), (23, 23)])
def test_shapes_and_dtype_of_coefficients(shape: tuple[int, ...], subsampling: str) -> None:
    image = np.full(shape, 200, np.uint8)
    found = coefficients(image, quality=50, subsampling=subsampling)
    v, h = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2), "4:4:0": (2, 1)}[subsampling]
    luma = (-(-shape[0] // 8), -(-shape[1] // 8), 8, 8)
    chroma = (-(-shape[0] // (8 * v)), -(-shape[1] // (8 * h)), 8, 8)
    assert isinstance(found, tuple)
    assert [c.shape for c in found] == ([luma, chroma, chroma] if len(shape) == 3 else [luma])
    assert all(c.dtype == np.int16 for c in found)


def test_coefficients_are_natural_order() -> None:
    """A horizontal wave of frequency 3 is row 0, column 3."""
    wave = 100 * np.cos((2 * np.arange(8) + 1) * 3 * np.pi / 16)
    image = np.rint(128 + np.tile(wave, (8, 1))).astype(np.uint8)
    (block,) = coefficients(image, quality=100)
    assert np.unravel_index(np.abs(block[0, 0]).argmax(), (8, 8)) == (0, 3)
    # 100 * sum(cos^2) = 400, times the orthonormal 1/2 and sqrt(8) of the constant direction.
    assert abs(int(block[0, 0, 0, 3]) - 400 / 2 * np.sqrt(8)) <= 1


@pytest.mark.parametrize("quality", [1, 33, 75, 100])
def test_a_quality_is_its_tables(quality: int) -> None:
    tables = annex_k_tables(quality)
    assert encode(COLOUR, quality=quality) == encode(COLOUR, qtables=tables)
    assert encode(COLOUR, quality=quality) == encode(COLOUR, qtables=tables.astype(int).tolist())


def test_quality_75_unless_told_otherwise() -> None:
    assert encode(COLOUR) == encode(COLOUR, quality=75, subsampling="4:2:0", optimize=False)


def test_views_are_images_too() -> None:
    whole = image_of("smooth", 3, 40, 40)
    view = whole[::2, ::-1]
    read_only = np.ascontiguousarray(view)
    read_only.setflags(write=False)
    assert encode(view) == encode(read_only) == encode(view.copy())
    assert np.array_equal(whole, image_of("smooth", 3, 40, 40))


class TestManyImages:
    IMAGES = (
        image_of("noise", 0, 20, 30),
        image_of("smooth", 1, 9, 64),
        image_of("edges", 2, 16, 16),
    )

    @pytest.mark.parametrize("optimize", [False, True])
    def test_sizes_of_a_batch(self, optimize: bool) -> None:
        sizes = file_size(self.IMAGES, quality=60, optimize=optimize)
        files = [encode(image, quality=60, optimize=optimize) for image in self.IMAGES]
        assert sizes.tolist() == [len(file) for file in files]
        assert sizes.dtype == np.int64

    def test_sizes_of_an_array(self) -> None:
        batch = np.stack([image_of("noise", n, 12, 12) for n in range(3)])
        assert file_size(batch).tolist() == [file_size(image) for image in batch]

    @pytest.mark.usefixtures("libjpeg")
    def test_tables_made_of_some_measured_on_others(self) -> None:
        parts = [count_symbols(coefficients(image, quality=60)) for image in self.IMAGES[:2]]
        tables = (parts[0] + parts[1]).smoothed().optimal_tables()
        other = self.IMAGES[2]
        data = encode(other, quality=60, huffman=tables)
        assert file_size(other, quality=60, huffman=tables) == len(data)
        assert np.array_equal(decode(data), roundtrip(other, quality=60))
        assert np.array_equal(pillow_pixels(data), roundtrip(other, quality=60))

    def test_tables_without_a_code(self) -> None:
        tables = count_symbols(coefficients(np.zeros((8, 8, 3), np.uint8))).optimal_tables()
        with pytest.raises(ValueError, match="no code for a symbol of block 0"):
            encode(self.IMAGES[0], huffman=tables)

    @pytest.mark.parametrize("subsampling", [*SUBSAMPLINGS, "4:4:0"])
    @pytest.mark.parametrize("image", [*IMAGES, GREY])
    def test_bits_of_blocks_make_up_the_file(self, image: np.ndarray, subsampling: str) -> None:
        """Header, then the blocks' bits in whole bytes, and a zero after each 0xFF."""
        data = encode(image, subsampling=subsampling)
        found = block_bits(coefficients(image, subsampling=subsampling), subsampling=subsampling)
        start = 623 if image.ndim == 3 else 328  # SOI to SOS
        body = data[start:-2]
        total = sum(int(bits.sum()) for bits in found)
        assert -(-total // 8) == len(body) - body.count(b"\xff\x00")


@pytest.mark.parametrize(
    ("image", "error", "text"),
    [
        ([[1]], TypeError, "NumPy array"),
        (COLOUR.astype(float), TypeError, "uint8, got float64"),
        (COLOUR.astype(np.int16), TypeError, "uint8, got int16"),
        (COLOUR[:, :, :2], ValueError, r"\(16, 16, 2\)"),
        (COLOUR[0, 0], ValueError, r"got shape \(3,\)"),
        (np.zeros((0, 4), np.uint8), ValueError, "1..65535"),
        (np.zeros((1, 65_536), np.uint8), ValueError, "1..65535"),
    ],
)
def test_wrong_images(image: object, error: type[Exception], text: str) -> None:
    for function in (encode, coefficients, roundtrip):
        with pytest.raises(error, match=text):
            function(image)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"quality": 0}, ValueError, "1..100"),
        ({"quality": 101}, ValueError, "1..100"),
        ({"quality": 75.0}, TypeError, "integer"),
        ({"quality": 75, "qtables": np.ones((2, 8, 8))}, ValueError, "not both"),
        ({"qtables": np.ones((8, 8))}, ValueError, r"shape \(2, 8, 8\)"),
        ({"qtables": np.zeros((2, 8, 8))}, ValueError, "1..255, got 0 to 0"),
        ({"qtables": np.full((2, 8, 8), 256)}, ValueError, "1..255, got 256 to 256"),
        ({"qtables": np.full((2, 8, 8), 1.5)}, ValueError, "whole numbers"),
        ({"qtables": np.full((2, 8, 8), np.nan)}, TypeError, "whole numbers"),
        ({"qtables": np.full((2, 8, 8), "1")}, TypeError, "whole numbers"),
        ({"qtables": np.ones((2, 8, 8), bool)}, TypeError, "whole numbers"),
        ({"subsampling": "4:1:1"}, ValueError, "must be one of 4:4:4"),
        ({"subsampling": 2}, ValueError, "must be one of 4:4:4"),
        ({"subsampling": ["4:4:4"]}, ValueError, "must be one of 4:4:4"),
    ],
)
def test_wrong_options(options: dict[str, object], error: type[Exception], text: str) -> None:
    for function in (encode, coefficients, roundtrip, file_size):
        with pytest.raises(error, match=text):
            function(COLOUR, **options)  # type: ignore[arg-type]


def test_wrong_huffman_tables() -> None:
    counts = np.zeros(256, np.int64)
    counts[:20] = 1
    pair = HuffmanPair(optimal_table(counts), optimal_table(counts))
    with pytest.raises(ValueError, match="2 pairs of tables, got 1"):
        encode(COLOUR, huffman=[pair])
    with pytest.raises(ValueError, match="not both"):
        file_size(COLOUR, huffman=[pair, pair], optimize=True)


def test_wrong_components() -> None:
    luma, cb, cr = coefficients(COLOUR)
    for components in ([luma, cb], [luma[0]], [luma.astype(int), cb, cr], [luma[:0]]):
        with pytest.raises(ValueError, match="one or three int16 arrays"):
            count_symbols(components)
    with pytest.raises(ValueError, match="do not belong together at subsampling '4:4:4'"):
        count_symbols([luma, cb, cr], subsampling="4:4:4")
    assert isinstance(count_symbols([luma, cb, cr]), SymbolCounts)


@pytest.mark.parametrize("data", ["text", None, np.zeros(4, np.uint8)])
def test_files_that_are_no_bytes(data: object) -> None:
    with pytest.raises(TypeError, match="data must be bytes"):
        decode(data)  # type: ignore[arg-type]


def test_wrong_max_pixels() -> None:
    data = encode(COLOUR)
    with pytest.raises(TypeError, match="max_pixels"):
        decode(data, max_pixels=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1"):
        decode(data, max_pixels=0)
    assert decode(bytearray(data), max_pixels=256).shape == (16, 16, 3)
    assert decode(memoryview(data), max_pixels=MAX_PIXELS).shape == (16, 16, 3)


def test_the_page_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "codec.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 2
    names: dict[str, object] = {}
    exec(compile("\n".join(examples), "codec.md", "exec"), names)
    assert names["other"] > 600  # the headers alone are longer
