"""What can go wrong in a run, each with its own name; the command line prints them as one line."""

from __future__ import annotations


class TrainerError(Exception):
    """Anything that stops a run and that its user can put right."""


class DataError(TrainerError):
    """The pictures are missing, unreadable or do not fit together."""


class RunFolderError(TrainerError):
    """The run folder cannot be written, or belongs to another configuration."""


class CheckpointError(TrainerError):
    """A checkpoint is damaged or does not fit the run that asks for it."""


class DivergenceError(TrainerError):
    """The loss, a gradient or a parameter became NaN or infinite."""
