"""A differentiable torch soft quantizer as a function under test; partials by autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oracles.subject import QuantizerFunction

__all__ = ["torch_soft_quantizer"]


def torch_soft_quantizer(
    function: Callable[..., Any],
    *,
    window: int | None = None,
    dtype: str = "float32",
    device: str = "cpu",
) -> QuantizerFunction:
    """Adapt a differentiable torch soft quantizer; its partials come from autograd.

    Each output element depends on its own inputs only, so the gradients of the sum of all
    outputs are the elementwise partials.

    Parameters
    ----------
    function : callable
        ``function(z, q, alpha, *, max_level, window) -> Tensor``, as
        ``torch_impl.soft_quantize``.
    window : int, optional
        Handed to ``function``; None for the full space.
    dtype : {"float32", "float64", "float16", "bfloat16"}
        Dtype of the tensors that ``function`` gets.
    device : str
        Device of the tensors.

    Returns
    -------
    callable
        ``fn(z, q, alpha, max_level) -> (value, dz, dq, dalpha)`` for
        :func:`oracles.verify_soft_quantizer`. An input that the output does not depend on has
        partial 0.

    Raises
    ------
    TypeError
        If ``function`` is not callable.
    ValueError
        If ``dtype`` is none of those named.
    """
    if not callable(function):
        raise TypeError(
            f"function must be callable as function(z, q, alpha, *, max_level, window), "
            f"got {type(function).__name__}"
        )
    if dtype not in ("float32", "float64", "float16", "bfloat16"):
        raise ValueError(
            f"dtype must be 'float32', 'float64', 'float16' or 'bfloat16', got {dtype!r}"
        )

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        # The only torch in this package, and only when it is asked for.
        import torch

        leaves = [
            torch.from_numpy(array)
            .to(device=device, dtype=getattr(torch, dtype), copy=True)
            .requires_grad_()
            for array in (z, q, alpha)
        ]
        value = function(*leaves, max_level=max_level, window=window)
        gradients = torch.autograd.grad(
            value.sum(), leaves, allow_unused=True, materialize_grads=True
        )
        # bfloat16 has no NumPy dtype; widening is exact.
        wide = torch.float64 if dtype == "float64" else torch.float32
        return tuple(
            tensor.detach().to(device="cpu", dtype=wide).numpy() for tensor in (value, *gradients)
        )

    return fn
