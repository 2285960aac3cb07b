"""Calls of a function under test, and what a call has to keep to."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.poison import poisoned_memory

__all__ = ["ContractError", "call_checked"]


class ContractError(Exception):
    """The function under test broke its contract: it raised, or gave no fitting arrays."""


def call_checked(
    fn: Callable[..., Any],
    arguments: tuple[NDArray[Any], ...],
    max_level: int,
    outputs: Mapping[str, tuple[int, ...]],
    *,
    dtype: np.dtype[Any],
    exact: tuple[str, ...] = (),
    poison: float = np.nan,
) -> list[NDArray[np.float64]]:
    """Call the function under test once, ``fn(*arguments, max_level)``, and check what came back.

    Parameters
    ----------
    fn : callable
        The function under test.
    arguments : tuple of ndarray
        Handed over as they are, strides included; the function must not write into them.
    max_level : int
        L, the last argument.
    outputs : mapping of str to tuple of int
        Name and shape of each output, in order.
    dtype : numpy.dtype
        float32 or float64: outputs may be wider, not narrower.
    exact : tuple of str
        Outputs that may be integers (of any width) as well.
    poison : float
        What free memory is filled with before the call, so that an unwritten element shows
        (:mod:`oracles.poison`).

    Returns
    -------
    list of ndarray of float64
        Copies: the function may reuse its buffers.

    Raises
    ------
    ContractError
        It raised, changed its arguments, or gave not that many arrays of those shapes and dtype.
    """
    before = [array.tobytes() for array in arguments]
    sizes = [math.prod(shape) * dtype.itemsize for shape in outputs.values()]
    with warnings.catch_warnings(), np.errstate(all="ignore"), poisoned_memory(sizes, poison):
        # An overflow that the function handles is its own business.
        warnings.simplefilter("ignore")
        try:
            result = fn(*arguments, max_level)
        except ContractError:
            raise
        except (Exception, SystemExit) as error:
            raise ContractError(f"the function raised {type(error).__name__}: {error}") from error
    if [array.tobytes() for array in arguments] != before:
        raise ContractError("the function changed its input arrays; work on copies")
    names = ", ".join(outputs)
    if not isinstance(result, tuple | list):
        raise ContractError(
            f"the function returned {type(result).__name__}; "
            f"return a tuple ({names}) of NumPy arrays"
        )
    if len(result) != len(outputs):
        raise ContractError(
            f"the function returned {len(result)} outputs; return {len(outputs)}: {names}"
        )
    for (name, shape), output in zip(outputs.items(), result, strict=True):
        _check_output(name, output, shape=shape, dtype=dtype, integers=name in exact)
    return [np.array(output, dtype=np.float64) for output in result]


def _check_output(
    name: str, output: Any, *, shape: tuple[int, ...], dtype: np.dtype[Any], integers: bool
) -> None:
    if not isinstance(output, np.ndarray):
        raise ContractError(f"{name} is {type(output).__name__}; return a NumPy array")
    if output.shape != shape:
        raise ContractError(f"{name} has shape {output.shape}; it should have {shape}")
    if integers and np.issubdtype(output.dtype, np.integer):
        return
    if not np.issubdtype(output.dtype, np.floating) or output.dtype.itemsize < dtype.itemsize:
        raise ContractError(f"{name} has dtype {output.dtype}; return {dtype}")
