"""How near each approach is to the real codec: Tables 5.1 and 5.5, Fig. 5.3 to 5.6."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from trainer.codec_evaluation import published
from trainer.codec_evaluation.approaches import (
    Approach,
    ablation_steps,
    compared_approaches,
    drawing_for,
    rounding_kinds,
)
from trainer.codec_evaluation.averages import by_approach
from trainer.codec_evaluation.image_metrics import distance
from trainer.codec_evaluation.pages import Column, range_table, which_qualities
from trainer.codec_evaluation.picture_sweep import Case, Key, Progress, Settings, sweep
from trainer.codec_evaluation.pictures import Picture
from trainer.codec_evaluation.quality_plots import Curve, draw_curves
from trainer.figures._drawing import new_figure, save
from trainer.run_folder import prepare_folder, write_atomically

_LOW = 10  # Fig. 5.4


@dataclass(frozen=True)
class ForwardRow:
    """An approach against the real codec, on a picture at a quality.

    Parameters
    ----------
    picture, approach, quality, fingerprint
        What was measured.
    psnr
        In dB; infinite for equal images.
    ssim, mae, mse
        See `trainer.codec_evaluation.image_metrics.Distance`.
    """

    picture: str
    approach: str
    quality: int
    fingerprint: str
    psnr: float
    ssim: float
    mae: float
    mse: float

    @property
    def key(self) -> Key:
        """What was measured."""
        return self.picture, self.approach, self.quality, self.fingerprint


def evaluate_forward(
    pictures: Sequence[Picture],
    settings: Settings,
    out: Path,
    progress: Progress | None = None,
) -> list[ForwardRow]:
    """Compare the peers and both forms of this library; writes ``forward.csv``, ``.md`` and plots.

    Parameters
    ----------
    pictures, settings
        What is coded.
    out
        Folder for the files.
    progress
        Called as the work gets on.

    Returns
    -------
    list of ForwardRow
        By picture, approach and quality.

    Raises
    ------
    TrainerError
        If a picture cannot be read, or a file cannot be written or belongs to something else.

    References
    ----------
    Codec control thesis, section 5.5.1, Table 5.1, Fig. 5.3, 5.4 and 5.6.
    """
    approaches = compared_approaches()
    rows = _measure(pictures, approaches, settings, out, "forward", progress)
    lines = ["# Differentiable JPEG against libjpeg", "", *_intro(pictures, settings), ""]
    lines += ["Table 5.1, the approaches as a whole:", ""]
    lines += _tables(approaches, rows, published.FORWARD)
    _write(out, "forward", lines, [("", approaches)], rows, settings)
    return rows


def evaluate_ablation(
    pictures: Sequence[Picture],
    settings: Settings,
    out: Path,
    progress: Progress | None = None,
) -> list[ForwardRow]:
    """The parts put in one by one and the kinds of rounding; ``ablation.csv``, ``.md`` and plots.

    Parameters, Returns and Raises as `evaluate_forward`.

    References
    ----------
    Codec control thesis, section 5.5.1, Table 5.1 (A to F), Fig. 5.5; section 5.5.3, Table 5.5.
    """
    steps, kinds = ablation_steps(), rounding_kinds()
    rows = _measure(pictures, (*steps, *kinds), settings, out, "ablation", progress)
    lines = ["# What each part of differentiable JPEG does", "", *_intro(pictures, settings), ""]
    lines += ["Table 5.1, A to F, the parts put in one by one:", ""]
    lines += _tables(steps, rows, published.ABLATION)
    lines += ["", "Table 5.5, the substitute of rounding and floors, without straight-through:", ""]
    lines += _tables(kinds, rows, published.ROUNDING)
    _write(out, "ablation", lines, [("parts", steps), ("kinds", kinds)], rows, settings)
    return rows


def draw_forward(
    groups: Sequence[tuple[str, Sequence[Approach]]],
    rows: Sequence[ForwardRow],
    qualities: tuple[int, ...],
) -> Figure:
    """SSIM and PSNR over quality, all and up to 10; two lines of panels for each group."""
    figure = new_figure(10.0, 6.0 * len(groups))
    low = tuple(quality for quality in qualities if quality <= _LOW)
    spans = [qualities] if low in ((), qualities) else [qualities, low]
    parts = figure.subfigures(len(groups), 1, squeeze=False)[:, 0]
    for part, (title, approaches) in zip(parts, groups, strict=True):
        if title:
            part.suptitle(title)
        panels = part.subplots(2, len(spans), squeeze=False)
        for line, (measure, label) in zip(
            panels, (("ssim", "SSIM"), ("psnr", "PSNR (dB)")), strict=True
        ):
            values = by_approach(rows, measure)
            curves = [_curve(approach, values, measure) for approach in approaches]
            for axes, span in zip(line, spans, strict=True):
                # Fig. 5.5 shows no deviations either: they would hide the curves.
                draw_curves(axes, curves, span, deviations=0 if len(groups) > 1 else 1)
                axes.set_ylabel(label)
        handles = panels[1, 0].get_legend_handles_labels()[0]
        part.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _curve(approach: Approach, values: Mapping[str, dict[int, list[float]]], measure: str) -> Curve:
    found = values[approach.key]
    everything = [value for of_quality in found.values() for value in of_quality]
    if measure == "psnr" and all(math.isinf(value) for value in everything):
        return Curve(f"{approach.title}: equal, no PSNR", found)
    return Curve(approach.title, found)


def _measure(
    pictures: Sequence[Picture],
    approaches: Sequence[Approach],
    settings: Settings,
    out: Path,
    name: str,
    progress: Progress | None,
) -> list[ForwardRow]:
    prepare_folder(out, option="--out")

    def measure(case: Case, approach: Approach) -> ForwardRow:
        with torch.no_grad(), drawing_for(case.fingerprint, case.quality):
            coded = approach(case.images, quality=case.quality, subsampling=settings.subsampling)
        found = distance(coded[0].permute(1, 2, 0).cpu().numpy(), np.asarray(case.coded))
        return ForwardRow(
            case.picture,
            approach.key,
            case.quality,
            case.fingerprint,
            **dataclasses.asdict(found),
        )

    path = out / f"{name}.csv"
    return sweep(pictures, approaches, settings, path, ForwardRow, measure, progress)


def _intro(pictures: Sequence[Picture], settings: Settings) -> list[str]:
    names = [picture.name for picture in pictures]
    what = ", ".join(names) if len(names) <= 8 else f"{len(names)} pictures"
    return [
        f"Against Pillow's libjpeg-turbo, {settings.subsampling}, on {what}; means over pictures "
        "and qualities. PSNR in dB, MAE in levels of 255, MSE in their squares. "
        f'"equal": every pixel of every image is. {which_qualities(settings.qualities)}',
        "",
        'Rows "thesis" are its printed figures on Set14 against OpenCV: other pictures, and an '
        "SSIM that counts the edges.",
    ]


def _tables(
    approaches: Sequence[Approach], rows: Sequence[ForwardRow], table: published.Table
) -> list[str]:
    def column(measure: str, title: str, digits: int) -> Column:
        values = by_approach(rows, measure)
        return Column(measure, title, digits, values.__getitem__)

    return [
        *range_table(approaches, [column("ssim", "SSIM", 3), column("psnr", "PSNR", 2)], table),
        "",
        *range_table(approaches, [column("mae", "MAE", 3), column("mse", "MSE", 3)]),
    ]


def _write(
    out: Path,
    name: str,
    lines: list[str],
    groups: Sequence[tuple[str, Sequence[Approach]]],
    rows: Sequence[ForwardRow],
    settings: Settings,
) -> None:
    save(draw_forward(groups, rows, settings.qualities), out, name)
    write_atomically(out / f"{name}.md", ("\n".join(lines) + "\n").encode())
