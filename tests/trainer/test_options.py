"""``field=value``: what is read, and how a wrong one is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from trainer import RECIPES, TrainConfig
from trainer.options import explanations, parse_assignments


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


@pytest.mark.parametrize("name", [*RECIPES])
def test_every_option_of_every_recipe_can_be_written_and_read_back(name: str) -> None:
    values = dataclasses.asdict(RECIPES[name]())
    read = parse_assignments(f"{key}={_text(value)}" for key, value in values.items())
    assert read == values
    assert {key: type(value) for key, value in read.items()} == {
        key: type(value) for key, value in values.items()
    }


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("window=none", {"window": None}),
        ("window=None", {"window": None}),
        ("learning-rate=1e-3", {"learning_rate": 1e-3}),
        ("milestones=(3, 4,)", {"milestones": (3, 4)}),
        ("milestones=", {"milestones": ()}),
        ("augment=no", {"augment": False}),
        ("tensorboard=TRUE", {"tensorboard": True}),
        ("data=/a=b, c", {"data": "/a=b, c"}),
        ("data=none", {"data": None}),
        ("network=none", {"network": "none"}),
        ("hbar=1", {"hbar": 1.0}),
    ],
)
def test_values_are_read_by_their_type(text: str, fields: dict[str, Any]) -> None:
    assert parse_assignments([text]) == fields


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["epochs"], "field=value, got 'epochs'"),
        (["epoch=3"], "no option 'epoch', did you mean 'epochs'"),
        (["q_learningrate=3"], "did you mean 'q_learning_rate'"),
        (["zzzz=3"], "no option 'zzzz'$"),
        (["epochs=3", "epochs=3"], "epochs was given twice"),
        (["epochs=3.5"], "epochs must be a whole number, got '3.5'"),
        (["epochs=none"], "epochs must be a whole number"),
        (["hbar=big"], "hbar must be a number, got 'big'"),
        (["augment=maybe"], "augment must be true or false, got 'maybe'"),
        (["milestones=3,x"], "milestones must be a whole number, got 'x'"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(texts: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_assignments(texts)


def test_every_option_is_explained_and_nothing_else() -> None:
    texts = explanations()
    assert set(texts) == {field.name for field in dataclasses.fields(TrainConfig)}
    assert all(len(text) > 15 and text.endswith(".") for text in texts.values())
