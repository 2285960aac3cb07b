"""Faults that show only in how arrays are laid out, how long they are, or what memory held.

The numbers are right for a contiguous, one-dimensional batch of some dozens; so most of these
pass a test with one array in it. Those of broadcasting are faults only where it is offered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oracles.mutants.sound import rounded_reference
from oracles.mutants.table import BOTH, Mutant
from oracles.subject import QuantizerFunction

__all__ = ["CALL_MUTANTS", "SOUND_IN_ONE_DIMENSION"]

Factory = Callable[[int | None], QuantizerFunction]
# What a fault does with a correct function and its arguments.
Fault = Callable[[QuantizerFunction, Any, Any, Any, int], Any]


def planted(fault: Fault) -> Factory:
    """Plant a fault around a correct implementation."""

    def factory(window: int | None) -> QuantizerFunction:
        base = rounded_reference(window)
        return lambda z, q, alpha, level: fault(base, z, q, alpha, level)

    return factory


def _memory(array: Any, step: int) -> Any:
    """What a loop with that step reads, from the first element on; never outside the buffer."""
    whole = array if array.base is None else array.base
    if array.base is not None and whole.ndim != 1:
        return array
    start = (array.ctypes.data - whole.ctypes.data) // array.itemsize
    index = (start + step * np.arange(array.size)) % whole.size
    return whole.ravel()[index].reshape(array.shape)


def _ignores_strides(base: Any, z: Any, q: Any, alpha: Any, level: int) -> Any:
    return base(*(_memory(array, 1) for array in (z, q, alpha)), level)


def _one_stride(base: Any, z: Any, q: Any, alpha: Any, level: int) -> Any:
    step = z.strides[-1] // z.itemsize if z.ndim else 1
    return base(z, _memory(q, step), _memory(alpha, step), level)


def _ignores_offset(base: Any, z: Any, q: Any, alpha: Any, level: int) -> Any:
    # From the start of the storage instead of the first element of the view.
    if z.base is None or z.base.ndim != 1 or z.ndim != 1:
        return base(z, q, alpha, level)
    step = z.strides[0] // z.itemsize
    return base(z.base[:: max(step, 1)][: z.size], q, alpha, level)


def _raises_on_empty(base: Any, z: Any, q: Any, alpha: Any, level: int) -> Any:
    float(np.max(alpha))
    return base(z, q, alpha, level)


def _one_of_none(base: Any, z: Any, q: Any, alpha: Any, level: int) -> Any:
    out = base(z, q, alpha, level)
    return out if out[0].size else tuple(np.zeros(1, part.dtype) for part in out)


def _alpha_of_column(base: Any, z: Any, q: Any, alpha: Any, level: int) -> Any:
    # Indexed by the position within a row, not by the row.
    if alpha.ndim == 2 and alpha.shape[1] == 1 and z.ndim == 2:
        alpha = np.resize(alpha, z.shape[1])
    return base(z, q, alpha, level)


def _flat_index(base: Any, z: Any, q: Any, alpha: Any, level: int) -> Any:
    # q[i % q.size] over the flattened outputs: right for q per column, not per row.
    shape = np.broadcast_shapes(z.shape, q.shape, alpha.shape)
    return base(z, np.resize(q, shape), alpha, level)


def _reduced(base: Any, z: Any, q: Any, alpha: Any, level: int) -> Any:
    value, dz, dq, dalpha = base(z, q, alpha, level)
    if q.ndim < value.ndim:
        # Summed to the shape of q, as a gradient is, and spread over the outputs again.
        dq = np.broadcast_to(dq.sum(0), value.shape).copy()
    return value, dz, dq, dalpha


def _first_alpha_of_scalar(base: Any, z: Any, q: Any, alpha: Any, level: int) -> Any:
    out = base(z, q, alpha, level)
    # A scalar is taken for "not given", and the default for it.
    return base(z, q, np.full_like(alpha, 5.0), level) if alpha.ndim == 0 else out


def _unwritten(chosen: Callable[[int], slice], output: int) -> Fault:
    def fault(base: Any, z: Any, q: Any, alpha: Any, level: int) -> Any:
        out = [np.asarray(part) for part in base(z, q, alpha, level)]
        fresh = np.empty_like(out[output])
        left = np.zeros(fresh.size, dtype=np.bool_)
        left[chosen(fresh.size)] = True
        np.copyto(fresh, out[output], where=~left.reshape(fresh.shape))
        out[output] = fresh
        return tuple(out)

    return fault


def _odd_last(size: int) -> slice:
    return slice(size - size % 2, size)


def _beyond_block(size: int) -> slice:
    return slice(1024, size)


def _only(size: int) -> slice:
    return slice(0, 1 if size == 1 else 0)


def _one_buffer(base: Any, z: Any, q: Any, alpha: Any, level: int) -> Any:
    value, dz, dq, dalpha = base(z, q, alpha, level)
    value[...] = dz
    return value, value, dq, dalpha


def _half_when_long(base: Any, z: Any, q: Any, alpha: Any, level: int) -> Any:
    out = base(z, q, alpha, level)
    if z.size <= 1000:
        return out
    return tuple(part.astype(np.float16).astype(part.dtype) for part in out)


def _chunk_edge(base: Any, z: Any, q: Any, alpha: Any, level: int) -> Any:
    if z.ndim == 1 and z.size > 1024:
        q = q.copy()
        q[1024::1024] = q[1023:-1:1024]
    return base(z, q, alpha, level)


def _second_chunk(base: Any, z: Any, q: Any, alpha: Any, level: int) -> Any:
    # The second chunk starts with the alpha of the first.
    if z.ndim == 1 and z.size > 2048:
        alpha = np.concatenate([alpha[:2048], alpha[: z.size - 2048]])[: z.size]
        alpha = np.resize(alpha, z.size)
    return base(z, q, alpha, level)


def _tail_of_four(base: Any, z: Any, q: Any, alpha: Any, level: int) -> Any:
    body = z.size // 4 * 4
    if z.ndim == 1 and 4 <= body < z.size:
        q = q.copy()
        q[body:] = q[body - 1]
    return base(z, q, alpha, level)


def keeps_long_buffer(window: int | None) -> QuantizerFunction:
    """A buffer that grows, but whose new part is filled from the second call on."""
    base = rounded_reference(window)
    seen = [1]

    def fn(z: Any, q: Any, alpha: Any, level: int) -> Any:
        out = base(z, q, alpha, level)
        if z.ndim == 1 and z.size > max(seen[0], 1024):
            out[1][seen[0] :] = 0
            seen[0] = z.size
        return out

    return fn


def rows_only(window: int | None) -> QuantizerFunction:
    """Sound in one dimension, as len() and a raw pointer are: writes len(z) elements."""
    base = rounded_reference(window)

    def fn(z: Any, q: Any, alpha: Any, level: int) -> Any:
        count = len(z)
        a, b, c = (np.ascontiguousarray(array).ravel()[:count] for array in (z, q, alpha))
        out = tuple(np.empty_like(z) for _ in range(4))
        for part, row in zip(out, base(a, b, c, level), strict=True):
            part.reshape(-1)[:count] = row
        return out

    return fn


#: Not faults of the contract: right for one dimension, and without claim to more.
SOUND_IN_ONE_DIMENSION: dict[str, Factory] = {"writes len(z) elements": rows_only}

CALL_MUTANTS: dict[str, Mutant] = {
    "ignores strides": Mutant(planted(_ignores_strides), BOTH, 2),
    "stride of z for all": Mutant(planted(_one_stride), BOTH, 2),
    "ignores where a view starts": Mutant(planted(_ignores_offset), BOTH, 2),
    "fails on empty arrays": Mutant(planted(_raises_on_empty), BOTH, 1),
    "one element out of none": Mutant(planted(_one_of_none), BOTH, 1),
    "alpha broadcast along the wrong axis": Mutant(planted(_alpha_of_column), BOTH, 1),
    "q by flat index": Mutant(planted(_flat_index), BOTH, 1),
    "dq reduced to the shape of q": Mutant(planted(_reduced), BOTH, 1),
    "scalar alpha not taken": Mutant(planted(_first_alpha_of_scalar), BOTH, 1),
    "unwritten beyond 1024 elements": Mutant(planted(_unwritten(_beyond_block, 2)), BOTH, 3),
    "unwritten odd last element": Mutant(planted(_unwritten(_odd_last, 0)), BOTH, 2),
    "unwritten single element": Mutant(planted(_unwritten(_only, 1)), BOTH, 2),
    "one buffer for value and dz": Mutant(planted(_one_buffer), BOTH, 2),
    "float16 beyond 1000 elements": Mutant(planted(_half_when_long), BOTH, 2),
    "chunk starts with the neighbour's q": Mutant(planted(_chunk_edge), BOTH, 2),
    "second chunk with the first alpha": Mutant(planted(_second_chunk), BOTH, 2),
    "tail takes q of the last vector": Mutant(planted(_tail_of_four), BOTH, 2),
    "grown buffer filled late": Mutant(keeps_long_buffer, BOTH, 2),
}
