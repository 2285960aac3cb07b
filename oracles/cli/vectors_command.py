"""``jpegdl vectors``: write, check and use the golden vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oracles.cli.targets import DTYPES, Options, candidates, one_of

if TYPE_CHECKING:
    from oracles.report import Report

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Golden vectors: write, check, judge by them.")


@app.command()
def write(
    directory: Annotated[Path, typer.Argument(help="where to write the files")] = Path("vectors"),
    reuse: Annotated[
        Path | None,
        typer.Option(help="a set whose results are taken over where the inputs are the same"),
    ] = None,
) -> None:
    """Compute the conformance set anew: the same bytes every time, in some minutes.

    After a change of tolerances, --reuse with the old set takes seconds.
    """
    from oracles.vectors.writing import write as write_files

    try:
        with _progress("computing with mpmath") as told:
            files = write_files(directory, told, reuse=reuse)
    except (OSError, ValueError) as error:
        typer.echo(f"vectors write: {error}", err=True)
        raise typer.Exit(2) from None
    for file in files:
        typer.echo(f"{file}  {file.stat().st_size} bytes")


@app.command()
def check(
    directory: Annotated[
        Path | None, typer.Argument(help="where the files are [default: those shipped]")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="recompute every vector")] = False,
    sample: Annotated[int, typer.Option(help="how many vectors to recompute")] = 50,
    seed: Annotated[int, typer.Option(help="seed of that sample")] = 0,
    target: Annotated[
        str, typer.Option(help="package.module:function to judge; called as by jpegdl verify")
    ] = "",
    command: Annotated[str, typer.Option(help="program to judge: called with two .npz files")] = "",
    contract: Annotated[str, typer.Option(help="quantizer or layer")] = "quantizer",
    style: Annotated[str, typer.Option(help="how TARGET is called: auto, torch or numpy")] = "auto",
    window: Annotated[
        str, typer.Option(help="'full' or an odd number of levels [default: both full and 5]")
    ] = "",
    dtype: Annotated[str, typer.Option(help="float32 or float64 [default: both]")] = "",
    device: Annotated[str, typer.Option(help="torch device")] = "cpu",
    results: Annotated[
        Path | None, typer.Option(help="CSV to judge, with columns id,value,dz,dq,dalpha")
    ] = None,
) -> None:
    """Check the files; or judge by them a function, a program, or a file of results.

    Exit code 0: all is well. 1: the files are damaged, or the subject is rejected, with place and
    size of each error. 2: wrong arguments, or a file of results that cannot be read.
    """
    options = Options(target, command, contract, style, window, dtype, device=device)
    try:
        if results is not None and (target or command):
            raise ValueError("give one of --target, --command and --results")
        if target or command:
            _conclude(_judge(options, directory))
        elif results is not None:
            from oracles.vectors import verify_results

            _conclude([verify_results(results, directory=directory)])
        else:
            _check_files(directory, None if everything else sample, seed)
    except (TypeError, ValueError, OSError) as error:
        typer.echo(f"vectors check: {error}", err=True)
        raise typer.Exit(2) from None


def _judge(options: Options, directory: Path | None) -> list[Report]:
    from oracles.vectors import verify_layer_vectors, verify_vectors

    if one_of("contract", options.contract, ("quantizer", "layer")) == "quantizer":
        return [
            candidate.signed(
                verify_vectors(
                    candidate.fn,
                    window=candidate.window,
                    dtype=candidate.dtype,
                    directory=directory,
                )
            )
            for candidate in candidates(options)
        ]
    if options.window:
        raise ValueError("window is part of each layer vector: leave --window out")

    def make(dtype: str, subsampling: str, window: int | None) -> Any:
        wanted = "full" if window is None else str(window)
        chosen = replace(options, dtype=dtype, subsampling=subsampling, window=wanted)
        return next(candidates(chosen)).fn

    dtypes = (options.dtype,) if options.dtype else DTYPES
    return [
        verify_layer_vectors(partial(make, dtype), dtype=dtype, directory=directory)
        for dtype in dtypes
    ]


def _conclude(reports: list[Report]) -> None:
    for report in reports:
        report.print()
    raise typer.Exit(0 if all(report.passed for report in reports) else 1)


def _check_files(directory: Path | None, sample: int | None, seed: int) -> None:
    from oracles.vectors.integrity import check_set

    with _progress("recomputing with mpmath") as told:
        found = check_set(directory, sample=sample, seed=seed, progress=told)
    for problem in found.problems:
        typer.echo(problem)
    verdict = "sound" if found.passed else "DAMAGED"
    typer.echo(f"{verdict}: {found.recomputed} of {found.total} vectors recomputed")
    raise typer.Exit(0 if found.passed else 1)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    # On stderr: what is written to stdout can be piped.
    with Progress(console=Console(stderr=True)) as bar:
        task: Any = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
