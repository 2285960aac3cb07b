"""The quickstart and its report: every number in it comes from the runs."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from reference.standard import ZIGZAG
from trainer import (
    CheckpointError,
    RunFolderError,
    TrainConfig,
    comparison,
    plots,
    quickstart,
    train,
)
from trainer.comparison import QuickstartResult, train_on_console
from trainer.loop import TrainResult
from trainer.metrics import EpochMetrics
from trainer.progress import ConsoleListener
from trainer.report import mean_and_deviation, report_text

SEEDS = (0, 1)


def _console(**options: Any) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=120, **options), text


def _run(folder: Path, config: TrainConfig) -> tuple[QuickstartResult, str]:
    console, text = _console()
    return quickstart(folder, seeds=SEEDS, config=config, console=console), text.getvalue()


@pytest.fixture(scope="module")
def small(image_folder: Path) -> TrainConfig:
    return TrainConfig(dataset="folder", data=str(image_folder), epochs=2, batch_size=8, width=2)


@pytest.fixture(scope="module")
def done(
    small: TrainConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, QuickstartResult, str]:
    """Folder, result and output of a finished comparison."""
    folder = tmp_path_factory.mktemp("quickstart")
    return folder, *_run(folder, small)


def _table_without_times(folder: Path) -> list[list[str]]:
    return [row[:-1] for row in csv.reader((folder / "metrics.csv").read_text().splitlines())]


def test_the_table_of_metrics_is_complete(done: tuple[Path, QuickstartResult, str]) -> None:
    folder, result, _ = done
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    key = [(row["method"], int(row["seed"]), int(row["epoch"])) for row in rows]
    assert key == [(m, s, e) for m in ("baseline", "jpeg-dl") for s in SEEDS for e in (1, 2)]
    for row in rows:
        metrics = result.runs[row["method"]][int(row["seed"])].history[int(row["epoch"]) - 1]
        for field in dataclasses.fields(EpochMetrics):
            value = getattr(metrics, field.name)
            cell = row[field.name]
            assert (cell == "") if value is None else (float(cell) == value), field.name


def test_all_files_are_there_and_none_half_written(
    done: tuple[Path, QuickstartResult, str],
) -> None:
    folder, result, _ = done
    assert {entry.name for entry in folder.iterdir()} == {
        *(f"{method}-seed{seed}" for method in ("baseline", "jpeg-dl") for seed in SEEDS),
        "metrics.csv",
        "report.md",
        "curves.png",
        "q_tables.png",
    }
    assert result.report == folder / "report.md"
    for name in ("curves.png", "q_tables.png"):
        image = np.array(Image.open(folder / name).convert("RGB"))
        assert min(image.shape[:2]) > 400
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 50


def test_a_second_run_only_prints_the_result(
    done: tuple[Path, QuickstartResult, str], small: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, first, _ = done
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}

    def no_work(*_: object) -> None:
        raise AssertionError("a finished comparison went on")

    monkeypatch.setattr(comparison, "load_data", no_work)
    result, output = _run(folder, small)
    accuracy = 100 * first.runs["jpeg-dl"][1].val_accuracy
    assert f"{accuracy:.2f}" in output
    assert str(folder / "report.md") in output
    assert result.runs["baseline"][0].history == first.runs["baseline"][0].history
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("lost", ["report.md", "curves.png", "metrics.csv"])
def test_a_lost_file_is_written_again(
    lost: str, done: tuple[Path, QuickstartResult, str], small: TrainConfig
) -> None:
    folder = done[0]
    before = (folder / lost).read_bytes()
    (folder / lost).unlink()
    _run(folder, small)
    assert (folder / lost).read_bytes() == before


def test_an_interrupted_comparison_goes_on_and_ends_the_same(
    done: tuple[Path, QuickstartResult, str],
    small: TrainConfig,
    tmp_path: Path,
    interrupt_at: Callable[[int], Any],
    interruption: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 4 runs of 2 epochs of 3 steps: cut in the first epoch, then within the third run.
    for step in (2, 14):
        saboteur = interrupt_at(step)

        def on_step(self: object, *event: Any, saboteur: Any = saboteur) -> None:
            saboteur.on_step(*event)

        with monkeypatch.context() as patch:
            patch.setattr(ConsoleListener, "on_step", on_step)
            with pytest.raises(interruption):
                _run(tmp_path, small)
        assert not (tmp_path / "report.md").exists()
    _, output = _run(tmp_path, small)
    assert "baseline-seed1: resumed after epoch" not in output  # was cut in its first epoch
    assert _table_without_times(tmp_path) == _table_without_times(done[0])


def test_faults_in_any_run_folder_stop_the_comparison_before_training(
    done: tuple[Path, QuickstartResult, str], small: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = done[0]
    monkeypatch.setattr(comparison, "train", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(RunFolderError, match="epochs was 2, now 3"):
        _run(folder, dataclasses.replace(small, epochs=3))
    path = folder / "jpeg-dl-seed1" / "checkpoint.safetensors"
    sound = path.read_bytes()
    path.write_bytes(sound[:-1])
    with pytest.raises(CheckpointError, match="jpeg-dl-seed1"):
        _run(folder, small)
    path.write_bytes(sound)


@pytest.mark.parametrize("seeds", [(), (0, 0)])
def test_seeds_must_be_different_numbers(
    seeds: tuple[int, ...], small: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="seeds must be"):
        quickstart(tmp_path, seeds=seeds, config=small)


def _made_run(method: str, seed: int, accuracy: float) -> TrainResult:
    is_jpeg = method == "jpeg-dl"
    metrics = EpochMetrics(
        epoch=1,
        step=10,
        learning_rate=0.05,
        q_learning_rate=0.003 if is_jpeg else None,
        train_loss=1.5,
        train_accuracy=0.4,
        val_loss=1.6,
        val_accuracy=accuracy,
        q_min=0.25 if is_jpeg else None,
        q_mean=1.0 if is_jpeg else None,
        q_max=2.5 if is_jpeg else None,
        seconds=2.0 + seed,
    )
    q = torch.ones(2, 8, 8)
    q[0, 0, 1], q[1, 7, 7] = 1.5 + seed, 0.25
    return TrainResult(
        config=TrainConfig(method=method, seed=seed, epochs=1),
        history=(metrics,),
        q_tables=q if is_jpeg else None,
        parameters=123,
        classes=("a", "b"),
        origin="made",
        images=(10, 4),
        versions={"torch": "0"},
    )


def _made_runs(baseline: list[float], ours: list[float]) -> dict[str, tuple[TrainResult, ...]]:
    return {
        "baseline": tuple(_made_run("baseline", s, a) for s, a in enumerate(baseline)),
        "jpeg-dl": tuple(_made_run("jpeg-dl", s, a) for s, a in enumerate(ours)),
    }


def test_the_report_says_what_the_runs_say_whoever_wins() -> None:
    text = report_text(_made_runs([0.80, 0.82, 0.81], [0.79, 0.80, 0.83]))
    assert "| baseline | 81.00 ± 1.00 | 80.00 | 82.00 | 81.00 |" in text
    assert "| JPEG-DL | 80.67 ± 2.08 | 79.00 | 80.00 | 83.00 |" in text
    assert "| difference | -0.33 ± 2.08 | -1.00 | -2.00 | +2.00 |" in text
    assert "JPEG-DL is 0.33 points below the baseline on average, and ahead in 1 of 3" in text
    assert "it settles nothing" in text
    assert "settles" not in report_text(_made_runs([0.80, 0.82, 0.81], [0.70, 0.72, 0.72]))
    assert "Wall time of all epochs: 18 s (baseline 3.0 s per epoch, JPEG-DL 3.0 s" in text
    assert "| luma | 1 | 1.000 | 1.023 | 1.000 | 2.500 | 1 / 0 |" in text
    assert "| chroma | 2 | 1.000 | 0.988 | 0.250 | 1.000 | 0 / 1 |" in text
    swapped = report_text(_made_runs([0.79, 0.80, 0.83], [0.80, 0.82, 0.81]))
    assert "JPEG-DL is 0.33 points above the baseline on average, and ahead in 2 of 3" in swapped


def test_the_report_shows_every_option() -> None:
    runs = _made_runs([0.5], [0.5])
    text = report_text(runs)
    for field in dataclasses.fields(TrainConfig):
        if field.name not in ("method", "seed"):
            value = getattr(runs["jpeg-dl"][0].config, field.name)
            assert f"| {field.name} | {value} |" in text
    assert "| baseline | 50.00 | 50.00 |" in text  # one seed has no deviation


def test_mean_and_deviation_are_those_of_the_standard_library() -> None:
    values = [0.1, 0.7, 0.4, 1e-9]
    mean, deviation = mean_and_deviation(values)
    assert mean == pytest.approx(statistics.mean(values), rel=1e-15)
    assert deviation == pytest.approx(statistics.stdev(values), rel=1e-14)
    assert math.isnan(mean_and_deviation([3.0])[1])


def test_zigzag_order_is_that_of_the_standard() -> None:
    assert plots.zigzag() == [int(index) for index in ZIGZAG]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures as they are drawn, instead of their pixels."""
    drawn: list[Figure] = []
    monkeypatch.setattr(plots, "_png", lambda figure: drawn.append(figure) or b"")
    return drawn


