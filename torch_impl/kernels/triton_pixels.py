"""Pixels of a tile, RGB planes as tuples of eight lines, and what the launches need to know."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


def block_geometry(images: int, height: int, width: int) -> dict[str, int]:
    """Numbers of 8x8 blocks (all, rows and columns of a plane): arguments of every kernel."""
    rows, columns = -(-height // 8), -(-width // 8)
    return {"blocks": images * rows * columns, "rows": rows, "columns": columns}


def backward_registers(window: int) -> int:
    """Cap on the registers of a thread of the backward kernels, which have four warps.

    128 let four programs stand on a multiprocessor and 168 three. A window fits 128 (12 numbers
    spill with several rounds); the full space would spill some 50 there, and spills 8 at 168.
    """
    return 128 if window else 168


def new_sums(like: Tensor, programs: int, components: int, rounds: int) -> Tensor:
    """Rows of table sums, one per program: (programs, components, rounds, q | alpha, 64)."""
    shape = (programs, components, rounds, 2, 64)
    return torch.empty(shape, dtype=torch.float32, device=like.device)


@triton.jit
def _first_pixel(image, n, plane):
    """Pointer to the first pixel of image `n`; 64 bits, since a batch may exceed 2^31."""
    return image + n.to(tl.int64) * (3 * plane)


@triton.jit
def centred(sample):
    """Minus 128, in float32. Infinity counts as NaN: the block that holds it has no DCT."""
    sample = sample.to(tl.float32)
    return sample - 128 + (sample - sample)


@triton.jit
def load_rgb(image, n, x, y, height, width, PADDED: tl.constexpr):
    """Red, green and blue minus 128, in float32; beyond the edge the last pixel repeats."""
    red = ()
    green = ()
    blue = ()
    plane = height * width
    if PADDED:
        x = tl.minimum(x, width - 1)
    for j in tl.static_range(8):
        line = y + j
        if PADDED:
            line = tl.minimum(line, height - 1)
        at = _first_pixel(image, n, plane) + (line * width + x)
        red = red + (centred(tl.load(at)),)
        green = green + (centred(tl.load(at + plane)),)
        blue = blue + (centred(tl.load(at + 2 * plane)),)
    return red, green, blue


@triton.jit
def load_gradient(grad, known, n, x, y, height, width, PADDED: tl.constexpr):
    """Gradients of red, green and blue in float32; 0 outside the image and the batch."""
    red = ()
    green = ()
    blue = ()
    plane = height * width
    for j in tl.static_range(8):
        inside = known
        if PADDED:
            inside = known & (x < width) & (y + j < height)
        at = _first_pixel(grad, n, plane) + ((y + j) * width + x)
        red = red + (tl.load(at, mask=inside, other=0.0).to(tl.float32),)
        green = green + (tl.load(at + plane, mask=inside, other=0.0).to(tl.float32),)
        blue = blue + (tl.load(at + 2 * plane, mask=inside, other=0.0).to(tl.float32),)
    return red, green, blue


@triton.jit
def store_rgb(image, red, green, blue, level, known, n, x, y, height, width, PADDED: tl.constexpr):
    """Store red, green and blue plus `level` in the dtype of the image."""
    plane = height * width
    for j in tl.static_range(8):
        inside = known
        if PADDED:
            inside = known & (x < width) & (y + j < height)
        at = _first_pixel(image, n, plane) + ((y + j) * width + x)
        tl.store(at, red[j] + level, mask=inside)
        tl.store(at + plane, green[j] + level, mask=inside)
        tl.store(at + 2 * plane, blue[j] + level, mask=inside)
