"""The soft quantizer as a torch function with a closed-form backward.

Three small layers: the kernels compute arrays (:mod:`torch_impl.kernels`), two operators
registered with PyTorch dispatch to them by device, and an autograd Function ties the two together
and saves nothing but the inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torch_impl._operators import fake, operator, register_autograd
from torch_impl._validation import (
    as_scalar_or_tensor,
    check_float_tensor,
    check_positive,
    check_support,
)
from torch_impl.kernels import cpu_choice, cuda_choice, eager


def soft_quantize(
    z: Tensor,
    q: Tensor | float,
    alpha: Tensor | float,
    *,
    max_level: int,
    window: int | None = None,
) -> Tensor:
    """Soft quantizer Q_d(z): the mean of the CPMF over the levels, differentiable.

    The backward pass is the closed form of the paper's appendix A.1, not autograd through a
    softmax; it saves z, q and alpha and nothing else. The full space (``window=None``) costs a
    handful of terms per element, whatever `max_level` is.

    Parameters
    ----------
    z : Tensor
        DCT coefficients, any shape, floating point. Infinite ones saturate at +-L q; NaN gives
        NaN.
    q : Tensor or float
        Quantization steps, positive and finite, in the unit of z. Broadcasts with z.
    alpha : Tensor or float
        Scaling factors, positive and finite, in 1 / unit of z squared. Broadcasts with z.
    max_level : int
        L >= 1; the index set is {-L..L}.
    window : int, optional
        Number of levels of the masked CPMF: odd, 3 <= window <= 2L+1. None: all 2L+1 levels.
        The masked function jumps where its window moves; its gradient holds the window fixed.

    Returns
    -------
    Tensor
        In the unit of z, of the broadcast shape and promoted dtype. float16 and bfloat16
        compute in float32 inside.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range; the message names it. The entries of q
        and alpha are checked on the CPU; the CUDA kernels do not read them, since that would
        wait for the device.

    References
    ----------
    JPEG Inspired Deep Learning, eq. (5)-(7), appendices A.1 and A.12.
    """
    level, width = check_support(max_level, window)
    check_float_tensor("z", z)
    q = as_scalar_or_tensor("q", q, z)
    alpha = as_scalar_or_tensor("alpha", alpha, z)
    try:
        torch.broadcast_shapes(z.shape, q.shape, alpha.shape)
    except RuntimeError:
        shapes = ", ".join(str(tuple(x.shape)) for x in (z, q, alpha))
        raise ValueError(
            f"z, q and alpha must broadcast against each other, got shapes {shapes}"
        ) from None
    if torch.compiler.is_compiling():  # one opaque node, with the gradient registered below
        return _forward_op(z, q, alpha, level, width)
    result: Tensor = _SoftQuantize.apply(z, q, alpha, level, width)
    return result


def _result_dtype(*tensors: Tensor) -> torch.dtype:
    dtype = tensors[0].dtype
    for tensor in tensors[1:]:
        if tensor.dim():  # a number does not widen the result
            dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


@operator("soft_quantize")
def _forward_op(z: Tensor, q: Tensor, alpha: Tensor, max_level: int, window: int) -> Tensor:
    if cuda_choice.supports((z, q, alpha), max_level):
        # Does not read the tables: that would wait for the device.
        from torch_impl.kernels import triton_quantizer

        value = triton_quantizer.soft_quantize(z, q, alpha, max_level, window)
        return value.to(_result_dtype(z, q, alpha))
    check_positive("q", q)
    check_positive("alpha", alpha)
    if cpu_choice.supports((z, q, alpha), max_level):
        from torch_impl.kernels import cpu_quantizer  # imports Numba

        value = cpu_quantizer.soft_quantize(z, q, alpha, max_level, window)
    else:
        value = eager.soft_quantize(z, q, alpha, max_level, window)
    return value.to(_result_dtype(z, q, alpha)).contiguous()


@fake("soft_quantize")
def _(z: Tensor, q: Tensor, alpha: Tensor, max_level: int, window: int) -> Tensor:
    shape = torch.broadcast_shapes(z.shape, q.shape, alpha.shape)
    return z.new_empty(shape, dtype=_result_dtype(z, q, alpha))


@operator("soft_quantize_backward")
def _backward_op(
    grad: Tensor,
    z: Tensor,
    q: Tensor,
    alpha: Tensor,
    max_level: int,
    window: int,
    needs: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    if cuda_choice.supports((grad, z, q, alpha), max_level):
        from torch_impl.kernels import triton_quantizer

        return triton_quantizer.soft_quantize_backward(grad, z, q, alpha, max_level, window, needs)
    if cpu_choice.supports((grad, z, q, alpha), max_level):
        from torch_impl.kernels import cpu_quantizer

        dz, dq, dalpha = (
            gradient.to(like.dtype)
            for gradient, like in zip(
                cpu_quantizer.soft_quantize_backward(grad, z, q, alpha, max_level, window, needs),
                (z, q, alpha),
                strict=True,
            )
        )
        return dz, dq, dalpha
    _, *partials = eager.soft_quantize_partials(z, q, alpha, max_level, window)
    wide = grad.to(partials[0].dtype)
    # A gradient that nobody needs is an empty tensor.
    dz, dq, dalpha = (
        _reduce(wide * partial, like) if needed else like.new_empty(0)
        for partial, like, needed in zip(partials, (z, q, alpha), needs, strict=True)
    )
    return dz, dq, dalpha


@fake("soft_quantize_backward")
def _(
    grad: Tensor,
    z: Tensor,
    q: Tensor,
    alpha: Tensor,
    max_level: int,
    window: int,
    needs: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    dz, dq, dalpha = (
        like.new_empty(like.shape if needed else 0)
        for like, needed in zip((z, q, alpha), needs, strict=True)
    )
    return dz, dq, dalpha


def _reduce(gradient: Tensor, like: Tensor) -> Tensor:
    """Sum over the broadcast dimensions; a fresh tensor of the shape and dtype of `like`."""
    return gradient.sum_to_size(like.shape).to(like.dtype).contiguous()


def _batch_first(
    info: Any, in_dims: Sequence[int | None], tensors: Sequence[Tensor], *, expand: bool
) -> list[Tensor]:
    """Move the vmap dimension of each tensor to the front and pad the ranks to broadcast.

    With `expand`, tensors without that dimension get one: their gradients differ per example.
    """
    rank = max(t.dim() - (d is not None) for t, d in zip(tensors, in_dims, strict=True))
    result = []
    for tensor, dim in zip(tensors, in_dims, strict=True):
        if dim is not None:
            batched = tensor.movedim(dim, 0)
        elif expand:
            batched = tensor.expand(info.batch_size, *tensor.shape)
        else:
            result.append(tensor)
            continue
        ones = (1,) * (rank + 1 - batched.dim())
        result.append(batched.reshape(batched.shape[0], *ones, *batched.shape[1:]))
    return result


class _SoftQuantize(torch.autograd.Function):
    """Q_d with its closed-form gradient."""

    @staticmethod
    def forward(z: Tensor, q: Tensor, alpha: Tensor, max_level: int, window: int) -> Tensor:
        return _forward_op(z, q, alpha, max_level, window)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        z, q, alpha, ctx.max_level, ctx.window = inputs
        ctx.save_for_backward(z, q, alpha)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        needs = list(ctx.needs_input_grad[:3])
        gradients = _SoftQuantizeBackward.apply(
            grad, *ctx.saved_tensors, ctx.max_level, ctx.window, needs
        )
        kept = (g if needed else None for g, needed in zip(gradients, needs, strict=True))
        return *kept, None, None

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        z: Tensor,
        q: Tensor,
        alpha: Tensor,
        max_level: int,
        window: int,
    ) -> tuple[Tensor, int]:
        batched = _batch_first(info, in_dims[:3], (z, q, alpha), expand=False)
        return _SoftQuantize.apply(*batched, max_level, window), 0


class _SoftQuantizeBackward(torch.autograd.Function):
    """The gradient of Q_d; it has no derivative of its own."""

    @staticmethod
    def forward(
        grad: Tensor,
        z: Tensor,
        q: Tensor,
        alpha: Tensor,
        max_level: int,
        window: int,
        needs: list[bool],
    ) -> tuple[Tensor, Tensor, Tensor]:
        return _backward_op(grad, z, q, alpha, max_level, window, needs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Nothing to keep: :meth:`backward` refuses."""

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        raise NotImplementedError(
            "soft_quantize has no second derivatives: "
            "do not differentiate through its gradient (create_graph=True)"
        )

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[Any, ...],
        grad: Tensor,
        z: Tensor,
        q: Tensor,
        alpha: Tensor,
        max_level: int,
        window: int,
        needs: list[bool],
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        tensors = (grad, z, q, alpha)
        batched = _batch_first(info, in_dims[:4], tensors, expand=True)
        gradients = _SoftQuantizeBackward.apply(*batched, max_level, window, needs)
        shapes = (
            (info.batch_size, *_shape_without(t, d))
            for t, d in zip(tensors[1:], in_dims[1:4], strict=True)
        )
        restored = tuple(
            g.reshape(shape) if needed else g.expand(info.batch_size, 0)
            for g, shape, needed in zip(gradients, shapes, needs, strict=True)
        )
        return restored, (0, 0, 0)


def _shape_without(tensor: Tensor, dim: int | None) -> list[int]:
    return [size for i, size in enumerate(tensor.shape) if dim is None or i != dim % tensor.dim()]


# The same gradient for those who call the operator itself (torch.ops.jpegdl.soft_quantize).
register_autograd(
    "soft_quantize", _SoftQuantize.backward, setup_context=_SoftQuantize.setup_context
)

__all__ = ["soft_quantize"]
