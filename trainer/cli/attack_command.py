"""``jpegdl attack``: accuracy of trained runs under FGSM and PGD."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trainer._limits import EPSILONS
from trainer.cli._errors import clear_errors
from trainer.config import DEVICES


def attack(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of one or more runs.", metavar="RUN...")
    ],
    epsilon: Annotated[
        list[float] | None,
        typer.Option(
            help="Largest change of a pixel in units of 1/255; repeat for several. "
            f"Default: {', '.join(f'{value:g}' for value in EPSILONS)}."
        ),
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, help="Of PGD, each of 2.5 epsilon / steps as in the paper.")
    ] = 10,
    images: Annotated[
        int | None,
        typer.Option(min=1, help="Validation images that are attacked. Left out: all."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files. Left out: that of the first run.")
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="|".join(DEVICES), help="Where it is computed.")
    ] = "cpu",
) -> None:
    """Attack runs by FGSM and PGD through their JPEG layer, in pixel units (Fig. 3).

    Writes attack.csv, attack.md, attack.png and attack.svg. Interrupt it at any time: the same
    command takes what it has from attack.csv and goes on.
    """
    with clear_errors():
        from trainer.robustness import Sweep
        from trainer.robustness_console import attack_on_console

        epsilons = tuple(sorted(set(epsilon or EPSILONS)))
        attack_on_console(runs, Sweep(epsilons, steps, images, device), out)


__all__ = ["attack"]
