"""``jpegdl evaluate forward``, ``ablation``, ``gradients`` and ``rate-distortion``."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from torch_impl import diff_jpeg, standard_tables
from trainer.cli import evaluate
from trainer.codec_evaluation import forward as forward_room
from trainer.codec_evaluation import gradients as gradients_room
from trainer.codec_evaluation import picture_sweep
from trainer.codec_evaluation import rate_distortion as rate_distortion_room
from trainer.codec_evaluation.approaches import (
    Approach,
    ablation_steps,
    compared_approaches,
    rounding_kinds,
)
from trainer.codec_evaluation.forward import ForwardRow, evaluate_ablation, evaluate_forward
from trainer.codec_evaluation.gradients import evaluate_gradients, measure_gradients
from trainer.codec_evaluation.image_metrics import distance
from trainer.codec_evaluation.libjpeg import through_libjpeg
from trainer.codec_evaluation.picture_sweep import Case, Settings
from trainer.codec_evaluation.pictures import Picture, find_pictures
from trainer.codec_evaluation.rate_distortion import evaluate_rate_distortion
from trainer.errors import RunFolderError

SETTINGS = Settings(qualities=(3, 60, 100), subsampling="4:2:2")
Evaluate = Callable[..., Any]
ALL: list[tuple[Evaluate, str, int]] = [
    (evaluate_forward, "forward", 5),
    (evaluate_ablation, "ablation", 6 + len(rounding_kinds())),
    (evaluate_gradients, "gradients", 5),
    (evaluate_rate_distortion, "rate_distortion", 1),
]
each_command = pytest.mark.parametrize(("evaluation", "name", "approaches"), ALL)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On images this small threads wait for each other longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two smooth pictures of odd sizes, with some noise."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(5)
    for name, shape in (("one.png", (33, 27)), ("two.png", (20, 41))):
        y, x = np.mgrid[: shape[0], : shape[1]]
        planes = [128 + 90 * np.sin(x / 7 + n) * np.cos(y / 5 - n) for n in range(3)]
        pixels = np.stack(planes, axis=2) + rng.normal(0, 8, (*shape, 3))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(root / name)
    return root


@pytest.fixture(scope="module")
def pictures(folder: Path) -> list[Picture]:
    return find_pictures(folder)


@pytest.fixture(scope="module")
def compared(
    pictures: list[Picture], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[ForwardRow], Path]:
    """Rows and folder of one comparison."""
    out = tmp_path_factory.mktemp("forward")
    return evaluate_forward(pictures, SETTINGS, out), out


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all else here."""
    for module in (forward_room, gradients_room, rate_distortion_room):
        monkeypatch.setattr(module, "save", lambda *arguments: [])


def test_rows_are_the_distances_between_the_codecs(
    pictures: list[Picture], compared: tuple[list[ForwardRow], Path]
) -> None:
    rows, _ = compared
    assert [(row.picture, row.approach, row.quality) for row in rows] == [
        (picture.name, approach.key, quality)
        for picture in pictures
        for approach in compared_approaches()
        for quality in SETTINGS.qualities
    ]
    options = {approach.key: approach.options for approach in compared_approaches()}
    for row in rows:
        (picture,) = (picture for picture in pictures if picture.name == row.picture)
        pixels = picture.read()
        target, _ = through_libjpeg(pixels, quality=row.quality, subsampling="4:2:2")
        images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
        coded = diff_jpeg(images, quality=row.quality, subsampling="4:2:2", **options[row.approach])
        expected = distance(coded[0].permute(1, 2, 0).numpy(), target)
        assert (row.psnr, row.ssim, row.mae, row.mse) == (
            expected.psnr,
            expected.ssim,
            expected.mae,
            expected.mse,
        )


def test_equality_is_called_equality(compared: tuple[list[ForwardRow], Path]) -> None:
    rows, out = compared
    for row in rows:
        assert (row.psnr == math.inf) == (row.approach == "ours_straight_through")
    lines = (out / "forward.md").read_text().splitlines()
    same, errors = (line for line in lines if line.startswith("| ours, straight-through |"))
    assert same.split(" | ")[1:] == ["1", "1", "1", "equal", "equal", "equal |"]
    assert errors.split(" | ")[1:] == ["0", "0", "0", "0", "0", "0 |"]
    ours = next(line for line in lines if line.startswith("| ours |"))
    assert "equal" not in ours
    assert "inf" not in (out / "forward.md").read_text()
    assert "equal, no PSNR" in (out / "forward.svg").read_text()


@pytest.mark.usefixtures("no_figures")
def test_each_part_and_each_kind_has_a_row(pictures: list[Picture], tmp_path: Path) -> None:
    rows = evaluate_ablation(pictures, SETTINGS, tmp_path)
    keys = [approach.key for approach in (*ablation_steps(), *rounding_kinds())]
    assert list(dict.fromkeys(row.approach for row in rows)) == keys
    assert keys[:6] == ["A", "B", "C", "D", "E", "F"]
    by_key = {key: [(row.psnr, row.ssim) for row in rows if row.approach == key] for key in keys}
    assert by_key["E"] == by_key["rounding_cubic"]
    assert by_key["E"] != by_key["rounding_linear"]
    assert {psnr for psnr, _ in by_key["F"]} == {math.inf}
    text = (tmp_path / "ablation.md").read_text()
    assert "*35.95*" in text  # Table 5.1, C
    assert "*31.15*" in text  # Table 5.5, tanh


