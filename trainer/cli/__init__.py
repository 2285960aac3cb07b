"""The trainer's commands. torch and matplotlib are imported only when one runs."""

from __future__ import annotations

from trainer.cli.attack_command import attack
from trainer.cli.evaluate_command import evaluate
from trainer.cli.export_command import export_tables
from trainer.cli.figures_command import figures
from trainer.cli.list_commands import recipes, report
from trainer.cli.train_command import quickstart, train

__all__ = [
    "attack",
    "evaluate",
    "export_tables",
    "figures",
    "quickstart",
    "recipes",
    "report",
    "train",
]
