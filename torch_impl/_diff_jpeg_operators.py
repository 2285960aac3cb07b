"""The steps of differentiable JPEG as torch operators: Numba kernels for float32 on the CPU.

``jpegdl::diff_jpeg_encode``, ``..._decode`` and ``..._round``, each with its adjoint. A compiler
sees opaque nodes; the autograd Functions, which serve torch.func.grad too, call the same operators.
Encoding and decoding are linear but for the clipping, so the derivative of an adjoint is the step
itself, and there are derivatives of any order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from reference.standard import LEVEL_SHIFT
from torch_impl._operators import fake, operator, register_autograd
from torch_impl.surrogates import soft_round

ROUNDINGS = ("straight_through", "linear", "cubic")
"""Substitutes of rounding that have kernels; their index is what the operators take."""


def _coefficients(like: Tensor, n: int, height: int, width: int, v: int, h: int) -> list[Tensor]:
    luma = n, 1, -(-height // 8), 8, -(-width // 8), 8
    chroma = n, 2, -(-height // (8 * v)), 8, -(-width // (8 * h)), 8
    return [like.new_empty(luma), like.new_empty(chroma)]


# Pixels to coefficients


@operator("diff_jpeg_encode")
def _encode_op(
    images: Tensor, vertical: int, horizontal: int, shift: float, whole: bool
) -> list[Tensor]:
    from torch_impl.kernels import cpu_diff_jpeg  # imports Numba

    return list(cpu_diff_jpeg.encode(images, vertical, horizontal, shift, whole))


@fake("diff_jpeg_encode")
def _(images: Tensor, vertical: int, horizontal: int, shift: float, whole: bool) -> list[Tensor]:
    n, _, height, width = images.shape
    return _coefficients(images, n, height, width, vertical, horizontal)


@operator("diff_jpeg_encode_adjoint")
def _encode_adjoint_op(
    luma: Tensor, chroma: Tensor, vertical: int, horizontal: int, height: int, width: int
) -> Tensor:
    from torch_impl.kernels import cpu_diff_jpeg

    return cpu_diff_jpeg.encode_adjoint(luma, chroma, vertical, horizontal, height, width)


@fake("diff_jpeg_encode_adjoint")
def _(
    luma: Tensor, chroma: Tensor, vertical: int, horizontal: int, height: int, width: int
) -> Tensor:
    return luma.new_empty((luma.shape[0], 3, height, width))


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(
        images: Tensor, vertical: int, horizontal: int, shift: float, whole: bool
    ) -> tuple[Tensor, ...]:
        return tuple(_encode_op(images, vertical, horizontal, shift, whole))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.options = (*inputs[1:3], *inputs[0].shape[2:])

    @staticmethod
    def backward(ctx: Any, luma: Tensor, chroma: Tensor) -> tuple[Tensor | None, ...]:
        return _EncodeAdjoint.apply(luma, chroma, *ctx.options), None, None, None, None


class _EncodeAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(luma: Tensor, chroma: Tensor, *options: int) -> Tensor:
        result: Tensor = _encode_adjoint_op(luma, chroma, *options)
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.factors = inputs[2:4]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *_Encode.apply(grad, *ctx.factors, 0.0, False), None, None, None, None


register_autograd(
    "diff_jpeg_encode",
    lambda ctx, grads: _Encode.backward(ctx, *grads),
    setup_context=_Encode.setup_context,
)
register_autograd(
    "diff_jpeg_encode_adjoint",
    _EncodeAdjoint.backward,
    setup_context=_EncodeAdjoint.setup_context,
)


# Coefficients to pixels


@operator("diff_jpeg_decode")
def _decode_op(
    luma: Tensor,
    chroma: Tensor,
    vertical: int,
    horizontal: int,
    height: int,
    width: int,
    slope: float,
    true: bool,
) -> tuple[Tensor, Tensor]:
    from torch_impl.kernels import cpu_diff_jpeg

    size = vertical, horizontal, height, width
    return cpu_diff_jpeg.decode(luma, chroma, None, *size, LEVEL_SHIFT, slope, true)


@fake("diff_jpeg_decode")
def _(
    luma: Tensor,
    chroma: Tensor,
    vertical: int,
    horizontal: int,
    height: int,
    width: int,
    slope: float,
    true: bool,
) -> tuple[Tensor, Tensor]:
    shape = luma.shape[0], 3, height, width
    noted = (0, 0, 0, 0) if slope == 1 else shape
    return luma.new_empty(shape), luma.new_empty(noted, dtype=torch.uint8)


@operator("diff_jpeg_decode_tangent")
def _decode_tangent_op(
    luma: Tensor,
    chroma: Tensor,
    inside: Tensor,
    vertical: int,
    horizontal: int,
    height: int,
    width: int,
    slope: float,
) -> Tensor:
    from torch_impl.kernels import cpu_diff_jpeg

    size = vertical, horizontal, height, width
    return cpu_diff_jpeg.decode(luma, chroma, inside, *size, 0.0, slope, False)[0]


@fake("diff_jpeg_decode_tangent")
def _(
    luma: Tensor,
    chroma: Tensor,
    inside: Tensor,
    vertical: int,
    horizontal: int,
    height: int,
    width: int,
    slope: float,
) -> Tensor:
    return luma.new_empty((luma.shape[0], 3, height, width))


@operator("diff_jpeg_decode_adjoint")
def _decode_adjoint_op(
    grad: Tensor, inside: Tensor, vertical: int, horizontal: int, slope: float
) -> list[Tensor]:
    from torch_impl.kernels import cpu_diff_jpeg

    return list(cpu_diff_jpeg.decode_adjoint(grad, inside, vertical, horizontal, slope))


@fake("diff_jpeg_decode_adjoint")
def _(grad: Tensor, inside: Tensor, vertical: int, horizontal: int, slope: float) -> list[Tensor]:
    n, _, height, width = grad.shape
    return _coefficients(grad, n, height, width, vertical, horizontal)


class _Decode(torch.autograd.Function):
    """Pixels, and which of them a clipping left alone."""

    @staticmethod
    def forward(luma: Tensor, chroma: Tensor, *options: Any) -> tuple[Tensor, Tensor]:
        images, inside = _decode_op(luma, chroma, *options)
        return images, inside

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(output[1])
        ctx.mark_non_differentiable(output[1])
        ctx.options = inputs[2], inputs[3], inputs[6]

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        (inside,) = ctx.saved_tensors
        return *_DecodeAdjoint.apply(grad, inside, *ctx.options), *(6 * [None])


class _DecodeTangent(torch.autograd.Function):
    """The derivative of decoding along changes of the coefficients."""

    @staticmethod
    def forward(luma: Tensor, chroma: Tensor, inside: Tensor, *options: Any) -> Tensor:
        result: Tensor = _decode_tangent_op(luma, chroma, inside, *options)
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(inputs[2])
        ctx.options = inputs[3], inputs[4], inputs[7]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (inside,) = ctx.saved_tensors
        return *_DecodeAdjoint.apply(grad, inside, *ctx.options), *(6 * [None])


class _DecodeAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(grad: Tensor, inside: Tensor, *options: Any) -> tuple[Tensor, ...]:
        return tuple(_decode_adjoint_op(grad, inside, *options))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        grad, inside, *factors, slope = inputs
        ctx.save_for_backward(inside)
        ctx.options = *factors, *grad.shape[2:], slope

    @staticmethod
    def backward(ctx: Any, luma: Tensor, chroma: Tensor) -> tuple[Tensor | None, ...]:
        (inside,) = ctx.saved_tensors
        return _DecodeTangent.apply(luma, chroma, inside, *ctx.options), *(4 * [None])


register_autograd("diff_jpeg_decode", _Decode.backward, setup_context=_Decode.setup_context)
register_autograd(
    "diff_jpeg_decode_tangent",
    _DecodeTangent.backward,
    setup_context=_DecodeTangent.setup_context,
)
register_autograd(
    "diff_jpeg_decode_adjoint",
    lambda ctx, grads: _DecodeAdjoint.backward(ctx, *grads),
    setup_context=_DecodeAdjoint.setup_context,
)


# Quantization


@operator("diff_jpeg_round")
def _round_op(z: Tensor, tables: Tensor, kind: int, true: bool) -> Tensor:
    from torch_impl.kernels import cpu_diff_jpeg

    return cpu_diff_jpeg.round_coefficients(z, tables, kind, true)


@fake("diff_jpeg_round")
def _(z: Tensor, tables: Tensor, kind: int, true: bool) -> Tensor:
    return z.new_empty(z.shape)


@operator("diff_jpeg_round_adjoint")
def _round_adjoint_op(
    grad: Tensor, z: Tensor, tables: Tensor, kind: int, true: bool
) -> tuple[Tensor, Tensor]:
    from torch_impl.kernels import cpu_diff_jpeg

    return cpu_diff_jpeg.round_coefficients_adjoint(grad, z, tables, kind, true)


@fake("diff_jpeg_round_adjoint")
def _(grad: Tensor, z: Tensor, tables: Tensor, kind: int, true: bool) -> tuple[Tensor, Tensor]:
    return z.new_empty(z.shape), tables.new_empty(tables.shape)


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor, tables: Tensor, kind: int, true: bool) -> Tensor:
        result: Tensor = _round_op(z, tables, kind, true)
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs[:2])
        ctx.options = inputs[2:]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *_RoundAdjoint.apply(grad, *ctx.saved_tensors, *ctx.options), None, None


class _RoundAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(
        grad: Tensor, z: Tensor, tables: Tensor, kind: int, true: bool
    ) -> tuple[Tensor, Tensor]:
        dz, dt = _round_adjoint_op(grad, z, tables, kind, true)
        return dz, dt

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs[:3])
        ctx.options = inputs[3:]

    @staticmethod
    def backward(ctx: Any, dz: Tensor, dt: Tensor) -> tuple[Tensor | None, ...]:
        """Second derivatives, rarely wanted: those of the torch operations."""
        kind, true = ctx.options
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            grad, z, tables = (
                x if again and x.requires_grad else x.detach().requires_grad_()
                for x in ctx.saved_tensors
            )
            value = quantize_in_torch(z, tables, ROUNDINGS[kind], true)
            first = torch.autograd.grad(value, (z, tables), grad, create_graph=True)
            second = torch.autograd.grad(
                first, (grad, z, tables), (dz, dt), create_graph=again, materialize_grads=True
            )
        return *second, None, None


register_autograd("diff_jpeg_round", _Round.backward, setup_context=_Round.setup_context)
register_autograd(
    "diff_jpeg_round_adjoint",
    _RoundAdjoint.backward,
    setup_context=_RoundAdjoint.setup_context,
)


# What the steps call


def fused(*tensors: Tensor) -> bool:
    """Whether the kernels apply: float32 on the CPU, differentiated backwards only."""
    if any(t.device.type != "cpu" or t.dtype != torch.float32 for t in tensors):
        return False
    if torch.compiler.is_compiling():
        return not torch._C._are_functorch_transforms_active()
    if torch.autograd.forward_ad._current_level >= 0:
        return False
    transforms = torch._C._functorch.get_interpreter_stack()
    if not transforms:
        return True
    return [t.key() for t in transforms] == [torch._C._functorch.TransformType.Grad]


def encode(images: Tensor, factors: tuple[int, int], whole: bool) -> tuple[Tensor, Tensor]:
    """:func:`torch_impl._diff_jpeg_steps.encode` by kernels."""
    call = _encode_op if torch.compiler.is_compiling() else _Encode.apply
    luma, chroma = call(images, *factors, LEVEL_SHIFT, whole)
    return luma, chroma


def decode(
    luma: Tensor,
    chroma: Tensor,
    factors: tuple[int, int],
    shape: tuple[int, int],
    slope: float,
    straight_through: bool,
) -> Tensor:
    """:func:`torch_impl._diff_jpeg_steps.decode` by kernels; a `slope` of 1 does not clip."""
    call = _decode_op if torch.compiler.is_compiling() else _Decode.apply
    images: Tensor = call(luma, chroma, *factors, *shape, slope, straight_through)[0]
    return images


def quantize(z: Tensor, tables: Tensor, rounding: str, straight_through: bool) -> Tensor:
    """:func:`quantize_in_torch` by kernels, for the kinds in `ROUNDINGS`."""
    call = _round_op if torch.compiler.is_compiling() else _Round.apply
    result: Tensor = call(z, tables, ROUNDINGS.index(rounding), straight_through)
    return result


def quantize_in_torch(z: Tensor, tables: Tensor, rounding: Any, straight_through: bool) -> Tensor:
    """Coefficients to t R(z / t); `tables` (1 or N, 8, 8)."""
    t = tables[:, None, None, :, None, :]
    return t * soft_round(z / t, rounding, straight_through=straight_through)
