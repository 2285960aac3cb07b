"""``jpegdl export-tables``: integers, the text for cjpeg, and the JPEG."""

from __future__ import annotations

import io
import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from reference import annex_k_tables, to_zigzag
from tests.trainer._saved_runs import trained_run
from torch_impl import JPEGLayer
from trainer import TrainConfig, cli, export_tables
from trainer.data.pictures import read_picture
from trainer.errors import DataError, RunFolderError
from trainer.export_tables import (
    cjpeg_text,
    encode,
    integer_tables,
    nearest_quality,
    psnr,
    trained_tables,
)
from trainer.networks import ImageClassifier, SmallCNN
from trainer.saved_run import SavedRun

# No two entries are equal, so that another order shows.
TABLES = np.arange(1, 129).reshape(2, 8, 8)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return read_picture("coffee")[:61, :75]


@pytest.fixture(scope="module")
def run(image_folder: Path) -> Path:
    return trained_run(image_folder, "export", q_initial=2.4, q_learning_rate=0.0)


def saved(jpeg: JPEGLayer | None, **options: Any) -> SavedRun:
    model = ImageClassifier(SmallCNN(3, 2), torch.zeros(3), torch.ones(3), jpeg)
    return SavedRun(Path("runs/x"), TrainConfig(**options), model, ("a",), (8, 8), (), None)


