"""What the tests of the quantizer baselines share: the functions, their truths, the contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import reference
from tests._baseline_judge import verify_baseline
from torch_impl.quantizer_baselines import (
    cubic_quantize,
    hard_quantize,
    straight_through_quantize,
    uniform_noise_quantize,
)

NAMES = ["uniform_noise", "cubic", "straight_through", "hard"]
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


def contract(name: str, noise: Any = None, device: str = "cpu") -> Any:
    """The torch function as ``fn(z, q, max_level) -> (value, dz, dq)`` on NumPy arrays."""

    def fn(z: Any, q: Any, max_level: int) -> tuple[Any, Any, Any]:
        u = torch.tensor(noise.astype(z.dtype), device=device)
        options = {"noise": u} if name == "uniform_noise" else {}
        a, b = (torch.from_numpy(x).to(device).requires_grad_() for x in (z, q))
        value = FUNCTIONS[name](a, b, max_level=max_level, **options)
        value.backward(torch.ones_like(value))
        return tuple(t.detach().cpu().numpy() for t in (value, a.grad, b.grad))

    return fn


def truth(name: str, noise: Any) -> Any:
    if name != "uniform_noise":
        return TRUTHS[name]
    return lambda z, q, *, max_level: reference.uniform_noise_partials(
        z, q, noise, max_level=max_level
    )


def assert_sound(
    name: str, z: Any, q: Any, max_level: int, dtype: str, seed: int = 0, device: str = "cpu"
) -> None:
    u = noise_for(z, seed)
    fn, wanted = contract(name, u, device), truth(name, u)
    assert verify_baseline(fn, wanted, z, q, max_level, dtype=dtype) == []
