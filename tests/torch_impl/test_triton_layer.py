"""The Triton layer kernels against the reference layer: interpreted, or compiled on CUDA."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from oracles.layer.bounds import layer_bounds
from reference.jpeg_layer import jpeg_layer, jpeg_layer_vjp
from reference.standard import SUBSAMPLINGS
from tests.torch_impl._triton_devices import (
    DEVICES,
    INTERPRETED,
    assert_rounded,
    ignore_numpy_warnings,
)

pytest.importorskip("triton", reason="Triton is not installed")
from torch_impl.kernels import triton_layer

pytestmark = ignore_numpy_warnings
ALL = [True] * 3


@pytest.fixture(scope="module", params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return request.param


class Case(NamedTuple):
    image: Tensor
    q: Tensor
    alpha: Tensor
    grad: Tensor

    def numpy(self) -> list[Any]:
        return [t.cpu().double().numpy() for t in self]


def make_case(
    size: tuple[int, ...], device: str, *, rounds: int = 1, hbar: float = 3.0, seed: int = 0
) -> Case:
    """Noise, tables with steps 0.5 to 50, and h within a factor of 10 of `hbar`."""
    rng = np.random.default_rng(seed)
    shape = (rounds, 2, 8, 8)
    q = 10 ** rng.uniform(-0.3, 1.7, shape)
    alpha = hbar * 10 ** rng.uniform(-1, 1, shape) / q**2
    arrays = (rng.uniform(0, 255, size), q, alpha, rng.normal(size=size))
    return Case(*(torch.tensor(a, dtype=torch.float32, device=device) for a in arrays))


# Sizes: single pixel, odd sizes within and across blocks, more blocks than a program of either
# direction holds (18 > 16), and whole MCUs. Windows and rounds take turns.
CASES = [
    ((2, 3, 1, 1), 1, None),
    ((1, 3, 7, 9), 2, 5),
    ((2, 3, 17, 23), 1, None),
    ((1, 3, 16, 32), 3, None),
]


@pytest.mark.parametrize("subsampling", sorted(SUBSAMPLINGS))
@pytest.mark.parametrize(("size", "rounds", "window"), CASES)
def test_output_and_gradients_are_those_of_the_reference(
    device: str, size: tuple[int, ...], rounds: int, window: int | None, subsampling: str
) -> None:
    case = make_case(size, device, rounds=rounds)
    factors = SUBSAMPLINGS[subsampling]
    max_level = 20  # within reach of the coefficients: some saturate, most do not
    options = (max_level, window or 0, *factors)
    # Outputs are allocated full of NaN (see conftest): an unwritten pixel cannot pass.
    output = triton_layer.encode_decode(*case[:3], *options)
    gradients = triton_layer.encode_decode_backward(case.grad, *case[:3], *options, ALL)

    image, q, alpha, grad = case.numpy()
    keywords: dict[str, Any] = {
        "max_level": max_level,
        "window": window,
        "subsampling": subsampling,
    }
    expected = jpeg_layer(image, q, alpha, **keywords, compiled=True)
    expected_gradients = jpeg_layer_vjp(image, q, alpha, grad, **keywords, compiled=True)
    bounds = layer_bounds(image, q, alpha, grad, **keywords, dtype="float32")
    for name, got, want, bound in zip(
        ("output", "image gradient", "q gradient", "alpha gradient"),
        (output, *gradients),
        (expected, *expected_gradients),
        (bounds.output, *bounds.gradients),
        strict=True,
    ):
        error = np.abs(got.cpu().double().numpy() - want)
        assert (error <= bound).all(), f"{name}: {(error / bound).max():.3g} times the bound"


@pytest.mark.parametrize(
    ("subsampling", "dtype"),
    [("4:4:4", torch.float16), ("4:4:4", torch.bfloat16), ("4:2:0", torch.bfloat16)],
)
def test_half_precision_images_compute_in_float32(
    device: str, dtype: torch.dtype, subsampling: str
) -> None:
    case = make_case((1, 3, 9, 7), device)
    options = (127, 5, *SUBSAMPLINGS[subsampling])
    image, grad = case.image.to(dtype), case.grad.to(dtype)
    tables = (case.q, case.alpha)
    output = triton_layer.encode_decode(image, *tables, *options)
    assert output.dtype == dtype
    assert_rounded(output, triton_layer.encode_decode(image.float(), *tables, *options))
    half = triton_layer.encode_decode_backward(grad, image, *tables, *options, ALL)
    wide = triton_layer.encode_decode_backward(grad.float(), image.float(), *tables, *options, ALL)
    assert torch.equal(half[1], wide[1])
    assert torch.equal(half[2], wide[2])
    if subsampling == "4:4:4":
        assert_rounded(half[0], wide[0])
    else:
        # Padding is folded back after the kernel: the edge sums up to 16 rounded numbers.
        slack = 16 * torch.finfo(dtype).eps * wide[0].abs().max()
        assert (half[0].float() - wide[0]).abs().max() <= slack


def test_nan_stays_in_its_block(device: str) -> None:
    case = make_case((2, 3, 24, 24), device)
    case.image[1, 2, 9, 10] = np.nan
    output = triton_layer.encode_decode(*case[:3], 127, 0, 1, 1)
    where = torch.zeros_like(output, dtype=torch.bool)
    where[1, :, 8:16, 8:16] = True
    assert torch.equal(output.isnan(), where)
    grad = triton_layer.encode_decode_backward(case.grad, *case[:3], 127, 0, 1, 1, ALL)[0]
    assert torch.equal(grad.isnan(), where)


def test_nan_reaches_one_chroma_sample_beyond_its_mcu(device: str) -> None:
    case = make_case((1, 3, 48, 48), device)
    case.image[0, 0, 20, 20] = np.nan
    output = triton_layer.encode_decode(*case[:3], 127, 0, 2, 2)
    where = torch.zeros_like(output, dtype=torch.bool)
    where[:, :, 15:33, 15:33] = True  # MCU 16..31; its chroma reaches one pixel further
    assert torch.equal(output.isnan(), where)


@pytest.mark.parametrize("factors", sorted(SUBSAMPLINGS.values()))
def test_far_outside_of_the_range_nothing_is_nan(device: str, factors: tuple[int, int]) -> None:
    case = make_case((1, 3, 16, 16), device, hbar=0.7)
    image = case.image * 1e7
    output = triton_layer.encode_decode(image, *case[1:3], 15, 0, *factors)
    gradients = triton_layer.encode_decode_backward(
        case.grad, image, *case[1:3], 15, 0, *factors, ALL
    )
    for result in (output, *gradients):
        assert result.isfinite().all()


@pytest.mark.parametrize("factors", [(1, 1), (1, 2)])
@pytest.mark.parametrize("wanted", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_only_the_wanted_gradients(
    device: str, wanted: tuple[int, ...], factors: tuple[int, int]
) -> None:
    case = make_case((1, 3, 8, 8), device)
    arguments = (case.grad, *case[:3], 127, 5, *factors)
    needs = [bool(x) for x in wanted]
    everything = triton_layer.encode_decode_backward(*arguments, ALL)
    some = triton_layer.encode_decode_backward(*arguments, needs)
    for need, a, b in zip(needs, some, everything, strict=True):
        assert a.shape == (b.shape if need else (0,))
        assert not need or torch.equal(a, b)


def test_strided_images(device: str) -> None:
    case = make_case((1, 3, 16, 16), device)
    last = case.image.to(memory_format=torch.channels_last)
    grad = case.grad.transpose(2, 3)
    a = triton_layer.encode_decode(last, *case[1:3], 127, 0, 1, 1)
    assert torch.equal(a, triton_layer.encode_decode(*case[:3], 127, 0, 1, 1))
    b = triton_layer.encode_decode_backward(grad, last, *case[1:3], 127, 0, 1, 1, ALL)
    dense = (grad.contiguous(), *case[:3])
    c = triton_layer.encode_decode_backward(*dense, 127, 0, 1, 1, ALL)
    for ours, theirs in zip(b, c, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "registers", "stack"),
    [
        # Found with Triton 3.6: 74, 115 and 72 registers, no stack; 168 registers (the cap) and
        # 32 bytes. At 128 registers a quarter of an SM's threads run.
        ("quantizer-dense-0-forward", 84, 0),
        ("444-0-fp32-rounds1-forward", 128, 0),
        ("444-5-fp32-rounds1-forward", 84, 0),
        ("444-0-fp32-rounds1-backward", 168, 64),
    ],
)
def test_kernels_compile_for_the_h100_with_few_spills(
    name: str, registers: int, stack: int
) -> None:
    script = Path(__file__).with_name("compile_triton_kernels.py")
    if not INTERPRETED:
        pytest.skip("one environment is enough: tox -e triton")
    environment = os.environ | {"TRITON_INTERPRET": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, script, name], env=environment, capture_output=True, text=True
    )
    if "FileNotFoundError" in done.stderr:
        pytest.skip("this build of Triton brings no CUDA tools")
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    assert int(words[words.index("registers") + 1]) <= registers
    assert int(words[words.index("stack") + 1]) <= stack
