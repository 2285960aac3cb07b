"""What every command does about errors and interruptions."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from trainer.errors import TrainerError

_INTERRUPTED = 130  # what a shell reports for Ctrl-C


@contextmanager
def clear_errors() -> Iterator[None]:
    """One line instead of a traceback for what the user can put right; SIGTERM like Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except (TrainerError, ValueError, TypeError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.echo("Interrupted. The same command resumes after the last checkpoint.", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)