@pytest.mark.usefixtures("no_figures")
def test_random_rounding_repeats_and_leaves_torchs_generator_alone(
    pictures: list[Picture], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    settings = Settings(qualities=(50, 51))
    first = evaluate_ablation(pictures[:1], settings, tmp_path / "a")
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert evaluate_ablation(pictures[:1], settings, tmp_path / "b") == first


def test_gradients_are_those_of_the_mean_absolute_error(pictures: list[Picture]) -> None:
    """Against differences in float64, at a quality without a kink near it."""
    pixels = pictures[0].read()
    coded, size = through_libjpeg(pixels, quality=30, subsampling="4:2:0")
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].double()
    case = Case("one", 30, "f", pixels, coded, size, images)
    approach = Approach("linear", "linear", {"rounding": "linear"})
    row = measure_gradients(case, approach, "4:2:0")
    target = torch.from_numpy(coded).permute(2, 0, 1)[None].double()
    base = standard_tables(50).double()

    def loss(quality: float, tables: torch.Tensor) -> float:
        out = diff_jpeg(images, quality=quality, base_tables=tables, rounding="linear")
        return float((out - target).abs().mean())

    assert row.loss == pytest.approx(loss(30, base), rel=1e-12)
    step = 1e-5
    slope = (loss(30 + step, base) - loss(30 - step, base)) / (2 * step)
    # Few pixels change sign within the step; the rest is its curvature.
    assert row.quality_norm == pytest.approx(abs(slope), rel=1e-3)
    squares = 0.0
    for index in np.ndindex(2, 8, 8):
        moved = [base.clone(), base.clone()]
        moved[0][index] += step
        moved[1][index] -= step
        squares += ((loss(30, moved[0]) - loss(30, moved[1])) / (2 * step)) ** 2
    assert row.tables_norm == pytest.approx(math.sqrt(squares), rel=1e-3)


@pytest.mark.usefixtures("no_figures")
def test_the_straight_through_form_has_no_gradient_where_it_is_equal(
    pictures: list[Picture], tmp_path: Path
) -> None:
    rows = evaluate_gradients(pictures, SETTINGS, tmp_path)
    for row in rows:
        norms = (row.loss, row.quality_norm, row.tables_norm)
        if row.approach == "ours_straight_through":
            assert norms == (0, 0, 0)
        elif row.quality < 100:  # where tables without clipping are held above 0, by no gradient
            assert row.loss > 0
            assert row.tables_norm > 0
    text = (tmp_path / "gradients.md").read_text()
    assert "says nothing more" in text
    assert "| ours, straight-through | 0 | 0 | 0 | 0 | 0 | 0 |" in text


@pytest.mark.usefixtures("no_figures")
def test_sizes_and_distances_of_real_files(folder: Path, tmp_path: Path) -> None:
    pictures = find_pictures(folder)
    rows = evaluate_rate_distortion(pictures, SETTINGS, tmp_path)
    assert [(row.picture, row.quality) for row in rows] == [
        (picture.name, quality) for picture in pictures for quality in SETTINGS.qualities
    ]
    for row in rows:
        pixels = np.array(Image.open(folder / row.picture))
        file = tmp_path / "one.jpg"
        Image.fromarray(pixels).save(file, quality=row.quality, subsampling="4:2:2")
        assert row.size == file.stat().st_size
        assert row.kilobytes == row.size / 1000
        assert row.bits_per_pixel == pytest.approx(row.size * 8 / (pixels.size / 3), rel=1e-15)
        expected = distance(np.array(Image.open(file)), pixels)
        assert (row.psnr, row.ssim) == (expected.psnr, expected.ssim)
    text = (tmp_path / "rate_distortion.md").read_text()
    found = [row.kilobytes for row in rows if row.quality == 60]
    mean = sum(found) / 2
    two = abs(found[0] - found[1])  # two deviations of two values
    assert f"{mean:.2f} ± {two:.2f}" in text


