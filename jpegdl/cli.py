"""The command line: gathers the commands of each room and holds no logic of its own."""

from __future__ import annotations

import typer

import jpegdl.benchmark
import oracles.cli
import reference.cli
import trainer.cli

app = typer.Typer(
    name="jpegdl",
    help="Numerical reference, test oracles and fast kernels for trainable JPEG.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
COMMANDS = (
    trainer.cli.quickstart,
    trainer.cli.train,
    trainer.cli.recipes,
    trainer.cli.report,
    trainer.cli.attack,
    trainer.cli.figures,
    trainer.cli.export_tables,
    oracles.cli.verify,
    reference.cli.encode,
    reference.cli.inspect,
    jpegdl.benchmark.benchmark,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(trainer.cli.evaluate, name="evaluate")
app.add_typer(oracles.cli.vectors, name="vectors")

__all__ = ["app"]
