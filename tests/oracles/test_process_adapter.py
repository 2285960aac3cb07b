"""Programs as functions under test: the file exchange, what goes wrong, the example in C."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.jax_like import soft_quantize, soft_quantize_5
from oracles import ContractError, process_function, verify_soft_quantizer

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "soft_quantizer.c"
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
X = np.array([1.0, 2.5, -3.0], np.float32)


def program(folder: Path, body: str) -> list[str]:
    """A program in Python; ``sent`` and ``received`` are its two files."""
    path = folder / "program.py"
    path.write_text(
        "import sys, os, time, subprocess\nimport numpy as np\n"
        f"sent, received = sys.argv[-2:]\n{body}\n"
    )
    return [sys.executable, str(path)]


@pytest.mark.parametrize(
    ("contract", "inputs", "outputs"),
    [
        ("quantizer", ("z", "q", "alpha"), ("value", "dz", "dq", "dalpha")),
        ("cpmf", ("z", "q", "alpha"), ("levels", "probabilities")),
        ("cubic", ("z", "q"), ("value", "dz", "dq")),
        ("uniform_noise", ("z", "q", "noise"), ("value", "dz", "dq")),
        (
            "layer",
            ("image", "q", "alpha", "grad_output"),
            ("output", "grad_image", "grad_q", "grad_alpha"),
        ),
    ],
)
def test_arrays_travel_by_name(
    tmp_path: Path, contract: str, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> None:
    kept = tmp_path / "kept.npz"
    # Each output says which one it is; in an order that is not that of the contract.
    body = (
        f"os.system(f'cp {{sent}} {kept}')\n"
        f"names = {outputs!r}\n"
        "np.savez_compressed(received, extra=1, "
        "**{n: np.full(2, float(i)) for i, n in reversed(list(enumerate(names)))})"
    )
    fn = process_function(program(tmp_path, body), contract=contract, window=5, subsampling="4:2:0")
    arrays = [np.arange(3, dtype=np.float64) + i for i in range(len(inputs))]
    arrays[0] = np.arange(6.0)[::2]
    out = fn(*arrays, 127)
    assert [part[0] for part in out] == list(range(len(outputs)))

    with np.load(kept, allow_pickle=False) as sent:
        scalars = {"max_level": 127, "window": 5}
        if contract == "layer":
            scalars["subsampling"] = 420
        assert set(sent.files) == {*inputs, *scalars}
        for name, array in zip(inputs, arrays, strict=True):
            assert sent[name].dtype == np.float64
            np.testing.assert_array_equal(sent[name], array)
        for name, number in scalars.items():
            assert (sent[name].dtype, sent[name].shape, sent[name][()]) == (np.int64, (), number)
    # What a reader in C relies on: stored, sizes in the local headers, no gaps.
    data = kept.read_bytes()
    at = 0
    with zipfile.ZipFile(kept) as archive:
        for member in archive.infolist():
            assert (member.compress_type, member.header_offset) == (zipfile.ZIP_STORED, at)
            assert data[at + 6 : at + 10] == b"\0\0\0\0"
            assert int.from_bytes(data[at + 18 : at + 22], "little") == member.file_size
            at += 30 + len(member.filename) + member.file_size
            assert int.from_bytes(data[member.header_offset + 28 :][:2], "little") == 0
    assert data[at : at + 4] == b"PK\x01\x02"


SAVE = "np.savez(received, value=a, dz=a, dq=a, dalpha=a)"
BROKEN = {
    "fails": ("sys.exit('no such kernel')", "exit code 1: no such kernel"),
    "fails silently": ("sys.exit(7)", "exit code 7: nothing on stderr"),
    "crashes": ("os.kill(os.getpid(), 11)", "signal 11"),
    "writes nothing": ("pass", "wrote no output.npz"),
    "writes text": ("open(received, 'w').write('0.5 0.5')", "cannot read output.npz: "),
    "writes an empty file": ("open(received, 'w')", "cannot read output.npz: EOFError"),
    "lacks an array": (
        "np.savez(received, value=np.ones(3), dz=np.ones(3))",
        "output.npz lacks 'dq'; it holds value, dz",
    ),
    "writes one array": (
        "np.save(open(received, 'wb'), np.ones(3))",
        "output.npz is one array, not an archive",
    ),
    "is cut off": (
        f"a = np.ones(900)\n{SAVE}\nb = open(received, 'rb').read()\n"
        "open(received, 'wb').write(b[:len(b) // 2])",
        "cannot read output.npz: BadZipFile",
    ),
    "is damaged": (
        f"a = np.ones(900)\n{SAVE}\nb = bytearray(open(received, 'rb').read())\n"
        "b[2000] ^= 1\nopen(received, 'wb').write(b)",
        "cannot read output.npz: BadZipFile: Bad CRC-32",
    ),
    "writes objects": (
        f"a = np.array([1, 'x', None], dtype=object)\n{SAVE}",
        "cannot read output.npz: ValueError: Object arrays cannot be loaded",
    ),
    "wrong shape": (f"a = np.ones(2)\n{SAVE}", "value has shape (2,)"),
    "wrong dtype": (
        f"a = np.zeros(np.load(sent)['z'].shape, dtype=int)\n{SAVE}",
        "value has dtype int64",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_program_is_a_failed_report(tmp_path: Path, name: str) -> None:
    body, message = BROKEN[name]
    report = verify_soft_quantizer(process_function(program(tmp_path, body)))
    assert report.evidence(failed=True) == ("contract",)
    assert message in str(report)


def test_a_program_that_is_not_there_or_cannot_be_run(tmp_path: Path) -> None:
    report = verify_soft_quantizer(process_function("no-such-program --fast"))
    assert "cannot start 'no-such-program'" in str(report)
    file = tmp_path / "data"
    file.write_text("")
    report = verify_soft_quantizer(process_function([str(file)]))
    assert not report.passed
    assert "cannot start" in str(report)
    assert "Permission denied" in str(report)


def test_a_hanging_program_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    file = tmp_path / "child"
    body = (
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(file)!r}, 'w').write(str(child.pid))\ntime.sleep(600)"
    )
    fn = process_function(program(tmp_path, body), timeout=3.0)
    start = time.monotonic()
    report = verify_soft_quantizer(fn)
    assert time.monotonic() - start < 60
    assert "did not end within 3 s and was killed" in str(report)
    assert _ends(int(file.read_text()))


def test_what_a_program_leaves_running_is_killed(tmp_path: Path) -> None:
    """And does not hold up the call, although it has inherited its stdout."""
    file = tmp_path / "child"
    body = (
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(file)!r}, 'w').write(str(child.pid))\na = np.ones(3)\n{SAVE}"
    )
    out = process_function(program(tmp_path, body), timeout=60.0)(X, X, X, 3)
    assert [part.tolist() for part in out] == [[1.0] * 3] * 4
    assert _ends(int(file.read_text()))


def _ends(pid: int) -> bool:
    """True when the process is gone, or is a zombie that nobody has asked for."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat")
            if state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"command": ""}, TypeError, "command must be a program and its arguments, got ''"),
        ({"command": ["x", 3]}, TypeError, "command must be"),
        ({"command": "x", "timeout": 0}, ValueError, "timeout must be > 0 seconds, got 0"),
        ({"command": "x", "timeout": "9"}, TypeError, "timeout must be a number of seconds"),
        ({"command": "x", "timeout": float("nan")}, ValueError, "timeout must be > 0"),
        ({"command": "x", "contract": "codec"}, ValueError, "one of quantizer, cpmf, layer"),
        ({"command": "x", "subsampling": "4:1:1"}, ValueError, "subsampling must be 4:4:4"),
    ],
)
def test_wrong_arguments_of_the_adapter(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        process_function(**arguments)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if COMPILER is None or sys.byteorder != "little":
        pytest.skip("needs a C compiler and a little-endian machine")
    folder = tmp_path_factory.mktemp("c")

    def make(*options: str) -> str:
        path = folder / "-".join(["quantizer", *options])
        strict = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
        command = [COMPILER, *strict, *options, "-o", str(path), str(EXAMPLE), "-lm"]
        subprocess.run(command, check=True, capture_output=True)
        return str(path)

    return make


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("window", [None, 5])
def test_the_example_in_c_passes(build: Any, window: int | None, dtype: str) -> None:
    fn = process_function([build()], window=window)
    verify_soft_quantizer(fn, window=window, dtype=dtype).raise_if_failed()


@pytest.mark.parametrize("window", [None, 5])
def test_the_example_in_c_with_a_fault_is_rejected(build: Any, window: int | None) -> None:
    fn = process_function([build("-DFAULT")], window=window)
    report = verify_soft_quantizer(fn, window=window)
    assert {"reference", "differences", "burgers"} <= set(report.evidence(failed=True))
    failed = {check.output for check in report.failures if check.evidence == "reference"}
    assert failed == {"dq", "dalpha"}


def test_the_example_in_c_says_what_it_cannot_read(build: Any, tmp_path: Path) -> None:
    fn = process_function([build()])
    for arrays, message in (
        ((X, X[:2], X), "z, q and alpha differ in length"),
        ((X.astype(np.int32), X, X), "unknown type of z.npy"),
    ):
        with pytest.raises(ContractError, match=message):
            fn(*arrays, 3)
    compressed = tmp_path / "c.npz"
    np.savez_compressed(compressed, z=X, q=X, alpha=X)
    for arguments, message in (
        ([], "usage"),
        ([str(tmp_path / "none"), "x"], "cannot open"),
        ([str(EXAMPLE), "x"], "the archive lacks z.npy"),
        ([str(compressed), "x"], "z.npy"),
    ):
        done = subprocess.run([build(), *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert message in done.stderr


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_example_in_numpy_passes(dtype: str) -> None:
    report = verify_soft_quantizer(soft_quantize, dtype=dtype, broadcast=True)
    report.raise_if_failed()
    report = verify_soft_quantizer(soft_quantize_5, window=5, dtype=dtype, broadcast=True)
    report.raise_if_failed()
    assert not verify_soft_quantizer(soft_quantize, window=5, dtype=dtype).passed
