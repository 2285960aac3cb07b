"""Markdown tables in the layout of the thesis, its printed figures under those measured here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trainer.codec_evaluation.approaches import Approach
from trainer.codec_evaluation.averages import by_range
from trainer.codec_evaluation.published import Table
from trainer.codec_evaluation.qualities import COLUMNS, RANGES, spell_qualities

Values = Callable[[str], Mapping[int, Sequence[float]]]
"""Of an approach's key: values by quality."""


@dataclass(frozen=True)
class Column:
    """A measure, which takes three columns of a table.

    Parameters
    ----------
    key
        In the published tables.
    title
        In the head of this one.
    digits
        Behind the point.
    values
        Where its values come from.
    """

    key: str
    title: str
    digits: int
    values: Values


def range_table(
    approaches: Sequence[Approach],
    columns: Sequence[Column],
    published: Table | None = None,
    *,
    first: str = "approach",
) -> list[str]:
    """Lines of a Markdown table: a row for each approach, and one in italics as printed."""
    heads = [f"{column.title} {name}" for column in columns for name in COLUMNS]
    lines = [f"| {' | '.join([first, *heads])} |", "|---" * (1 + len(heads)) + "|"]
    for approach in approaches:
        cells = [approach.title]
        for column in columns:
            means = by_range(column.values(approach.key))
            cells += [means[name].text(column.digits) for name in COLUMNS]
        lines.append(f"| {' | '.join(cells)} |")
        lines += printed_row(approach.key, columns, published)
    return lines


def printed_row(key: str, columns: Sequence[Column], published: Table | None) -> list[str]:
    """The thesis' row of an approach, if it has one."""
    found = [(column, (published or {}).get(column.key, {}).get(key)) for column in columns]
    if all(printed is None for _, printed in found):
        return []
    cells = ["*thesis*"]
    for column, printed in found:
        cells += [
            "" if printed is None else f"*{value:.{_digits(column)}f}*"
            for value in (printed or (0.0,) * len(COLUMNS))
        ]
    return [f"| {' | '.join(cells)} |"]


def _digits(column: Column) -> int:
    return 2 if column.key in ("psnr", "top1", "top5") else 3


def which_qualities(qualities: tuple[int, ...]) -> str:
    """A sentence on what stands behind the columns."""
    text = f"Qualities {spell_qualities(qualities)}."
    for name, whole in RANGES.items():
        have = len(set(whole) & set(qualities))
        if 0 < have < len(whole):
            text += f" {have} of {len(whole)} qualities stand for {name}."
    if any(set(whole) - set(qualities) for whole in RANGES.values()):
        text += " 1-99 weighs the two ranges as 10 to 89."
    if any(all(quality not in whole for whole in RANGES.values()) for quality in qualities):
        text += " Quality 100 is in no column, as in the thesis."
    return text
