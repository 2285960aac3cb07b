"""``jpegdl verify``: judge a torch soft quantizer from the command line."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from oracles.report import Report

__all__ = ["verify"]

_DTYPES = ("float32", "float64")


def verify(
    target: Annotated[
        str, typer.Argument(help="package.module:function, a torch soft quantizer")
    ] = "torch_impl:soft_quantize",
    window: Annotated[
        int | None,
        typer.Option(help="odd number of levels of the masked form [default: all levels, and 5]"),
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or float64 [default: both]")] = None,
    seed: Annotated[int, typer.Option(help="seed of the inputs")] = 0,
    budget: Annotated[str, typer.Option(help="quick or full")] = "quick",
    device: Annotated[str, typer.Option(help="torch device")] = "cpu",
) -> None:
    """Judge a soft quantizer against the reference and against identities.

    TARGET is called as function(z, q, alpha, *, max_level, window) on torch tensors; its partials
    come from autograd. Exit code 0: sound. 1: rejected, with place and size of each error.
    2: wrong arguments.
    """
    from rich.console import Console
    from rich.table import Table

    try:
        function = resolve(target)
        reports = _judge(function, window, dtype, seed, budget, device)
    except (TypeError, ValueError) as error:
        typer.echo(f"verify: {error}", err=True)
        raise typer.Exit(2) from None

    table = Table(title=f"{target} on {device}", title_justify="left")
    for name in ("support", "dtype", "checks", "failed", "worst / tolerance", "rejected by"):
        table.add_column(name)
    table.add_column("verdict")
    for support, kind, report in reports:
        table.add_row(
            support,
            kind,
            str(len(report.checks)),
            str(len(report.failures)),
            f"{report.worst:.3g}",
            ", ".join(report.evidence(failed=True)),
            "[green]passed[/green]" if report.passed else "[bold red]FAILED[/bold red]",
        )
    Console().print(table)
    failed = [report for _, _, report in reports if not report.passed]
    for report in failed:
        report.print()
    raise typer.Exit(1 if failed else 0)


def resolve(target: str) -> Any:
    """Import ``package.module:function``, the working directory included.

    Parameters
    ----------
    target : str
        What to import.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        If there is no such module or function.
    TypeError
        If it is not callable.
    """
    module_name, separator, name = target.partition(":")
    if not (module_name and separator and name):
        raise ValueError(f"target must be package.module:function, got {target!r}")
    here = str(Path.cwd())
    if here not in sys.path:
        # A console script does not see the directory it is called from.
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(f"cannot import module {module_name!r}: {error}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"module {module_name!r} has no {name!r}")
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{target!r} is not callable but {type(found).__name__}")
    return found


def _judge(
    function: Any, window: int | None, dtype: str | None, seed: int, budget: str, device: str
) -> list[tuple[str, str, Report]]:
    from oracles.adapters import torch_soft_quantizer
    from oracles.quantizer import verify_soft_quantizer

    reports = []
    for width in (None, 5) if window is None else (window,):
        for kind in _DTYPES if dtype is None else (dtype,):
            if kind not in _DTYPES:
                raise ValueError(f"dtype must be 'float32' or 'float64', got {kind!r}")
            fn = torch_soft_quantizer(function, window=width, dtype=kind, device=device)
            report = verify_soft_quantizer(fn, window=width, dtype=kind, seed=seed, budget=budget)
            reports.append(("all levels" if width is None else f"window {width}", kind, report))
    return reports
