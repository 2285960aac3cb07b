"""The quantizer baselines of JPEG-DL's Table 6 in torch operations: values, gradients, autograd.

Formulas and conventions: :mod:`torch_impl.quantizer_baselines`. The backward pass saves z, q and
the noise, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torch_impl.kernels.eager import compute_dtype

_Partials = tuple[Tensor, Tensor, Tensor]


def apply(
    z: Tensor, q: Tensor, noise: Tensor | None, name: str, max_level: int, scale: float
) -> Tensor:
    """Quantizer `name` (a key of `PARTIALS`), its gradient for q multiplied by `scale`."""
    result: Tensor = _Quantize.apply(z, q, noise, name, max_level, scale)
    return result


class _Cut(NamedTuple):
    """Where a coefficient lies once it is cut to the range of the levels."""

    level: Tensor  # r
    distance: Tensor  # z - r q; 0 outside
    outside: Tensor  # |z| >= L q


def _cut(z: Tensor, q: Tensor, max_level: int) -> _Cut:
    magnitude = z.abs()
    rest = torch.fmod(magnitude, q)  # exact, in [0, q)
    below = torch.round((magnitude - rest) / q)  # the level below |z|
    outside = (below >= max_level) | torch.isinf(z)
    # Half-up on the signed axis: +1/2 goes away from zero, -1/2 towards it.
    up = torch.where(z >= 0, rest >= q - rest, rest > q - rest)
    level = torch.where(outside, float(max_level), below + up.to(below.dtype))
    distance = torch.where(outside, 0.0, torch.where(up, rest - q, rest))
    sign = torch.where(z >= 0, 1.0, -1.0).to(z.dtype)
    return _Cut(sign * level, sign * distance, outside)


def _noise_partials(z: Tensor, q: Tensor, noise: Tensor | None, max_level: int) -> _Partials:
    assert noise is not None
    cut = _cut(z, q, max_level)
    value = torch.where(cut.outside, q * (cut.level + noise), z + q * noise)
    dz = torch.where(cut.outside, 0.0, torch.ones_like(value)) + 0 * cut.level
    # 0 times the level: a coefficient that is NaN has no gradients.
    dq = torch.where(cut.outside, cut.level + noise, noise + 0 * cut.level)
    return value, dz, dq


def _cubic_partials(z: Tensor, q: Tensor, noise: Tensor | None, max_level: int) -> _Partials:
    cut = _cut(z, q, max_level)
    d = cut.distance / q
    cube = d * d * d
    slope = 3 * d * d
    return q * (cut.level + cube), slope, cut.level * (1 - slope) - 2 * cube


def _straight_partials(z: Tensor, q: Tensor, noise: Tensor | None, max_level: int) -> _Partials:
    cut = _cut(z, q, max_level)
    dz = torch.where(cut.outside, 0.0, torch.ones_like(cut.level)) + 0 * cut.level
    dq = torch.where(cut.outside, cut.level, -cut.distance / q)
    return q * cut.level, dz, dq


def _hard_partials(z: Tensor, q: Tensor, noise: Tensor | None, max_level: int) -> _Partials:
    cut = _cut(z, q, max_level)
    return q * cut.level, 0 * cut.level, cut.level


PARTIALS: dict[str, Callable[[Tensor, Tensor, Tensor | None, int], _Partials]] = {
    "uniform_noise": _noise_partials,
    "cubic": _cubic_partials,
    "straight_through": _straight_partials,
    "hard": _hard_partials,
}


def _evaluate(z: Tensor, q: Tensor, noise: Tensor | None, name: str, max_level: int) -> _Partials:
    """Value, d/dz and d/dq, elementwise, in the compute dtype."""
    dtype = compute_dtype(z, q)
    noise = None if noise is None else noise.to(dtype)
    return PARTIALS[name](z.to(dtype), q.to(dtype), noise, max_level)


class _Quantize(torch.autograd.Function):
    """A baseline with its gradient in closed form."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        z: Tensor, q: Tensor, noise: Tensor | None, name: str, max_level: int, scale: float
    ) -> Tensor:
        value, _, _ = _evaluate(z, q, noise, name, max_level)
        # A number does not widen the result.
        return value.to(torch.promote_types(z.dtype, q.dtype) if q.dim() else z.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        z, q, noise, *ctx.options = inputs
        ctx.save_for_backward(z, q, noise)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        by_z, by_q = _QuantizeBackward.apply(grad, *ctx.saved_tensors, *ctx.options)
        needs_z, needs_q = ctx.needs_input_grad[:2]
        return by_z if needs_z else None, by_q if needs_q else None, None, None, None, None


class _QuantizeBackward(torch.autograd.Function):
    """The gradient of a baseline; it has no derivative of its own."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        grad: Tensor,
        z: Tensor,
        q: Tensor,
        noise: Tensor | None,
        name: str,
        max_level: int,
        scale: float,
    ) -> tuple[Tensor, Tensor]:
        _, dz, dq = _evaluate(z, q, noise, name, max_level)
        wide = grad.to(dz.dtype)
        by_z = (wide * dz).sum_to_size(z.shape).to(z.dtype)
        return by_z, (scale * (wide * dq).sum_to_size(q.shape)).to(q.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Nothing to keep: :meth:`backward` refuses."""

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        raise NotImplementedError(
            "the quantizer baselines have no second derivatives: "
            "do not differentiate through their gradient (create_graph=True)"
        )
