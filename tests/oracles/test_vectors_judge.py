"""Judging by the golden vectors: sound implementations pass, faults and bad files do not."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oracles.mutants.quantizer import MUTANTS
from oracles.mutants.quantizer_more import MORE_MUTANTS
from oracles.mutants.sound import SOUND, rounded_reference
from oracles.subject import OUTPUTS
from oracles.vectors import (
    DATA,
    load_quantizer,
    verify_layer_vectors,
    verify_results,
    verify_vectors,
)
from oracles.vectors.tables import to_hex
from reference.jpeg_layer import jpeg_layer, jpeg_layer_vjp

FAULTS = MUTANTS | MORE_MUTANTS
# Faults that no single call on a plain one-dimensional array shows.
NOT_SHOWN = {"another last bit on each call"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SOUND)
def test_sound_implementations_are_accepted(name: str, dtype: str) -> None:
    for window in (None, 3, 5, 7, 255):
        if name == "constant cost" and window is not None:
            continue
        report = verify_vectors(SOUND[name](window), window=window, dtype=dtype)
        report.raise_if_failed()
        # Half of the tolerance stays in reserve, as for the drawn inputs.
        assert report.worst < 0.5


@pytest.mark.parametrize(
    ("name", "window"),
    [(name, window) for name, mutant in FAULTS.items() for window in mutant.windows],
)
def test_faults_are_rejected(name: str, window: int | None) -> None:
    mutant = FAULTS[name]
    report = verify_vectors(mutant.factory(window), window=window, dtype=mutant.dtype)
    assert report.passed == (name in NOT_SHOWN)


def test_the_place_of_an_error_is_named() -> None:
    def fn(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        results = rounded_reference(None)(z, q, alpha, max_level)
        results[2][z == wrong] += 1.0
        return results

    vectors = load_quantizer()
    chosen = (vectors.windows == 0) & (vectors.dtypes == "float32") & (vectors.max_levels == 127)
    part = vectors.take(chosen)
    wrong = part.inputs[0, 11]

    report = verify_vectors(fn)
    (check,) = report.failures
    # Twice: forwards and backwards.
    assert (check.evidence, check.output, check.failed) == ("vectors", "dq", 2)
    assert check.where is not None
    assert check.where.inputs["id"] == part.ids[11]
    assert check.where.inputs["z"] == wrong
    assert check.where.units == pytest.approx(1 / part.tolerances[2, 11], rel=1e-3)
    assert to_hex(wrong).split("p")[0] in str(check)


def test_a_function_that_breaks_the_contract_is_rejected() -> None:
    report = verify_vectors(lambda z, q, alpha, max_level: (z, q))
    assert [check.evidence for check in report.failures] == ["contract"]
    report = verify_layer_vectors(lambda *_: lambda *arrays: arrays)
    assert not report.passed


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"window must be None or one of \[3, 5, 7, 255\]"):
        verify_vectors(rounded_reference(9), window=9)
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64', got 'float16'"):
        verify_vectors(rounded_reference(None), dtype="float16")
    with pytest.raises(ValueError, match="dtype must be"):
        verify_layer_vectors(reference_layer, dtype=None)
    with pytest.raises(TypeError, match="the function must be callable as fn"):
        verify_vectors(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is not there"):
        verify_vectors(rounded_reference(None), directory=tmp_path)


def reference_layer(subsampling: str, window: int | None) -> Any:
    def fn(image: Any, q: Any, alpha: Any, grad_output: Any, max_level: int) -> Any:
        wide = [array.astype(np.float64) for array in (image, q, alpha, grad_output)]
        options: dict[str, Any] = {
            "max_level": max_level,
            "window": window,
            "subsampling": subsampling,
            "compiled": True,
        }
        output = jpeg_layer(*wide[:3], **options)
        results = (output, *jpeg_layer_vjp(*wide, **options))
        return tuple(result.astype(image.dtype) for result in results)

    return fn


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_reference_layer_is_accepted(dtype: str) -> None:
    report = verify_layer_vectors(reference_layer, dtype=dtype)
    report.raise_if_failed()
    assert len({check.regime for check in report.checks}) >= 12


def faulty_layer(fault: str) -> Any:
    def make(subsampling: str, window: int | None) -> Any:
        right = reference_layer(subsampling, window)

        def fn(image: Any, q: Any, alpha: Any, grad_output: Any, max_level: int) -> Any:
            if fault == "transposed tables":
                q = q.swapaxes(1, 2).copy()
            if fault == "chroma by the luma table":
                q = np.stack([q[0], q[0]])
            results = right(image, q, alpha, grad_output, max_level)
            if fault == "level shift":
                results[0][...] += 0.5
            if fault == "half of grad_alpha":
                results[3][...] *= 0.5
            return results

        return fn

    return make


@pytest.mark.parametrize(
    "fault",
    ["transposed tables", "chroma by the luma table", "level shift", "half of grad_alpha"],
)
def test_faulty_layers_are_rejected(fault: str) -> None:
    report = verify_layer_vectors(faulty_layer(fault))
    assert not report.passed
    where = next(check.where for check in report.failures if check.where is not None)
    assert str(where.inputs["id"]).startswith("l")


def results_file(path: Path, *, share: float = 0.5, form: str = "hex") -> list[str]:
    """Results off by a share of the tolerance, give or take a rounding of theirs."""
    vectors = load_quantizer()
    numbers = vectors.expected + share * vectors.tolerances
    write = to_hex if form == "hex" else "{:.17g}".format
    lines = ["id,value,dz,dq,dalpha"]
    for i, name in enumerate(vectors.ids):
        lines.append(",".join([name, *(write(float(x)) for x in numbers[:, i])]))
    path.write_text("\n".join(lines) + "\n")
    return lines


@pytest.mark.parametrize("form", ["hex", "decimal"])
def test_a_file_of_results_is_accepted_up_to_the_tolerance(tmp_path: Path, form: str) -> None:
    path = tmp_path / "results.csv"
    results_file(path, share=0.9, form=form)
    report = verify_results(path)
    report.raise_if_failed()
    # Tolerances of a few units in the last place round 0.9 of themselves up to 1.
    assert 0.9 <= report.worst <= 1
    assert not report.notes
    results_file(path, share=1.1, form=form)
    report = verify_results(path)
    assert {check.output for check in report.failures} == set(OUTPUTS)


def test_order_of_lines_and_windows_line_ends_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    lines = results_file(path)
    path.write_bytes("\r\n".join([lines[0], *reversed(lines[1:]), ""]).encode("utf-8-sig"))
    verify_results(path).raise_if_failed()


def test_what_is_missing_from_a_file_of_results_is_told(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    lines = results_file(path)
    vectors = load_quantizer()
    narrow = vectors.take(vectors.dtypes == "float32").ids
    path.write_text("\n".join([lines[0], *(line for line in lines if line[:5] in narrow)]))
    report = verify_results(path)
    report.raise_if_failed()
    assert all("no results for float64" in note for note in report.notes)
    # One of a group that is there.
    path.write_text("\n".join([*lines[:20], *lines[21:]]))
    report = verify_results(path)
    (check,) = report.failures
    assert check.evidence == "contract"
    assert "1 of 75 results for float32, all levels, max_level 1 are missing: q0020" in str(check)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999"])
def test_what_is_not_finite_is_rejected(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.csv"
    lines = results_file(path)
    lines[7] = ",".join([*lines[7].split(",")[:4], text])
    path.write_text("\n".join(lines))
    (check,) = verify_results(path).failures
    assert check.output == "dalpha"
    assert check.worst == float("inf")
    assert check.where is not None
    assert check.where.inputs["id"] == "q0007"


def test_files_that_cannot_be_read_are_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    lines = results_file(path)[:5]

    def refuse(match: str, *changed: str) -> None:
        path.write_text("\n".join(changed))
        with pytest.raises(ValueError, match=match):
            verify_results(path)

    refuse("unknown id 'q9999'", *lines, "q9999" + lines[1][5:])
    refuse("line 6: id 'q0002' was there in line 3", *lines, lines[2])
    refuse("line 2: dz is 'abc', which is no number", lines[0], "q0001,1,abc,1,1")
    refuse("line 2: 4 fields, there should be 5", lines[0], "q0001,1,1,1")
    refuse("the first line must be 'id,value,dz,dq,dalpha'", "id,value,dz,dalpha,dq", *lines[1:])
    refuse("holds no results", lines[0])
    refuse("the first line must be", "")
    with pytest.raises(ValueError, match="is not there"):
        verify_results(tmp_path / "none.csv")


def test_a_c_program_reads_the_vectors_and_writes_results(tmp_path: Path) -> None:
    """The program of docs/vectors.md, compiled and run: a double softmax over all levels."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    page = (Path(__file__).parents[2] / "docs/vectors.md").read_text()
    source = tmp_path / "quantizer.c"
    source.write_text(page.split("```c\n")[1].split("```")[0])
    program = tmp_path / "quantizer"
    subprocess.run([compiler, "-O1", "-o", program, source, "-lm"], check=True, timeout=60)
    results = tmp_path / "results.csv"
    with results.open("w") as out:
        vectors = DATA / "quantizer.csv"
        subprocess.run([program, vectors], stdout=out, check=True, timeout=60)
    report = verify_results(results)
    report.raise_if_failed()
    judged = {check.regime for check in report.checks if check.evidence == "vectors"}
    assert len(judged) == 15
    # And a program that is wrong is found out.
    source.write_text(source.read_text().replace("-alpha *", "-0.5 * alpha *"))
    subprocess.run([compiler, "-O1", "-o", program, source, "-lm"], check=True, timeout=60)
    with results.open("w") as out:
        subprocess.run([program, vectors], stdout=out, check=True, timeout=60)
    assert not verify_results(results).passed
