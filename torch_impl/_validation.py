"""Argument checks shared by the rooms of torch_impl.

Each check names the argument, says what it was and what to do.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch import Tensor

FLOAT_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def as_int(name: str, value: Any, minimum: int) -> int:
    """Return `value` as an int >= `minimum`; floats and booleans are refused."""
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got the boolean {value!r}")
    try:
        integer = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} must be an integer, got {value!r} of type {type(value).__name__}"
        ) from None
    if integer < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {integer}")
    return integer


def check_support(max_level: Any, window: Any) -> tuple[int, int]:
    """Return (L, window width), with width 0 for the full space."""
    level = as_int("max_level", max_level, 1)
    if window is None:
        return level, 0
    width = as_int("window", window, 3)
    if width % 2 == 0:
        raise ValueError(f"window must be None (full space) or odd and >= 3, got {width}")
    if width > 2 * level + 1:
        raise ValueError(
            f"window must not exceed the {2 * level + 1} levels of max_level={level}, got {width}; "
            "use window=None for the full space"
        )
    return level, width


def check_float_tensor(name: str, value: Any) -> Tensor:
    """Return `value` if it is a floating-point tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    if value.dtype not in FLOAT_DTYPES:
        raise TypeError(
            f"{name} must be a floating-point tensor, got {value.dtype}; convert it with .float()"
        )
    return value


def as_scalar_or_tensor(name: str, value: Any, like: Tensor) -> Tensor:
    """Return `value` as a tensor: a number becomes a 0-dim tensor beside `like`."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        check_positive_number(name, value)
        dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
        return torch.full((), float(value), dtype=dtype, device=like.device)
    return check_float_tensor(name, value)


def check_positive_number(name: str, value: float) -> float:
    """Return `value` if it is a positive finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}")
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {value!r}")
    return float(value)


def check_positive(name: str, value: Tensor) -> None:
    """Refuse a tensor with an entry that is not positive and finite.

    Reads the data: on a GPU this waits for the device.
    """
    good = torch.isfinite(value) & (value > 0)
    if bool(good.all()):
        return
    index = tuple(int(i) for i in torch.nonzero(~good)[0])
    where = f" at index {index}" if index else ""
    raise ValueError(
        f"{name} must be positive and finite, got {value[index].item()!r}{where}; "
        "clamp it (the paper keeps q in [1e-5, 255])"
    )
