"""The soft quantizer as two Triton kernels: value, and gradients with their reductions.

Any broadcast pattern of the tables is brought to six alternating dimensions
(r0, k1, r2, k3, r4, k5) of z: q and alpha vary along the kept ones, k, and are repeated along
the reduced ones, r. A program handles a tile of r4-by-k5 elements with fixed (k1, k3), so a
table entry is read once per tile, and the gradients of q and alpha are summed over the tile
before anything is written. The rows of partial sums are then added up in float64 by one
fixed-order sum: no atomics, bit-equal from run to run.

Roofline on an H100 (3.0 TB/s copy, 29e12 lane-instructions/s; expectations, not measured), per
float32 element with h >= pi and tables of 8x8 blocks, instructions counted in the machine code:
the forward pass moves 8 bytes, 2.7 ps, and issues 106 instructions, 3.6 ps; the backward pass
moves 12 bytes, 4 ps, and issues 184, 6.3 ps. With numbers for q and alpha the forward pass
issues 68, 2.3 ps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from torch_impl.kernels.triton_math import PAD_ALPHA, PAD_Q, soft_partials, soft_value

# Elements per program, and warps: 4 elements per thread keep 7 to 8 programs on an SM.
TILE = 1024
NUM_WARPS = 8
# From here on an offset does not fit 32 bits; tiles may reach a little beyond the last element.
_WIDE = 2**31 - 2 * TILE


@triton.jit
def _tile(
    reduced,
    k1,
    r2,
    k3,
    r4,
    k5,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    EXACT: tl.constexpr,
    FLAT: tl.constexpr,
    WIDE: tl.constexpr,
):
    """Offsets of a tile in z and in the tables, its mask, and its place in the partial sums.

    EXACT: COLUMNS is k5. FLAT: only r4 and k5 differ from 1. WIDE: offsets need 64 bits.
    """
    program = tl.program_id(0)
    if WIDE:
        program = program.to(tl.int64)
    width = k5
    if EXACT:
        width = COLUMNS
    column_tiles = tl.cdiv(width, COLUMNS)
    kept = 0
    if not FLAT:
        kept = program % (k1 * k3)
        program = program // (k1 * k3)
    first_column = (program % column_tiles) * COLUMNS
    chunk = program // column_tiles
    first_row = chunk * ROWS

    rows = tl.arange(0, ROWS)
    columns = tl.arange(0, COLUMNS)
    mask = (rows < tl.minimum(reduced - first_row, ROWS).to(tl.int32))[:, None]
    column_mask = columns < tl.minimum(width - first_column, COLUMNS).to(tl.int32)
    if not EXACT:
        mask = mask & column_mask[None, :]
    if FLAT:
        offsets = first_row * width + first_column + (rows[:, None] * width + columns[None, :])
    else:
        row = first_row + rows
        i4 = row % r4
        row = row // r4
        start = (((row // r2 * k1 + kept // k3) * r2 + row % r2) * k3 + kept % k3) * r4 + i4
        offsets = start[:, None] * width + (first_column + columns[None, :])
    table = kept * width + first_column + columns
    return offsets, mask, table, column_mask, chunk * (k1 * k3 * width)


@triton.jit(do_not_specialize=["k1", "r2", "k3", "max_level"])
def _forward_kernel(
    z,
    q,
    alpha,
    out,
    reduced,
    k1,
    r2,
    k3,
    r4,
    k5,
    max_level,
    WINDOW: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    EXACT: tl.constexpr,
    FLAT: tl.constexpr,
    WIDE: tl.constexpr,
):
    offsets, mask, table, column_mask, _ = _tile(
        reduced, k1, r2, k3, r4, k5, ROWS, COLUMNS, EXACT, FLAT, WIDE
    )
    z_tile = tl.load(z + offsets, mask=mask, other=0.0).to(tl.float32)
    q_row = tl.load(q + table, mask=column_mask, other=PAD_Q).to(tl.float32)
    alpha_row = tl.load(alpha + table, mask=column_mask, other=PAD_ALPHA).to(tl.float32)
    q_tile = tl.broadcast_to(q_row[None, :], (ROWS, COLUMNS))
    alpha_tile = tl.broadcast_to(alpha_row[None, :], (ROWS, COLUMNS))
    tl.store(out + offsets, soft_value(z_tile, q_tile, alpha_tile, max_level, WINDOW), mask=mask)


@triton.jit(do_not_specialize=["k1", "r2", "k3", "max_level"])
def _backward_kernel(
    grad,
    z,
    q,
    alpha,
    dz,
    dq_sums,
    dalpha_sums,
    reduced,
    k1,
    r2,
    k3,
    r4,
    k5,
    max_level,
    TABLES: tl.constexpr,
    WINDOW: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    EXACT: tl.constexpr,
    FLAT: tl.constexpr,
    WIDE: tl.constexpr,
):
    offsets, mask, table, column_mask, place = _tile(
        reduced, k1, r2, k3, r4, k5, ROWS, COLUMNS, EXACT, FLAT, WIDE
    )
    grad_tile = tl.load(grad + offsets, mask=mask, other=0.0).to(tl.float32)
    z_tile = tl.load(z + offsets, mask=mask, other=0.0).to(tl.float32)
    q_row = tl.load(q + table, mask=column_mask, other=PAD_Q).to(tl.float32)
    alpha_row = tl.load(alpha + table, mask=column_mask, other=PAD_ALPHA).to(tl.float32)
    q_tile = tl.broadcast_to(q_row[None, :], (ROWS, COLUMNS))
    alpha_tile = tl.broadcast_to(alpha_row[None, :], (ROWS, COLUMNS))
    by_z, by_q, by_alpha = soft_partials(z_tile, q_tile, alpha_tile, max_level, WINDOW)
    tl.store(dz + offsets, grad_tile * by_z, mask=mask)
    if TABLES:
        tl.store(dq_sums + place + table, tl.sum(grad_tile * by_q, axis=0), mask=column_mask)
        sums = tl.sum(grad_tile * by_alpha, axis=0)
        tl.store(dalpha_sums + place + table, sums, mask=column_mask)


class _Plan(NamedTuple):
    """How a launch walks over z: the six dimensions and the tile."""

    table_shape: torch.Size  # common shape of q and alpha
    dims: tuple[int, int, int, int, int, int]
    rows: int
    columns: int

    @property
    def reduced(self) -> int:
        return self.dims[0] * self.dims[2] * self.dims[4]

    @property
    def chunks(self) -> int:
        return triton.cdiv(self.reduced, self.rows)

    @property
    def programs(self) -> int:
        _, k1, _, k3, _, k5 = self.dims
        return self.chunks * triton.cdiv(k5, self.columns) * k1 * k3

    def arguments(self) -> dict[str, int]:
        _, k1, r2, k3, r4, k5 = self.dims
        return {"reduced": self.reduced, "k1": k1, "r2": r2, "k3": k3, "r4": r4, "k5": k5}

    def constants(self) -> dict[str, int | bool]:
        return {
            "ROWS": self.rows,
            "COLUMNS": self.columns,
            "EXACT": self.columns == self.dims[5],
            "FLAT": self.dims[:4] == (1, 1, 1, 1),
            "WIDE": math.prod(self.dims) >= _WIDE,
        }


def _alternate(shape: torch.Size, table_shape: torch.Size) -> tuple[int, ...] | None:
    """Sizes (r0, k1, r2, k3, r4, k5) that merge neighbouring dimensions; None if more alternate."""
    padded = (1,) * (len(shape) - len(table_shape)) + tuple(table_shape)
    dims = [1]  # from the right: k5, r4, ...
    for size, kept in zip(reversed(shape), reversed(padded), strict=True):
        if size == 1:
            continue
        if (kept != 1) != (len(dims) % 2 == 1):
            dims.append(1)
        dims[-1] *= size
    if len(dims) > 6:
        return None
    return tuple(reversed(dims + [1] * (6 - len(dims))))


def _plan(shape: torch.Size, q: Tensor, alpha: Tensor) -> _Plan:
    table_shape = torch.broadcast_shapes(q.shape, alpha.shape)
    dims = _alternate(shape, table_shape)
    reduced = 0 if dims is None else dims[0] * dims[2] * dims[4]
    if dims is None or (dims[1] * dims[3] > 1 and reduced * dims[5] < TILE // 2):
        # Too many groups, or tiles that would lie idle: one table entry per element.
        table_shape, dims = shape, (1, 1, 1, 1, 1, math.prod(shape))
    columns = min(TILE, triton.next_power_of_2(dims[5]))
    r0, k1, r2, k3, r4, k5 = dims
    return _Plan(table_shape, (r0, k1, r2, k3, r4, k5), TILE // columns, columns)


def _dense(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    return tensor.expand(shape).contiguous()


def soft_quantize(z: Tensor, q: Tensor, alpha: Tensor, max_level: int, window: int) -> Tensor:
    """Q_d in one kernel.

    Parameters
    ----------
    z : Tensor
        float32, float16 or bfloat16, any shape.
    q, alpha : Tensor
        Positive; any of those dtypes; broadcast with z.
    max_level : int
        L.
    window : int
        Levels of the masked CPMF; 0 for the full space.

    Returns
    -------
    Tensor
        float32, of the broadcast shape. All arithmetic is float32.
    """
    shape = torch.broadcast_shapes(z.shape, q.shape, alpha.shape)
    out = torch.empty(shape, dtype=torch.float32, device=z.device)
    if not out.numel():
        return out
    plan = _plan(shape, q, alpha)
    with torch.cuda.device_of(z):
        _forward_kernel[(plan.programs,)](
            _dense(z, shape),
            _dense(q, plan.table_shape),
            _dense(alpha, plan.table_shape),
            out,
            **plan.arguments(),
            max_level=float(max_level),
            WINDOW=window,
            **plan.constants(),
            num_warps=NUM_WARPS,
        )
    return out


def soft_quantize_backward(
    grad: Tensor,
    z: Tensor,
    q: Tensor,
    alpha: Tensor,
    max_level: int,
    window: int,
    needs: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of z, q and alpha in one kernel and one small sum.

    Parameters
    ----------
    grad : Tensor
        Gradient of the value, of the broadcast shape.
    z, q, alpha, max_level, window
        As in :func:`soft_quantize`.
    needs : sequence of bool
        Which of the three gradients to return; the others come back empty.

    Returns
    -------
    tuple of Tensor
        In the shapes and dtypes of z, q and alpha; bit-equal from run to run.

    References
    ----------
    JPEG Inspired Deep Learning, appendix A.1, eq. (10a), (10b) and (13).
    """
    shape = torch.broadcast_shapes(z.shape, q.shape, alpha.shape)
    if not math.prod(shape):
        return _empty_gradients((z, q, alpha), needs)
    plan = _plan(shape, q, alpha)
    direct = z.dtype if z.shape == shape else torch.float32
    dz = torch.empty(shape, dtype=direct, device=z.device)
    tables = needs[1] or needs[2]
    rows = (2, plan.chunks, math.prod(plan.table_shape)) if tables else (2, 1, 1)
    sums = torch.empty(rows, dtype=torch.float32, device=z.device)
    with torch.cuda.device_of(z):
        _backward_kernel[(plan.programs,)](
            _dense(grad, shape),
            _dense(z, shape),
            _dense(q, plan.table_shape),
            _dense(alpha, plan.table_shape),
            dz,
            sums[0],
            sums[1],
            **plan.arguments(),
            max_level=float(max_level),
            TABLES=tables,
            WINDOW=window,
            **plan.constants(),
            num_warps=NUM_WARPS,
        )
    dz = dz if z.shape == shape else _reduce(dz, z)
    if not tables:
        return dz, q.new_empty(0), alpha.new_empty(0)
    # With one row per entry (elementwise tables) there is nothing to add up.
    totals = sums[:, 0] if plan.chunks == 1 else sums.sum(1, dtype=torch.float64)
    dq, dalpha = (
        _reduce(total.view(plan.table_shape), like)
        for total, like in zip(totals, (q, alpha), strict=True)
    )
    return (
        dz if needs[0] else z.new_empty(0),
        dq if needs[1] else q.new_empty(0),
        dalpha if needs[2] else alpha.new_empty(0),
    )


def _reduce(gradient: Tensor, like: Tensor) -> Tensor:
    """Sum over the broadcast dimensions; a fresh tensor of the shape and dtype of `like`."""
    return gradient.sum_to_size(like.shape).to(like.dtype).clone()


def _empty_gradients(
    tensors: Sequence[Tensor], needs: Sequence[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    dz, dq, dalpha = (
        torch.zeros_like(t) if needed else t.new_empty(0)
        for t, needed in zip(tensors, needs, strict=True)
    )
    return dz, dq, dalpha


__all__ = ["soft_quantize", "soft_quantize_backward"]
