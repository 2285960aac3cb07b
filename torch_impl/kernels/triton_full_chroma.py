"""The JPEG layer without chroma subsampling (4:4:4): one Triton kernel each way.

A program loads the pixels of its blocks once, carries all three components through colour, DCT,
every round of quantization and back, and stores once. The components take turns in one loop, in
the same variables, which keeps the code and most registers of one.

Roofline on an H100 (3.0 TB/s copy, 29e12 lane-instructions/s; expectations, not measured), per
float32 pixel with h >= pi, instructions counted in the machine code: the forward pass moves 24
bytes, 8 ps, and issues 3 x 106 instructions, 11 ps, so that 73 % of a copy is the limit; the
backward pass moves 37 bytes, 12 ps, and issues 3 x 196, 20 ps: 60 %.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from torch_impl.kernels.triton_component import component_gradient, encode_decode_lines, place
from torch_impl.kernels.triton_pixels import (
    backward_registers,
    block_geometry,
    load_gradient,
    load_rgb,
    new_sums,
    store_rgb,
)
from torch_impl.kernels.triton_transforms import (
    mix_to_rgb,
    mix_to_rgb_adjoint,
    mix_to_ycbcr,
    mix_to_ycbcr_adjoint,
)

# One lane per block column. Forward: one warp, so that nothing waits at a barrier. Backward: four
# warps, so that a row of table sums (1.5 KB per round) stands beside 36 KB of pixels.
FORWARD_BLOCKS, FORWARD_WARPS = 4, 1
BACKWARD_BLOCKS, BACKWARD_WARPS = 16, 4


@triton.jit(do_not_specialize=["blocks", "rows", "columns", "height", "width", "max_level"])
def _forward_kernel(
    image,
    q,
    alpha,
    out,
    blocks,
    rows,
    columns,
    height,
    width,
    max_level,
    ROUNDS: tl.constexpr,
    WINDOW: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    known, n, x, y = place(blocks, rows, columns, BLOCKS)
    red, green, blue = load_rgb(image, n, x, y, height, width, PADDED)
    this, after, last = mix_to_ycbcr(red, green, blue)
    for component in range(3):
        chroma = tl.minimum(component, 1)
        done = encode_decode_lines(this, q, alpha, chroma, max_level, ROUNDS, WINDOW)
        this, after, last = after, last, done  # after three turns: Y, Cb, Cr again
    red, green, blue = mix_to_rgb(this, after, last)
    store_rgb(out, red, green, blue, 128.0, known, n, x, y, height, width, PADDED)


@triton.jit(do_not_specialize=["blocks", "rows", "columns", "height", "width", "max_level"])
def _backward_kernel(
    grad,
    image,
    q,
    alpha,
    grad_image,
    sums,
    blocks,
    rows,
    columns,
    height,
    width,
    max_level,
    ROUNDS: tl.constexpr,
    WINDOW: tl.constexpr,
    PADDED: tl.constexpr,
    TABLES: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    known, n, x, y = place(blocks, rows, columns, BLOCKS)
    red, green, blue = load_rgb(image, n, x, y, height, width, PADDED)
    this, after, last = mix_to_ycbcr(red, green, blue)
    red, green, blue = load_gradient(grad, known, n, x, y, height, width, PADDED)
    this_grad, after_grad, last_grad = mix_to_rgb_adjoint(red, green, blue)
    row = sums + tl.program_id(0).to(tl.int64) * (3 * ROUNDS * 128)
    for component in range(3):
        done = component_gradient(
            this,
            this_grad,
            q,
            alpha,
            tl.minimum(component, 1),
            row + component * (ROUNDS * 128),
            max_level,
            x,
            y,
            height,
            width,
            ROUNDS,
            WINDOW,
            PADDED,
            TABLES,
        )
        this, after, last = after, last, this
        this_grad, after_grad, last_grad = after_grad, last_grad, done
    red, green, blue = mix_to_ycbcr_adjoint(this_grad, after_grad, last_grad)
    store_rgb(grad_image, red, green, blue, 0.0, known, n, x, y, height, width, PADDED)


def encode_decode(image: Tensor, q: Tensor, alpha: Tensor, max_level: int, window: int) -> Tensor:
    """Decoded images; contiguous image of any size, float32 tables (rounds, 2, 8, 8)."""
    out = torch.empty_like(image)
    images, _, height, width = image.shape
    geometry = block_geometry(images, height, width)
    _forward_kernel[(triton.cdiv(geometry["blocks"], FORWARD_BLOCKS),)](
        image,
        q,
        alpha,
        out,
        **geometry,
        height=height,
        width=width,
        max_level=float(max_level),
        ROUNDS=q.shape[0],
        WINDOW=window,
        PADDED=bool(height % 8 or width % 8),
        BLOCKS=FORWARD_BLOCKS,
        num_warps=FORWARD_WARPS,
        num_stages=1,
    )
    return out


def backward(
    grad: Tensor,
    image: Tensor,
    q: Tensor,
    alpha: Tensor,
    max_level: int,
    window: int,
    tables: bool,
) -> tuple[Tensor, list[Tensor]]:
    """Gradient of the image, and rows of table sums of Y, Cb and Cr."""
    out = torch.empty_like(image)
    images, _, height, width = image.shape
    geometry = block_geometry(images, height, width)
    programs = triton.cdiv(geometry["blocks"], BACKWARD_BLOCKS)
    sums = new_sums(image, programs if tables else 0, 3, q.shape[0])
    _backward_kernel[(programs,)](
        grad,
        image,
        q,
        alpha,
        out,
        sums,
        **geometry,
        height=height,
        width=width,
        max_level=float(max_level),
        ROUNDS=q.shape[0],
        WINDOW=window,
        PADDED=bool(height % 8 or width % 8),
        TABLES=tables,
        BLOCKS=BACKWARD_BLOCKS,
        num_warps=BACKWARD_WARPS,
        maxnreg=backward_registers(window),
        num_stages=1,
    )
    return out, [sums]
