"""An attack sweep with a progress bar and its result on a console."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from trainer.robustness import TEXT_FILE, Sweep, attack_runs


def attack_on_console(
    folders: Sequence[Path],
    sweep: Sweep,
    out: Path | None = None,
    *,
    console: Console | None = None,
) -> None:
    """``trainer.robustness.attack_runs`` with progress on a console; same results, same errors.

    A bar on a terminal, with the accuracy of the point at work and the time that is left; one line
    for each point anywhere else.
    """
    console = console or Console()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("accuracy {task.fields[accuracy]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=console,
        disable=not console.is_terminal,
    )
    job = bar.add_task("reading runs", total=None, accuracy="-")
    current = ""

    def show(what: str, *, done: int, total: int, accuracy: float) -> None:
        nonlocal current
        if not console.is_terminal and what != current:
            _say(console, f"{what} ({100 * done / total:.0f} % of the work)")
        current = what
        bar.update(
            job, description=what, completed=done, total=total, accuracy=f"{100 * accuracy:.1f} %"
        )

    with bar:
        attack_runs(folders, sweep, out=out, progress=show)
    path = (folders[0] if out is None else out) / TEXT_FILE
    _say(console, path.read_text())
    _say(console, f"table and figure: {path.with_suffix('.csv')}, {path.with_suffix('.png')}")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
