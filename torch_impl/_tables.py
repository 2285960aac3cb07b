"""Quantization tables as parameters of a module: reading, clamping, loading."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from torch_impl._validation import check_positive, check_positive_number
from torch_impl.masking import CERTAINLY_CLOSE, warn_if_far

Q_MIN, Q_MAX = 1e-5, 255.0
"""Range that training keeps q in."""

ALPHA_MIN = 1e-6
"""Lower limit of a trainable alpha; the paper names none."""


class TableClampWarning(UserWarning):
    """A training step had moved table entries out of their range; they were moved back."""


def as_table(
    name: str,
    value: Any,
    shape: tuple[int, ...],
    *,
    meaning: str,
    rounds: int = 1,
    number_dtype: torch.dtype = torch.float32,
) -> Tensor:
    """A fresh, checked table in float32, or float64 if given so.

    Of the given shape, or (rounds, *shape) with several rounds, which one table then fills.
    """
    if isinstance(value, (bool, str)) or value is None:
        raise TypeError(f"{name} must be a number or a table of shape {shape}, got {value!r}")
    if isinstance(value, (int, float)):
        check_positive_number(name, value)
        table = torch.full(shape, float(value), dtype=number_dtype)
    else:
        table = torch.as_tensor(value).detach()
        if table.is_complex() or table.dtype == torch.bool:
            raise TypeError(f"{name} must hold real numbers, got dtype {table.dtype}")
        # float64 stays: a layer for gradient checks is built from float64 tables.
        table = table.to(table.dtype if table.dtype == torch.float64 else torch.float32).clone()
    many = (rounds, *shape)
    if rounds > 1 and tuple(table.shape) == shape:
        table = table.expand(many).clone()
    expected = shape if rounds == 1 else many
    if tuple(table.shape) != expected:
        raise ValueError(
            f"{name} must have shape {shape}"
            + (f" or {many}" if rounds > 1 else "")
            + f" ({meaning} in natural order), got {tuple(table.shape)}"
        )
    check_positive(name, table)
    return table


def check_steps_range(q: Tensor) -> None:
    """Refuse steps outside [Q_MIN, Q_MAX]."""
    if bool(((q < Q_MIN) | (q > Q_MAX)).any()):
        raise ValueError(
            f"q must lie in [{Q_MIN}, {Q_MAX:g}], the range that training keeps it in, "
            f"got values from {q.min().item():g} to {q.max().item():g}"
        )


def clamped(
    name: str,
    table: Tensor,
    low: float,
    high: float | None,
    *,
    in_place: bool,
    count: Tensor,
    stacklevel: int,
) -> Tensor:
    """`table` within [low, high], with the gradient of the identity.

    With `in_place` the table itself is moved, `count` goes up by the number of moved entries, and
    a warning is given where asking does not wait for a device.
    """
    with torch.no_grad():
        inside = table.clamp(low, high)
        if in_place:
            moved = (inside < table) | (inside > table)
            count += moved.sum()
            can_ask = not torch.compiler.is_compiling() and table.device.type == "cpu"
            if can_ask and bool(moved.any()):
                warnings.warn(
                    f"{int(moved.sum())} of {table.numel()} entries of {name} had left "
                    f"[{low}, {'inf' if high is None else high}] and were moved back: "
                    "lower the learning rate of the tables if this goes on",
                    TableClampWarning,
                    stacklevel=stacklevel + 1,
                )
            table.copy_(inside)
    if in_place:
        # A copy: the next forward pass may change the table before this one's backward.
        return table.clone()
    # inside + 0, exactly; the zero carries the gradient.
    return inside + (table - table.detach())


def told_of_masking(q: Tensor, alpha: Tensor, window: int | None, *, stacklevel: int) -> bool:
    """Warn where the masked CPMF is far from the full space; return whether it did.

    Does not ask where that would wait for a device.
    """
    if window is None or torch.compiler.is_compiling() or q.device.type != "cpu":
        return False
    hardness = float((alpha * q * q).detach().min())
    return hardness < CERTAINLY_CLOSE and warn_if_far(hardness, window, stacklevel=stacklevel + 1)


def may_change_tables(*, training: bool) -> bool:
    """Whether a forward pass may clamp in place: it trains, with gradients, not in torch.func."""
    return training and torch.is_grad_enabled() and not _inside_functorch()


def _inside_functorch() -> bool:
    """Whether a torch.func transform runs; torch offers no public way to ask."""
    if torch.compiler.is_compiling():
        return False
    return bool(torch._C._are_functorch_transforms_active())


def loading_error(state_dict: dict[str, Any], prefix: str) -> str | None:
    """Why the tables of a state must not be loaded, if so.

    Finite values out of range are what an optimizer step leaves: the next forward pass clamps
    them, as it would have done where they were saved.
    """
    for name in ("q", "alpha"):
        table = state_dict.get(prefix + name)
        if isinstance(table, Tensor) and not bool(torch.isfinite(table).all()):
            return (
                f"{prefix}{name} holds NaN or infinity: the training that saved it diverged; "
                "load an earlier checkpoint"
            )
    return None
