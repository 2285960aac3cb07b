"""Who uses the layer: train a small network with and without it, on real pictures.

``TrainConfig`` says what to train, ``train`` does one run in one folder, ``quickstart``
compares the baseline with JPEG-DL over several seeds and writes a report.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.attacks import RobustAccuracy, fgsm, pgd, robust_accuracy
    from trainer.comparison import QuickstartResult, quickstart
    from trainer.config import TrainConfig
    from trainer.errors import (
        CheckpointError,
        DataError,
        DivergenceError,
        RunFolderError,
        TrainerError,
    )
    from trainer.loop import TrainResult, train
    from trainer.networks import NETWORKS, make_network
    from trainer.recipes import RECIPES, recipe

__all__ = [
    "NETWORKS",
    "RECIPES",
    "CheckpointError",
    "DataError",
    "DivergenceError",
    "QuickstartResult",
    "RobustAccuracy",
    "RunFolderError",
    "TrainConfig",
    "TrainResult",
    "TrainerError",
    "fgsm",
    "make_network",
    "pgd",
    "quickstart",
    "recipe",
    "robust_accuracy",
    "train",
]

# The command line imports this package to read option defaults; torch must not come with it.
_HOMES = {
    "NETWORKS": "trainer.networks",
    "RECIPES": "trainer.recipes",
    "CheckpointError": "trainer.errors",
    "DataError": "trainer.errors",
    "DivergenceError": "trainer.errors",
    "QuickstartResult": "trainer.comparison",
    "RobustAccuracy": "trainer.attacks",
    "RunFolderError": "trainer.errors",
    "TrainConfig": "trainer.config",
    "TrainResult": "trainer.loop",
    "TrainerError": "trainer.errors",
    "fgsm": "trainer.attacks",
    "make_network": "trainer.networks",
    "pgd": "trainer.attacks",
    "quickstart": "trainer.comparison",
    "recipe": "trainer.recipes",
    "robust_accuracy": "trainer.attacks",
    "train": "trainer.loop",
}


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'trainer' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
