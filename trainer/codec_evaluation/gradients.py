"""Gradients where they should vanish: Table 5.4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure

from torch_impl import standard_tables
from trainer.codec_evaluation import published
from trainer.codec_evaluation.approaches import Approach, compared_approaches, drawing_for
from trainer.codec_evaluation.averages import by_approach
from trainer.codec_evaluation.pages import Column, range_table, which_qualities
from trainer.codec_evaluation.picture_sweep import Case, Key, Progress, Settings, sweep
from trainer.codec_evaluation.pictures import Picture
from trainer.codec_evaluation.quality_plots import Curve, draw_curves
from trainer.errors import DivergenceError
from trainer.figures._drawing import new_figure, save
from trainer.run_folder import prepare_folder, write_atomically

CSV_FILE, TEXT_FILE, FIGURE = "gradients.csv", "gradients.md", "gradients"
_FULL_SCALE = 50  # the quality whose tables are those of Annex K


@dataclass(frozen=True)
class GradientRow:
    """Gradient of the distance to the real codec, on a picture at a quality.

    Parameters
    ----------
    picture, approach, quality, fingerprint
        What was measured.
    loss
        Mean absolute difference over pixels and channels, in levels of 255.
    quality_norm
        Magnitude of its derivative with respect to quality, in levels.
    tables_norm
        Euclidean norm of its gradient with respect to the 2 x 64 base tables, in levels.
    """

    picture: str
    approach: str
    quality: int
    fingerprint: str
    loss: float
    quality_norm: float
    tables_norm: float

    @property
    def key(self) -> Key:
        """What was measured."""
        return self.picture, self.approach, self.quality, self.fingerprint


def measure_gradients(case: Case, approach: Approach, subsampling: str) -> GradientRow:
    """Norms of the gradients of the mean absolute error between an approach and the real codec.

    Parameters
    ----------
    case
        Picture and quality.
    approach
        Whose gradient is taken.
    subsampling
        Of chroma.

    Raises
    ------
    DivergenceError
        If a gradient is not finite.

    Notes
    -----
    The derivative of an absolute value at 0 is taken as 0.
    """
    images = case.images
    target = torch.from_numpy(case.coded).permute(2, 0, 1)[None].to(images)
    quality = torch.tensor(float(case.quality), device=images.device, requires_grad=True)
    base = standard_tables(_FULL_SCALE).to(images.device).requires_grad_()
    with drawing_for(case.fingerprint, case.quality):
        coded = approach(images, quality=quality, subsampling=subsampling, base_tables=base)
    loss = (coded - target).abs().mean()
    found = torch.autograd.grad(loss, (quality, base), allow_unused=True)
    norms = [0.0 if gradient is None else float(gradient.norm()) for gradient in found]
    if not all(norm < float("inf") for norm in norms):
        raise DivergenceError(
            f"the gradient of {approach.title} on {case.picture} at quality {case.quality} is not "
            "finite"
        )
    return GradientRow(
        case.picture, approach.key, case.quality, case.fingerprint, float(loss.detach()), *norms
    )


def evaluate_gradients(
    pictures: Sequence[Picture],
    settings: Settings,
    out: Path,
    progress: Progress | None = None,
) -> list[GradientRow]:
    """Average norms of the gradients; writes ``gradients.csv``, ``.md`` and plots.

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
    list of GradientRow
        By picture, approach and quality.

    Raises
    ------
    TrainerError
        If a picture cannot be read, a gradient is not finite, or a file cannot be written or
        belongs to something else.

    References
    ----------
    Codec control thesis, section 5.2.1, "Vanishing gradient evaluation", and Table 5.4.
    """
    prepare_folder(out, option="--out")
    approaches = compared_approaches()
    rows = sweep(
        pictures,
        approaches,
        settings,
        out / CSV_FILE,
        GradientRow,
        lambda case, approach: measure_gradients(case, approach, settings.subsampling),
        progress,
    )
    save(draw_gradients(approaches, rows, settings.qualities), out, FIGURE)
    write_atomically(out / TEXT_FILE, gradients_text(approaches, rows, settings).encode())
    return rows


def gradients_text(
    approaches: Sequence[Approach], rows: Sequence[GradientRow], settings: Settings
) -> str:
    """The norms as a Markdown page."""
    columns = [
        Column("quality", "quality", 4, by_approach(rows, "quality_norm").__getitem__),
        Column("tables", "tables", 4, by_approach(rows, "tables_norm").__getitem__),
    ]
    loss = [Column("loss", "L1", 4, by_approach(rows, "loss").__getitem__)]
    pictures = len({row.picture for row in rows})
    lines = [
        "# Gradients where they should vanish",
        "",
        "L1 is the mean absolute difference between an approach and Pillow's libjpeg-turbo, "
        f"{settings.subsampling}, in levels of 255; averages over {pictures} pictures of the norm "
        "of its gradient with respect to the quality, and to the luma and chroma tables that the "
        f"quality scales. {which_qualities(settings.qualities)}",
        "",
        'Rows "thesis" are Table 5.4: Set14, OpenCV.',
        "",
        *range_table(approaches, columns, published.GRADIENTS),
        "",
        *range_table(approaches, loss),
    ]
    equal = [
        approach.title
        for approach in approaches
        if all(row.loss == 0 for row in rows if row.approach == approach.key)
    ]
    if equal:
        lines += [
            "",
            f"Equal to the real codec in all pixels: {', '.join(equal)}. Its gradient is 0 because "
            "the derivative of |x| at 0 is taken as 0, whatever the backward pass would give: the "
            "0 follows from the equality and says nothing more.",
        ]
    return "\n".join(lines) + "\n"


def draw_gradients(
    approaches: Sequence[Approach], rows: Sequence[GradientRow], qualities: tuple[int, ...]
) -> Figure:
    """Both norms over quality, on logarithmic axes that leave zeros out."""
    figure = new_figure(10.0, 4.2)
    panels = figure.subplots(1, 2)
    for axes, (measure, label) in zip(
        panels,
        (("quality_norm", "gradient of quality"), ("tables_norm", "gradient of base tables")),
        strict=True,
    ):
        values = by_approach(rows, measure)
        shown = [a for a in approaches if any(v for q in values[a.key].values() for v in q)]
        curves = [Curve(a.title, values[a.key]) for a in shown]
        draw_curves(axes, curves, qualities, deviations=0)
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylabel(f"norm of the {label}")
    handles = panels[0].get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    return figure
