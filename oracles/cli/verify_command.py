"""``jpegdl verify``: judge an implementation from the command line."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oracles.cli.targets import CONTRACTS, Candidate, Options, candidates, resolve, seconds

if TYPE_CHECKING:
    from rich.console import Console

    from oracles.report import Report

__all__ = ["resolve", "verify"]

#: Told what is being done, how much is done, and how much there is.
_Told = Callable[[str, int, int], None]


def verify(
    target: Annotated[
        str, typer.Argument(help="package.module:function [default: of torch_impl]")
    ] = "",
    contract: Annotated[str, typer.Option(help=f"one of {', '.join(CONTRACTS)}")] = "quantizer",
    style: Annotated[
        str, typer.Option(help="how TARGET is called: auto, torch or numpy (the contract's form)")
    ] = "auto",
    command: Annotated[
        str, typer.Option(help="judge a program instead of TARGET: called with two .npz files")
    ] = "",
    timeout: Annotated[float, typer.Option(help="seconds for one call of --command")] = 60.0,
    window: Annotated[
        str,
        typer.Option(help="'full' or an odd number of levels [default: both full and 5]"),
    ] = "",
    subsampling: Annotated[
        str,
        typer.Option(
            help="4:4:4, 4:2:2 or 4:2:0 [default: of a layer 4:4:4, of a codec all,"
            " of diff_jpeg 4:2:0]"
        ),
    ] = "",
    dtype: Annotated[str, typer.Option(help="float32 or float64 [default: both]")] = "",
    seed: Annotated[int, typer.Option(help="seed of the inputs")] = 0,
    budget: Annotated[str, typer.Option(help="quick or full")] = "quick",
    device: Annotated[str, typer.Option(help="torch device")] = "cpu",
    compiled: Annotated[
        bool, typer.Option("--compile", help="run a torch function under torch.compile")
    ] = False,
    kind: Annotated[
        str, typer.Option(help="of a rounding, a floor or diff_jpeg: cubic, linear, fourier ...")
    ] = "cubic",
    straight_through: Annotated[
        bool, typer.Option("--straight-through", help="their form with the value of true rounding")
    ] = False,
    search: Annotated[
        str, typer.Option(help="then search for the worst input: 60s, 2m, 500ms in all")
    ] = "",
    replay: Annotated[
        str, typer.Option(help="only call at 'z=... q=... alpha=... max_level=...'")
    ] = "",
    json: Annotated[Path | None, typer.Option(help="write the reports, an array")] = None,
    html: Annotated[Path | None, typer.Option(help="write the reports, one page")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="print only what failed")] = False,
) -> None:
    """Judge an implementation against the reference and against identities.

    A torch TARGET is called as function(z, q, alpha, *, max_level, window) on tensors and its
    partials come from autograd; a NumPy TARGET as function(z, q, alpha, max_level) and gives
    value and partials itself. A codec takes images, *, quality or qtables, subsampling; as an
    array, image. A differentiable JPEG takes images, *, quality or qtables; a NumPy one images,
    quality, qtables, grad_output, and gives value and gradients. Exit code 0: sound. 1:
    rejected, with place and size of each error. 2: wrong arguments.
    """
    from rich.console import Console

    options = Options(
        target,
        command,
        contract,
        style,
        window,
        dtype,
        subsampling,
        device,
        seed,
        budget,
        timeout,
        compiled,
        kind,
        straight_through,
    )
    console = Console(quiet=quiet)
    try:
        if replay:
            raise typer.Exit(_replay(options, replay, search))
        duration = seconds(search) if search else 0.0
        if search and contract != "quantizer":
            raise ValueError(f"search knows the contract quantizer only, got {contract!r}")
        found = list(candidates(options))
        reports = _judge(found, console)
        if duration:
            reports += _search(found, duration, console)
        _write(reports, json, html)
    except (TypeError, ValueError, OSError) as error:
        typer.echo(f"verify: {error}", err=True)
        raise typer.Exit(2) from None
    failed = [report for report in reports if not report.passed]
    if quiet:
        for report in failed:
            typer.echo(report.headline)
            typer.echo(f"replay: {report.replay()}")
    raise typer.Exit(1 if failed else 0)


def _judge(found: list[Candidate], console: Console) -> list[Report]:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from oracles.report.table import FAIL, OK, print_report, short

    reports = []
    with _progress(console) as told:
        for number, candidate in enumerate(found):
            told(f"judging {candidate.name}", number, len(found))
            reports.append(candidate.judge())
    settings = found[0].settings
    title = str(settings.get("target", settings.get("command")))
    table = Table(title=escape(title), box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.title_justify = "left"
    table.add_column("support, dtype", no_wrap=True)
    for name in ("checks", "failed", "worst"):
        table.add_column(name, justify="right")
    table.add_column("rejected by", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for candidate, report in zip(found, reports, strict=True):
        table.add_row(
            candidate.name,
            str(len(report.checks)),
            str(len(report.failures)),
            short(report.worst),
            escape(", ".join(report.evidence(failed=True))),
            OK if report.passed else FAIL,
        )
    console.print(table)
    for report in reports:
        if not report.passed:
            print_report(report, console)
    return reports


def _search(found: list[Candidate], duration: float, console: Console) -> list[Report]:
    from oracles.quantizer.search import search_worst
    from oracles.quantizer.search_result import SearchResult
    from oracles.report.table import print_search

    reports = []
    for number, candidate in enumerate(found):
        with _progress(console) as told:
            tell = functools.partial(_tell_regime, told, candidate.name, number, len(found))
            result = search_worst(
                candidate.fn,
                window=candidate.window,
                dtype=candidate.dtype,
                seconds=duration / len(found),
                seed=candidate.options.seed,
                progress=tell,
            )
        report = candidate.signed(result.report)
        print_search(SearchResult(report), console)
        reports.append(report)
    return reports


def _tell_regime(
    told: _Told, name: str, number: int, candidates: int, regime: str, done: int, total: int
) -> None:
    told(f"searching {name}: {regime}", number * total + done, candidates * total)


def _replay(options: Options, point: str, search: str) -> int:
    from oracles.quantizer.replay import replay_point

    if options.contract != "quantizer" or search:
        raise ValueError("replay knows the contract quantizer only, and does not search")
    chosen = replace(options, window=options.window or "full", dtype=options.dtype or "float32")
    (candidate,) = candidates(chosen)
    result = replay_point(candidate.fn, point, window=candidate.window, dtype=candidate.dtype)
    typer.echo(f"{candidate.settings.get('target', options.command)}, {candidate.name}")
    result.print()
    return 0 if result.passed else 1


def _write(reports: list[Report], json: Path | None, html: Path | None) -> None:
    if json is not None:
        from oracles.report.json import write_all

        json.write_text(write_all(reports), encoding="utf-8")
    if html is not None:
        from oracles.report.html import write_page

        html.write_text(write_page(reports), encoding="utf-8")


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[_Told]:
    """A line on a terminal that shows what is being done; nothing elsewhere."""
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    terminal = Terminal(stderr=True)
    columns: tuple[Any, ...] = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
    )
    hidden = console.quiet or not terminal.is_terminal
    with Progress(*columns, console=terminal, transient=True, disable=hidden) as progress:
        task = progress.add_task("", total=None)

        def told(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield told
