"""Torch's differentiable JPEG and its roundings as functions under test; gradients by autograd."""

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
    from oracles.diff_jpeg.rounding_subject import RoundingFunction
    from oracles.diff_jpeg.subject import CodingFunction

__all__ = ["torch_diff_jpeg", "torch_rounding"]


def torch_rounding(
    function: Callable[..., Any],
    *,
    dtype: str = "float32",
    device: str = "cpu",
    compile: bool | str = False,  # noqa: A002
) -> RoundingFunction:
    """Adapt a torch substitute of rounding; its derivative comes from autograd.

    Parameters
    ----------
    function : callable
        ``function(x) -> Tensor``, elementwise; with uniform noise ``function(x, noise)``.
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
        For :func:`oracles.verify_rounding`.

    Raises
    ------
    TypeError
        If ``function`` is not callable, or an option has the wrong type.
    ValueError
        If ``dtype`` is none of those named.

    Examples
    --------
    >>> from oracles import torch_rounding, verify_rounding
    >>> from torch_impl.surrogates import soft_round
    >>> verify_rounding(torch_rounding(soft_round), "cubic").passed
    True
    """
    check_torch_arguments(function, "function(x)", dtype, compile)
    called = compiled(function, compile)

    def fn(*arrays: Any) -> Any:
        import torch

        with fresh_memory_is_nan():
            leaf, *noise = (to_tensor(array, dtype=dtype, device=device) for array in arrays)
            leaf.requires_grad_()
            value = called(leaf, *noise)
            (slope,) = torch.autograd.grad(
                value.sum(), leaf, allow_unused=True, materialize_grads=True
            )
            return to_numpy(value), to_numpy(slope)

    return fn


def torch_diff_jpeg(
    function: Callable[..., Any],
    *,
    dtype: str = "float32",
    device: str = "cpu",
    compile: bool | str = False,  # noqa: A002
    **options: Any,
) -> CodingFunction:
    """Adapt a torch differentiable JPEG; its gradients come from autograd.

    Parameters
    ----------
    function : callable
        ``function(images, *, quality=None, qtables=None, **options) -> Tensor``, as
        ``torch_impl.diff_jpeg``.
    dtype : {"float32", "float64", "float16", "bfloat16"}
        Dtype of the tensors that ``function`` gets.
    device : str
        Device of the tensors.
    compile : bool or str
        Judge ``torch.compile(function)`` instead, with the default backend (True) or the one
        that is named.
    **options
        Handed on with every call, such as ``subsampling``, ``straight_through`` and ``rounding``;
        the judge has to be told the same.

    Returns
    -------
    callable
        For :func:`oracles.verify_diff_jpeg`.

    Raises
    ------
    TypeError
        If ``function`` is not callable, or an option has the wrong type.
    ValueError
        If ``dtype`` is none of those named.

    Examples
    --------
    >>> from oracles import torch_diff_jpeg, verify_diff_jpeg
    >>> from torch_impl import diff_jpeg
    >>> fn = torch_diff_jpeg(diff_jpeg, straight_through=True)
    >>> verify_diff_jpeg(fn, straight_through=True).passed
    True
    """
    signature = "function(images, *, quality, qtables)"
    check_torch_arguments(function, signature, dtype, compile)
    called = compiled(function, compile)

    def fn(images: Any, quality: Any, qtables: Any, grad_output: Any) -> Any:
        import torch

        with fresh_memory_is_nan():
            given = {"images": images, "quality": quality, "qtables": qtables}
            leaves = {
                name: to_tensor(array, dtype=dtype, device=device).requires_grad_()
                for name, array in given.items()
                if array is not None
            }
            others = {name: leaf for name, leaf in leaves.items() if name != "images"}
            value = called(leaves["images"], **others, **options)
            weights = to_tensor(grad_output, dtype=dtype, device=device)
            gradients = torch.autograd.grad(
                value,
                list(leaves.values()),
                weights.to(value.dtype),
                allow_unused=True,
                materialize_grads=True,
            )
            found = dict(zip(leaves, gradients, strict=True))
            parts = (value, *(found.get(name) for name in given))
            return tuple(to_numpy(part) for part in parts)

    return fn
