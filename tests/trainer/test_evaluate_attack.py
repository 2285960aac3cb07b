"""``jpegdl evaluate attack``: what is attacked, what is counted, what is written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

from tests.trainer._saved_runs import trained_run
from torch_impl import diff_jpeg, jpeg_roundtrip
from trainer.attacks import fgsm, pgd
from trainer.cli import evaluate
from trainer.codec_evaluation import attack as room
from trainer.codec_evaluation.approaches import Approach, rounding_kinds
from trainer.codec_evaluation.attack import (
    AttackSettings,
    evaluate_attack,
    ranks_of_truth,
    real_jpeg,
)
from trainer.codec_evaluation.attack_rows import AttackRow, attack_text
from trainer.codec_evaluation.attacked_images import (
    AttackedImages,
    images_of_network,
    images_of_run,
)
from trainer.data import load_data
from trainer.errors import DataError, DivergenceError
from trainer.saved_run import load_run

SETTINGS = AttackSettings(qualities=(8, 90), epsilons=(3.0,), steps=2)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On images this small threads wait for each other longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Brightness(nn.Module):
    """Class 0 above a mean of 128, class 1 below; the gradient is known."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.sign = nn.Parameter(torch.tensor([1.0] + [-1.0] * (classes - 1)))

    def forward(self, images: Tensor) -> Tensor:
        return (images.mean((1, 2, 3)) - 128)[:, None] * self.sign


def grey(*levels: int) -> AttackedImages:
    """Constant images of class 0."""
    pixels = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 16, 16)
    count = torch.arange(len(levels))
    labels = torch.zeros(len(levels), dtype=torch.int64)
    return AttackedImages("grey", 2, Brightness(), count, labels, lambda n: pixels[n], "f")


def accuracies(rows: list[AttackRow]) -> dict[tuple[str, str], tuple[float, int]]:
    return {(row.approach, row.attack): (row.top1, row.unmoved) for row in rows}


