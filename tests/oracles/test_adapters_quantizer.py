"""The torch adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import oracles
from oracles import torch_soft_quantizer, verify_soft_quantizer
from oracles.cli.verify_command import resolve

SOURCE = """
import torch

def _levels(z, q, max_level, window):
    if window is None:
        return torch.arange(-max_level, max_level + 1, dtype=z.dtype).expand(z.numel(), -1)
    near = torch.clamp(torch.floor(z / q + 0.5), -max_level, max_level).detach()
    first = torch.clamp(near - window // 2, -max_level, max_level - window + 1)
    return first[:, None] + torch.arange(window, dtype=z.dtype)

def right(z, q, alpha, *, max_level, window):
    z, q, alpha = z.double(), q.double(), alpha.double()
    v = _levels(z, q, max_level, window) * q[:, None]
    return (torch.softmax(-alpha[:, None] * (z[:, None] - v) ** 2, 1) * v).sum(1)

def wrong(z, q, alpha, *, max_level, window):
    return right(z, q.detach(), alpha, max_level=max_level, window=window)

def constant(z, q, alpha, *, max_level, window):
    return torch.zeros_like(z)

number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = "quantizers_to_judge"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    return name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("window", [None, 5])
def test_a_torch_function_is_judged_through_autograd(
    module: str, dtype: str, window: int | None
) -> None:
    right, wrong = resolve(f"{module}:right"), resolve(f"{module}:wrong")
    fn = torch_soft_quantizer(right, window=window, dtype=dtype)
    verify_soft_quantizer(fn, window=window, dtype=dtype).raise_if_failed()
    fn = torch_soft_quantizer(wrong, window=window, dtype=dtype)
    report = verify_soft_quantizer(fn, window=window, dtype=dtype)
    failed = {check.output for check in report.failures if check.evidence == "reference"}
    assert failed == {"dq"}  # detached: its gradient is 0, not an error


def test_the_adapter_hands_over_the_dtype_and_widens_bfloat16() -> None:
    seen = []

    def function(z: Any, q: Any, alpha: Any, *, max_level: int, window: int | None) -> Any:
        seen.append((z.dtype, max_level, window, z.requires_grad))
        return z * q * alpha

    x = np.array([1.0, 2.0], np.float32)
    out = torch_soft_quantizer(function, window=3, dtype="bfloat16")(x, x, x, 7)
    assert seen == [(torch.bfloat16, 7, 3, True)]
    assert [part.dtype for part in out] == [np.float32] * 4
    assert [part.tolist() for part in out] == [[1.0, 8.0]] + [[1.0, 4.0]] * 3


def test_an_output_without_gradient_is_a_failed_report(module: str) -> None:
    fn = torch_soft_quantizer(resolve(f"{module}:constant"))
    report = verify_soft_quantizer(fn)
    assert report.evidence(failed=True) == ("contract",)
    assert "does not require grad" in str(report)


def test_wrong_arguments_of_the_adapter() -> None:
    with pytest.raises(TypeError, match="function must be callable"):
        torch_soft_quantizer(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"dtype must be .* got 'int8'"):
        torch_soft_quantizer(lambda: None, dtype="int8")


def test_torch_is_imported_lazily() -> None:
    """Whoever judges NumPy or C++ needs no torch."""
    import subprocess
    import sys

    code = (
        "import sys, oracles, oracles.cli.verify_command; from oracles import *; "
        "sys.exit('torch' in sys.modules or 'torch_impl' in sys.modules)"
    )
    root = Path(oracles.__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
