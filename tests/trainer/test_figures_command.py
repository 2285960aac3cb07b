"""``jpegdl figures``: names, what is skipped, what is written."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from tests.trainer._saved_runs import trained_run
from trainer.cli import figures
from trainer.errors import RunFolderError
from trainer.figures import inference_time
from trainer.figures.catalogue import (
    ALIASES,
    FIGURES,
    Request,
    _Sources,
    chosen_figures,
    make_figures,
)
from trainer.networks import SmallCNN
from trainer.saved_run import load_run

NEED_RUNS = ["fig4", "fig5", "fig6", "fig10"]


@pytest.fixture(scope="module")
def jpeg_dl(image_folder: Path) -> Path:
    return trained_run(image_folder, "jpeg-dl")


@pytest.fixture(scope="module")
def baseline(image_folder: Path) -> Path:
    return trained_run(image_folder, "baseline", method="baseline")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_names_are_checked_ordered_and_merged() -> None:
    assert chosen_figures(["table10", "fig12", "fig5", "fig8b"]) == ["fig5", "fig8", "table10"]
    assert set(ALIASES.values()) <= set(FIGURES)
    with pytest.raises(ValueError, match=r"no figure 'fig22', did you mean 'fig2'\?.*table11"):
        chosen_figures(["fig22"])


def test_without_runs_the_figures_that_need_one_are_skipped_by_name(tmp_path: Path) -> None:
    said: list[str] = []
    cheap = Request(network="small_cnn", side=16, repetitions=1)
    written = make_figures(tmp_path / "new", cheap, say=said.append)
    skipped = [line for line in said if "skipped" in line]
    assert [line.split(" (")[0] for line in skipped] == NEED_RUNS
    assert "give --run and --baseline" in skipped[1]
    assert "give --run or --baseline" in skipped[3]
    assert names(tmp_path / "new") == sorted(path.name for path in written)
    made = {path.stem for path in written}
    assert made == set(FIGURES) - set(NEED_RUNS)
    assert {path.suffix for path in written if path.stem == "fig2"} == {".png", ".svg"}


def test_a_named_figure_without_its_run_is_an_error_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"fig4 \(initial.*\) needs --run"):
        make_figures(tmp_path / "new", Request(), only=["fig2", "fig11"])
    assert not (tmp_path / "new").exists()


def test_figures_of_runs(tmp_path: Path, jpeg_dl: Path, baseline: Path) -> None:
    request = Request(run=jpeg_dl, baseline=baseline, images=8)
    make_figures(tmp_path, request, only=NEED_RUNS, say=lambda _: None)
    assert names(tmp_path) == sorted(
        f"{name}.{kind}" for name in NEED_RUNS for kind in ("png", "svg")
    )


def test_sensitivity_of_a_baseline_alone(tmp_path: Path, baseline: Path) -> None:
    make_figures(tmp_path, Request(baseline=baseline, images=8), only=["fig10"], say=str)
    assert names(tmp_path) == ["fig10.png", "fig10.svg"]


def test_runs_in_the_wrong_place(tmp_path: Path, jpeg_dl: Path, baseline: Path) -> None:
    app = typer.Typer()
    app.command()(figures)
    run, plain = ["--run", str(jpeg_dl)], ["--baseline", str(baseline)]
    for arguments, message in (
        (["--run", str(baseline), *plain], "give it as --baseline"),
        ([*run, "--baseline", str(jpeg_dl)], "give it as --run"),
        (["--run", str(tmp_path / "none"), *plain], "is no run folder"),
        ([*run, *plain, "--layer", "featurs.7"], "'features.7'"),
        ([*run, *plain, "--image", str(tmp_path / "none.png")], "none.png cannot be read"),
        ([*run, *plain, "--device", "tpu"], "--device must be one of"),
        (run, "needs --baseline"),
        (["--image", "x"], "needs --run and --baseline"),
    ):
        result = CliRunner().invoke(app, [str(tmp_path / "out"), *arguments, "--only", "fig5"])
        assert result.exit_code == 1
        assert message in result.output


def test_runs_on_different_images(tmp_path: Path, jpeg_dl: Path, baseline: Path) -> None:
    sources = _Sources(Request(run=jpeg_dl, baseline=baseline))
    sources.baseline = dataclasses.replace(load_run(baseline), classes=("other",))
    with pytest.raises(RunFolderError, match="different classes or image sizes"):
        _ = sources.pair


def test_command_says_what_it_wrote(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(figures)
    result = CliRunner().invoke(app, [str(tmp_path), "--only", "table10"])
    assert result.exit_code == 0
    assert result.output.strip() == f"table10: {tmp_path / 'table10.txt'}"


def test_inference_times_are_of_three_different_models(monkeypatch: pytest.MonkeyPatch) -> None:
    # The warm-up, 3 rounds of 3 models, takes a hundred times as long.
    ticks = iter([*range(0, 1800, 100), *range(1800, 10**4)])
    seen: list[tuple[int | None, ...]] = []
    monkeypatch.setattr(inference_time.time, "perf_counter", lambda: float(next(ticks)))

    class Watched(SmallCNN):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen.append(tuple(image.shape))
            return super().forward(image)

    times = inference_time.inference_times(Watched(3, 2), (24, 16), repetitions=2)
    assert seen == [(1, 3, 24, 16)] * 3 * (2 + 3)
    assert [row.setting for row in times] == list(inference_time.PAPER)
    assert [row.milliseconds for row in times] == [1000.0] * 3  # one tick is a second
    assert times[0].throughput == 1.0
    text = inference_time.table_11(
        times, network="small", size=(24, 16), device="cpu", repetitions=2
    )
    assert "small, one image of 24x16 pixels" in text
    assert "CPU" in text
    for row in ("5.46", "180.65", "7.43", "133.79", "18.86", "52.27"):
        assert row in text
    with pytest.raises(ValueError, match="repetitions must be at least 1"):
        inference_time.inference_times(Watched(3, 2), (16, 16), repetitions=0)


def test_inference_on_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match="device must be"):
        make_figures(tmp_path, Request(device="cuda"), only=["table11"])


def test_importing_the_commands_imports_no_torch() -> None:
    code = (
        "import sys, trainer.cli\n"
        "assert not {'torch', 'matplotlib', 'numba', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
