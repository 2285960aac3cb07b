"""Run-length and Huffman coding against their definitions and against brute force."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import entropy
from reference.entropy import (
    BlockStream,
    HuffmanPair,
    HuffmanTable,
    SymbolCounts,
    optimal_table,
    symbol_bits,
)
from reference.entropy_reader import EntropyError, read_blocks
from reference.huffman_tables import STANDARD_PAIRS
from reference.standard import ZIGZAG
from tests.reference._naive_jpeg import codes, symbols_of, to_bytes

STANDARD_TABLES = [table for pair in STANDARD_PAIRS for table in (pair.dc, pair.ac)]


@st.composite
def frequencies(draw: st.DrawFn, largest: int = 10**6) -> np.ndarray:
    """Of few or all symbols, alike or far apart."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    occurring = draw(st.integers(1, 256))
    steepness = draw(st.sampled_from([0.0, 1.0, 6.0]))
    counts = np.zeros(256, np.int64)
    sizes = largest ** (rng.random(occurring) ** steepness)
    counts[rng.permutation(256)[:occurring]] = np.maximum(sizes, 1)
    return counts


@st.composite
def streams(draw: st.DrawFn) -> BlockStream:
    """Blocks of every density, with long runs of zeros, of one to three components."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(3, 12))
    reach = draw(st.sampled_from([1, 8, 300, 1023]))
    density = draw(st.sampled_from([0.0, 0.02, 0.2, 1.0]))
    blocks = rng.integers(-reach, reach + 1, (count, 64)) * (rng.random((count, 64)) < density)
    blocks[:, 0] = rng.integers(-reach, reach + 1, count)
    kinds = np.array(draw(st.sampled_from([[0], [0, 1], [0, 1, 1]])), np.uint8)
    component = rng.integers(0, len(kinds), count).astype(np.uint8)
    component[: len(kinds)] = np.arange(len(kinds))  # none without a block
    return BlockStream(blocks.astype(np.int16), component, kinds)


def naive_symbols(stream: BlockStream) -> list[tuple[int, list[tuple[int, str]]]]:
    """(kind, symbols with their extra bits) of each block."""
    previous = dict.fromkeys(range(len(stream.kinds)), 0)
    found = []
    for block, component in zip(stream.blocks.tolist(), stream.component.tolist(), strict=True):
        found.append((int(stream.kinds[component]), symbols_of(block, previous[component])))
        previous[component] = block[0]
    return found


def _counted(stream: BlockStream) -> tuple[np.ndarray, np.ndarray]:
    """DC and AC symbols counted one by one."""
    expected = np.zeros((2, stream.pairs, 256), np.int64)
    for kind, (first, *rest) in naive_symbols(stream):
        expected[0, kind, first[0]] += 1
        for symbol, _ in rest:
            expected[1, kind, symbol] += 1
    return expected[0], expected[1]


def naive_bits(stream: BlockStream, tables: tuple[HuffmanPair, ...]) -> list[str]:
    """The bits of each block, as text."""
    found = []
    for kind, ((first, extra), *rest) in naive_symbols(stream):
        dc, ac = (codes((t.counts, t.symbols)) for t in (tables[kind].dc, tables[kind].ac))
        found.append(dc[first] + extra + "".join(ac[symbol] + more for symbol, more in rest))
    return found


class TestTables:
    @pytest.mark.parametrize("table", STANDARD_TABLES)
    def test_codes_are_those_of_counting_upwards(self, table: HuffmanTable) -> None:
        found, lengths = table.codes()
        expected = codes((table.counts, table.symbols))
        for symbol in range(256):
            text = format(found[symbol], f"0{lengths[symbol]}b") if lengths[symbol] else None
            assert text == expected.get(symbol)

    @pytest.mark.parametrize("table", STANDARD_TABLES)
    def test_standard_tables_leave_the_code_of_all_ones(self, table: HuffmanTable) -> None:
        """Kraft's sum is 1 but for what the longest codes leave free, one code or more."""
        _, lengths = table.codes()
        kraft = sum(Fraction(1, 2 ** int(length)) for length in lengths if length)
        assert kraft < 1
        everything = "1" * int(lengths.max())
        assert all(
            not everything.startswith(code)
            for code in codes((table.counts, table.symbols)).values()
        )

    def test_standard_tables_code_all_of_an_8_bit_image(self) -> None:
        ac = {0x00, 0xF0, *(16 * run + bits for run in range(16) for bits in range(1, 11))}
        for pair in STANDARD_PAIRS:
            assert set(pair.dc.symbols) == set(range(12))
            assert set(pair.ac.symbols) == ac

    def test_standard_tables_are_libjpegs(self) -> None:
        """All four, from a file that Pillow wrote."""
        io = pytest.importorskip("io")
        image = pytest.importorskip("PIL.Image")
        file = io.BytesIO()
        image.new("RGB", (8, 8)).save(file, "JPEG")
        data, found, at = file.getvalue(), {}, 0
        while (at := data.find(b"\xff\xc4", at)) >= 0:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            content = data[at + 5 : at + 2 + length]
            found[data[at + 4]] = HuffmanTable(tuple(content[:16]), tuple(content[16:]))
            at += length
        luma, chroma = STANDARD_PAIRS
        assert found == {0x00: luma.dc, 0x10: luma.ac, 0x01: chroma.dc, 0x11: chroma.ac}

    def test_extra_bits_are_the_low_four(self) -> None:
        table = STANDARD_PAIRS[0].ac
        bits = symbol_bits(table)
        assert bits[0x00] == 4  # "1010"
        assert bits[0xF0] == 11  # "11111111001"
        assert bits[0x01] == 2 + 1  # "00" and a sign
        assert bits[0x0A] == 16 + 10
        assert bits[0xFB] == 0

    @pytest.mark.parametrize(
        ("counts", "symbols", "text"),
        [
            ((1,) * 15, (0,) * 15, "16 numbers"),
            ((-1, *[0] * 15), (), "16 numbers"),
            ((0, 1, *[0] * 14), (0, 1), "add up to the 2 symbols, got 1"),
            ((0, 2, *[0] * 14), (7, 7), "different"),
            ((0, 1, *[0] * 14), (256,), "0..255"),
            ((2, *[0] * 15), (0, 1), "more codes of 1 bits"),
            ((0, 4, *[0] * 14), (0, 1, 2, 3), "more codes of 2 bits"),
            ((1, 1, 2, *[0] * 13), (0, 1, 2, 3), "more codes of 3 bits"),
        ],
    )
    def test_wrong_tables(
        self, counts: tuple[int, ...], symbols: tuple[int, ...], text: str
    ) -> None:
        with pytest.raises(ValueError, match=text):
            HuffmanTable(counts, symbols)


