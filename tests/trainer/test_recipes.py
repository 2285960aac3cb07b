"""The experiments: names, the paper's settings, the printed figures, what is refused."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import pytest

from trainer import RECIPES, TrainConfig, recipe
from trainer.config import METHODS
from trainer.recipes import (
    PUBLISHED,
    cifar100,
    fine_grained,
    fine_grained_efficientformer,
    imagenet,
    jpeg_augmentation,
    preprocessing,
    quantizer_baseline,
    subsampled,
    tables_of,
)
from trainer.recipes.listing import print_recipes, printed_accuracy, select_recipes

SGD = {"optimizer": "sgd", "momentum": 0.9}
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    # A.3, A.4, Table 4 and section 4, option by option.
    (
        "cifar100-resnet110-baseline",
        SGD
        | {
            "batch_size": 64,
            "epochs": 240,
            "learning_rate": 0.05,
            "weight_decay": 5e-4,
            "milestones": (150, 180, 210),
            "decay": 0.1,
        },
    ),
    ("cifar100-mobilenetv2-baseline", {"learning_rate": 0.01}),
    ("cifar100-shufflenetv2-jpeg-dl", {"learning_rate": 0.01}),
    (
        "cifar100-vgg13-jpeg-dl",
        {
            "learning_rate": 0.05,
            "q_optimizer": "adam",
            "q_learning_rate": 0.003,
            "alpha": 5.0,
            "alpha_learning_rate": 0.0,
            "hbar": None,
            "max_level": 127,
            "window": 5,
            "tables": "sensitivity",
            "tables_from": "runs/cifar100-vgg13-baseline-seed0",
            "q_max": 10.0,
        },
    ),
    (
        "pets-resnet18-jpeg-dl",
        SGD
        | {
            "batch_size": 32,
            "epochs": 200,
            "learning_rate": 0.1,
            "weight_decay": 1e-4,
            "milestones": (100, 150),
            "q_learning_rate": 0.005,
            "network": "preact_resnet18",
            "image_size": 224,
        },
    ),
    ("dogs-densenet121-jpeg-dl-rate-0.003", {"q_learning_rate": 0.003}),
    (
        "cifar100-efficientformer_l1-jpeg-dl",
        {
            "batch_size": 512,
            "warmup_epochs": 50,
            "epochs": 300,
            "q_learning_rate": 0.003,
            "tables": "constant",
            "q_initial": 1.0,
        },
    ),
    (
        "flowers-efficientformer_l1-jpeg-dl",
        {"batch_size": 512, "warmup_epochs": 100, "epochs": 600, "q_learning_rate": 0.005},
    ),
    (
        "imagenet-resnet34-jpeg-dl",
        SGD
        | {
            "batch_size": 256,
            "epochs": 90,
            "learning_rate": 0.1,
            "weight_decay": 1e-4,
            "milestones": (30, 60),
            "hbar": 0.7,
            "max_level": 1023,
            "q_optimizer": "sgd",
            "q_learning_rate": 0.5,
            "tables": "coefficients",
            "rounds": 1,
        },
    ),
    ("imagenet-squeezenet1_1-jpeg-dl-5-rounds", {"rounds": 5}),
    (
        "cub200-resnet18-straight-through",
        {"q_optimizer": "sgd", "q_learning_rate": 0.01, "tables": "coefficients"},
    ),
    (
        "cub200-resnet18-layer-replacement",
        {"alpha": 2.0, "max_level": 31, "q_learning_rate": 0.001, "placement": "relu"},
    ),
    (
        "cub200-densenet121-jpeg-quality-50-100",
        {"preprocessing": "jpeg", "jpeg_quality_low": 50, "jpeg_quality_high": 100},
    ),
    ("dogs-resnet18-jpeg-dl-420", {"subsampling": "4:2:0", "method": "jpeg-dl"}),
    ("dogs-resnet18-resize", {"pretrained": "runs/dogs-resnet18-baseline-seed0"}),
]


@pytest.mark.parametrize(("name", "fields"), SETTINGS)
def test_settings_are_the_papers(name: str, fields: dict[str, Any]) -> None:
    config = dataclasses.asdict(RECIPES[name]())
    assert {key: config[key] for key in fields} == fields


def test_every_recipe_knows_its_name_and_starts_from_seed_zero() -> None:
    for name, make in RECIPES.items():
        config = make()
        assert isinstance(config, TrainConfig)
        assert (config.recipe, config.seed, config.device) == (name, 0, "cpu")
        assert config == make()


@pytest.mark.parametrize("name", [name for name in RECIPES if "embedded" not in name])
def test_a_recipe_trains_its_baseline_except_for_what_it_is_about(name: str) -> None:
    """A comparison is fair only if data, network and optimizer are the baseline's."""
    config = RECIPES[name]()
    dataset, network, variant = name.split("-", 2)
    baseline = RECIPES[f"{dataset}-{network}-baseline"]()
    shared = ("dataset", "image_size", "normalization", "network", "epochs", "batch_size")
    shared += ("optimizer", "learning_rate", "momentum", "weight_decay", "milestones", "augment")
    different = {s for s in shared if getattr(config, s) != getattr(baseline, s)}
    allowed = {
        "resize": {"epochs", "learning_rate", "milestones"},  # tuned further, after training
        "layer-replacement": {"network"},  # needs the standard ResNet-18
    }
    assert different == allowed.get(variant, set())
    for folder in (config.tables_from, config.pretrained):
        assert folder in (None, f"runs/{baseline.recipe}-seed0")


