"""``jpegdl attack``: the sweep, what it writes, and what it takes from its file."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from torch import Tensor, nn
from typer.testing import CliRunner

from tests.trainer._saved_runs import trained_run
from torch_impl import JPEGLayer
from trainer import robustness
from trainer.attacks import fgsm, pgd, robust_accuracy
from trainer.cli import attack
from trainer.data import load_data
from trainer.errors import RunFolderError
from trainer.networks import SmallCNN
from trainer.robustness import Sweep, attack_runs
from trainer.robustness_report import Point, draw_robustness, points_csv, robustness_text
from trainer.saved_run import load_run

SWEEP = Sweep(epsilons=(0.0, 2.0, 8.0), steps=2, images=6)


@pytest.fixture(scope="module")
def runs(image_folder: Path) -> list[Path]:
    return [
        trained_run(image_folder, "baseline", method="baseline"),
        trained_run(image_folder, "jpeg-dl"),
    ]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Epsilon of every measurement."""
    seen: list[float] = []

    def watched(model: Any, loader: Any, attack: Any, epsilons: Any, **options: Any) -> Any:
        seen.extend(epsilons)
        return robust_accuracy(model, loader, attack, epsilons, **options)

    monkeypatch.setattr(robustness, "robust_accuracy", watched)
    return seen


def test_points_are_those_of_the_attacks(runs: list[Path], tmp_path: Path) -> None:
    points = attack_runs(runs, SWEEP, out=tmp_path)
    expected = [
        (name, attack, epsilon)
        for name in ("baseline", "jpeg-dl")
        for attack in ("fgsm", "pgd")
        for epsilon in SWEEP.epsilons
    ]
    assert [(point.run, point.attack, point.epsilon) for point in points] == expected
    assert {point.images for point in points} == {6}
    assert {(point.attack, point.steps) for point in points} == {("fgsm", 1), ("pgd", 2)}
    run = load_run(runs[1])
    everything = Sweep(epsilons=(0.0, 2.0, 8.0), steps=2)
    data = load_data(run.config)
    whole = attack_runs(runs[1:], everything, out=tmp_path / "all")
    batch = data.val_images.float(), data.val_labels  # type: ignore[attr-defined]
    for method, name in ((fgsm, "fgsm"), (functools.partial(pgd, random_start=False), "pgd")):
        direct = robust_accuracy(run.model, [batch], method, everything.epsilons)
        measured = [point.accuracy for point in whole if point.attack == name]
        assert direct.images == whole[0].images == 15
        assert measured[0] == direct.accuracy[0]
        if name == "fgsm":  # PGD starts at random
            assert measured == list(direct.accuracy)
            assert [p.unmoved for p in whole if p.attack == name] == list(direct.unmoved)


def test_the_sweep_repeats_and_does_not_touch_torchs_generator(
    runs: list[Path], tmp_path: Path
) -> None:
    torch.manual_seed(4)
    state = torch.get_rng_state()
    first = attack_runs(runs[1:], SWEEP, out=tmp_path / "a")
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    assert attack_runs(runs[1:], SWEEP, out=tmp_path / "b") == first
    for name in ("attack.csv", "attack.md", "attack.png", "attack.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_known_points_are_taken_from_the_file(
    runs: list[Path], tmp_path: Path, calls: list[float]
) -> None:
    first = attack_runs(runs[1:], SWEEP, out=tmp_path)
    assert calls == [*SWEEP.epsilons] * 2
    calls.clear()
    assert attack_runs(runs[1:], SWEEP, out=tmp_path) == first
    assert calls == []
    more = dataclasses.replace(SWEEP, epsilons=(0.0, 2.0, 4.0, 8.0))
    attack_runs(runs[1:], more, out=tmp_path)
    assert calls == [4.0, 4.0]
    calls.clear()
    attack_runs(runs[1:], dataclasses.replace(SWEEP, steps=3), out=tmp_path)
    assert calls == [*SWEEP.epsilons]  # of PGD; FGSM has no steps
    calls.clear()
    attack_runs(runs[1:], dataclasses.replace(SWEEP, images=5), out=tmp_path)
    assert calls == [*SWEEP.epsilons] * 2


def test_other_weights_are_attacked_anew(
    runs: list[Path], tmp_path: Path, calls: list[float], image_folder: Path
) -> None:
    attack_runs(runs[1:], SWEEP, out=tmp_path)
    calls.clear()
    other = trained_run(image_folder, "jpeg-dl", seed=1)
    attack_runs([other], SWEEP, out=tmp_path)
    assert calls == [*SWEEP.epsilons] * 2


class Cut(BaseException):
    pass


