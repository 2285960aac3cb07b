"""Checks of single options; each message names the option, its range and what came."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """``", did you mean ...?"``, or nothing if no known name is near."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f", did you mean {found[0]!r}?" if found else ""


def check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """One of a few words."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")


def check_flag(name: str, value: object) -> None:
    """True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")


def check_text(name: str, value: object) -> None:
    """Text or None."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be text or None, got {value!r}")


def check_whole(name: str, value: object, *, low: int, high: int | None = None) -> None:
    """A whole number in a range."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < low:
        raise ValueError(f"{name} must be at least {low}, got {value}")
    if high is not None and value > high:
        raise ValueError(f"{name} must be at most {high}, got {value}")


def check_real(
    name: str,
    value: object,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    below: float | None = None,
) -> None:
    """A finite number in a range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {value!r}")
    bounds = []
    fits = math.isfinite(value)
    if low is not None:
        bounds.append(f">= {low:g}")
        fits = fits and value >= low
    if above is not None:
        bounds.append(f"> {above:g}")
        fits = fits and value > above
    if high is not None:
        bounds.append(f"<= {high:g}")
        fits = fits and value <= high
    if below is not None:
        bounds.append(f"< {below:g}")
        fits = fits and value < below
    if not fits:
        raise ValueError(f"{name} must be finite and {' and '.join(bounds)}, got {value}")


def check_increasing(name: str, values: object) -> None:
    """A tuple of whole numbers from 1, each larger than the one before."""
    if not isinstance(values, tuple):
        raise TypeError(f"{name} must be a tuple of whole numbers, got {values!r}")
    for value in values:
        check_whole(name, value, low=1)
    if list(values) != sorted(set(values)):
        raise ValueError(f"{name} must increase, got {values}")
