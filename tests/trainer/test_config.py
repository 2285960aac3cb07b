"""Options: what is refused and how, and the way to JSON and back."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from reference.standard import SUBSAMPLINGS
from trainer import TrainConfig, config

NAN, INF = float("nan"), float("inf")

OUT_OF_RANGE: list[tuple[str, Any]] = [
    ("method", "jpeg"),
    ("schedule", "linear"),
    ("subsampling", "4:1:1"),
    ("device", "tpu"),
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


def test_the_step_schedule_needs_milestones() -> None:
    with pytest.raises(ValueError, match="needs milestones"):
        TrainConfig(schedule="step")


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


def test_subsamplings_are_those_of_the_layer() -> None:
    assert set(config.SUBSAMPLINGS) == set(SUBSAMPLINGS)
