"""The loops of :mod:`reference.entropy` over coefficients: symbols counted, measured, written.

Blocks are (N, 64) in scan order, each in natural order; component (N,) says which component a
block belongs to, kinds (components,) which pair of tables that uses.

References
----------
ITU-T T.81, Annex F.1.2; libjpeg, jchuff.c.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference._jit import jit
from reference.standard import ZIGZAG

_ZIGZAG = ZIGZAG.astype(np.int64)
_END_OF_BLOCK, _SIXTEEN_ZEROS = 0x00, 0xF0
# Number of bits of a magnitude. Coefficients of 8-bit images lie in -1024..1023, their
# differences in -2047..2047.
_BITS = np.array([value.bit_length() for value in range(2048)], np.uint8)


@jit
def add_counts(
    blocks: NDArray[np.int16],
    component: NDArray[np.uint8],
    kinds: NDArray[np.uint8],
    dc: NDArray[np.int64],
    ac: NDArray[np.int64],
) -> None:
    """Add the symbols of the blocks to dc and ac (pairs, 256)."""
    previous = np.zeros(kinds.shape[0], np.int64)
    for n in range(blocks.shape[0]):
        c = component[n]
        t = kinds[c]
        first = np.int64(blocks[n, 0])
        dc[t, _BITS[abs(first - previous[c])]] += 1
        previous[c] = first
        run = 0
        for k in range(1, 64):
            value = np.int64(blocks[n, _ZIGZAG[k]])
            if value == 0:
                run += 1
                continue
            while run > 15:
                ac[t, _SIXTEEN_ZEROS] += 1
                run -= 16
            ac[t, (run << 4) + _BITS[abs(value)]] += 1
            run = 0
        if run:
            ac[t, _END_OF_BLOCK] += 1


@jit
def measure_blocks(
    blocks: NDArray[np.int16],
    component: NDArray[np.uint8],
    kinds: NDArray[np.uint8],
    bits: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Bits of each block, (N,); -1 if a symbol has no code.

    bits (pairs, 2, 256) is what a symbol costs, DC first, its extra bits included; 0 without code.
    """
    previous = np.zeros(kinds.shape[0], np.int64)
    found = np.empty(blocks.shape[0], np.int64)
    for n in range(blocks.shape[0]):
        c = component[n]
        t = kinds[c]
        first = np.int64(blocks[n, 0])
        total = bits[t, 0, _BITS[abs(first - previous[c])]]
        known = total > 0
        previous[c] = first
        run = 0
        for k in range(1, 64):
            value = np.int64(blocks[n, _ZIGZAG[k]])
            if value == 0:
                run += 1
                continue
            while run > 15:
                total += bits[t, 1, _SIXTEEN_ZEROS]
                known &= bits[t, 1, _SIXTEEN_ZEROS] > 0
                run -= 16
            cost = bits[t, 1, (run << 4) + _BITS[abs(value)]]
            total += cost
            known &= cost > 0
            run = 0
        if run:
            total += bits[t, 1, _END_OF_BLOCK]
            known &= bits[t, 1, _END_OF_BLOCK] > 0
        found[n] = total if known else -1
    return found


@jit
def _put(
    out: NDArray[np.uint8], keep: bool, state: tuple[int, int, int], code: int, bits: int
) -> tuple[int, int, int]:
    """Append bits; state is (bytes so far, bits not yet written, their number, below 8)."""
    size, pending, held = state
    pending = (pending << bits) | code
    held += bits
    while held >= 8:
        held -= 8
        byte = (pending >> held) & 0xFF
        if keep:
            out[size] = byte
        size += 1
        if byte == 0xFF:  # a zero follows, or it would begin a marker
            if keep:
                out[size] = 0
            size += 1
    return size, pending & 0xFF, held


@jit
def write_blocks(
    blocks: NDArray[np.int16],
    component: NDArray[np.uint8],
    kinds: NDArray[np.uint8],
    codes: NDArray[np.int64],
    lengths: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> int:
    """Write the bits of the blocks; codes and lengths (pairs, 2, 256), DC first.

    An `out` of no bytes is left alone: the bytes are counted only. Returns their number, or
    ``-1 - n`` if a symbol of block n has no code.
    """
    keep = out.shape[0] > 0
    previous = np.zeros(kinds.shape[0], np.int64)
    state = (0, 0, 0)
    for n in range(blocks.shape[0]):
        c = component[n]
        t = kinds[c]
        run = 0
        for k in range(64):
            value = np.int64(blocks[n, _ZIGZAG[k]])
            if k == 0:
                first = value
                value = first - previous[c]
                previous[c] = first
            elif value == 0:
                run += 1
                continue
            while run > 15:
                if lengths[t, 1, _SIXTEEN_ZEROS] == 0:
                    return -1 - n
                state = _put(
                    out, keep, state, codes[t, 1, _SIXTEEN_ZEROS], lengths[t, 1, _SIXTEEN_ZEROS]
                )
                run -= 16
            bits = np.int64(_BITS[abs(value)])
            symbol = (run << 4) + bits
            run = 0
            table = 1 if k else 0
            if lengths[t, table, symbol] == 0:
                return -1 - n
            # Negative numbers less one, in their lowest bits (T.81, F.1.2.1).
            extra = value if value >= 0 else value + (1 << bits) - 1
            word = (codes[t, table, symbol] << bits) | extra
            state = _put(out, keep, state, word, lengths[t, table, symbol] + bits)
        if run:
            if lengths[t, 1, _END_OF_BLOCK] == 0:
                return -1 - n
            state = _put(out, keep, state, codes[t, 1, _END_OF_BLOCK], lengths[t, 1, _END_OF_BLOCK])
    if state[2]:
        missing = 8 - state[2]  # the last byte is filled with ones
        state = _put(out, keep, state, (1 << missing) - 1, missing)
    return state[0]
