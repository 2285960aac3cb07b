"""What an attack sweep leaves: the table of its points, a page and a figure."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from trainer.attacks import STEP_SIZE_RATIO
from trainer.errors import RunFolderError
from trainer.figures._drawing import COLORS, new_figure, with_grid

ATTACKS = ("fgsm", "pgd")


@dataclass(frozen=True)
class Point:
    """One measured accuracy.

    Parameters
    ----------
    run, method
        Name of the run's folder, and what it trained.
    attack
        "fgsm" or "pgd".
    epsilon
        Largest change of a pixel in pixel units.
    steps
        Of the attack; 1 for FGSM.
    images
        How many were attacked.
    accuracy
        Share of them classified correctly, 0 to 1.
    unmoved
        Images that the attack gave back bit for bit.
    fingerprint
        Of the run's weights, the images and the device.
    """

    run: str
    method: str
    attack: str
    epsilon: float
    steps: int
    images: int
    accuracy: float
    unmoved: int
    fingerprint: str


_COLUMNS = tuple(field.name for field in dataclasses.fields(Point))


def points_csv(points: Sequence[Point]) -> str:
    """Points as CSV; numbers are written so that reading them back gives the same float64."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(dataclasses.astuple(point) for point in points)
    return text.getvalue()


def read_points(path: Path) -> list[Point]:
    """Points that an earlier call wrote; none if there is no such file.

    Raises
    ------
    RunFolderError
        If it cannot be read, or holds something else.
    """
    try:
        rows = list(csv.reader(path.read_text().splitlines()))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}") from error
    kinds: dict[str, Callable[[str], Any]] = {
        "epsilon": float,
        "accuracy": float,
        "steps": int,
        "images": int,
        "unmoved": int,
    }
    try:
        if not rows or tuple(rows[0]) != _COLUMNS:
            raise ValueError("its columns are others")
        points = [
            Point(**{n: kinds.get(n, str)(v) for n, v in zip(_COLUMNS, row, strict=True)})
            for row in rows[1:]
        ]
        if not all(math.isfinite(point.accuracy) for point in points):
            raise ValueError("an accuracy is no number")
    except ValueError as error:
        raise RunFolderError(
            f"{path} is no table of jpegdl attack ({error}): remove it, or choose another folder "
            "with --out"
        ) from error
    return points


def robustness_text(points: Sequence[Point]) -> str:
    """The accuracies as a Markdown page.

    Parameters
    ----------
    points
        By run, attack and epsilon; the same epsilons and steps for every run.
    """
    curves = _curves(points)
    epsilons = [point.epsilon for point in next(iter(curves.values()))]
    steps = max(point.steps for point in points)
    lines = [
        "# Accuracy under FGSM and PGD",
        "",
        "Validation accuracy in percent over epsilon, the largest change of a pixel in units of "
        "1/255.",
        f"PGD: {steps} steps of {STEP_SIZE_RATIO:g} epsilon / {steps} from a random "
        "start. Gradients pass through the JPEG layer.",
        "",
        "| run | method | attack | images | "
        + " | ".join(f"{epsilon:g}" for epsilon in epsilons)
        + " |",
        "|---|---|---|---|" + "---|" * len(epsilons),
    ]
    for (run, attack), curve in curves.items():
        values = " | ".join(f"{100 * point.accuracy:.2f}" for point in curve)
        lines.append(f"| {run} | {curve[0].method} | {attack} | {curve[0].images} | {values} |")
    stuck = [point for point in points if point.epsilon > 0 and point.unmoved]
    if stuck:
        lines += ["", "Images that an attack could not move, because their gradient vanished:", ""]
        lines += [
            f"- {point.run}, {point.attack}, epsilon {point.epsilon:g}: {point.unmoved} of "
            f"{point.images}; for these the accuracy says nothing about robustness"
            for point in stuck
        ]
    return "\n".join(lines) + "\n"


def _curves(points: Sequence[Point]) -> dict[tuple[str, str], list[Point]]:
    curves: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        curves.setdefault((point.run, point.attack), []).append(point)
    return curves


def draw_robustness(points: Sequence[Point]) -> Figure:
    """Accuracy over epsilon, a panel per attack and a curve per run. JPEG-DL, Fig. 3."""
    runs = list(dict.fromkeys(point.run for point in points))
    figure = new_figure(9.0, 4.0)
    panels = zip(figure.subplots(1, len(ATTACKS), sharey=True), ATTACKS, strict=True)
    for axes, attack in panels:
        for number, run in enumerate(runs):
            curve = [point for point in points if (point.run, point.attack) == (run, attack)]
            dashed = curve[0].method == "baseline"
            axes.plot(
                [point.epsilon for point in curve],
                [100 * point.accuracy for point in curve],
                color=COLORS[number % len(COLORS)],
                linestyle="--" if dashed else "-",
                marker="o",
                markersize=4,
                label=run,
            )
        steps = next(point.steps for point in points if point.attack == attack)
        title = attack.upper() + (f", {steps} steps" if attack == "pgd" else "")
        axes.set(title=title, xlabel="epsilon (1/255)")
        with_grid(axes)
        axes.set_ylim(0, None)
    figure.axes[0].set_ylabel("validation accuracy (%)")
    handles = figure.axes[0].get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure
