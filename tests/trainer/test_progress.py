"""A log that is no terminal: a line each minute, and none in between."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from trainer import progress
from trainer.progress import ConsoleListener


def test_a_log_gets_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    text = io.StringIO()
    with ConsoleListener(Console(file=text, width=200), steps=200) as listener:
        for _ in range(150):  # a second each
            now += 1
            listener.on_step("run", 2, 0.251, 99.7)
        now += 61
        listener.on_measure("run", 64, 1000)
        listener.on_measure("run", 128, 1000)
    assert text.getvalue().splitlines() == [
        "run: epoch 2, 30 % of all steps, accuracy so far 25.1 %, 100 images/s",
        "run: epoch 2, 60 % of all steps, accuracy so far 25.1 %, 100 images/s",
        "run: measuring tables, image 64 of 1000",
    ]


def test_a_terminal_has_the_bar_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    text = io.StringIO()
    with ConsoleListener(Console(file=text, force_terminal=True, width=200), 200) as listener:
        now += 1000
        listener.on_step("run", 2, 0.251, 99.7)
    assert "accuracy so far" not in text.getvalue()
    assert "run, epoch 2" in text.getvalue()
