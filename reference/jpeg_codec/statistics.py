"""What the coefficients of an image cost, block by block and symbol by symbol."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reference import entropy
from reference.entropy import BlockStream, HuffmanPair, SymbolCounts
from reference.huffman_tables import STANDARD_PAIRS
from reference.jpeg_codec.checks import check_subsampling
from reference.jpeg_codec.markers import Frame
from reference.jpeg_codec.planes import frame_of_size
from reference.jpeg_codec.scan import Blocks, block_order, interleave


def count_symbols(components: Sequence[Blocks], *, subsampling: str = "4:2:0") -> SymbolCounts:
    """How often each Huffman symbol occurs in the coefficients of an image.

    Parameters
    ----------
    components
        As :func:`reference.jpeg_codec.coefficients` returns them.
    subsampling
        With which they were made. The blocks that fill the last units up count too.

    Returns
    -------
    SymbolCounts
        Counts of several images add up with ``+``.

    Raises
    ------
    TypeError, ValueError
        If the components do not belong together at this subsampling.
    """
    return SymbolCounts.of(stream_of(_frame_of_blocks(components, subsampling), components))


def block_bits(
    components: Sequence[Blocks],
    *,
    subsampling: str = "4:2:0",
    huffman: Sequence[HuffmanPair] = STANDARD_PAIRS,
) -> tuple[NDArray[np.int64], ...]:
    """Bits of each block of an image, where it lies.

    Parameters
    ----------
    components, subsampling
        As in :func:`count_symbols`.
    huffman
        Tables for luma and chroma.

    Returns
    -------
    tuple of ndarray of int64
        One array (rows, columns) of blocks for each component, with the blocks that fill the last
        units up: at the right and at the bottom they may be more than the component's own. They
        add up to the entropy-coded data but for stuffed bytes and the last byte's filling.

    Raises
    ------
    TypeError, ValueError
        If the components do not belong together, or a symbol has no code.
    """
    frame = _frame_of_blocks(components, subsampling)
    bits = entropy.block_bits(stream_of(frame, components), huffman)
    found = []
    for order in block_order(frame.factors, frame.units)[1]:
        full = np.empty(order.shape, np.int64)
        full[...] = bits[order]
        found.append(full)
    return tuple(found)


def stream_of(frame: Frame, components: Sequence[Blocks]) -> BlockStream:
    """The blocks of an image in the order of its one scan."""
    blocks, component = interleave(components, frame.factors, frame.units)
    return BlockStream(blocks, component, np.array([c.table for c in frame.components], np.uint8))


def _frame_of_blocks(components: Sequence[Blocks], subsampling: str) -> Frame:
    factors = check_subsampling(subsampling)
    if len(components) not in (1, 3) or any(
        b.ndim != 4 or b.shape[2:] != (8, 8) or b.dtype != np.int16 or b.size == 0
        for b in components
    ):
        raise ValueError(
            "components must be one or three int16 arrays (R, C, 8, 8), as coefficients() returns "
            "them"
        )
    rows, columns = components[0].shape[:2]
    frame = frame_of_size(8 * rows, 8 * columns, factors if len(components) == 3 else None)
    own = [(*frame.own_blocks(component), 8, 8) for component in frame.components]
    if (given := [b.shape for b in components]) != own:
        raise ValueError(
            f"components of shapes {given} do not belong together at subsampling {subsampling!r}"
        )
    return frame
