"""The baselines must be right: a fast wrong baseline makes everything look slow."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import reference
from benchmarks.baselines import naive_full, naive_layer, naive_masked
from oracles.tolerance import ambiguous_windows, tolerances
from reference.jpeg_layer import jpeg_layer, jpeg_layer_vjp
from reference.standard import annex_k_tables

WINDOW = 5


def _grid(max_level: int) -> tuple[Tensor, Tensor, Tensor]:
    """c from 0 to beyond the ends with ties among them, h from 0.05 to 500, several q."""
    ties = torch.tensor([0.0, 0.5, -0.5, 1.5, max_level, max_level - 0.5, -max_level - 0.5])
    c = torch.cat([ties, torch.linspace(-1.4, 1.4, 141) * max_level]).double()
    q = torch.tensor([0.25, 1.0, 3.0, 40.0]).double()[:, None]
    h = torch.tensor([0.05, 0.7, 5.0, 500.0]).double()[:, None, None]
    return c * q, q.expand(4, 1), h / q**2


def _check(naive: Tensor | None, expected: np.ndarray, tolerance: np.ndarray) -> None:
    assert naive is not None
    error = np.abs(naive.detach().numpy() - expected)
    worst = np.unravel_index(np.argmax(error / tolerance), error.shape)
    assert (error <= tolerance).all(), (worst, error[worst], tolerance[worst])


@pytest.mark.parametrize("max_level", [2, 15, 127])
@pytest.mark.parametrize("window", [None, WINDOW])
def test_value_and_gradients_are_those_of_the_reference(max_level: int, window: int | None) -> None:
    z, q, alpha = _grid(max_level)
    leaves = [t.expand(4, 4, z.shape[-1]).clone().requires_grad_() for t in (z, q, alpha)]
    if window is None:
        value = naive_full(*leaves, max_level=max_level)
    else:
        value = naive_masked(*leaves, max_level=max_level, window=window)
    gradients = torch.autograd.grad(value.sum(), leaves)
    arrays = [t.detach().numpy() for t in leaves]
    expected = reference.soft_quantize_partials(*arrays, max_level=max_level, window=window)
    # The float64 tolerance of the oracles: a plain softmax is what it was measured on.
    allowed = tolerances(*arrays, max_level=max_level, window=window, dtype="float64")
    clear = np.ones(value.shape, dtype=bool)
    if window is not None:
        unclear = ambiguous_windows(
            arrays[0].ravel(),
            arrays[1].ravel(),
            max_level=max_level,
            window=window,
            dtype="float64",
        )[0]
        clear = ~unclear.reshape(value.shape)
    for got, want, limit in zip((value, *gradients), expected, allowed, strict=True):
        _check(got, want, np.where(clear, limit, np.inf))
    assert clear.mean() > 0.9


def test_masked_with_every_level_is_full() -> None:
    z, q, alpha = _grid(2)
    full = naive_full(z, q, alpha, max_level=2)
    # The same five levels in the same order: not one bit differs.
    assert torch.equal(full, naive_masked(z, q, alpha, max_level=2, window=5))


def test_levels_differ_between_full_and_masked() -> None:
    """At h = 0.05 five levels hold little of the mass: the two are not the same function."""
    z, q, alpha = torch.tensor([3.3]), torch.tensor([1.0]), torch.tensor([0.05])
    full = naive_full(z, q, alpha, max_level=127)
    masked = naive_masked(z, q, alpha, max_level=127)
    assert abs(float(full - masked)) > 0.1


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("window", [None, WINDOW])
@settings(max_examples=25)  # each sums 255 levels in two implementations
@given(seed=st.integers(0, 2**32 - 1), quality=st.integers(20, 95))
def test_layer_is_that_of_the_reference(
    subsampling: str, window: int | None, seed: int, quality: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = 255 * torch.rand((1, 3, 21, 18), generator=generator, dtype=torch.float64)
    grad = torch.randn((1, 3, 21, 18), generator=generator, dtype=torch.float64)
    q = torch.from_numpy(annex_k_tables(quality).astype(np.float64)).requires_grad_()
    # h = 0.5 .. 3 by frequency: smooth enough for 1e-9 to be rounding, not a tie.
    h = torch.linspace(0.5, 3, 128, dtype=torch.float64).view(2, 8, 8)
    alpha = (h / q.detach() ** 2).requires_grad_()
    image.requires_grad_()
    naive = naive_full if window is None else partial(naive_masked, window=window)
    value = naive_layer(image, q, alpha, partial(naive, max_level=127), subsampling=subsampling)
    gradients = torch.autograd.grad(value, (image, q, alpha), grad)

    options = {"max_level": 127, "window": window, "subsampling": subsampling, "compiled": True}
    arrays = [t.detach().numpy() for t in (image, q, alpha)]
    # Measured: 1e-12 of the largest entry; both are float64 sums of some hundred terms.
    np.testing.assert_allclose(
        value.detach().numpy(), jpeg_layer(*arrays, **options), rtol=0, atol=1e-9
    )
    expected = jpeg_layer_vjp(*arrays, grad.numpy(), **options)
    for got, want in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(got.numpy(), want, rtol=0, atol=1e-9 * np.abs(want).max())
