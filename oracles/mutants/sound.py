"""Sound implementations of the soft quantizer: none of them may ever be accused.

Each is written on its own, as an engineer would, and works in the dtype of its inputs.
Every factory takes ``window`` and returns ``fn(z, q, alpha, max_level)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oracles.subject import QuantizerFunction
from reference import high_precision, soft_quantize_partials

Factory = Callable[[int | None], QuantizerFunction]


def rounded_reference(window: int | None) -> QuantizerFunction:
    """float64 inside, rounded to the dtype of the inputs at the end."""

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        wide = [a.astype(np.float64) for a in (z, q, alpha)]
        result = soft_quantize_partials(*wide, max_level=max_level, window=window)
        return tuple(part.astype(z.dtype) for part in result)

    return fn


def arbiter(window: int | None) -> QuantizerFunction:
    """Forty digits inside: the exact result, rounded once. Slow."""

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        rows = [
            high_precision.soft_quantize_partials(
                float(a), float(b), float(c), max_level=max_level, window=window
            )
            for a, b, c in zip(z, q, alpha, strict=True)
        ]
        return tuple(
            np.array([float(getattr(row, name)) for row in rows]).astype(z.dtype)
            for name in ("value", "dz", "dq", "dalpha")
        )

    return fn


def _levels(ratio: Any, max_level: int, window: int | None) -> tuple[Any, Any]:
    """Nearest level and the offsets k of the support from it, in the working dtype."""
    t = ratio.dtype.type
    nearest = np.clip(np.floor(ratio + t(0.5)), -max_level, max_level).astype(ratio.dtype)
    if window is None:
        first = np.full_like(nearest, -max_level)
        count = 2 * max_level + 1
    else:
        first = np.clip(nearest - window // 2, -max_level, max_level - window + 1)
        count = window
    k = (first - nearest)[:, None] + np.arange(count, dtype=ratio.dtype)
    return nearest, k.astype(ratio.dtype)


def softmax_scaled(window: int | None) -> QuantizerFunction:
    """Softmax in z/q, relative to the nearest level; central moments."""

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        ratio = z / q
        nearest, k = _levels(ratio, max_level, window)
        f, h = ratio - nearest, alpha * q * q
        w = np.exp(h[:, None] * (2 * f[:, None] * k - k * k))
        p = w / w.sum(1, keepdims=True)
        m = (p * k).sum(1)
        x = k - m[:, None]
        var, mu3 = (p * x**2).sum(1), (p * x**3).sum(1)
        mean = nearest + m
        return (
            q * mean,
            2 * h * var,
            mean - 2 * h * (mu3 + (nearest + 2 * m - f) * var),
            -(q**3) * (mu3 + 2 * (m - f) * var),
        )

    return fn


def softmax_unscaled(window: int | None) -> QuantizerFunction:
    """Softmax in the unit of z: every level i q is rounded on its own."""

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        nearest, k = _levels(z / q, max_level, window)
        rest = z - nearest * q
        away = k * q[:, None]
        logits = alpha[:, None] * away * (2 * rest[:, None] - away)
        # Next to a tie of a very hard quantizer the rounding of rest can make a neighbour nearer.
        w = np.exp(logits - logits.max(1, keepdims=True))
        p = w / w.sum(1, keepdims=True)
        v = (nearest[:, None] + k) * q[:, None]
        mean = (p * v).sum(1)
        x = v - mean[:, None]
        var, mu3 = (p * x**2).sum(1), (p * x**3).sum(1)
        return (
            mean,
            2 * alpha * var,
            (mean - 2 * alpha * (mu3 + (2 * mean - z) * var)) / q,
            -(mu3 + 2 * (mean - z) * var),
        )

    return fn


def sequential_sums(window: int | None) -> QuantizerFunction:
    """One level after the other into raw moments about the nearest level, as a GPU thread does."""

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        ratio = z * (1 / q) if z.dtype == np.float64 else z / q
        nearest, k = _levels(ratio, max_level, window)
        f, h = ratio - nearest, alpha * q * q
        s0, s1, s2, s3 = (np.zeros_like(z) for _ in range(4))
        for column in k.T:
            w = np.exp(h * column * (2 * f - column))
            s0 += w
            s1 += w * column
            s2 += w * column * column
            s3 += w * column * column * column
        m, r2, r3 = s1 / s0, s2 / s0, s3 / s0
        var, mu3 = r2 - m * m, r3 - 3 * m * r2 + 2 * m**3
        mean = nearest + m
        return (
            q * mean,
            2 * h * var,
            mean - 2 * h * (mu3 + (nearest + 2 * m - f) * var),
            -q * q * q * (mu3 + 2 * (m - f) * var),
        )

    return fn


def constant_cost(window: int | None) -> QuantizerFunction:
    """Theta function: Poisson's sum below h = pi, the nearest levels above; softmax at the ends.

    Only for the full space.
    """
    near_ends = softmax_scaled(window)

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        t = z.dtype.type
        ratio, h = z / q, alpha * q * q
        bits = t(-np.log(np.finfo(z.dtype).eps) + 8)
        inside = np.abs(ratio) < max_level - np.sqrt(bits / h) - t(2)
        out = np.array(near_ends(z, q, alpha, max_level))
        for mask, part in (
            (inside & (h < t(np.pi)), poisson),
            (inside & (h >= t(np.pi)), direct),
        ):
            if mask.any():
                out[:, mask] = part(z[mask], q[mask], alpha[mask])
        return tuple(out)

    return fn


def poisson(z: Any, q: Any, alpha: Any, terms: int | None = None) -> Any:
    """Theta form for small h; the number of terms by dtype unless given."""
    t = z.dtype.type
    c, h = z / q, alpha * q * q
    f = c - np.round(c)
    terms = terms or (2 if t is np.float32 else 4)
    zero = np.zeros_like(z)
    n, nf, nh, d, df, dh = zero.copy(), zero.copy(), zero.copy(), zero + 1, zero.copy(), zero.copy()
    for k in range(1, terms + 1):
        e = np.exp(t(-(np.pi**2) * k * k) / h)
        de = e * t(np.pi**2 * k * k) / (h * h)
        a = t(2 * np.pi * k)
        s, co = np.sin(a * f), np.cos(a * f)
        n += k * e * s
        nf += k * e * a * co
        nh += k * de * s
        d += 2 * e * co
        df -= 2 * e * a * s
        dh += 2 * de * co
    p4 = t(4 * np.pi)
    s_ = p4 * n / d
    sf = p4 * (nf / d - n * df / (d * d))
    sh = p4 * (nh / d - n * dh / (d * d))
    return (
        z - q / (2 * h) * s_,
        1 - sf / (2 * h),
        s_ / (2 * h) - sh + c * sf / (2 * h),
        q**3 / (2 * h) * (s_ / h - sh),
    )


def direct(z: Any, q: Any, alpha: Any, reach: int | None = None) -> Any:
    """Theta form for large h: the nearest 2 * reach + 1 levels; by dtype unless given."""
    reach = reach or (2 if z.dtype == np.float32 else 3)
    c, h = z / q, alpha * q * q
    nearest = np.floor(c + z.dtype.type(0.5))
    f = c - nearest
    k = np.arange(-reach, reach + 1, dtype=z.dtype)
    w = np.exp(h[:, None] * (2 * f[:, None] * k - k * k))
    p = w / w.sum(1, keepdims=True)
    m = (p * k).sum(1)
    x = k - m[:, None]
    var, mu3 = (p * x**2).sum(1), (p * x**3).sum(1)
    return (
        q * (nearest + m),
        2 * h * var,
        nearest + m - 2 * h * (mu3 + (nearest + 2 * m - f) * var),
        -(q**3) * (mu3 + 2 * (m - f) * var),
    )


def torch_autograd_float64(window: int | None) -> QuantizerFunction:
    """torch, float64, absolute coordinates, gradients by autograd through torch.softmax."""

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        import torch

        leaves = [torch.tensor(a.astype(np.float64), requires_grad=True) for a in (z, q, alpha)]
        tz, tq, ta = leaves
        _, k = _levels(z.astype(np.float64) / q.astype(np.float64), max_level, window)
        nearest = _levels(z.astype(np.float64) / q.astype(np.float64), max_level, window)[0]
        index = torch.from_numpy(nearest[:, None] + k)
        levels = index * tq[:, None]
        p = torch.softmax(-ta[:, None] * (tz[:, None] - levels) ** 2, dim=1)
        value = (p * levels).sum(1)
        grads = torch.autograd.grad(value.sum(), leaves)
        return tuple(t.detach().numpy().astype(z.dtype) for t in (value, *grads))

    return fn


def torch_softmax_closed_form(window: int | None) -> QuantizerFunction:
    """Torch in the dtype of the inputs: torch.softmax about the nearest level, closed partials."""

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        import torch

        nearest_, k_ = _levels(z / q, max_level, window)
        tz, tq, ta, nearest, k = (
            torch.from_numpy(np.ascontiguousarray(a)) for a in (z, q, alpha, nearest_, k_)
        )
        f, h = tz / tq - nearest, ta * tq * tq
        p = torch.softmax(h[:, None] * k * (2 * f[:, None] - k), dim=1)
        m = (p * k).sum(1)
        x = k - m[:, None]
        var, mu3 = (p * x**2).sum(1), (p * x**3).sum(1)
        mean = nearest + m
        result = (
            mean * tq,
            2 * h * var,
            mean - 2 * h * (mu3 + (mean + m - f) * var),
            -(mu3 + 2 * (m - f) * var) * tq**3,
        )
        return tuple(part.numpy() for part in result)

    return fn


def torch_autograd_local(window: int | None) -> QuantizerFunction:
    """Torch in the dtype of the inputs, autograd through a softmax about the nearest level."""

    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        import torch

        nearest, k = (torch.from_numpy(a) for a in _levels(z / q, max_level, window))
        leaves = [torch.tensor(a, requires_grad=True) for a in (z, q, alpha)]
        tz, tq, ta = leaves
        f, h = tz / tq - nearest, ta * tq * tq
        p = torch.softmax(h[:, None] * k * (2 * f[:, None] - k), dim=1)
        value = tq * (nearest + (p * k).sum(1))
        gradients = torch.autograd.grad(value.sum(), leaves)
        return tuple(part.detach().numpy() for part in (value, *gradients))

    return fn


SOUND: dict[str, Factory] = {
    "float64 rounded": rounded_reference,
    "softmax in z/q": softmax_scaled,
    "softmax in z": softmax_unscaled,
    "sequential sums": sequential_sums,
    "constant cost": constant_cost,
    "torch float64 autograd": torch_autograd_float64,
    "torch autograd, local": torch_autograd_local,
    "torch softmax, closed form": torch_softmax_closed_form,
}
