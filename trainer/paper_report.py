"""``jpegdl report``: accuracies of finished runs in the layout of the paper's tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from trainer.checkpoint import CHECKPOINT_FILE, load_checkpoint
from trainer.config import FREE, TrainConfig
from trainer.errors import RunFolderError
from trainer.recipes import PUBLISHED, RECIPES, Published
from trainer.report import mean_and_deviation
from trainer.run_folder import CONFIG_FILE, write_atomically

# Options that may differ within a group: which run it is, and where its files lie.
_OWN = ("seed", "data", "tables_from", "pretrained", "device", "threads", *FREE)


@dataclass(frozen=True)
class Group:
    """Finished runs of one recipe with the same changes to it, over several seeds.

    Parameters
    ----------
    recipe
        Its name; "no recipe" for options of one's own.
    changes
        Options that differ from the recipe, as ``name=value`` texts.
    accuracies
        By seed: percent of validation images named rightly after the last epoch.
    """

    recipe: str
    changes: tuple[str, ...]
    accuracies: dict[int, float]

    @property
    def text(self) -> str:
        """``mean ± std (runs)``."""
        mean, deviation = mean_and_deviation(list(self.accuracies.values()))
        spread = "" if len(self.accuracies) == 1 else f" ± {deviation:.2f}"
        return f"{mean:.2f}{spread} ({len(self.accuracies)})"


def find_runs(places: Iterable[Path]) -> list[Path]:
    """Run folders among `places` and in them, sorted.

    Raises
    ------
    RunFolderError
        If a place is no folder, or holds no run.
    """
    found: set[Path] = set()
    for place in places:
        if not place.is_dir():
            raise RunFolderError(f"{place} is no folder; give run folders, such as runs/*")
        inside = {path.parent for path in place.rglob(CONFIG_FILE)}
        if not inside:
            raise RunFolderError(f"{place} holds no run: there is no {CONFIG_FILE} in it")
        found |= inside
    return sorted(found)


def collect(folders: Sequence[Path]) -> tuple[list[Group], list[str]]:
    """Group finished runs; the second list says what was left out and why.

    Raises
    ------
    RunFolderError, CheckpointError
        If a configuration or checkpoint cannot be read.
    """
    groups: dict[tuple[str, tuple[str, ...]], dict[int, float]] = {}
    left_out: list[str] = []
    for folder in folders:
        config = _read_config(folder)
        path = folder / CHECKPOINT_FILE
        history = load_checkpoint(path).progress["history"] if path.exists() else []
        if len(history) < config.epochs:
            left_out.append(f"{folder}: {len(history)} of {config.epochs} epochs are done")
            continue
        name = config.recipe or "no recipe"
        seeds = groups.setdefault((name, _changes(config)), {})
        if config.seed in seeds:
            left_out.append(f"{folder}: a second run of {name} with seed {config.seed}")
            continue
        seeds[config.seed] = 100 * history[-1]["val_accuracy"]
    return [
        Group(name, how, dict(sorted(s.items()))) for (name, how), s in groups.items()
    ], left_out


def _read_config(folder: Path) -> TrainConfig:
    path = folder / CONFIG_FILE
    try:
        return TrainConfig.from_json(path.read_text())
    except (OSError, ValueError, TypeError) as error:
        raise RunFolderError(f"{path} cannot be read ({error})") from error


def _changes(config: TrainConfig) -> tuple[str, ...]:
    """Options in which a run differs from its recipe, other than those of the run itself."""
    if config.recipe is not None and config.recipe not in RECIPES:
        return ("not a recipe of this release",)
    base = TrainConfig() if config.recipe is None else RECIPES[config.recipe]()
    recipe = dataclasses.asdict(base)
    return tuple(
        f"{name}={value}"
        for name, value in dataclasses.asdict(config).items()
        if name not in _OWN and value != recipe[name]
    )


def tables_text(groups: Sequence[Group]) -> list[tuple[str, list[str], list[list[str]]]]:
    """(title, heading, rows) of each of the paper's tables that has a run, and of the rest.

    A cell is ``ours (runs) | paper``. Runs with changed options stand in a table of their own,
    with their changes named: they are not the paper's experiment.
    """
    plain = {group.recipe: group for group in groups if not group.changes}
    tables = []
    for number in sorted({cell.table for cell in PUBLISHED if cell.recipe in plain}):
        cells = [cell for cell in PUBLISHED if cell.table == number]
        columns = list(dict.fromkeys(cell.column for cell in cells))
        rows = [
            [row, *(_cell(plain, cells, row, column) for column in columns)]
            for row in dict.fromkeys(cell.row for cell in cells if cell.recipe in plain)
        ]
        tables.append((f"Table {number}: ours (runs) | paper", ["method", *columns], rows))
    in_tables = {cell.recipe for cell in PUBLISHED}
    others = [group for group in groups if group.changes or group.recipe not in in_tables]
    if others:
        rows = [[group.recipe, " ".join(group.changes), group.text] for group in others]
        tables.append(("Other runs: ours (runs)", ["recipe", "changed", "accuracy"], rows))
    return tables


def _cell(plain: dict[str, Group], cells: Sequence[Published], row: str, column: str) -> str:
    for cell in cells:
        if (cell.row, cell.column) == (row, column):
            ours = plain[cell.recipe].text if cell.recipe in plain else "-"
            paper = "-" if cell.mean is None else f"{cell.mean:.2f}"
            if cell.std is not None:
                paper += f" ± {cell.std:.2f}"
            return f"{ours} | {paper}"
    return ""


def report_runs(
    places: Sequence[Path], out: Path | None = None, console: Console | None = None
) -> None:
    """Print the tables of all runs in `places`, and write them as Markdown to `out`.

    Raises
    ------
    RunFolderError, CheckpointError
        If a place holds no run, a run cannot be read, or `out` cannot be written.
    """
    console = console or Console()
    groups, left_out = collect(find_runs(places))
    text = "Top-1 validation accuracy in percent after the last epoch, mean ± sample standard "
    text += "deviation (number of runs).\n"
    for title, heading, rows in tables_text(groups):
        table = Table(title=title, title_justify="left")
        for column in heading:
            table.add_column(column)
        for cells in rows:
            table.add_row(*cells)
        console.print(table)
        lines = [heading, ["---"] * len(heading), *rows]
        body = ("| " + " | ".join(c.replace("|", "/") for c in line) + " |" for line in lines)
        text += f"\n## {title.replace('|', '/')}\n\n" + "\n".join(body) + "\n"
    for line in left_out:
        console.print(f"left out: {line}", highlight=False, markup=False, soft_wrap=True)
    if left_out:
        text += "\nLeft out:\n\n" + "".join(f"- {line}\n" for line in left_out)
    if out is not None:
        write_atomically(out, text.encode())
        console.print(f"written: {out}", highlight=False, soft_wrap=True)
