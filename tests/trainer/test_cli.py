"""The commands: every option there, explained, with the defaults of the configuration."""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from trainer import TrainConfig, cli, comparison, recipe

ROOT = Path(__file__).parents[2]

# Options that are not spelled like their field.
SPELLED = {"milestones": "--milestone"}


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(cli.quickstart)
    app.command()(cli.train)
    app.command()(cli.recipes)
    return app


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Any]]:
    """(folder, configuration) of each command, instead of its work."""
    seen: list[tuple[Path, Any]] = []
    monkeypatch.setattr(
        comparison, "train_on_console", lambda config, folder: seen.append((folder, config))
    )
    monkeypatch.setattr(
        comparison,
        "quickstart",
        lambda folder, seeds, config: seen.append((folder, (list(seeds), config))),
    )
    return seen


def test_help_lists_and_explains_every_option_in_groups(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    lines = result.output.splitlines()
    for group in ("Data", "Network", "JPEG layer", "Preprocessing", "Run"):
        assert any(re.match(rf"╭─ {group} ─", line) for line in lines)
    fields = [field for field in dataclasses.fields(TrainConfig) if field.name != "recipe"]
    assert len(fields) > 50
    for field in fields:
        option = SPELLED.get(field.name, "--" + field.name.replace("_", "-"))
        (line,) = (line for line in lines if re.match(rf"│ {option}\s", line))
        assert len(line.split()) > 6, f"{option} is not explained"


def test_defaults_are_those_of_the_configuration(
    app: typer.Typer, calls: list[tuple[Path, Any]]
) -> None:
    assert CliRunner().invoke(app, ["train"]).exit_code == 0
    assert CliRunner().invoke(app, ["quickstart"]).exit_code == 0
    assert calls == [
        (Path("runs/jpeg-dl-seed0"), TrainConfig()),
        (Path("runs/quickstart"), ([0, 1, 2], TrainConfig())),
    ]


def test_options_arrive_in_the_configuration(
    app: typer.Typer, calls: list[tuple[Path, Any]]
) -> None:
    arguments = (
        "train --method baseline --seed 3 --threads 2 --device cpu --data some/folder "
        "--train-patches 5 --val-patches 6 --data-seed 7 --no-augment --width 8 --epochs 9 "
        "--batch-size 10 --learning-rate 0.11 --momentum 0.12 --weight-decay 0.13 "
        "--schedule step --milestone 2 --milestone 4 --decay 0.14 --q-initial 1.5 "
        "--q-learning-rate 0.16 --q-constant-rate --alpha 1.7 --hbar 0.18 --max-level 19 "
        "--window 7 --subsampling 4:2:2"
    )
    result = CliRunner().invoke(app, arguments.split())
    assert result.exit_code == 0, result.output
    expected = TrainConfig(
        method="baseline",
        seed=3,
        threads=2,
        device="cpu",
        data="some/folder",
        train_patches=5,
        val_patches=6,
        data_seed=7,
        augment=False,
        width=8,
        epochs=9,
        batch_size=10,
        learning_rate=0.11,
        momentum=0.12,
        weight_decay=0.13,
        schedule="step",
        milestones=(2, 4),
        decay=0.14,
        q_initial=1.5,
        q_learning_rate=0.16,
        q_follows_schedule=False,
        alpha=1.7,
        hbar=0.18,
        max_level=19,
        window=7,
        subsampling="4:2:2",
    )
    assert calls == [(Path("runs/baseline-seed3"), expected)]
    arguments = "quickstart --run-dir here --seeds 2 --window 5 --epochs 4 --threads 2 --width 3"
    assert CliRunner().invoke(app, arguments.split()).exit_code == 0
    assert calls[1] == (
        Path("here"),
        ([0, 1], TrainConfig(window=5, epochs=4, threads=2, width=3)),
    )


def test_a_recipe_takes_changes_as_assignments_and_as_options(
    app: typer.Typer, calls: list[tuple[Path, Any]]
) -> None:
    arguments = "train cifar100-vgg8-baseline epochs=200 --data x.tar.gz milestones=3,5 --seed 4"
    result = CliRunner().invoke(app, arguments.split())
    assert result.exit_code == 0, result.output
    expected = recipe(
        "cifar100-vgg8-baseline", epochs=200, data="x.tar.gz", milestones=(3, 5), seed=4
    )
    assert calls == [(Path("runs/cifar100-vgg8-baseline-seed4"), expected)]


def test_assignments_need_no_recipe(app: typer.Typer, calls: list[tuple[Path, Any]]) -> None:
    assert CliRunner().invoke(app, ["train", "epochs=3", "window=5"]).exit_code == 0
    assert calls == [(Path("runs/jpeg-dl-seed0"), TrainConfig(epochs=3, window=5))]


def test_seeds_are_runs_of_their_own(app: typer.Typer, calls: list[tuple[Path, Any]]) -> None:
    arguments = ["train", "embedded-cubic", "--seeds", "2", "seed=3"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert CliRunner().invoke(app, [*arguments, "--run-dir", "here"]).exit_code == 0
    configs = [recipe("embedded-cubic", seed=seed) for seed in (3, 4)]
    folders = ["runs/embedded-cubic-seed3", "runs/embedded-cubic-seed4", "here/seed3", "here/seed4"]
    assert calls == [
        (Path(folder), config) for folder, config in zip(folders, configs * 2, strict=True)
    ]


def test_recipes_are_listed(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["recipes", "table3"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    assert result.stdout.count("imagenet-") == 7
    result = CliRunner().invoke(app, ["recipes", "nothing-of-this"])
    assert result.exit_code == 1
    assert "no recipe has all of" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["embedded-cubik"], "Error: recipe: there is no 'embedded-cubik', did you mean"),
        (["embedded-cubic", "epoch=2"], "Error: there is no option 'epoch', did you mean 'epochs'"),
        (["epochs=2", "--epochs", "2"], "Error: epochs was given twice"),
        (["--window", "4"], "Error: window must be odd"),
        (["--schedule", "linear"], "Error: schedule must be one of cosine, step"),
        (["--data", "/no/such/folder"], "Error: data folder /no/such/folder does not exist"),
    ],
)
def test_an_error_is_one_line_and_a_status(
    arguments: list[str], message: str, app: typer.Typer, tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, ["train", "--run-dir", str(tmp_path / "run"), *arguments])
    assert result.exit_code == 1
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_an_unwritable_run_folder_is_one_line(app: typer.Typer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for command in ("train", "quickstart"):
        folder = str(tmp_path / "file" / "run")
        result = CliRunner().invoke(app, [command, "--run-dir", folder])
        assert result.exit_code == 1
        assert re.match(r"Error: run folder .* cannot be written .*--run-dir", result.stderr)


def test_interruption_says_how_to_go_on(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = signal.getsignal(signal.SIGTERM)

    def interrupted(*_: object, **__: object) -> None:
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison, "quickstart", interrupted)
    result = CliRunner().invoke(app, ["quickstart"])
    assert result.exit_code == 130
    assert "The same command resumes after the last checkpoint" in result.stderr
    assert signal.getsignal(signal.SIGTERM) is handler


def test_help_needs_neither_torch_nor_matplotlib() -> None:
    code = "import sys, trainer.cli; print({'torch', 'matplotlib'} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_public_names_are_found_and_others_are_not() -> None:
    import trainer

    for name in trainer.__all__:
        found = getattr(trainer, name)
        # Two are tables; all others know their names.
        assert (
            name in ("NETWORKS", "RECIPES") if isinstance(found, dict) else found.__name__ == name
        )
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        trainer.nonsense  # noqa: B018