def test_the_embedded_recipe_is_the_default_run() -> None:
    assert recipe("embedded-jpeg-dl") == TrainConfig(recipe="embedded-jpeg-dl")


def test_every_printed_figure_belongs_to_a_recipe() -> None:
    assert {cell.recipe for cell in PUBLISHED} <= set(RECIPES)
    # networks x methods (and the five rounds); data sets x networks x rows
    sizes = {1: 7 * 2, 2: 8 * 2, 3: 3 * 2 + 1, 5: 3 * 2, 6: 8 * 5, 7: 4 * 2, 8: 8 * 10, 9: 8 * 2}
    assert Counter(cell.table for cell in PUBLISHED) == sizes
    places = [(cell.table, cell.row, cell.column) for cell in PUBLISHED]
    assert len(set(places)) == len(places)
    assert {name for name in RECIPES if not tables_of(name)} == {
        name for name in RECIPES if name.startswith("embedded-")
    }


def test_a_recipe_has_one_figure_in_all_tables() -> None:
    """The tables repeat the baseline and JPEG-DL: a slip in copying them would show here."""
    seen: dict[str, set[tuple[float | None, float | None]]] = {}
    for cell in PUBLISHED:
        seen.setdefault(cell.recipe, set()).add((cell.mean, cell.std))
        assert cell.mean is None or 0 < cell.mean < 100
        assert cell.std is None or (cell.mean is not None and cell.std > 0)
    assert all(len(figures) == 1 for figures in seen.values())


@pytest.mark.parametrize(
    ("name", "gain"),
    [
        # (+x) beside the figure in the paper
        ("cub200-resnet18", 4.81),
        ("flowers-densenet121", 20.90),
        ("cifar100-vgg13", 1.55),
        ("cifar100-resnet56", 1.05),
        ("imagenet-resnet18", 0.38),
        ("pets-efficientformer_l1", 3.76),
    ],
)
def test_gains_are_those_printed_in_brackets(name: str, gain: float) -> None:
    mean = {cell.recipe: cell.mean for cell in PUBLISHED}
    ours, theirs = mean[f"{name}-jpeg-dl"], mean[f"{name}-baseline"]
    assert ours is not None
    assert theirs is not None
    assert round(ours - theirs, 2) == gain


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recipe("cifar100-resnet23-baseline"), "did you mean 'cifar100-resnet32-baseline'"),
        (lambda: recipe("cifar100"), "there is no 'cifar100'"),
        (lambda: recipe("embedded-cubic", epoch=3), "no option 'epoch', did you mean 'epochs'"),
        (lambda: recipe("embedded-cubic", epochs=0), "epochs must be at least 1"),
        (lambda: recipe("embedded-cubic", window=5), "window must be left out"),
        (lambda: recipe("embedded-jpeg-dl", max_level=2, window=7), "window must be odd and at"),
        (
            lambda: recipe("embedded-layer-replacement", subsampling="4:2:0"),
            "subsampling must be '4:4:4' where the quantizer replaces a ReLU",
        ),
        (lambda: recipe("cifar100-vgg8-jpeg-dl", tables_from=None), "needs tables_from"),
        (lambda: cifar100("resnet32", "jpegdl"), "method must be one of"),
        (lambda: fine_grained("birds", "resnet18", "baseline"), "dataset must be one of"),
        (lambda: fine_grained("dogs", "resnet19", "baseline"), "network must be one of"),
        (lambda: quantizer_baseline("dogs", "resnet18", "round"), "quantizer must be one of"),
        (lambda: preprocessing("dogs", "resnet18", "blur"), "kind must be one of"),
        (lambda: jpeg_augmentation("dogs", "resnet18", 50, 1), "jpeg_quality_low must be at most"),
        (lambda: subsampled("dogs", "resnet18", "4:1:1"), "subsampling must be one of"),
        (lambda: fine_grained_efficientformer("dogs", "baseline"), "dataset must be one of"),
        (lambda: imagenet("vgg16", "baseline"), "network must be one of"),
        (lambda: imagenet("resnet18", "jpeg-dl", rounds=0), "rounds must be at least 1"),
    ],
)
def test_wrong_names_and_combinations_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_words_select_recipes() -> None:
    assert select_recipes([]) == [*RECIPES]
    assert select_recipes(["table3"]) == [n for n in RECIPES if n.startswith("imagenet-")]
    assert select_recipes(["cub200", "resnet18", "table6"]) == [
        f"cub200-resnet18-{variant}"
        for variant in ("baseline", "jpeg-dl", "uniform-noise", "cubic", "straight-through")
    ]
    for words, hint in ((["tabel2"], "table2"), (["densenet12x"], "densenet121")):
        with pytest.raises(ValueError, match=f"did you mean '{hint}'"):
            select_recipes(words)


def test_the_list_shows_tables_and_printed_accuracies(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed_accuracy("cub200-resnet18-jpeg-dl") == "58.81 ± 0.12"
    assert printed_accuracy("imagenet-resnet18-baseline") == "69.75"
    assert printed_accuracy("embedded-cubic") == ""
    print_recipes(["imagenet"])
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "imagenet-squeezenet1_1-jpeg-dl " in line]
    assert [cell.strip() for cell in line.split("│")[1:-1]] == [
        "imagenet-squeezenet1_1-jpeg-dl",
        "3",
        "90",
        "58.26",
    ]
    assert any("[field=value ...]" in line for line in lines)


def test_both_methods_are_there_for_every_network() -> None:
    for name in RECIPES:
        start, _, variant = name.rpartition("-")
        if variant == "baseline":
            assert {f"{start}-{method}" for method in METHODS} <= set(RECIPES)
