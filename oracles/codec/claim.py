"""What a codec claims to be and to offer."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from reference.standard import SUBSAMPLINGS

__all__ = ["FACTORS", "Claim", "make_claim", "takes"]

#: (vertical, horizontal) factor by which chroma is reduced.
FACTORS = {**SUBSAMPLINGS, "4:4:0": (2, 1)}


@dataclass(frozen=True)
class Claim:
    """What is claimed, checked.

    Parameters
    ----------
    exact : bool
        Equal to libjpeg-turbo; otherwise within the bounds of :mod:`oracles.codec.intervals`.
    qualities : tuple of int
        Ascending, in 1..100; empty if the codec takes tables alone.
    subsamplings : tuple of str
        Keys of :data:`FACTORS`.
    qtables, grey : bool
        Whether it takes tables, and images (H, W).
    multiple : int
        Sides of images are multiples of it.
    """

    exact: bool
    qualities: tuple[int, ...]
    subsamplings: tuple[str, ...]
    qtables: bool
    grey: bool
    multiple: int

    def side(self, wanted: int) -> int:
        """The smallest side on offer that is not smaller than the one wanted."""
        return -(-wanted // self.multiple) * self.multiple

    def nearest(self, quality: int) -> int:
        """The quality on offer nearest to the one wanted."""
        return min(self.qualities, key=lambda offered: abs(offered - quality))

    @property
    def settings(self) -> dict[str, float | int | str | None]:
        """The claim as a report keeps it; arguments of the judge again."""
        return {
            "exact": self.exact,
            "qualities": _runs(self.qualities),
            "subsamplings": ",".join(self.subsamplings),
            "qtables": self.qtables,
            "grey": self.grey,
            "multiple": self.multiple,
        }


def make_claim(
    *, exact: Any, qualities: Any, subsamplings: Any, qtables: Any, grey: Any, multiple: Any
) -> Claim:
    """Check what is claimed.

    Returns
    -------
    Claim

    Raises
    ------
    TypeError, ValueError
        Names the argument that is wrong.
    """
    for name, flag in (("exact", exact), ("qtables", qtables), ("grey", grey)):
        if not isinstance(flag, bool):
            raise TypeError(f"{name} must be True or False, got {flag!r}")
    if isinstance(multiple, bool) or not isinstance(multiple, int):
        raise TypeError(f"multiple must be a whole number, got {multiple!r}")
    if not 1 <= multiple <= 64:
        raise ValueError(f"multiple must lie in 1..64, got {multiple}")
    offered = _qualities(qualities)
    if not offered and not qtables:
        raise ValueError("a codec has to take qualities or qtables: nothing is left to judge")
    return Claim(exact, offered, _subsamplings(subsamplings), qtables, grey, multiple)


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function can be given a keyword; so it seems where its signature cannot be told."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(
        p.kind is p.VAR_KEYWORD or (p.name == name and p.kind is not p.POSITIONAL_ONLY)
        for p in found
    )


def _qualities(given: str | Iterable[Any]) -> tuple[int, ...]:
    if isinstance(given, str):
        try:
            ends = [tuple(map(int, part.split("-"))) for part in given.split(",") if part]
            found = [q for each in ends for q in range(each[0], each[-1] + 1)]
        except ValueError:
            raise ValueError(
                f"qualities must read like '1-100' or '10,50,75-90', got {given!r}"
            ) from None
    else:
        try:
            found = [operator.index(q) for q in iter(given)]
        except TypeError:
            raise TypeError(f"qualities must be whole numbers in 1..100, got {given!r}") from None
    if any(not 1 <= q <= 100 for q in found):
        raise ValueError(f"qualities must lie in 1..100, got {min(found)} to {max(found)}")
    return tuple(sorted(set(found)))


def _subsamplings(given: str | Iterable[Any]) -> tuple[str, ...]:
    found = tuple(given.split(",") if isinstance(given, str) else given)
    if not found or any(name not in FACTORS for name in found):
        raise ValueError(f"subsamplings must be some of {', '.join(FACTORS)}, got {given!r}")
    return tuple(dict.fromkeys(found))


def _runs(numbers: tuple[int, ...]) -> str:
    """``1-3,7`` for 1, 2, 3, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{a}-{b}" if b > a else f"{a}" for a, b in runs)
