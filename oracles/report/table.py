"""Reports, searches and replays in the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from oracles.report import Check, Report

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod
    from rich.table import Table

    from oracles.quantizer.replay import Replay
    from oracles.quantizer.search_result import SearchResult

__all__ = ["grouped", "print_failures", "print_replay", "print_report", "print_search", "short"]

OK, FAIL = "[green]ok[/green]", "[bold red]FAIL[/bold red]"


def short(units: float) -> str:
    """Two digits: what a table has room for."""
    digits, mark, exponent = f"{units:.2g}".partition("e")
    return digits + mark + (str(int(exponent)) if mark else "")


def grouped(checks: Iterable[Check]) -> dict[str, dict[str, list[Check]]]:
    """Checks by evidence and output, in order of appearance.

    Parameters
    ----------
    checks : iterable of Check

    Returns
    -------
    dict of str to dict of str to list of Check
    """
    found: dict[str, dict[str, list[Check]]] = {}
    for check in checks:
        found.setdefault(check.evidence, {}).setdefault(check.output, []).append(check)
    return found


def print_report(report: Report, console: Console | None = None) -> None:
    """Print verdict, a table of evidence and outputs, the failures, and how to see one again.

    Parameters
    ----------
    report : Report
    console : rich.console.Console, optional
        By default standard output.
    """
    from rich.console import Console
    from rich.markup import escape

    console = console or Console()
    style = "bold green" if report.passed else "bold red"
    console.print(escape(report.headline), style=style, highlight=False)
    outputs = list(dict.fromkeys(c.output for c in report.checks if c.output != "call"))
    table = _matrix(report, outputs)
    # The last but one column may break its words over lines.
    slack = max((len(check.regime) for check in report.checks), default=0) - 9
    unlimited = console.options.update(max_width=1000)
    if console.measure(table, options=unlimited).maximum - slack > console.width:
        table = _matrix(report, [])
    console.print(table)
    for note in report.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    print_failures(report, console)


def _matrix(report: Report, outputs: list[str]) -> Table:
    """One row per evidence and one column per output; without outputs, a row for each of them."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.caption = "worst error in units of the tolerance; 1 is the limit"
    table.caption_justify = "left"
    heads = ["evidence", *(outputs or ["output", "worst"]), "points"]
    for head in heads:
        justify: JustifyMethod = "left" if head in ("evidence", "output") else "right"
        table.add_column(escape(head), justify=justify, no_wrap=bool(outputs), overflow="fold")
    table.add_column("worst in", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for evidence, members in grouped(report.checks).items():
        rows = [members] if outputs else [{output: cs} for output, cs in members.items()]
        for row in rows:
            checks = [check for column in row.values() for check in column]
            worst = max(checks, key=lambda check: (not check.passed, check.worst))
            cells = [_cell(row.get(output, [])) for output in outputs]
            table.add_row(
                escape(evidence),
                *(cells or [escape(worst.output), _cell(checks)]),
                str(sum(check.count for check in checks)),
                escape(worst.regime),
                OK if all(check.passed for check in checks) else FAIL,
            )
    return table


def print_failures(report: Report, console: Console) -> None:
    """Print the worst failure of each evidence and output, and the line that replays one.

    Parameters
    ----------
    report : Report
    console : rich.console.Console
    """
    for check in report.worst_failures:
        console.print(str(check), markup=False, highlight=False, soft_wrap=True)
    again = "" if report.passed else report.replay()
    if again:
        console.print(f"replay: {again}", markup=False, highlight=False, soft_wrap=True)


def _cell(checks: list[Check]) -> str:
    if not checks:
        return ""
    text = short(max(check.worst for check in checks))
    return text if all(check.passed for check in checks) else f"[bold red]{text}[/bold red]"


def print_replay(replay: Replay) -> None:
    """Print what a function did at one point; see :class:`oracles.quantizer.replay.Replay`."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(replay.point, markup=False, highlight=False, soft_wrap=True)
    if replay.message:
        console.print(f"contract: {replay.message}", markup=False, highlight=False, style="red")
        return
    batch = len({where.index for _, where in replay.rows}) > 1
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for name in (*(["element"] if batch else []), "output", "got", "expected"):
        table.add_column(name, overflow="fold")
    for name in ("difference", "tolerance", "units"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for output, where in replay.rows:
        table.add_row(
            *([str(where.index)] if batch else []),
            output,
            repr(where.got),
            repr(where.expected),
            f"{abs(where.got - where.expected):.3g}",
            f"{where.tolerance:.3g}",
            f"{where.units:.3g}",
            OK if where.units <= 1 else FAIL,
        )
    console.print(table)


def print_search(result: SearchResult, console: Console | None = None) -> None:
    """Print what a search found; see :class:`oracles.SearchResult`.

    Parameters
    ----------
    result : SearchResult
    console : rich.console.Console, optional
        By default standard output.
    """
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = console or Console()
    report = result.report
    style = "bold green" if report.passed else "bold red"
    console.print(escape(report.headline), style=style, highlight=False)
    outputs = list(dict.fromkeys(c.output for c in report.checks if c.output != "call"))
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.caption = "worst error found, in units of the tolerance"
    table.caption_justify = "left"
    table.add_column("regime", overflow="fold")
    for name in (*outputs, "points"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for regime in dict.fromkeys(check.regime for check in report.checks):
        members = {c.output: [c] for c in report.checks if c.regime == regime}
        checks = [check for cell in members.values() for check in cell]
        table.add_row(
            escape(regime),
            *(_cell(members.get(output, [])) for output in outputs),
            str(checks[0].count),
            OK if all(check.passed for check in checks) else FAIL,
        )
    console.print(table)
    worst = result.worst
    told = f"worst: {worst.regime}, {worst.output}, {worst.worst:.3g} x tolerance"
    detail = worst.message or str(worst.where)
    console.print(f"{told}\n       {detail}", markup=False, highlight=False, soft_wrap=True)
    if result.replay:
        console.print(f"replay: {result.replay}", markup=False, highlight=False, soft_wrap=True)
