"""What one run is: a frozen set of options, validated, to JSON and back."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

METHODS = ("baseline", "jpeg-dl")
SCHEDULES = ("cosine", "step")
DEVICES = ("cpu", "cuda")
# The names of torch_impl's JPEGLayer, repeated here so that reading options needs no torch;
# a test keeps them equal to the layer's.
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")


@dataclass(frozen=True)
class TrainConfig:
    """Options of one training run.

    Parameters
    ----------
    method
        "jpeg-dl" puts the JPEG layer in front of the network, "baseline" does not.
    seed
        Of initial weights, order of the images and augmentation; >= 0.
    data
        Image folder (see ``trainer.image_folder``); None for the embedded pictures.
    train_patches, val_patches
        Patches per class cut from the embedded pictures, >= 1.
    data_seed
        Which patches are cut; the same for all seeds of a comparison, >= 0.
    augment
        Random horizontal flips and shifts of the training images.
    width
        Channels of the first convolution, >= 1.
    epochs, batch_size
        Passes over the training images, and images per step; >= 1. Images beyond the last full
        batch of a pass are left to the next pass.
    learning_rate, momentum, weight_decay
        SGD for the network (JPEG-DL, A.3): > 0, in [0, 1), >= 0.
    schedule
        "cosine" to 0 over the run, or "step": times ``decay`` at each of ``milestones``.
    milestones, decay
        Epochs, increasing, and a factor in (0, 1]; used by "step" only.
    q_initial
        Initial quantization step of every frequency, in [1e-5, 255].
    q_learning_rate
        Adam for q (JPEG-DL, section 4: 0.003), >= 0; 0 keeps the tables fixed.
    q_follows_schedule
        Whether the learning rate of q decays with the network's.
    alpha
        Scaling factor of the soft quantizer, fixed, > 0 (JPEG-DL, section 4: 5).
    hbar
        If given, alpha = hbar / q^2 before each step instead (JPEG-DL, section 4: 0.7), > 0.
    max_level
        Largest quantization level L, >= 1.
    window
        None for the full-space CPMF; an odd number from 3 to 2 L + 1 for the masked one.
    subsampling
        "4:4:4", "4:2:2" or "4:2:0".
    threads
        CPU threads, >= 1. Fixed, because sums over threads round differently for each number.
        One is the default: a network this small gains little from a second, and several
        threads slow each other down badly when other work wants the cores.
    device
        "cpu" or "cuda". Runs repeat bit for bit on the CPU.

    Raises
    ------
    ValueError, TypeError
        For an option out of range or of the wrong type; the message names it.

    References
    ----------
    "JPEG Inspired Deep Learning" (JPEG-DL), section 4 and appendix A.3.
    """

    method: str = "jpeg-dl"
    seed: int = 0
    data: str | None = None
    train_patches: int = 256
    val_patches: int = 100
    data_seed: int = 0
    augment: bool = True
    width: int = 16
    epochs: int = 6
    batch_size: int = 64
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    milestones: tuple[int, ...] = ()
    decay: float = 0.1
    q_initial: float = 1.0
    q_learning_rate: float = 0.003
    q_follows_schedule: bool = True
    alpha: float = 5.0
    hbar: float | None = None
    max_level: int = 1023
    window: int | None = None
    subsampling: str = "4:4:4"
    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        _choice("method", self.method, METHODS)
        _choice("schedule", self.schedule, SCHEDULES)
        _choice("subsampling", self.subsampling, SUBSAMPLINGS)
        _choice("device", self.device, DEVICES)
        for name in ("train_patches", "val_patches", "width", "epochs", "batch_size", "threads"):
            _whole(name, getattr(self, name), low=1)
        for name in ("seed", "data_seed"):
            _whole(name, getattr(self, name), low=0)
        for name in ("augment", "q_follows_schedule"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if self.data is not None and not isinstance(self.data, str):
            raise TypeError(f"data must be a path as text or None, got {self.data!r}")
        _real("learning_rate", self.learning_rate, above=0.0)
        _real("momentum", self.momentum, low=0.0, below=1.0)
        _real("weight_decay", self.weight_decay, low=0.0)
        _real("decay", self.decay, above=0.0, high=1.0)
        _real("q_initial", self.q_initial, low=1e-5, high=255.0)
        _real("q_learning_rate", self.q_learning_rate, low=0.0)
        _real("alpha", self.alpha, above=0.0)
        if self.hbar is not None:
            _real("hbar", self.hbar, above=0.0)
        _whole("max_level", self.max_level, low=1)
        if self.window is not None:
            _whole("window", self.window, low=3)
            if self.window % 2 == 0 or self.window > 2 * self.max_level + 1:
                raise ValueError(
                    f"window must be odd and at most 2 max_level + 1 = {2 * self.max_level + 1}, "
                    f"got {self.window}; leave it out for the full-space quantizer"
                )
        self._check_milestones()

    def _check_milestones(self) -> None:
        if not isinstance(self.milestones, tuple):
            raise TypeError(f"milestones must be a tuple of epochs, got {self.milestones!r}")
        for epoch in self.milestones:
            _whole("milestones", epoch, low=1)
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones must increase, got {self.milestones}")
        if self.schedule == "step" and not self.milestones:
            raise ValueError('schedule "step" needs milestones: the epochs at which to decay')

    def to_json(self) -> str:
        """The options as an indented JSON object."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """Options from JSON, validated like any others.

        Raises
        ------
        ValueError, TypeError
            If the text is no JSON object of known fields with valid values.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"not a configuration: {error}") from None
        if not isinstance(values, dict):
            raise ValueError("not a configuration: a JSON object is needed")
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown configuration fields: {', '.join(unknown)}")
        if missing := sorted(known - set(values)):
            raise ValueError(f"missing configuration fields: {', '.join(missing)}")
        if isinstance(values["milestones"], list):
            values["milestones"] = tuple(values["milestones"])
        return cls(**values)

    def differences(self, other: TrainConfig) -> dict[str, tuple[Any, Any]]:
        """Fields that differ, each with (own, other) value."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}


def _choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")


def _whole(name: str, value: object, *, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < low:
        raise ValueError(f"{name} must be at least {low}, got {value}")


def _real(
    name: str,
    value: object,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    below: float | None = None,
) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {value!r}")
    bounds = []
    fits = math.isfinite(value)
    if low is not None:
        bounds.append(f">= {low:g}")
        fits = fits and value >= low
    if above is not None:
        bounds.append(f"> {above:g}")
        fits = fits and value > above
    if high is not None:
        bounds.append(f"<= {high:g}")
        fits = fits and value <= high
    if below is not None:
        bounds.append(f"< {below:g}")
        fits = fits and value < below
    if not fits:
        raise ValueError(f"{name} must be finite and {' and '.join(bounds)}, got {value}")