def tables_in_file(content: bytes) -> list[list[int]]:
    """Entries of the DQT segments, in the order of the file: zigzag (T.81, B.2.4.1)."""
    found, place = [], 2
    while content[place + 1] != 0xDA:
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        if content[place + 1] == 0xDB:
            body = content[place + 4 : place + 2 + length]
            assert [body[k] for k in range(0, len(body), 65)] == [len(found)] * (len(body) // 65)
            found += [list(body[k + 1 : k + 65]) for k in range(0, len(body), 65)]
        place += 2 + length
    return found


def test_tables_become_integers() -> None:
    trained = np.full((2, 8, 8), 3.0)
    trained[0, 0, :5] = [0.2, 0.5, 2.4, 254.7, 300.0]
    result = integer_tables(trained)
    assert result.tables.dtype == np.int64
    assert result.tables[0, 0, :6].tolist() == [1, 1, 2, 255, 255, 3]
    assert result.rounded == 4
    assert result.clamped == 2
    assert result.largest_change == 45
    assert integer_tables(np.full((2, 8, 8), 7.0)).largest_change == 0


def test_the_tables_are_those_of_the_layer() -> None:
    q = torch.from_numpy(TABLES).float()
    layer = JPEGLayer(q)
    with torch.no_grad():
        layer.q[0, 0, 0] = 1000.0  # an optimizer's step; the forward pass clamps it
    tables = trained_tables(saved(layer))
    assert tables[0, 0, 0] == 255
    np.testing.assert_array_equal(tables.ravel()[1:], TABLES.ravel()[1:])


@pytest.mark.parametrize(
    ("jpeg", "options", "message"),
    [
        (None, {"method": "baseline"}, "is a baseline"),
        (None, {"placement": "relu"}, "quantizes feature maps.*placement 'relu'"),
        (JPEGLayer(rounds=3), {"rounds": 3}, "3 times in a row"),
    ],
)
def test_runs_without_tables_for_a_file(
    jpeg: JPEGLayer | None, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunFolderError, match=message):
        trained_tables(saved(jpeg, **options))


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_the_file_holds_the_tables_in_its_own_order(pixels: np.ndarray, subsampling: str) -> None:
    encoded = encode(pixels, subsampling, tables=TABLES)
    assert tables_in_file(encoded.content) == [to_zigzag(table).tolist() for table in TABLES]
    with Image.open(io.BytesIO(encoded.content)) as image:
        assert image.size == (75, 61)
        layout = {"4:4:4": (1, 1), "4:2:2": (2, 1), "4:2:0": (2, 2)}[subsampling]
        assert [(h, v) for _, h, v, _ in image.layer] == [layout, (1, 1), (1, 1)]
        assert encoded.psnr == psnr(pixels, np.asarray(image))


def test_the_standard_tables_are_pillows_own(pixels: np.ndarray) -> None:
    given = encode(pixels, "4:2:0", tables=annex_k_tables(30).astype(int))
    assert given.content == encode(pixels, "4:2:0", quality=30).content


def test_wrongly_written_tables_are_noticed(
    pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = TABLES.copy()
    wrong[0, 0, 0] = 0  # Pillow makes it 1
    with pytest.raises(RuntimeError, match="other quantization tables"):
        encode(pixels, "4:4:4", tables=wrong)


def test_psnr_is_the_formula() -> None:
    first = np.zeros((2, 2, 3), dtype=np.uint8)
    second = np.full_like(first, 255)
    assert psnr(first, second) == 0
    assert psnr(first, first + np.uint8(1)) == pytest.approx(20 * math.log10(255), rel=1e-15)
    assert psnr(first, first) == math.inf


def test_nearest_quality_is_found(pixels: np.ndarray) -> None:
    for quality in (3, 50, 100):
        goal = encode(pixels, "4:4:4", quality=quality).psnr
        found, encoded = nearest_quality(pixels, "4:4:4", goal)
        assert encoded.psnr == goal
        assert found == quality
    grey = np.full((8, 8, 3), 128, dtype=np.uint8)
    assert nearest_quality(grey, "4:4:4", math.inf)[1].psnr == math.inf


def read_as_cjpeg_does(text: str) -> list[int]:
    """Numbers between whitespace; "#" begins a comment (libjpeg, rdswitch.c)."""
    return [int(word) for line in text.splitlines() for word in line.split("#")[0].split()]


def test_text_for_cjpeg_is_in_natural_order() -> None:
    text = cjpeg_text(TABLES, "a name\nwith 64 numbers")
    assert read_as_cjpeg_does(text) == list(range(1, 129))
    assert text.isascii()
    # Pillow reads the format of cjpeg as well.
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(buffer, "JPEG", qtables=text)
    assert tables_in_file(buffer.getvalue()) == [to_zigzag(table).tolist() for table in TABLES]


@pytest.mark.skipif(shutil.which("cjpeg") is None, reason="cjpeg of libjpeg is not installed")
def test_cjpeg_reads_the_text(pixels: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text(cjpeg_text(TABLES, "test"))
    Image.fromarray(pixels).save(tmp_path / "image.ppm")
    done = subprocess.run(
        ["cjpeg", "-qtables", tmp_path / "q.txt", tmp_path / "image.ppm"],
        capture_output=True,
        check=True,
    )
    assert tables_in_file(done.stdout) == [to_zigzag(table).tolist() for table in TABLES]


def test_export_of_a_run(run: Path, tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(tmp_path / "image.png")
    export = export_tables.export_tables(run, image=tmp_path / "image.png", out=tmp_path / "out")
    assert [path.name for path in export.files] == [
        "q_tables.json",
        "q_tables.txt",
        "q_tables.jpg",
    ]
    assert (export.integers.rounded, export.integers.clamped) == (128, 0)
    assert export.integers.largest_change == pytest.approx(0.4, abs=1e-6)  # 2.4 in float32
    record = json.loads((tmp_path / "out" / "q_tables.json").read_text())
    assert record["luma"] == record["chroma"] == [[2] * 8] * 8
    assert record["subsampling"] == "4:4:4"
    text = (tmp_path / "out" / "q_tables.txt").read_text()
    assert read_as_cjpeg_does(text) == [2] * 128
    content = (tmp_path / "out" / "q_tables.jpg").read_bytes()
    assert tables_in_file(content) == [[2] * 64] * 2
    assert export.trained.content == content
    with Image.open(io.BytesIO(content)) as image:
        assert psnr(np.asarray(image), pixels) == export.trained.psnr


def test_command(run: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(cli.export_tables)
    result = CliRunner().invoke(app, [str(run), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    size = (tmp_path / "q_tables.jpg").stat().st_size
    assert f"{size} bytes, {8 * size / 512**2:.2f} bits per pixel" in result.output
    assert "rounding changed 128 of 128 entries, the range 1..255 0" in result.output
    assert "astronaut, 4:4:4" in result.output
    failed = CliRunner().invoke(app, [str(tmp_path)])
    assert failed.exit_code == 1
    assert "no run folder" in failed.output


def test_files_go_into_the_run_unless_out_is_given(
    run: Path, tmp_path: Path, pixels: np.ndarray
) -> None:
    shutil.copytree(run, tmp_path / "run")
    Image.fromarray(pixels).save(tmp_path / "image.png")
    export_tables.export_tables(tmp_path / "run", image=tmp_path / "image.png")
    assert (tmp_path / "run" / "export" / "q_tables.json").exists()


def test_an_unreadable_image(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png cannot be read"):
        export_tables.export_tables(run, image=tmp_path / "none.png", out=tmp_path)
