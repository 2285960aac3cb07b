"""Run-length and Huffman coding of quantized DCT coefficients: symbols, tables, bits, bytes.

A block is the difference of its DC from the block before it in its component, and its AC
coefficients in zigzag order with the zeros before each. Either is a Huffman symbol and some extra
bits. Symbols are bytes: the number of extra bits of a DC difference; ``16 * zeros + bits`` of an
AC coefficient; 0x00 ends a block and 0xF0 stands for sixteen zeros.

References
----------
ITU-T T.81, Annex F.1.2 (coding), Annex C (codes from lengths), Annex K.2 (optimal lengths) and
K.3 (standard tables); libjpeg, jchuff.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BlockStream",
    "HuffmanPair",
    "HuffmanTable",
    "SymbolCounts",
    "block_bits",
    "coded_bytes",
    "coded_size",
    "component_bits",
    "optimal_table",
    "symbol_bits",
]

SYMBOLS: Final = 256
MAX_LENGTH: Final = 16
_SMALLEST, _LARGEST = -1024, 1023  # coefficients of 8-bit samples (T.81, F.1.2)
# Bytes: 64 symbols of 16 + 11 bits, every byte stuffed. Pages that nobody writes take no memory.
_LONGEST_BLOCK = 512


@dataclass(frozen=True)
class HuffmanTable:
    """Codes of up to 16 bits, given as the DHT segment gives them.

    Parameters
    ----------
    counts
        (16,) number of codes of 1, 2 ... 16 bits.
    symbols
        The symbols, shortest codes first; 0 to 255, each once.

    Raises
    ------
    ValueError
        If the counts do not add up to the symbols, a symbol is given twice, or the codes do not
        fit into their bits with the code of all ones left free.

    References
    ----------
    ITU-T T.81, Annex C.
    """

    counts: tuple[int, ...]
    symbols: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.counts) != MAX_LENGTH or min(self.counts) < 0:
            raise ValueError(f"counts must be {MAX_LENGTH} numbers >= 0, got {self.counts}")
        if sum(self.counts) != len(self.symbols):
            raise ValueError(
                f"counts must add up to the {len(self.symbols)} symbols, got {sum(self.counts)}"
            )
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("symbols must be different from each other")
        if any(not 0 <= symbol < SYMBOLS for symbol in self.symbols):
            raise ValueError("symbols must lie in 0..255")
        code = 0
        for length, count in enumerate(self.counts, start=1):
            code = 2 * code + count
            if count and code >= 1 << length:
                raise ValueError(f"counts has more codes of {length} bits than there is room for")

    def codes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Code and length in bits of each symbol, (256,) each; length 0 where it has no code."""
        codes, lengths = np.zeros(SYMBOLS, np.int64), np.zeros(SYMBOLS, np.int64)
        code = k = 0
        for length, count in enumerate(self.counts, start=1):
            for symbol in self.symbols[k : k + count]:
                codes[symbol], lengths[symbol] = code, length
                code += 1
            k += count
            code <<= 1
        return codes, lengths


@dataclass(frozen=True)
class HuffmanPair:
    """Tables for the DC differences and the AC coefficients of one kind of component."""

    dc: HuffmanTable
    ac: HuffmanTable


@dataclass(frozen=True)
class BlockStream:
    """Quantized coefficients in the order in which a scan codes them.

    Parameters
    ----------
    blocks : ndarray of int16, shape (N, 64)
        In scan order, each in natural order; -1024 to 1023.
    component : ndarray of uint8, shape (N,)
        Component of each block.
    kinds : ndarray of uint8, shape (components,)
        Which pair of Huffman tables a component uses.

    Raises
    ------
    TypeError, ValueError
        If a dtype, a shape or a number is not one of these.
    """

    blocks: NDArray[np.int16]
    component: NDArray[np.uint8]
    kinds: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.blocks.dtype != np.int16 or self.blocks.ndim != 2 or self.blocks.shape[1] != 64:
            raise TypeError(
                f"blocks must be int16 of shape (N, 64), got {self.blocks.dtype} "
                f"{self.blocks.shape}"
            )
        for name, array in (("component", self.component), ("kinds", self.kinds)):
            if array.dtype != np.uint8 or array.ndim != 1:
                raise TypeError(f"{name} must be uint8 with one axis, got {array.dtype}")
        if self.component.size != len(self.blocks):
            raise ValueError(
                f"component must have an entry for each of the {len(self.blocks)} blocks, got "
                f"{self.component.size}"
            )
        if len(self.blocks) and self.component.max() >= self.kinds.size:
            raise ValueError(f"component must lie below {self.kinds.size}, the length of kinds")
        if len(self.blocks) and not (
            self.blocks.min() >= _SMALLEST and self.blocks.max() <= _LARGEST
        ):
            raise ValueError(
                f"blocks must lie in {_SMALLEST}..{_LARGEST}, got {self.blocks.min()} to "
                f"{self.blocks.max()}"
            )

    @property
    def pairs(self) -> int:
        """Number of pairs of tables that the components ask for."""
        return int(self.kinds.max()) + 1