class TestOptimalTables:
    @given(frequencies())
    def test_codes_what_occurs_and_nothing_else(self, counts: np.ndarray) -> None:
        table = optimal_table(counts)
        assert set(table.symbols) == set(np.flatnonzero(counts).tolist())
        _, lengths = table.codes()
        assert lengths.max() <= 16

    @given(frequencies(largest=9))
    def test_more_frequent_symbols_are_not_longer(self, counts: np.ndarray) -> None:
        """Where no code has to be limited: 256 symbols 9 times are too few for 17 bits."""
        _, lengths = optimal_table(counts).codes()
        for count in range(1, 9):
            rarer, others = lengths[counts == count], lengths[counts > count]
            assert not rarer.size or not others.size or rarer.min() >= others.max()

    @settings(max_examples=50)
    @given(st.lists(st.integers(1, 60), min_size=1, max_size=4))
    def test_as_short_as_any_code_there_is(self, counts: list[int]) -> None:
        """All lengths tried, for the symbols and the pseudo-symbol, which occurs once."""
        given_counts = np.zeros(256, np.int64)
        given_counts[: len(counts)] = counts
        _, lengths = optimal_table(given_counts).codes()
        with_pseudo = [*counts, 1]
        best = min(
            sum(map(np.multiply, with_pseudo, tried))
            for tried in itertools.product(range(1, len(counts) + 1), repeat=len(with_pseudo))
            if sum(2 ** (8 - length) for length in tried) <= 2**8
        )
        longest = int(lengths.max())
        assert int(given_counts @ lengths) + longest == best

    @given(frequencies())
    def test_bits_lie_between_entropy_and_one_more(self, counts: np.ndarray) -> None:
        """Shannon's bounds, with the pseudo-symbol as one that occurs once."""
        weights = np.append(counts[counts > 0], 1).astype(float)
        shannon = -(weights * np.log2(weights / weights.sum())).sum()
        _, lengths = optimal_table(counts).codes()
        total = int(counts @ lengths) + int(lengths.max())
        assert total >= shannon * (1 - 1e-12)  # rounding of 257 float64 terms
        if lengths.max() < 16:  # not limited
            assert total < shannon + weights.sum()

    def test_limited_to_16_bits(self) -> None:
        """Fibonacci numbers make the deepest tree there is: 30 symbols would take 30 bits."""
        counts = np.zeros(256, np.int64)
        counts[:30] = [round(((1 + 5**0.5) / 2) ** n / 5**0.5) for n in range(2, 32)]
        table = optimal_table(counts)
        _, lengths = table.codes()
        assert lengths.max() == 16
        assert len(table.symbols) == 30
        shortest = _package_merge([*counts[:30].tolist(), 1], 16)
        # K.2's limiting is not the best there is; here it costs less than 1 %.
        assert shortest <= int(counts @ lengths) + 16 <= 1.01 * shortest

    def test_one_symbol_takes_one_bit(self) -> None:
        counts = np.zeros(256, np.int64)
        counts[77] = 5
        assert optimal_table(counts) == HuffmanTable((1, *[0] * 15), (77,))

    @pytest.mark.parametrize("wrong", [np.zeros(256), np.ones(255), -np.ones(256)])
    def test_wrong_frequencies(self, wrong: np.ndarray) -> None:
        with pytest.raises(ValueError, match="frequencies must be 256 numbers"):
            optimal_table(wrong)


