"""The figures of a comparison, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from trainer.loop import TrainResult
from trainer.metrics import EpochMetrics

# Okabe and Ito's palette: told apart with any kind of colour vision, and in print.
_COLORS = {"baseline": "#0072B2", "jpeg-dl": "#D55E00"}
_NAMES = {"baseline": "baseline", "jpeg-dl": "JPEG-DL"}
_STARTED = "#666666"


def zigzag() -> list[int]:
    """Natural index (8 row + column) of each coefficient in zigzag order, ITU-T T.81 Fig. 5."""
    places = [(row, column) for row in range(8) for column in range(8)]

    def order(place: tuple[int, int]) -> tuple[int, int]:
        row, column = place
        return row + column, row if (row + column) % 2 else column

    return [8 * row + column for row, column in sorted(places, key=order)]


def curves_png(runs: Mapping[str, Sequence[TrainResult]]) -> bytes:
    """Training loss and validation accuracy over the epochs, every seed and the mean."""
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    _draw_curves(loss, runs, lambda metrics: metrics.train_loss)
    loss.set(xlabel="epoch", ylabel="training loss (nats)", title="Training loss")
    _draw_curves(accuracy, runs, lambda metrics: 100 * metrics.val_accuracy)
    accuracy.set(xlabel="epoch", ylabel="validation accuracy (%)", title="Validation accuracy")
    accuracy.legend(loc="lower right", frameon=False)
    return _png(figure)


def _draw_curves(
    axes: Axes,
    runs: Mapping[str, Sequence[TrainResult]],
    quantity: Callable[[EpochMetrics], float],
) -> None:
    for method, group in runs.items():
        epochs = [metrics.epoch for metrics in group[0].history]
        values = torch.tensor([[quantity(m) for m in run.history] for run in group])
        for number, row in enumerate(values.tolist()):
            label = f"{_NAMES[method]}, each seed" if number == 0 else None
            axes.plot(epochs, row, color=_COLORS[method], alpha=0.4, linewidth=0.9, label=label)
        axes.plot(
            epochs,
            values.mean(0).tolist(),
            color=_COLORS[method],
            linewidth=2.2,
            marker="o",
            markersize=4,
            label=f"{_NAMES[method]}, mean",
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def q_tables_png(runs: Sequence[TrainResult]) -> bytes:
    """Luma and chroma tables before and after training in zigzag order.

    References
    ----------
    "JPEG Inspired Deep Learning" (JPEG-DL), Fig. 4.
    """
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    order = zigzag()
    pairs = zip(figure.subplots(1, 2, sharey=True), ("Luma (Y)", "Chroma (Cb, Cr)"), strict=True)
    for index, (axes, title) in enumerate(pairs):
        tables = torch.stack([_table_of(run)[index] for run in runs]).flatten(1)[:, order]
        axes.axhline(
            runs[0].config.q_initial, color=_STARTED, linestyle="--", label="before training"
        )
        for number, row in enumerate(tables.tolist()):
            label = "after, each seed" if number == 0 else None
            axes.plot(
                range(64), row, ".", color=_COLORS["jpeg-dl"], alpha=0.5, markersize=4, label=label
            )
        axes.plot(
            range(64),
            tables.mean(0).tolist(),
            color=_COLORS["jpeg-dl"],
            linewidth=1.6,
            label="after, mean",
        )
        axes.set(xlabel="frequency index in zigzag order (0 = DC)", title=title, xlim=(-1, 64))
        axes.set_xticks([*range(0, 64, 8), 63])
        axes.grid(alpha=0.3)
        if index == 0:
            axes.set_ylabel("quantization step q")
            handles = axes.get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return _png(figure)


def _table_of(run: TrainResult) -> torch.Tensor:
    if run.q_tables is None:
        raise ValueError(f"a run of {run.config.method} has no quantization tables to plot")
    return run.q_tables


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
