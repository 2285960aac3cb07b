"""All pictures through the real codec and all approaches, at all qualities."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from trainer._checks import check_whole
from trainer._limits import DEVICES, SUBSAMPLINGS
from trainer.codec_evaluation.approaches import Approach
from trainer.codec_evaluation.libjpeg import Pixels, through_libjpeg
from trainer.codec_evaluation.measured_rows import MeasuredRows, Row
from trainer.codec_evaluation.pictures import Picture, digest
from trainer.codec_evaluation.qualities import HIGHEST

DEFAULT_QUALITIES = tuple(range(1, 100))


@dataclass(frozen=True)
class Settings:
    """What is coded, and how.

    Parameters
    ----------
    qualities
        Whole, 1 to 100, increasing.
    subsampling
        Of chroma.
    device
        "cpu" or "cuda"; the real codec is always on the CPU.

    Raises
    ------
    ValueError, TypeError
        If one is out of range; the message names it.
    """

    qualities: tuple[int, ...] = DEFAULT_QUALITIES
    subsampling: str = "4:2:0"
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_qualities(self.qualities)
        if self.subsampling not in SUBSAMPLINGS:
            raise ValueError(
                f"subsampling must be one of {', '.join(SUBSAMPLINGS)}; got {self.subsampling!r}"
            )
        check_device(self.device)


def check_qualities(qualities: tuple[int, ...]) -> None:
    """Whole, in 1 to 100, increasing, and at least one."""
    for quality in qualities:
        check_whole("qualities", quality, low=1, high=HIGHEST)
    if not qualities or list(qualities) != sorted(set(qualities)):
        raise ValueError(f"qualities must hold one or more numbers that increase, got {qualities}")


def check_device(device: str) -> None:
    """One that torch sees."""
    if device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}; got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError('device must be "cpu" here: torch sees no CUDA device')


@dataclass(frozen=True)
class Case:
    """A picture at a quality.

    Parameters
    ----------
    picture
        Name.
    quality
        1 to 100.
    fingerprint
        Of pixels, options of the approach, subsampling and device.
    pixels, coded
        (H, W, 3) uint8, before and after the real codec.
    size
        Length of the file in bytes.
    images
        The pixels as (1, 3, H, W) float32 on the device.
    """

    picture: str
    quality: int
    fingerprint: str
    pixels: Pixels = field(repr=False)
    coded: Pixels = field(repr=False)
    size: int
    images: Tensor = field(repr=False)


class PictureRow(Row, Protocol):
    """A row of a sweep over pictures."""

    @property
    def picture(self) -> str:
        """Name."""

    @property
    def approach(self) -> str:
        """Key."""

    @property
    def quality(self) -> int:
        """1 to 100."""


class Progress(Protocol):
    """Hears how the work gets on."""

    def __call__(self, what: str, *, done: int, total: int) -> None:
        """`done` of `total` units are done; at work is `what`."""


Key = tuple[str, str, int, str]
R = TypeVar("R", bound=PictureRow)


def sweep(
    pictures: Sequence[Picture],
    approaches: Sequence[Approach],
    settings: Settings,
    path: Path,
    kind: type[R],
    measure: Callable[[Case, Approach], R],
    progress: Progress | None = None,
) -> list[R]:
    """Measure what a file does not hold yet; each quality of a picture is written when it is done.

    Parameters
    ----------
    pictures, approaches, settings
        What is measured; the real codec runs once for each picture and quality.
    path
        The file, CSV.
    kind
        Class of its rows.
    measure
        Gives a row.
    progress
        Called after each quality of a picture.

    Returns
    -------
    list
        By picture, approach and quality.

    Raises
    ------
    TrainerError
        If a picture cannot be read, or the file is no file of this kind.
    """
    rows = MeasuredRows(path, kind)
    wanted: list[Key] = []
    total = len(pictures) * len(settings.qualities) * len(approaches)
    done = 0
    for picture in pictures:
        pixels = picture.read()
        marks = [_fingerprint(pixels, approach, settings) for approach in approaches]
        images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float().contiguous()
        images = images.to(settings.device)
        for quality in settings.qualities:
            keys: list[Key] = [
                (picture.name, approach.key, quality, mark)
                for approach, mark in zip(approaches, marks, strict=True)
            ]
            missing = [n for n, key in enumerate(keys) if key not in rows]
            if missing:
                coded, size = through_libjpeg(
                    pixels, quality=quality, subsampling=settings.subsampling
                )
                new = []
                for n in missing:
                    case = Case(picture.name, quality, marks[n], pixels, coded, size, images)
                    new.append(measure(case, approaches[n]))
                rows.add(new)
            done += len(keys)
            if progress is not None:
                progress(f"{picture.name}, quality {quality}", done=done, total=total)
        wanted += [
            (picture.name, approach.key, quality, mark)
            for approach, mark in zip(approaches, marks, strict=True)
            for quality in settings.qualities
        ]
    return rows.finish(wanted)


def _fingerprint(pixels: Pixels, approach: Approach, settings: Settings) -> str:
    parts = (digest(pixels), approach.describe(), settings.subsampling, settings.device)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
