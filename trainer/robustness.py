"""Accuracy of trained runs under FGSM and PGD of growing strength: Fig. 3 of JPEG-DL.

Each point of a curve is written as soon as it is known, and a later call with the same settings
takes it from the file: an interrupted sweep goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from trainer._checks import check_real, check_whole
from trainer._limits import EPSILONS
from trainer._randomness import derive_seed, generator
from trainer.attacks import Attack, fgsm, pgd, robust_accuracy
from trainer.data import ImageSource, load_data
from trainer.figures._drawing import save
from trainer.robustness_report import (
    ATTACKS,
    Point,
    draw_robustness,
    points_csv,
    read_points,
    robustness_text,
)
from trainer.run_folder import prepare_folder, write_atomically
from trainer.saved_run import SavedRun, load_run

STEPS = 10
CSV_FILE, TEXT_FILE, FIGURE = "attack.csv", "attack.md", "attack"
_BATCH = 50


@dataclass(frozen=True)
class Sweep:
    """What is measured.

    Parameters
    ----------
    epsilons
        Largest change of a pixel in pixel units, 1 being 1/255 of the range; >= 0, increasing.
    steps
        Of PGD, >= 1; each has a length of ``2.5 epsilon / steps``.
    images
        Validation images, at most; the same ones for every run on the same data. None for all.
    device
        "cpu" or "cuda".

    Raises
    ------
    ValueError, TypeError
        If one is out of range; the message names it.

    References
    ----------
    JPEG-DL, section 5, which gives neither epsilons nor steps.
    """

    epsilons: tuple[float, ...] = EPSILONS
    steps: int = STEPS
    images: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not self.epsilons:
            raise ValueError("epsilons must hold one strength at least")
        for epsilon in self.epsilons:
            check_real("epsilons", epsilon, low=0.0)
        if list(self.epsilons) != sorted(set(self.epsilons)):
            raise ValueError(f"epsilons must increase, got {self.epsilons}")
        check_whole("steps", self.steps, low=1)
        if self.images is not None:
            check_whole("images", self.images, low=1)
        if self.device not in ("cpu", "cuda"):
            raise ValueError(f'device must be "cpu" or "cuda", got {self.device!r}')
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError('device must be "cpu" here: torch sees no CUDA device')


class Progress(Protocol):
    """Hears how the sweep gets on."""

    def __call__(self, what: str, *, done: int, total: int, accuracy: float) -> None:
        """`done` of `total` units of work are done; `accuracy` of `what` so far, 0 to 1."""


def attack_runs(
    folders: Sequence[Path],
    sweep: Sweep,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
    data: Callable[[SavedRun], ImageSource] = lambda run: load_data(run.config),
) -> list[Point]:
    """Measure runs under both attacks and write ``attack.csv``, ``.md``, ``.png`` and ``.svg``.

    Parameters
    ----------
    folders
        Of one or more runs; each is attacked through its own JPEG layer.
    sweep
        Strengths, steps and images.
    out
        Folder for the files; None for that of the first run.
    progress
        Called after each batch.
    data
        Images of a run.

    Returns
    -------
    list of Point
        By run, attack and epsilon.

    Raises
    ------
    ValueError
        If there is no run, or one twice.
    TrainerError
        If a run or its data cannot be read, or ``attack.csv`` is no file of this command.
    DivergenceError
        If a gradient is not finite.
    """
    if not folders or len({folder.resolve() for folder in folders}) != len(folders):
        raise ValueError(
            f"runs must be one or more different folders, got {[str(folder) for folder in folders]}"
        )
    out = folders[0] if out is None else out
    runs = [load_run(folder) for folder in folders]
    prepare_folder(out, option="--out")
    known = read_points(out / CSV_FILE)
    tasks = [
        _Task(name, run, data(run), sweep) for name, run in zip(_names(folders), runs, strict=True)
    ]
    wanted = [(task, *point) for task in tasks for point in task.points()]
    found = [_find(known, *point) for point in wanted]
    clock = _Clock(
        sum(
            task.work(attack, epsilon)
            for (task, attack, epsilon), point in zip(wanted, found, strict=True)
            if point is None
        ),
        progress,
    )
    for place, (task, attack, epsilon) in enumerate(wanted):
        if found[place] is None:
            point = found[place] = task.measure(attack, epsilon, clock)
            known.append(point)
            write_atomically(out / CSV_FILE, points_csv(known).encode())
    points = [  # a run that was renamed goes by its new name
        dataclasses.replace(point, run=task.name)
        for point, (task, _, _) in zip(found, wanted, strict=True)
        if point is not None
    ]
    save(draw_robustness(points), out, FIGURE)
    write_atomically(out / TEXT_FILE, robustness_text(points).encode())
    return points


def _names(folders: Sequence[Path]) -> list[str]:
    """The last part of each path; all of it where that does not tell them apart."""
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) == len(names):
        return names
    return [str(folder) for folder in folders]


class _Clock:
    """Adds up the work of all points, for one progress bar."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress, self._done = total, progress, 0

    def add(self, what: str, work: int, accuracy: float) -> None:
        self._done += work
        if self._progress is not None:
            self._progress(what, done=self._done, total=self._total, accuracy=accuracy)


