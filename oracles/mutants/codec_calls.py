"""Faults in how a codec is called, in what it remembers, and in the files it writes."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracles.mutants.codec_sound import PlainCodec, real_codec, through_batches
from reference import jpeg_codec
from reference.standard import ZIGZAG


class _Around:
    """Something around a sound codec."""

    def __init__(self) -> None:
        self.codec = PlainCodec()
        self.calls = 0
        self.kept: Any = None

    def __call__(self, image: Any, **options: Any) -> Any:
        self.calls += 1
        return self.call(image, **options)

    def call(self, image: Any, **options: Any) -> Any:
        return self.codec(image, **options)


class WrittenInput(_Around):
    """Input overwritten."""

    def call(self, image: Any, **options: Any) -> Any:
        image[...] = self.codec(image, **options)
        return image


class TablesOfTheCallBefore(_Around):
    """Tables of the call before."""

    def call(self, image: Any, **options: Any) -> Any:
        now, self.kept = options, self.kept or options
        tables = {k: v for k, v in self.kept.items() if k != "subsampling"}
        self.kept = now
        return self.codec(image, subsampling=now["subsampling"], **tables)


class StalePixels(_Around):
    """The buffer of a call before, where it has the same size."""

    def call(self, image: Any, **options: Any) -> Any:
        found = self.codec(image, **options)
        before, self.kept = self.kept, found
        if before is not None and before.shape == found.shape:
            found = found.copy()
            found[-1] = before[-1]
        return found


class RarePixel(_Around):
    """One pixel is one too large where the sum of the image says so."""

    def call(self, image: Any, **options: Any) -> Any:
        found = self.codec(image, **options)
        if int(image.sum()) % 16 == 3:
            found[0, 0] = np.where(found[0, 0] == 255, 254, found[0, 0] + 1)
        return found


class Jitter(_Around):
    """Another last bit at every eleventh call."""

    def call(self, image: Any, **options: Any) -> Any:
        found = self.codec(image, **options)
        if self.calls % 11 == 0:
            found[-1, -1] ^= 1
        return found


class RawPointer(_Around):
    """Strides ignored."""

    def call(self, image: Any, **options: Any) -> Any:
        if image.base is not None and not image.flags.c_contiguous:
            image = image.base.ravel()[: image.size].reshape(image.shape)
        return self.codec(image, **options)


class LastRowUnwritten(_Around):
    """Last row unwritten."""

    def call(self, image: Any, **options: Any) -> Any:
        found = np.empty_like(image)
        found[: max(len(found) - 1, 1)] = self.codec(image, **options)[: max(len(found) - 1, 1)]
        return found


class WholeBlocksOut(_Around):
    """The padding is not cut off."""

    def call(self, image: Any, **options: Any) -> Any:
        down, right = (-side % 8 for side in image.shape[:2])
        return self.codec(np.pad(image, ((0, down), (0, right), (0, 0)), mode="edge"), **options)


class SignedOutput(_Around):
    """Bytes with a sign."""

    def call(self, image: Any, **options: Any) -> Any:
        return self.codec(image, **options).astype(np.int8)


class FailsOnOnePixel(_Around):
    """Fails on one pixel."""

    def call(self, image: Any, **options: Any) -> Any:
        if image.shape[:2] == (1, 1):
            raise IndexError("index 1 is out of bounds")
        return self.codec(image, **options)


class NanWhenBlack(_Around):
    """NaN when black."""

    def call(self, image: Any, **options: Any) -> Any:
        found = self.codec(image, **options).astype(np.float32)
        return found if image.any() else found * np.nan


class LeakingBlock(_Around):
    """The last block of the first row moves with the first one."""

    def call(self, image: Any, **options: Any) -> Any:
        found = self.codec(image, **options)
        if image.shape[1] >= 32 and image[0, 0, 0] < 128:
            found[0, -1] = 255 - found[0, -1]
        return found


class Recoded(_Around):
    """Coded twice."""

    def call(self, image: Any, **options: Any) -> Any:
        return self.codec(self.codec(image, **options), **options)


def truncated_pixels(image: Any, **options: Any) -> Any:
    """Floating point, cut off in place of rounded at the end."""
    return np.floor(real_codec(image, **options))


def surrogate(image: Any, **options: Any) -> Any:
    """Cubic rounding, passed off as rounding."""
    return through_batches(image, **options)


def real_tables(image: Any, **options: Any) -> Any:
    """Steps that a quality gives are not rounded."""
    return through_batches(image, straight_through=True, table_floor=None, **options)


def real_scale(image: Any, **options: Any) -> Any:
    """The scale that a quality gives is not rounded."""
    return through_batches(image, straight_through=True, scale_floor=None, **options)


def late_end(image: Any, **options: Any) -> bytes:
    """Without its last byte."""
    return jpeg_codec.encode(image, **options)[:-1]


def natural_order(image: Any, **options: Any) -> bytes:
    """Tables in a file in natural order."""
    data = bytearray(jpeg_codec.encode(image, **options))
    at = 0
    while (at := data.find(b"\xff\xdb\x00\x43", at)) >= 0:
        table = np.frombuffer(bytes(data[at + 5 : at + 69]), np.uint8)
        data[at + 5 : at + 69] = table[np.argsort(ZIGZAG)].tobytes()
        at += 69
    return bytes(data)


def better_quality(image: Any, **options: Any) -> bytes:
    """At a quality that is one higher."""
    if "quality" in options:
        options["quality"] = min(options["quality"] + 1, 100)
    return jpeg_codec.encode(image, **options)


def own_huffman(image: Any, **options: Any) -> bytes:
    """With optimized Huffman tables."""
    return jpeg_codec.encode(image, optimize=True, **options)


def cut_off(image: Any, **options: Any) -> bytes:
    """Half of the file."""
    data = jpeg_codec.encode(image, **options)
    return data[: len(data) // 2]


def without_header(image: Any, **options: Any) -> int:
    """The size of the entropy-coded data."""
    return jpeg_codec.file_size(image, **options) - 623


def in_kilobytes(image: Any, **options: Any) -> float:
    """Not a whole number of bytes."""
    return jpeg_codec.file_size(image, **options) / 1000
