"""``jpegdl benchmark``: finds the checkout, whose folder benchmarks/ is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer


def find_checkout(*starts: Path) -> Path | None:
    """First folder, at or above one of `starts`, that holds the project with its benchmarks."""
    for start in starts:
        for folder in (start, *start.parents):
            project = folder / "pyproject.toml"
            if (
                (folder / "benchmarks" / "cli.py").is_file()
                and project.is_file()
                and 'name = "jpegdl"' in project.read_text(encoding="utf-8")
            ):
                return folder
    return None


def benchmark(
    results: Annotated[
        Path | None,
        typer.Argument(help="Result file of an earlier run. Left out: measure now (minutes)."),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Compare with the stored ratios; exit code 1 if slower."),
    ] = False,
    save_baseline: Annotated[
        bool, typer.Option("--save-baseline", help="Store these ratios for later comparisons.")
    ] = False,
    select: Annotated[
        str | None,
        typer.Option("--select", "-k", help="Measure only these, in the language of pytest -k."),
    ] = None,
) -> None:
    """Measure the speed, as ratios within one run. Needs a checkout of the repository."""
    root = find_checkout(Path(__file__).resolve().parent, Path.cwd())
    if root is None:
        typer.echo(
            "jpegdl benchmark needs a checkout of the repository: the benchmarks are not part of "
            f"the installed package, and there is no checkout at or above {Path.cwd()}. "
            "Run it inside one.",
            err=True,
        )
        raise typer.Exit(2)
    # A process of its own: nothing that is installed imports what is not.
    arguments = [str(results.resolve())] if results else []
    arguments += ["--compare"] if compare else []
    arguments += ["--save-baseline"] if save_baseline else []
    arguments += ["--select", select] if select else []
    command = [sys.executable, "-m", "benchmarks", *arguments]
    raise typer.Exit(subprocess.run(command, cwd=root, check=False).returncode)


__all__ = ["benchmark", "find_checkout"]
