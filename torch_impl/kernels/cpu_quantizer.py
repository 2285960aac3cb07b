"""The soft quantizer on CPU tensors in float32: broadcasting, tasks and reductions.

Every call is cut into tasks whose bounds depend on the shapes alone, each task adds up its own
share of the gradients of q and alpha, and the shares are summed in their order in float64: the
results are the same to the last bit for any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torch_impl.kernels.cpu_math import SCRATCH
from torch_impl.kernels.cpu_rows import backward_rows, forward_rows
from torch_impl.kernels.threads import run_tasks

_Array = NDArray[np.float32]

# Elements per row where q and alpha are numbers or of the shape of z.
_FLAT = 1 << 12
# Elements per task: long beside the cost of handing it out, short beside an image.
_TASK = 1 << 15
# Rows along which q and alpha stand still are worth having from this length.
_SHORT = 64
# Rows along which they move are made at least this long.
_LONG = 512


@dataclass(frozen=True)
class _Operand:
    """How q or alpha lies beside the rows of z."""

    shape: tuple[int, ...]  # that it is expanded to in memory
    offset: NDArray[np.int64]  # where each row starts
    stride: int
    private: bool  # no two rows share an entry

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class _Layout:
    """`total` elements in rows of `length`, cut into tasks of `task_rows` rows each."""

    total: int
    length: int
    task_rows: int
    q: _Operand
    alpha: _Operand

    @property
    def tasks(self) -> int:
        return -(-self.q.offset.size // self.task_rows)

    def bounds(self, task: int) -> tuple[int, ...]:
        """First row, last row, length and total, as the kernels take them."""
        first = task * self.task_rows
        last = min(first + self.task_rows, self.q.offset.size)
        return first, last, self.length, self.total


@lru_cache(maxsize=64)
def _layout(
    shape: tuple[int, ...], q_shape: tuple[int, ...], alpha_shape: tuple[int, ...]
) -> _Layout:
    """Choose rows so that q and alpha stand still along them, or move with z."""
    total = math.prod(shape)
    if all(math.prod(s) in (1, total) for s in (q_shape, alpha_shape)):
        q, alpha = (_flat_operand(math.prod(s), total) for s in (q_shape, alpha_shape))
        return _Layout(total, _FLAT, _TASK // _FLAT, q, alpha)

    padded = [(1,) * (len(shape) - len(s)) + s for s in (q_shape, alpha_shape)]
    lengths = [math.prod(shape[axis:]) for axis in range(len(shape) + 1)]
    axes = range(len(lengths))
    still = [a for a in axes if lengths[a] >= _SHORT and all(math.prod(s[a:]) == 1 for s in padded)]
    long = [a for a in axes if lengths[a] >= _LONG]
    if still:  # the shortest that is long, else the longest
        split = max((a for a in still if lengths[a] >= _LONG), default=min(still))
    else:
        split = max(long, default=0)
    q, alpha = (_operand(s, shape, split) for s in padded)
    length = lengths[split]
    task_rows = max(1, _TASK // length)
    for operand in (q, alpha):
        if not operand.private:  # the shares of all tasks: at most half the size of z together
            task_rows = max(task_rows, -(-2 * operand.size // length))
    return _Layout(total, length, task_rows, q, alpha)


def _flat_operand(size: int, total: int) -> _Operand:
    rows = -(-total // _FLAT)
    stride = int(size > 1)
    return _Operand((size,), np.arange(rows) * (_FLAT * stride), stride, bool(stride))


def _operand(padded: tuple[int, ...], shape: tuple[int, ...], split: int) -> _Operand:
    outer, inner = padded[:split], padded[split:]
    stride = int(math.prod(inner) > 1)
    if stride:
        inner = shape[split:]
    offset = np.arange(math.prod(outer)).reshape(outer) * math.prod(inner)
    return _Operand(
        shape=outer + inner,
        offset=np.broadcast_to(offset, shape[:split]).flatten(),
        stride=stride,
        private=outer == shape[:split],
    )


def _array(tensor: Tensor, shape: Sequence[int]) -> _Array:
    """Expanded to `shape`, as a contiguous float32 array; shares memory where it can."""
    dense = tensor.detach().to(torch.float32).expand(shape).contiguous().resolve_neg()
    array: _Array = dense.numpy().reshape(-1)
    return array


def _operand_array(tensor: Tensor, operand: _Operand) -> _Array:
    rank = len(operand.shape)
    if rank == 1:
        return _array(tensor.reshape(-1), operand.shape)
    return _array(tensor.reshape((1,) * (rank - tensor.dim()) + tensor.shape), operand.shape)


class _Call:
    """One call: its layout, and the arguments that all kernels take."""

    def __init__(self, z: Tensor, q: Tensor, alpha: Tensor, level: int) -> None:
        shapes = tuple(z.shape), tuple(q.shape), tuple(alpha.shape)
        self.shape = tuple(torch.broadcast_shapes(*shapes))
        self.layout = layout = _layout(self.shape, *shapes[1:])
        self.z = _array(z, self.shape)
        self.q = _operand_array(q, layout.q)
        self.alpha = _operand_array(alpha, layout.alpha)
        self.level = level

    def arguments(self, task: int) -> tuple[Any, ...]:
        """What the kernels need to know about one task."""
        q, alpha = self.layout.q, self.layout.alpha
        return (
            *(self.z, self.q, self.alpha, q.offset, alpha.offset, q.stride, alpha.stride),
            *self.layout.bounds(task),
            self.level,
        )


def scratch() -> tuple[_Array, NDArray[np.int32]]:
    """Scratch memory of a kernel, as float32 and as int32."""
    memory = np.empty(SCRATCH, np.float32)
    return memory, memory.view(np.int32)


def soft_quantize(z: Tensor, q: Tensor, alpha: Tensor, level: int, window: int) -> Tensor:
    """Q_d in float32, of the broadcast shape; `window` 0 is the full space."""
    call = _Call(z, q, alpha, level)
    out = np.empty(call.layout.total, np.float32)

    def task(i: int) -> None:
        arguments = call.arguments(i)
        if forward_rows(*scratch(), *arguments, window, out):
            repair_values(arguments, out)

    run_tasks(task, call.layout.tasks)
    return torch.from_numpy(out).view(call.shape)


def soft_quantize_backward(
    grad: Tensor,
    z: Tensor,
    q: Tensor,
    alpha: Tensor,
    level: int,
    window: int,
    needs: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of z, q and alpha in float32; an empty tensor for one that is not needed."""
    call = _Call(z, q, alpha, level)
    layout = call.layout
    grad_array = _array(grad, call.shape)
    dz = np.empty(layout.total, np.float32)
    shares = [
        np.zeros((1 if operand.private else layout.tasks, operand.size), np.float32)
        for operand in (layout.q, layout.alpha)
    ]

    def task(i: int) -> None:
        arguments = call.arguments(i)
        own = [share[i % len(share)] for share in shares]
        if backward_rows(*scratch(), *arguments, window, grad_array, dz, *own):
            repair_gradients(arguments, grad_array, dz, *own)

    run_tasks(task, layout.tasks)
    dz_tensor = torch.from_numpy(dz).view(call.shape)
    return (
        _sum_to(dz_tensor, z.shape) if needs[0] else torch.empty(0),
        _total(shares[0], layout.q, q) if needs[1] else torch.empty(0),
        _total(shares[1], layout.alpha, alpha) if needs[2] else torch.empty(0),
    )