def test_an_interrupted_sweep_goes_on_and_ends_at_the_same_points(
    runs: list[Path], tmp_path: Path, calls: list[float]
) -> None:
    whole = attack_runs(runs, SWEEP, out=tmp_path / "whole")
    calls.clear()

    def cut(what: str, **state: Any) -> None:
        if len(calls) == 5:
            raise Cut

    with pytest.raises(Cut):
        attack_runs(runs, SWEEP, out=tmp_path / "cut", progress=cut)
    calls.clear()
    assert attack_runs(runs, SWEEP, out=tmp_path / "cut") == whole
    assert len(calls) == len(whole) - 4
    for name in ("attack.csv", "attack.md"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_progress_counts_the_work_to_its_end(runs: list[Path], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def note(what: str, *, done: int, total: int, accuracy: float) -> None:
        assert 0 <= accuracy <= 1
        seen.append((done, total))

    attack_runs(runs, SWEEP, out=tmp_path, progress=note)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1] == 2 * 6 * (1 + 3 + 3 + 1 + 5 + 5)
    seen.clear()
    attack_runs(runs, SWEEP, out=tmp_path, progress=note)
    assert seen == []


def test_files_go_into_the_first_run_unless_out_is_given(runs: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(runs[0], folder)
    attack_runs([folder], dataclasses.replace(SWEEP, epsilons=(1.0,)))
    assert (folder / "attack.csv").exists()


def test_runs_of_one_name_are_told_apart(runs: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "jpeg-dl"
    shutil.copytree(runs[1], other)
    points = attack_runs([runs[1], other], SWEEP, out=tmp_path / "out")
    assert {point.run for point in points} == {str(runs[1]), str(other)}


def point(**changes: Any) -> Point:
    values = {
        "run": "r",
        "method": "jpeg-dl",
        "attack": "fgsm",
        "epsilon": 2.0,
        "steps": 1,
        "images": 8,
        "accuracy": 0.3125,
        "unmoved": 0,
        "fingerprint": "f",
    }
    return Point(**{**values, **changes})


def test_the_page_names_images_that_no_attack_moved() -> None:
    points = [point(), point(attack="pgd", steps=10, unmoved=3)]
    text = robustness_text(points)
    assert "| r | jpeg-dl | fgsm | 8 | 31.25 |" in text
    assert "10 steps of 2.5 epsilon / 10" in text
    assert "- r, pgd, epsilon 2: 3 of 8" in text
    assert "could not move" not in robustness_text([point(), point(attack="pgd", steps=10)])
    assert "could not move" not in robustness_text([point(epsilon=0.0, unmoved=8)])


def test_the_figure_has_a_curve_for_each_run_and_attack() -> None:
    points = [
        point(run=run, method=run, attack=attack, epsilon=epsilon, accuracy=0.1 * epsilon)
        for run in ("baseline", "jpeg-dl")
        for attack in ("fgsm", "pgd")
        for epsilon in (0.0, 4.0)
    ]
    for axes in draw_robustness(points).axes:
        assert [line.get_label() for line in axes.lines] == ["baseline", "jpeg-dl"]
        assert [line.get_linestyle() for line in axes.lines] == ["--", "-"]
        assert list(axes.lines[0].get_ydata()) == [0, 40]
        assert axes.get_ylim()[0] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "its columns are others"),
        (points_csv([point()]).replace("0.3125", "x"), "could not convert"),
        (points_csv([point()]).replace("0.3125", "nan"), "no number"),
        (points_csv([point()]) + "r,too,short\n", "shorter|longer|zip"),
        ("", "its columns are others"),
    ],
)
def test_a_foreign_file_is_not_overwritten(
    runs: list[Path], tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "attack.csv").write_text(text)
    with pytest.raises(RunFolderError, match=message):
        attack_runs(runs, SWEEP, out=tmp_path)
    assert (tmp_path / "attack.csv").read_text() == text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilons": ()}, "epsilons must hold one"),
        ({"epsilons": (1.0, -1.0)}, "epsilons must be finite and >= 0"),
        ({"epsilons": (2.0, 1.0)}, "epsilons must increase"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"images": 0}, "images must be at least 1"),
        ({"device": "tpu"}, "device must be"),
    ],
)
def test_wrong_settings(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sweep(**options)


def test_wrong_runs(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one or more different folders"):
        attack_runs([], SWEEP)
    with pytest.raises(ValueError, match="one or more different folders"):
        attack_runs([runs[0], runs[0].parent / "." / runs[0].name], SWEEP)
    with pytest.raises(RunFolderError, match="no run folder"):
        attack_runs([tmp_path / "none"], SWEEP)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="choose another with --out"):
        attack_runs(runs, SWEEP, out=tmp_path / "file" / "out")


def test_command(runs: list[Path], tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(attack)
    arguments = [str(runs[1]), "--images", "3", "--steps", "2", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, [*arguments, "--epsilon", "4", "--epsilon", "1"])
    assert result.exit_code == 0, result.output
    assert "jpeg-dl, pgd, epsilon 4" in result.output
    assert "| images | 1 | 4 |" in result.output
    assert (tmp_path / "attack.png").exists()
    failed = CliRunner().invoke(app, [*arguments, "--epsilon", "-1"])
    assert failed.exit_code == 1
    assert "epsilons must be finite and >= 0" in failed.output


class InUnitRange(nn.Module):
    """A model of pixels in [0, 255] for a library that takes them in [0, 1]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        return self.model(255 * image)


@pytest.mark.parametrize("epsilon", [1.0, 8.0])
def test_attacks_are_those_of_torchattacks(epsilon: float) -> None:
    torchattacks = pytest.importorskip("torchattacks")
    torch.manual_seed(6)
    model = nn.Sequential(JPEGLayer(q=8.0, alpha=0.05), SmallCNN(3, 4)).double().eval()
    generator = torch.Generator().manual_seed(7)
    images = 255 * torch.rand(6, 3, 16, 16, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    unit, ratio = InUnitRange(model).eval(), epsilon / 255
    theirs = torchattacks.FGSM(unit, eps=ratio)(images / 255, labels)
    ours = fgsm(model, images, labels, epsilon=epsilon)
    # Signs agree everywhere; the rest is one rounding of 255 x in float64.
    torch.testing.assert_close(ours, 255 * theirs, rtol=0, atol=1e-11)
    steps = 5
    library = torchattacks.PGD(
        unit, eps=ratio, alpha=2.5 * ratio / steps, steps=steps, random_start=False
    )
    ours = pgd(model, images, labels, epsilon=epsilon, steps=steps, random_start=False)
    torch.testing.assert_close(ours, 255 * library(images / 255, labels), rtol=0, atol=1e-10)
