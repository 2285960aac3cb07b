"""``jpegdl figures``: the paper's figures and Tables 10 and 11, from the code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from trainer.cli._errors import clear_errors
from trainer.config import DEVICES

_RUNS, _TIME = "Runs", "Table 11"


def figures(
    out: Annotated[
        Path, typer.Argument(help="Folder for the files, made if it is not there.")
    ] = Path("figures"),
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of a figure or table, such as fig2 or table10; repeat for several. "
            "Left out: all whose runs are given."
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a JPEG-DL run, for its tables, feature maps and Grad-CAM++.",
            rich_help_panel=_RUNS,
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a baseline run on the same data, to stand beside it.",
            rich_help_panel=_RUNS,
        ),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(
            help="Image file for feature maps and Grad-CAM++. Left out: the first validation "
            "image that JPEG-DL classifies correctly and the baseline does not.",
            rich_help_panel=_RUNS,
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            help="Module of the network whose feature maps are shown. Left out: the first dense "
            "block of a DenseNet, else the first module at a quarter of the image's side.",
            rich_help_panel=_RUNS,
        ),
    ] = None,
    cam_layer: Annotated[
        str | None,
        typer.Option(
            help="Module of the network for Grad-CAM++. Left out: the last one with maps of at "
            "least 4x4.",
            rich_help_panel=_RUNS,
        ),
    ] = None,
    images: Annotated[
        int,
        typer.Option(
            min=1,
            help="Training images over which sensitivity is measured, at most.",
            rich_help_panel=_RUNS,
        ),
    ] = 10_000,
    network: Annotated[
        str,
        typer.Option(
            help="Network to be timed: a name or package.module:function.", rich_help_panel=_TIME
        ),
    ] = "preact_resnet18",
    side: Annotated[
        int, typer.Option(min=1, help="Side of its images in pixels.", rich_help_panel=_TIME)
    ] = 224,
    device: Annotated[
        str,
        typer.Option(metavar="|".join(DEVICES), help="Where it is timed.", rich_help_panel=_TIME),
    ] = "cpu",
    repetitions: Annotated[
        int, typer.Option(min=1, help="Inferences per row.", rich_help_panel=_TIME)
    ] = 20,
) -> None:
    """Write the figures of JPEG-DL, as PNG and SVG, and its Tables 10 and 11 as text.

    Figures that need a run are skipped, by name, where none is given.
    """
    with clear_errors():
        if device not in DEVICES:
            raise ValueError(f"--device must be one of {', '.join(DEVICES)}; got {device!r}")
        # Before torch comes: its idle threads would spin, and on a machine that does other work
        # too, take the time of Table 11 from the layer's.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        from trainer.figures.catalogue import Request, make_figures

        request = Request(
            run=run,
            baseline=baseline,
            image=image,
            layer=layer,
            cam_layer=cam_layer,
            images=images,
            network=network,
            side=side,
            device=device,
            repetitions=repetitions,
        )
        make_figures(out, request, only=only or (), say=typer.echo)


__all__ = ["figures"]
