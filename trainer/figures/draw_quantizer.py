"""Fig. 2, 7, 8, 9 and 13 as pictures, and Table 10 as text."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.figures import quantizer_curves as data
from trainer.figures._drawing import COLORS, GREY, RED, new_figure, with_grid

PAPER_TABLE_10 = {
    1.0: ("0.5", "0.5027", "0.0027"),
    3.0: ("0.5", "0.5", "5.96e-08"),
    5.0: ("0.5", "0.5", "5.96e-08"),
    10.0: ("0.5", "0.5", "0"),
}
"""Full space, masked and difference for each alpha, as printed."""

_LINEAR_UP_TO = 10
_DQ_DALPHA = r"$\partial Q_d(z) / \partial \alpha$"
_DQ_DQ = r"$\partial Q_d(z) / \partial q$"


def draw_quantizers() -> Figure:
    """Q_u against Q_d. JPEG-DL, Fig. 2."""
    figure = new_figure(5.6, 4.2)
    axes = figure.subplots()
    hard, *soft = data.quantizer_curves()
    axes.plot(hard.x, hard.y, color=GREY, linewidth=1.2, linestyle="--", label=hard.label)
    _draw(axes, soft)
    axes.set(xlabel="$z$", ylabel="$Q(z)$", title="$Q_u$ and $Q_d$, $L=3$, $q=1$")
    axes.set_xticks(range(-4, 5))
    axes.legend(loc="upper left", frameon=False)
    return figure


def draw_alpha_gradients() -> Figure:
    """The derivative with respect to alpha. JPEG-DL, Fig. 7."""
    figure = new_figure(5.6, 4.2)
    axes = figure.subplots()
    _draw(axes, data.alpha_gradients())
    axes.set(xlabel="$z$", ylabel=_DQ_DALPHA, title=rf"{_DQ_DALPHA}, $b=3$, $q=1$")
    axes.set_xticks(range(-4, 5))
    figure.legend(loc="outside lower center", ncols=5, frameon=False)
    return figure


def draw_q_gradients() -> Figure:
    """The derivative with respect to q, over q and over alpha. JPEG-DL, Fig. 8a and 8b."""
    figure = new_figure(10.4, 4.2)
    over_q, over_alpha = figure.subplots(1, 2)
    _draw_gradients(over_q, data.q_gradients_over_q())
    over_q.set(title=rf"(a) $\alpha={data.Q_GRADIENT_ALPHA:g}$, $q$ varies, $b=6$")
    _draw_gradients(over_alpha, data.q_gradients_over_alpha())
    over_alpha.set(title=rf"(b) $q={data.Q_GRADIENT_Q:g}$, $\alpha$ varies, $b=6$")
    for axes in (over_q, over_alpha):
        axes.set_yscale("symlog", linthresh=_LINEAR_UP_TO)  # the small curves would not be seen
        axes.set_ylim(-4000, 4000)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4, frameon=False)
    return figure


def draw_matched_gradients() -> Figure:
    """The derivative with respect to q at one hbar. JPEG-DL, Fig. 9."""
    figure = new_figure(7.2, 4.2)
    axes = figure.subplots()
    curves = data.matched_gradients()
    _draw_gradients(axes, curves)
    largest = max(curve.y.abs().max().item() for curve in curves)
    for sign in (-1, 1):
        axes.axhline(sign * largest, color=GREY, linewidth=0.8, linestyle="--")
    axes.annotate(
        rf"$\pm${largest:.2f}: largest magnitude for $|z| \leq L q$, of every pair",
        (0, largest),
        (0, 3),
        textcoords="offset points",
        ha="center",
        color=GREY,
    )
    axes.set(
        title=rf"$\hbar=\alpha q^2={data.HBAR:g}$, $b=6$", ylim=(-1.2 * largest, 1.2 * largest)
    )
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def draw_masses() -> Figure:
    """The CPMF at a tie between two levels. JPEG-DL, Fig. 13."""
    figure = new_figure(11.0, 6.4)
    for axes, mass, letter in zip(figure.subplots(2, 2).flat, data.masses(), "abcd", strict=True):
        levels, probabilities = mass.levels.tolist(), mass.probabilities.tolist()
        axes.bar(levels, probabilities, width=0.5, color=COLORS[0])
        for level, probability in zip(levels, probabilities, strict=True):
            axes.annotate(
                f"{probability:.2e}",
                (level, probability),
                (0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        for edge in (mass.window[0] - 0.5, mass.window[1] + 0.5):
            axes.axvline(edge, color=RED, linestyle="--", linewidth=1.2)
        middle = sum(mass.window) / 2
        axes.text(middle, 0.585, r"$\mathcal{M}$", color=RED, ha="center", va="center")
        axes.set(
            title=rf"({letter}) $\alpha={mass.alpha:g}$",
            xlabel=r"reconstruction level $\hat z$",
            ylabel=rf"$P_\alpha(\hat z\,|\,z={data.TIE:g})$",
            ylim=(0, 0.63),
        )
        axes.set_xticks(levels)
    return figure


def _draw(axes: Axes, curves: Sequence[data.Curve]) -> None:
    for curve, color in zip(curves, COLORS, strict=False):
        axes.plot(curve.x, curve.y, color=color, linewidth=1.4, label=curve.label)
    with_grid(axes)


def _draw_gradients(axes: Axes, curves: Sequence[data.Curve]) -> None:
    _draw(axes, curves)
    for line in axes.lines:
        line.set_linewidth(0.8)
    axes.set(xlabel="$z$", ylabel=_DQ_DQ)


def table_10() -> str:
    """Full space against masked at a tie, beside the paper's figures. JPEG-DL, Table 10."""
    lines = [
        "Table 10 of JPEG-DL: Q_d(z = 0.5; q = 1, alpha), float64, L = 127 (no digit depends on L)",
        "",
        f"{'':7}{'computed here':^52}{'printed in the paper':^34}",
        f"{'alpha':>5}  {'full space':>20}{'masked':>20}{'difference':>12}"
        f"{'full space':>13}{'masked':>9}{'difference':>12}",
    ]
    for row in data.masking_rows():
        full, masked, difference = PAPER_TABLE_10[row.alpha]
        lines.append(
            f"{row.alpha:>5g}  {row.full:>20.16g}{row.masked:>20.16g}{row.difference:>12.3g}"
            f"{full:>13}{masked:>9}{difference:>12}"
        )
    lines += [
        "",
        "The printed 5.96e-08 is 2^-24, the distance from 1/2 to the next float32: rounding, not",
        "the mask. At alpha = 10 the exact difference, 1.1e-26, is below what float64 resolves.",
    ]
    return "\n".join(lines) + "\n"
