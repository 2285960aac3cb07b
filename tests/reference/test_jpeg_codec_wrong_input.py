"""Damaged and hostile files: an error that says where, and nothing else, ever.

The fuzzer takes 2,000 files; JPEGDL_FUZZ=100000 gives it as many as one likes.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reference.jpeg_codec import JPEGError, decode, encode
from tests.reference._codec_cases import image_of, libjpeg_or_skip, pillow_pixels
from tests.reference._mutated_files import mutations, sound_files
from tests.reference._naive_jpeg import FLAT, FLAT_DC, File, codes, segment, to_bytes

libjpeg = pytest.fixture(libjpeg_or_skip)

SMALL = encode(image_of("edges", 1, 17, 19), quality=40)
# No file may make an image with more pixels than this for each of its bytes: a block takes two
# bits or more, and sampling factors widen no unit of ten blocks beyond 32 x 32 pixels.
PIXELS_PER_BYTE = 8 / 2 * 32 * 32


def assert_says_where(error: JPEGError, data: bytes) -> None:
    assert 0 <= error.position <= len(data)
    assert f"at byte {error.position}" in str(error)


def _decoded(data: bytes) -> np.ndarray | JPEGError:
    """An image as it must be, or the error; any other exception is the test's failure."""
    try:
        image = decode(data)
    except JPEGError as error:
        assert_says_where(error, data)
        return error
    assert image.dtype == np.uint8
    assert image.ndim == 2 or image.shape[2] == 3
    assert image.shape[0] * image.shape[1] <= PIXELS_PER_BYTE * len(data)
    return image


