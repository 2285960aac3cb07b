"""The contract of a soft quantizer under test, and the only place where one is called."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["OUTPUTS", "ContractError", "Inputs", "QuantizerFunction", "call_quantizer"]

Array = NDArray[np.float64]

#: ``fn(z, q, alpha, max_level) -> (value, dz, dq, dalpha)``: three one-dimensional arrays of equal
#: length and of the dtype under test in, four arrays of that shape out, elementwise.
QuantizerFunction = Callable[[Any, Any, Any, int], Any]

#: Names of the outputs, in their order.
OUTPUTS = ("value", "dz", "dq", "dalpha")


class ContractError(Exception):
    """The function under test broke its contract: it raised, or gave no four fitting arrays."""


class Inputs(NamedTuple):
    """Elementwise inputs, in float64 but representable in the dtype under test.

    Parameters
    ----------
    z, q, alpha : ndarray, shape (n,)
        Coefficients, quantization steps (> 0), inverse temperatures (> 0).
    """

    z: Array
    q: Array
    alpha: Array

    def take(self, index: Any) -> Inputs:
        """Return the selected elements."""
        return Inputs(self.z[index], self.q[index], self.alpha[index])


def call_quantizer(
    fn: QuantizerFunction, inputs: Inputs, *, max_level: int, dtype: np.dtype[Any]
) -> Array:
    """Call the function under test once and check what came back.

    Parameters
    ----------
    fn : callable
        The function under test.
    inputs : Inputs
        Representable in ``dtype``; the function gets private copies of that dtype.
    max_level : int
        L.
    dtype : numpy.dtype
        float32 or float64.

    Returns
    -------
    ndarray, shape (4, n), float64
        Value and partials, copied: the function may reuse its buffers.

    Raises
    ------
    ContractError
        It raised, changed its inputs, or gave not four floating arrays of the right shape.
    """
    arguments: list[NDArray[Any]] = [np.array(array, dtype=dtype) for array in inputs]
    before = [array.tobytes() for array in arguments]
    _poison_free_memory(arguments[0].nbytes)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # An overflow that the function handles is its own business.
        warnings.simplefilter("ignore")
        try:
            result = fn(arguments[0], arguments[1], arguments[2], max_level)
        except Exception as error:
            raise ContractError(f"the function raised {type(error).__name__}: {error}") from error
    if [array.tobytes() for array in arguments] != before:
        raise ContractError("the function changed its input arrays; work on copies")
    if not isinstance(result, tuple | list):
        raise ContractError(
            f"the function returned {type(result).__name__}; "
            "return a tuple (value, dz, dq, dalpha) of NumPy arrays"
        )
    if len(result) != len(OUTPUTS):
        raise ContractError(
            f"the function returned {len(result)} outputs; return 4: value, dz, dq, dalpha"
        )
    for name, output in zip(OUTPUTS, result, strict=True):
        _check_output(name, output, shape=arguments[0].shape, dtype=dtype)
    return np.array([np.array(output, dtype=np.float64) for output in result])


def _check_output(name: str, output: Any, *, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if not isinstance(output, np.ndarray):
        raise ContractError(f"{name} is {type(output).__name__}; return a NumPy array")
    if output.shape != shape:
        raise ContractError(f"{name} has shape {output.shape}; the inputs have {shape}")
    if not np.issubdtype(output.dtype, np.floating) or output.dtype.itemsize < dtype.itemsize:
        raise ContractError(f"{name} has dtype {output.dtype}; return {dtype}")


def _poison_free_memory(nbytes: int) -> None:
    """Fill freed blocks of the outputs' size with NaN, so that an unwritten element shows."""
    blocks = [np.full(nbytes // 4 + 1, np.nan, dtype=np.float32) for _ in range(4)]
    blocks += [np.full(max(nbytes // 4, 1), np.nan, dtype=np.float32) for _ in range(12)]
    del blocks
