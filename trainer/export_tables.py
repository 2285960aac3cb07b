"""Trained tables for a real encoder: integers, ``cjpeg``'s text, and a JPEG written with them."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from trainer.data.pictures import read_picture
from trainer.errors import RunFolderError
from trainer.figures.chosen_image import read_rgb
from trainer.run_folder import prepare_folder, write_atomically
from trainer.saved_run import SavedRun, load_run

JSON_FILE, TEXT_FILE, JPEG_FILE = "q_tables.json", "q_tables.txt", "q_tables.jpg"
FOLDER = "export"
DEFAULT_PICTURE = "astronaut"
LARGEST = 255
"""Of a baseline JPEG's 8-bit tables."""
_SAMPLING = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class IntegerTables:
    """Trained tables as a baseline JPEG holds them.

    Parameters
    ----------
    tables
        (2, 8, 8) int64 in 1..255, luma and chroma, natural order.
    rounded
        Entries that rounding to the nearest integer changed, of 128.
    clamped
        Entries that 1..255 changed after that.
    largest_change
        Distance between the trained and the integer entry, at most.
    """

    tables: NDArray[np.int64]
    rounded: int
    clamped: int
    largest_change: float


@dataclass(frozen=True)
class Encoded:
    """A JPEG and what it costs.

    Parameters
    ----------
    content
        Bytes of the file.
    psnr
        To the input, in dB, over R, G and B; infinite if they are equal.
    """

    content: bytes
    psnr: float


@dataclass(frozen=True)
class Export:
    """What ``jpegdl export-tables`` found.

    Parameters
    ----------
    files
        The files written: JSON, text, JPEG.
    integers
        The tables.
    trained
        The image with these tables.
    quality
        Of Pillow's standard tables, of about the same PSNR.
    standard
        The image with those.
    subsampling
        Of both JPEGs.
    image
        Name of the image.
    pixels
        Its height times its width.
    """

    files: tuple[Path, ...]
    integers: IntegerTables
    trained: Encoded
    quality: int
    standard: Encoded
    subsampling: str
    image: str
    pixels: int


def trained_tables(run: SavedRun) -> NDArray[np.float64]:
    """Luma and chroma tables that a run ended with, (2, 8, 8) in natural order.

    Raises
    ------
    RunFolderError
        If a JPEG file cannot hold them: the run is a baseline, its quantizer replaces a ReLU, or it
        quantizes several times in a row.
    """
    config = run.config
    if config.method == "baseline":
        raise RunFolderError(
            f"run {run.folder} is a baseline: it has no quantization tables. Give a JPEG-DL run"
        )
    layer = run.model.jpeg
    if layer is None:
        raise RunFolderError(
            f"run {run.folder} quantizes feature maps (placement {config.placement!r}), with a "
            "table for each channel: a JPEG file has no place for them. Give a run with placement "
            "'input'"
        )
    if config.rounds > 1:
        raise RunFolderError(
            f"run {run.folder} quantizes {config.rounds} times in a row, a JPEG file only once. "
            "Give a run with rounds 1"
        )
    with torch.no_grad():
        return layer.steps()[0].double().cpu().numpy()


def integer_tables(trained: NDArray[np.float64]) -> IntegerTables:
    """Tables rounded to the nearest integer, ties up, and brought into 1..255.

    Parameters
    ----------
    trained
        (2, 8, 8), positive.
    """
    nearest = np.floor(trained + 0.5)
    kept = nearest.clip(1, LARGEST)
    return IntegerTables(
        tables=kept.astype(np.int64),
        rounded=int((nearest != trained).sum()),
        clamped=int((kept != nearest).sum()),
        largest_change=float(np.abs(kept - trained).max()),
    )


def cjpeg_text(tables: NDArray[np.int64], origin: str) -> str:
    """Tables as ``cjpeg -qtables`` of libjpeg reads them.

    Natural order (row by row, as the standard's tables are printed), luma first; "#" begins a
    comment. ``cjpeg`` takes them as they are unless ``-quality`` is given too, and uses the second
    one for Cb and Cr.

    Parameters
    ----------
    tables
        (2, 8, 8) in 1..255.
    origin
        Where they come from, for the first comment.
    """
    lines = [f"# {' '.join(origin.split())}", "# cjpeg -qtables FILE, without -quality"]
    for name, table in zip(("luma", "chroma"), tables, strict=True):
        lines.append(f"# {name}, natural order")
        lines += [" ".join(f"{entry:3d}" for entry in row) for row in table]
    return "\n".join(lines) + "\n"


