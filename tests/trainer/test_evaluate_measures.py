"""Measures, averages, qualities, pictures and the growing table of ``jpegdl evaluate``."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trainer.codec_evaluation import published
from trainer.codec_evaluation.averages import Mean, by_range, mean_and_deviation, mean_of
from trainer.codec_evaluation.image_metrics import distance
from trainer.codec_evaluation.libjpeg import through_libjpeg
from trainer.codec_evaluation.measured_rows import MeasuredRows
from trainer.codec_evaluation.pages import Column, range_table, which_qualities
from trainer.codec_evaluation.pictures import find_pictures
from trainer.codec_evaluation.qualities import parse_qualities, spell_qualities
from trainer.errors import DataError, RunFolderError


def ssim_by_hand(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. (2004), window by window; the weights of an 11x11 Gaussian of sigma 1.5."""
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(line, line) / line.sum() ** 2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = []
    for channel in range(3):
        for top in range(a.shape[0] - 10):
            for left in range(a.shape[1] - 10):
                x = a[top : top + 11, left : left + 11, channel]
                y = b[top : top + 11, left : left + 11, channel]
                mx, my = (weights * x).sum(), (weights * y).sum()
                vx = (weights * (x - mx) ** 2).sum()
                vy = (weights * (y - my) ** 2).sum()
                cov = (weights * (x - mx) * (y - my)).sum()
                found.append(
                    (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
                )
    return float(np.mean(found))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_measures_are_those_of_their_definitions(dtype: type) -> None:
    rng = np.random.default_rng(0)
    # Low contrast: there the constants of SSIM and the norm of its variances show.
    a = rng.integers(96, 112, (17, 23, 3)).astype(np.uint8)
    b = np.clip(a + rng.normal(0, 4, a.shape), 0, 255).astype(dtype)
    found = distance(b, a)
    first, second = a.astype(float), b.astype(float)
    mse = sum((x - y) ** 2 for x, y in zip(first.flat, second.flat, strict=True)) / a.size
    mae = sum(abs(x - y) for x, y in zip(first.flat, second.flat, strict=True)) / a.size
    # Different orders of summation over some thousand terms in float64.
    assert found.mse == pytest.approx(mse, rel=1e-12)
    assert found.mae == pytest.approx(mae, rel=1e-12)
    assert found.psnr == pytest.approx(20 * math.log10(255) - 10 * math.log10(mse), rel=1e-12)
    # Variances as E[x^2] - E[x]^2 in float32: 112^2 2^-24 beside C2 = 58.5 is 1.3e-5 in a window.
    assert found.ssim == pytest.approx(ssim_by_hand(first, second), rel=1.3e-5)


def test_measures_of_known_images() -> None:
    grey = np.full((16, 16, 3), 100, dtype=np.uint8)
    assert distance(grey, grey) == distance(grey.astype(np.float32), grey)
    assert dataclasses.astuple(distance(grey, grey)) == (math.inf, 1.0, 0.0, 0.0)
    shifted = distance(grey + np.uint8(10), grey)
    assert (shifted.mae, shifted.mse) == (10.0, 100.0)
    assert shifted.psnr == pytest.approx(10 * math.log10(255**2 / 100), rel=1e-15)
    # Without variance SSIM is its luminance term.
    c1 = (0.01 * 255) ** 2
    expected = (2 * 110 * 100 + c1) / (110**2 + 100**2 + c1)
    assert shifted.ssim == pytest.approx(expected, rel=1e-4)  # as above


def test_averages_say_what_is_equal() -> None:
    assert mean_of([math.inf, math.inf]).text(2) == "equal"
    assert mean_of([]).text(2) == "-"
    assert mean_of([1.5, math.inf, 2.5]) == Mean(2.0, 1)
    assert mean_of([1.5, math.inf, 2.5]).text(1) == "2.0 (1 equal left out)"
    assert [mean_of([value]).text(3) for value in (0.0, 0.0001, 1.0, 0.9999)] == [
        "0",
        "0.000",
        "1",
        "1.000",
    ]
    with pytest.raises(ValueError, match="must be numbers"):
        mean_of([1.0, math.nan])
    assert mean_and_deviation([1.0, 3.0, math.inf]) == (2.0, 1.0)
    assert all(math.isnan(v) for v in mean_and_deviation([math.inf]))


def test_columns_weigh_the_ranges() -> None:
    everything = {quality: [float(quality), quality + 1.0] for quality in range(1, 101)}
    means = by_range(everything)
    assert list(means) == ["1-99", "1-10", "11-99"]
    assert [mean.value for mean in means.values()] == pytest.approx([50.5, 6.0, 55.5], rel=1e-14)
    some = by_range({4: [3.0], 20: [10.0], 80: [30.0]})
    assert some["1-99"].value == pytest.approx((10 * 3 + 89 * 20) / 99, rel=1e-14)
    low_only = by_range({4: [3.0], 100: [9.0]})
    assert [mean.text(1) for mean in low_only.values()] == ["-", "3.0", "-"]
    half_equal = by_range({4: [math.inf], 20: [40.0]})
    assert [mean.text(1) for mean in half_equal.values()] == [
        "40.0 (1 equal left out)",
        "equal",
        "40.0",
    ]


def test_pages_say_which_qualities_stand_behind_a_column() -> None:
    assert which_qualities(tuple(range(1, 100))) == "Qualities 1-99."
    some = which_qualities((5, 6, 100))
    assert "2 of 10 qualities stand for 1-10." in some
    assert "11-99" not in some
    assert "10 to 89" in some
    assert "Quality 100 is in no column" in some


def test_printed_figures_stand_under_those_measured() -> None:
    @dataclasses.dataclass
    class Named:
        key: str
        title: str

    column = Column("psnr", "PSNR", 1, lambda key: {4: [math.inf if key == "ours" else 3.0]})
    rows = [Named("ours", "this"), Named("unknown", "that")]
    lines = range_table(rows, [column], published.FORWARD)  # type: ignore[arg-type]
    assert lines == [
        "| approach | PSNR 1-99 | PSNR 1-10 | PSNR 11-99 |",
        "|---|---|---|---|",
        "| this | - | equal | - |",
        "| *thesis* | *42.60* | *38.28* | *43.14* |",
        "| that | - | 3.0 | - |",
    ]


def test_printed_columns_agree_with_each_other() -> None:
    """A slip of a digit shows: "1-99" is the mean of the others, weighted 11 to 88."""
    tables = {
        "forward": published.FORWARD,
        "ablation": published.ABLATION,
        "rounding": published.ROUNDING,
        "gradients": published.GRADIENTS,
        "kinds": published.ATTACKS_BY_KIND,
        "none": {name: {"none": triple} for name, triple in published.NO_ATTACK.items()},
        **{f"{key}": table for key, table in published.ATTACKS.items()},
    }
    odd, entries = [], 0
    for name, table in tables.items():
        for measure, rows in table.items():
            unit = 0.01 if measure in ("psnr", "top1", "top5") else 0.001
            for approach, (whole, low, high) in rows.items():
                entries += 1
                # Half a unit of rounding in the whole, and half in the mean of the others.
                if abs((11 * low + 88 * high) / 99 - whole) > 1.0001 * unit:
                    odd.append((name, measure, approach))
    assert odd == [("gradients", "quality", "xie")]
    assert entries == 97


@given(st.sets(st.integers(1, 100), min_size=1))
def test_qualities_are_read_as_they_are_spelled(numbers: set[int]) -> None:
    qualities = tuple(sorted(numbers))
    assert parse_qualities(spell_qualities(qualities)) == qualities


def test_qualities_of_a_command_line() -> None:
    assert parse_qualities(" 90, 1-3,50 ,2") == (1, 2, 3, 50, 90)
    assert spell_qualities((1, 2, 3, 50, 90)) == "1-3,50,90"
    for text in ("", "0", "101", "5-3", "1,,2", "x", "1.5", "-3", "1-2-3", "1-101", "٣"):
        with pytest.raises(ValueError, match="qualities must be whole numbers"):
            parse_qualities(text)


def test_the_photographs_are_cropped_and_a_folder_is_not(tmp_path: Path) -> None:
    shapes = {picture.name: picture.read().shape for picture in find_pictures(None)}
    assert shapes == {
        "astronaut": (512, 512, 3),
        "chelsea": (288, 448, 3),
        "coffee": (400, 592, 3),
        "rocket": (416, 640, 3),
    }
    grey = np.arange(35 * 20, dtype=np.uint8).reshape(35, 20)
    Image.fromarray(grey).save(tmp_path / "b.png")
    Image.fromarray(np.zeros((12, 15, 3), np.uint8)).save(tmp_path / "a.BMP")
    (tmp_path / "notes.txt").write_text("no picture")
    found = find_pictures(tmp_path)
    assert [picture.name for picture in found] == ["a.BMP", "b.png"]
    assert np.array_equal(found[1].read(), np.repeat(grey[..., None], 3, axis=2))
    (one,) = find_pictures(tmp_path / "b.png", crop=16)
    assert np.array_equal(one.read(), found[1].read()[:32, :16])


def test_bad_pictures_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="do not exist"):
        find_pictures(tmp_path / "none")
    with pytest.raises(DataError, match="holds no pictures"):
        find_pictures(tmp_path)
    Image.fromarray(np.zeros((40, 10, 3), np.uint8)).save(tmp_path / "narrow.png")
    with pytest.raises(DataError, match=r"narrow\.png is 40x10 pixels"):
        find_pictures(tmp_path)
    with pytest.raises(DataError, match="32x0 after cropping to multiples of 16"):
        find_pictures(tmp_path, crop=16)
    (tmp_path / "narrow.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"narrow\.png cannot be read"):
        find_pictures(tmp_path)
    whole = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(whole)
    whole.write_bytes(whole.read_bytes()[:2000])
    (cut,) = find_pictures(whole)
    with pytest.raises(DataError, match=r"cut\.png cannot be read"):
        cut.read()


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_the_real_codec_is_libjpeg(subsampling: str) -> None:
    import torch

    from torch_impl import jpeg_roundtrip

    pixels = np.random.default_rng(1).integers(0, 256, (19, 37, 3)).astype(np.uint8)
    coded, size = through_libjpeg(pixels, quality=37, subsampling=subsampling)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    same = jpeg_roundtrip(images, quality=37, subsampling=subsampling)
    assert np.array_equal(same[0].permute(1, 2, 0).numpy(), coded)
    assert 623 < size < 623 + pixels.size  # headers, and something behind them


@dataclasses.dataclass(frozen=True)
class SmallRow:
    name: str
    count: int
    value: float

    @property
    def key(self) -> tuple[str, int]:
        return self.name, self.count


ROWS = [SmallRow("a, b", 1, 0.1), SmallRow("c", 2, math.inf), SmallRow("d", 3, 1 / 3)]


def test_rows_grow_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows = MeasuredRows(path, SmallRow)
    rows.add(ROWS[:1])
    rows.add(ROWS[1:])
    assert path.read_text() == 'name,count,value\n"a, b",1,0.1\nc,2,inf\nd,3,0.3333333333333333\n'
    again = MeasuredRows(path, SmallRow)
    assert [again[row.key] for row in ROWS] == ROWS
    assert ("c", 3) not in again
    assert again.finish([ROWS[2].key, ROWS[0].key]) == [ROWS[2], ROWS[0]]
    assert [line[0] for line in path.read_text().splitlines()[1:]] == ["d", '"', "c"]


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    MeasuredRows(path, SmallRow).add(ROWS)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])  # 0.3333333333333 is a number too
    rows = MeasuredRows(path, SmallRow)
    assert ROWS[1].key in rows
    assert ROWS[2].key not in rows
    rows.add(ROWS[2:])
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its columns are others"),
        ("name,count\na,1\n", "its columns are others"),
        ("name,count,value\na,x,1\n", "invalid literal"),
        ("name,count,value\na,1,nan\n", "a value is no number"),
        ("name,count,value\na,1\n", "zip"),
    ],
)
def test_a_foreign_table_is_left_alone(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(RunFolderError, match=message):
        MeasuredRows(path, SmallRow)
    assert path.read_text() == text


def test_a_table_that_cannot_be_read_or_written(tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(RunFolderError, match="cannot be read"):
        MeasuredRows(tmp_path, SmallRow)
    rows = MeasuredRows(tmp_path / "rows.csv", SmallRow)
    rows.path = tmp_path / "none" / "rows.csv"
    with pytest.raises(RunFolderError, match="cannot write"):
        rows.add(ROWS)
