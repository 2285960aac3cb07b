"""What a JPEG file is made of: its parts with their sizes, its tables, its sampling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference.entropy import HuffmanTable
from reference.huffman_tables import STANDARD_PAIRS
from reference.jpeg_codec.checks import FACTORS
from reference.jpeg_codec.errors import JPEGError
from reference.jpeg_codec.markers import DHT, DQT, EOI, SOI, SOS, Frame
from reference.jpeg_codec.reader import Reader

_COM, _DRI = 0xFE, 0xDD
_DATA, _REST = "entropy-coded data", "after the end"
_NAMES = {
    SOI: "SOI and EOI",
    EOI: "SOI and EOI",
    DQT: "DQT, quantization tables",
    DHT: "DHT, Huffman tables",
    SOS: "SOS, scan header",
    _COM: "COM, comment",
    _DRI: "DRI, restart interval",
}
_STANDARD = {table for pair in STANDARD_PAIRS for table in (pair.dc, pair.ac)}


@dataclass(frozen=True)
class Part:
    """Segments of one kind: how many there are, and their bytes with markers."""

    name: str
    count: int
    size: int


@dataclass(frozen=True)
class Contents:
    """What a file says before its pixels are decoded.

    Parameters
    ----------
    frame
        Size and components.
    colours
        "grey", "YCbCr" or "RGB", as libjpeg takes them.
    subsampling
        "4:2:0" and so on, or the factors where they have no such name.
    qtables
        Number -> (8, 8) in natural order; the last where there are several.
    huffman
        (0 for DC or 1 for AC, number) -> table, and whether it is one of Annex K.3's.
    parts
        In the order of the file; their sizes add up to it.
    size
        Bytes of the file.
    """

    frame: Frame
    colours: str
    subsampling: str
    qtables: dict[int, NDArray[np.int64]]
    huffman: dict[tuple[int, int], tuple[HuffmanTable, bool]]
    parts: tuple[Part, ...]
    size: int


def contents_of(data: bytes) -> Contents:
    """Read everything but the entropy-coded data.

    Parameters
    ----------
    data
        A JPEG file that :func:`reference.jpeg_codec.decode` supports.

    Raises
    ------
    JPEGError
        If a segment is damaged, cut off or not supported, or there is no image in the file.
    """
    reader = Reader(data)
    pieces: list[tuple[str, int]] = []
    used: set[tuple[int, int]] = set()
    position = 0
    while True:
        scan = reader.next_scan()
        pieces += _segments(data, position, reader.position, used)
        if scan is None:
            break
        reader.skip_data(scan.start)
        pieces.append((_DATA, reader.position - scan.start))
        position = reader.position
        if position >= len(data):
            break  # no EOI
    if reader.frame is None or not reader.scans:
        raise JPEGError("the file ends without an image", reader.position)
    if reader.position < len(data):
        pieces.append((_REST, len(data) - reader.position))
    huffman = {
        key: (table, table in _STANDARD)
        for key, table in reader.huffman.items()
        if key in used or not used
    }
    colours = "grey" if len(reader.frame.components) == 1 else "RGB" if reader.is_rgb() else "YCbCr"
    sampling = _subsampling(reader.frame)
    return Contents(
        reader.frame, colours, sampling, dict(reader.qtables), huffman, _summed(pieces), len(data)
    )


def _segments(
    data: bytes, position: int, end: int, used: set[tuple[int, int]]
) -> Iterator[tuple[str, int]]:
    """Name and size of each segment; the reader has been through them, so they are whole.

    Notes which Huffman tables the file brings along.
    """
    while position < end:
        start = position
        while data[position] == 0xFF:  # the marker, and bytes that fill up before it
            position += 1
        code = data[position]
        position += 1
        if code not in (SOI, EOI):
            length = int.from_bytes(data[position : position + 2], "big")
            if code == DHT:
                used.update(_tables_in(data[position + 2 : position + length]))
            position += length
        yield _name(code), position - start


def _tables_in(content: bytes) -> Iterator[tuple[int, int]]:
    while content:
        yield content[0] >> 4, content[0] & 15
        content = content[17 + sum(content[1:17]) :]


def _name(code: int) -> str:
    if code in _NAMES:
        return _NAMES[code]
    return f"APP{code - 0xE0}" if 0xE0 <= code <= 0xEF else "SOF, frame header"


def _summed(pieces: list[tuple[str, int]]) -> tuple[Part, ...]:
    sizes: dict[str, list[int]] = {}
    for name, size in pieces:
        sizes.setdefault(name, []).append(size)
    return tuple(Part(name, len(own), sum(own)) for name, own in sizes.items())


def _subsampling(frame: Frame) -> str:
    if len(frame.components) == 1:
        return "none"
    luma, *chroma = [(c.vertical, c.horizontal) for c in frame.components]
    if len(set(chroma)) == 1 and not (luma[0] % chroma[0][0] or luma[1] % chroma[0][1]):
        factors = luma[0] // chroma[0][0], luma[1] // chroma[0][1]
        for name, known in FACTORS.items():
            if known == factors:
                return name
    return ", ".join(f"{horizontal}x{vertical}" for vertical, horizontal in (luma, *chroma))


__all__ = ["Contents", "Part", "contents_of"]
