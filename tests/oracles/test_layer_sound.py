"""No sound layer is accused."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from oracles import verify_jpeg_layer
from oracles.layer.bounds import layer_bounds
from oracles.mutants.layer_sound import LAYER_SOUND
from reference import jpeg_layer, jpeg_layer_vjp
from tests.oracles._layer_memo import remembered_bounds

# One or two for each: those that add up 255 levels at every coefficient, or go block by block,
# take ten seconds with all levels (tests/oracles/calibrate_layer.py has the patience).
CONFIGURATIONS: dict[str, tuple[tuple[str, int | None, str], ...]] = {
    "float64 rounded": (("float64", 5, "4:2:0"),),
    "planes, softmax in z/q": (("float32", 5, "4:4:4"), ("float64", 3, "4:4:4")),
    "planes, constant cost": (("float32", 5, "4:4:4"),),
    "planes, sequential sums": (("float32", 3, "4:2:2"), ("float32", None, "4:4:4")),
    "tensordot, softmax in z": (("float64", 3, "4:4:4"),),
    "tensordot, torch softmax": (("float32", 5, "4:4:4"),),
    "torch autograd, local": (("float32", None, "4:4:4"), ("float64", 5, "4:2:0")),
    "torch float64 autograd": (("float32", 5, "4:4:4"), ("float64", 3, "4:4:4")),
}


@pytest.fixture(autouse=True, scope="module")
def _memory() -> Iterator[None]:
    with remembered_bounds():
        yield


@pytest.mark.parametrize("name", LAYER_SOUND)
def test_a_sound_layer_passes(name: str) -> None:
    for dtype, window, subsampling in CONFIGURATIONS[name]:
        fn = LAYER_SOUND[name](window, subsampling)
        report = verify_jpeg_layer(fn, window=window, subsampling=subsampling, dtype=dtype)
        report.raise_if_failed()
        # Half of the tolerance stays in reserve (measured: see calibrate_layer.py).
        assert report.worst < 0.5


def test_a_larger_budget_passes_too() -> None:
    report = verify_jpeg_layer(LAYER_SOUND["float64 rounded"](5, "4:4:4"), window=5, budget="full")
    report.raise_if_failed()
    quick = verify_jpeg_layer(LAYER_SOUND["float64 rounded"](5, "4:4:4"), window=5)
    assert sum(c.count for c in report.checks) > 7 * sum(c.count for c in quick.checks)


@pytest.mark.parametrize("step", [0.01, 0.001])
def test_bounds_hold_where_a_coefficient_may_cross_whole_levels(step: float) -> None:
    """q below the rounding of a float32 coefficient (2.4e-4 at most), and hard: d/dz has peaks.

    The layer is moved by as much as rounding may move it, and compared with itself.
    """
    rng = np.random.default_rng(0)
    image = np.round(rng.uniform(96, 160, (1, 3, 16, 16)))
    g = rng.normal(size=image.shape)
    q = np.full((2, 8, 8), step)
    for hardness in (4.0, 200.0):
        arrays = (image, q, hardness / q**2, g)
        options = {"max_level": 2**20, "window": 3, "subsampling": "4:4:4"}
        limit = layer_bounds(*arrays, **options, dtype="float32")
        want = (
            jpeg_layer(*arrays[:3], **options, compiled=True),
            *jpeg_layer_vjp(*arrays, **options, compiled=True),
        )
        for _ in range(20):
            # 4e-5 per sample: 2e-4 at most in a coefficient, but for one in 1e5.
            moved = (image + rng.uniform(-4e-5, 4e-5, image.shape), *arrays[1:])
            got = (
                jpeg_layer(*moved[:3], **options, compiled=True),
                *jpeg_layer_vjp(*moved, **options, compiled=True),
            )
            for a, b, bound in zip(got, want, (limit.output, *limit.gradients), strict=True):
                assert np.all(np.abs(a - b) <= bound)
