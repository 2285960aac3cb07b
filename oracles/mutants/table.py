"""What a planted fault is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = ["BOTH", "FULL", "MASKED", "Mutant"]

FULL: tuple[int | None, ...] = (None,)
MASKED: tuple[int | None, ...] = (5,)
BOTH: tuple[int | None, ...] = (None, 5)


class Mutant(NamedTuple):
    """A fault, and the supports and dtype where it is one.

    Parameters
    ----------
    factory : callable
        ``factory(window)`` gives the faulty function; the layer's takes the sampling as well.
    windows : tuple
        Supports for which it is a fault.
    evidence : int
        At least this many kinds of evidence have to reject it.
    dtype : str
        Dtype in which it is a fault.
    subsampling : str
        Chroma subsampling with which it is a fault; for layers.
    kind : str
        Quantizer of which it is a faulty form, for baselines; for roundings, which one; for
        codecs, the claim that it breaks.
    options : mapping of str to object
        Other keywords of the judge with which it is a fault.
    """

    factory: Callable[..., Callable[..., Any]]
    windows: tuple[int | None, ...]
    evidence: int
    dtype: str = "float32"
    subsampling: str = "4:4:4"
    kind: str = ""
    options: Mapping[str, Any] = MappingProxyType({})