@dataclass(frozen=True)
class SymbolCounts:
    """How often each symbol occurs.

    Parameters
    ----------
    dc, ac : ndarray of int64, shape (pairs, 256)
        Of DC differences and AC coefficients, for each pair of tables.
    """

    dc: NDArray[np.int64]
    ac: NDArray[np.int64]

    @classmethod
    def of(cls, stream: BlockStream) -> SymbolCounts:
        """Count the symbols of one scan."""
        from reference.entropy_compiled import add_counts

        dc, ac = np.zeros((2, stream.pairs, SYMBOLS), np.int64)
        add_counts(stream.blocks, stream.component, stream.kinds, dc, ac)
        return cls(dc, ac)

    def __add__(self, other: SymbolCounts) -> SymbolCounts:
        """Of two scans together."""
        if self.dc.shape != other.dc.shape:
            raise ValueError(
                f"counts of {len(self.dc)} and of {len(other.dc)} pairs of tables do not add up: "
                "grey and colour images need tables of their own"
            )
        return SymbolCounts(self.dc + other.dc, self.ac + other.ac)

    def optimal_tables(self) -> tuple[HuffmanPair, ...]:
        """The tables with which these symbols take the fewest bits.

        They have no codes for symbols that did not occur. Add 1 to every count first where they
        are to code other images too: ``counts.smoothed().optimal_tables()``.
        """
        return tuple(
            HuffmanPair(optimal_table(dc), optimal_table(ac))
            for dc, ac in zip(self.dc, self.ac, strict=True)
        )

    def smoothed(self) -> SymbolCounts:
        """With one more of every symbol that an 8-bit baseline image can have (T.81, F.1.2).

        DC differences have 0 to 11 bits, AC coefficients 1 to 10 after 0 to 15 zeros.
        """
        dc, ac = self.dc.copy(), self.ac.copy()
        dc[:, :12] += 1
        ac[:, [0x00, 0xF0, *(16 * run + bits for run in range(16) for bits in range(1, 11))]] += 1
        return SymbolCounts(dc, ac)

    def bits(self, tables: Sequence[HuffmanPair]) -> int:
        """Bits that the symbols and their extra bits take with these tables.

        Raises
        ------
        ValueError
            If a symbol that occurs has no code.
        """
        total = 0
        for pair, dc, ac in zip(tables, self.dc, self.ac, strict=True):
            for table, counts in ((pair.dc, dc), (pair.ac, ac)):
                cost = symbol_bits(table)
                if (missing := np.flatnonzero((counts > 0) & (cost == 0))).size:
                    raise ValueError(f"the table has no code for symbol 0x{missing[0]:02X}")
                total += int(counts @ cost)
        return total


def symbol_bits(table: HuffmanTable) -> NDArray[np.int64]:
    """Bits of each symbol with the extra bits that follow it, (256,); 0 where it has no code.

    Extra bits are the low four bits of the symbol, for DC and AC alike.
    """
    _, lengths = table.codes()
    return np.where(lengths > 0, lengths + (np.arange(SYMBOLS) & 15), 0)


def block_bits(stream: BlockStream, tables: Sequence[HuffmanPair]) -> NDArray[np.int64]:
    """Bits of each block, (N,), before bytes of 0xFF are stuffed and the last byte is filled.

    Raises
    ------
    ValueError
        If a block holds a symbol without a code.
    """
    from reference.entropy_compiled import measure_blocks

    pairs = _checked_pairs(stream, tables)
    cost = np.array([[symbol_bits(pair.dc), symbol_bits(pair.ac)] for pair in pairs])
    found: NDArray[np.int64] = measure_blocks(stream.blocks, stream.component, stream.kinds, cost)
    if found.size and found.min() < 0:
        raise _without_code(int(found.argmin()))
    return found


def component_bits(stream: BlockStream, tables: Sequence[HuffmanPair]) -> NDArray[np.int64]:
    """Bits of each component, (components,): the sum of its blocks in :func:`block_bits`."""
    found = np.zeros(stream.kinds.size, np.int64)
    np.add.at(found, stream.component, block_bits(stream, tables))
    return found


