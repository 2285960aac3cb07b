"""The whole JPEG layer as one torch operator with a closed-form backward.

``jpegdl::encode_decode`` and ``jpegdl::encode_decode_backward`` dispatch by device; an autograd
Function ties them together and saves the image and the tables, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

import torch_impl.soft_quantize  # noqa: F401 (registers the operator of the composition)
from torch_impl._operators import fake, operator, register_autograd
from torch_impl._validation import check_positive
from torch_impl.kernels import composition, cpu_choice, cuda_choice


def encode_decode(
    image: Tensor,
    q: Tensor,
    alpha: Tensor,
    *,
    max_level: int,
    window: int | None = None,
    factors: tuple[int, int] = (1, 1),
) -> Tensor:
    """JPEG encoding and decoding with soft quantization, differentiable.

    The function behind :class:`torch_impl.JPEGLayer`, which checks the other arguments.

    Parameters
    ----------
    image : Tensor
        RGB in [0, 255], floating point, shape (N, 3, H, W).
    q, alpha : Tensor
        Positive and finite, shape (rounds, 2, 8, 8): luma and chroma tables of each round, in
        natural order.
    max_level : int
        L >= 1; the index set is {-L..L}.
    window : int, optional
        Levels of the masked CPMF: odd, 3 <= window <= 2L+1. None: the full space.
    factors : tuple of int
        Chroma subsampling (vertical, horizontal), each 1 or 2.

    Returns
    -------
    Tensor
        Decoded RGB, shape and dtype of `image`; not clipped. Computed in float32, or in
        float64 if any tensor is float64.

    Raises
    ------
    ValueError
        If a tensor has the wrong shape, or q or alpha is not positive and finite (not checked by
        the CUDA kernels, which do not read them: that would wait for the device).

    References
    ----------
    JPEG Inspired Deep Learning, section 3.3, Fig. 1; appendix A.1 (gradients).
    """
    arguments = (image, q, alpha, max_level, window or 0, *factors)
    if torch.compiler.is_compiling():  # one opaque node, with the gradient registered below
        return _forward_op(*arguments)
    result: Tensor = _EncodeDecode.apply(*arguments)
    return result


def _check_shapes(image: Tensor, q: Tensor, alpha: Tensor) -> None:
    if image.dim() != 4 or image.shape[1] != 3:
        raise ValueError(f"image must be RGB of shape (N, 3, H, W), got {tuple(image.shape)}")
    if 0 in image.shape[2:]:
        raise ValueError(f"image must have at least one pixel, got {tuple(image.shape)}")
    for name, table in (("q", q), ("alpha", alpha)):
        if table.dim() != 4 or table.shape != q.shape or table.shape[1:] != (2, 8, 8):
            raise ValueError(
                f"{name} must have shape (rounds, 2, 8, 8), the same as q, got {tuple(table.shape)}"
            )


def _wide_dtype(*tensors: Tensor) -> torch.dtype:
    """float64 if any tensor is, else float32."""
    wide = any(t.dtype == torch.float64 for t in tensors)
    return torch.float64 if wide else torch.float32


@operator("encode_decode")
def _forward_op(
    image: Tensor,
    q: Tensor,
    alpha: Tensor,
    max_level: int,
    window: int,
    vertical: int,
    horizontal: int,
) -> Tensor:
    _check_shapes(image, q, alpha)
    if cuda_choice.supports((image, q, alpha), max_level):
        # Does not read the tables: that would wait for the device.
        from torch_impl.kernels import triton_layer

        return triton_layer.encode_decode(image, q, alpha, max_level, window, vertical, horizontal)
    check_positive("q", q)
    check_positive("alpha", alpha)
    dtype = _wide_dtype(image, q, alpha)
    tensors = image.to(dtype), q.to(dtype), alpha.to(dtype)
    if (vertical, horizontal) == (1, 1) and cpu_choice.supports(tensors, max_level):
        from torch_impl.kernels import cpu_layer  # imports Numba

        result = cpu_layer.encode_decode(*tensors, max_level, window)
    else:
        with torch.autocast(image.device.type, enabled=False):
            result = composition.encode_decode(*tensors, max_level, window, (vertical, horizontal))
    return result.to(image.dtype).contiguous()


@fake("encode_decode")
def _(
    image: Tensor,
    q: Tensor,
    alpha: Tensor,
    max_level: int,
    window: int,
    vertical: int,
    horizontal: int,
) -> Tensor:
    return image.new_empty(image.shape)


@operator("encode_decode_backward")
def _backward_op(
    grad: Tensor,
    image: Tensor,
    q: Tensor,
    alpha: Tensor,
    max_level: int,
    window: int,
    vertical: int,
    horizontal: int,
    needs: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    _check_shapes(image, q, alpha)
    if grad.shape != image.shape:
        raise ValueError(
            f"grad must have the shape of image, {tuple(image.shape)}, got {tuple(grad.shape)}"
        )
    if cuda_choice.supports((grad, image, q, alpha), max_level):
        from torch_impl.kernels import triton_layer

        return triton_layer.encode_decode_backward(
            grad, image, q, alpha, max_level, window, vertical, horizontal, needs
        )
    dtype = _wide_dtype(grad, image, q, alpha)
    tensors = grad.to(dtype), image.to(dtype), q.to(dtype), alpha.to(dtype)
    if (vertical, horizontal) == (1, 1) and cpu_choice.supports(tensors, max_level):
        from torch_impl.kernels import cpu_layer

        gradients = cpu_layer.encode_decode_backward(*tensors, max_level, window)
    else:
        with torch.autocast(image.device.type, enabled=False):
            gradients = composition.encode_decode_backward(
                *tensors, max_level, window, (vertical, horizontal)
            )
    # A gradient that nobody needs is an empty tensor.
    d_image, dq, dalpha = (
        gradient.to(like.dtype).contiguous() if needed else like.new_empty(0)
        for gradient, like, needed in zip(gradients, (image, q, alpha), needs, strict=True)
    )
    return d_image, dq, dalpha


@fake("encode_decode_backward")
def _(
    grad: Tensor,
    image: Tensor,
    q: Tensor,
    alpha: Tensor,
    max_level: int,
    window: int,
    vertical: int,
    horizontal: int,
    needs: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    d_image, dq, dalpha = (
        like.new_empty(like.shape if needed else 0)
        for like, needed in zip((image, q, alpha), needs, strict=True)
    )
    return d_image, dq, dalpha


class _EncodeDecode(torch.autograd.Function):
    """The layer with its closed-form gradient."""

    @staticmethod
    def forward(image: Tensor, q: Tensor, alpha: Tensor, *options: int) -> Tensor:
        return _forward_op(image, q, alpha, *options)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:3])
        ctx.options = inputs[3:]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        needs = list(ctx.needs_input_grad[:3])
        gradients = _EncodeDecodeBackward.apply(grad, *ctx.saved_tensors, *ctx.options, needs)
        kept = (g if needed else None for g, needed in zip(gradients, needs, strict=True))
        return *kept, *(None for _ in ctx.options)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        results = [
            _EncodeDecode.apply(*_example(inputs, in_dims, i)) for i in range(info.batch_size)
        ]
        return torch.stack(results), 0


class _EncodeDecodeBackward(torch.autograd.Function):
    """The gradient of the layer; it has no derivative of its own."""

    @staticmethod
    def forward(
        grad: Tensor, image: Tensor, q: Tensor, alpha: Tensor, *options: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        return _backward_op(grad, image, q, alpha, *options)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Nothing to keep: :meth:`backward` refuses."""

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        raise NotImplementedError(
            "the JPEG layer has no second derivatives: "
            "do not differentiate through its gradient (create_graph=True)"
        )

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], *inputs: Any
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        results = [
            _EncodeDecodeBackward.apply(*_example(inputs, in_dims, i))
            for i in range(info.batch_size)
        ]
        stacked = tuple(torch.stack(column) for column in zip(*results, strict=True))
        return stacked, (0, 0, 0)


def _example(inputs: tuple[Any, ...], in_dims: Sequence[Any], index: int) -> list[Any]:
    """Arguments of one example under vmap."""
    return [
        value.select(dim, index) if isinstance(value, Tensor) and isinstance(dim, int) else value
        for value, dim in zip(inputs, in_dims, strict=True)
    ]


# The same gradient for those who call the operator itself (torch.ops.jpegdl.encode_decode).
register_autograd(
    "encode_decode", _EncodeDecode.backward, setup_context=_EncodeDecode.setup_context
)

__all__ = ["encode_decode"]
