"""What an evaluation tells while it works, and at its end."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from trainer.codec_evaluation import console as room
from trainer.codec_evaluation.picture_sweep import Progress


def said(tmp_path: Path, *, terminal: bool) -> str:
    page = tmp_path / "forward.md"

    def work(show: Progress) -> None:
        for done in range(1, 5):
            show(f"[one] {done}", done=done, total=4)
        page.write_text("| a [b] |\n")

    text = io.StringIO()
    room.on_console(work, page, console=Console(file=text, force_terminal=terminal, width=80))
    return text.getvalue()


def test_a_log_has_a_line_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 59.0, 61.0, 61.0, 100.0, 122.0, 122.0])
    monkeypatch.setattr(room.time, "monotonic", lambda: next(times))
    lines = said(tmp_path, terminal=False).splitlines()
    assert [line for line in lines if "of the work" in line] == [
        "[one] 2 (50 % of the work)",
        "[one] 4 (100 % of the work)",
    ]
    end = ["| a [b] |", "", f"table and figure: {tmp_path}/forward.csv, {tmp_path}/forward.png"]
    assert lines[-3:] == end


def test_a_terminal_has_a_bar(tmp_path: Path) -> None:
    text = said(tmp_path, terminal=True)
    assert "100 %" in text
    assert "of the work" not in text
    assert "| a [b] |" in text