@pytest.mark.usefixtures("no_figures")
def test_counts_on_a_network_whose_gradient_is_known(tmp_path: Path) -> None:
    """At quality 100 grey images come back as they are, so the mean is what the attack makes it.

    It falls by 3: 130 becomes 127 and is lost, 140 stays. At 250 the probability of class 1 is
    exp(-244), which is 0 in float32, and so is the gradient: nothing moves.
    """
    attacked = grey(130, 130, 140, 250)
    settings = AttackSettings(qualities=(100,), epsilons=(3.0,), steps=2)
    rows = evaluate_attack(attacked, settings, tmp_path)
    found = accuracies(rows)
    assert found["none", "none"] == (1.0, 4)
    for name in ("fgsm", "ifgsm"):
        assert found["xie", name] == (0.5, 1)
        assert found["shin_song", name] == (0.5, 1)
        assert found["ours", name] == (0.5, 1)
    assert {row.top5 for row in rows} == {1.0}
    text = (tmp_path / "codec_attack.md").read_text()
    assert "With 2 classes top-5 is always 100." in text
    assert "- ours, IFGSM, epsilon 3: 1 of 4 over all qualities, most at quality 100" in text
    assert "2 steps of 1.5" in text


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all else here."""
    monkeypatch.setattr(room, "save", lambda *arguments: [])


@pytest.mark.usefixtures("no_figures")
def test_attacks_are_fgsm_and_pgd_through_the_approach(tmp_path: Path, image_folder: Path) -> None:
    run = trained_run(image_folder, "baseline", method="baseline")
    attacked = images_of_run(run, 100)
    model, data = load_run(run).model, load_data(load_run(run).config)
    assert len(attacked.labels) == 15
    rows = evaluate_attack(attacked, SETTINGS, tmp_path)
    expected: dict[tuple[str, int], float] = {}

    class Through(nn.Module):
        def __init__(self, quality: int) -> None:
            super().__init__()
            self.quality = quality

        def forward(self, images: Tensor) -> Tensor:
            return model(diff_jpeg(images, quality=self.quality, subsampling="4:2:0"))

    images, labels = data.val_batch(torch.arange(15)).float(), data.val_labels
    for quality in SETTINGS.qualities:
        for name, crafted in (
            ("none", images),
            ("fgsm", fgsm(Through(quality), images, labels, epsilon=3.0)),
            (
                "ifgsm",
                pgd(
                    Through(quality),
                    images,
                    labels,
                    epsilon=3.0,
                    steps=2,
                    step_size=1.5,
                    random_start=False,
                ),
            ),
        ):
            with torch.no_grad():
                logits = model(jpeg_roundtrip(crafted, quality=quality))
            expected[name, quality] = float((logits.argmax(1) == labels).float().mean())
    for row in rows:
        if row.approach in ("none", "ours"):
            # One in float32, one in float64.
            assert row.top1 == pytest.approx(expected[row.attack, row.quality], rel=1e-6)
    assert [row.steps for row in rows[:2]] == [0, 0]
    assert {row.steps for row in rows if row.attack == "ifgsm"} == {2}
    assert {row.steps for row in rows if row.attack == "fgsm"} == {1}


@pytest.mark.usefixtures("no_figures")
def test_ifgsm_takes_steps_of_epsilon_over_n_from_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []

    def watched(model: nn.Module, images: Tensor, labels: Tensor, **options: Any) -> Tensor:
        seen.append(options)
        return pgd(model, images, labels, **options)

    monkeypatch.setattr(room, "pgd", watched)
    settings = AttackSettings(qualities=(50,), epsilons=(3.0, 9.0), steps=4)
    evaluate_attack(grey(129, 150), settings, tmp_path)
    expected = [
        {"epsilon": epsilon, "steps": 4, "step_size": epsilon / 4, "random_start": False}
        for epsilon in (3.0, 9.0)
    ]
    assert seen == expected * 5


def test_the_judge_is_libjpeg_behind_rounding() -> None:
    generator = torch.Generator().manual_seed(3)
    images = 255 * torch.rand(3, 3, 18, 21, generator=generator)
    for subsampling in ("4:2:0", "4:4:4"):
        coded = real_jpeg(images, quality=40, subsampling=subsampling)
        # jpeg_roundtrip rounds as well, and equals libjpeg to the last bit.
        same = jpeg_roundtrip(images, quality=40, subsampling=subsampling)
        assert torch.equal(coded, same)
    level = torch.full((1, 3, 8, 8), 99.7)
    assert torch.equal(
        real_jpeg(level, quality=100, subsampling="4:2:0"), torch.full((1, 3, 8, 8), 100.0)
    )


def test_ranks_count_classes_that_are_as_likely() -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert ranks_of_truth(logits, torch.tensor([0, 0, 0, 2])).tolist() == [0, 2, 1, 2]
    generator = torch.Generator().manual_seed(4)
    many = torch.randn(50, 20, generator=generator)
    labels = torch.randint(20, (50,), generator=generator)
    among = (many.topk(5).indices == labels[:, None]).any(1)
    assert torch.equal(ranks_of_truth(many, labels) < 5, among)
    with pytest.raises(DivergenceError, match="NaN"):
        ranks_of_truth(torch.tensor([[math.nan, 1.0]]), torch.tensor([0]))


@pytest.mark.usefixtures("no_figures")
def test_top_five_of_more_classes(tmp_path: Path) -> None:
    attacked = grey(120, 140)
    many = AttackedImages(
        "grey", 6, Brightness(6), attacked.index, attacked.labels, attacked.read, "f"
    )
    settings = AttackSettings(qualities=(100,), epsilons=(3.0,), steps=1)
    (row, *_) = evaluate_attack(many, settings, tmp_path)
    # Below 128 the logits of classes 1 to 5 are positive and that of class 0 is negative.
    assert (row.top1, row.top5) == (0.5, 0.5)
    assert "always 100" not in (tmp_path / "codec_attack.md").read_text()


class Cut(BaseException):
    pass


def test_an_interrupted_attack_ends_at_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacked = grey(129, 131, 150)
    measured: list[str] = []
    measure = room._measure

    def watched(task: Any, *arguments: Any) -> AttackRow:
        measured.append(task.attack)
        return measure(task, *arguments)

    monkeypatch.setattr(room, "_measure", watched)
    evaluate_attack(attacked, SETTINGS, tmp_path / "whole")
    assert "could not move" not in (tmp_path / "whole" / "codec_attack.md").read_text()
    assert len(measured) == 2 * (1 + 5 * 2)
    measured.clear()
    seen: list[tuple[int, int]] = []

    def cut(what: str, *, done: int, total: int) -> None:
        seen.append((done, total))
        if len(seen) == 7:
            raise Cut

    with pytest.raises(Cut):
        evaluate_attack(attacked, SETTINGS, tmp_path / "cut", cut)
    seen.clear()
    evaluate_attack(
        attacked, SETTINGS, tmp_path / "cut", lambda what, **state: seen.append((*state.values(),))
    )
    assert len(measured) == 2 * (1 + 5 * 2)  # none twice
    assert seen[-1] == (2 * (1 + 5 * (2 + 3)),) * 2
    for ending in ("csv", "md", "png", "svg"):
        file = f"codec_attack.{ending}"
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    measured.clear()
    stronger = AttackSettings(qualities=(8, 90), epsilons=(3.0,), steps=3)
    evaluate_attack(attacked, stronger, tmp_path / "whole")
    assert measured == ["ifgsm"] * 10


@pytest.mark.usefixtures("no_figures")
def test_the_ablation_attacks_through_each_kind(tmp_path: Path) -> None:
    settings = AttackSettings(qualities=(8, 100), epsilons=(3.0,), steps=1, ablation=True)
    state = torch.get_rng_state()
    rows = evaluate_attack(grey(129, 131, 150), settings, tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    assert {row.attack for row in rows} == {"none", "ifgsm"}
    keys = [approach.key for approach in rounding_kinds()]
    expected = ["none", *keys, "backward_constant", "backward_surrogate"]
    assert list(dict.fromkeys(row.approach for row in rows)) == expected
    text = (tmp_path / "codec_attack_ablation.md").read_text()
    assert "*21.62*" in text  # Table 5.7
    assert "*6.34*" in text  # Table 5.6
    constant = [row for row in rows if row.approach == "backward_constant"]
    assert [row.unmoved for row in constant] == [0, 0]
    # 129 becomes 126; 131 becomes 128, where both classes are as likely; 150 stays.
    assert constant[1].top1 == pytest.approx(1 / 3, rel=1e-15)


def test_printed_figures_only_stand_where_they_belong() -> None:
    def text(key: str, epsilon: float) -> str:
        rows = [
            AttackRow(approach, attack, strength, 10, 5, 4, 0.25, 0.5, 0, "f")
            for approach, attack, strength in (("none", "none", 0.0), (key, "ifgsm", epsilon))
        ]
        shown = [Approach(key, "shown")]
        return attack_text(rows, shown, name="n", subsampling="4:2:0", classes=9)

    assert "*7.97*" in text("ours", 3.0)
    assert "*4.09*" in text("ours", 9.0)
    assert "*15.20*" in text("rounding_tanh", 3.0)
    for other in (text("ours", 4.0), text("rounding_tanh", 9.0)):
        assert other.count("*thesis*") == 1  # without attack
        assert "| shown | - | 25.00 | - | - | 50.00 | - |" in other


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Class folders: light and dark images."""
    for name, level in (("a_light", 150), ("b_dark", 100)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.full((20, 24, 3), level + number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    return tmp_path / "images"


NETWORK = f"{__name__}:Brightness"


def test_any_network_and_a_folder(classes: Path) -> None:
    attacked = images_of_network(NETWORK, classes, 100)
    assert attacked.labels.tolist() == [0] * 4 + [1] * 4
    ((images, _),) = attacked.batches()
    assert images.dtype == torch.uint8
    assert images[:, 0, 0, 0].tolist() == [150, 151, 152, 153, 100, 101, 102, 103]
    assert (attacked.model(images.float()).argmax(1) == attacked.labels).all()
    some = images_of_network(NETWORK, classes, 3, side=14)
    ((images, labels),) = some.batches()
    assert images.shape == (3, 3, 14, 14)
    assert images_of_network(NETWORK, classes, 3).index.tolist() == some.index.tolist()
    assert ((images[:, 0, 0, 0] >= 150) == (labels == 0)).all()
    again = images_of_network(NETWORK, classes, 3, side=14)
    assert again.fingerprint == some.fingerprint
    assert images_of_network(NETWORK, classes, 3).fingerprint != some.fingerprint


def test_a_network_with_random_weights_is_the_same_one_each_time(classes: Path) -> None:
    state = torch.get_rng_state()
    first = images_of_network("trainer.networks.small:SmallCNN", classes, 2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(9)
    second = images_of_network("trainer.networks.small:SmallCNN", classes, 2)
    assert first.fingerprint == second.fingerprint


def test_wrong_folders_and_networks(classes: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        images_of_network(NETWORK, tmp_path / "none", 1)
    with pytest.raises(DataError, match="it has 0 folders and 0 images"):
        images_of_network(NETWORK, classes / "a_light", 1)
    with pytest.raises(ValueError, match="no module 'nowhere'"):
        images_of_network("nowhere:f", classes, 1)
    with pytest.raises(ValueError, match="images must be at least 1"):
        images_of_network(NETWORK, classes, 0)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(classes / "a_light" / "z.png")
    with pytest.raises(DataError, match=r"z\.png.*another image.*--side"):
        list(images_of_network(NETWORK, classes, 100).batches())
    (classes / "b_dark" / "1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"b_dark/1\.png cannot be read"):
        list(images_of_network(NETWORK, classes, 100, side=9).batches())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"qualities": (0,)}, "qualities must be at least 1"),
        ({"epsilons": ()}, "epsilons must hold one"),
        ({"epsilons": (9.0, 3.0)}, "that increase"),
        ({"epsilons": (0.0,)}, "epsilons must be finite and > 0"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"subsampling": "4:1:1"}, "subsampling must be one of"),
        ({"device": "tpu"}, "device must be one of"),
    ],
)
def test_wrong_settings(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AttackSettings(**options)


def test_command(classes: Path, tmp_path: Path, image_folder: Path) -> None:
    common = ["attack", "--qualities", "40", "--steps", "1", "--out", str(tmp_path / "o")]
    network = ["--network", NETWORK, "--image-folder", str(classes)]
    result = CliRunner().invoke(evaluate, [*common, *network, "--side", "16"])
    assert result.exit_code == 0, result.output
    assert "FGSM, epsilon 9" in result.output
    assert (tmp_path / "o" / "codec_attack.png").exists()
    run = str(trained_run(image_folder, "baseline", method="baseline"))
    short = [*common, "--images", "4", "--epsilon", "2", "--ablation"]
    result = CliRunner().invoke(evaluate, [*short, run])
    assert result.exit_code == 0, result.output
    assert "baseline, 4 images" in result.output
    assert (tmp_path / "o" / "codec_attack_ablation.csv").exists()
    for arguments, message in (
        ([], "give the folder of a run, or --network"),
        ([run, *network], "give the folder of a run, or --network"),
        (["--network", NETWORK], "--network and --image-folder go together"),
        ([run, "--side", "8"], "--side goes with --network"),
        ([run, "--epsilon", "-1"], "epsilons must be finite and > 0"),
        ([run, "--qualities", "101"], "qualities must be whole numbers"),
        ([str(tmp_path)], "no run folder"),
    ):
        failed = CliRunner().invoke(evaluate, [*common, *arguments])
        assert failed.exit_code == 1, failed.output
        assert message in failed.output