def _pillow(data: bytes) -> np.ndarray | None:
    """What libjpeg makes of it, None if it refuses."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            if image.mode not in ("RGB", "L"):
                return None
            return np.asarray(image)
    except Exception:
        return None


@pytest.mark.usefixtures("libjpeg")
def test_sound_files_are_sound() -> None:
    for data in sound_files():
        assert np.array_equal(decode(data), pillow_pixels(data))


def test_cut_off_at_every_byte() -> None:
    """Only the EOI may be missing."""
    for length in range(len(SMALL)):
        found = _decoded(SMALL[:length])
        assert isinstance(found, JPEGError) == (length < len(SMALL) - 2)
    assert np.array_equal(decode(SMALL[:-1]), decode(SMALL))


def test_every_byte_of_the_headers_damaged() -> None:
    for at in range(SMALL.index(b"\xff\xda") + 14):
        for change in (0x01, 0x80, 0xFF):
            _decoded(SMALL[:at] + bytes([SMALL[at] ^ change]) + SMALL[at + 1 :])


@pytest.mark.usefixtures("libjpeg")
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of Pillow, on damaged EXIF and MPO
def test_damaged_files() -> None:
    """Where libjpeg makes an image of what the codec accepts, it is the same."""
    count = int(os.environ.get("JPEGDL_FUZZ", "2000"))
    outcome: Counter[str] = Counter()
    for number, data in enumerate(mutations(count, seed=1)):
        found = _decoded(data)
        if isinstance(found, JPEGError):
            outcome["error"] += 1
            continue
        expected = _pillow(data)
        if expected is None:
            outcome["image here only"] += 1
            continue
        outcome["image"] += 1
        assert np.array_equal(found, expected), f"file {number} of seed 1"
    print(dict(outcome))
    assert outcome["error"] > count / 3
    assert outcome["image"] > count / 20


@settings(max_examples=200)
@given(st.binary(max_size=200), st.integers(0, len(SMALL)), st.integers(0, 30))
def test_any_bytes_anywhere(inserted: bytes, at: int, removed: int) -> None:
    _decoded(SMALL[:at] + inserted + SMALL[at + removed :])
    _decoded(inserted)
    _decoded(b"\xff\xd8" + inserted)


def _with(old: bytes, new: bytes) -> bytes:
    assert old in SMALL
    return SMALL.replace(old, new, 1)


SIZE = b"\x00\x11\x00\x13"  # in the frame header
FRAME = SMALL.index(b"\xff\xc0")
TABLE = SMALL.index(b"\xff\xdb")
HUFFMAN = SMALL.index(b"\xff\xc4")
SCAN = SMALL.index(b"\xff\xda")
DATA = SCAN + 14


def _patched(at: int, new: bytes) -> bytes:
    return SMALL[:at] + new + SMALL[at + len(new) :]


HOSTILE = {
    "empty": (b"", "does not begin with FF D8", 0),
    "one byte": (b"\xff", "does not begin with FF D8", 0),
    "another format": (b"\x89PNG\r\n", "does not begin with FF D8", 0),
    "nothing after SOI": (b"\xff\xd8", "the file ends where a marker should be", 2),
    "no image": (b"\xff\xd8\xff\xd9", "the image ends before all its components", 4),
    "fill bytes": (b"\xff\xd8" + b"\xff" * 10**6, "the file ends within a marker", 1_000_002),
    "no marker": (b"\xff\xd8\x00", "byte 00 where a marker should be", 2),
    "zero marker": (b"\xff\xd8\xff\x00", "FF 00 where a marker should be", 3),
    "two SOI": (b"\xff\xd8\xff\xd8", "FF D8 has no place here", 2),
    "restart marker": (b"\xff\xd8\xff\xd3", "FF D3 has no place here", 2),
    "DNL": (b"\xff\xd8" + segment(0xDC, b"\0\1"), "FF DC is not supported", 2),
    "length 1": (b"\xff\xd8\xff\xe0\x00\x01", "has length 1", 4),
    "length beyond the end": (b"\xff\xd8\xff\xe0\x00\x09", "the file ends within the segment", 4),
    "no length": (b"\xff\xd8\xff\xe0\x00", "the file ends within the segment", 4),
    "DRI": (b"\xff\xd8" + segment(0xDD, b"\0"), "DRI must hold 2 bytes", 2),
    "endless comments": (
        b"\xff\xd8" + segment(0xFE, b"") * 100_000,
        "the file ends where a marker should be",
        400_002,
    ),
    "table cut": (_patched(TABLE + 3, b"\x10"), "damaged quantization table", TABLE),
    "table number": (_patched(TABLE + 4, b"\x04"), "damaged quantization table", TABLE),
    "table of 0": (_patched(TABLE + 9, b"\0"), "a quantization table holds a 0", TABLE),
    "Huffman table cut": (_patched(HUFFMAN + 3, b"\x10"), "damaged Huffman table", HUFFMAN),
    "Huffman table number": (_patched(HUFFMAN + 4, b"\x24"), "damaged Huffman table", HUFFMAN),
    "too many codes": (
        _patched(HUFFMAN + 5, b"\x0c" + bytes(15)),
        "more codes of 1 bits than there is room",
        HUFFMAN,
    ),
    "code of all ones": (
        b"\xff\xd8" + segment(0xC4, b"\0\2" + bytes(15) + b"\0\1"),
        "more codes of 1 bits",
        2,
    ),
    "symbol twice": (_patched(HUFFMAN + 21, b"\0\0"), "different from each other", HUFFMAN),
    "frame twice": (
        SMALL[:HUFFMAN] + SMALL[FRAME:HUFFMAN] + SMALL[HUFFMAN:],
        "a second frame",
        HUFFMAN,
    ),
    "frame cut": (_patched(FRAME + 9, b"\x02"), "damaged frame header", FRAME),
    "no pixels": (_with(SIZE, bytes(4)), "0 x 0 pixels", FRAME),
    "no rows": (_with(SIZE, b"\0\0\0\x13"), "19 x 0 pixels", FRAME),
    "one identifier": (_patched(FRAME + 13, b"\1"), "two components have one", FRAME),
    "no sampling factor": (_patched(FRAME + 11, b"\x02"), "damaged frame header", FRAME),
    "sampling factor 5": (_patched(FRAME + 11, b"\x51"), "damaged frame header", FRAME),
    "factors 3 and 2": (_patched(FRAME + 11, b"\x21\0\2\x31"), "do not divide", FRAME),
    "16 blocks": (_patched(FRAME + 11, b"\x44"), "18 blocks in a unit, more than 10", SCAN),
    "no such table": (_patched(FRAME + 12, b"\x03"), "quantization table 3 is not there", DATA),
    "65535 x 65535": (
        _with(SIZE, b"\xff" * 4),
        "65535 x 65535 pixels is larger than max_pixels",
        DATA,
    ),
    "16383 x 16384": (_with(SIZE, b"\x3f\xff\x40\x00"), "too few for", DATA),
    "no frame": (SMALL[:FRAME] + SMALL[HUFFMAN:], "a scan before the frame header", FRAME + 432),
    "scan cut": (_patched(SCAN + 3, b"\x06"), "damaged scan header", SCAN),
    "scan of 4": (_patched(SCAN + 4, b"\x04"), "damaged scan header", SCAN),
    "scan of another": (_patched(SCAN + 5, b"\x09"), "an unknown component, or one", SCAN),
    "scan of one twice": (_patched(SCAN + 7, b"\x01"), "an unknown component, or one", SCAN),
    "no such Huffman table": (_patched(SCAN + 6, b"\x33"), "Huffman table that is not", SCAN),
    "part of the band": (_patched(SCAN + 12, b"\x05"), "part of the coefficients", SCAN),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_says_what_is_wrong_and_where(name: str) -> None:
    data, text, position = HOSTILE[name]
    with pytest.raises(JPEGError, match=text) as caught:
        decode(data)
    assert caught.value.position == position


def _file(**options: object) -> File:
    blocks = np.zeros((1, 4, 64), np.int64)
    blocks[..., 0] = 5, -3, 90, 0
    given = {"scans": [[0]], **options}
    return File((8, 32), [(1, 1)], [blocks], [np.ones(64, np.int64)], **given)  # type: ignore[arg-type]


def test_restart_marker_out_of_turn() -> None:
    data = _file(restart=1).write()
    assert decode(data).shape == (8, 32)
    for wrong in (b"\xff\xd5", b"\xff\xd9", b"\x00\x00"):
        with pytest.raises(JPEGError, match="restart marker is missing or out of turn, in block 2"):
            decode(data.replace(b"\xff\xd1", wrong))


def test_run_past_the_end_of_the_block() -> None:
    """After 48 zeros, 15 more and a coefficient: the 65th."""
    codes_of = codes(FLAT)
    bits = codes(FLAT_DC)[0] + 3 * codes_of[0xF0] + codes_of[0xF1] + "1"
    head = _file().write()
    start = head.index(b"\xff\xda") + 10
    with pytest.raises(JPEGError, match="a run of zeros goes past the end of the block"):
        decode(head[:start] + to_bytes(bits) + bytes(4))


def test_cut_off_in_the_last_coefficient() -> None:
    """No end of block follows it: what is missing is missing from its extra bits."""
    blocks = np.zeros((1, 1, 64), np.int64)
    blocks[..., 63] = 1000
    data = File((8, 8), [(1, 1)], [blocks], [np.ones(64, np.int64)], [[0]]).write()
    start = data.index(b"\xff\xda") + 10
    assert decode(data[:-2]).shape == (8, 8)
    for length in range(start + 1, len(data) - 2):
        with pytest.raises(JPEGError, match="end too early, in block 0 of 1"):
            decode(data[:length])


def test_no_code_fits() -> None:
    data = SMALL[:DATA] + b"\xff\x00" * 40
    with pytest.raises(JPEGError, match="no Huffman code fits the entropy-coded data, in block 0"):
        decode(data)


def _of_scans(scans: list[list[int]]) -> bytes:
    blocks = [np.full((1, 1, 64), 3 * n, np.int64) for n in range(3)]
    return File((8, 8), [(1, 1)] * 3, blocks, [np.ones(64, np.int64)] * 3, scans).write()


@pytest.mark.parametrize("scans", [[[0], [1], [1], [2]], [[0], [1], [2], [1]]])
def test_a_component_in_two_scans(scans: list[list[int]]) -> None:
    with pytest.raises(JPEGError, match="a component comes in two scans"):
        decode(_of_scans(scans))


def test_after_the_scan_of_all_components_nothing_is_read() -> None:
    """As in libjpeg, which goes on to the EOI only where scans hold some of the components."""
    whole = decode(_of_scans([[0, 1, 2]]))
    assert np.array_equal(decode(_of_scans([[0, 1, 2], [0]])), whole)
    assert np.array_equal(decode(_of_scans([[0], [1, 2]])[:-2]), whole)


def test_memory_of_a_small_file() -> None:
    """Declared as large as 10,000 bytes may be: 100 MB are enough for everything.

    In a process of its own: compiled code takes its memory past Python's accounts.
    """
    code = """
import resource
from reference.jpeg_codec import JPEGError, decode, encode
import numpy as np
data = encode(np.zeros((64, 64, 3), np.uint8))
decode(data)  # compiled, or loaded
at = data.index(b"\\xff\\xc0") + 5
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for side in (65_535, 16_000, 4_000, 1_000, 400):
    size = side.to_bytes(2, "big")
    for tail in (b"", bytes(10_000 - len(data)), b"\\xff\\xd9"):
        try:
            decode(data[:at] + size * 2 + data[at + 4 : -2] + tail)
        except JPEGError:
            pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 100_000  # kB
