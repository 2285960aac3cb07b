"""Files in and out of the commands; what is wrong with one becomes one line on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray

_TABLE = 64
_PLAIN = ("L", "RGB")


@contextmanager
def clear_errors() -> Iterator[None]:
    """One line instead of a traceback for what the user can put right."""
    try:
        yield
    except (OSError, ValueError, TypeError, ImportError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


def read_image(path: Path) -> NDArray[np.uint8]:
    """Pixels of any file that Pillow reads, the way up that its camera says.

    Raises
    ------
    ImportError
        If Pillow is missing.
    ValueError
        If it is no image, or one that JPEG has no place for.
    OSError
        If the file cannot be read.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise ImportError(
            "reading images needs Pillow, which is not installed: pip install pillow"
        ) from error
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode == "1":
                image = image.convert("L")
            elif image.mode == "P" and "transparency" not in image.info:
                image = image.convert("RGB")
            pixels = np.array(image)
    except UnidentifiedImageError:
        raise ValueError(f"{path} is no image that Pillow can read") from None
    if image.mode not in _PLAIN:
        raise ValueError(
            f"{path} has mode {image.mode}; convert it to RGB or grey with 8 bits per channel first"
        )
    return pixels


def read_tables(path: Path) -> NDArray[np.int64]:
    """Tables in the text form of ``cjpeg -qtables``, which ``jpegdl export-tables`` writes.

    64 numbers for luma and 64 for chroma, row by row; a single table serves both. "#" begins a
    comment.

    Raises
    ------
    ValueError
        If the file holds something else.
    OSError
        If the file cannot be read.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    words = [word for line in lines for word in line.split("#")[0].split()]
    wrong = [word for word in words if not (word.isascii() and word.isdigit())]
    if wrong:
        raise ValueError(f"{path} must hold whole numbers and comments, got {wrong[0]!r}")
    if len(words) not in (_TABLE, 2 * _TABLE):
        raise ValueError(
            f"{path} must hold {_TABLE} numbers for luma and as many for chroma, or {_TABLE} for "
            f"both, got {len(words)}"
        )
    tables = np.array([int(word) for word in words], np.int64).reshape(-1, 8, 8)
    return np.broadcast_to(tables, (2, 8, 8)).copy()
