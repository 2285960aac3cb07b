"""Differentiable JPEGs of other papers, as choices of parts of :func:`torch_impl.diff_jpeg`.

Each says what it leaves out. All share one set of linear steps, libjpeg's, so that they differ in
nothing else.

References
----------
Codec control thesis (*Differentiable JPEG: The Devil is in the Details*), sections 3.1 and 5.3.1,
Table 5.1. Shin & Song, *JPEG-resistant adversarial images* (2017). Xing et al., *Invertible image
signal processing* (CVPR 2021). Xie et al., *Bandwidth-aware adaptive codec for DNN inference
offloading in IoT* (ECCV 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor

from torch_impl.surrogates import CLIP_SLOPE, soft_round


@dataclass(frozen=True)
class Peer:
    """A choice of parts.

    Parameters
    ----------
    title
        For tables and legends.
    leaves_out
        What of JPEG it does not model, in a sentence.
    options
        Keyword arguments of :func:`torch_impl.diff_jpeg`.
    """

    title: str
    leaves_out: str
    options: Mapping[str, Any]


def tanh_straight_through(x: Tensor) -> Tensor:
    """True rounding forward, the derivative of the kind "tanh" backward (Xie et al.).

    Parameters
    ----------
    x : Tensor
        Floating point, any shape.

    Returns
    -------
    Tensor
        Whole numbers, halves up.

    References
    ----------
    Thesis, section 3.1.
    """
    return soft_round(x, "tanh", straight_through=True)


def _peer(title: str, leaves_out: str, **options: Any) -> Peer:
    return Peer(title, leaves_out, MappingProxyType(options))


_NO_PARTS: dict[str, Any] = {
    "scale_floor": None,
    "table_floor": None,
    "table_slope": None,
    "output_slope": None,
}
_TABLES = (
    "The scale of a quality and the tables stay real numbers (without the half that makes a "
    "rounding of the floor), and tables are not clipped to [1, 255]"
)

PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        "shin_song": _peer(
            "Shin & Song",
            f"{_TABLES}; nor is the output to [0, 255].",
            rounding="cubic",
            **_NO_PARTS,
        ),
        "xing": _peer(
            "Xing et al.",
            f"{_TABLES}. The output is clipped hard: no gradient where it saturates.",
            rounding="fourier",
            **{**_NO_PARTS, "output_slope": 0.0},
        ),
        "xie": _peer(
            "Xie et al.",
            f"{_TABLES}; nor is the output to [0, 255]. Of itself it knows no quality: the thesis "
            "gives it the scale of Xing et al. Only coefficients are truly rounded.",
            rounding=tanh_straight_through,
            **_NO_PARTS,
        ),
    }
)
"""The three that the thesis compares with: "shin_song", "xing" and "xie"."""


def _ablation() -> dict[str, Peer]:
    """Configurations A to F: the parts of the thesis put in one after the other."""
    named: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
        ("A", "Shin & Song", "table, scale and output parts", {}),
        (
            "B",
            "+ table clipping",
            "table floor, scale floor, output clipping",
            {"table_slope": CLIP_SLOPE},
        ),
        ("C", "+ table floor", "scale floor, output clipping", {"table_floor": "same"}),
        ("D", "+ scale floor", "output clipping", {"scale_floor": "same"}),
        ("E", "+ output clipping", "nothing; surrogate form", {"output_slope": CLIP_SLOPE}),
        ("F", "+ straight-through", "nothing; straight-through form", {"straight_through": True}),
    )
    options: dict[str, Any] = {"rounding": "cubic", **_NO_PARTS}
    found = {}
    for letter, title, leaves_out, more in named:
        options = {**options, **more}
        found[letter] = _peer(title, leaves_out, **options)
    return found


ABLATION: Mapping[str, Peer] = MappingProxyType(_ablation())
"""Table 5.1, configurations "A" (Shin & Song) to "E" and "F", this library's two forms."""

__all__ = ["ABLATION", "PEERS", "Peer", "tanh_straight_through"]
