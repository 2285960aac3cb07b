"""Roundings and differentiable JPEG for ``jpegdl verify``."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oracles.cli.importing import parameters, resolve
from oracles.cli.targets import CONTRACTS, DTYPES, Candidate, Options, judge_of

if TYPE_CHECKING:
    from oracles.report import Report

__all__ = ["DiffJPEGCandidate", "diff_jpeg_candidates"]


@dataclass(frozen=True)
class DiffJPEGCandidate(Candidate):
    """A rounding, a floor or a differentiable JPEG to judge, in one dtype."""

    @property
    def name(self) -> str:
        """Kind, form and dtype, in words."""
        form = " straight-through" if self.options.straight_through else ""
        return f"{self.options.kind}{form}, {self.dtype}"

    def judge(self) -> Report:
        """Ask the judge of the contract."""
        options = self.options
        chosen: dict[str, Any] = {
            "straight_through": options.straight_through,
            "dtype": self.dtype,
            "seed": options.seed,
            "budget": options.budget,
        }
        if options.contract == "diff_jpeg":
            chosen |= {"rounding": options.kind, "subsampling": options.subsampling}
        else:
            chosen["kind"] = options.kind
        return self.signed(judge_of(options.contract)(self.fn, **chosen))


def diff_jpeg_candidates(options: Options) -> Iterator[DiffJPEGCandidate]:
    """The function in every dtype that is asked for.

    Parameters
    ----------
    options : Options
        Checked by :func:`oracles.cli.targets.candidates`.

    Yields
    ------
    DiffJPEGCandidate

    Raises
    ------
    TypeError, ValueError
        If an option does not fit, or the target cannot be had.
    """
    from oracles.diff_jpeg.rounding import check_rounding_kind

    contract = options.contract
    for name in ("command", "window"):
        if getattr(options, name):
            raise ValueError(f"contract {contract} has no {name}, got {getattr(options, name)!r}")
    check_rounding_kind(options.kind)
    target = options.target or CONTRACTS[contract][3]
    function = resolve(target)
    names = parameters(function)
    style = _style(names, contract, target) if options.style == "auto" else options.style
    drawn = options.kind == "uniform_noise" and not options.straight_through
    if style == "torch" and drawn and (contract == "diff_jpeg" or "noise" not in names):
        raise ValueError(
            f"kind uniform_noise of {target!r} draws its own numbers: judge it with "
            f"--straight-through, or in the NumPy form with the noise given"
        )
    settings: dict[str, Any] = {"target": target, "style": style}
    if options.compile:
        settings["compile"] = True
    if options.device != "cpu":
        settings["device"] = options.device
    if contract == "diff_jpeg":
        wanted = {
            "subsampling": options.subsampling,
            "straight_through": options.straight_through,
            "rounding": options.kind,
        }
    else:
        wanted = {"kind": options.kind, "straight_through": options.straight_through}
    # A function that knows one kind only does not take its name.
    taken = {name: value for name, value in wanted.items() if name in names}
    for dtype in (options.dtype,) if options.dtype else DTYPES:
        fn = functools.partial(function, **taken)
        if style == "torch":
            fn = _adapted(contract, fn, dtype, options)
        yield DiffJPEGCandidate(fn, None, dtype, options, settings)


def _adapted(contract: str, function: Any, dtype: str, options: Options) -> Any:
    from oracles import adapters

    adapter = getattr(adapters, CONTRACTS[contract][1])
    return adapter(function, dtype=dtype, device=options.device, compile=options.compile)


def _style(names: Mapping[str, Any], contract: str, target: str) -> str:
    """A torch function names what it takes by keyword; the NumPy form has the weights."""
    if contract == "diff_jpeg" and "grad_output" not in names and "quality" in names:
        return "torch"
    if contract == "diff_jpeg" and len(names) >= CONTRACTS[contract][2]:
        return "numpy"
    if contract != "diff_jpeg" and "kind" in names:
        return "torch"
    raise ValueError(
        f"cannot tell from the parameters of {target!r} how it is called: "
        f"give --style torch or --style numpy"
    )
