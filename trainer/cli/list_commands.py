"""``jpegdl recipes`` and ``jpegdl report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trainer.cli._errors import clear_errors


def recipes(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORD ...]",
            help="Only recipes whose name has all these words; table2 for those of a table.",
        ),
    ] = None,
) -> None:
    """List the experiments of the paper, each with its table and printed accuracy."""
    from trainer.recipes.listing import print_recipes

    with clear_errors():
        print_recipes(words or [])


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders, or folders that hold run folders.", metavar="RUNS..."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Markdown file to write the tables into as well.")
    ] = None,
) -> None:
    """Mean and deviation over seeds, in the layout of the paper's tables, beside its figures."""
    from trainer.paper_report import report_runs

    with clear_errors():
        report_runs(runs, out)


__all__ = ["recipes", "report"]
