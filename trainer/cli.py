"""The trainer's commands. torch and matplotlib are imported only when one runs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from trainer.config import DEVICES, METHODS, SCHEDULES, SUBSAMPLINGS, TrainConfig
from trainer.errors import TrainerError

_DEFAULT = TrainConfig()
_INTERRUPTED = 130  # what a shell reports for Ctrl-C

_DATA, _NETWORK, _LAYER, _RUN = "Data", "Network", "JPEG layer", "Run"


def _one_of(names: tuple[str, ...]) -> str:
    return "|".join(names)


# Options that both commands take, each with its group and explanation.
Data = Annotated[
    str | None,
    typer.Option(
        help="Image folder with train/<class>/* and val/<class>/*. "
        "Left out: patches of the pictures inside scikit-image.",
        rich_help_panel=_DATA,
    ),
]
TrainPatches = Annotated[
    int, typer.Option(help="Training patches per embedded picture.", rich_help_panel=_DATA)
]
ValPatches = Annotated[
    int, typer.Option(help="Validation patches per embedded picture.", rich_help_panel=_DATA)
]
DataSeed = Annotated[
    int, typer.Option(help="Which patches are cut from the pictures.", rich_help_panel=_DATA)
]
Augment = Annotated[
    bool, typer.Option(help="Flip and shift training images.", rich_help_panel=_DATA)
]
Width = Annotated[
    int, typer.Option(help="Channels of the first convolution.", rich_help_panel=_NETWORK)
]
Epochs = Annotated[
    int, typer.Option(help="Passes over the training images.", rich_help_panel=_NETWORK)
]
BatchSize = Annotated[int, typer.Option(help="Images per step.", rich_help_panel=_NETWORK)]
LearningRate = Annotated[
    float, typer.Option(help="Of SGD for the network.", rich_help_panel=_NETWORK)
]
Momentum = Annotated[float, typer.Option(help="Of SGD, in [0, 1).", rich_help_panel=_NETWORK)]
WeightDecay = Annotated[float, typer.Option(help="Of SGD.", rich_help_panel=_NETWORK)]
Schedule = Annotated[
    str,
    typer.Option(
        metavar=_one_of(SCHEDULES), help="Of the learning rates.", rich_help_panel=_NETWORK
    ),
]
Milestones = Annotated[
    list[int] | None,
    typer.Option(
        "--milestone",
        help="Epoch at which the step schedule decays; repeat for several.",
        rich_help_panel=_NETWORK,
    ),
]
Decay = Annotated[
    float,
    typer.Option(help="Factor of the step schedule, in (0, 1].", rich_help_panel=_NETWORK),
]
QInitial = Annotated[
    float,
    typer.Option(help="Initial quantization step, 1e-5 to 255.", rich_help_panel=_LAYER),
]
QLearningRate = Annotated[
    float,
    typer.Option(
        help="Of Adam for q; the paper has 0.003. 0 keeps q fixed.", rich_help_panel=_LAYER
    ),
]
QFollowsSchedule = Annotated[
    bool,
    typer.Option(
        "--q-follows-schedule/--q-constant-rate",
        help="Whether the rate of q decays with the network's.",
        rich_help_panel=_LAYER,
    ),
]
Alpha = Annotated[
    float,
    typer.Option(help="Scaling factor of the soft quantizer, fixed.", rich_help_panel=_LAYER),
]
Hbar = Annotated[
    float | None,
    typer.Option(
        help="Sets alpha to hbar / q^2 before each step; the paper has 0.7 for ImageNet.",
        rich_help_panel=_LAYER,
    ),
]
MaxLevel = Annotated[
    int,
    typer.Option(help="Largest level L; 127 for b = 8, 1023 for b = 11.", rich_help_panel=_LAYER),
]
Window = Annotated[
    int | None,
    typer.Option(
        help="Levels of the masked quantizer, odd, 5 in the paper. Left out: full space.",
        rich_help_panel=_LAYER,
    ),
]
Subsampling = Annotated[
    str,
    typer.Option(
        metavar=_one_of(SUBSAMPLINGS), help="Of the chroma planes.", rich_help_panel=_LAYER
    ),
]
Threads = Annotated[
    int,
    typer.Option(
        help="CPU threads; part of the configuration, because results depend on it in the "
        "last bits.",
        rich_help_panel=_RUN,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar=_one_of(DEVICES),
        help="Runs repeat bit for bit on the CPU.",
        rich_help_panel=_RUN,
    ),
]


@contextmanager
def _clear_errors() -> Iterator[None]:
    """One line instead of a traceback for what the user can put right; SIGTERM like Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except (TrainerError, ValueError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.echo("Interrupted. The same command resumes after the last finished epoch.", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def quickstart(
    run_dir: Annotated[
        Path, typer.Option(help="Folder of the comparison.", rich_help_panel=_RUN)
    ] = Path("runs/quickstart"),
    seeds: Annotated[
        int, typer.Option(min=1, help="How many seeds, from 0.", rich_help_panel=_RUN)
    ] = 3,
    threads: Threads = _DEFAULT.threads,
    data: Data = _DEFAULT.data,
    train_patches: TrainPatches = _DEFAULT.train_patches,
    val_patches: ValPatches = _DEFAULT.val_patches,
    epochs: Epochs = _DEFAULT.epochs,
    width: Width = _DEFAULT.width,
    q_initial: QInitial = _DEFAULT.q_initial,
    q_learning_rate: QLearningRate = _DEFAULT.q_learning_rate,
    max_level: MaxLevel = _DEFAULT.max_level,
    window: Window = _DEFAULT.window,
) -> None:
    """Train a small network with and without the JPEG layer and report both.

    Interrupt it at any time: the same command goes on and ends at the same numbers.
    """
    with _clear_errors():
        config = TrainConfig(
            threads=threads,
            data=data,
            train_patches=train_patches,
            val_patches=val_patches,
            epochs=epochs,
            width=width,
            q_initial=q_initial,
            q_learning_rate=q_learning_rate,
            max_level=max_level,
            window=window,
        )
        from trainer.comparison import quickstart as run_quickstart

        run_quickstart(run_dir, seeds=range(seeds), config=config)


def train(
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run; give it again to resume. Left out: runs/METHOD-seedSEED.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            metavar=_one_of(METHODS),
            help="With the JPEG layer, or without it.",
            rich_help_panel=_RUN,
        ),
    ] = _DEFAULT.method,
    seed: Annotated[
        int,
        typer.Option(help="Of weights, order and augmentation.", rich_help_panel=_RUN),
    ] = _DEFAULT.seed,
    threads: Threads = _DEFAULT.threads,
    device: Device = _DEFAULT.device,
    data: Data = _DEFAULT.data,
    train_patches: TrainPatches = _DEFAULT.train_patches,
    val_patches: ValPatches = _DEFAULT.val_patches,
    data_seed: DataSeed = _DEFAULT.data_seed,
    augment: Augment = _DEFAULT.augment,
    width: Width = _DEFAULT.width,
    epochs: Epochs = _DEFAULT.epochs,
    batch_size: BatchSize = _DEFAULT.batch_size,
    learning_rate: LearningRate = _DEFAULT.learning_rate,
    momentum: Momentum = _DEFAULT.momentum,
    weight_decay: WeightDecay = _DEFAULT.weight_decay,
    schedule: Schedule = _DEFAULT.schedule,
    milestones: Milestones = None,
    decay: Decay = _DEFAULT.decay,
    q_initial: QInitial = _DEFAULT.q_initial,
    q_learning_rate: QLearningRate = _DEFAULT.q_learning_rate,
    q_follows_schedule: QFollowsSchedule = _DEFAULT.q_follows_schedule,
    alpha: Alpha = _DEFAULT.alpha,
    hbar: Hbar = _DEFAULT.hbar,
    max_level: MaxLevel = _DEFAULT.max_level,
    window: Window = _DEFAULT.window,
    subsampling: Subsampling = _DEFAULT.subsampling,
) -> None:
    """Train one network, or go on where its run folder left off."""
    options: dict[str, Any] = {**locals(), "milestones": tuple(milestones or ())}
    del options["run_dir"]
    with _clear_errors():
        config = TrainConfig(**options)
        from trainer.comparison import train_on_console

        train_on_console(config, run_dir or Path("runs") / f"{method}-seed{seed}")
