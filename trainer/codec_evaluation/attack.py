"""Attacks through differentiable JPEG, judged behind the real one: Tables 5.2, 5.3, 5.6 and 5.7."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from trainer._checks import check_real, check_whole
from trainer._limits import SUBSAMPLINGS
from trainer.attacks import Attack, fgsm, pgd
from trainer.codec_evaluation.approaches import (
    Approach,
    backward_kinds,
    compared_approaches,
    drawing_for,
    rounding_kinds,
)
from trainer.codec_evaluation.attack_rows import (
    FGSM,
    IFGSM,
    NONE,
    AttackRow,
    Key,
    attack_text,
    draw_attacks,
)
from trainer.codec_evaluation.attacked_images import AttackedImages
from trainer.codec_evaluation.libjpeg import through_libjpeg
from trainer.codec_evaluation.measured_rows import MeasuredRows
from trainer.codec_evaluation.picture_sweep import Progress, check_device, check_qualities
from trainer.errors import DivergenceError
from trainer.figures._drawing import save
from trainer.run_folder import prepare_folder, write_atomically

QUALITIES = (1, 3, 5, 10, 20, 40, 60, 80, 95)
EPSILONS = (3.0, 9.0)
STEPS = 10
FILES, ABLATION_FILES = "codec_attack", "codec_attack_ablation"
_TOP = 5


@dataclass(frozen=True)
class AttackSettings:
    """What is attacked, and how.

    Parameters
    ----------
    qualities
        Of the JPEG, whole, 1 to 100, increasing. The default stands for 1-99 at a tenth of the
        time.
    epsilons
        Largest change of a pixel in units of 1/255; > 0, increasing.
    steps
        N of IFGSM, each of epsilon / N; >= 1.
    ablation
        IFGSM through the kinds of rounding (Tables 5.6 and 5.7) instead of both attacks through
        the approaches (Tables 5.2 and 5.3).
    subsampling
        Of chroma.
    device
        "cpu" or "cuda".

    Raises
    ------
    ValueError, TypeError
        If one is out of range; the message names it.
    """

    qualities: tuple[int, ...] = QUALITIES
    epsilons: tuple[float, ...] = EPSILONS
    steps: int = STEPS
    ablation: bool = False
    subsampling: str = "4:2:0"
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_qualities(self.qualities)
        for epsilon in self.epsilons:
            check_real("epsilons", epsilon, above=0.0)
        if not self.epsilons or list(self.epsilons) != sorted(set(self.epsilons)):
            raise ValueError(
                f"epsilons must hold one or more strengths that increase, got {self.epsilons}"
            )
        check_whole("steps", self.steps, low=1)
        if self.subsampling not in SUBSAMPLINGS:
            raise ValueError(
                f"subsampling must be one of {', '.join(SUBSAMPLINGS)}; got {self.subsampling!r}"
            )
        check_device(self.device)

    @property
    def attacks(self) -> tuple[str, ...]:
        """Names of the attacks."""
        return (IFGSM,) if self.ablation else (FGSM, IFGSM)

    @property
    def approaches(self) -> tuple[Approach, ...]:
        """What gradients pass through."""
        return (*rounding_kinds(), *backward_kinds()) if self.ablation else compared_approaches()


def evaluate_attack(
    attacked: AttackedImages,
    settings: AttackSettings,
    out: Path,
    progress: Progress | None = None,
) -> list[AttackRow]:
    """Attack through each approach; writes a table, a page and plots.

    Parameters
    ----------
    attacked
        Classifier and images.
    settings
        Attacks, strengths and qualities.
    out
        Folder for ``codec_attack.csv``, ``.md``, ``.png`` and ``.svg``, or those of
        ``codec_attack_ablation``.
    progress
        As for `measure_attacks`.

    Returns
    -------
    list of AttackRow
        As `measure_attacks`.

    Raises
    ------
    TrainerError
        As `measure_attacks`, or if a file cannot be written.
    """
    prepare_folder(out, option="--out")
    name = ABLATION_FILES if settings.ablation else FILES
    rows = measure_attacks(attacked, settings, out / f"{name}.csv", progress)
    save(draw_attacks(rows, settings.approaches), out, name)
    text = attack_text(
        rows,
        settings.approaches,
        name=attacked.name,
        subsampling=settings.subsampling,
        classes=attacked.classes,
    )
    write_atomically(out / f"{name}.md", text.encode())
    return rows


def measure_attacks(
    attacked: AttackedImages,
    settings: AttackSettings,
    path: Path,
    progress: Progress | None = None,
) -> list[AttackRow]:
    """Measure what a file does not hold yet, and write each accuracy as soon as it is known.

    Parameters
    ----------
    attacked
        Classifier and images.
    settings
        Attacks, strengths and qualities.
    path
        The file, CSV.
    progress
        Called after each accuracy; a unit of work is a gradient of all images.

    Returns
    -------
    list of AttackRow
        By approach, attack, epsilon and quality; those without attack first.

    Raises
    ------
    TrainerError
        If an image cannot be read, a gradient is not finite, or the file is another command's.

    References
    ----------
    Codec control thesis, section 5.2.1, "Backward function evaluation", eq. (5.1), section 5.4.1.
    """
    rows = MeasuredRows(path, AttackRow)
    tasks = [_Task(Approach(NONE, "no attack"), NONE, 0.0, 0)] + [
        _Task(approach, attack, epsilon, settings.steps if attack == IFGSM else 1)
        for approach in settings.approaches
        for attack in settings.attacks
        for epsilon in settings.epsilons
    ]
    total = len(settings.qualities) * sum(1 + task.steps for task in tasks)
    done = 0
    for quality in settings.qualities:
        for task in tasks:
            key = task.key(attacked, settings, quality)
            if key not in rows:
                rows.add([_measure(task, attacked, settings, quality)])
            done += 1 + task.steps
            if progress is not None:
                progress(f"quality {quality}, {task.title}", done=done, total=total)
    return rows.finish(
        task.key(attacked, settings, quality) for task in tasks for quality in settings.qualities
    )


@dataclass(frozen=True)
class _Task:
    """An attack of one strength through one approach."""

    approach: Approach
    attack: str
    epsilon: float
    steps: int

    @property
    def title(self) -> str:
        if self.attack == NONE:
            return self.approach.title
        return f"{self.attack}, epsilon {self.epsilon:g}, {self.approach.title}"

    def fingerprint(self, attacked: AttackedImages, settings: AttackSettings) -> str:
        parts = (
            attacked.fingerprint,
            self.approach.describe(),
            settings.subsampling,
            settings.device,
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def key(self, attacked: AttackedImages, settings: AttackSettings, quality: int) -> Key:
        mark = self.fingerprint(attacked, settings)
        return self.approach.key, self.attack, self.epsilon, self.steps, quality, mark

    def craft(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        if self.attack == NONE:
            return images
        method: Attack = fgsm
        if self.attack == IFGSM:
            size = self.epsilon / self.steps
            method = functools.partial(pgd, step_size=size, steps=self.steps, random_start=False)
        return method(model, images, labels, epsilon=self.epsilon)


class _Through(nn.Module):
    """The classifier behind a differentiable JPEG of one quality."""

    def __init__(
        self, classifier: nn.Module, approach: Approach, quality: int, subsampling: str
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self._code: Callable[..., Tensor] = functools.partial(
            approach, quality=quality, subsampling=subsampling
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self._code(images))
        return logits


def _measure(
    task: _Task, attacked: AttackedImages, settings: AttackSettings, quality: int
) -> AttackRow:
    device = torch.device(settings.device)
    classifier = attacked.model.to(device).eval()
    through = _Through(classifier, task.approach, quality, settings.subsampling)
    mark = task.fingerprint(attacked, settings)
    first = among_five = unmoved = 0
    for number, (pixels, targets) in enumerate(attacked.batches()):
        images, labels = pixels.to(device).float(), targets.to(device)
        with drawing_for(mark, quality, number):
            crafted = task.craft(through, images, labels)
        unmoved += int((crafted == images).flatten(1).all(1).sum())
        coded = real_jpeg(crafted, quality=quality, subsampling=settings.subsampling)
        with torch.no_grad():
            hits = ranks_of_truth(classifier(coded.to(device)), labels)
        first += int((hits < 1).sum())
        among_five += int((hits < _TOP).sum())
    count = len(attacked.labels)
    return AttackRow(
        approach=task.approach.key,
        attack=task.attack,
        epsilon=task.epsilon,
        steps=task.steps,
        quality=quality,
        images=count,
        top1=first / count,
        top5=among_five / count,
        unmoved=unmoved,
        fingerprint=mark,
    )


def real_jpeg(images: Tensor, *, quality: int, subsampling: str) -> Tensor:
    """Images through a file of libjpeg-turbo, rounded to 8 bits first, as a file needs them.

    Parameters
    ----------
    images
        (N, 3, H, W) in [0, 255].
    quality
        1 to 100.
    subsampling
        Of chroma.

    Returns
    -------
    Tensor
        Same shape, float32 on the CPU.
    """
    pixels = images.detach().round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    coded = [
        through_libjpeg(np.ascontiguousarray(image), quality=quality, subsampling=subsampling)[0]
        for image in pixels
    ]
    return torch.from_numpy(np.stack(coded)).permute(0, 3, 1, 2).float().contiguous()


def ranks_of_truth(logits: Tensor, labels: Tensor) -> Tensor:
    """How many other classes have a logit at least as large as that of the true class, (N,).

    A tie counts against the classifier: constant logits are no classification.

    Raises
    ------
    DivergenceError
        If a logit is NaN.
    """
    if bool(logits.isnan().any()):
        raise DivergenceError("the classifier's output is NaN: check its weights and the images")
    truth = logits.gather(1, labels[:, None])
    return (logits >= truth).sum(1) - 1
