"""The golden vectors: what is shipped is what mpmath gives, and damage is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from oracles.regimes import REGIMES
from oracles.tolerance import ambiguous_windows
from oracles.vectors import DATA, generate, load_layer, load_quantizer, writing
from oracles.vectors import tables as files
from oracles.vectors.integrity import check_set
from oracles.vectors.layer_inputs import draw_layer
from reference.compiled import soft_quantize_partials


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA, tmp_path / "vectors"))


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_the_shipped_set_is_sound_in_a_sample() -> None:
    found = check_set(sample=60, seed=1)
    assert found.problems == ()
    assert found.recomputed == 60


def test_the_inputs_are_those_that_are_drawn() -> None:
    drawn, shipped = generate.draw_quantizer(), load_quantizer()
    assert drawn.ids == shipped.ids
    for name in ("regimes", "dtypes", "max_levels", "windows", "inputs"):
        np.testing.assert_array_equal(getattr(drawn, name), getattr(shipped, name))
    for new, old in zip(draw_layer(generate.SEED), load_layer(), strict=True):
        assert (new.id, new.name, new.window) == (old.id, old.name, old.window)
        for name in files.ARRAYS[:4]:
            np.testing.assert_array_equal(new.arrays[name], old.arrays[name])


def test_all_tolerances_are_those_of_today() -> None:
    """Cheap, so all of them: a constant that is changed asks for new vectors."""
    vectors = load_quantizer()
    np.testing.assert_array_equal(generate.quantizer_tolerances(vectors), vectors.tolerances)
    for vector in load_layer():
        for dtype, arrays in generate.layer_tolerances(vector).items():
            for name, limits in arrays.items():
                np.testing.assert_array_equal(limits, vector.tolerances[dtype][name])


def test_writing_gives_the_same_bytes(tmp_path: Path) -> None:
    """All of it but the arithmetic, which the shipped files supply: that takes minutes."""
    told = []
    written = writing.write(
        tmp_path / "new", lambda done, total: told.append((done, total)), reuse=DATA
    )
    total = len(load_quantizer().ids) + len(load_layer())
    assert told == [(i, total) for i in range(1, total + 1)]
    assert {path.name for path in written} == {path.name for path in DATA.iterdir()}
    for path in written:
        assert path.read_bytes() == (DATA / path.name).read_bytes(), path.name


def test_the_set_covers_what_it_should() -> None:
    vectors = load_quantizer()
    assert len(vectors.ids) >= 2000
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 2_000_000
    for dtype in ("float32", "float64"):
        of_dtype = vectors.take(vectors.dtypes == dtype)
        assert set(of_dtype.regimes.tolist()) == set(range(len(REGIMES)))
        kinds = set(zip(of_dtype.windows.tolist(), of_dtype.max_levels.tolist(), strict=True))
        assert {(0, 1), (0, 3), (0, 127), (0, 1023), (3, 1), (5, 127), (7, 3), (255, 127)} <= kinds
        z, q, _ = of_dtype.inputs
        assert np.any((of_dtype.windows > 0) & (np.abs(z / q) % 1 == 0.5))  # exact ties
        assert np.max(np.abs(z / q) / of_dtype.max_levels) > 1e3  # saturated
        tiny = float(np.finfo(dtype).smallest_normal)
        assert np.any(q < tiny)
        assert np.any(of_dtype.inputs[1] > 1e7)
    # float64 inputs are none of float32.
    wide = vectors.take(vectors.dtypes == "float64")
    with np.errstate(over="ignore"):
        narrow = wide.inputs.astype(np.float32).astype(np.float64)
    assert np.mean(np.any(narrow != wide.inputs, axis=0)) > 0.9
    layer = load_layer()
    assert len(layer) >= 12
    assert {vector.subsampling for vector in layer} == {"4:4:4", "4:2:2", "4:2:0"}
    assert {0, 5} <= {vector.window for vector in layer}


def test_no_vector_may_be_answered_in_two_ways() -> None:
    vectors = load_quantizer()
    for dtype in ("float32", "float64"):
        for window in np.unique(vectors.windows[vectors.windows > 0]):
            for level in np.unique(vectors.max_levels[vectors.windows == window]):
                part = vectors.take(
                    (vectors.dtypes == dtype)
                    & (vectors.windows == window)
                    & (vectors.max_levels == level)
                )
                either, _, _ = ambiguous_windows(
                    part.inputs[0],
                    part.inputs[1],
                    max_level=int(level),
                    window=int(window),
                    dtype=dtype,
                )
                assert not either.any()


def test_the_float64_reference_agrees_with_every_vector() -> None:
    """In float64 a quarter of the tolerance: what the judge's own reference uses up."""
    vectors = load_quantizer()
    groups = set(zip(vectors.windows.tolist(), vectors.max_levels.tolist(), strict=True))
    for window, level in groups:
        part = vectors.take((vectors.windows == window) & (vectors.max_levels == level))
        got = np.array(soft_quantize_partials(*part.inputs, max_level=level, window=window or None))
        share = np.where(part.dtypes == "float64", 0.25, 1e-6)
        assert np.all(np.abs(got - part.expected) <= share * part.tolerances), (window, level)


