"""A differentiable torch JPEG layer as a function under test; its gradients by autograd."""

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
    from oracles.layer.subject import LayerFunction

__all__ = ["torch_jpeg_layer"]


def torch_jpeg_layer(
    function: Callable[..., Any],
    *,
    window: int | None = None,
    subsampling: str = "4:4:4",
    dtype: str = "float32",
    device: str = "cpu",
    compile: bool | str = False,  # noqa: A002
) -> LayerFunction:
    """Adapt a differentiable torch JPEG layer; its vector-Jacobian product comes from autograd.

    Parameters
    ----------
    function : callable or subclass of torch.nn.Module
        ``function(image, q, alpha, *, max_level, window, subsampling) -> Tensor``, on tensors
        with the strides of the arrays. Or a class with the constructor of
        ``torch_impl.JPEGLayer``, ``JPEGLayer(q, alpha, max_level=..., window=...,
        subsampling=..., trainable_alpha=True)``, whose parameters ``q`` and ``alpha`` are the
        tables: an instance is made for each call.
    window : int, optional
        Handed on; None for the full space.
    subsampling : {"4:4:4", "4:2:2", "4:2:0"}
        Handed on.
    dtype : {"float32", "float64", "float16", "bfloat16"}
        Dtype of the tensors.
    device : str
        Device of the tensors and of the module.
    compile : bool or str
        Judge it as ``torch.compile`` makes it, with the default backend (True) or the one that
        is named. A layer that has to be compiled too often fails.

    Returns
    -------
    callable
        ``fn(image, q, alpha, grad_output, max_level) -> (output, grad_image, grad_q,
        grad_alpha)`` for :func:`oracles.verify_jpeg_layer`. An input that the output does not
        depend on has gradient 0.

    Raises
    ------
    TypeError
        If ``function`` is not callable, or ``compile`` neither a bool nor a string.
    ValueError
        If ``dtype`` is none of those named.

    Examples
    --------
    >>> from oracles import torch_jpeg_layer, verify_jpeg_layer
    >>> from torch_impl import JPEGLayer
    >>> verify_jpeg_layer(torch_jpeg_layer(JPEGLayer, window=5), window=5).passed
    True
    """
    signature = "function(image, q, alpha, *, max_level, window, subsampling)"
    check_torch_arguments(function, signature, dtype, compile)
    is_class = isinstance(function, type)
    called = compiled(_forward if is_class else function, compile)

    def fn(image: Any, q: Any, alpha: Any, grad_output: Any, max_level: int) -> Any:
        import torch

        options = {"max_level": max_level, "window": window, "subsampling": subsampling}
        x, steps, sharpness, weights = (
            to_tensor(array, dtype=dtype, device=device) for array in (image, q, alpha, grad_output)
        )
        with fresh_memory_is_nan():
            leaves = [x.requires_grad_()]
            if is_class:
                layer = function(steps, sharpness, trainable_alpha=True, **options).to(device)
                leaves += [layer.q, layer.alpha]
                output = called(layer, x)
            else:
                leaves += [steps.requires_grad_(), sharpness.requires_grad_()]
                output = called(*leaves, **options)
            gradients = torch.autograd.grad(
                output, leaves, weights.to(output.dtype), allow_unused=True, materialize_grads=True
            )
            return tuple(to_numpy(tensor) for tensor in (output, *gradients))

    return fn


def _forward(layer: Any, image: Any) -> Any:
    """Call a module; a function of its own, so that all instances share one compilation."""
    return layer(image)
