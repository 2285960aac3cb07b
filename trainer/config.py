"""What one run is: a frozen set of options, validated, to JSON and back."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from trainer._checks import (
    check_choice,
    check_flag,
    check_increasing,
    check_real,
    check_text,
    check_whole,
)
from trainer._limits import (
    CHOICES,
    DATASETS,
    DEVICES,
    METHODS,
    PRECISIONS,
    QUANTIZERS,
    REAL,
    SCHEDULES,
    SUBSAMPLINGS,
    WHOLE,
)

# Options that change how a run is carried out and not what it computes.
FREE = ("workers", "checkpoint_steps", "tensorboard")


@dataclass(frozen=True)
class TrainConfig:
    """Options of one training run.

    Parameters
    ----------
    recipe
        Name of the recipe that these options come from (``jpegdl recipes``); None: of none.
    method
        "jpeg-dl" quantizes DCT coefficients in the model, "baseline" does not.
    seed
        Of initial weights, order of the images and augmentation; >= 0.
    dataset
        What the images are: "embedded" (patches of the pictures inside scikit-image; the image
        folder `data` if that is given), "folder", "cifar100", "cub200", "dogs", "flowers", "pets"
        (official archives or what is in them) or "huggingface".
    data
        Path of the data set or its archive; for "huggingface" also a name on the hub.
    image_size
        Side in pixels, >= 8, that images are cropped and resized to; None: their own size where
        all have one, else 224.
    val_resize
        Length of the shorter side in pixels before the middle of a validation image is cut out,
        at least `image_size`; None: 8/7 of it.
    train_patches, val_patches
        Patches per class cut from the embedded pictures, >= 1.
    data_seed
        Which patches are cut; the same for all seeds of a comparison, >= 0.
    augment
        Random flips, and shifts (images of one size) or crops of random size and shape (JPEG-DL,
        A.3: the standard augmentation of ImageNet), of the training images.
    randaugment
        RandAugment of timm (extra ``zoo``) after them, such as "rand-m9-mstd0.5-inc1"; None: none.
    random_erasing
        Probability that a rectangle of a training image is erased, in [0, 1].
    mixup, cutmix
        Parameters of the beta distributions of mixup and CutMix, >= 0; 0: none.
    normalization
        Mean and standard deviation before the network: of the training "data", "cifar100" or
        "imagenet".
    network
        A name of ``trainer.NETWORKS`` or "package.module:function".
    width
        Channels of the first convolution of "small_cnn", >= 1.
    pretrained
        Folder of a finished run whose network the training starts from; None: random weights.
    epochs, batch_size
        Passes over the training images, and images per step over all processes; >= 1. Images
        beyond the last full batch of a pass are left to the next pass.
    accumulate
        Parts that a batch is computed in, one after the other; divides `batch_size`.
    optimizer
        "sgd" or "adamw", for the network.
    learning_rate, momentum, weight_decay
        Of the network (JPEG-DL, A.3): > 0, in [0, 1), >= 0. "adamw" takes no momentum.
    label_smoothing
        Of the cross-entropy, in [0, 1).
    schedule
        "cosine" to 0 over the run, or "step": times `decay` at each of `milestones`.
    milestones
        Epochs at which the "step" schedule decays, increasing.
    decay
        Factor of the "step" schedule, in (0, 1].
    warmup_epochs
        Epochs over which the learning rates rise linearly from 0, >= 0.
    placement
        Where the quantizer sits: "input" for the JPEG layer before the network, or the dotted name
        of the ReLU that it replaces (JPEG-DL, A.7), "relu" in a ResNet of torchvision.
    quantizer
        "soft", or a baseline of Table 6: "uniform_noise", "cubic" or "straight_through".
    tables
        Initial quantization tables: "constant" (`q_initial`), "sensitivity" (of the network in
        `tables_from`; JPEG-DL, A.10), "coefficients" (their mean size; JPEG-DL, section 4,
        ImageNet) or "standard" (Annex K at `quality`).
    tables_from
        Folder of a finished baseline run, for the sensitivity.
    tables_images
        Training images over which "sensitivity" and "coefficients" are measured, >= 1.
    q_initial
        Initial quantization step of every frequency, in [1e-5, 255].
    q_max
        Largest initial luma step of "sensitivity", in [1e-5, 255].
    quality
        Of the "standard" tables, 1 to 100.
    q_optimizer
        "adam" or "sgd" (JPEG-DL, section 4: ImageNet), for q.
    q_learning_rate
        Of q (JPEG-DL, section 4: 0.003 with Adam), >= 0; 0 keeps the tables fixed.
    q_follows_schedule
        Whether the learning rate of q decays with the network's.
    alpha
        Scaling factor of the soft quantizer, > 0 (JPEG-DL, section 4: 5).
    alpha_learning_rate
        Of a trained alpha, >= 0, by the optimizer of q; 0 keeps it fixed.
    hbar
        If given, alpha = hbar / q^2 before each step instead (JPEG-DL, section 4: 0.7), > 0.
    max_level
        Largest quantization level L, >= 1; 127 for b = 8 bits, 1023 for b = 11.
    window
        None for the full-space CPMF; an odd number from 3 to 2 L + 1 for the masked one.
    subsampling
        "4:4:4", "4:2:2" or "4:2:0".
    rounds
        Quantizations in a row, each with its own tables, >= 1.
    preprocessing
        A baseline of Table 8 before the network: "none", "jpeg" (JPEG of random quality in
        training), "diff_jpeg" (its smooth substitute), "denoise" (Gaussian), "equalize"
        (histograms) or "resize" (the learnable resizer MULLER).
    jpeg_quality_low, jpeg_quality_high
        Range of the random quality, 1 to 100.
    precision
        "32-true", "bf16-mixed" or "16-mixed"; the JPEG layer always computes in float32.
    device
        "cpu" or "cuda". Runs repeat bit for bit on the CPU.
    sync_batch_norm
        Batch statistics over all processes instead of each one's own; needs CUDA.
    threads
        CPU threads, >= 1. Fixed, because sums over threads round differently for each number.
        One is the default: a network this small gains little from a second, and several
        threads slow each other down badly when other work wants the cores.
    workers
        Processes that prepare batches ahead, >= 0; 0: none.
    checkpoint_steps
        Steps between checkpoints within an epoch, >= 0; 0: at the end of each epoch only.
    tensorboard
        Whether to log for TensorBoard too.

    Raises
    ------
    ValueError, TypeError
        For an option out of range or of the wrong type, or an impossible combination; the message
        names it.

    References
    ----------
    "JPEG Inspired Deep Learning" (JPEG-DL), section 4 and appendices A.3 to A.10.
    """

    recipe: str | None = None
    method: str = "jpeg-dl"
    seed: int = 0
    dataset: str = "embedded"
    data: str | None = None
    image_size: int | None = None
    val_resize: int | None = None
    train_patches: int = 256
    val_patches: int = 100
    data_seed: int = 0
    augment: bool = True
    randaugment: str | None = None
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    normalization: str = "data"
    network: str = "small_cnn"
    width: int = 16
    pretrained: str | None = None
    epochs: int = 6
    batch_size: int = 64
    accumulate: int = 1
    optimizer: str = "sgd"
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    schedule: str = "cosine"
    milestones: tuple[int, ...] = ()
    decay: float = 0.1
    warmup_epochs: int = 0
    placement: str = "input"
    quantizer: str = "soft"
    tables: str = "constant"
    tables_from: str | None = None
    tables_images: int = 10_000
    q_initial: float = 1.0
    q_max: float = 10.0
    quality: int = 50
    q_optimizer: str = "adam"
    q_learning_rate: float = 0.003
    q_follows_schedule: bool = True
    alpha: float = 5.0
    alpha_learning_rate: float = 0.0
    hbar: float | None = None
    max_level: int = 1023
    window: int | None = None
    subsampling: str = "4:4:4"
    rounds: int = 1
    preprocessing: str = "none"
    jpeg_quality_low: int = 1
    jpeg_quality_high: int = 100
    precision: str = "32-true"
    device: str = "cpu"
    sync_batch_norm: bool = False
    threads: int = 1
    workers: int = 0
    checkpoint_steps: int = 1000
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            check_choice(name, getattr(self, name), allowed)
        for name, low, high in WHOLE:
            check_whole(name, getattr(self, name), low=low, high=high)
        for name, limits in REAL.items():
            check_real(name, getattr(self, name), **limits)
        for name in ("augment", "q_follows_schedule", "sync_batch_norm", "tensorboard"):
            check_flag(name, getattr(self, name))
        for name in ("recipe", "data", "pretrained", "tables_from", "randaugment"):
            check_text(name, getattr(self, name))
        for name in ("network", "placement"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise TypeError(f"{name} must be text, got {getattr(self, name)!r}")
        if self.image_size is not None:
            check_whole("image_size", self.image_size, low=8)
        if self.val_resize is not None:
            check_whole("val_resize", self.val_resize, low=self.image_size or 8)
        if self.hbar is not None:
            check_real("hbar", self.hbar, above=0.0)
        if self.window is not None:
            check_whole("window", self.window, low=3)
            if self.window % 2 == 0 or self.window > 2 * self.max_level + 1:
                raise ValueError(
                    f"window must be odd and at most 2 max_level + 1 = {2 * self.max_level + 1}, "
                    f"got {self.window}; leave it out for the full-space quantizer"
                )
        check_increasing("milestones", self.milestones)
        self._check_combinations()

    def _check_combinations(self) -> None:
        """What no single option shows."""
        if self.schedule == "step" and not self.milestones:
            raise ValueError('schedule "step" needs milestones: the epochs at which to decay')
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs must be below epochs = {self.epochs}, got {self.warmup_epochs}"
            )
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"accumulate must divide batch_size = {self.batch_size}, got {self.accumulate}"
            )
        if self.jpeg_quality_low > self.jpeg_quality_high:
            raise ValueError(
                f"jpeg_quality_low must be at most jpeg_quality_high = {self.jpeg_quality_high}, "
                f"got {self.jpeg_quality_low}"
            )
        if self.sync_batch_norm and self.device == "cpu":
            raise ValueError("sync_batch_norm must be False on the CPU: torch has it on CUDA only")
        if self.precision == "16-mixed" and self.device == "cpu":
            raise ValueError('precision must be "32-true" or "bf16-mixed" on the CPU')
        if self.tables == "sensitivity" and self.method == "jpeg-dl" and self.tables_from is None:
            raise ValueError(
                'tables "sensitivity" needs tables_from: the folder of a finished run of the '
                'baseline recipe. tables="constant" starts from q_initial instead'
            )
        if self.method == "jpeg-dl":
            self._check_quantizer()

    def _check_quantizer(self) -> None:
        if self.quantizer != "soft":
            for name in ("hbar", "window"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f'{name} must be left out: quantizer "{self.quantizer}" has none'
                    )
        if self.alpha_learning_rate > 0 and (self.hbar is not None or self.quantizer != "soft"):
            raise ValueError("alpha_learning_rate must be 0 where hbar sets alpha or there is none")
        if self.placement != "input":
            for name, only in (
                ("subsampling", "4:4:4"),
                ("quantizer", "soft"),
                ("rounds", 1),
                ("tables", "constant"),
                ("hbar", None),
                ("alpha_learning_rate", 0.0),
            ):
                if getattr(self, name) != only:
                    raise ValueError(
                        f"{name} must be {only!r} where the quantizer replaces a ReLU "
                        f"(placement {self.placement!r}): feature maps have no chroma and no "
                        f"standard tables; got {getattr(self, name)!r}"
                    )

    @property
    def name(self) -> str:
        """Of the run: the recipe, or the method, and the seed."""
        return f"{self.recipe or self.method}-seed{self.seed}"

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
        """Fields that differ and matter to the result, each with (own, other) value."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return {
            name: (mine[name], theirs[name])
            for name in mine
            if mine[name] != theirs[name] and name not in FREE
        }


__all__ = [
    "DATASETS",
    "DEVICES",
    "FREE",
    "METHODS",
    "PRECISIONS",
    "QUANTIZERS",
    "SCHEDULES",
    "SUBSAMPLINGS",
    "TrainConfig",
]
