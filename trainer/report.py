"""The report of a comparison: everything in it is computed from the runs' own records."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from trainer.config import TrainConfig
from trainer.loop import METRICS_FILE, TrainResult
from trainer.metrics import metrics_csv
from trainer.run_folder import write_atomically

REPORT_FILE = "report.md"
CURVES_FILE = "curves.png"
TABLES_FILE = "q_tables.png"
LABELS = {"baseline": "baseline", "jpeg-dl": "JPEG-DL"}

Runs = Mapping[str, Sequence[TrainResult]]


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1); NaN deviation for a single value."""
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, math.nan
    square = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(square / (len(values) - 1))


def write_report(folder: Path, runs: Runs) -> Path:
    """Write ``metrics.csv``, the plots and ``report.md``, if they are not there as they would be.

    Parameters
    ----------
    folder
        Of the comparison.
    runs
        Finished runs by method, in the same order of seeds.

    Returns
    -------
    Path
        Of ``report.md``. It is written last: where it is, the rest is.
    """
    report = folder / REPORT_FILE
    text = report_text(runs)
    files = [report, folder / METRICS_FILE, folder / CURVES_FILE, folder / TABLES_FILE]
    if all(file.exists() for file in files) and report.read_text() == text:
        return report
    # matplotlib takes a second to import; a second look at a finished run goes without it.
    from trainer.plots import curves_png, q_tables_png

    histories = [
        (method, run.config.seed, run.history) for method, group in runs.items() for run in group
    ]
    write_atomically(folder / METRICS_FILE, metrics_csv(histories).encode())
    write_atomically(folder / CURVES_FILE, curves_png(runs))
    write_atomically(folder / TABLES_FILE, q_tables_png(runs["jpeg-dl"]))
    write_atomically(report, text.encode())
    return report


def summarize(runs: Runs, console: Console) -> None:
    """Print the accuracies as a table."""
    seeds = [run.config.seed for run in runs["baseline"]]
    table = Table(title="validation accuracy after the last epoch, %")
    table.add_column("method")
    table.add_column("mean ± std", justify="right")
    for seed in seeds:
        table.add_column(f"seed {seed}", justify="right")
    for label, cells in _accuracy_rows(runs):
        table.add_row(label, *cells)
    console.print(table)


def _accuracy_rows(runs: Runs) -> list[tuple[str, list[str]]]:
    """One row per method, then the difference seed by seed; cells as text, in percent."""
    accuracies = {m: [100 * run.val_accuracy for run in group] for m, group in runs.items()}
    gains = [
        ours - theirs
        for ours, theirs in zip(accuracies["jpeg-dl"], accuracies["baseline"], strict=True)
    ]
    rows = [
        (LABELS[method], [_spread(values), *(f"{value:.2f}" for value in values)])
        for method, values in accuracies.items()
    ]
    gain_cells = [_spread(gains, sign="+"), *(f"{gain:+.2f}" for gain in gains)]
    return [*rows, ("difference", gain_cells)]


def _spread(values: Sequence[float], sign: str = "") -> str:
    mean, deviation = mean_and_deviation(values)
    after = "" if math.isnan(deviation) else f" ± {deviation:.2f}"
    return f"{mean:{sign}.2f}{after}"


def report_text(runs: Runs) -> str:
    """The Markdown of ``report.md``: a function of the runs alone."""
    first = runs["jpeg-dl"][0]
    seeds = [run.config.seed for run in runs["baseline"]]
    blocks = [
        "# Quickstart: the same network with and without the JPEG layer",
        f"Validation accuracy in percent after the last of {first.config.epochs} epochs "
        "(no epoch is picked by its validation accuracy); mean ± sample standard deviation over "
        f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}. "
        "Runs of one seed share initial weights, image order and augmentation.",
        _table(
            ["method", "mean ± std", *(f"seed {seed}" for seed in seeds)],
            [[label, *cells] for label, cells in _accuracy_rows(runs)],
        ),
        _verdict(runs),
        f"![training loss and validation accuracy]({CURVES_FILE})",
        "## Quantization tables",
        _tables_text(runs["jpeg-dl"]),
        f"![quantization tables before and after]({TABLES_FILE})",
        "## What was run",
        _setting_text(first),
        _times_text(runs),
        _config_table(first.config),
    ]
    return "\n\n".join(blocks) + "\n"


def _verdict(runs: Runs) -> str:
    pairs = zip(runs["jpeg-dl"], runs["baseline"], strict=True)
    gains = [100 * (ours.val_accuracy - theirs.val_accuracy) for ours, theirs in pairs]
    mean, deviation = mean_and_deviation(gains)
    within = (
        " The difference is smaller than its own standard deviation over the seeds: it settles "
        "nothing."
        if abs(mean) < deviation
        else ""
    )
    won = sum(gain > 0 for gain in gains)
    side = "above" if mean > 0 else "below"
    return (
        f"JPEG-DL is {abs(mean):.2f} points {side} the baseline on average, and ahead in "
        f"{won} of {len(gains)} seeds.{within} This is a small network on patches of a few "
        "pictures for a few epochs, not an experiment of the paper; it shows that the layer "
        "trains, not what it gains elsewhere."
    )


def _tables_text(runs: Sequence[TrainResult]) -> str:
    initial = runs[0].config.q_initial
    rows = []
    for index, plane in enumerate(("luma", "chroma")):
        for run in runs:
            assert run.q_tables is not None  # every jpeg-dl run has them
            q = run.q_tables[index].double()
            rows.append(
                [
                    plane,
                    str(run.config.seed),
                    f"{q[0, 0].item():.3f}",
                    f"{q.mean().item():.3f}",
                    f"{q.min().item():.3f}",
                    f"{q.max().item():.3f}",
                    f"{int((q > initial).sum())} / {int((q < initial).sum())}",
                ]
            )
    heading = ["table", "seed", "DC step", "mean", "smallest", "largest", "grown / shrunk"]
    return (
        f"Every step began at q = {initial:g}; Adam moved them with the learning rate "
        f"{runs[0].config.q_learning_rate:g}. The plot shows them in zigzag order, lowest "
        "frequency first.\n\n" + _table(heading, rows)
    )


def _setting_text(run: TrainResult) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    support = "full space" if run.config.window is None else f"masked, window {run.config.window}"
    return (
        f"Images: {run.origin}; {run.images[0]} for training, {run.images[1]} for validation, "
        f"{len(run.classes)} classes ({', '.join(run.classes)}). "
        f"Network: {run.parameters} parameters, and 128 quantization steps in the JPEG layer "
        f"({support} quantizer). {versions}; CPU threads: {run.config.threads}; "
        f"device: {run.config.device}."
    )


def _times_text(runs: Runs) -> str:
    parts = []
    total = 0.0
    for method, group in runs.items():
        seconds = [metrics.seconds for run in group for metrics in run.history]
        total += math.fsum(seconds)
        mean, _ = mean_and_deviation(seconds)
        parts.append(f"{LABELS[method]} {mean:.1f} s per epoch")
    return (
        f"Wall time of all epochs: {total:.0f} s ({', '.join(parts)}; other work on the machine "
        "counts in)."
    )


def _config_table(config: TrainConfig) -> str:
    values = dataclasses.asdict(config)
    del values["method"], values["seed"]  # these vary over the runs
    if values["data"] is not None:
        values["data"] = Path(values["data"]).name
    return _table(["option", "value"], [[name, str(value)] for name, value in values.items()])


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