class _Task:
    """One run with the images that it is attacked on."""

    def __init__(self, name: str, run: SavedRun, data: ImageSource, sweep: Sweep) -> None:
        self.name, self.run, self._data, self._sweep = name, run, data, sweep
        count = len(data.val_labels)
        wanted = count if sweep.images is None else min(sweep.images, count)
        order = torch.randperm(count, generator=generator("attacked images", count))
        self._index = order[:wanted].sort().values
        self.fingerprint = self._fingerprint()

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self._data.fingerprint} {self._sweep.device}".encode())
        for name, tensor in sorted(self.run.model.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def images(self) -> int:
        return len(self._index)

    def points(self) -> Iterator[tuple[str, float]]:
        for attack in ATTACKS:
            for epsilon in self._sweep.epsilons:
                yield attack, epsilon

    def steps(self, attack: str) -> int:
        return self._sweep.steps if attack == "pgd" else 1

    def work(self, attack: str, epsilon: float) -> int:
        """Passes through the network, one for the judgement and two for each gradient."""
        gradients = self.steps(attack) if epsilon > 0 else 0
        return self.images * (1 + 2 * gradients)

    def measure(self, attack: str, epsilon: float, clock: _Clock) -> Point:
        device = torch.device(self._sweep.device)
        method: Attack = fgsm
        if attack == "pgd":
            source = torch.Generator(device)
            source.manual_seed(
                derive_seed("pgd", self.fingerprint, repr(epsilon), self._sweep.steps)
            )
            method = functools.partial(pgd, steps=self._sweep.steps, generator=source)
        each = self.work(attack, epsilon) // self.images
        seen = 0

        def report(images: int, accuracy: tuple[float, ...]) -> None:
            nonlocal seen
            what = f"{self.name}, {attack}, epsilon {epsilon:g}"
            clock.add(what, each * (images - seen), accuracy[0])
            seen = images

        result = robust_accuracy(
            self.run.model.to(device), self._batches(), method, [epsilon], progress=report
        )
        return Point(
            run=self.name,
            method=self.run.config.method,
            attack=attack,
            epsilon=epsilon,
            steps=self.steps(attack),
            images=result.images,
            accuracy=result.accuracy[0],
            unmoved=result.unmoved[0],
            fingerprint=self.fingerprint,
        )

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index in self._index.split(_BATCH):
            yield self._data.val_batch(index), self._data.val_labels[index]


def _find(known: Sequence[Point], task: _Task, attack: str, epsilon: float) -> Point | None:
    for point in known:
        same = (point.fingerprint, point.attack, point.epsilon, point.images)
        if same != (task.fingerprint, attack, epsilon, task.images):
            continue
        if point.steps == task.steps(attack):
            return point
    return None
