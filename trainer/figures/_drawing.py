"""How all figures look, and how they are written."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.run_folder import write_atomically

# Okabe and Ito's palette: told apart with any kind of colour vision, and in print.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#666666"
RED = "#CC0000"
_DPI = 130


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, outside pyplot: nothing stays in memory."""
    return Figure(figsize=(width, height), layout="constrained")


def with_grid(axes: Axes) -> None:
    """Thin lines behind the curves."""
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and as SVG; the same figure gives the same bytes.

    Returns
    -------
    list of Path
        ``name.png`` and ``name.svg``.
    """
    paths = []
    # Without the salt the names inside an SVG are random, without None its date is today's.
    with matplotlib.rc_context({"svg.hashsalt": "jpegdl"}):
        for kind, metadata in (("png", {}), ("svg", {"Date": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=_DPI, metadata=metadata)
            paths.append(folder / f"{name}.{kind}")
            write_atomically(paths[-1], buffer.getvalue())
    return paths
