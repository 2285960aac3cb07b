"""Reading entropy-coded data: bytes to quantized coefficients, with every index checked.

References
----------
ITU-T T.81, Annex F.2.2 (decoding) and E.2.4 (restart markers).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from reference._jit import jit
from reference.entropy import MAX_LENGTH, HuffmanPair, HuffmanTable
from reference.standard import ZIGZAG

_ZIGZAG = ZIGZAG.astype(np.int64)
# How reading ended.
_READ, _ENDED, _NO_CODE, _LEFT_BLOCK, _NO_RESTART = range(5)
_WHY: Final = {
    _ENDED: "the entropy-coded data end too early",
    _NO_CODE: "no Huffman code fits the entropy-coded data",
    _LEFT_BLOCK: "a run of zeros goes past the end of the block",
    _NO_RESTART: "a restart marker is missing or out of turn",
}


class EntropyError(ValueError):
    """Entropy-coded data that no encoder wrote.

    Parameters
    ----------
    what
        What is wrong.
    position
        Byte at which it was noticed.
    """

    def __init__(self, what: str, position: int) -> None:
        super().__init__(f"{what}, at byte {position}")
        self.what, self.position = what, position


def read_blocks(
    data: NDArray[np.uint8],
    start: int,
    component: NDArray[np.uint8],
    tables: Sequence[HuffmanPair],
    *,
    restart: int = 0,
) -> tuple[NDArray[np.int16], int]:
    """Coefficients of a scan.

    Parameters
    ----------
    data : ndarray of uint8, shape (bytes,)
        The file.
    start
        Where the scan's data begin.
    component : ndarray of uint8, shape (N,)
        Component of each block, in scan order: an index into `tables`.
    tables
        Tables of each component.
    restart
        Number of blocks between restart markers; 0 for none.

    Returns
    -------
    blocks : ndarray of int16, shape (N, 64)
        In scan order, each in natural order.
    position : int
        Byte after the last one that was looked at; a marker is never passed.

    Raises
    ------
    EntropyError
        If the data end or cannot be decoded before all blocks are there.
    """
    lookup = np.stack([_lookup(table) for pair in tables for table in (pair.dc, pair.ac)])
    blocks = np.zeros((component.size, 64), np.int16)
    how, position, block = _read(data, start, component, lookup, restart, blocks)
    if how != _READ:
        raise EntropyError(f"{_WHY[how]}, in block {block} of {component.size}", position)
    return blocks, position


@lru_cache(maxsize=16)
def _lookup(table: HuffmanTable) -> NDArray[np.int32]:
    """``length << 8 | symbol`` for all 16 bits that may come next; 0 where no code fits."""
    found = np.zeros(1 << MAX_LENGTH, np.int32)
    first = k = 0
    for length, count in enumerate(table.counts, start=1):
        width = 1 << (MAX_LENGTH - length)
        for symbol in table.symbols[k : k + count]:
            found[first : first + width] = length << 8 | symbol
            first += width
        k += count
    return found


@jit
def _after_restart(data: NDArray[np.uint8], position: int, number: int) -> int:
    """Byte after restart marker `number` at `position`, fill bytes before it skipped; -1."""
    while position + 1 < data.size and data[position] == 0xFF and data[position + 1] == 0xFF:
        position += 1
    if position + 1 >= data.size or data[position] != 0xFF:
        return -1
    return position + 2 if data[position + 1] == 0xD0 + number % 8 else -1


@jit
def _read(
    data: NDArray[np.uint8],
    position: int,
    component: NDArray[np.uint8],
    lookup: NDArray[np.int32],
    restart: int,
    blocks: NDArray[np.int16],
) -> tuple[int, int, int]:
    """Fill blocks (N, 64); lookup (2 * components, 65536), DC and AC in turn.

    Returns how it ended, the position and the block.
    """
    previous = np.zeros(lookup.shape[0] // 2, np.int64)
    held, word, restarts = 0, 0, 0
    for n in range(blocks.shape[0]):
        if restart and n and n % restart == 0:
            after = _after_restart(data, position, restarts)
            if after < 0:
                return _NO_RESTART, position, n
            position = after
            restarts += 1
            held, word = 0, 0
            for i in range(previous.size):
                previous[i] = 0
        c = component[n]
        k = 0
        while k < 64:
            while held < 32 and position < data.size:
                byte = int(data[position])
                if byte == 0xFF:  # a zero follows, or it is a marker: no more bits
                    if position + 1 >= data.size or data[position + 1] != 0:
                        break
                    position += 1
                position += 1
                held, word = held + 8, ((word << 8) | byte) & 0xFFFFFFFFFF
            window = word >> (held - 16) if held >= 16 else word << (16 - held)
            entry = lookup[2 * c + (1 if k else 0), window & 0xFFFF]
            length, symbol = entry >> 8, entry & 0xFF
            if length == 0:
                return (_NO_CODE if held >= 16 else _ENDED), position, n
            bits = symbol & 15
            if length + bits > held:
                return _ENDED, position, n
            held -= length + bits
            value = (word >> held) & ((1 << bits) - 1)
            if bits and value < 1 << (bits - 1):
                value -= (1 << bits) - 1
            if k == 0:
                if symbol > 15:
                    return _NO_CODE, position, n
                previous[c] += value
                blocks[n, 0] = previous[c]
                k = 1
                continue
            run = symbol >> 4
            if bits == 0:
                if run < 15:
                    break  # end of block
                k += 16
                continue
            k += run
            if k > 63:
                return _LEFT_BLOCK, position, n
            blocks[n, _ZIGZAG[k]] = value
            k += 1
    return _READ, position, blocks.shape[0]
