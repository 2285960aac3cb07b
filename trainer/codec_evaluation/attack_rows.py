"""What an attack through differentiable JPEG leaves: rows, a page and a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from trainer.codec_evaluation import published
from trainer.codec_evaluation.approaches import Approach
from trainer.codec_evaluation.averages import by_approach
from trainer.codec_evaluation.pages import Column, range_table, which_qualities
from trainer.codec_evaluation.quality_plots import Curve, draw_curves
from trainer.figures._drawing import new_figure

FGSM, IFGSM, NONE = "fgsm", "ifgsm", "none"
TITLES = {FGSM: "FGSM", IFGSM: "IFGSM"}
Key = tuple[str, str, float, int, int, str]


@dataclass(frozen=True)
class AttackRow:
    """Accuracy behind the real codec after one attack.

    Parameters
    ----------
    approach
        Key of what gradients passed through; "none" without attack.
    attack
        "fgsm", "ifgsm" or "none".
    epsilon
        Largest change of a pixel in units of 1/255.
    steps
        Gradients taken.
    quality
        Of both codecs.
    images
        How many were attacked.
    top1, top5
        Share whose true class has the largest logit, or one of the five largest.
    unmoved
        Images that the attack gave back bit for bit.
    fingerprint
        Of classifier, images and options.
    """

    approach: str
    attack: str
    epsilon: float
    steps: int
    quality: int
    images: int
    top1: float
    top5: float
    unmoved: int
    fingerprint: str

    @property
    def key(self) -> Key:
        """What was measured."""
        return (
            self.approach,
            self.attack,
            self.epsilon,
            self.steps,
            self.quality,
            self.fingerprint,
        )


def attack_text(
    rows: Sequence[AttackRow],
    approaches: Sequence[Approach],
    *,
    name: str,
    subsampling: str,
    classes: int,
) -> str:
    """The accuracies as a Markdown page.

    Parameters
    ----------
    rows
        Of one classifier; the same strengths and qualities for every approach.
    approaches
        Rows of each table.
    name
        Of the classifier.
    subsampling
        Of chroma.
    classes
        How many there are.
    """
    qualities = tuple(sorted({row.quality for row in rows}))
    count = rows[0].images
    lines = [
        "# Attacks through differentiable JPEG",
        "",
        f"{name}, {count} images, {subsampling}. Accuracy in percent behind Pillow's "
        "libjpeg-turbo: the gradient passes through the approach, the attacked image is rounded to "
        "8 bits, coded by libjpeg at the same quality, and classified. Lower is a better gradient. "
        f"{which_qualities(qualities)} The standard error of an accuracy at one quality is at most "
        f"{50 / math.sqrt(count):.1f} points.",
    ]
    if classes <= 5:
        lines[-1] += f" With {classes} classes top-5 is always 100."
    lines += [
        "",
        'Rows "thesis" are its printed figures, of a ResNet-50 on ImageNet-1k: the order may be '
        "compared with it, the figures not.",
    ]
    none = Approach(NONE, "no attack")
    lines += ["", "No attack:", ""]
    printed = {measure: {NONE: triple} for measure, triple in published.NO_ATTACK.items()}
    lines += range_table([none], _columns([row for row in rows if row.attack == NONE]), printed)
    for attack, epsilon in _settings(rows):
        chosen = [row for row in rows if (row.attack, row.epsilon) == (attack, epsilon)]
        steps = f", {chosen[0].steps} steps of {epsilon / chosen[0].steps:g}"
        head = f"{TITLES[attack]}, epsilon {epsilon:g}{steps if attack == IFGSM else ''}:"
        lines += ["", head, ""]
        lines += range_table(approaches, _columns(chosen), _published(attack, epsilon))
    stuck = _stuck(rows, approaches)
    if stuck:
        lines += ["", "Images that an attack could not move, because their gradient vanished; for "]
        lines[-1] += "these the accuracy says nothing of the approach:"
        lines += ["", *stuck]
    return "\n".join(lines) + "\n"


def draw_attacks(rows: Sequence[AttackRow], approaches: Sequence[Approach]) -> Figure:
    """Top-1 accuracy over quality, a panel for each attack and strength, as in Fig. 5.7."""
    qualities = sorted({row.quality for row in rows})
    settings = _settings(rows)
    strengths = len({epsilon for _, epsilon in settings})
    lines = len(settings) // strengths
    figure = new_figure(4.8 * max(strengths, 2), 0.8 + 3.4 * lines)
    panels = figure.subplots(lines, strengths, sharey=True, squeeze=False).flat
    calm = _percent([row for row in rows if row.attack == NONE])[NONE]
    for axes, (attack, epsilon) in zip(panels, settings, strict=True):
        values = _percent([r for r in rows if (r.attack, r.epsilon) == (attack, epsilon)])
        curves = [Curve(approach.title, values[approach.key]) for approach in approaches]
        draw_curves(axes, curves, qualities, deviations=0)
        axes.plot(qualities, [calm[q][0] for q in qualities], color="black", label="no attack")
        axes.set(title=f"{TITLES[attack]}, epsilon {epsilon:g}", ylim=(0, None))
        axes.set_ylabel("top-1 accuracy (%)")
    handles = figure.axes[0].get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _settings(rows: Sequence[AttackRow]) -> list[tuple[str, float]]:
    """Attack and strength, in the order of the tables."""
    return sorted({(row.attack, row.epsilon) for row in rows if row.attack != NONE})


def _percent(rows: Sequence[AttackRow], measure: str = "top1") -> dict[str, dict[int, list[float]]]:
    return {
        approach: {quality: [100 * v for v in found] for quality, found in values.items()}
        for approach, values in by_approach(rows, measure).items()
    }


def _columns(rows: Sequence[AttackRow]) -> list[Column]:
    return [
        Column(measure, title, 2, _percent(rows, measure).__getitem__)
        for measure, title in (("top1", "top-1"), ("top5", "top-5"))
    ]


def _published(attack: str, epsilon: float) -> published.Table:
    found = published.ATTACKS.get((attack, epsilon), {})
    kinds = published.ATTACKS_BY_KIND if (attack, epsilon) == (IFGSM, 3.0) else {}
    return {
        measure: {**found.get(measure, {}), **kinds.get(measure, {})}
        for measure in ("top1", "top5")
    }


def _stuck(rows: Sequence[AttackRow], approaches: Sequence[Approach]) -> list[str]:
    lines = []
    for approach in approaches:
        for attack, epsilon in _settings(rows):
            chosen = [
                row
                for row in rows
                if (row.approach, row.attack, row.epsilon) == (approach.key, attack, epsilon)
            ]
            unmoved = sum(row.unmoved for row in chosen)
            if unmoved:
                lines.append(
                    f"- {approach.title}, {TITLES[attack]}, epsilon {epsilon:g}: {unmoved} of "
                    f"{sum(row.images for row in chosen)} over all qualities, most at quality "
                    f"{max(chosen, key=lambda row: row.unmoved).quality}"
                )
    return lines
