"""A value with the gradient of another one, which is computed when the gradient is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Surrogate = Callable[..., Tensor]


def with_gradient_of(surrogate: Surrogate, tensors: Sequence[Tensor], value: Tensor) -> Tensor:
    """`value` with the gradient of ``surrogate(*tensors)``.

    Outside compilers and transforms nothing but `tensors` is kept for the backward pass, where the
    surrogate is computed: a forward pass that is not differentiated costs nothing more.

    Parameters
    ----------
    surrogate : callable
        Differentiable; its result has the shape of `value`.
    tensors : sequence of Tensor
        What it is differentiated by.
    value : Tensor
        Without a gradient of its own.

    Returns
    -------
    Tensor
        In the dtype of `value`.
    """
    if (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
    ):
        return plus_gradient_of(surrogate(*tensors), value)
    result: Tensor = _StraightThrough.apply(value, surrogate, *tensors)
    return result


def plus_gradient_of(soft: Tensor, value: Tensor) -> Tensor:
    """`value` with the gradient of a tensor that is there already."""
    # What is added is 0.
    return (value + (soft - soft.detach())).to(value.dtype)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, surrogate: Surrogate, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        ctx.surrogate = surrogate
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        needs = ctx.needs_input_grad[2:]
        again = torch.is_grad_enabled()  # the gradient is to be differentiated
        with torch.enable_grad(), torch.autocast(grad.device.type, enabled=False):
            inputs = [
                x if not needed or (again and x.requires_grad) else x.detach().requires_grad_()
                for x, needed in zip(ctx.saved_tensors, needs, strict=True)
            ]
            soft = ctx.surrogate(*inputs)
            found = iter(
                torch.autograd.grad(
                    soft,
                    [x for x, needed in zip(inputs, needs, strict=True) if needed],
                    grad.to(soft.dtype),
                    create_graph=again,
                    materialize_grads=True,
                )
            )
        return None, None, *(next(found) if needed else None for needed in needs)
