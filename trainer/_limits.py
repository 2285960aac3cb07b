"""What each option may be: names, and ranges of numbers."""

from __future__ import annotations

METHODS = ("baseline", "jpeg-dl")
DATASETS = (
    "embedded",
    "folder",
    "cifar100",
    "cub200",
    "dogs",
    "flowers",
    "pets",
    "huggingface",
)
NORMALIZATIONS = ("data", "cifar100", "imagenet")
OPTIMIZERS = ("sgd", "adamw")
Q_OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("cosine", "step")
TABLES = ("constant", "sensitivity", "coefficients", "standard")
PREPROCESSINGS = ("none", "jpeg", "diff_jpeg", "denoise", "equalize", "resize")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
DEVICES = ("cpu", "cuda")
# Strengths of `jpegdl attack`, largest change of a pixel in units of 1/255.
EPSILONS = (0.0, 1.0, 2.0, 4.0, 8.0)
# The names of torch_impl's JPEGLayer, repeated here so that reading options needs no torch;
# a test keeps them equal to the layer's.
QUANTIZERS = ("soft", "uniform_noise", "cubic", "straight_through")
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")

CHOICES = {
    "method": METHODS,
    "dataset": DATASETS,
    "normalization": NORMALIZATIONS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "quantizer": QUANTIZERS,
    "tables": TABLES,
    "q_optimizer": Q_OPTIMIZERS,
    "subsampling": SUBSAMPLINGS,
    "preprocessing": PREPROCESSINGS,
    "precision": PRECISIONS,
    "device": DEVICES,
}
WHOLE: tuple[tuple[str, int, int | None], ...] = (
    ("seed", 0, None),
    ("train_patches", 1, None),
    ("val_patches", 1, None),
    ("data_seed", 0, None),
    ("width", 1, None),
    ("epochs", 1, None),
    ("batch_size", 1, None),
    ("accumulate", 1, None),
    ("warmup_epochs", 0, None),
    ("tables_images", 1, None),
    ("quality", 1, 100),
    ("max_level", 1, None),
    ("rounds", 1, None),
    ("jpeg_quality_low", 1, 100),
    ("jpeg_quality_high", 1, 100),
    ("threads", 1, None),
    ("workers", 0, None),
    ("checkpoint_steps", 0, None),
)
REAL: dict[str, dict[str, float]] = {
    "random_erasing": {"low": 0.0, "high": 1.0},
    "mixup": {"low": 0.0},
    "cutmix": {"low": 0.0},
    "learning_rate": {"above": 0.0},
    "momentum": {"low": 0.0, "below": 1.0},
    "weight_decay": {"low": 0.0},
    "label_smoothing": {"low": 0.0, "below": 1.0},
    "decay": {"above": 0.0, "high": 1.0},
    "q_initial": {"low": 1e-5, "high": 255.0},
    "q_max": {"low": 1e-5, "high": 255.0},
    "q_learning_rate": {"low": 0.0},
    "alpha": {"above": 0.0},
    "alpha_learning_rate": {"low": 0.0},
}
