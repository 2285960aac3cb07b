"""``jpegdl encode``: a JPEG file, byte for byte that of libjpeg-turbo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reference.cli._files import clear_errors, read_image, read_tables


def encode(
    source: Annotated[Path, typer.Argument(help="Image that Pillow reads.", metavar="IN")],
    target: Annotated[Path, typer.Argument(help="JPEG file to write.", metavar="OUT")],
    quality: Annotated[
        int | None, typer.Option(help="1 to 100, libjpeg's scale. Default: 75.")
    ] = None,
    qtables: Annotated[
        Path | None,
        typer.Option(
            help="Quantization tables instead of a quality: cjpeg's text, as export-tables writes "
            "it; 1 to 255."
        ),
    ] = None,
    subsampling: Annotated[
        str, typer.Option(help="Of chroma: 4:4:4, 4:2:2, 4:2:0 or 4:4:0.")
    ] = "4:2:0",
    optimize: Annotated[
        bool, typer.Option("--optimize", help="Huffman tables made for this image.")
    ] = False,
) -> None:
    """Encode an image as baseline JPEG, with the bytes that libjpeg-turbo would write.

    Metadata is left out, but the image is turned as its EXIF orientation says.
    """
    with clear_errors():
        from reference.jpeg_codec import encode as encoded

        tables = None if qtables is None else read_tables(qtables)
        image = read_image(source)
        data = encoded(
            image, quality=quality, qtables=tables, subsampling=subsampling, optimize=optimize
        )
        target.write_bytes(data)  # after all that can go wrong with the input
        bits = 8 * len(data) / (image.shape[0] * image.shape[1])
        typer.echo(
            f"{target}: {image.shape[1]} x {image.shape[0]} pixels, {len(data)} bytes, "
            f"{bits:.3f} bits per pixel"
        )


__all__ = ["encode"]