@each_command
@pytest.mark.usefixtures("no_figures")
def test_a_second_call_measures_only_what_is_missing(
    evaluation: Evaluate,
    name: str,
    approaches: int,
    pictures: list[Picture],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    coded: list[int] = []

    def watched(pixels: Any, *, quality: int, subsampling: str) -> Any:
        coded.append(quality)
        return through_libjpeg(pixels, quality=quality, subsampling=subsampling)

    monkeypatch.setattr(picture_sweep, "through_libjpeg", watched)
    first = evaluation(pictures, SETTINGS, tmp_path)
    assert len(first) == 2 * approaches * 3
    assert coded == [3, 60, 100] * 2  # once for each picture and quality
    coded.clear()
    assert evaluation(pictures, SETTINGS, tmp_path) == first
    assert coded == []
    more = evaluation(pictures, Settings((3, 20, 60, 100), "4:2:2"), tmp_path)
    assert coded == [20] * 2
    assert [row for row in more if row.quality != 20] == first
    coded.clear()
    evaluation(pictures, Settings((3,), "4:4:4"), tmp_path)
    assert coded == [3, 3]
    with (tmp_path / f"{name}.csv").open() as file:
        assert len(list(csv.reader(file))) == 1 + 2 * approaches * 5


class Cut(BaseException):
    pass


@each_command
def test_an_interrupted_evaluation_ends_at_the_same_files(
    evaluation: Evaluate, name: str, approaches: int, pictures: list[Picture], tmp_path: Path
) -> None:
    evaluation(pictures, SETTINGS, tmp_path / "whole")
    seen: list[tuple[int, int]] = []

    def cut(what: str, *, done: int, total: int) -> None:
        seen.append((done, total))
        if len(seen) == 4:
            raise Cut

    with pytest.raises(Cut):
        evaluation(pictures, SETTINGS, tmp_path / "cut", cut)
    total = 2 * 3 * approaches
    assert seen == [(n * approaches, total) for n in range(1, 5)]
    table = tmp_path / "cut" / f"{name}.csv"
    table.write_bytes(table.read_bytes()[:-2])  # a crash in the middle of a line
    evaluation(pictures, SETTINGS, tmp_path / "cut", lambda what, **state: seen.append((0, 0)))
    for ending in ("csv", "md", "png", "svg"):
        file = f"{name}.{ending}"
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


@pytest.mark.usefixtures("no_figures")
def test_other_pixels_are_measured_anew(
    folder: Path, pictures: list[Picture], tmp_path: Path
) -> None:
    settings = Settings((50,))
    first = evaluate_rate_distortion(pictures, settings, tmp_path)
    cropped = evaluate_rate_distortion(find_pictures(folder, crop=4), settings, tmp_path)
    assert {row.fingerprint for row in first}.isdisjoint(row.fingerprint for row in cropped)
    assert [row.height for row in cropped] == [32, 20]


def test_wrong_settings_and_folders(pictures: list[Picture], tmp_path: Path) -> None:
    for wrong, message in (
        ({"qualities": ()}, "qualities must hold one"),
        ({"qualities": (3, 2)}, "that increase"),
        ({"qualities": (0, 2)}, "qualities must be at least 1"),
        ({"qualities": (101,)}, "qualities must be at most 100"),
        ({"subsampling": "4:1:1"}, "subsampling must be one of"),
        ({"device": "tpu"}, "device must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            Settings(**wrong)  # type: ignore[arg-type]
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="choose another with --out"):
        evaluate_forward(pictures, SETTINGS, tmp_path / "file" / "out")
    (tmp_path / "forward.csv").write_text("mine\n")
    with pytest.raises(RunFolderError, match="no table of this command"):
        evaluate_forward(pictures, SETTINGS, tmp_path)
    assert (tmp_path / "forward.csv").read_text() == "mine\n"


def test_the_plot_has_a_curve_for_each_approach(
    compared: tuple[list[ForwardRow], Path],
) -> None:
    rows, _ = compared
    approaches = compared_approaches()
    figure = forward_room.draw_forward([("", approaches)], rows, SETTINGS.qualities)
    panels = [axes for part in figure.subfigs for axes in part.axes]
    assert [axes.get_ylabel() for axes in panels] == ["SSIM", "SSIM", "PSNR (dB)", "PSNR (dB)"]
    for axes, qualities in zip(panels, ([3, 60, 100], [3]) * 2, strict=True):
        assert len(axes.lines) == len(approaches)
        assert list(axes.lines[3].get_xdata()) == qualities
    ours = [row.ssim for row in rows if row.approach == "ours" and row.quality == 60]
    assert panels[0].lines[3].get_ydata()[1] == pytest.approx(np.mean(ours), rel=1e-15)


@pytest.mark.parametrize("command", ["forward", "ablation", "gradients", "rate-distortion"])
def test_commands(command: str, folder: Path, tmp_path: Path) -> None:
    arguments = [command, "--pictures", str(folder), "--out", str(tmp_path / "o")]
    result = CliRunner().invoke(evaluate, [*arguments, "--qualities", "9,50"])
    assert result.exit_code == 0, result.output
    name = command.replace("-", "_")
    assert (tmp_path / "o" / f"{name}.md").read_text() in result.output
    assert "table and figure: " in result.output
    assert (tmp_path / "o" / f"{name}.png").exists()
    for extra, message in (
        (["--qualities", "0"], "qualities must be whole numbers"),
        (["--subsampling", "4:1:1"], "subsampling must be one of 4:4:4, 4:2:2, 4:2:0"),
        (["--pictures", str(tmp_path / "none")], "do not exist"),
    ):
        failed = CliRunner().invoke(evaluate, [*arguments, *extra])
        assert failed.exit_code == 1
        assert message in failed.output
