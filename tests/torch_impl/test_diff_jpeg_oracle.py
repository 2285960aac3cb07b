"""Our roundings and our differentiable JPEG, judged by the oracles in every kind and form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from oracles import torch_diff_jpeg, torch_rounding, verify_diff_jpeg, verify_rounding
from torch_impl import diff_jpeg
from torch_impl.surrogates import KINDS, soft_floor, soft_round

DTYPES = ["float32", "float64"]
SAMPLINGS = ["4:4:4", "4:2:2", "4:2:0", "4:4:0"]
# Half of the tolerance and a little: the judges have to clear ours with a reserve.
RESERVE = 0.75


def drawn(part: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The kind that draws, with the numbers that the judge has drawn."""

    def rounding(x: Tensor, noise: Tensor) -> Tensor:
        with patch.object(torch, "rand_like", lambda _: noise + 0.5):
            return part(x, "uniform_noise")

    return rounding


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("straight_through", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_roundings_and_floors_are_sound(kind: str, straight_through: bool, dtype: str) -> None:
    for part, floor in ((soft_round, False), (soft_floor, True)):
        rounding = partial(part, kind=kind, straight_through=straight_through)
        if kind == "uniform_noise" and not straight_through:
            rounding = drawn(part)
        report = verify_rounding(
            torch_rounding(rounding, dtype=dtype),
            kind,
            dtype=dtype,
            floor=floor,
            straight_through=straight_through,
        )
        report.raise_if_failed()
        assert report.worst < RESERVE


FORMS = [
    (kind, true) for kind in KINDS for true in (False, True) if kind != "uniform_noise" or true
]


@pytest.mark.parametrize(("kind", "straight_through"), FORMS)
def test_the_pipeline_is_sound(kind: str, straight_through: bool) -> None:
    # Each form in the next sampling and dtype, so that every two kinds have had both.
    number = FORMS.index((kind, straight_through))
    dtype = DTYPES[(number // 2) % 2]
    options: dict[str, Any] = {
        "rounding": kind,
        "straight_through": straight_through,
        "subsampling": SAMPLINGS[(number + number // 4) % 4],
    }
    fn = torch_diff_jpeg(diff_jpeg, dtype=dtype, **options)
    report = verify_diff_jpeg(fn, dtype=dtype, seed=number, **options)
    report.raise_if_failed()
    assert report.worst < RESERVE


@pytest.mark.parametrize("straight_through", [False, True])
@pytest.mark.parametrize(
    "parts",
    [
        {"scale_floor": None, "table_floor": None, "table_slope": None, "output_slope": None},
        {"table_floor": "straight_through", "output_slope": 0.1, "qtable_rounding": "linear"},
    ],
    ids=str,
)
def test_other_parts_are_sound(parts: dict[str, Any], straight_through: bool) -> None:
    options = {**parts, "straight_through": straight_through}
    fn = torch_diff_jpeg(diff_jpeg, dtype="float64", **options)
    verify_diff_jpeg(fn, dtype="float64", **options).raise_if_failed()


@pytest.mark.parametrize(
    "kind", [k for k in KINDS if k not in ("straight_through", "uniform_noise")]
)
def test_gradients_of_every_kind_at_generic_points(kind: str) -> None:
    torch.manual_seed(3)
    images = (torch.rand(1, 3, 2, 3, dtype=torch.float64) * 200 + 20).requires_grad_()
    quality = torch.tensor([63.37], dtype=torch.float64, requires_grad=True)

    def coded(x: Tensor, q: Tensor) -> Tensor:
        return diff_jpeg(x, quality=q, rounding=kind, subsampling="4:4:4")

    # No coefficient within eps of a tie: none of this seed is. Padding repeats what is there, so
    # that coefficients are 0 but for rounding, where tanh jumps: whole blocks for it.
    if kind == "tanh":
        whole = torch.rand(1, 3, 8, 8, dtype=torch.float64) * 200 + 20
        images = whole.requires_grad_()
        options: dict[str, Any] = {"fast_mode": True}
    else:
        options = {}
    assert torch.autograd.gradcheck(
        coded, (images, quality), eps=1e-7, rtol=1e-3, atol=1e-4, **options
    )