def test_hex_floats_are_short_and_exact() -> None:
    numbers = [0.0, -0.0, 1.0, -1.5, 0.1, 5e-324, 1.7976931348623157e308, 3.0]
    texts = [files.to_hex(number) for number in numbers]
    assert texts[:4] == ["0x0p+0", "-0x0p+0", "0x1p+0", "-0x1.8p+0"]
    assert [files.parse_number(text).hex() for text in texts] == [x.hex() for x in numbers]
    assert files.parse_number("-0x1p+5000") == -np.inf
    assert files.parse_number("1e999") == np.inf


def test_rounding_to_double_is_right_where_numbers_are_subnormal() -> None:
    import mpmath

    with mpmath.workdps(60):
        # 2^-1074 (1 + 2^-1 - 2^-60): rounding to 53 bits first would make it a tie, then 2.
        below = mpmath.ldexp(mpmath.mpf(1.5) - mpmath.ldexp(1, -60), -1074)
        assert generate.nearest_double(below) == 5e-324
        assert generate.nearest_double(-below * 3) == -4 * 5e-324  # of 4.5 - 3/2^60
        assert generate.nearest_double(mpmath.ldexp(mpmath.mpf(3.5), -1074)) == 4 * 5e-324
        assert generate.nearest_double(mpmath.exp(-(10**9))) == 0.0
        third = mpmath.mpf(1) / 3
        assert generate.nearest_double(third) == 1 / 3


def test_one_flipped_digit_is_found(copy: Path) -> None:
    path = copy / files.QUANTIZER_FILE
    lines = path.read_text().splitlines()
    fields = lines[100].split(",")
    column = files.QUANTIZER_COLUMNS.index("dq")
    flipped = float(np.nextafter(files.parse_number(fields[column]), np.inf))
    fields[column] = files.to_hex(flipped)
    lines[100] = ",".join(fields)
    path.write_text("\n".join(lines) + "\n")
    # The checksum tells that something is wrong ...
    found = check_set(copy, sample=0)
    assert [problem.split(":")[0] for problem in found.problems] == [files.QUANTIZER_FILE]
    # ... and where the checksums are made to fit, the recomputation still does.
    import hashlib

    sums = copy / files.SUMS
    old = hashlib.sha256((DATA / files.QUANTIZER_FILE).read_bytes()).hexdigest()
    replace(sums, old, hashlib.sha256(path.read_bytes()).hexdigest())
    assert check_set(copy, sample=0).passed
    # Some of 2,000 vectors; this one among them.
    seed = next(
        seed
        for seed in range(10_000)
        if 99 in np.random.default_rng(seed).permutation(found.total)[:4]
    )
    found = check_set(copy, sample=4, seed=seed)
    assert len(found.problems) == 1
    assert fields[0] in found.problems[0]
    assert files.to_hex(flipped) in found.problems[0]