def coded_bytes(stream: BlockStream, tables: Sequence[HuffmanPair]) -> bytes:
    """The entropy-coded data of a scan, without restart markers.

    Parameters
    ----------
    stream
        The blocks.
    tables
        For each kind of component.

    Raises
    ------
    ValueError
        If a block holds a symbol without a code, or a kind has no tables.
    """
    out = np.empty(_LONGEST_BLOCK * max(len(stream.blocks), 1), np.uint8)
    return out[: _write(stream, tables, out)].tobytes()


def coded_size(stream: BlockStream, tables: Sequence[HuffmanPair]) -> int:
    """Length of :func:`coded_bytes`, counted; same parameters and errors."""
    return _write(stream, tables, np.empty(0, np.uint8))


def _write(stream: BlockStream, tables: Sequence[HuffmanPair], out: NDArray[np.uint8]) -> int:
    from reference.entropy_compiled import write_blocks

    pairs = _checked_pairs(stream, tables)
    both = np.array([[pair.dc.codes(), pair.ac.codes()] for pair in pairs])  # (pairs, 2, 2, 256)
    codes, lengths = np.ascontiguousarray(both.transpose(2, 0, 1, 3))
    size = int(write_blocks(stream.blocks, stream.component, stream.kinds, codes, lengths, out))
    if size < 0:
        raise _without_code(-1 - size)
    return size


def _checked_pairs(stream: BlockStream, tables: Sequence[HuffmanPair]) -> Sequence[HuffmanPair]:
    if len(tables) < stream.pairs:
        raise ValueError(f"tables must hold {stream.pairs} pairs, got {len(tables)}")
    return tables[: stream.pairs]


def _without_code(block: int) -> ValueError:
    return ValueError(
        f"the Huffman tables have no code for a symbol of block {block} in scan order; tables for "
        "other images than they are made of need SymbolCounts.smoothed()"
    )


def optimal_table(frequencies: NDArray[np.int64]) -> HuffmanTable:
    """The table that codes symbols of these frequencies in the fewest bits, of at most 16 each.

    Parameters
    ----------
    frequencies : ndarray of int, shape (256,)
        How often each symbol occurs, >= 0; at least one occurs.

    Returns
    -------
    HuffmanTable

    Raises
    ------
    ValueError
        If the frequencies have another shape, are negative or all 0.

    Notes
    -----
    Huffman's procedure of T.81, K.2, with a pseudo-symbol that takes the code of all ones. Among
    equal frequencies the larger symbol is merged first, symbols are ordered by their length before
    it is limited to 16 bits, then by value: libjpeg's choices, on which the bytes of the file
    depend. Limiting is K.2's as well; where it has to act, another code of 16 bits may be shorter.
    """
    frequencies = np.asarray(frequencies, np.int64)
    if frequencies.shape != (SYMBOLS,) or (frequencies < 0).any() or not frequencies.any():
        raise ValueError(
            f"frequencies must be {SYMBOLS} numbers >= 0, at least one of them > 0; got shape "
            f"{frequencies.shape}, sum {frequencies.sum()}"
        )
    lengths = _huffman_lengths([*frequencies.tolist(), 1])
    counts = [0] * (max(lengths) + 1)
    for length in lengths:
        counts[length] += length > 0
    counts += [0] * (MAX_LENGTH + 1 - len(counts))
    for length in range(len(counts) - 1, MAX_LENGTH, -1):
        while counts[length]:
            # A pair of the longest codes: one becomes its own prefix, the other a brother of a
            # shorter code, which gets one bit more.
            shorter = length - 2
            while not counts[shorter]:
                shorter -= 1
            counts[length] -= 2
            counts[length - 1] += 1
            counts[shorter + 1] += 2
            counts[shorter] -= 1
    longest = max(length for length, count in enumerate(counts) if count)
    counts[longest] -= 1  # the pseudo-symbol
    symbols = sorted((s for s in range(SYMBOLS) if lengths[s]), key=lambda s: (lengths[s], s))
    return HuffmanTable(tuple(counts[1 : MAX_LENGTH + 1]), tuple(symbols))


def _huffman_lengths(weights: list[int]) -> list[int]:
    """Length of each symbol's code in the tree that joins the two lightest again and again."""
    lengths = [0] * len(weights)
    heap = [(weight, -symbol, [symbol]) for symbol, weight in enumerate(weights) if weight]
    heapify(heap)
    while len(heap) > 1:
        weight, name, chain = heappop(heap)
        other, _, joined = heappop(heap)
        for symbol in (tree := chain + joined):
            lengths[symbol] += 1
        heappush(heap, (weight + other, name, tree))
    return lengths
