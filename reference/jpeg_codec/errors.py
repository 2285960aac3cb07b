"""What a file can have wrong."""

from __future__ import annotations


class JPEGError(ValueError):
    """A file that is damaged or uses what this codec does not support.

    Parameters
    ----------
    what
        What is wrong.
    position
        Byte at which it was noticed.
    """

    def __init__(self, what: str, position: int) -> None:
        super().__init__(f"{what}, at byte {position}")
        self.what, self.position = what, position
