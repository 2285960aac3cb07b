"""What the tests of the quantizer baselines share: the functions, their truths, the verdict."""

from __future__ import annotations

from typing import Any

import numpy as np

import reference
from oracles.adapters import torch_quantizer_baseline
from oracles.baselines import KINDS, step_tolerances
from torch_impl.quantizer_baselines import (
    cubic_quantize,
    hard_quantize,
    straight_through_quantize,
    uniform_noise_quantize,
)

NAMES = list(KINDS)
FUNCTIONS: dict[str, Any] = {
    "uniform_noise": uniform_noise_quantize,
    "cubic": cubic_quantize,
    "straight_through": straight_through_quantize,
    "hard": hard_quantize,
}
TRUTHS: dict[str, Any] = {
    "uniform_noise": reference.uniform_noise_partials,
    "cubic": reference.cubic_partials,
    "straight_through": reference.straight_through_partials,
    "hard": reference.hard_partials,
}


def noise_for(z: Any, seed: int = 0) -> Any:
    """u in [-1/2, 1/2], exact in float16 and up."""
    return np.random.default_rng(seed).integers(-512, 513, np.shape(z)) / 1024


def truth(name: str, noise: Any) -> Any:
    if name != "uniform_noise":
        return TRUTHS[name]
    return lambda z, q, *, max_level: reference.uniform_noise_partials(
        z, q, noise, max_level=max_level
    )


def assert_sound(
    name: str, z: Any, q: Any, max_level: int, dtype: str, seed: int = 0, device: str = "cpu"
) -> None:
    """Value and gradients within rounding of the reference; a level that is off by one fails."""
    u = noise_for(z, seed)
    fn = torch_quantizer_baseline(FUNCTIONS[name], name, dtype=dtype, device=device)
    noise = (u.astype(dtype),) if name == "uniform_noise" else ()
    got = fn(z.astype(dtype), q.astype(dtype), *noise, max_level)
    expected = truth(name, u)(z, q, max_level=max_level)
    allowed = step_tolerances(z, q, max_level=max_level, dtype=dtype)
    for ours, theirs, tolerance, output in zip(
        got, expected, allowed, allowed._fields, strict=True
    ):
        assert ours.shape == theirs.shape
        for i in np.flatnonzero(~(np.abs(ours - theirs) <= tolerance)):
            raise AssertionError(
                f"{output} at z={z[i]!r}, q={q[i]!r}, max_level={max_level}, {dtype}: "
                f"got {ours[i]!r}, expected {theirs[i]!r} +- {tolerance[i]:.3g}"
            )
