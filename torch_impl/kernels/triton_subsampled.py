"""The JPEG layer with chroma subsampling (4:2:2, 4:2:0): two Triton kernels each way.

Bilinear upsampling needs decoded chroma samples of the neighbouring blocks, which the program of
a block does not hold, and other programs may not have written yet. So the chroma planes make one
trip through memory, at their own resolution and in float32:

forward
    chroma: pixels -> box mean -> DCT, rounds, inverse -> planes. luma: pixels -> DCT, rounds,
    inverse; + upsampled planes -> pixels.
backward
    chroma: pixels and gradients -> gradient of the planes before the DCT. luma: the same for Y;
    + spread chroma gradients -> gradient of the pixels.

Bytes per float32 pixel of 4:2:0: 40 forward (24 would be the least) and 65 backward (36); of
4:2:2: 44 and 69. Composed of separate operators the layer moves some 200 forward. Not measured.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from torch_impl.kernels.triton_component import component_gradient, encode_decode_lines, place
from torch_impl.kernels.triton_pixels import (
    backward_registers,
    block_geometry,
    centred,
    load_gradient,
    load_rgb,
    new_sums,
    store_rgb,
)
from torch_impl.kernels.triton_transforms import (
    mix_chroma_adjoint,
    mix_to_chroma,
    mix_to_rgb,
    mix_to_rgb_adjoint,
    mix_to_ycbcr,
    mix_to_ycbcr_adjoint,
)

FORWARD_BLOCKS, FORWARD_WARPS = 4, 1  # as for 4:4:4: see triton_full_chroma
BACKWARD_BLOCKS, BACKWARD_WARPS = 16, 4

_UNSPECIALIZED = ["blocks", "rows", "columns", "height", "width", "max_level"]


@triton.jit
def _neighbours(position, size, FACTOR: tl.constexpr):
    """The two samples that upsampling mixes 3 : 1 at `position`; edges repeat."""
    near = position // FACTOR
    other = near + (position % FACTOR) * 2 - 1
    return near, tl.minimum(tl.maximum(other, 0), size - 1)


@triton.jit
def _upsample(plane, x, y, rows, columns, V: tl.constexpr, H: tl.constexpr):
    """Eight upsampled lines of a chroma plane at the pixels of the lanes."""
    lines = ()
    x_near, x_other = _neighbours(x, columns, H)
    for j in tl.static_range(8):
        y_near, y_other = _neighbours(y + j, rows, V)
        line = tl.load(plane + y_near * columns + x_near)
        if V == 2:
            line = 0.75 * line + 0.25 * tl.load(plane + y_other * columns + x_near)
        if H == 2:
            side = tl.load(plane + y_near * columns + x_other)
            if V == 2:
                side = 0.75 * side + 0.25 * tl.load(plane + y_other * columns + x_other)
            line = 0.75 * line + 0.25 * side
        lines = lines + (line,)
    return lines


@triton.jit
def _spread(position, sample, size, FACTOR: tl.constexpr):
    """Weight of `sample` in the upsampled pixel at `position`; 0 outside the plane."""
    near, other = _neighbours(position, size, FACTOR)
    weight = tl.where(near == sample, 0.75, 0.0) + tl.where(other == sample, 0.25, 0.0)
    if FACTOR == 1:
        weight = tl.where(near == sample, 1.0, 0.0)
    return tl.where((position >= 0) & (position < FACTOR * size), weight, 0.0)


@triton.jit
def _load_chroma(image, n, x, y, height, width, V: tl.constexpr, H: tl.constexpr):
    """Eight lines of Cb and of Cr at chroma resolution: box means of the pixels."""
    cb = ()
    cr = ()
    plane = height * width
    for j in tl.static_range(8):
        red = tl.zeros(x.shape, tl.float32)
        green = red
        blue = red
        for box in tl.static_range(V * H):
            line = (y + j) * V + box // H
            at = image + n.to(tl.int64) * (3 * plane) + (line * width + x * H + box % H)
            red += centred(tl.load(at))
            green += centred(tl.load(at + plane))
            blue += centred(tl.load(at + 2 * plane))
        chroma = mix_to_chroma(red, green, blue)
        cb = cb + (chroma[0] * (1 / (V * H)),)
        cr = cr + (chroma[1] * (1 / (V * H)),)
    return cb, cr


@triton.jit
def _load_chroma_gradient(
    grad, known, n, x, y, rows, columns, height, width, V: tl.constexpr, H: tl.constexpr
):
    """Adjoint of upsampling: eight lines of the gradients of decoded Cb and Cr."""
    zero = tl.zeros(x.shape, tl.float32)
    cb = (zero, zero, zero, zero, zero, zero, zero, zero)
    cr = cb
    plane = height * width
    TAPS_V: tl.constexpr = 3 * V - 2  # pixels that a sample reaches: 1, or 4 when upsampled
    TAPS_H: tl.constexpr = 3 * H - 2
    for tap in range(TAPS_V * TAPS_H):
        pixel_x = x * H + tap % TAPS_H + (1 - H)
        weight_x = _spread(pixel_x, x, columns, H)
        pixel_x = tl.minimum(tl.maximum(pixel_x, 0), width - 1)
        new_cb = ()
        new_cr = ()
        for j in tl.static_range(8):
            pixel_y = (y + j) * V + tap // TAPS_H + (1 - V)
            weight = weight_x * _spread(pixel_y, y + j, rows, V)
            pixel_y = tl.minimum(tl.maximum(pixel_y, 0), height - 1)
            at = grad + n.to(tl.int64) * (3 * plane) + (pixel_y * width + pixel_x)
            red = tl.load(at, mask=known, other=0.0).to(tl.float32)
            green = tl.load(at + plane, mask=known, other=0.0).to(tl.float32)
            blue = tl.load(at + 2 * plane, mask=known, other=0.0).to(tl.float32)
            chroma = mix_chroma_adjoint(red, green, blue)
            new_cb = new_cb + (cb[j] + weight * chroma[0],)
            new_cr = new_cr + (cr[j] + weight * chroma[1],)
        cb = new_cb
        cr = new_cr
    return cb, cr


@triton.jit
def _store_plane(plane, lines, known, x, y, columns):
    for j in tl.static_range(8):
        tl.store(plane + (y + j) * columns + x, lines[j], mask=known)


@triton.jit(do_not_specialize=_UNSPECIALIZED)
def _chroma_kernel(
    image,
    q,
    alpha,
    planes,
    blocks,
    rows,
    columns,
    height,
    width,
    max_level,
    ROUNDS: tl.constexpr,
    WINDOW: tl.constexpr,
    V: tl.constexpr,
    H: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    known, n, x, y = place(blocks, rows, columns, BLOCKS)
    this, after = _load_chroma(image, n, x, y, height, width, V, H)
    for _ in range(2):
        done = encode_decode_lines(this, q, alpha, 1, max_level, ROUNDS, WINDOW)
        this, after = after, done
    size = rows * columns * 64
    plane = planes + n.to(tl.int64) * (2 * size)
    _store_plane(plane, this, known, x, y, columns * 8)
    _store_plane(plane + size, after, known, x, y, columns * 8)


@triton.jit(do_not_specialize=_UNSPECIALIZED)
def _luma_kernel(
    image,
    q,
    alpha,
    planes,
    out,
    blocks,
    rows,
    columns,
    height,
    width,
    max_level,
    ROUNDS: tl.constexpr,
    WINDOW: tl.constexpr,
    V: tl.constexpr,
    H: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    known, n, x, y = place(blocks, rows, columns, BLOCKS)
    red, green, blue = load_rgb(image, n, x, y, height, width, False)
    luma, _, _ = mix_to_ycbcr(red, green, blue)
    luma = encode_decode_lines(luma, q, alpha, 0, max_level, ROUNDS, WINDOW)
    size = (height // V) * (width // H)
    plane = planes + n.to(tl.int64) * (2 * size)
    cb = _upsample(plane, x, y, height // V, width // H, V, H)
    cr = _upsample(plane + size, x, y, height // V, width // H, V, H)
    red, green, blue = mix_to_rgb(luma, cb, cr)
    store_rgb(out, red, green, blue, 128.0, known, n, x, y, height, width, False)


@triton.jit(do_not_specialize=_UNSPECIALIZED)
def _chroma_backward_kernel(
    grad,
    image,
    q,
    alpha,
    planes,
    sums,
    blocks,
    rows,
    columns,
    height,
    width,
    max_level,
    ROUNDS: tl.constexpr,
    WINDOW: tl.constexpr,
    V: tl.constexpr,
    H: tl.constexpr,
    TABLES: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    known, n, x, y = place(blocks, rows, columns, BLOCKS)
    this, after = _load_chroma(image, n, x, y, height, width, V, H)
    this_grad, after_grad = _load_chroma_gradient(
        grad, known, n, x, y, rows * 8, columns * 8, height, width, V, H
    )
    row = sums + tl.program_id(0).to(tl.int64) * (2 * ROUNDS * 128)
    for component in range(2):
        done = component_gradient(
            this,
            this_grad,
            q,
            alpha,
            1,
            row + component * (ROUNDS * 128),
            max_level,
            x,
            y,
            height,
            width,
            ROUNDS,
            WINDOW,
            False,
            TABLES,
        )
        this, after = after, this
        this_grad, after_grad = after_grad, done
    size = rows * columns * 64
    plane = planes + n.to(tl.int64) * (2 * size)
    _store_plane(plane, this_grad, known, x, y, columns * 8)
    _store_plane(plane + size, after_grad, known, x, y, columns * 8)


@triton.jit
def _repeat(plane, x, y, columns, V: tl.constexpr, H: tl.constexpr):
    """Adjoint of the box mean: every pixel of a box gets its share of the gradient."""
    lines = ()
    for j in tl.static_range(8):
        share = tl.load(plane + ((y + j) // V) * columns + x // H)
        lines = lines + (share * (1 / (V * H)),)
    return lines


@triton.jit(do_not_specialize=_UNSPECIALIZED)
def _luma_backward_kernel(
    grad,
    image,
    q,
    alpha,
    planes,
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
    V: tl.constexpr,
    H: tl.constexpr,
    TABLES: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    known, n, x, y = place(blocks, rows, columns, BLOCKS)
    red, green, blue = load_rgb(image, n, x, y, height, width, False)
    luma, _, _ = mix_to_ycbcr(red, green, blue)
    red, green, blue = load_gradient(grad, known, n, x, y, height, width, False)
    luma_grad, _, _ = mix_to_rgb_adjoint(red, green, blue)
    luma_grad = component_gradient(
        luma,
        luma_grad,
        q,
        alpha,
        0,
        sums + tl.program_id(0).to(tl.int64) * (ROUNDS * 128),
        max_level,
        x,
        y,
        height,
        width,
        ROUNDS,
        WINDOW,
        False,
        TABLES,
    )
    size = (height // V) * (width // H)
    plane = planes + n.to(tl.int64) * (2 * size)
    cb_grad = _repeat(plane, x, y, width // H, V, H)
    cr_grad = _repeat(plane + size, x, y, width // H, V, H)
    red, green, blue = mix_to_ycbcr_adjoint(luma_grad, cb_grad, cr_grad)
    store_rgb(grad_image, red, green, blue, 0.0, known, n, x, y, height, width, False)


def encode_decode(
    image: Tensor,
    q: Tensor,
    alpha: Tensor,
    max_level: int,
    window: int,
    factors: tuple[int, int],
) -> Tensor:
    """Decoded images; contiguous image of whole MCUs, float32 tables (rounds, 2, 8, 8)."""
    images, _, height, width = image.shape
    planes = _new_planes(image, factors)
    luma = block_geometry(images, height, width)
    chroma = block_geometry(images, *planes.shape[2:])
    options = _options(image, q, max_level, window, factors)
    options |= {"BLOCKS": FORWARD_BLOCKS, "num_warps": FORWARD_WARPS}
    out = torch.empty_like(image)
    grid = (triton.cdiv(chroma["blocks"], FORWARD_BLOCKS),)
    _chroma_kernel[grid](image, q, alpha, planes, **chroma, **options)
    grid = (triton.cdiv(luma["blocks"], FORWARD_BLOCKS),)
    _luma_kernel[grid](image, q, alpha, planes, out, **luma, **options)
    return out


def backward(
    grad: Tensor,
    image: Tensor,
    q: Tensor,
    alpha: Tensor,
    max_level: int,
    window: int,
    factors: tuple[int, int],
    tables: bool,
) -> tuple[Tensor, list[Tensor]]:
    """Gradient of the image, and rows of table sums: of Y, and of Cb and Cr."""
    images, _, height, width = image.shape
    planes = _new_planes(image, factors)
    luma = block_geometry(images, height, width)
    chroma = block_geometry(images, *planes.shape[2:])
    options = _options(image, q, max_level, window, factors)
    options |= {"TABLES": tables, "BLOCKS": BACKWARD_BLOCKS, "num_warps": BACKWARD_WARPS}
    out = torch.empty_like(image)
    luma_grid, chroma_grid = (
        (triton.cdiv(geometry["blocks"], BACKWARD_BLOCKS),) for geometry in (luma, chroma)
    )
    luma_sums = new_sums(image, luma_grid[0] if tables else 0, 1, q.shape[0])
    chroma_sums = new_sums(image, chroma_grid[0] if tables else 0, 2, q.shape[0])
    tensors = (grad, image, q, alpha, planes)
    # The taps of the chroma kernel need the larger number of registers even with a window.
    options["maxnreg"] = backward_registers(0)
    _chroma_backward_kernel[chroma_grid](*tensors, chroma_sums, **chroma, **options)
    options["maxnreg"] = backward_registers(window)
    _luma_backward_kernel[luma_grid](*tensors, out, luma_sums, **luma, **options)
    return out, [luma_sums, chroma_sums]


def _options(
    image: Tensor, q: Tensor, max_level: int, window: int, factors: tuple[int, int]
) -> dict[str, Any]:
    """Arguments of all four kernels."""
    return {
        "height": image.shape[2],
        "width": image.shape[3],
        "max_level": float(max_level),
        "ROUNDS": q.shape[0],
        "WINDOW": window,
        "V": factors[0],
        "H": factors[1],
        "num_stages": 1,
    }


def _new_planes(image: Tensor, factors: tuple[int, int]) -> Tensor:
    """Cb and Cr, or their gradients, on the way between two kernels: float32."""
    images, _, height, width = image.shape
    shape = (images, 2, height // factors[0], width // factors[1])
    return torch.empty(shape, dtype=torch.float32, device=image.device)
