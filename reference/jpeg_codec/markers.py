"""The segments of a baseline JPEG file, written as libjpeg writes them.

References
----------
ITU-T T.81, Annex B (syntax); ITU-T T.871 (JFIF); libjpeg, jcmarker.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference.entropy import HuffmanPair
from reference.standard import ZIGZAG

SOI, EOI, SOS, DQT, DHT = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4
APP0 = 0xE0
SOF0 = 0xC0
# JFIF 1.1, no density, no thumbnail.
_JFIF = b"JFIF\0\x01\x01\x00\x00\x01\x00\x01\x00\x00"


@dataclass(frozen=True)
class Component:
    """One component of a frame: identifier, sampling factors, number of its quantization table."""

    identifier: int
    vertical: int
    horizontal: int
    table: int


@dataclass(frozen=True)
class Frame:
    """Size of the image in pixels, and its components."""

    height: int
    width: int
    components: tuple[Component, ...]

    @property
    def largest(self) -> tuple[int, int]:
        """Largest vertical and horizontal sampling factor."""
        vertical = max(c.vertical for c in self.components)
        return vertical, max(c.horizontal for c in self.components)

    @property
    def factors(self) -> tuple[tuple[int, int], ...]:
        """(vertical, horizontal) blocks of each component in a unit of an interleaved scan.

        A single component is not interleaved and has one, whatever its factors (T.81, A.2.2).
        """
        if len(self.components) == 1:
            return ((1, 1),)
        return tuple((c.vertical, c.horizontal) for c in self.components)

    def own_size(self, component: Component) -> tuple[int, int]:
        """Rows and columns of samples of a component (T.81, A.1.1)."""
        v, h = self.largest
        rows = -(-self.height * component.vertical // v)
        return rows, -(-self.width * component.horizontal // h)

    def own_blocks(self, component: Component) -> tuple[int, int]:
        """Rows and columns of 8x8 blocks that hold them."""
        rows, columns = self.own_size(component)
        return -(-rows // 8), -(-columns // 8)

    @property
    def units(self) -> tuple[int, int]:
        """Rows and columns of minimum coded units of an interleaved scan."""
        v, h = (1, 1) if len(self.components) == 1 else self.largest
        return -(-self.height // (8 * v)), -(-self.width // (8 * h))


def segment(code: int, content: bytes) -> bytes:
    """A marker with its length and content."""
    return bytes([0xFF, code]) + (len(content) + 2).to_bytes(2, "big") + content


def write_header(
    frame: Frame,
    qtables: NDArray[np.int32],
    huffman: Sequence[HuffmanPair],
) -> bytes:
    """Everything before the entropy-coded data: SOI, APP0, DQT, SOF0, DHT, SOS."""
    parts = [bytes([0xFF, SOI]), segment(APP0, _JFIF)]
    for number, table in enumerate(qtables):
        parts.append(segment(DQT, bytes([number, *table.reshape(64)[ZIGZAG].tolist()])))
    size = frame.height.to_bytes(2, "big") + frame.width.to_bytes(2, "big")
    described = [
        bytes([c.identifier, c.horizontal << 4 | c.vertical, c.table]) for c in frame.components
    ]
    count = bytes([len(frame.components)])
    parts.append(segment(SOF0, b"\x08" + size + count + b"".join(described)))
    for number, pair in enumerate(huffman):
        for kind, table in enumerate((pair.dc, pair.ac)):
            content = bytes([kind << 4 | number, *table.counts, *table.symbols])
            parts.append(segment(DHT, content))
    chosen = [bytes([c.identifier, c.table << 4 | c.table]) for c in frame.components]
    parts.append(segment(SOS, count + b"".join(chosen) + b"\x00\x3f\x00"))
    return b"".join(parts)
