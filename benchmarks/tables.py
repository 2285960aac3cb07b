"""The tables that a reader sees."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table

from benchmarks.compare import THRESHOLD, Comparison, Row, Status
from benchmarks.ratios import Kind, Ratio, digits
from benchmarks.results import Results

#: Columns of text; a narrower terminal wraps the lines, and nothing is cut off.
TABLE_WIDTH = 144

_STYLES = {
    Status.REGRESSION: "bold red",
    Status.MISSING: "yellow",
    Status.NEW: "cyan",
    Status.FASTER: "green",
}


def seconds_text(seconds: float) -> str:
    """A time with three digits and its unit."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def results_table(results: Results) -> Table:
    """Every ratio of a run, with its quartiles and the goal."""
    table = Table(
        title=f"{results.device}: ratios measured in this run",
        box=SIMPLE_HEAD,
        title_justify="left",
    )
    for heading in ("measured, and against what", "time", "ratio", "quartiles", "goal, note"):
        right = heading in ("time", "ratio", "quartiles")
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    previous = None
    for ratio in results.ratios:
        if ratio.name != previous:
            table.add_row(ratio.name, _amount(ratio, ratio.seconds), style="bold")
        previous = ratio.name
        table.add_row(
            f"  {ratio.against}",
            _amount(ratio, ratio.against_seconds),
            ratio.kind.text(ratio.value),
            _spread(ratio),
            ", ".join(text for text in (_goal(ratio), ratio.note) if text),
        )
    return table


def _amount(ratio: Ratio, value: float) -> str:
    return f"{value / 1e6:.3g} MB" if ratio.kind is Kind.MEMORY else seconds_text(value)


def _spread(ratio: Ratio) -> str:
    if ratio.low == ratio.high:
        return "one round" if ratio.pairs == 1 else "-"
    if ratio.kind in (Kind.SHARE, Kind.OVERHEAD):
        return f"{ratio.low:.1%} .. {ratio.high:.1%}"
    return f"{digits(ratio.low)} .. {digits(ratio.high)}"


def _goal(ratio: Ratio) -> str:
    if ratio.goal is None:
        return ""
    limit = ">=" if ratio.kind.more_is_better else "<="
    percent = ratio.kind in (Kind.SHARE, Kind.OVERHEAD)
    goal = f"{ratio.goal:.0%}" if percent else f"{ratio.goal:g}x"
    if ratio.goal_met:
        return f"{limit} {goal}: [green]met[/]"
    return f"{limit} {goal}: [red]MISSED[/]"


def comparison_table(comparison: Comparison, *, hide_missing: bool = False) -> Table:
    """Each ratio, stored and now, and how much longer the candidate takes."""
    table = Table(
        title=f"{comparison.device}: this run against the stored ratios",
        box=SIMPLE_HEAD,
        title_justify="left",
    )
    table.add_column("figure")
    table.add_column("stored", justify="right", no_wrap=True)
    table.add_column("now", justify="right", no_wrap=True)
    table.add_column("takes", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in comparison.rows:
        if hide_missing and row.status is Status.MISSING:
            continue
        table.add_row(
            row.key.partition(": ")[2],
            _value(row.stored),
            _value(row.now),
            _change(row),
            "" if row.status is Status.SAME else str(row.status),
            style=_STYLES.get(row.status),
        )
    return table


def _value(ratio: Ratio | None) -> str:
    return "-" if ratio is None else ratio.kind.text(ratio.value)


def _change(row: Row) -> str:
    return "-" if row.slower is None else f"{row.slower:+.0%}"


def verdict(comparison: Comparison, *, hide_missing: bool = False) -> str:
    """What the comparison comes to, in lines of text."""
    lines = [f"{comparison.device}: {remark}" for remark in comparison.remarks]
    counts = {
        status: sum(row.status is status for row in comparison.rows)
        for status in (Status.MISSING, Status.NEW)
    }
    if counts[Status.MISSING] and not hide_missing:
        lines.append(
            f"{comparison.device}: {counts[Status.MISSING]} stored figures were not measured"
        )
    if counts[Status.NEW]:
        lines.append(
            f"{comparison.device}: {counts[Status.NEW]} figures are not stored: "
            "record them with jpegdl benchmark --save-baseline"
        )
    lines += [f"{comparison.device}: no figure from {name}" for name in comparison.failed]
    slower = len(comparison.regressions)
    lines.append(
        f"{comparison.device}: {slower} of {len(comparison.rows)} figures more than "
        f"{THRESHOLD:.0%} slower than stored"
    )
    return "\n".join(lines)


def render(
    items: Iterable[RenderableType], width: int = TABLE_WIDTH, *, color: bool = False
) -> str:
    """Text of tables, for a place that is not a rich console."""
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
    )
    for item in items:
        console.print(item)
    return stream.getvalue()


__all__ = ["TABLE_WIDTH", "comparison_table", "render", "results_table", "seconds_text", "verdict"]
