"""A JPEG file writer without mercy or speed: bits as text, every option open to misuse.

It shares nothing with the codec but the data of the standard, takes coefficients that no image
has, tables of 16 bits, scans of any components, restart intervals and strange markers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray

from reference.standard import ZIGZAG

# Codes of 8 and 9 bits for every byte: hostile coefficients need symbols that K.3 has no codes for.
FLAT = (tuple(128 if length in (8, 9) else 0 for length in range(1, 17)), tuple(range(256)))
# The same for DC, whose symbols end at 15.
FLAT_DC = (tuple(16 if length == 5 else 0 for length in range(1, 17)), tuple(range(16)))
Table = tuple[tuple[int, ...], tuple[int, ...]]


def codes(table: Table) -> dict[int, str]:
    """Symbol -> bits, by counting upwards (T.81, Annex C)."""
    counts, symbols = table
    found, code, k = {}, 0, 0
    for length, count in enumerate(counts, start=1):
        for _ in range(count):
            found[symbols[k]] = format(code, f"0{length}b")
            code, k = code + 1, k + 1
        code *= 2
    return found


def symbols_of(block: Sequence[int], previous: int) -> list[tuple[int, str]]:
    """(symbol, extra bits) of a block of 64 in natural order; the first is the DC difference."""
    found = [_magnitude(0, int(block[0]) - previous)]
    scanned = [int(block[index]) for index in ZIGZAG[1:]]
    run = 0
    while any(scanned):
        value = scanned.pop(0)
        if value == 0:
            run += 1
            continue
        found += [(0xF0, "")] * (run // 16) + [_magnitude(run % 16, value)]
        run = 0
    return [*found, (0x00, "")] if scanned else found


def _magnitude(run: int, value: int) -> tuple[int, str]:
    size = abs(value).bit_length()
    extra = value if value > 0 else value + (1 << size) - 1
    return 16 * run + size, format(extra, f"0{size}b") if size else ""


def to_bytes(bits: str) -> bytes:
    """Filled with ones to whole bytes, a zero after each 0xFF."""
    bits += "1" * (-len(bits) % 8)
    raw = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    return raw.replace(b"\xff", b"\xff\x00")


def segment(code: int, content: bytes) -> bytes:
    return bytes([0xFF, code]) + (len(content) + 2).to_bytes(2, "big") + content


@dataclass
class File:
    """What to write.

    Parameters
    ----------
    size
        Height and width.
    factors
        (vertical, horizontal) of each component.
    blocks
        Coefficients of each component, (rows, columns, 64), the blocks that fill units included.
    tables
        Quantization table of each component, (64,) in natural order.
    scans
        Components of each scan.
    restart
        Units between restart markers; 0 for none.
    """

    size: tuple[int, int]
    factors: list[tuple[int, int]]
    blocks: list[NDArray[np.int64]]
    tables: list[NDArray[np.int64]]
    scans: list[list[int]]
    restart: int = 0
    identifiers: list[int] = field(default_factory=lambda: [1, 2, 3])
    before: bytes = b""
    between: bytes = b""

    def write(self) -> bytes:
        parts = [b"\xff\xd8", self.before]
        for number, table in enumerate(self.tables):
            wide = int(table.max()) > 255
            entries = np.asarray(table)[ZIGZAG].astype(">u2" if wide else "u1").tobytes()
            parts.append(segment(0xDB, bytes([wide << 4 | number]) + entries))
        parts.append(segment(0xC4, bytes([0x00, *FLAT_DC[0], *FLAT_DC[1]])))
        parts.append(segment(0xC4, bytes([0x10, *FLAT[0], *FLAT[1]])))
        body = b"".join(
            bytes([self.identifiers[i], h << 4 | v, i]) for i, (v, h) in enumerate(self.factors)
        )
        height, width = (side.to_bytes(2, "big") for side in self.size)
        count = bytes([len(self.factors)])
        sof = 0xC1 if any(int(t.max()) > 255 for t in self.tables) else 0xC0
        parts.append(segment(sof, b"\x08" + height + width + count + body))
        if self.restart:
            parts.append(segment(0xDD, self.restart.to_bytes(2, "big")))
        for scan in self.scans:
            named = b"".join(bytes([self.identifiers[i], 0x00]) for i in scan)
            parts.append(segment(0xDA, bytes([len(scan)]) + named + b"\x00\x3f\x00"))
            parts.append(self._data(scan))
            parts.append(self.between)
        return b"".join([*parts, b"\xff\xd9"])

    def _units(self, scan: list[int]) -> list[list[tuple[int, NDArray[np.int64]]]]:
        largest_v = max(v for v, _ in self.factors)
        largest_h = max(h for _, h in self.factors)
        height, width = self.size
        if len(scan) == 1:
            (index,) = scan
            v, h = self.factors[index]
            rows = ceil(ceil(height * v / largest_v) / 8)
            columns = ceil(ceil(width * h / largest_h) / 8)
            return [
                [(index, self.blocks[index][row, column])]
                for row in range(rows)
                for column in range(columns)
            ]
        return [
            [
                (index, self.blocks[index][v * row + y, h * column + x])
                for index in scan
                for v, h in [self.factors[index]]
                for y in range(v)
                for x in range(h)
            ]
            for row in range(-(-height // (8 * largest_v)))
            for column in range(-(-width // (8 * largest_h)))
        ]

    def _data(self, scan: list[int]) -> bytes:
        dc, ac = codes(FLAT_DC), codes(FLAT)
        parts, bits = [], []
        previous = dict.fromkeys(scan, 0)
        for number, unit in enumerate(self._units(scan)):
            if self.restart and number and number % self.restart == 0:
                parts += [to_bytes("".join(bits)), bytes([0xFF, 0xD0 + len(parts) // 2 % 8])]
                bits, previous = [], dict.fromkeys(scan, 0)
            for index, block in unit:
                first, *rest = symbols_of(block, previous[index])
                previous[index] = int(block[0])
                bits.append(dc[first[0]] + first[1])
                bits += [ac[symbol] + extra for symbol, extra in rest]
        return b"".join([*parts, to_bytes("".join(bits))])