def repair_values(arguments: tuple[Any, ...], out: _Array) -> None:
    """Fill in the values that ``forward_rows`` left out."""
    from torch_impl.kernels.cpu_ends import repair_rows  # compiled only where it is needed

    unused = np.empty(0, np.float32)
    repair_rows(*arguments, True, out, unused, unused, unused)


def repair_gradients(
    arguments: tuple[Any, ...], grad: _Array, dz: _Array, dq: _Array, dalpha: _Array
) -> None:
    """Fill in the gradients that ``backward_rows`` left out."""
    from torch_impl.kernels.cpu_ends import repair_rows

    repair_rows(*arguments, False, dz, grad, dq, dalpha)


def _total(shares: _Array, operand: _Operand, like: Tensor) -> Tensor:
    """Sum of the shares, of the shape of `like`."""
    if len(shares) == 1 and operand.size == like.numel():
        return torch.from_numpy(shares[0]).view(like.shape)
    whole = torch.from_numpy(shares.sum(axis=0, dtype=np.float64)).view(operand.shape)
    if len(operand.shape) > 1:
        whole = _sum_to(whole, (1,) * (whole.dim() - like.dim()) + tuple(like.shape))
    return whole.to(torch.float32).view(like.shape)


def _sum_to(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Sum over broadcast dimensions, in NumPy: torch divides some sums by its threads."""
    if tensor.shape == torch.Size(shape):
        return tensor
    lead = tensor.dim() - len(shape)
    axes = tuple(range(lead)) + tuple(
        lead + i for i, n in enumerate(shape) if n == 1 != tensor.shape[lead + i]
    )
    summed = tensor.numpy().sum(axis=axes, keepdims=True, dtype=np.float64)
    return torch.from_numpy(summed).to(tensor.dtype).reshape(tuple(shape))
