"""Runs on a console, and the quickstart: one network with and without the JPEG layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from rich.console import Console

from trainer.config import METHODS, TrainConfig
from trainer.data import load_data
from trainer.loop import TrainResult, read_run, train
from trainer.processes import processes
from trainer.progress import ConsoleListener
from trainer.report import REPORT_FILE, summarize, write_report
from trainer.run_folder import prepare_folder


@dataclass(frozen=True)
class QuickstartResult:
    """The runs of a comparison.

    Parameters
    ----------
    runs
        By method ("baseline", "jpeg-dl"), one per seed, in the order of the seeds.
    report
        Path of ``report.md``.
    """

    runs: dict[str, tuple[TrainResult, ...]]
    report: Path


def quickstart(
    run_dir: str | Path = "runs/quickstart",
    *,
    seeds: Sequence[int] = (0, 1, 2),
    config: TrainConfig | None = None,
    console: Console | None = None,
) -> QuickstartResult:
    """Train baseline and JPEG-DL for each seed and report both, whoever wins.

    Run again after an interruption, it goes on after the last finished epoch; run again after
    the end, it prints the result and trains nothing.

    Parameters
    ----------
    run_dir
        One folder per run inside it, and ``report.md``, ``metrics.csv``, ``curves.png``,
        ``q_tables.png``.
    seeds
        Different numbers >= 0; those of the weights, the order and the augmentation. The images
        are the same for all.
    config
        Options of every run; its ``recipe``, ``method`` and ``seed`` are replaced.
    console
        Where progress and result are printed.

    Returns
    -------
    QuickstartResult

    Raises
    ------
    ValueError
        If there are no seeds, or one twice.
    TrainerError
        As ``trainer.train``. Folders and checkpoints of all runs are checked before the first
        one trains.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must be one or more different numbers, got {list(seeds)}")
    folder, console = Path(run_dir), console or _console()
    base = config or TrainConfig()
    plan = [
        dataclasses.replace(base, recipe=None, method=method, seed=seed)
        for seed in seeds
        for method in METHODS
    ]
    results = _train_all([(run, folder / run.name) for run in plan], folder, console)
    runs = {
        method: tuple(run for run in results if run.config.method == method) for method in METHODS
    }
    # The other processes have read the same runs; one writes.
    report = write_report(folder, runs) if processes().rank == 0 else folder / REPORT_FILE
    summarize(runs, console)
    console.print(f"report: {report}", highlight=False, soft_wrap=True)
    return QuickstartResult(runs, report)


def train_on_console(
    config: TrainConfig, run_dir: str | Path, *, console: Console | None = None
) -> TrainResult:
    """``trainer.train`` with progress and result on a console; same results, same errors."""
    folder, console = Path(run_dir), console or _console()
    (result,) = _train_all([(config, folder)], folder, console)
    console.print(
        f"validation accuracy after {config.epochs} epochs: {100 * result.val_accuracy:.2f} %; "
        f"checkpoint and metrics are in {folder}",
        highlight=False,
        soft_wrap=True,
    )
    return result


def _console() -> Console:
    """The terminal, for the first of several processes."""
    return Console(quiet=processes().rank > 0)


def _train_all(
    plan: list[tuple[TrainConfig, Path]], folder: Path, console: Console
) -> list[TrainResult]:
    """Bring every run of a plan to its end, with one progress bar over the steps that are left."""
    found = [read_run(run_dir, config) for config, run_dir in plan]
    prepare_folder(folder)
    if all(run is not None and run.finished for run in found):
        return [run for run in found if run is not None]
    data = load_data(plan[0][0])
    steps = 0
    for (config, _), done in zip(plan, found, strict=True):
        total = config.epochs * (len(data.train_labels) // config.batch_size)
        steps += total - (0 if done is None else done.step)
    # Before the bar stands in for the terminal: what logs to it keeps what it finds there.
    import_module("trainer.training_run")
    with ConsoleListener(console, steps) as listener:
        return [train(config, run, data=data, listener=listener) for config, run in plan]
