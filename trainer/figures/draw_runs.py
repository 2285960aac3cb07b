"""Fig. 4/11, 10, 5/12 and 6 as pictures of given runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from trainer.figures._drawing import COLORS, GREY, new_figure, with_grid
from trainer.figures.chosen_image import ChosenImage
from trainer.figures.run_tables import SensitivityOfRun, TablesOverTraining

MOST_MAPS = 64
"""Feature maps shown, the first of a layer."""
_INDEX = "frequency index in zigzag order (0 = DC)"
_PLANES = ("Y", "CbCr")


def draw_tables(tables: TablesOverTraining, run: str) -> Figure:
    """Initial and final tables, Y and CbCr. JPEG-DL, Fig. 4 and Fig. 11.

    Parameters
    ----------
    tables
        Of the run.
    run
        Its name, for the title.
    """
    figure = new_figure(10.0, 4.0)
    for plane, axes in enumerate(figure.subplots(1, 2)):
        # Open circles, which a final value in the same place does not cover.
        style = {"markersize": 7, "fillstyle": "none", "linewidth": 1}
        axes.plot(tables.initial[plane], "o--", color=GREY, label="initial", **style)
        rounds = len(tables.final)
        for number, final in enumerate(tables.final):
            label = "final" if rounds == 1 else f"final, round {number + 1}"
            color = COLORS[(number + 1) % len(COLORS)]
            axes.plot(final[plane], ".-", color=color, linewidth=1, label=label)
        axes.set(title=f"({'ab'[plane]}) {_PLANES[plane]}", ylabel="quantization step q")
        _zigzag_axis(axes)
        axes.legend(frameon=False)
    moved = (tables.final[-1] - tables.initial).square().mean().sqrt()
    figure.suptitle(f"{run}, {tables.epochs} epochs: root mean square change of q {moved:.2g}")
    return figure


def draw_sensitivity(runs: Mapping[str, SensitivityOfRun]) -> Figure:
    """Estimated sensitivity per frequency, a panel for each run. JPEG-DL, Fig. 10.

    Parameters
    ----------
    runs
        Measured sensitivities by title.
    """
    figure = new_figure(5.2 * len(runs), 4.0)
    panels = figure.subplots(1, len(runs), squeeze=False)[0]
    for axes, (title, measured) in zip(panels, runs.items(), strict=True):
        for values, name, color in zip(measured.values, ("Y", "Cb", "Cr"), COLORS, strict=False):
            axes.semilogy(values, ".-", color=color, linewidth=1, label=name)
        axes.set(title=f"{title}, {measured.images} images", ylabel="estimated sensitivity")
        _zigzag_axis(axes)
        axes.legend(frameon=False)
    return figure


def _zigzag_axis(axes: Axes) -> None:
    axes.set(xlabel=_INDEX, xlim=(-1, 64))
    axes.set_xticks([*range(0, 64, 8), 63])
    with_grid(axes)


def mosaic(maps: Tensor) -> NDArray[np.float64]:
    """The first maps of a layer side by side, each from its own minimum (0) to maximum (1).

    Parameters
    ----------
    maps
        (C, h, w).

    Returns
    -------
    numpy.ndarray
        Rows of maps in the order of the channels, with a rim of NaN; at most `MOST_MAPS`. A
        constant map is 0.
    """
    shown = maps[:MOST_MAPS].double().cpu()
    low, high = shown.amin((1, 2), keepdim=True), shown.amax((1, 2), keepdim=True)
    scaled = (shown - low) / torch.where(high > low, high - low, 1)
    columns = math.ceil(math.sqrt(len(scaled)))
    rows = math.ceil(len(scaled) / columns)
    height, width = scaled.shape[1:]
    rim = max(1, height // 16)
    canvas = np.full((rows * (height + rim) + rim, columns * (width + rim) + rim), np.nan)
    for number, one in enumerate(scaled.numpy()):
        top = rim + (number // columns) * (height + rim)
        left = rim + (number % columns) * (width + rim)
        canvas[top : top + height, left : left + width] = one
    return canvas


@dataclass(frozen=True, eq=False)
class Shown:
    """What one model makes of an image.

    Parameters
    ----------
    title
        Of the panel.
    predicted
        Name of the class.
    picture
        Feature maps (C, h, w) or a class activation map (H, W).
    """

    title: str
    predicted: str
    picture: Tensor


def draw_feature_maps(image: ChosenImage, jpeg_dl: Shown, baseline: Shown, layer: str) -> Figure:
    """Feature maps of JPEG-DL, the image, and those of the baseline. JPEG-DL, Fig. 5 and 12."""
    figure = new_figure(12.0, 6.2)  # high enough that the width limits the panels
    panels = figure.subplots(1, 3, width_ratios=(5, 3, 5))
    for axes, shown, letter in ((panels[0], jpeg_dl, "a"), (panels[2], baseline, "c")):
        axes.imshow(mosaic(shown.picture), cmap="gray", interpolation="nearest")
        axes.set_title(f"({letter}) {shown.title}\npredicts: {shown.predicted}")
    _draw_image(panels[1], image, "(b) ")
    channels, height, width = jpeg_dl.picture.shape
    figure.supxlabel(
        f"maps of {height}x{width} after {layer}, {min(channels, MOST_MAPS)} of {channels}, each "
        f"from its minimum (black) to its maximum (white)\n{image.origin}",
        fontsize=9,
    )
    return _without_axes(figure)


def draw_activation_maps(image: ChosenImage, baseline: Shown, jpeg_dl: Shown, layer: str) -> Figure:
    """Grad-CAM++ over the image, baseline and JPEG-DL. JPEG-DL, Fig. 6."""
    figure = new_figure(10.0, 4.2)
    panels = figure.subplots(1, 3)
    _draw_image(panels[0], image, "")
    for axes, shown in zip(panels[1:], (baseline, jpeg_dl), strict=True):
        axes.imshow(_rgb(image))
        drawn = axes.imshow(shown.picture.numpy(), cmap="jet", alpha=0.45, vmin=0, vmax=1)
        axes.set_title(f"{shown.title}\npredicts: {shown.predicted}")
    figure.colorbar(drawn, ax=panels[1:], shrink=0.8, label="Grad-CAM++ (own maximum = 1)")
    figure.supxlabel(
        f"Grad-CAM++ of the predicted class, maps of {layer}\n{image.origin}", fontsize=9
    )
    return _without_axes(figure)


def _draw_image(axes: Axes, image: ChosenImage, prefix: str) -> None:
    axes.imshow(_rgb(image))
    axes.set_title(f"{prefix}input" + ("" if image.label is None else f"\nclass: {image.label}"))


def _rgb(image: ChosenImage) -> NDArray[np.uint8]:
    return image.pixels[0].permute(1, 2, 0).round().byte().numpy()


def _without_axes(figure: Figure) -> Figure:
    for axes in figure.axes:
        if axes.get_label() != "<colorbar>":
            axes.set_axis_off()
    return figure
