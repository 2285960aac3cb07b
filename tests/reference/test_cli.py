"""``jpegdl encode`` against libjpeg's files, ``jpegdl inspect`` against what is known of a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from reference import annex_k_tables, cli
from reference.jpeg_codec import JPEGError, encode
from reference.jpeg_codec.parts import contents_of
from tests.reference._codec_cases import (
    Case,
    image_of,
    libjpeg_or_skip,
    pillow_file,
    random_cases,
)

# Bytes before the entropy-coded data with standard tables: SOI 2, APP0 18, DQT 69 each, SOF 19 or
# 13, DHT 33 + 183 each, SOS 14 or 10.
COLOUR_HEADER, GREY_HEADER = 623, 328
TABLES = np.arange(1, 129).reshape(2, 8, 8)


def run(*arguments: Any) -> Any:
    app = typer.Typer()
    app.command()(cli.encode)
    app.command()(cli.inspect)
    # Rich looks there for the width of its tables.
    return CliRunner(env={"COLUMNS": "100"}).invoke(app, [str(a) for a in arguments])


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    Image.fromarray(image_of("smooth", 0, 37, 50)).save(path)
    return path


def tables_text(tables: np.ndarray) -> str:
    rows = "\n".join(" ".join(map(str, row)) for row in tables.reshape(-1, 8).tolist())
    return f"# a comment, with 3 numbers 1 2\n{rows}  # and another\n"


# encode


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("quality", [None, 1, 88])
def test_the_file_is_that_of_libjpeg(request, tmp_path, quality, subsampling, optimize, grey):
    libjpeg_or_skip(request)
    case = Case(
        image_of("smooth", 1, 21, 45, grey=grey), quality or 75, None, subsampling, optimize
    )
    source, target = tmp_path / "in.png", tmp_path / "out.jpg"
    Image.fromarray(case.image).save(source)
    options = ["--subsampling", subsampling, *(["--optimize"] if optimize else [])]
    options += [] if quality is None else ["--quality", quality]
    result = run("encode", source, target, *options)
    assert result.exit_code == 0, result.output
    assert target.read_bytes() == pillow_file(case)
    assert f"45 x 21 pixels, {target.stat().st_size} bytes" in result.output


@pytest.mark.parametrize("kinds", [1, 2])
def test_tables_come_from_cjpegs_text(tmp_path, picture, kinds):
    text, target = tmp_path / "tables.txt", tmp_path / "out.jpg"
    text.write_text(tables_text(TABLES[:kinds]))
    assert run("encode", picture, target, "--qtables", text).exit_code == 0
    used = np.broadcast_to(TABLES[:kinds], (2, 8, 8))
    assert target.read_bytes() == encode(image_of("smooth", 0, 37, 50), qtables=used)


def test_images_of_other_modes(tmp_path):
    pixels = image_of("edges", 2, 16, 24)
    palette = Image.fromarray(pixels).quantize(20)
    bilevel = Image.fromarray(pixels).convert("1")
    turned = Image.fromarray(pixels)
    turned.getexif()[0x0112] = 6  # to be turned by 90 degrees
    cases = {
        "palette.png": (palette, {}, np.array(palette.convert("RGB"))),
        "bilevel.png": (bilevel, {}, np.array(bilevel.convert("L"))),
        "turned.png": (turned, {"exif": turned.getexif()}, np.rot90(pixels, -1)),
    }
    for name, (image, options, expected) in cases.items():
        image.save(tmp_path / name, **options)
        assert run("encode", tmp_path / name, tmp_path / "out.jpg").exit_code == 0
        assert (tmp_path / "out.jpg").read_bytes() == encode(np.ascontiguousarray(expected)), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--quality", 0], "quality must lie in 1..100, got 0"),
        (["--subsampling", "4:1:1"], "subsampling must be one of"),
        (["--quality", 50, "--qtables", "good.txt"], "quality or qtables, not both"),
        (["--qtables", "words.txt"], "must hold whole numbers and comments, got 'x'"),
        (["--qtables", "short.txt"], "64 numbers for luma and as many for chroma.*got 5"),
        (["--qtables", "large.txt"], "qtables must lie in 1..255"),
        (["--qtables", "missing.txt"], "missing.txt"),
    ],
)
def test_wrong_options_give_one_line_and_no_file(tmp_path, picture, options, message):
    (tmp_path / "good.txt").write_text(tables_text(TABLES))
    (tmp_path / "words.txt").write_text("1 x 3")
    (tmp_path / "short.txt").write_text("1 2 3 4 5")
    (tmp_path / "large.txt").write_text(tables_text(TABLES + 200))
    given = [tmp_path / o if str(o).endswith(".txt") else o for o in options]
    result = run("encode", picture, tmp_path / "out.jpg", *given)
    _one_line(result, message)
    assert not (tmp_path / "out.jpg").exists()


def test_wrong_images_give_one_line(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    Image.new("RGBA", (4, 4)).save(tmp_path / "alpha.png")
    Image.new("I;16", (4, 4)).save(tmp_path / "deep.png")
    for name, message in {
        "text.png": "text.png is no image that Pillow can read",
        "alpha.png": "alpha.png has mode RGBA; convert it",
        "deep.png": "deep.png has mode I;16; convert it",
        "missing.png": "missing.png",
    }.items():
        _one_line(run("encode", tmp_path / name, tmp_path / "out.jpg"), message)
    Image.new("L", (4, 4)).save(tmp_path / "good.png")
    target = tmp_path / "no such folder" / "out.jpg"
    _one_line(run("encode", tmp_path / "good.png", target), "no such folder")


def _one_line(result: Any, message: str) -> None:
    import re

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert re.search(message, result.stderr), result.stderr


# inspect


def test_the_parts_of_any_file_add_up_to_it():
    for case in random_cases(60, 5, 40):
        data = encode(case.image, **case.options, optimize=case.optimize)
        contents = contents_of(data)
        sizes = {part.name: part.size for part in contents.parts}
        assert sum(sizes.values()) == contents.size == len(data)
        assert (contents.frame.height, contents.frame.width) == case.image.shape[:2]
        grey = case.image.ndim == 2
        assert contents.colours == ("grey" if grey else "YCbCr")
        assert contents.subsampling == ("none" if grey else case.subsampling)
        tables = annex_k_tables(case.quality) if case.qtables is None else case.qtables
        for number in range(1 if grey else 2):
            assert np.array_equal(contents.qtables[number], tables[number])
        assert len(contents.huffman) == (2 if grey else 4)
        if not case.optimize:
            header = GREY_HEADER if grey else COLOUR_HEADER
            assert sizes["entropy-coded data"] == len(data) - header - len(b"\xff\xd9")
            assert all(standard for _, standard in contents.huffman.values())


def test_names_of_samplings():
    for name in ("4:4:4", "4:2:2", "4:2:0", "4:4:0"):
        data = encode(image_of("noise", 0, 20, 20), subsampling=name)
        assert contents_of(data).subsampling == name
    # The luma factors of a 4:2:0 file made 1x2 and 4x1: byte 11 of the frame header.
    at = data.index(b"\xff\xc0") + 11
    assert data[at] == 0x12
    changed = data[:at] + bytes([0x41]) + data[at + 1 :]
    assert contents_of(changed).subsampling == "4x1, 1x1, 1x1"


def test_comments_other_segments_restarts_and_what_follows():
    file = io.BytesIO()
    picture = Image.fromarray(image_of("noise", 0, 64, 64))
    picture.save(file, "JPEG", comment=b"twelve bytes", exif=b"Exif\0\0", restart_marker_blocks=3)
    contents = contents_of(file.getvalue() + b"more")
    sizes = {part.name: part.size for part in contents.parts}
    assert sizes["COM, comment"] == 2 + 2 + 12
    assert sizes["APP1"] == 2 + 2 + 6
    assert sizes["DRI, restart interval"] == 6
    assert sizes["after the end"] == 4
    assert sum(sizes.values()) == contents.size
    cut = contents_of(file.getvalue()[:-2])  # no EOI
    assert {p.name: p.size for p in cut.parts}["SOI and EOI"] == 2


def test_a_file_is_shown(tmp_path):
    path = tmp_path / "some [file].jpg"
    path.write_bytes(encode(image_of("smooth", 0, 40, 56), quality=83, optimize=True))
    size = path.stat().st_size
    result = run("inspect", path)
    assert result.exit_code == 0, result.output
    text = result.output
    assert f"some [file].jpg: 56 x 40 pixels, YCbCr 4:2:0, {size} bytes" in text.replace("\n", "")
    assert "Quantization table 0 of Y: Annex K, luma, quality 83" in text
    assert "Quantization table 1 of Cb, Cr: Annex K, chroma, quality 83" in text
    for row in annex_k_tables(83)[0].astype(int).tolist():
        assert row == next(found for line in text.splitlines() if (found := _numbers(line)) == row)
    assert "no" in text.split("of Annex K.3")[1]
    assert "100.0%" in text


def _numbers(line: str) -> list[int]:
    return [int(word) for word in line.replace("│", " ").split() if word.isdigit()]


def test_equal_tables_are_named_after_their_place(tmp_path):
    path = tmp_path / "fine.jpg"
    path.write_bytes(encode(image_of("smooth", 0, 9, 9), quality=100))
    text = run("inspect", path).output
    assert "table 0 of Y: Annex K, luma, quality 100" in text
    assert "table 1 of Cb, Cr: Annex K, chroma, quality 100" in text
    path.write_bytes(encode(image_of("smooth", 0, 9, 9), qtables=TABLES))
    assert "Annex K, " not in run("inspect", path).output.replace("Annex K.3", "")


def test_what_cannot_be_inspected_gives_one_line(tmp_path):
    path = tmp_path / "bad.jpg"
    picture = Image.fromarray(image_of("noise", 0, 30, 30))
    picture.save(path, "JPEG", progressive=True)
    _one_line(run("inspect", path), "bad.jpg: progressive JPEG is not supported.*at byte")
    path.write_bytes(b"")
    _one_line(run("inspect", path), "bad.jpg: no JPEG file.*at byte 0")
    whole = encode(image_of("noise", 0, 30, 30))
    path.write_bytes(whole[:300])
    _one_line(run("inspect", path), "bad.jpg: the file ends within the segment.*at byte")
    path.write_bytes(whole[: whole.index(b"\xff\xda")] + b"\xff\xd9")  # a frame, but no scan
    _one_line(run("inspect", path), "bad.jpg: the file ends without an image")
    path.write_bytes(b"\xff\xd8\xff\xd9")
    _one_line(run("inspect", path), "bad.jpg: the file ends without an image")
    _one_line(run("inspect", tmp_path / "missing.jpg"), "missing.jpg")


def test_no_part_of_a_cut_file_is_read_beyond_its_end():
    whole = encode(image_of("noise", 3, 17, 17))
    for length in range(len(whole)):
        try:
            contents = contents_of(whole[:length])
        except JPEGError:
            continue
        assert sum(part.size for part in contents.parts) == length
