"""No speed for wrong results: the check before the race sees faults."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from benchmarks.baselines import naive_full, naive_layer, naive_masked
from benchmarks.verify import WrongResultError, check_layer, check_quantizer
from benchmarks.workloads import (
    CIFAR,
    IMAGENET,
    TRAINED,
    Setting,
    coefficients,
    images,
    part_of,
    per_component,
)
from torch_impl import soft_quantize

L = 127
WINDOW = 5
SHAPE = (2, 3, 32, 32)

Quantize = Callable[[Tensor, Tensor, Tensor], Tensor]


def _masked(z: Tensor, q: Tensor, alpha: Tensor) -> Tensor:
    return naive_masked(z, q, alpha, max_level=L, window=WINDOW)


class _Detached(torch.autograd.Function):
    """Right value; gradients of z and q multiplied by a factor each."""

    @staticmethod
    def forward(ctx, value, dz_factor, dq_factor, z, q, alpha):
        ctx.save_for_backward(z, q, alpha)
        ctx.factors = dz_factor, dq_factor
        return value.detach().clone()

    @staticmethod
    def backward(ctx, grad):
        with torch.enable_grad():
            z, q, alpha = (t.detach().requires_grad_() for t in ctx.saved_tensors)
            gradients = torch.autograd.grad(_masked(z, q, alpha), (z, q), grad)
        scaled = (f * g for f, g in zip(ctx.factors, gradients, strict=True))
        return None, None, None, *scaled, None


def _with_gradients(dz: float, dq: float) -> Quantize:
    return lambda z, q, a: _Detached.apply(_masked(z, q, a), dz, dq, z, q, a)


def _check(quantize: Quantize, setting: Setting, window: int | None = WINDOW) -> None:
    z = coefficients(images(SHAPE))
    q, alpha = (per_component(table) for table in setting.tables())
    check_quantizer(quantize, z, q, alpha, max_level=setting.max_level, window=window)


@pytest.mark.parametrize("setting", [CIFAR, IMAGENET, TRAINED], ids=lambda s: s.name)
@pytest.mark.parametrize("window", [None, WINDOW])
def test_sound_quantizers_pass(setting: Setting, window: int | None) -> None:
    _check(partial(soft_quantize, max_level=setting.max_level, window=window), setting, window)


FAULTS: dict[str, Quantize] = {
    "identity": lambda z, q, a: z + 0 * q,
    "one level fewer": partial(naive_full, max_level=L - 1),
    "three levels": partial(naive_masked, max_level=L, window=3),
    "alpha doubled": lambda z, q, a: _masked(z, q, 2 * a),
    "NaN": lambda z, q, a: _masked(z, q, a) * float("nan"),
    "last element wrong": lambda z, q, a: _last_wrong(_masked(z, q, a)),
    "gradient of z off by 1 %": _with_gradients(1.01, 1.0),
    "gradient of q off by a tenth": _with_gradients(1.0, 1.1),
    "gradient of q of the wrong sign": _with_gradients(1.0, -1.0),
}


def _last_wrong(value: Tensor) -> Tensor:
    """As a kernel that forgets the end of the tensor."""
    flat = value.reshape(-1)
    return torch.cat([flat[:-1], flat[-1:] + 1]).view_as(value)


@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_quantizers_are_refused(fault: str) -> None:
    # At small h the third and fifth levels count.
    setting = Setting("soft", q=1.0, alpha=0.4, max_level=L)
    with pytest.raises(WrongResultError, match="not timed"):
        _check(FAULTS[fault], setting)


def _layer(fault: str | None, subsampling: str, window: int | None, q: Tensor, alpha: Tensor):
    naive = naive_full if window is None else partial(naive_masked, window=window)
    quantize = partial(naive, max_level=L)

    def run(image: Tensor) -> Tensor:
        if fault == "tables swapped":
            return naive_layer(image, q.flip(0), alpha, quantize, subsampling=subsampling)
        if fault == "channels swapped":
            return naive_layer(image.flip(1), q, alpha, quantize, subsampling=subsampling).flip(1)
        steps = q + 0.1 * (q - q.detach()) if fault == "gradient of q" else q
        out = naive_layer(image, steps, alpha, quantize, subsampling=subsampling)
        if fault == "large batch":  # only where the batch is that of the benchmark
            return out + 1 if len(image) > 2 else out
        if fault == "gradient":
            return out + 0.1 * (image - image.detach())
        return out

    return run


def _check_layer(
    fault: str | None, subsampling: str = "4:4:4", window: int | None = None, alpha: float = 5.0
) -> None:
    q, alpha_table = Setting("", 1.0, alpha, L).tables()
    q[1] *= 2
    q.requires_grad_()
    run = _layer(fault, subsampling, window, q, alpha_table)
    check_layer(
        run,
        (q, alpha_table),
        images((3, 3, 48, 40)),
        max_level=L,
        window=window,
        subsampling=subsampling,
    )


@pytest.mark.parametrize("alpha", [5.0, 0.7])
@pytest.mark.parametrize("window", [None, WINDOW])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_sound_layers_pass(subsampling: str, window: int | None, alpha: float) -> None:
    _check_layer(None, subsampling, window, alpha)


@pytest.mark.parametrize(
    "fault",
    ["tables swapped", "channels swapped", "large batch", "gradient", "gradient of q"],
)
@pytest.mark.parametrize("window", [None, WINDOW])
def test_wrong_layers_are_refused(fault: str, window: int | None) -> None:
    with pytest.raises(WrongResultError, match="not timed"):
        _check_layer(fault, window=window)


@pytest.mark.parametrize(
    ("shape", "elements", "work"),
    [
        ((16, 3, 224, 224), 200_000, 16.0),
        ((1, 3, 1024, 2048), 200_000, 32.0),
        ((64, 3, 32, 32), 200_000, 1.0),
        ((1, 3, 16, 16), 1, 2.0),
    ],
)
def test_part_of(shape: tuple[int, int, int, int], elements: int, work: float) -> None:
    image = images(shape)
    part, image_work = part_of(image, elements)
    coefficient_part, coefficient_work = part_of(coefficients(image), elements)
    assert image_work == coefficient_work == work
    assert part.numel() == coefficient_part.numel() == image.numel() / work
    assert torch.equal(part, image[: part.shape[0], :, : part.shape[2]])
    # Whole blocks: the coefficients of the part are the part of the coefficients.
    assert torch.equal(coefficients(part), coefficient_part)


def test_images_are_images() -> None:
    image = images(SHAPE)
    assert 0 <= image.min() < 40
    assert 215 < image.max() <= 255
    assert torch.equal(image, images(SHAPE))
    assert not torch.equal(image, images(SHAPE, seed=1))
    # Smooth: neighbours differ by far less than far pixels (noise alone would give 1).
    near = (image[..., 1:] - image[..., :-1]).abs().mean()
    far = (image[..., 20:] - image[..., :-20]).abs().mean()
    assert near < 0.4 * far


def test_trained_tables_span_both_regimes() -> None:
    q, alpha = TRAINED.tables()
    h = alpha * q**2
    assert float(h.min()) == pytest.approx(5 / 16)
    assert float(h.max()) == pytest.approx(5 * 64)
    assert (h < 3).any(dim=-1).any()
