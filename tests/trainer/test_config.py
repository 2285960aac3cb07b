"""Options: what is refused and how, and the way to JSON and back."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from reference.standard import SUBSAMPLINGS
from torch_impl.quantizer_baselines import QUANTIZERS
from trainer import TrainConfig, config

NAN, INF = float("nan"), float("inf")

OUT_OF_RANGE: list[tuple[str, Any]] = [
    ("method", "jpeg"),
    ("schedule", "linear"),
    ("subsampling", "4:1:1"),
    ("device", "tpu"),
    ("dataset", "cifar10"),
    ("normalization", "zero"),
    ("optimizer", "adam"),
    ("q_optimizer", "adamw"),
    ("quantizer", "hard"),
    ("tables", "ones"),
    ("preprocessing", "blur"),
    ("precision", "64"),
    *((name, 7) for name in ("image_size", "val_resize")),
    *((name, 0) for name in ("accumulate", "rounds", "tables_images", "quality")),
    *((name, bad) for name in ("quality", "jpeg_quality_low") for bad in (0, 101)),
    *((name, -1) for name in ("warmup_epochs", "workers", "checkpoint_steps")),
    *((name, bad) for name in ("mixup", "cutmix", "alpha_learning_rate") for bad in (-1.0, NAN)),
    *(("random_erasing", bad) for bad in (-0.1, 1.1, NAN)),
    *(("label_smoothing", bad) for bad in (-0.1, 1.0, NAN)),
    *(("q_max", bad) for bad in (0.0, 256.0, NAN)),
    *((name, 0) for name in ("train_patches", "val_patches", "width", "epochs", "batch_size")),
    ("threads", 0),
    ("seed", -1),
    ("data_seed", -1),
    *((name, bad) for name in ("learning_rate", "alpha", "hbar") for bad in (0.0, -1.0, NAN, INF)),
    *((name, bad) for name in ("weight_decay", "q_learning_rate") for bad in (-1e-9, NAN, INF)),
    *(("momentum", bad) for bad in (-0.1, 1.0, NAN)),
    *(("decay", bad) for bad in (0.0, 1.5, NAN)),
    *(("q_initial", bad) for bad in (0.0, -1.0, 9e-6, 255.1, NAN, INF)),
    ("max_level", 0),
    *(("window", bad) for bad in (4, 1, -3, 2049)),
    ("milestones", (3, 2)),
    ("milestones", (2, 2)),
    ("milestones", (0,)),
]

WRONG_TYPE: list[tuple[str, Any]] = [
    ("seed", 1.0),
    ("epochs", True),
    ("width", "16"),
    ("window", 5.0),
    ("learning_rate", "0.1"),
    ("alpha", None),
    ("augment", 1),
    ("q_follows_schedule", "yes"),
    ("data", 3),
    ("milestones", [3]),
    ("milestones", (1.5,)),
    ("network", 3),
    ("placement", ""),
    ("recipe", 3),
    ("pretrained", 3),
    ("tensorboard", 1),
]

COMBINATIONS: list[tuple[dict[str, Any], str]] = [
    ({"schedule": "step"}, "needs milestones"),
    ({"image_size": 32, "val_resize": 31}, "val_resize must be at least 32, got 31"),
    ({"epochs": 5, "warmup_epochs": 5}, "warmup_epochs must be below epochs = 5"),
    ({"batch_size": 64, "accumulate": 3}, "accumulate must divide batch_size = 64"),
    ({"jpeg_quality_low": 60, "jpeg_quality_high": 50}, "jpeg_quality_low must be at most"),
    ({"sync_batch_norm": True}, "sync_batch_norm must be False on the CPU"),
    ({"precision": "16-mixed"}, "on the CPU"),
    ({"tables": "sensitivity"}, "needs tables_from"),
    ({"quantizer": "cubic", "hbar": 0.7}, 'hbar must be left out: quantizer "cubic" has none'),
    ({"quantizer": "cubic", "window": 5}, "window must be left out"),
    ({"quantizer": "cubic", "alpha_learning_rate": 0.1}, "alpha_learning_rate must be 0"),
    ({"hbar": 0.7, "alpha_learning_rate": 0.1}, "alpha_learning_rate must be 0"),
    ({"max_level": 2, "window": 7}, "window must be odd and at most 2 max_level"),
    *(
        ({"placement": "relu", name: value}, f"{name} must be .* where the quantizer replaces")
        for name, value in (
            ("subsampling", "4:2:0"),
            ("quantizer", "cubic"),
            ("rounds", 2),
            ("tables", "standard"),
            ("hbar", 0.7),
            ("alpha_learning_rate", 0.1),
        )
    ),
]


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must"):
        TrainConfig(**{name: value})


@pytest.mark.parametrize(("name", "value"), WRONG_TYPE)
def test_a_value_of_the_wrong_type_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name} must"):
        TrainConfig(**{name: value})


def test_the_ends_of_the_ranges_are_allowed() -> None:
    TrainConfig(window=2047, q_initial=1e-5, momentum=0.0, decay=1.0, q_learning_rate=0.0)
    TrainConfig(window=3, max_level=1, q_initial=255, epochs=1, seed=0)


@pytest.mark.parametrize(("options", "message"), COMBINATIONS)
def test_an_impossible_combination_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig(**options)


def test_the_baseline_does_not_care_about_options_of_the_layer() -> None:
    TrainConfig(method="baseline", tables="sensitivity")
    TrainConfig(method="baseline", placement="relu", rounds=2)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"schedule": "step", "milestones": (2, 5), "hbar": 0.7, "window": 5, "data": "some/where"},
        {"learning_rate": 0.1 + 0.2, "method": "baseline", "augment": False},
    ],
)
def test_json_brings_back_an_equal_configuration(options: dict[str, Any]) -> None:
    first = TrainConfig(**options)
    assert TrainConfig.from_json(first.to_json()) == first


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda fields: fields.update(speed=1), "unknown configuration fields: speed"),
        (lambda fields: fields.pop("alpha"), "missing configuration fields: alpha"),
        (lambda fields: fields.update(epochs=0), "epochs must be at least 1"),
    ],
)
def test_json_is_validated(edit: Any, message: str) -> None:
    fields = json.loads(TrainConfig().to_json())
    edit(fields)
    with pytest.raises(ValueError, match=message):
        TrainConfig.from_json(json.dumps(fields))


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null"])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a configuration"):
        TrainConfig.from_json(text)


def test_differences_name_the_fields_and_both_values() -> None:
    first = TrainConfig()
    other = dataclasses.replace(first, alpha=2.0, window=5)
    assert first.differences(other) == {"alpha": (5.0, 2.0), "window": (None, 5)}
    assert first.differences(first) == {}


def test_what_does_not_change_the_result_is_no_difference() -> None:
    first = TrainConfig()
    other = dataclasses.replace(first, workers=3, checkpoint_steps=7, tensorboard=True)
    assert first.differences(other) == {}


def test_names_are_those_of_the_layer() -> None:
    assert set(config.SUBSAMPLINGS) == set(SUBSAMPLINGS)
    assert set(config.QUANTIZERS) == set(QUANTIZERS)