def test_plots_show_the_metrics_of_every_seed(figures: list[Figure]) -> None:
    plots.curves_png(_made_runs([0.5, 0.7], [0.6, 0.9]))
    loss, accuracy = figures[0].axes
    heights = [float(np.asarray(line.get_ydata())[0]) for line in accuracy.lines]
    assert heights == pytest.approx([50, 70, 60, 60, 90, 75], rel=1e-6)
    assert [float(np.asarray(line.get_ydata())[0]) for line in loss.lines] == [1.5] * 6
    assert accuracy.get_ylabel() == "validation accuracy (%)"


def test_the_plot_of_tables_is_in_zigzag_order(figures: list[Figure]) -> None:
    plots.q_tables_png(_made_runs([0.5, 0.5], [0.5, 0.5])["jpeg-dl"])
    luma, chroma = figures[0].axes
    before, *seeds, mean = (np.asarray(line.get_ydata()) for line in luma.lines)
    assert list(before) == [1.0, 1.0]
    # Natural (0, 1) is the first coefficient after DC in zigzag order.
    assert [float(seed[1]) for seed in seeds] == [1.5, 2.5]
    assert float(mean[1]) == 2.0
    assert float(np.delete(mean, 1).max()) == 1.0
    assert float(np.asarray(chroma.lines[-1].get_ydata())[63]) == 0.25


