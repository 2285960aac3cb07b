"""A torch CPMF as a function under test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from oracles.adapters.torch_tools import (
    check_torch_arguments,
    compiled,
    fresh_memory_is_nan,
    to_numpy,
    to_tensor,
)

if TYPE_CHECKING:
    from oracles.cpmf.subject import CpmfFunction

__all__ = ["torch_cpmf"]


def torch_cpmf(
    function: Callable[..., Any],
    *,
    window: int | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    compile: bool | str = False,  # noqa: A002
) -> CpmfFunction:
    """Adapt a torch function that gives levels and probabilities.

    Parameters
    ----------
    function : callable
        ``function(z, q, alpha, *, max_level, window) -> (levels, probabilities)``, two tensors
        of shape (n, K). Inputs have the strides of the arrays.
    window : int, optional
        Handed to ``function``; None for the full space.
    dtype : {"float32", "float64", "float16", "bfloat16"}
        Dtype of the tensors that ``function`` gets.
    device : str
        Device of the tensors.
    compile : bool or str
        Judge ``torch.compile(function)`` instead, with the default backend (True) or the one
        that is named.

    Returns
    -------
    callable
        ``fn(z, q, alpha, max_level) -> (levels, probabilities)`` for
        :func:`oracles.verify_cpmf`.

    Raises
    ------
    TypeError
        If ``function`` is not callable, or ``compile`` neither a bool nor a string.
    ValueError
        If ``dtype`` is none of those named.
    """
    signature = "function(z, q, alpha, *, max_level, window)"
    check_torch_arguments(function, signature, dtype, compile)
    called = compiled(function, compile)

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        import torch

        with fresh_memory_is_nan(), torch.no_grad():
            tensors = [to_tensor(array, dtype=dtype, device=device) for array in (z, q, alpha)]
            result = called(*tensors, max_level=max_level, window=window)
            if isinstance(result, tuple | list):
                return tuple(to_numpy(tensor) for tensor in result)
            return result

    return fn
