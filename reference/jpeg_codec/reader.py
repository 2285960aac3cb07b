"""Reading the segments of a JPEG file, in any order that the standard allows.

Nothing here trusts a length or a number that the file states.

References
----------
ITU-T T.81, Annex B; libjpeg, jdmarker.c and jdapimin.c (which colours three components are).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reference.entropy import MAX_LENGTH, HuffmanPair, HuffmanTable
from reference.huffman_tables import STANDARD_PAIRS
from reference.jpeg_codec.errors import JPEGError
from reference.jpeg_codec.markers import (
    APP0,
    DHT,
    DQT,
    EOI,
    SOF0,
    SOI,
    SOS,
    Component,
    Frame,
)
from reference.standard import ZIGZAG

_APP14, _APP15, _COM, _DRI, _SOF1 = 0xEE, 0xEF, 0xFE, 0xDD, 0xC1
_FRAMES = {0xC2: "progressive", 0xC3: "lossless", 0xC9: "arithmetic-coded"}
_FRAMES |= dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical")
_FRAMES |= {0xCA: "arithmetic-coded progressive", 0xCB: "arithmetic-coded lossless"}
# T.81, B.2.3.
_LARGEST_UNIT = 10
# After 0xFF: a stuffed zero, and restart markers.
_IN_DATA = {bytes([code]) for code in (0x00, *range(0xD0, 0xD8))}


@dataclass(frozen=True)
class Scan:
    """Components of a scan with their DC and AC tables, and where their data begin."""

    components: tuple[int, ...]
    tables: tuple[HuffmanPair, ...]
    start: int
    restart: int


def _standard_tables() -> dict[tuple[int, int], HuffmanTable]:
    """Those of Annex K.3, which a file may leave out, as the frames of Motion JPEG do."""
    kinds = {(0, number): pair.dc for number, pair in enumerate(STANDARD_PAIRS)}
    return kinds | {(1, number): pair.ac for number, pair in enumerate(STANDARD_PAIRS)}


@dataclass
class Reader:
    """What the segments read so far say.

    Parameters
    ----------
    data
        The file.
    """

    data: bytes
    position: int = 0
    frame: Frame | None = None
    restart: int = 0
    scans: int = 0
    qtables: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    huffman: dict[tuple[int, int], HuffmanTable] = field(default_factory=_standard_tables)
    jfif: bool = False
    adobe: int | None = None

    def next_scan(self) -> Scan | None:
        """Read segments up to the next scan; None at the end of the image.

        Raises
        ------
        JPEGError
            If a segment is damaged, cut off or of a kind that is not supported.
        """
        if self.position == 0:
            if self.data[:2] != bytes([0xFF, SOI]):
                raise JPEGError("no JPEG file: it does not begin with FF D8", 0)
            self.position = 2
        while True:
            at = self.position
            code = self._marker()
            if code == EOI:
                return None
            if code == SOI or code == 0x01 or 0xD0 <= code <= 0xD7:
                raise JPEGError(f"marker FF {code:02X} has no place here", at)
            content = self._content(code)
            if code == SOS:
                self.scans += 1
                return self._scan(content, at)
            if code == DQT:
                self._read_qtables(content, at)
            elif code == DHT:
                self._read_huffman(content, at)
            elif code in (SOF0, _SOF1):
                self._read_frame(content, at)
            elif code in _FRAMES:
                raise JPEGError(f"{_FRAMES[code]} JPEG is not supported, only baseline", at)
            elif code == _DRI:
                if len(content) != 2:
                    raise JPEGError("DRI must hold 2 bytes", at)
                self.restart = int.from_bytes(content, "big")
            elif code == APP0 and content[:5] == b"JFIF\0" and len(content) >= 14:
                self.jfif = True
            elif code == _APP14 and content[:5] == b"Adobe" and len(content) >= 12:
                self.adobe = content[11]
            elif not (APP0 <= code <= _APP15 or code == _COM):
                raise JPEGError(f"marker FF {code:02X} is not supported", at)

    def skip_data(self, position: int) -> None:
        """Go on from `position`, within entropy-coded data, at the marker that ends them."""
        while (at := self.data.find(0xFF, position)) >= 0 and (
            self.data[at + 1 : at + 2] in _IN_DATA
        ):
            position = at + 2
        self.position = at if at >= 0 else len(self.data)

    def is_rgb(self) -> bool:
        """Whether three components are R, G, B and not Y, Cb, Cr: libjpeg's rule."""
        assert self.frame is not None
        if self.jfif:
            return False
        if self.adobe is not None:
            return self.adobe == 0
        return [c.identifier for c in self.frame.components] == [ord(c) for c in "RGB"]

    def _marker(self) -> int:
        """Code of the next marker; fill bytes before it are skipped (B.1.1.2)."""
        at = self.position
        if at >= len(self.data):
            raise JPEGError("the file ends where a marker should be", at)
        if self.data[at] != 0xFF:
            raise JPEGError(f"byte {self.data[at]:02X} where a marker should be", at)
        while at < len(self.data) and self.data[at] == 0xFF:
            at += 1
        if at >= len(self.data):
            raise JPEGError("the file ends within a marker", at)
        if self.data[at] == 0:
            raise JPEGError("FF 00 where a marker should be", at)
        self.position = at + 1
        return self.data[at]

    def _content(self, code: int) -> bytes:
        at = self.position
        length = int.from_bytes(self.data[at : at + 2], "big")
        if at + 2 > len(self.data) or at + length > len(self.data):
            raise JPEGError(f"the file ends within the segment of marker FF {code:02X}", at)
        if length < 2:
            raise JPEGError(f"the segment of marker FF {code:02X} has length {length}", at)
        self.position = at + length
        return self.data[at + 2 : at + length]

    def _read_qtables(self, content: bytes, at: int) -> None:
        while content:
            wide, number = content[0] >> 4, content[0] & 15
            size = 128 if wide else 64
            if wide > 1 or number > 3 or len(content) < 1 + size:
                raise JPEGError("damaged quantization table", at)
            entries = np.frombuffer(content[1 : 1 + size], ">u2" if wide else "u1")
            if not entries.all():
                raise JPEGError("a quantization table holds a 0", at)
            table = np.empty(64, np.int64)
            table[ZIGZAG] = entries
            self.qtables[number] = table.reshape(8, 8)
            content = content[1 + size :]

    def _read_huffman(self, content: bytes, at: int) -> None:
        while content:
            kind, number = content[0] >> 4, content[0] & 15
            counts = tuple(content[1 : 1 + MAX_LENGTH])
            end = 1 + MAX_LENGTH + sum(counts)
            if kind > 1 or number > 3 or len(counts) < MAX_LENGTH or len(content) < end:
                raise JPEGError("damaged Huffman table", at)
            try:
                table = HuffmanTable(counts, tuple(content[1 + MAX_LENGTH : end]))
            except ValueError as error:
                raise JPEGError(f"damaged Huffman table ({error})", at) from None
            self.huffman[kind, number] = table
            content = content[end:]

    def _read_frame(self, content: bytes, at: int) -> None:
        if self.frame is not None:
            raise JPEGError("a second frame", at)
        if len(content) < 6 or len(content) != 6 + 3 * content[5]:
            raise JPEGError("damaged frame header", at)
        if content[0] != 8:
            raise JPEGError(f"{content[0]} bits per sample are not supported, only 8", at)
        height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
        if height == 0 or width == 0:
            raise JPEGError(f"an image of {width} x {height} pixels", at)
        if content[5] not in (1, 3):
            raise JPEGError(
                f"{content[5]} components are not supported (CMYK?), only grey and colour", at
            )
        parts = [content[6 + 3 * i : 9 + 3 * i] for i in range(content[5])]
        components = tuple(Component(i, f & 15, f >> 4, table) for i, f, table in parts)
        if len({c.identifier for c in components}) != len(components):
            raise JPEGError("two components have one identifier", at)
        frame = Frame(height, width, components)
        for c in components:
            if not (1 <= c.vertical <= 4 and 1 <= c.horizontal <= 4) or c.table > 3:
                raise JPEGError("damaged frame header: sampling factors or table number", at)
            v, h = frame.largest
            if v % c.vertical or h % c.horizontal:
                raise JPEGError(
                    "sampling factors that do not divide the largest are not supported", at
                )
        self.frame = frame

    def _scan(self, content: bytes, at: int) -> Scan:
        if self.frame is None:
            raise JPEGError("a scan before the frame header", at)
        if not content or len(content) != 4 + 2 * content[0] or not 1 <= content[0] <= 3:
            raise JPEGError("damaged scan header", at)
        identifiers = [c.identifier for c in self.frame.components]
        chosen, tables = [], []
        for number in range(content[0]):
            identifier, which = content[1 + 2 * number], content[2 + 2 * number]
            if identifier not in identifiers or identifiers.index(identifier) in chosen:
                raise JPEGError("the scan names an unknown component, or one twice", at)
            chosen.append(identifiers.index(identifier))
            pair = (0, which >> 4), (1, which & 15)
            if not all(key in self.huffman for key in pair):
                raise JPEGError("the scan uses a Huffman table that is not there", at)
            tables.append(HuffmanPair(self.huffman[pair[0]], self.huffman[pair[1]]))
        blocks = sum(
            c.vertical * c.horizontal for i, c in enumerate(self.frame.components) if i in chosen
        )
        if len(chosen) > 1 and blocks > _LARGEST_UNIT:
            raise JPEGError(f"{blocks} blocks in a unit, more than {_LARGEST_UNIT}", at)
        if tuple(content[-3:]) != (0, 63, 0):
            raise JPEGError("the scan holds part of the coefficients: not baseline", at)
        return Scan(tuple(chosen), tuple(tables), self.position, self.restart)
