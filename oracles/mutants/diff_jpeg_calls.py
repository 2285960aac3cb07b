"""Correct implementations of differentiable JPEG called in faulty ways.

Each takes a function under test and returns the faulty one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from oracles.diff_jpeg.subject import CodingFunction

__all__ = [
    "clipped_weights",
    "in_place",
    "jitter",
    "last_row_unwritten",
    "mean_quality",
    "nan_at_100",
    "of_its_base",
    "of_the_first",
    "saturating",
    "scaled_input",
    "summed_quality",
    "weights_ignored",
    "whole_quality",
]


def of_the_first(fn: CodingFunction) -> Any:
    """Quality of the first image for all."""

    def wrong(images: Any, quality: Any, qtables: Any, g: Any) -> Any:
        if quality is not None and quality.ndim:
            quality = np.full_like(quality, quality[0])
        return fn(images, quality, qtables, g)

    return wrong


def summed_quality(fn: CodingFunction) -> Any:
    """Each image gets the gradient of the whole batch."""

    def wrong(images: Any, quality: Any, qtables: Any, g: Any) -> Any:
        value, dx, dq, dt = fn(images, quality, qtables, g)
        return value, dx, None if dq is None else np.full_like(dq, dq.sum()), dt

    return wrong


def whole_quality(fn: CodingFunction) -> Any:
    """Whole quality."""

    def wrong(images: Any, quality: Any, qtables: Any, g: Any) -> Any:
        return fn(images, None if quality is None else np.rint(quality), qtables, g)

    return wrong


def mean_quality(fn: CodingFunction) -> Any:
    """Mean quality."""

    def wrong(images: Any, quality: Any, qtables: Any, g: Any) -> Any:
        value, dx, dq, dt = fn(images, quality, qtables, g)
        return value, dx, None if dq is None else dq / len(images), dt

    return wrong


def nan_at_100(fn: CodingFunction) -> Any:
    """Nan at 100."""

    def wrong(images: Any, quality: Any, qtables: Any, g: Any) -> Any:
        value, dx, dq, dt = fn(images, quality, qtables, g)
        if dq is not None and dq.ndim:
            dq = np.where(quality == 100, np.nan, dq).astype(dq.dtype)
        return value, dx, dq, dt

    return wrong


def weights_ignored(fn: CodingFunction) -> Any:
    """Weights ignored."""
    return lambda x, q, t, g: fn(x, q, t, np.ones_like(g))


def clipped_weights(fn: CodingFunction) -> Any:
    """Clipped weights."""
    return lambda x, q, t, g: fn(x, q, t, np.clip(g, -1, 1))


def saturating(fn: CodingFunction) -> Any:
    """Saturating."""

    def wrong(images: Any, quality: Any, qtables: Any, g: Any) -> Any:
        value, *gradients = fn(images, quality, qtables, g)
        return np.clip(value, 0, 255), *gradients

    return wrong


def scaled_input(fn: CodingFunction) -> Any:
    """Gradient in units of [0, 1]."""

    def wrong(images: Any, quality: Any, qtables: Any, g: Any) -> Any:
        value, dx, dq, dt = fn(images, quality, qtables, g)
        return value, dx * dx.dtype.type(255), dq, dt

    return wrong


def in_place(fn: CodingFunction) -> Any:
    """In place."""

    def wrong(images: Any, quality: Any, qtables: Any, g: Any) -> Any:
        out = fn(images, quality, qtables, g)
        images -= images.dtype.type(128)
        return out

    return wrong


def last_row_unwritten(fn: CodingFunction) -> Any:
    """Last row unwritten."""

    def wrong(images: Any, quality: Any, qtables: Any, g: Any) -> Any:
        value, dx, dq, dt = fn(images, quality, qtables, g)
        fresh = np.empty_like(dx)
        fresh[..., :-1, :] = dx[..., :-1, :]
        return value, fresh, dq, dt

    return wrong


def of_its_base(fn: CodingFunction) -> Any:
    """Strides ignored: reads the memory in its order."""

    def wrong(images: Any, quality: Any, qtables: Any, g: Any) -> Any:
        memory = g.ravel(order="K")[: g.size].reshape(g.shape)
        return fn(images, quality, qtables, memory)

    return wrong


def jitter(fn: CodingFunction) -> Any:
    """Jitter."""
    rng = np.random.default_rng(0)

    def wrong(*arrays: Any) -> Any:
        value, *gradients = fn(*arrays)
        up = rng.random(value.shape) < 0.5
        return np.where(up, np.nextafter(value, value.dtype.type(np.inf)), value), *gradients

    return wrong
