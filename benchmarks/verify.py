"""No speed for a wrong answer: every benchmark first checks what it is about to time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.baselines import Quantize
from benchmarks.workloads import part_of
from oracles.tolerance import ambiguous_windows, tolerances
from reference.compiled import soft_quantize_partials
from reference.jpeg_layer import jpeg_layer, jpeg_layer_vjp

Array = NDArray[np.float64]

_SAMPLE = 2048
_CROP = 32
# A sound float32 layer at the settings of the benchmarks is off by at most 5e-5 grey levels and
# 7e-5 of the largest gradient (measured). Where rounding moves a masked window, at a tie, the
# quantizer jumps by 0.015 q (h = 0.7), a pixel by at most 0.25 * 1.77 of that: 0.007. A wrong
# table, window or transform shows as 0.1 or more.
LAYER_VALUE = 0.01
LAYER_GRADIENT = 0.01
# dQ/dq jumps at such a tie by the level times the jump of dQ/dz: any size. A few of the 128
# entries may hold one; a wrong gradient is wrong in many.
_TIES = 0.05
# From here on five levels are the full space to 1e-5 q, which does not jump.
_H_SMOOTH = 2.0


class WrongResultError(AssertionError):
    """What was to be timed computes something else than the reference."""


def check_quantizer(
    quantize: Quantize,
    z: Tensor,
    q: Tensor,
    alpha: Tensor,
    *,
    max_level: int,
    window: int | None,
) -> None:
    """Compare `quantize` and its gradients with the reference, on a sample of `z`.

    Parameters
    ----------
    quantize : callable
        ``quantize(z, q, alpha)``, float32.
    z, q, alpha : Tensor
        The inputs of the benchmark. Value and d/dz are evaluated on all of z and compared on
        2,048 elements spread over it; the gradient of q on a part of about as many.
    max_level : int
        L.
    window : int or None
        Levels of the masked CPMF.

    Raises
    ------
    WrongResultError
        If an element is off by more than a sound implementation can be
        (:mod:`oracles.tolerance`).
    """
    support: dict[str, Any] = {"max_level": max_level, "window": window}
    value, dz, _, grad = _evaluate(quantize, z, q, alpha)
    inputs = [t.detach().expand(z.shape).reshape(-1) for t in (z, q, alpha, grad)]
    where = torch.linspace(0, z.numel() - 1, min(_SAMPLE, z.numel()), device=z.device).long()
    at = [_array(t[where]) for t in inputs]
    clear = ~_ambiguous(at[0], at[1], **support)
    expected = soft_quantize_partials(*at[:3], **support)
    tolerance = tolerances(*at[:3], **support)
    _compare("value", _array(value.reshape(-1)[where]), expected.value, tolerance.value, clear)
    weight = at[3]
    _compare(
        "gradient of z",
        _array(dz.reshape(-1)[where]),
        weight * expected.dz,
        np.abs(weight) * tolerance.dz + _rounding(weight * expected.dz),
        clear,
    )

    part, _ = part_of(z, 4 * _SAMPLE)
    at = [_array(t.detach().expand(part.shape)) for t in (part, q, alpha)]
    unclear = _ambiguous(at[0].ravel(), at[1].ravel(), **support).reshape(part.shape)
    ignored = torch.from_numpy(unclear).to(z.device)
    _, _, dq, grad = _evaluate(quantize, part, q, alpha, ignored)
    weight = _array(grad)
    terms = weight * soft_quantize_partials(*at, **support).dq
    allowed = np.abs(weight) * tolerances(*at, **support).dq
    # Summed one by one, n terms round by at most n eps / 2 of their sum of sizes.
    size = terms.size / q.numel()
    allowed += size * _rounding(terms)
    shape = tuple(q.shape)
    _compare("gradient of q", _array(dq), _sum_to(terms, shape), _sum_to(allowed, shape))


def _evaluate(
    quantize: Quantize, z: Tensor, q: Tensor, alpha: Tensor, ignored: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    z, q = z.detach().requires_grad_(), q.detach().requires_grad_()
    generator = torch.Generator().manual_seed(1)
    grad = torch.randn(z.shape, generator=generator).to(z.device)
    if ignored is not None:
        grad = grad.masked_fill(ignored, 0.0)
    value = quantize(z, q, alpha)
    dz, dq = torch.autograd.grad(value, (z, q), grad)
    return value.detach(), dz, dq, grad


def check_layer(
    run: Callable[[Tensor], Tensor],
    tables: tuple[Tensor, Tensor],
    image: Tensor,
    *,
    max_level: int,
    window: int | None,
    subsampling: str = "4:4:4",
) -> None:
    """Compare a JPEG layer and its gradients with the reference.

    Parameters
    ----------
    run : callable
        Layer: images -> images. Its gradient with respect to ``tables[0]`` is taken.
    tables : tuple of Tensor
        q (a leaf that requires a gradient) and alpha, (2, 8, 8).
    image : Tensor
        The images of the benchmark. Without subsampling the corners of the first and the last
        one are compared after a run over all of them; a small image is compared in every case.
    max_level, window, subsampling
        As in the layer.

    Raises
    ------
    WrongResultError
        If a pixel is off by more than 0.01 grey levels or a gradient by more than 1 % of the
        largest one.
    """
    q, alpha = tables
    options: dict[str, Any] = {
        "max_level": max_level,
        "window": window,
        "subsampling": subsampling,
        "compiled": True,
    }
    first, last = image[:1, :, :_CROP, :_CROP], image[-1:, :, -_CROP:, -_CROP:]
    small = torch.cat([first, last]).contiguous()
    value, d_image, d_q, grad = _evaluate_layer(run, q, small)
    arrays = [_array(t) for t in (small, q.detach(), alpha.detach(), grad)]
    expected = jpeg_layer(*arrays[:3], **options)
    gradients = jpeg_layer_vjp(*arrays, **options)
    _compare("image", value, expected, LAYER_VALUE)
    _compare_gradient("gradient of the image", d_image, gradients.image)
    jumps = window is not None and float((alpha * q.detach() ** 2).min()) < _H_SMOOTH
    _compare_gradient("gradient of q", d_q, gradients.q, _TIES if jumps else 0.0)
    if subsampling == "4:4:4":  # blocks do not see each other
        with torch.no_grad():
            whole = run(image)
        corners = torch.cat([whole[:1, :, :_CROP, :_CROP], whole[-1:, :, -_CROP:, -_CROP:]])
        _compare("corner of the image", _array(corners), expected, LAYER_VALUE)


def _evaluate_layer(
    run: Callable[[Tensor], Tensor], q: Tensor, image: Tensor
) -> tuple[Array, Array, Array, Tensor]:
    image = image.detach().requires_grad_()
    grad = torch.randn(image.shape, generator=torch.Generator().manual_seed(1)).to(image.device)
    value = run(image)
    d_image, d_q = torch.autograd.grad(value, (image, q), grad)
    return _array(value.detach()), _array(d_image), _array(d_q), grad


def _compare_gradient(what: str, got: Array, expected: Array, exempt: float = 0.0) -> None:
    tolerance = LAYER_GRADIENT * float(np.abs(expected).max())
    _compare(what, got, expected, tolerance, exempt=exempt)


def _compare(
    what: str,
    got: Array,
    expected: Array,
    tolerance: Array | float,
    where: NDArray[np.bool_] | None = None,
    exempt: float = 0.0,
) -> None:
    with np.errstate(invalid="ignore"):
        good = np.abs(got - expected) <= tolerance  # False for NaN
    if where is not None:
        good |= ~where
    if np.count_nonzero(~good) <= exempt * good.size and np.isfinite(got).all():
        return
    index = tuple(int(i) for i in np.argwhere(~good)[0])
    raise WrongResultError(
        f"not timed, because the result is wrong: {what} at {index} is {got[index]!r}, the "
        f"reference has {expected[index]!r} ({np.count_nonzero(~good)} of {good.size} are off); "
        "run the tests of torch_impl first"
    )


def _ambiguous(z: Array, q: Array, *, max_level: int, window: int | None) -> NDArray[np.bool_]:
    if window is None:
        return np.zeros(z.shape, dtype=bool)
    return ambiguous_windows(z, q, max_level=max_level, window=window, dtype="float32")[0]


def _rounding(values: Array) -> Array:
    return np.finfo(np.float32).eps * np.abs(values)


def _sum_to(values: Array, shape: tuple[int, ...]) -> Array:
    return torch.from_numpy(values).sum_to_size(shape).numpy()


def _array(tensor: Tensor) -> Array:
    return np.ascontiguousarray(tensor.double().cpu().numpy())


__all__ = ["LAYER_GRADIENT", "LAYER_VALUE", "WrongResultError", "check_layer", "check_quantizer"]
