"""A program as a function under test: inputs and outputs travel as ``.npz`` files."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import signal
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracles.contract import ContractError

__all__ = ["process_function"]


class _Contract(NamedTuple):
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


_POINT = ("z", "q", "alpha")
_STEP = ("value", "dz", "dq")
_CONTRACTS = {
    "quantizer": _Contract(_POINT, ("value", "dz", "dq", "dalpha")),
    "cpmf": _Contract(_POINT, ("levels", "probabilities")),
    "layer": _Contract(
        ("image", "q", "alpha", "grad_output"), ("output", "grad_image", "grad_q", "grad_alpha")
    ),
    "uniform_noise": _Contract(("z", "q", "noise"), _STEP),
    "cubic": _Contract(("z", "q"), _STEP),
    "straight_through": _Contract(("z", "q"), _STEP),
    "hard": _Contract(("z", "q"), _STEP),
}
# Characters of what a failed program wrote to stderr.
_TAIL = 600
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    MemoryError,
    OverflowError,
    NotImplementedError,  # a compression method that Python lacks
    zipfile.BadZipFile,
    zlib.error,
)


def process_function(
    command: str | Sequence[str],
    *,
    timeout: float = 60.0,
    contract: str = "quantizer",
    window: int | None = None,
    subsampling: str = "4:4:4",
) -> Callable[..., Any]:
    """Adapt a program; it runs once per call, as ``command... input.npz output.npz``.

    A verdict takes some 80 calls for the quantizer and 55 for the CPMF.

    ``input.npz`` is a zip archive of ``.npy`` files (version 1.0, little-endian, C order) that
    are stored, not compressed, each with its size in its local header, so that a program can
    read it from front to back. It holds the inputs by name (``z``, ``q``, ``alpha``; for the
    layer ``image``, ``q``, ``alpha``, ``grad_output``; for a baseline ``z``, ``q`` and, with noise,
    ``noise``), in the dtype under test, and the scalars
    (int64, shape ()) ``max_level`` and ``window``, 0 for all levels; for the layer also
    ``subsampling``: 444, 422 or 420. ``output.npz``, compressed or not, has to hold the outputs
    by name (``value``, ``dz``, ``dq`` and, but for baselines, ``dalpha``; ``levels``,
    ``probabilities``; or ``output``, ``grad_image``, ``grad_q``, ``grad_alpha``).
    ``examples/soft_quantizer.c`` is such a program.

    Parameters
    ----------
    command : str or sequence of str
        Program and its first arguments; a string is split as a shell would.
    timeout : float
        Seconds that one call may take. Then the program and what it started are killed.
    contract : str
        Names of the arrays: "quantizer", "cpmf", "layer", or one of the baselines
        "uniform_noise", "cubic", "straight_through" and "hard".
    window : int, optional
        Support that the program is asked for.
    subsampling : {"4:4:4", "4:2:2", "4:2:0"}
        Chroma subsampling that a layer is asked for.

    Returns
    -------
    callable
        For the ``verify_*`` function of that contract. A program that cannot be started, fails,
        hangs or writes no fitting file gets a failed report.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of those described.
    """
    words = shlex.split(command) if isinstance(command, str) else list(command)
    if not words or not all(isinstance(word, str | os.PathLike) for word in words):
        raise TypeError(f"command must be a program and its arguments, got {command!r}")
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout must be a number of seconds, got {timeout!r}")
    if not timeout > 0:
        raise ValueError(f"timeout must be > 0 seconds, got {timeout}")
    if contract not in _CONTRACTS:
        raise ValueError(f"contract must be one of {', '.join(_CONTRACTS)}, got {contract!r}")
    if subsampling not in ("4:4:4", "4:2:2", "4:2:0"):
        raise ValueError(f"subsampling must be 4:4:4, 4:2:2 or 4:2:0, got {subsampling!r}")
    inputs, outputs = _CONTRACTS[contract]
    scalars = {"window": window or 0}
    if contract == "layer":
        scalars["subsampling"] = int(subsampling.replace(":", ""))

    def fn(*arguments: Any) -> Any:
        *arrays, max_level = arguments
        members = dict(zip(inputs, arrays, strict=True))
        for name, number in {"max_level": max_level, **scalars}.items():
            members[name] = np.array(number, dtype=np.int64)
        with tempfile.TemporaryDirectory(prefix="oracle-") as folder:
            sent, received = Path(folder, "input.npz"), Path(folder, "output.npz")
            _write(sent, members)
            _run([*map(str, words), str(sent), str(received)], Path(folder), timeout)
            return _read(received, outputs)

    return fn


def _write(path: Path, members: dict[str, NDArray[Any]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            data = io.BytesIO()
            little = array.astype(array.dtype.newbyteorder("<"))
            np.lib.format.write_array(data, little, version=(1, 0), allow_pickle=False)
            # In one piece: its size is known when the local header is written.
            archive.writestr(f"{name}.npy", data.getvalue())


def _run(words: list[str], folder: Path, timeout: float) -> None:
    """Run the program in a process group of its own, which does not outlive the call."""
    # Files instead of pipes: a child that is left behind would keep a pipe open.
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise ContractError(f"cannot start {words[0]!r}: {error}") from error
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ContractError(
                f"{words[0]!r} did not end within {timeout:g} s and was killed"
            ) from None
        finally:
            _kill(process)
    if code != 0:
        said = (folder / "stderr").read_bytes().decode(errors="replace").strip()[-_TAIL:]
        ending = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise ContractError(f"{words[0]!r} ended with {ending}: {said or 'nothing on stderr'}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:  # pragma: no cover - other systems have no process groups
        process.kill()
    process.wait()


def _read(path: Path, outputs: tuple[str, ...]) -> tuple[NDArray[Any], ...]:
    if not path.exists():
        raise ContractError(f"the program wrote no {path.name} (its last argument)")
    try:
        # Opened here: np.load leaves a damaged archive open.
        with path.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ContractError(f"{path.name} is one array, not an archive of arrays by name")
            for name in outputs:
                if name not in archive:
                    found = ", ".join(archive.files) or "nothing"
                    raise ContractError(f"{path.name} lacks {name!r}; it holds {found}")
            return tuple(np.asarray(archive[name]) for name in outputs)
    except _UNREADABLE as error:
        raise ContractError(f"cannot read {path.name}: {type(error).__name__}: {error}") from error