def encode(
    pixels: Pixels, subsampling: str, *, tables: NDArray[np.int64] | None = None, quality: int = 75
) -> Encoded:
    """A baseline JPEG by Pillow with the standard's Huffman tables (``optimize`` is off).

    Parameters
    ----------
    pixels
        (H, W, 3) RGB.
    subsampling
        "4:4:4", "4:2:2" or "4:2:0".
    tables
        (2, 8, 8) in 1..255, natural order; None for Pillow's own at `quality`.

    Raises
    ------
    RuntimeError
        If the file does not hold the tables that were given.
    """
    options: dict[str, object] = {"quality": quality}
    if tables is not None:
        # Without quality, which would scale them.
        options = {"qtables": [table.flatten().tolist() for table in tables]}
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(
        buffer, "JPEG", subsampling=_SAMPLING[subsampling], optimize=False, **options
    )
    with Image.open(buffer) as image:
        decoded = np.asarray(image.convert("RGB"))
        found = image.quantization  # type: ignore[attr-defined]
    if tables is not None and [found[0], found[1]] != options["qtables"]:
        raise RuntimeError("Pillow wrote other quantization tables than it was given")
    return Encoded(buffer.getvalue(), psnr(pixels, decoded))


def psnr(first: Pixels, second: Pixels) -> float:
    """Peak signal-to-noise ratio of 8-bit images in dB; infinite for equal ones."""
    error = float(np.mean((first.astype(np.float64) - second) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def nearest_quality(pixels: Pixels, subsampling: str, goal: float) -> tuple[int, Encoded]:
    """Quality of Pillow's standard tables whose PSNR is nearest to `goal`, and the JPEG.

    The lower quality where two are as near.
    """
    encoded = {quality: encode(pixels, subsampling, quality=quality) for quality in range(1, 101)}

    def distance(quality: int) -> float:
        reached = encoded[quality].psnr
        return 0.0 if reached == goal else abs(reached - goal)  # two infinities are equal

    best = min(encoded, key=distance)
    return best, encoded[best]


def export_tables(folder: Path, *, image: Path | None = None, out: Path | None = None) -> Export:
    """Write a run's tables as integers, and an image with them.

    Parameters
    ----------
    folder
        Of a JPEG-DL run.
    image
        To be encoded; None for a photograph inside scikit-image.
    out
        Folder for the files; None for ``export`` in the run's.

    Returns
    -------
    Export

    Raises
    ------
    TrainerError
        If the run has no tables that a JPEG holds, or the run or the image cannot be read.
    """
    run = load_run(folder)
    integers = integer_tables(trained_tables(run))
    pixels = read_picture(DEFAULT_PICTURE) if image is None else read_rgb(image)
    out = folder / FOLDER if out is None else out
    prepare_folder(out, option="--out")
    subsampling = run.config.subsampling
    trained = encode(pixels, subsampling, tables=integers.tables)
    quality, standard = nearest_quality(pixels, subsampling, trained.psnr)
    name = folder.resolve().name
    record = {
        "run": name,
        "order": "natural: rows of vertical, columns of horizontal frequency, DC first",
        "luma": integers.tables[0].tolist(),
        "chroma": integers.tables[1].tolist(),
        "subsampling": subsampling,
    }
    contents = {
        JSON_FILE: (json.dumps(record, indent=2) + "\n").encode(),
        TEXT_FILE: cjpeg_text(integers.tables, f"trained by JPEG-DL, run {name}").encode(),
        JPEG_FILE: trained.content,
    }
    for file, content in contents.items():
        write_atomically(out / file, content)
    return Export(
        files=tuple(out / file for file in contents),
        integers=integers,
        trained=trained,
        quality=quality,
        standard=standard,
        subsampling=subsampling,
        image=DEFAULT_PICTURE if image is None else image.name,
        pixels=pixels.shape[0] * pixels.shape[1],
    )


def export_text(export: Export) -> str:
    """What was done, for a console."""
    integers = export.integers
    tables = integers.tables
    lines = [
        f"luma steps {tables[0].min()} to {tables[0].max()}, chroma steps {tables[1].min()} to "
        f"{tables[1].max()}",
        f"rounding changed {integers.rounded} of {tables.size} entries, the range 1..{LARGEST} "
        f"{integers.clamped}; largest change of an entry {integers.largest_change:.3g}",
        f"{export.image}, {export.subsampling}, Pillow, which rounds where the layer is soft:",
    ]
    compared = (("trained tables", export.trained), (f"quality {export.quality}", export.standard))
    for name, encoded in compared:
        size = len(encoded.content)
        lines.append(
            f"  {name:16}{size:>9} bytes, {8 * size / export.pixels:.2f} bits per pixel, "
            f"PSNR {encoded.psnr:.2f} dB"
        )
    lines += [f"wrote {path}" for path in export.files]
    return "\n".join(lines)
