"""Where Triton kernels can run here: under the interpreter (CPU tensors), or compiled on CUDA.

The interpreter is chosen when Triton is first imported: `TRITON_INTERPRET=1 pytest ...`, which is
what `tox -e triton` does. Without it the CPU half of the tests is skipped, with it the CUDA half.
"""

from __future__ import annotations

import os

import pytest
import torch
from torch import Tensor

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

#: Parameters for a fixture or argument `device`.
DEVICES = [
    pytest.param(
        "cpu",
        marks=pytest.mark.skipif(
            not INTERPRETED, reason="set TRITON_INTERPRET=1 to run Triton kernels on the CPU"
        ),
    ),
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(INTERPRETED, reason="TRITON_INTERPRET=1 interprets, not compiles"),
        ],
    ),
]

#: The interpreter computes with NumPy, which warns where a GPU overflows to inf in silence.
ignore_numpy_warnings = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def assert_rounded(half: Tensor, wide: Tensor) -> None:
    """`half` is `wide` rounded to its dtype.

    The interpreter of Triton 3.6 cuts float32 to bfloat16 instead of rounding: one unit there.
    """
    expected = wide.to(half.dtype)
    if INTERPRETED and half.dtype == torch.bfloat16:
        units = torch.finfo(half.dtype).eps * expected.float().abs()
        assert bool(((half.float() - expected.float()).abs() <= units).all())
    else:
        assert torch.equal(half, expected)
