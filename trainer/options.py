"""Options of a run as text: ``field=value``, and what each one means."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, get_type_hints

from trainer._checks import nearest
from trainer.config import TrainConfig

KINDS: dict[str, Any] = get_type_hints(TrainConfig)
"""Type of each option."""
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def explanations() -> dict[str, str]:
    """What each option means: its paragraph in the docstring of ``TrainConfig``."""
    section = (
        (TrainConfig.__doc__ or "").partition("----------\n")[2].partition("\n\n    Raises")[0]
    )
    found: dict[str, str] = {}
    for entry in re.split(r"\n    (?=\S)", "\n" + section.removeprefix("    ")):
        names, _, text = entry.strip().partition("\n")
        for name in names.split(", "):
            found[name] = " ".join(text.replace("`", "").split())
    return found


def parse_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Options from ``field=value`` texts.

    Values are written as in Python without quotes: ``none`` for None, ``true`` and ``false``,
    ``150,180,210`` for several numbers.

    Raises
    ------
    ValueError
        If a text has no "=", a field is unknown (the message has the nearest name) or comes
        twice, or a value cannot be read.
    """
    fields: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise ValueError(f"options have the form field=value, got {text!r}")
        if name not in KINDS:
            raise ValueError(f"there is no option {name!r}{nearest(name, KINDS)}")
        if name in fields:
            raise ValueError(f"{name} was given twice")
        fields[name] = parse_value(name, value.strip())
    return fields


def parse_value(name: str, text: str) -> Any:
    """The value of an option, read by the option's type.

    Raises
    ------
    ValueError
        If the text is no such value.
    """
    kind = KINDS[name]
    optional = "None" in str(kind)
    if optional and text.lower() == "none":
        return None
    if kind is bool:
        return _flag(name, text)
    if kind == tuple[int, ...]:
        parts = [part for part in text.strip("()[]").split(",") if part.strip()]
        return tuple(int(_number(name, int, part)) for part in parts)
    for number in (int, float):
        if kind in (number, number | None):
            return _number(name, number, text)
    return text


def _flag(name: str, text: str) -> bool:
    if text.lower() in _TRUE + _FALSE:
        return text.lower() in _TRUE
    raise ValueError(f"{name} must be true or false, got {text!r}")


def _number(name: str, kind: type, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name} must be {what}, got {text!r}") from None
