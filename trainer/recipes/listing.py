"""``jpegdl recipes``: the experiments as a table on the console."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from trainer._checks import nearest
from trainer.recipes import PUBLISHED, RECIPES, tables_of


def printed_accuracy(name: str) -> str:
    """What the paper prints for a recipe: mean ± std in percent, or nothing."""
    for cell in PUBLISHED:
        if cell.recipe == name and cell.mean is not None:
            return f"{cell.mean:.2f}" + ("" if cell.std is None else f" ± {cell.std:.2f}")
    return ""


def select_recipes(words: Sequence[str]) -> list[str]:
    """Names that hold every word; "table2" stands for the recipes of that table.

    Raises
    ------
    ValueError
        If there is none.
    """
    found = [name for name in RECIPES if all(_fits(name, word.lower()) for word in words)]
    if not found:
        parts = {part for name in RECIPES for part in (name, *name.split("-"))}
        parts |= {f"table{number}" for name in RECIPES for number in tables_of(name)}
        hint = "".join(nearest(word, parts) for word in words)
        raise ValueError(f"no recipe has all of: {' '.join(words)}{hint}")
    return found


def _fits(name: str, word: str) -> bool:
    number = word.removeprefix("table")
    if word.startswith("table") and number.isdecimal():
        return int(number) in tables_of(name)
    return word in name


def print_recipes(words: Sequence[str], console: Console | None = None) -> None:
    """Print the recipes whose names hold all `words`; every one if there are none."""
    names = select_recipes(words)
    table = Table(caption="train one: jpegdl train RECIPE --data PATH \\[field=value ...]")
    table.add_column("recipe", no_wrap=True)
    table.add_column("table", justify="right")
    table.add_column("epochs", justify="right")
    table.add_column("paper, %", justify="right")
    for name in names:
        tables = ", ".join(str(number) for number in tables_of(name))
        table.add_row(name, tables, str(RECIPES[name]().epochs), printed_accuracy(name))
    (console or Console()).print(table)
