"""Qualities as a command line gives them, and the ranges that the thesis averages over."""

from __future__ import annotations

import re

HIGHEST = 100
RANGES = {"1-10": range(1, 11), "11-99": range(11, 100)}
"""Strong and weak compression. The thesis leaves 100 out."""
WHOLE_RANGE = "1-99"
COLUMNS = (WHOLE_RANGE, *RANGES)
"""Columns of Tables 5.1 to 5.7."""


def parse_qualities(text: str) -> tuple[int, ...]:
    """Whole qualities and ranges of them, both ends included.

    Parameters
    ----------
    text
        Such as "1-10,50,90".

    Returns
    -------
    tuple of int
        Increasing, without repetition, in 1 to 100.

    Raises
    ------
    ValueError
        If the text is something else.
    """
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,3})\s*(?:-\s*(\d{1,3})\s*)?", part, re.ASCII)
        low, high = (0, 0) if match is None else (int(match[1]), int(match[2] or match[1]))
        if not 1 <= low <= high <= HIGHEST:
            raise ValueError(
                f"qualities must be whole numbers and increasing ranges in 1 to {HIGHEST}, such as "
                f"1-10,50,90; got {part.strip()!r} in {text!r}"
            )
        found.update(range(low, high + 1))
    return tuple(sorted(found))


def spell_qualities(qualities: tuple[int, ...]) -> str:
    """The text that `parse_qualities` reads, as short as it can be."""
    parts: list[str] = []
    start = 0
    for place in range(1, len(qualities) + 1):
        if place == len(qualities) or qualities[place] != qualities[place - 1] + 1:
            low, high = qualities[start], qualities[place - 1]
            parts.append(f"{low}" if low == high else f"{low}-{high}")
            start = place
    return ",".join(parts)
