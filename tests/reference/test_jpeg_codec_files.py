"""Files that the codec did not write: by Pillow, by OpenCV, and by hand, with every licence."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from reference.jpeg_codec import JPEGError, decode, encode
from tests.reference._codec_cases import (
    SUBSAMPLINGS,
    Case,
    image_of,
    libjpeg_or_skip,
    pillow_file,
    pillow_pixels,
)
from tests.reference._naive_jpeg import File, segment

libjpeg = pytest.fixture(libjpeg_or_skip)
pytestmark = pytest.mark.usefixtures("libjpeg")

PICTURE = image_of("smooth", 5, 45, 59)


def _saved(image: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", **options)
    return file.getvalue()


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = "a description"
    return exif


@pytest.mark.parametrize(
    "options",
    [
        {"comment": b"a comment"},
        {"exif": _exif()},
        {"dpi": (300, 300)},
        {"icc_profile": bytes(70_000)},  # two APP2 segments
        {"restart_marker_blocks": 1},
        {"restart_marker_blocks": 3},
        {"restart_marker_rows": 1},
        {"keep_rgb": True},
        {"optimize": True},
        {"quality": 3, "qtables": [[255] * 64]},  # one table for all components
        {"qtables": [[n + 1 for n in range(64)]] * 3},
    ],
    ids=str,
)
def test_options_of_pillow(options: dict[str, Any]) -> None:
    data = _saved(PICTURE, **options)
    assert np.array_equal(decode(data), pillow_pixels(data))


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_more_than_eight_restart_markers(subsampling: str, rows: int) -> None:
    image = image_of("noise", 2, 200, 40)
    data = _saved(image, subsampling=subsampling, restart_marker_rows=rows)
    assert data.count(b"\xff\xd0") >= (1 if rows == 2 else 2) or subsampling == "4:2:0"
    assert np.array_equal(decode(data), pillow_pixels(data))


def test_grey_with_restart_markers() -> None:
    data = _saved(PICTURE[..., 0], restart_marker_blocks=2)
    assert b"\xff\xd7" in data
    assert np.array_equal(decode(data), pillow_pixels(data))


def test_what_follows_the_image_is_ignored() -> None:
    data = encode(PICTURE)
    assert np.array_equal(decode(data + b"anything \xff\xda at all"), decode(data))


def test_missing_end_of_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """libjpeg puts it in, as Pillow does where it is told to take what is cut off."""
    data = encode(PICTURE)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for cut in (data[:-2], data[:-1]):
        assert np.array_equal(decode(cut), decode(data))
        assert np.array_equal(decode(cut), pillow_pixels(cut))


def test_missing_huffman_tables_are_those_of_annex_k() -> None:
    """As in the frames of Motion JPEG."""
    data = encode(PICTURE)
    start, end = data.index(b"\xff\xc4"), data.index(b"\xff\xda")
    bare = data[:start] + data[end:]
    assert np.array_equal(decode(bare), decode(data))
    assert np.array_equal(decode(bare), pillow_pixels(bare))


def test_segments_in_another_order() -> None:
    """SOF before the tables, application segments and fill bytes between all of them."""
    data = encode(PICTURE, optimize=True)
    parts, position = [], 2
    while data[position + 1] != 0xDA:
        length = int.from_bytes(data[position + 2 : position + 4], "big") + 2
        parts.append(data[position : position + length])
        position += length
    between = b"\xff\xff" + segment(0xEA, b"of an application")
    moved = data[:2] + b"".join(between + part for part in reversed(parts)) + data[position:]
    assert np.array_equal(decode(moved), decode(data))
    assert np.array_equal(decode(moved), pillow_pixels(moved))


def _random_file(seed: int, factors: list[tuple[int, int]], **options: Any) -> File:
    """Coefficients as an image might have them: few and small, but for the DC."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 50, 2).tolist()
    v, h = (max(axis) for axis in zip(*factors, strict=True))
    units = -(-height // (8 * v)), -(-width // (8 * h))
    blocks = []
    for own_v, own_h in factors:
        shape = (own_v * units[0], own_h * units[1], 64)
        sparse = rng.integers(-30, 31, shape) * (rng.random(shape) < 0.1)
        sparse[..., 0] = rng.integers(-60, 61, shape[:2])
        blocks.append(sparse)
    tables = [rng.integers(1, 20, 64) for _ in factors]
    scans = options.pop("scans", [list(range(len(factors)))])
    return File((height, width), factors, blocks, tables, scans, **options)


COLOURS = {
    "4:4:4": [(1, 1), (1, 1), (1, 1)],
    "4:2:2": [(1, 2), (1, 1), (1, 1)],
    "4:2:0": [(2, 2), (1, 1), (1, 1)],
    "4:4:0": [(2, 1), (1, 1), (1, 1)],
    "4:1:1": [(1, 4), (1, 1), (1, 1)],
    "4:1:0": [(2, 4), (1, 1), (1, 1)],
    "1:4": [(4, 1), (1, 1), (1, 1)],
    "thirds": [(1, 3), (1, 1), (1, 1)],
    "luma reduced": [(1, 1), (2, 2), (1, 1)],
    "each its own": [(1, 2), (2, 1), (1, 1)],
    "4:4:4 as 2x1": [(2, 1), (2, 1), (2, 1)],
}


@pytest.mark.parametrize("factors", COLOURS.values(), ids=COLOURS)
@pytest.mark.parametrize("seed", range(6))
def test_sampling_factors(factors: list[tuple[int, int]], seed: int) -> None:
    data = _random_file(seed, factors).write()
    assert np.array_equal(decode(data), pillow_pixels(data))


@pytest.mark.parametrize("factor", [(1, 1), (2, 2), (1, 4), (3, 2)])
def test_factors_of_grey_mean_nothing(factor: tuple[int, int]) -> None:
    file = _random_file(3, [(1, 1)])
    plain = file.write()
    file.factors = [factor]
    data = file.write()
    assert data != plain or factor == (1, 1)
    assert np.array_equal(decode(data), decode(plain))
    assert np.array_equal(decode(data), pillow_pixels(data))


@pytest.mark.parametrize("scans", [[[0], [1], [2]], [[2], [0], [1]], [[0, 1], [2]], [[1, 2], [0]]])
@pytest.mark.parametrize("factors", list(COLOURS.values())[:4], ids=list(COLOURS)[:4])
@pytest.mark.parametrize("restart", [0, 2])
def test_scans_of_some_components(
    factors: list[tuple[int, int]], scans: list[list[int]], restart: int
) -> None:
    comment = segment(0xFE, b"between the scans")
    data = _random_file(11, factors, scans=scans, restart=restart, between=comment).write()
    assert np.array_equal(decode(data), pillow_pixels(data))


def test_what_is_left_over_between_scans() -> None:
    """More data, a stuffed byte, a restart marker that nobody asked for."""
    scans = [[0], [1, 2]]
    left_over = b"\x12\x34\xff\x00\xff\xd5\x56" + segment(0xFE, b"")
    data = _random_file(12, COLOURS["4:2:0"], scans=scans, between=left_over).write()
    plain = _random_file(12, COLOURS["4:2:0"], scans=scans).write()
    assert np.array_equal(decode(data), decode(plain))
    assert np.array_equal(decode(data), pillow_pixels(data))


@pytest.mark.parametrize(
    ("before", "identifiers", "rgb"),
    [
        (b"", [1, 2, 3], False),
        (b"", [ord("R"), ord("G"), ord("B")], True),
        (b"", [7, 8, 9], False),
        (segment(0xEE, b"Adobe\0\x64\0\0\0\0\x00"), [1, 2, 3], True),
        (segment(0xEE, b"Adobe\0\x64\0\0\0\0\x01"), [82, 71, 66], False),
        (segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"), [82, 71, 66], False),
        (
            segment(0xEE, b"Adobe\0\x64\0\0\0"),
            [82, 71, 66],
            True,
        ),  # cut short: as if it were not there
        (segment(0xE0, b"JFIF\0\1\1\0\0\1"), [82, 71, 66], True),
    ],
)
def test_which_colours_three_components_are(
    before: bytes, identifiers: list[int], rgb: bool
) -> None:
    file = _random_file(4, COLOURS["4:4:4"], before=before, identifiers=identifiers)
    data = file.write()
    pixels = decode(data)
    assert np.array_equal(pixels, pillow_pixels(data))
    for index in range(3):
        file.factors, file.scans = [(1, 1)], [[0]]
        grey = File(file.size, [(1, 1)], [file.blocks[index]], [file.tables[index]], [[0]])
        assert np.array_equal(decode(grey.write()), pixels[..., index]) == rgb


@pytest.mark.parametrize("largest", [255, 65_535])
@pytest.mark.parametrize("places", [1, 3, 8, 64])
@pytest.mark.parametrize("reach", [1023, 2047, 16_383])
def test_coefficients_that_no_image_has(reach: int, places: int, largest: int) -> None:
    """Products and sums of 16 bits wrap where libjpeg-turbo's SIMD code lets them."""
    rng = np.random.default_rng(reach + places + largest)
    for _ in range(10):
        blocks = np.zeros((2, 3, 64), np.int64)
        # DC differences have 15 bits or fewer.
        blocks[..., rng.permutation(64)[:places]] = rng.integers(-reach, reach + 1, (2, 3, places))
        data = File((16, 24), [(1, 1)], [blocks], [rng.integers(1, largest + 1, 64)], [[0]]).write()
        assert np.array_equal(decode(data), pillow_pixels(data))


NOT_SUPPORTED = {
    "progressive": (lambda: _saved(PICTURE, progressive=True), "progressive JPEG"),
    "CMYK": (lambda: _cmyk(), "4 components are not supported"),
    "12 bits": (lambda: _with_frame(b"\xff\xc1", b"\x0c"), "12 bits per sample"),
    "arithmetic": (lambda: _with_frame(b"\xff\xc9", b"\x08"), "arithmetic-coded JPEG"),
    "lossless": (lambda: _with_frame(b"\xff\xc3", b"\x08"), "lossless JPEG"),
    "hierarchical": (lambda: _with_frame(b"\xff\xc5", b"\x08"), "hierarchical JPEG"),
}


def _with_frame(marker: bytes, precision: bytes) -> bytes:
    data = encode(PICTURE)
    at = data.index(b"\xff\xc0")
    return data[:at] + marker + data[at + 2 : at + 4] + precision + data[at + 5 :]


def _cmyk() -> bytes:
    file = io.BytesIO()
    Image.new("CMYK", (9, 9)).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize("name", NOT_SUPPORTED)
def test_not_supported(name: str) -> None:
    make, text = NOT_SUPPORTED[name]
    data = make()
    with pytest.raises(JPEGError, match=text) as caught:
        decode(data)
    codes = (bytes([0xFF, code]) for code in range(0xC0, 0xCE) if code != 0xC4)
    frame = next(at for code in codes if (at := data.find(code)) > 0)
    assert caught.value.position == frame
    assert f"at byte {frame}" in str(caught.value)


class TestOpenCV:
    """The other program that most data sets are read with."""

    @pytest.mark.parametrize("optimize", [0, 1])
    @pytest.mark.parametrize("quality", [1, 40, 75, 95, 100])
    @pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1"])
    def test_colour(self, subsampling: str, quality: int, optimize: int) -> None:
        cv2 = pytest.importorskip("cv2")
        factor = getattr(cv2, "IMWRITE_JPEG_SAMPLING_FACTOR_" + subsampling.replace(":", ""))
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, optimize]
        for seed, (height, width) in enumerate([(45, 59), (1, 1), (17, 16), (3, 40)]):
            image = image_of("smooth", seed, height, width)
            _, file = cv2.imencode(
                ".jpg",
                image[..., ::-1],
                [*options, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor],
            )
            data = file.tobytes()
            assert np.array_equal(decode(data), cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1])
            if subsampling != "4:1:1":
                assert data == encode(
                    image, quality=quality, subsampling=subsampling, optimize=bool(optimize)
                )

    @pytest.mark.parametrize("interval", [1, 5])
    def test_grey_and_restart_markers(self, interval: int) -> None:
        cv2 = pytest.importorskip("cv2")
        _, file = cv2.imencode(".jpg", PICTURE[..., 0], [cv2.IMWRITE_JPEG_RST_INTERVAL, interval])
        assert b"\xff\xd1" in file.tobytes()
        expected = cv2.imdecode(file, cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(decode(file.tobytes()), expected)

    def test_reads_what_the_codec_writes(self) -> None:
        cv2 = pytest.importorskip("cv2")
        case = Case(PICTURE, 60, None, "4:2:2", True)
        data = encode(case.image, **case.options, optimize=True)
        assert data == pillow_file(case)
        read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert np.array_equal(read[..., ::-1], decode(data))
