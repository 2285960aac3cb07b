"""What a run tells its user while it runs."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from trainer.metrics import EpochMetrics

# Seconds without a line after which a log gets one.
_QUIET = 60.0


class Listener(Protocol):
    """Receives the events of the training loop."""

    def on_message(self, text: str) -> None:
        """One line of news."""

    def on_measure(self, run: str, done: int, total: int | None) -> None:
        """Initial tables are being measured: images done, and how many it will be."""

    def on_step(self, run: str, epoch: int, accuracy: float, speed: float) -> None:
        """A step of epoch ``epoch`` (from 1) is done.

        Training accuracy of the epoch so far, 0 to 1; images per second since it began or the
        run was resumed.
        """

    def on_epoch(self, run: str, epochs: int, metrics: EpochMetrics) -> None:
        """An epoch of ``epochs`` is done and its checkpoint written."""


class Silent:
    """A listener that says nothing."""

    def on_message(self, text: str) -> None:
        """Ignore."""

    def on_measure(self, run: str, done: int, total: int | None) -> None:
        """Ignore."""

    def on_step(self, run: str, epoch: int, accuracy: float, speed: float) -> None:
        """Ignore."""

    def on_epoch(self, run: str, epochs: int, metrics: EpochMetrics) -> None:
        """Ignore."""


class ConsoleListener:
    """A progress bar on a terminal; one plain line per epoch anywhere else.

    Parameters
    ----------
    console
        Where to write.
    steps
        Steps still to be done, over all runs that will report here.
    """

    def __init__(self, console: Console, steps: int) -> None:
        self._console = console
        self._live = console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("accuracy {task.fields[accuracy]}"),
            TextColumn("{task.fields[speed]} images/s"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            disable=not self._live,
        )
        self._task = self._bar.add_task("starting", total=steps, accuracy="-", speed="-")
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def on_message(self, text: str) -> None:
        """Print the line."""
        self._said = time.monotonic()
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def on_measure(self, run: str, done: int, total: int | None) -> None:
        """Say how far it is, in the bar's place."""
        of = "" if total is None else f" of {total}"
        self._bar.update(self._task, description=f"{run}, measuring tables: image {done}{of}")
        self._say_now_and_then(f"{run}: measuring tables, image {done}{of}")

    def on_step(self, run: str, epoch: int, accuracy: float, speed: float) -> None:
        """Move the bar."""
        self._bar.update(
            self._task,
            advance=1,
            description=f"{run}, epoch {epoch}",
            accuracy=f"{100 * accuracy:.1f} %",
            speed=f"{speed:.0f}",
        )
        self._say_now_and_then(
            f"{run}: epoch {epoch}, {self._bar.tasks[0].percentage:.0f} % of all steps, "
            f"accuracy so far {100 * accuracy:.1f} %, {speed:.0f} images/s"
        )

    def _say_now_and_then(self, text: str) -> None:
        """A line each minute where there is no bar: a log shows that a long epoch is alive."""
        if not self._live and time.monotonic() - self._said >= _QUIET:
            self.on_message(text)

    def on_epoch(self, run: str, epochs: int, metrics: EpochMetrics) -> None:
        """Print a line, unless the bar is there to see."""
        if self._live:
            return
        self.on_message(
            f"{run}: epoch {metrics.epoch}/{epochs}, train loss {metrics.train_loss:.3f}, "
            f"val accuracy {100 * metrics.val_accuracy:.2f} %, {metrics.seconds:.1f} s"
        )
