"""``jpegdl export-tables``: trained tables for a real encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trainer.cli._errors import clear_errors


def export_tables(
    run: Annotated[Path, typer.Argument(help="Folder of a JPEG-DL run.", metavar="RUN")],
    image: Annotated[
        Path | None,
        typer.Option(
            help="Image to be encoded with the tables. Left out: a photograph inside scikit-image."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files. Left out: RUN/export.")
    ] = None,
) -> None:
    """Write a run's tables as integers, as JSON and for cjpeg, and a JPEG with them.

    Prints its size and PSNR beside those of the standard tables at about the same PSNR.
    """
    with clear_errors():
        from trainer.export_tables import export_tables as export
        from trainer.export_tables import export_text

        typer.echo(export_text(export(run, image=image, out=out)))


__all__ = ["export_tables"]