def _package_merge(weights: list[int], limit: int) -> int:
    """Fewest bits of any code with lengths up to `limit` (Larmore and Hirschberg, 1990)."""
    coins = sorted((weight, (index,)) for index, weight in enumerate(weights))
    packages: list[tuple[int, tuple[int, ...]]] = []
    for _ in range(limit):
        level = sorted(coins + packages)
        packages = [
            (a[0] + b[0], a[1] + b[1]) for a, b in zip(level[::2], level[1::2], strict=False)
        ]
    return sum(weight for weight, _ in packages[: len(weights) - 1])


class TestStreams:
    @given(streams())
    def test_counts(self, stream: BlockStream) -> None:
        counts = SymbolCounts.of(stream)
        assert np.array_equal(counts.dc, _counted(stream)[0])
        assert np.array_equal(counts.ac, _counted(stream)[1])

    @given(streams())
    def test_bits_of_blocks_and_components(self, stream: BlockStream) -> None:
        bits = [len(text) for text in naive_bits(stream, STANDARD_PAIRS)]
        assert entropy.block_bits(stream, STANDARD_PAIRS).tolist() == bits
        components = entropy.component_bits(stream, STANDARD_PAIRS)
        for index in range(len(stream.kinds)):
            own = [n for n, c in zip(bits, stream.component, strict=True) if c == index]
            assert components[index] == sum(own)
        counts = SymbolCounts.of(stream)
        assert counts.bits(STANDARD_PAIRS[: stream.pairs]) == sum(bits)

    @given(streams())
    def test_bytes(self, stream: BlockStream) -> None:
        expected = to_bytes("".join(naive_bits(stream, STANDARD_PAIRS)))
        assert entropy.coded_bytes(stream, STANDARD_PAIRS) == expected
        assert entropy.coded_size(stream, STANDARD_PAIRS) == len(expected)

    @given(streams())
    def test_reading_gives_the_blocks_back(self, stream: BlockStream) -> None:
        data = np.frombuffer(entropy.coded_bytes(stream, STANDARD_PAIRS), np.uint8)
        tables = [STANDARD_PAIRS[kind] for kind in stream.kinds]
        blocks, position = read_blocks(data, 0, stream.component, tables)
        assert np.array_equal(blocks, stream.blocks)
        assert position == data.size

    @given(streams())
    def test_optimal_tables_are_no_worse_than_the_standard_ones(self, stream: BlockStream) -> None:
        """With the code of all ones, of their greatest length, counted once for both."""
        counts = SymbolCounts.of(stream)
        own = counts.optimal_tables()
        bits = []
        for tables in (own, STANDARD_PAIRS[: stream.pairs]):
            free = [t.codes()[1].max() for pair in tables for t in (pair.dc, pair.ac)]
            bits.append(counts.bits(tables) + sum(free))
        assert bits[0] <= bits[1]
        assert counts.bits(own) == entropy.block_bits(stream, own).sum()

    @given(streams(), streams())
    def test_counts_add_up(self, one: BlockStream, other: BlockStream) -> None:
        a, b = SymbolCounts.of(one), SymbolCounts.of(other)
        if one.pairs != other.pairs:
            with pytest.raises(ValueError, match="do not add up"):
                a + b
            return
        total = a + b
        tables = total.smoothed().optimal_tables()
        assert total.bits(tables) == a.bits(tables) + b.bits(tables)
        assert a.bits(tables) == entropy.block_bits(one, tables).sum()

    def test_smoothed_tables_code_any_image(self) -> None:
        nothing = SymbolCounts(np.zeros((2, 256), np.int64), np.zeros((2, 256), np.int64))
        for pair, standard in zip(nothing.smoothed().optimal_tables(), STANDARD_PAIRS, strict=True):
            assert set(pair.dc.symbols) == set(standard.dc.symbols)
            assert set(pair.ac.symbols) == set(standard.ac.symbols)

    def test_no_blocks_no_bytes(self) -> None:
        empty = BlockStream(
            np.zeros((0, 64), np.int16), np.zeros(0, np.uint8), np.zeros(1, np.uint8)
        )
        assert entropy.coded_bytes(empty, STANDARD_PAIRS) == b""
        assert entropy.block_bits(empty, STANDARD_PAIRS).size == 0

    def test_symbols_without_a_code(self) -> None:
        zeros, ones = np.zeros((2, 64), np.int16), np.ones((2, 64), np.int16)
        component, kinds = np.zeros(2, np.uint8), np.zeros(1, np.uint8)
        stream = BlockStream(ones, component, kinds)
        tables = SymbolCounts.of(BlockStream(zeros, component, kinds)).optimal_tables()
        for function in (entropy.block_bits, entropy.coded_bytes, entropy.coded_size):
            with pytest.raises(ValueError, match="no code for a symbol of block 0 "):
                function(stream, tables)
            with pytest.raises(ValueError, match="tables must hold 1 pairs, got 0"):
                function(stream, [])
        with pytest.raises(ValueError, match="no code for symbol 0x01"):
            SymbolCounts.of(stream).bits(tables)

    @pytest.mark.parametrize(("kind", "symbol"), [(0, 2), (1, 0x00), (1, 0xF0), (1, 0x21)])
    def test_any_one_symbol_without_a_code(self, kind: int, symbol: int) -> None:
        """A block with a DC of 3, a 1 after two zeros, one after 17 more, and an end."""
        block = np.zeros((2, 64), np.int16)
        block[1, ZIGZAG[[0, 3, 21]]] = 3, 1, 1
        stream = BlockStream(block, np.zeros(2, np.uint8), np.zeros(1, np.uint8))
        counts = SymbolCounts(*(c.copy() for c in _counted(stream)))
        (counts.dc, counts.ac)[kind][0, symbol] = 0
        tables = counts.optimal_tables()
        block_without = 0 if symbol == 0x00 else 1
        for function in (entropy.block_bits, entropy.coded_bytes, entropy.coded_size):
            with pytest.raises(ValueError, match=f"no code for a symbol of block {block_without} "):
                function(stream, tables)

    @pytest.mark.parametrize(
        ("change", "error", "text"),
        [
            ({"blocks": np.zeros((2, 64))}, TypeError, "int16 of shape"),
            ({"blocks": np.zeros((2, 8, 8), np.int16)}, TypeError, "int16 of shape"),
            ({"blocks": np.full((2, 64), 1024, np.int16)}, ValueError, "-1024..1023, got 1024"),
            ({"blocks": np.full((2, 64), -1025, np.int16)}, ValueError, "-1024..1023, got -1025"),
            ({"component": np.zeros(2, int)}, TypeError, "component must be uint8"),
            ({"component": np.zeros(3, np.uint8)}, ValueError, "each of the 2 blocks, got 3"),
            ({"component": np.ones(2, np.uint8)}, ValueError, "component must lie below 1"),
            ({"kinds": np.zeros((1, 1), np.uint8)}, TypeError, "kinds must be uint8"),
        ],
    )
    def test_wrong_streams(
        self, change: dict[str, np.ndarray], error: type[Exception], text: str
    ) -> None:
        given_arrays = {
            "blocks": np.zeros((2, 64), np.int16),
            "component": np.zeros(2, np.uint8),
            "kinds": np.zeros(1, np.uint8),
        }
        with pytest.raises(error, match=text):
            BlockStream(**{**given_arrays, **change})


def test_reading_past_the_end_says_where() -> None:
    component = np.zeros(3, np.uint8)
    with pytest.raises(EntropyError, match="end too early, in block 0 of 3, at byte 1") as caught:
        read_blocks(np.array([0x00], np.uint8), 0, component, STANDARD_PAIRS[:1])
    assert caught.value.position == 1
