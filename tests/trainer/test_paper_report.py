"""``jpegdl report``: runs into the paper's tables, and nothing passed off as the paper's."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from jpegdl.cli import app
from trainer import RunFolderError, TrainConfig, recipe
from trainer.checkpoint import CHECKPOINT_FILE, Checkpoint, save_checkpoint
from trainer.paper_report import collect, find_runs, report_runs, tables_text


def make_run(folder: Path, config: TrainConfig, accuracy: float, *, epochs: int = -1) -> Path:
    """What `report` reads of a run: its configuration and the history in its checkpoint."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config.to_json())
    done = config.epochs if epochs < 0 else epochs
    history = [{"val_accuracy": 0.01}] * (done - 1) + [{"val_accuracy": accuracy}] * (done > 0)
    checkpoint = Checkpoint({"model.x": torch.zeros(1)}, {"history": history})
    save_checkpoint(folder / CHECKPOINT_FILE, checkpoint)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three baselines and one JPEG-DL run of a cell of Table 2."""
    for seed, accuracy in enumerate((0.50, 0.52, 0.57)):
        config = recipe("cub200-resnet18-baseline", seed=seed, data=f"/somewhere/{seed}")
        make_run(tmp_path / f"baseline-{seed}", config, accuracy)
    make_run(tmp_path / "ours", recipe("cub200-resnet18-jpeg-dl", workers=4), 0.6)
    return tmp_path


def test_seeds_become_a_mean_beside_the_papers_figure(runs: Path) -> None:
    groups, left_out = collect(find_runs([runs]))
    assert left_out == []
    tables = {title: (heading, rows) for title, heading, rows in tables_text(groups)}
    heading, rows = tables["Table 2: ours (runs) | paper"]
    assert heading == ["method", "CUB-200", "Dogs", "Flowers", "Pets"]
    assert rows == [
        # (50 + 52 + 57) / 3 and their sample deviation, sqrt(13)
        [
            "ResNet-18, Baseline",
            "53.00 ± 3.61 (3) | 54.00 ± 1.43",
            "- | 63.71 ± 0.32",
            "- | 57.13 ± 1.28",
            "- | 70.37 ± 0.84",
        ],
        [
            "ResNet-18, JPEG-DL",
            "60.00 (1) | 58.81 ± 0.12",
            "- | 65.57 ± 0.37",
            "- | 68.76 ± 0.57",
            "- | 74.84 ± 0.66",
        ],
    ]
    assert [title[:7] for title in tables] == [
        "Table 2",
        "Table 6",
        "Table 7",
        "Table 8",
        "Table 9",
    ]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"epochs": 5, "milestones": (2,)}, ("epochs=5", "milestones=(2,)")),
        ({"network": "small_cnn"}, ("network=small_cnn",)),
        ({"window": None}, ("window=None",)),
    ],
)
def test_a_changed_run_never_stands_in_the_papers_table(
    tmp_path: Path, changes: dict[str, Any], shown: tuple[str, ...]
) -> None:
    config = recipe("cub200-resnet18-jpeg-dl", **changes)
    make_run(tmp_path / "run", config, 0.9)
    ((title, heading, rows),) = tables_text(collect(find_runs([tmp_path]))[0])
    assert (title, heading) == ("Other runs: ours (runs)", ["recipe", "changed", "accuracy"])
    assert rows == [["cub200-resnet18-jpeg-dl", " ".join(shown), "90.00 (1)"]]


def test_runs_with_different_changes_are_not_averaged(tmp_path: Path) -> None:
    for seed, epochs in enumerate((5, 5, 6)):
        config = recipe("embedded-baseline", seed=seed, epochs=epochs)
        make_run(tmp_path / str(seed), config, 0.5 + seed / 10)
    groups, _ = collect(find_runs([tmp_path]))
    assert {(group.changes, tuple(group.accuracies)) for group in groups} == {
        (("epochs=5",), (0, 1)),
        ((), (2,)),
    }


def test_unfinished_and_repeated_runs_are_left_out_and_said(runs: Path) -> None:
    config = recipe("cub200-resnet18-baseline", seed=9)
    make_run(runs / "later", config, 0.99, epochs=199)
    make_run(runs / "nothing", dataclasses.replace(config, seed=8), 0.99, epochs=0)
    make_run(runs / "twice", dataclasses.replace(config, seed=0), 0.99)
    (runs / "begun").mkdir()
    (runs / "begun" / "config.json").write_text(dataclasses.replace(config, seed=7).to_json())
    groups, left_out = collect(find_runs([runs]))
    (baseline,) = (group for group in groups if group.recipe == "cub200-resnet18-baseline")
    assert baseline.accuracies == pytest.approx({0: 50.0, 1: 52.0, 2: 57.0})  # 100 * 0.57
    assert [line.removeprefix(str(runs) + "/") for line in left_out] == [
        "begun: 0 of 200 epochs are done",
        "later: 199 of 200 epochs are done",
        "nothing: 0 of 200 epochs are done",
        "twice: a second run of cub200-resnet18-baseline with seed 0",
    ]


def test_a_recipe_that_is_gone_is_said(tmp_path: Path) -> None:
    make_run(tmp_path / "run", dataclasses.replace(TrainConfig(), recipe="older"), 0.5)
    (group,), _ = collect(find_runs([tmp_path]))
    assert group.changes == ("not a recipe of this release",)


def test_options_of_ones_own_are_shown_as_changes_of_the_defaults(tmp_path: Path) -> None:
    make_run(tmp_path / "run", TrainConfig(method="baseline", epochs=3), 0.5)
    (group,), _ = collect(find_runs([tmp_path]))
    assert (group.recipe, group.changes) == ("no recipe", ("method=baseline", "epochs=3"))


def test_the_command_prints_and_writes(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.md"
    result = CliRunner().invoke(
        app, ["report", str(runs), "--out", str(out)], env={"COLUMNS": "160"}
    )
    assert result.exit_code == 0, result.output
    assert "53.00 ± 3.61 (3) | 54.00 ± 1.43" in result.stdout
    text = out.read_text()
    assert "| ResNet-18, Baseline | 53.00 ± 3.61 (3) / 54.00 ± 1.43 |" in text
    # Markdown: as many cells in each line of a table as in its heading
    for block in text.split("## ")[1:]:
        assert len({line.count("|") for line in block.splitlines() if line.startswith("|")}) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing", None, "is no folder"),
        ("empty", "", "holds no run"),
    ],
)
def test_places_without_runs_are_refused(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).mkdir()
    with pytest.raises(RunFolderError, match=message):
        find_runs([tmp_path / name])


def test_a_damaged_configuration_is_refused_by_name(runs: Path) -> None:
    (runs / "ours" / "config.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"ours/config.json cannot be read"):
        report_runs([runs], console=Console(quiet=True))
