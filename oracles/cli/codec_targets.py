"""Codecs for ``jpegdl verify``: torch functions on batches, and NumPy functions on an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from oracles.cli.importing import parameters, resolve
from oracles.cli.targets import CONTRACTS, Candidate, Options, judge_of

if TYPE_CHECKING:
    from oracles.report import Report

__all__ = ["CodecCandidate", "codec_candidates"]


@dataclass(frozen=True)
class CodecCandidate(Candidate):
    """A codec to judge, with images of one dtype."""

    @property
    def name(self) -> str:
        """The dtype of the images."""
        return self.dtype

    def judge(self) -> Report:
        """Ask the judge: all samplings, unless one is asked for."""
        options = self.options
        chosen: dict[str, Any] = {"seed": options.seed, "budget": options.budget}
        if options.subsampling:
            chosen["subsamplings"] = options.subsampling
        return self.signed(judge_of(options.contract)(self.fn, **chosen))


def codec_candidates(options: Options) -> Iterator[CodecCandidate]:
    """The codec in every dtype that is asked for; a NumPy codec takes uint8 alone.

    Parameters
    ----------
    options : Options
        Checked by :func:`oracles.cli.targets.candidates`.

    Yields
    ------
    CodecCandidate

    Raises
    ------
    TypeError, ValueError
        If an option does not fit, or the target cannot be had.
    """
    contract = options.contract
    for name in ("command", "window"):
        if getattr(options, name):
            raise ValueError(f"contract {contract} has no {name}, got {getattr(options, name)!r}")
    target = options.target or CONTRACTS[contract][3]
    if not target:
        raise ValueError(f"contract {contract} needs a TARGET, package.module:function")
    function = resolve(target)
    style = _style(function, target) if options.style == "auto" else options.style
    settings: dict[str, Any] = {"target": target, "style": style}
    if options.subsampling:
        settings["subsampling"] = options.subsampling
    if style == "numpy":
        yield CodecCandidate(function, None, "uint8", options, settings)
        return
    from oracles.adapters import torch_jpeg_codec

    if options.compile:
        settings["compile"] = True
    if options.device != "cpu":
        settings["device"] = options.device
    for dtype in (options.dtype,) if options.dtype else ("float32", "float64"):
        fn = torch_jpeg_codec(function, dtype=dtype, device=options.device, compile=options.compile)
        made = {**settings, "dtype": dtype}
        yield CodecCandidate(fn, None, dtype, replace(options, dtype=dtype), made)


def _style(function: Any, target: str) -> str:
    """A batch of images, or an image: by the name of the first parameter."""
    first = next(iter(parameters(function)), "")
    if first in ("images", "image"):
        return "torch" if first == "images" else "numpy"
    raise ValueError(
        f"cannot tell from the parameters of {target!r} whether it takes images (N, 3, H, W) of "
        f"torch or an image (H, W, 3) of NumPy: give --style torch or --style numpy"
    )