def test_a_baseline_has_no_tables_to_plot() -> None:
    with pytest.raises(ValueError, match="no quantization tables"):
        plots.q_tables_png([_made_run("baseline", 0, 0.5)])


def test_a_terminal_gets_a_bar_with_accuracy_and_time_left(
    small: TrainConfig, tmp_path: Path
) -> None:
    console, text = _console(force_terminal=True)
    train_on_console(small, tmp_path, console=console)
    output = text.getvalue()
    for part in ("jpeg-dl-seed0, epoch 2", "accuracy", "100 %", "left"):
        assert part in output
    assert "train loss" not in output


def test_without_a_terminal_there_is_one_plain_line_per_epoch(
    small: TrainConfig, tmp_path: Path
) -> None:
    console, text = _console()
    result = train_on_console(small, tmp_path, console=console)
    *epochs, last = text.getvalue().splitlines()
    assert [line.split(",")[0] for line in epochs] == [
        "jpeg-dl-seed0: epoch 1/2",
        "jpeg-dl-seed0: epoch 2/2",
    ]
    assert f"validation accuracy after 2 epochs: {100 * result.val_accuracy:.2f} %" in last
    assert "\x1b" not in text.getvalue()


def test_the_bar_counts_the_steps_left_in_the_middle_of_an_epoch(
    small: TrainConfig,
    tmp_path: Path,
    interrupt_at: Callable[[int], Any],
    interruption: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = dataclasses.replace(small, checkpoint_steps=1)
    with pytest.raises(interruption):
        train(config, tmp_path, listener=interrupt_at(4))  # of 2 epochs of 3 steps
    bars = []

    class Bar(ConsoleListener):
        def __init__(self, console: Console, steps: int) -> None:
            super().__init__(console, steps)
            bars.append((self, steps))

    monkeypatch.setattr(comparison, "ConsoleListener", Bar)
    console, text = _console(force_terminal=True)
    train_on_console(config, tmp_path, console=console)
    ((bar, steps),) = bars
    assert steps == 2
    (task,) = bar._bar.tasks
    assert (task.completed, task.total) == (2, 2)
    assert "images/s" in text.getvalue()
    assert "resumed after step 4 of 6" in text.getvalue()
