"""One component of a tile through DCT, every round of quantization, and back; and its gradient.

Half of the coefficients go through the quantizer at a time, in a loop: half the registers and half
the code. A loop cannot index a tuple, so the halves take turns in the same two variables.
"""

from __future__ import annotations

import triton
import triton.language as tl

from torch_impl.kernels.triton_math import soft_partials, soft_value
from torch_impl.kernels.triton_transforms import (
    dct_lines,
    fold_lines,
    halves,
    inverse_dct_lines,
    load_half,
    turn,
    whole,
)


@triton.jit
def place(blocks, rows, columns, BLOCKS: tl.constexpr):
    """Where the lanes of this program lie: which exist, image, and first pixel of each lane.

    A lane is one column of one block; `rows` and `columns` count the blocks of a plane.
    """
    lane = tl.arange(0, BLOCKS * 8)
    block = tl.program_id(0) * BLOCKS + lane // 8
    known = block < blocks
    block = tl.minimum(block, blocks - 1)
    strip = block // columns
    return known, strip // rows, (block % columns) * 8 + lane % 8, (strip % rows) * 8


@triton.jit
def encode_decode_lines(
    lines, q, alpha, chroma, max_level, ROUNDS: tl.constexpr, WINDOW: tl.constexpr
):
    """Image lines of one component -> decoded lines; `chroma` picks the table, 0 or 1."""
    vertical = tl.arange(0, lines[0].shape[0]) % 8
    low, high = halves(dct_lines(turn(dct_lines(lines))))
    for i in range(2 * ROUNDS):
        table = (i // 2 * 2 + chroma) * 64 + i % 2 * 4
        q_half, alpha_half = load_half(q + table, vertical), load_half(alpha + table, vertical)
        low, high = high, soft_value(low, q_half, alpha_half, max_level, WINDOW)
    return inverse_dct_lines(turn(inverse_dct_lines(whole(low, high))))


@triton.jit
def component_gradient(
    lines,
    grad_lines,
    q,
    alpha,
    chroma,
    sums,
    max_level,
    x,
    y,
    height,
    width,
    ROUNDS: tl.constexpr,
    WINDOW: tl.constexpr,
    PADDED: tl.constexpr,
    TABLES: tl.constexpr,
):
    """Gradient of :func:`encode_decode_lines` with respect to the lines.

    The sums of the gradients of q and alpha over the tile go to `sums`: 64 + 64 numbers per
    round. With PADDED the gradient of lines and columns beyond the edge is folded back.
    """
    lanes: tl.constexpr = lines[0].shape[0]
    vertical = tl.arange(0, lanes) % 8
    entry = tl.arange(0, 32)
    entry = entry // 4 * 8 + entry % 4
    low, high = halves(dct_lines(turn(dct_lines(lines))))
    # The transform is orthonormal: the adjoint of its inverse is itself.
    low_grad, high_grad = halves(dct_lines(turn(dct_lines(grad_lines))))
    for half in range(2):
        for i in range(ROUNDS):
            last = ROUNDS - 1 - i
            coefficients = low
            for k in range(ROUNDS - 1):
                if k < last:  # what round `last` was given
                    table = (2 * k + chroma) * 64 + half * 4
                    q_half = load_half(q + table, vertical)
                    alpha_half = load_half(alpha + table, vertical)
                    coefficients = soft_value(coefficients, q_half, alpha_half, max_level, WINDOW)
            table = (2 * last + chroma) * 64 + half * 4
            q_half, alpha_half = load_half(q + table, vertical), load_half(alpha + table, vertical)
            dz, dq, dalpha = soft_partials(coefficients, q_half, alpha_half, max_level, WINDOW)
            if TABLES:
                at = sums + last * 128 + half * 4 + entry
                tl.store(at, tl.sum(tl.reshape(low_grad * dq, (lanes // 8, 32)), axis=0))
                tl.store(at + 64, tl.sum(tl.reshape(low_grad * dalpha, (lanes // 8, 32)), axis=0))
            low_grad = low_grad * dz
        low, high = high, low
        low_grad, high_grad = high_grad, low_grad
    # One vector per pixel column here, one lane per (block, vertical frequency).
    lines = inverse_dct_lines(whole(low_grad, high_grad))
    if PADDED:
        lines = fold_lines(lines, x - x % 8, width)
    lines = inverse_dct_lines(turn(lines))
    if PADDED:
        lines = fold_lines(lines, y, height)
    return lines
