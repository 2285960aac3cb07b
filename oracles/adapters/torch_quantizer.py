"""A differentiable torch soft quantizer as a function under test; partials by autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from oracles.adapters.torch_tools import (
    check_torch_arguments,
    compiled,
    fresh_memory_is_nan,
    to_numpy,
    to_tensor,
)

if TYPE_CHECKING:
    from oracles.subject import QuantizerFunction

__all__ = ["torch_soft_quantizer"]


def torch_soft_quantizer(
    function: Callable[..., Any],
    *,
    window: int | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    compile: bool | str = False,  # noqa: A002
) -> QuantizerFunction:
    """Adapt a differentiable torch soft quantizer; its partials come from autograd.

    Each output element depends on its own inputs only, so the gradients of the sum of all
    outputs are the elementwise partials. For inputs of different shapes the value comes from a
    call on them as they are, the partials from one on inputs that were expanded before.

    Parameters
    ----------
    function : callable
        ``function(z, q, alpha, *, max_level, window) -> Tensor``, as
        ``torch_impl.soft_quantize``. Tensors have the strides of the arrays.
    window : int, optional
        Handed to ``function``; None for the full space.
    dtype : {"float32", "float64", "float16", "bfloat16"}
        Dtype of the tensors that ``function`` gets.
    device : str
        Device of the tensors.
    compile : bool or str
        Judge ``torch.compile(function)`` instead, with the default backend (True) or the one
        that is named. A function that has to be compiled too often fails.

    Returns
    -------
    callable
        ``fn(z, q, alpha, max_level) -> (value, dz, dq, dalpha)`` for
        :func:`oracles.verify_soft_quantizer`. An input that the output does not depend on has
        partial 0.

    Raises
    ------
    TypeError
        If ``function`` is not callable, or ``compile`` neither a bool nor a string.
    ValueError
        If ``dtype`` is none of those named.

    Examples
    --------
    >>> from oracles import torch_soft_quantizer, verify_soft_quantizer
    >>> from torch_impl import soft_quantize
    >>> verify_soft_quantizer(torch_soft_quantizer(soft_quantize, window=5), window=5).passed
    True
    """
    signature = "function(z, q, alpha, *, max_level, window)"
    check_torch_arguments(function, signature, dtype, compile)
    called = compiled(function, compile)

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        import torch

        arrays: tuple[Any, ...] = (z, q, alpha)
        with fresh_memory_is_nan():
            value = None
            if len({array.shape for array in arrays}) > 1:
                tensors = [to_tensor(array, dtype=dtype, device=device) for array in arrays]
                with torch.no_grad():
                    value = called(*tensors, max_level=max_level, window=window)
                arrays = tuple(np.ascontiguousarray(a) for a in np.broadcast_arrays(*arrays))
            leaves = [
                to_tensor(array, dtype=dtype, device=device).requires_grad_() for array in arrays
            ]
            result = called(*leaves, max_level=max_level, window=window)
            gradients = torch.autograd.grad(
                result.sum(), leaves, allow_unused=True, materialize_grads=True
            )
            value = result if value is None else value
            return tuple(to_numpy(tensor) for tensor in (value, *gradients))

    return fn
