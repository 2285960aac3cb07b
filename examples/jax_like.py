"""A soft quantizer in the style of JAX: a scalar function, its derivatives, mapped over a batch.

Plain NumPy, so that it runs anywhere: ``vmap`` and ``value_and_grad`` of JAX are written out. The
softmax runs in coordinates local to the nearest level, in the dtype of the inputs; only the
closed forms of the derivatives are JPEG-DL's. Run this file to see the verdict:

    python examples/jax_like.py
"""

from __future__ import annotations

from typing import Any

import numpy as np


def support(z: Any, q: Any, *, max_level: int, window: int | None) -> tuple[Any, Any]:
    """Nearest level, ties half-up, and the offsets of the levels of the support from it."""
    nearest = np.clip(np.floor(z / q + z.dtype.type(0.5)), -max_level, max_level)
    count = 2 * max_level + 1 if window is None else window
    first = np.full_like(nearest, -max_level)
    if window is not None:
        first = np.clip(nearest - window // 2, -max_level, max_level - window + 1)
    return nearest, first[..., None] - nearest[..., None] + np.arange(count, dtype=z.dtype)


def softmax(x: Any) -> Any:
    """Softmax over the last axis."""
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def value_and_grad(z: Any, q: Any, alpha: Any, *, max_level: int, window: int | None) -> Any:
    """Value and partial derivatives; z, q and alpha broadcast."""
    z, q, alpha = np.broadcast_arrays(z, q, alpha)
    nearest, k = support(z, q, max_level=max_level, window=window)
    f, h = z / q - nearest, alpha * q * q
    p = softmax(h[..., None] * k * (2 * f[..., None] - k))
    mean = (p * k).sum(axis=-1)
    centred = k - mean[..., None]
    var, mu3 = (p * centred**2).sum(axis=-1), (p * centred**3).sum(axis=-1)
    return (
        q * (nearest + mean),
        2 * h * var,
        nearest + mean - 2 * h * (mu3 + (nearest + 2 * mean - f) * var),
        -(q**3) * (mu3 + 2 * (mean - f) * var),
    )


def soft_quantize(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
    """Judge this one: all levels."""
    return value_and_grad(z, q, alpha, max_level=max_level, window=None)


def soft_quantize_5(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
    """And this one: five levels about the nearest."""
    return value_and_grad(z, q, alpha, max_level=max_level, window=5)


if __name__ == "__main__":
    from oracles import verify_soft_quantizer

    verify_soft_quantizer(soft_quantize, broadcast=True).print()
    verify_soft_quantizer(soft_quantize_5, window=5, broadcast=True).print()
