"""``jpegdl inspect``: what a JPEG file is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from reference.cli._files import clear_errors
from reference.standard import annex_k_tables

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.console import Console

    from reference.jpeg_codec.parts import Contents

_NAMES = {"grey": ("grey",), "YCbCr": ("Y", "Cb", "Cr"), "RGB": ("R", "G", "B")}


def inspect(
    file: Annotated[Path, typer.Argument(help="JPEG file.", metavar="FILE")],
) -> None:
    """Show a file's sampling, quantization and Huffman tables, and its size part by part."""
    with clear_errors():
        from rich.console import Console

        from reference.jpeg_codec import JPEGError
        from reference.jpeg_codec.parts import contents_of

        try:
            contents = contents_of(file.read_bytes())
        except JPEGError as error:
            raise ValueError(f"{file}: {error}") from error
        _show(Console(soft_wrap=True, highlight=False), str(file), contents)


def _show(console: Console, name: str, contents: Contents) -> None:
    from rich.markup import escape

    frame = contents.frame
    bits = 8 * contents.size / (frame.width * frame.height)
    console.print(
        f"{escape(name)}: {frame.width} x {frame.height} pixels, {contents.colours}"
        + (f" {contents.subsampling}" if len(frame.components) > 1 else "")
        + f", {contents.size} bytes, {bits:.3f} bits per pixel"
    )
    _show_sizes(console, contents)
    for number, table in sorted(contents.qtables.items()):
        _show_qtable(console, contents, number, table)
    _show_huffman(console, contents)


def _show_sizes(console: Console, contents: Contents) -> None:
    from rich.table import Table

    shown = Table("part", title="Size", title_justify="left")
    for column in ("segments", "bytes", "share"):
        shown.add_column(column, justify="right")
    for part in contents.parts:
        share = f"{part.size / contents.size:.1%}"
        shown.add_row(part.name, str(part.count), str(part.size), share)
    shown.add_section()
    shown.add_row("file", "", str(contents.size), "100.0%")
    console.print(shown)


def _show_qtable(
    console: Console, contents: Contents, number: int, table: NDArray[np.int64]
) -> None:
    from rich.table import Table

    names = _NAMES[contents.colours]
    users = [
        name
        for name, component in zip(names, contents.frame.components, strict=True)
        if component.table == number
    ]
    of = f" of {', '.join(users)}" if users else ", used by no component"
    title = f"Quantization table {number}{of}{_standard(table, chroma=number > 0)}"
    shown = Table(title=title, title_justify="left", show_header=False)
    for _ in range(8):
        shown.add_column(justify="right")
    for row in table.tolist():
        shown.add_row(*map(str, row))
    console.print(shown)


def _standard(table: NDArray[np.int64], *, chroma: bool) -> str:
    """The quality at which an Annex K table is this one; where both are, the one asked for."""
    for kind in (chroma, not chroma):
        for quality in range(1, 101):
            if np.array_equal(table, annex_k_tables(quality)[int(kind)]):
                return f": Annex K, {'chroma' if kind else 'luma'}, quality {quality}"
    return ""


def _show_huffman(console: Console, contents: Contents) -> None:
    from rich.table import Table

    shown = Table("Huffman table", title="Entropy coding", title_justify="left")
    for column in ("symbols", "longest code"):
        shown.add_column(column, justify="right")
    shown.add_column("of Annex K.3")
    for (kind, number), (table, standard) in sorted(contents.huffman.items()):
        longest = max((i for i, count in enumerate(table.counts, start=1) if count), default=0)
        shown.add_row(
            f"{'AC' if kind else 'DC'} {number}",
            str(len(table.symbols)),
            f"{longest} bits",
            "yes" if standard else "no",
        )
    console.print(shown)


__all__ = ["inspect"]
