"""Curves over quality, as in Fig. 5.3 to 5.7 of the thesis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from trainer.codec_evaluation.averages import mean_and_deviation
from trainer.figures._drawing import COLORS, with_grid

_STYLES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Curve:
    """Values by quality under one name."""

    title: str
    values: Mapping[int, Sequence[float]]


def draw_curves(
    axes: Axes, curves: Sequence[Curve], qualities: Sequence[int], *, deviations: float
) -> None:
    """Mean over the values of each quality, and a band of some standard deviations.

    Infinite values are left out; a curve of nothing else keeps its place among the colours.
    """
    few = len(qualities) < 12
    for number, curve in enumerate(curves):
        found = [mean_and_deviation(curve.values.get(quality, ())) for quality in qualities]
        color = COLORS[number % len(COLORS)]
        axes.plot(
            qualities,
            [mean for mean, _ in found],
            _STYLES[number // len(COLORS) % len(_STYLES)],
            color=color,
            label=curve.title,
            marker="o" if few else None,
            markersize=4,
            linewidth=1.5,
        )
        if deviations:
            axes.fill_between(
                qualities,
                [mean - deviations * deviation for mean, deviation in found],
                [mean + deviations * deviation for mean, deviation in found],
                color=color,
                alpha=0.12,
                linewidth=0,
            )
    with_grid(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("JPEG quality")