def test_an_altered_layer_entry_is_found(copy: Path) -> None:
    path = copy / files.LAYER_FILE
    text = path.read_text()
    start = text.index("l01,grad_alpha,1,0,0,")
    end = text.index("\n", start)
    fields = text[start:end].split(",")
    fields[5] = files.to_hex(files.parse_number(fields[5]) * (1 + 2**-52))
    path.write_text(text[:start] + ",".join(fields) + text[end:])
    total = len(load_quantizer().ids) + len(load_layer())
    first = len(load_quantizer().ids)  # position of l01
    seed = next(
        seed
        for seed in range(100_000)
        if np.random.default_rng(seed).permutation(total)[0] == first
    )
    found = check_set(copy, sample=1, seed=seed)
    assert [problem.split(":")[0] for problem in found.problems] == [
        files.LAYER_FILE,
        "l01 grad_alpha",
    ]


@pytest.mark.parametrize("name", [files.QUANTIZER_FILE, files.LAYER_FILE, files.DESCRIPTION])
def test_a_changed_byte_is_found(copy: Path, name: str) -> None:
    path = copy / name
    path.write_bytes(path.read_bytes() + b"\n")
    found = check_set(copy, sample=0)
    assert found.problems == (f"{name}: the checksum differs from that in {files.SUMS}",)


def test_missing_files_and_sums_are_found(copy: Path) -> None:
    (copy / files.SUMS).write_text("")
    problems = check_set(copy, sample=0).problems
    assert len(problems) == 3
    assert all("does not name" in problem for problem in problems)
    (copy / files.SUMS).unlink()
    assert check_set(copy, sample=0).problems == (f"{files.SUMS} is missing",)
    (copy / files.LAYER_FILE).unlink()
    assert any("layer.csv is not there" in p for p in check_set(copy, sample=0).problems)
    (copy / files.DESCRIPTION).unlink()
    with pytest.raises(ValueError, match="name a directory written by"):
        check_set(copy)
    with pytest.raises(ValueError, match="sample must be >= 0, got -1"):
        check_set(sample=-1)


def test_the_format_is_checked(copy: Path) -> None:
    path = copy / files.QUANTIZER_FILE
    lines = path.read_text().splitlines()

    def problems(*changed: str) -> str:
        path.write_text("\n".join(changed) + "\n")
        return "\n".join(check_set(copy, sample=0).problems)

    assert "there are" in problems(*lines[:-1])
    assert "ids are not unique" in problems(*lines, lines[1])
    first = lines[1].split(",")
    assert "unknown regime" in problems(lines[0], ",".join([first[0], "odd", *first[2:]]))
    assert "unknown dtype" in problems(lines[0], ",".join([*first[:2], "half", *first[3:]]))
    assert "not every regime" in problems(*lines[:2])
    assert "fields, there should be" in problems(lines[0], lines[1] + ",1")
    assert "is no number" in problems(lines[0], lines[1][:-3] + "zz")
    assert "the first line must be" in problems("id,z", *lines[1:])
    assert "holds no vectors" in problems(lines[0])
    inexact = [*first[:5], "0x1.0000000000001p+0", *first[6:]]
    assert "not exact in float32" in problems(*lines[:1], ",".join(inexact), *lines[2:])
    infinite = [*first[:8], "inf", *first[9:]]
    assert "not so" in problems(*lines[:1], ",".join(infinite), *lines[2:])


def test_the_layer_format_is_checked(copy: Path) -> None:
    path = copy / files.LAYER_FILE
    lines = path.read_text().splitlines()

    def problem(*changed: str) -> str:
        path.write_text("\n".join(changed) + "\n")
        return check_set(copy, sample=0).problems[-1]

    assert "entries of l01 are missing" in problem(lines[0], *lines[2:])
    assert "unknown id or array" in problem(lines[0], "l99" + lines[1][3:])
    assert "unknown id or array" in problem(lines[0], "l01,picture,0,0,0,0x1p+0,,")
    assert "has shape (3, 1, 1)" in problem(lines[0], "l01,image,0,0,1,0x1p+0,,")


def test_the_description_is_checked(copy: Path) -> None:
    path = copy / files.DESCRIPTION
    about = json.loads(path.read_text())
    assert set(about["quantizer"]["columns"]) == set(files.QUANTIZER_COLUMNS)
    assert set(about["layer"]["columns"]) == set(files.LAYER_COLUMNS)
    assert set(about["quantizer"]["regimes"]) == set(REGIMES)
    path.write_text(json.dumps(about | {"schema": 99}))
    with pytest.raises(ValueError, match="schema must be 1, got 99"):
        check_set(copy)
    path.write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        check_set(copy)
