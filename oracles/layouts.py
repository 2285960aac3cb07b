"""Evidence about arrays, not about numbers: strides, broadcasting, lengths, unwritten memory.

An elementwise function gives an element the same result wherever it stands, however long the
batch is and however the arrays lie in memory. So every check here compares with one plain call:
contiguous, one-dimensional, of equal lengths. Whether that call is right is judged elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from oracles.contract import ContractError
from oracles.findings import Findings

__all__ = [
    "LONG",
    "Batch",
    "Grid",
    "check_broadcast",
    "check_layouts",
    "make_grid",
    "same_bits",
]

Array = NDArray[np.float64]
Raw = NDArray[Any]

#: Elements of a long batch, by budget: beyond the blocks of threads and vector loops, and odd.
LONG = {"quick": 4099, "full": 100_003}
# A batch of so many levels is not made longer than the quick one: memory.
_FEW_LEVELS = 15
# Lengths of the calls on poisoned memory, besides the long batch: one element, and the first
# prime whose float32 outputs no allocator keeps apart (1 KiB).
_SHORT_LENGTHS = (1, 263)
_POISONS = (float("nan"), 1e30)
# Rows and columns of two-dimensional inputs. Even, unlike any number of levels: a function that
# is made for one dimension then fails on them, and cannot take an axis for that of the levels.
_ROWS, _COLUMNS = 4, 10


@dataclass(frozen=True)
class Batch:
    """A function under test on a batch whose results from a plain call are known.

    Parameters
    ----------
    inputs : tuple of ndarray of float64, shape (n,)
        z, q, alpha, exact in ``dtype``.
    expected : ndarray, shape (m, n)
        Results of the plain call; m numbers per element.
    dtype : numpy.dtype
        Dtype of the arrays that are handed over.
    call : callable
        ``call(arguments, shape, poison) -> ndarray (m, *shape)``; raises ContractError.
    compare : callable
        ``compare(evidence, regime, index, got, expected, exact)`` judges results of the elements
        ``index`` of the batch: within twice the tolerance, or bit by bit.
    """

    inputs: tuple[Array, Array, Array]
    expected: Array
    dtype: np.dtype[Any]
    call: Callable[[tuple[Raw, ...], tuple[int, ...], float], Array]
    compare: Callable[[str, str, NDArray[np.intp], Array, Array, bool], None]


class _Layout(NamedTuple):
    """Inputs that broadcast, and which elements of the grid they stand for."""

    name: str
    z: Array
    q: Array
    alpha: Array


@dataclass(frozen=True)
class Grid:
    """Inputs of different shapes, and the same written out for the plain call.

    Parameters
    ----------
    inputs : tuple of ndarray, shape (n,)
        z, q, alpha of all layouts, one after the other.
    layouts : tuple
        Name and arrays of each.
    """

    inputs: tuple[Array, Array, Array]
    layouts: tuple[_Layout, ...]


def make_grid(max_level: int, dtype: np.dtype[Any], rng: np.random.Generator) -> Grid:
    """Draw inputs for :func:`check_broadcast`: moderate ones, so that all combinations are.

    Parameters
    ----------
    max_level : int
        L; some coefficients lie beyond it.
    dtype : numpy.dtype
        The inputs are rounded to it.
    rng : numpy.random.Generator
        Source of the draw.

    Returns
    -------
    Grid
        Six layouts of 40 elements each.
    """
    shape = (_ROWS, _COLUMNS)

    def exact(array: Array) -> Array:
        return array.astype(dtype).astype(np.float64)

    q = exact(np.exp(rng.uniform(0.0, np.log(4.0), shape)))
    alpha = exact(np.exp(rng.uniform(np.log(0.02), np.log(5.0), shape)))
    z = exact(rng.uniform(-3.0, 3.0, shape) * (max_level + 1) / 2)
    row, column = np.s_[0], np.s_[:, :1]
    layouts = (
        _Layout("one q and alpha", z.ravel(), q[0, 0], alpha[0, 0]),
        _Layout("one z", z[0, 0], q.ravel(), alpha.ravel()),
        _Layout("two dimensions", z, q, alpha),
        _Layout("scalar alpha", z, q[row], alpha[0, 0]),
        _Layout("alpha per row", z, q[row], alpha[column]),
        _Layout("z per column", z[row], q[column], alpha),
    )
    columns = zip(*(np.broadcast_arrays(*layout[1:]) for layout in layouts), strict=True)
    z_, q_, alpha_ = (np.concatenate([part.ravel() for part in column]) for column in columns)
    return Grid((z_, q_, alpha_), layouts)


def check_layouts(
    batch: Batch, out: Findings, rng: np.random.Generator, *, budget: str, levels: int
) -> None:
    """Add the evidence ``strided``, ``empty``, ``unwritten`` and ``neighbours`` (long batch).

    Parameters
    ----------
    batch : Batch
        The function under test.
    out : Findings
        Gets what calls did wrong; the comparisons go where ``batch.compare`` puts them.
    rng : numpy.random.Generator
        Picks the elements of the calls.
    budget : {"quick", "full"}
        Length of the long batch.
    levels : int
        Levels of the support: many of them keep the long batch shorter.
    """
    everything = np.arange(batch.inputs[0].size)
    for regime, steps in (("every second", (2, 2, 2)), ("mixed", (3, 1, 2))):
        arguments = tuple(
            _spread(array, step, batch.dtype)
            for array, step in zip(batch.inputs, steps, strict=True)
        )
        _judge(batch, out, "strided", regime, arguments, everything)

    empty = tuple(np.empty(0, batch.dtype) for _ in batch.inputs)
    _called(batch, out, "empty", "no elements", empty, (0,))

    length = LONG[budget if levels <= _FEW_LEVELS else "quick"]
    for size in (*_SHORT_LENGTHS, length):
        index = rng.integers(0, everything.size, size)
        arguments = tuple(array[index].astype(batch.dtype) for array in batch.inputs)
        regime = f"{size} elements"
        first, second = (
            _called(batch, out, "unwritten", regime, arguments, (size,), poison)
            for poison in _POISONS
        )
        if first is None or second is None:
            continue
        batch.compare("unwritten", regime, index, second, first, True)
        if size == length:
            batch.compare("neighbours", "long batch", index, first, batch.expected[:, index], False)


def check_broadcast(
    batch: Batch, grid: Grid, out: Findings, *, offset: int, broadcast: bool | None
) -> None:
    """Add the evidence ``broadcast``.

    Equal shapes with stride 0 are part of every contract. Two dimensions and different shapes
    are judged if they are asked for, or if the function gives finite results of the broadcast
    shape: one that is made for one dimension fails, gives another shape, or reads past the end
    of the smaller input, where NaN stands.

    Parameters
    ----------
    batch : Batch
        The function under test; its elements from ``offset`` on are those of ``grid``.
    grid : Grid
        The inputs.
    out : Findings
        Gets what calls did wrong, and a note where something was not judged.
    offset : int
        Position of the grid's first element in the batch.
    broadcast : bool or None
        Required, not tried (False), or judged where it is offered (None).
    """
    refused = []
    for number, layout in enumerate(grid.layouts):
        shape = np.broadcast_shapes(*(array.shape for array in layout[1:]))
        size = _ROWS * _COLUMNS
        index = offset + number * size + np.arange(size)
        if len(shape) == 1:
            arguments = tuple(_stride_zero(array, shape, batch.dtype) for array in layout[1:])
            _judge(batch, out, "broadcast", layout.name, arguments, index)
            continue
        if broadcast is False:
            continue
        arguments = tuple(_small(array, size, batch.dtype) for array in layout[1:])
        if broadcast:
            _judge(batch, out, "broadcast", layout.name, arguments, index, shape)
            continue
        try:
            got = batch.call(arguments, shape, _POISONS[0]).reshape(-1, size)
        except ContractError:
            refused.append(layout.name)
            continue
        if not np.isfinite(got).all():
            refused.append(layout.name)
            continue
        batch.compare("broadcast", layout.name, index, got, batch.expected[:, index], False)
    if refused:
        out.note(f"does not broadcast (not judged): {', '.join(refused)}")


def same_bits(got: Array, expected: Array) -> tuple[Array, Array, Array]:
    """Results, what they should be and a tolerance that only equal bits keep to; NaN equals NaN."""
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    smallest = np.full(got.shape, np.finfo(np.float64).tiny)
    return np.where(same, 0.0, got), np.where(same, 0.0, expected), smallest


def _judge(
    batch: Batch,
    out: Findings,
    evidence: str,
    regime: str,
    arguments: tuple[Raw, ...],
    index: NDArray[np.intp],
    shape: tuple[int, ...] | None = None,
) -> None:
    got = _called(batch, out, evidence, regime, arguments, shape or index.shape)
    if got is not None:
        flat = got.reshape(-1, index.size)
        batch.compare(evidence, regime, index, flat, batch.expected[:, index], False)


def _called(
    batch: Batch,
    out: Findings,
    evidence: str,
    regime: str,
    arguments: tuple[Raw, ...],
    shape: tuple[int, ...],
    poison: float = _POISONS[0],
) -> Array | None:
    """Results, or None where the call broke the contract, which is then recorded."""
    try:
        got = batch.call(arguments, shape, poison)
    except ContractError as error:
        out.broke(str(error), evidence=evidence, regime=regime)
        return None
    out.called(evidence=evidence, regime=regime)
    return got


def _spread(array: Array, step: int, dtype: np.dtype[Any]) -> Raw:
    """The array as every ``step``-th element of a buffer of NaN, not from its start."""
    if step == 1:
        return array.astype(dtype)
    buffer = np.full(step * array.size + 1, np.nan, dtype)
    view = buffer[1::step][: array.size]
    view[:] = array
    return view


def _stride_zero(array: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Raw:
    """One number for all elements, as a view; behind it NaN as far as a plain loop would read."""
    if array.ndim:
        return array.astype(dtype)
    buffer = np.full(shape[0], np.nan, dtype)
    buffer[0] = array
    return as_strided(buffer, shape, (0,))


def _small(array: Array, size: int, dtype: np.dtype[Any]) -> Raw:
    """A contiguous copy; behind it NaN as far as a loop over all elements would read."""
    buffer = np.full(size, np.nan, dtype)
    buffer[: array.size] = array.ravel()
    return buffer[: array.size].reshape(array.shape)
