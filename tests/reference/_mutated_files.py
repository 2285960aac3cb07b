"""Damaged JPEG files: small sound ones, and what may happen to them."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from reference.jpeg_codec import encode
from tests.reference._codec_cases import image_of
from tests.reference._naive_jpeg import File

# Bytes on which readers trip: zeros, ones, markers, lengths, table and component numbers.
_INTERESTING = (0x00, 0x01, 0x02, 0x03, 0x04, 0x10, 0x11, 0x3F, 0x7F, 0x80, 0xFE, 0xFF)
_MARKERS = (
    0xC0,
    0xC1,
    0xC2,
    0xC4,
    0xC9,
    0xD0,
    0xD7,
    0xD8,
    0xD9,
    0xDA,
    0xDB,
    0xDD,
    0xE0,
    0xEE,
    0xFE,
)


def sound_files() -> list[bytes]:
    """One of each sort that the codec reads, of a few hundred bytes."""
    found = [
        encode(image_of(kind, seed, 20, 25, grey=seed == 3), quality=30, subsampling=sampling)
        for seed, (kind, sampling) in enumerate(
            [("smooth", "4:2:0"), ("edges", "4:4:4"), ("checkerboard", "4:2:2"), ("edges", "4:4:0")]
        )
    ]
    picture = image_of("smooth", 9, 24, 40)
    found.append(encode(picture, quality=20, optimize=True))
    for options in ({"restart_marker_blocks": 2}, {"keep_rgb": True}, {"comment": b"a comment"}):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=25, optimize=True, **options)
        found.append(file.getvalue())
    rng = np.random.default_rng(0)
    blocks = [rng.integers(-9, 10, (2, 4, 64)) * (rng.random((2, 4, 64)) < 0.1) for _ in range(3)]
    tables = [rng.integers(1, 600, 64) for _ in range(3)]
    factors = [(1, 2), (1, 1), (1, 1)]
    blocks[1], blocks[2] = blocks[1][:, :2], blocks[2][:, :2]
    found.append(File((16, 27), factors, blocks, tables, [[0], [1, 2]], restart=2).write())
    return found


def mutations(count: int, seed: int) -> Iterator[bytes]:
    """Damaged files, each a pure function of the seed and its number."""
    files = sound_files()
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        data = bytearray(files[number % len(files)])
        for _ in range(int(rng.integers(1, 5))):
            _damage(data, files, rng)
        yield bytes(data)


def _damage(data: bytearray, files: list[bytes], rng: np.random.Generator) -> None:
    at = int(rng.integers(0, len(data) + 1))
    if rng.random() < 0.5:  # headers are short and hold what can be broken best
        at = min(at, int(rng.integers(0, 400)))
    end = at + int(rng.integers(1, 20))
    how = int(rng.integers(0, 9))
    if how == 0 and at < len(data):
        data[at] ^= 1 << int(rng.integers(0, 8))
    elif how == 1 and at < len(data):
        data[at] = int(rng.choice(_INTERESTING))
    elif how == 2:
        data[at:end] = rng.integers(0, 256, end - at, np.uint8).tobytes()
    elif how == 3:
        del data[at:end]
    elif how == 4:
        data[at:at] = data[at:end]
    elif how == 5:
        data[at:at] = bytes([0xFF, int(rng.choice(_MARKERS))])
    elif how == 6:
        del data[at:]
    elif how == 7:
        other = files[int(rng.integers(0, len(files)))]
        data[at:] = other[int(rng.integers(0, len(other))) :]
    else:
        number = rng.integers(0, 65_536) if rng.random() < 0.5 else rng.choice([0, 1, 2, 65_535])
        data[at : at + 2] = int(number).to_bytes(2, "big")
