"""``jpegdl train`` and ``jpegdl quickstart``."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from trainer.cli._errors import clear_errors
from trainer.config import TrainConfig
from trainer.options import KINDS, explanations, parse_assignments
from trainer.recipes import recipe

# First option of each group in the help; those after it belong to it too.
_GROUPS = {
    "recipe": "Run",
    "dataset": "Data",
    "network": "Network",
    "placement": "JPEG layer",
    "preprocessing": "Preprocessing",
    "precision": "Run",
}
_SPELLED = {"milestones": "--milestone"}
_OFF = {"q_follows_schedule": "--q-constant-rate"}
_DEFAULT_FOLDER = Path("runs")


def _with_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each of these fields of ``TrainConfig``; all if there are none.

    What was not given on the command line stays out of the ``**options`` that the command gets.
    """

    def change(command: Callable[..., None]) -> Callable[..., None]:
        def run(**values: Any) -> None:
            given = {name: values.pop(name) for name in fields}
            command(
                **values,
                **{
                    name: tuple(value) if isinstance(value, list) else value
                    for name, value in given.items()
                    if value is not None and value != []
                },
            )

        fields = [name for name in _options() if not names or name in names]
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in _options().items()
            if name in fields
        ]
        keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        run.__signature__ = signature.replace(parameters=[*keyword, *added])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in [*own, *added]}
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        return run

    return change


def _options() -> dict[str, Any]:
    """A typer option for each field of ``TrainConfig``, in its group."""
    default, texts, group = TrainConfig(), explanations(), ""
    found: dict[str, Any] = {}
    for name, kind in KINDS.items():
        group = _GROUPS.get(name, group)
        if name == "recipe":  # the command's argument
            continue
        spelled = _SPELLED.get(name, "--" + name.replace("_", "-"))
        if kind is bool:
            spelled += "/" + _OFF.get(name, "--no-" + name.replace("_", "-"))
        kind = list[int] if kind == tuple[int, ...] else kind
        value = getattr(default, name)
        shown = "" if value in (None, ()) else f" Default: {value}."
        option = typer.Option(spelled, help=texts[name] + shown, rich_help_panel=group)
        found[name] = Annotated[kind | None, option]
    return found


@_with_options(
    "threads",
    "data",
    "train_patches",
    "val_patches",
    "epochs",
    "width",
    "q_initial",
    "q_learning_rate",
    "max_level",
    "window",
)
def quickstart(
    run_dir: Annotated[
        Path, typer.Option(help="Folder of the comparison.", rich_help_panel="Run")
    ] = _DEFAULT_FOLDER / "quickstart",
    seeds: Annotated[
        int, typer.Option(min=1, help="How many seeds, from 0.", rich_help_panel="Run")
    ] = 3,
    **options: Any,
) -> None:
    """Train a small network with and without the JPEG layer and report both.

    Interrupt it at any time: the same command goes on and ends at the same numbers.
    """
    with clear_errors():
        config = TrainConfig(**options)
        from trainer.comparison import quickstart as run_quickstart

        run_quickstart(run_dir, seeds=range(seeds), config=config)


@_with_options()
def train(
    recipe_name: Annotated[
        str | None,
        typer.Argument(
            metavar="[RECIPE]",
            help="Experiment, of those that jpegdl recipes lists. Left out: a small network on "
            "the embedded pictures.",
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[field=value ...]",
            help="Changes to it, such as epochs=10; each of the options below works as well.",
        ),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run; give it again to resume. Left out: runs/RECIPE-seedSEED.",
            rich_help_panel="Run",
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            help="How many runs, with this and the following seeds, each in a folder of its own.",
            rich_help_panel="Run",
        ),
    ] = 1,
    **options: Any,
) -> None:
    """Train one network, or go on where its run folder left off.

    Under torchrun or SLURM all processes train it together.
    """
    with clear_errors():
        texts = list(assignments or ())
        if recipe_name is not None and "=" in recipe_name:
            texts.insert(0, recipe_name)
            recipe_name = None
        fields = parse_assignments(texts)
        if twice := sorted(set(fields) & set(options)):
            raise ValueError(f"{twice[0]} was given twice, as field=value and as an option")
        fields |= options
        config = TrainConfig(**fields) if recipe_name is None else recipe(recipe_name, **fields)
        from trainer.comparison import train_on_console

        for seed in range(config.seed, config.seed + seeds):
            one = dataclasses.replace(config, seed=seed)
            folder = run_dir or _DEFAULT_FOLDER / one.name
            if run_dir is not None and seeds > 1:
                folder = run_dir / f"seed{seed}"
            train_on_console(one, folder)


__all__ = ["quickstart", "train"]
