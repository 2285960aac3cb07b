"""An evaluation with its progress and its result on a console."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import rich.progress
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from trainer.codec_evaluation.picture_sweep import Progress

# Seconds without a line after which a log gets one.
_QUIET = 60.0


def on_console(
    work: Callable[[Progress], object], page: Path, *, console: Console | None = None
) -> None:
    """Work with a bar on a terminal, or a line a minute anywhere else; then its page.

    Parameters
    ----------
    work
        Is given what is to be told how it gets on.
    page
        Markdown file that it leaves; a table and a figure stand beside it.
    console
        Standard output by default.
    """
    console = console or Console()
    bar = rich.progress.Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=console,
        disable=not console.is_terminal,
    )
    job = bar.add_task("starting", total=None)
    said = time.monotonic()

    def show(what: str, *, done: int, total: int) -> None:
        nonlocal said
        if not console.is_terminal and time.monotonic() - said >= _QUIET:
            said = time.monotonic()
            _say(console, f"{what} ({100 * done / total:.0f} % of the work)")
        bar.update(job, description=what, completed=done, total=total)

    with bar:
        work(show)
    _say(console, page.read_text(encoding="utf-8"))
    _say(console, f"table and figure: {page.with_suffix('.csv')}, {page.with_suffix('.png')}")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
