"""What ``jpegdl verify`` judges: from the words of the command line to functions and judges."""

from __future__ import annotations

import difflib
import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from oracles.cli.importing import parameters, resolve

if TYPE_CHECKING:
    from oracles.report import Report

__all__ = [
    "BASELINES",
    "CODECS",
    "CODINGS",
    "CONTRACTS",
    "Candidate",
    "Options",
    "candidates",
    "judge_of",
    "one_of",
    "resolve",
    "seconds",
]

#: Contracts of the quantizers without alpha.
BASELINES = ("uniform_noise", "cubic", "straight_through", "hard")

#: Contracts of codecs: equal to libjpeg, or in real arithmetic.
CODECS = ("codec", "real_codec")

#: Contracts of differentiable JPEG and of its parts, which have a kind.
CODINGS = ("diff_jpeg", "rounding", "floor")

#: Judge, torch adapter, number of positional parameters of the NumPy form, default target.
CONTRACTS: dict[str, tuple[str, str, int, str]] = {
    "quantizer": ("verify_soft_quantizer", "torch_soft_quantizer", 4, "torch_impl:soft_quantize"),
    "cpmf": ("verify_cpmf", "torch_cpmf", 4, ""),
    "layer": ("verify_jpeg_layer", "torch_jpeg_layer", 5, "torch_impl:JPEGLayer"),
    "codec": ("verify_jpeg_codec", "torch_jpeg_codec", 1, "torch_impl:jpeg_roundtrip"),
    "real_codec": ("verify_jpeg_codec", "torch_jpeg_codec", 1, ""),
    "diff_jpeg": ("verify_diff_jpeg", "torch_diff_jpeg", 4, "torch_impl:diff_jpeg"),
    "rounding": ("verify_rounding", "torch_rounding", 1, "torch_impl.surrogates:soft_round"),
    "floor": ("verify_rounding", "torch_rounding", 1, "torch_impl.surrogates:soft_floor"),
} | {
    kind: (
        "verify_quantizer_baseline",
        "torch_quantizer_baseline",
        4 if kind == "uniform_noise" else 3,
        f"torch_impl:{kind}_quantize",
    )
    for kind in BASELINES
}
STYLES = ("auto", "torch", "numpy")
DTYPES = ("float32", "float64")
BUDGETS = ("quick", "full")
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ms|s|m|)")
_UNITS = {"ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Options:
    """Everything that is asked for, as text, not yet checked.

    Parameters
    ----------
    target, command : str
        One of the two, or neither for the package's own function.
    contract, style, budget, subsampling, device : str
        As on the command line.
    window, dtype : str
        Empty for both supports, and for both dtypes.
    seed : int
        Of the inputs.
    timeout : float
        Seconds for one call of ``command``.
    compile : bool
        Whether a torch function runs under ``torch.compile``.
    kind : str
        Of the rounding, for :data:`CODINGS`.
    straight_through : bool
        Whether the value is that of true rounding, for :data:`CODINGS`.
    """

    target: str = ""
    command: str = ""
    contract: str = "quantizer"
    style: str = "auto"
    window: str = ""
    dtype: str = ""
    subsampling: str = ""
    device: str = "cpu"
    seed: int = 0
    budget: str = "quick"
    timeout: float = 60.0
    compile: bool = False
    kind: str = "cubic"
    straight_through: bool = False


@dataclass(frozen=True)
class Candidate:
    """One function to judge, in one support and dtype.

    Parameters
    ----------
    fn : callable
        In the NumPy form of the contract.
    window : int or None
        Support.
    dtype : str
        ``"float32"`` or ``"float64"``.
    options : Options
        What it was made from.
    settings : mapping
        What a replay needs beside the settings that the judge writes.
    """

    fn: Callable[..., Any]
    window: int | None
    dtype: str
    options: Options
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Support and dtype, in words."""
        if self.options.contract in BASELINES:
            return self.dtype
        support = "all levels" if self.window is None else f"window {self.window}"
        return f"{support}, {self.dtype}"

    def judge(self) -> Report:
        """Ask the judge of the contract."""
        contract = self.options.contract
        extra: dict[str, Any] = {} if contract in BASELINES else {"window": self.window}
        if contract == "layer":
            extra["subsampling"] = self.options.subsampling
        report: Report = judge_of(contract)(
            self.fn,
            dtype=self.dtype,
            seed=self.options.seed,
            budget=self.options.budget,
            **extra,
        )
        return self.signed(report)

    def signed(self, report: Report) -> Report:
        """Say in a report where its function came from."""
        return replace(report, settings={**report.settings, **self.settings})


def judge_of(contract: str) -> Callable[..., Report]:
    """The judge of a contract.

    Parameters
    ----------
    contract : str
        A key of :data:`CONTRACTS`.

    Returns
    -------
    callable
        ``judge(fn, **options) -> Report``.
    """
    import oracles

    judge: Callable[..., Report] = getattr(oracles, CONTRACTS[contract][0])
    if contract in BASELINES:
        return functools.partial(judge, kind=contract)
    if contract == "floor":
        return functools.partial(judge, floor=True)
    return functools.partial(judge, exact=contract == "codec") if contract in CODECS else judge


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """Check a choice.

    Parameters
    ----------
    name, value : str
        Option and what was given.
    allowed : sequence of str

    Returns
    -------
    str
        The value.

    Raises
    ------
    ValueError
        Names the allowed values, and the nearest one.
    """
    if value in allowed:
        return value
    near = difflib.get_close_matches(value, allowed, n=1, cutoff=0.3)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}{hint}")


def seconds(text: str) -> float:
    """Read a duration.

    Parameters
    ----------
    text : str
        ``60s``, ``2m``, ``500ms``, or seconds without a unit.

    Returns
    -------
    float
        Seconds, > 0.

    Raises
    ------
    ValueError
        If it is none.
    """
    match = _DURATION.fullmatch(text.strip())
    found = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not found > 0:
        raise ValueError(f"search must be a duration such as 60s, 2m or 500ms, got {text!r}")
    return found


def candidates(options: Options) -> Iterator[Candidate]:
    """Functions in every support and dtype that are asked for.

    Parameters
    ----------
    options : Options

    Yields
    ------
    Candidate

    Raises
    ------
    TypeError, ValueError
        If an option is wrong, or the target cannot be had.
    """
    contract = one_of("contract", options.contract, tuple(CONTRACTS))
    one_of("style", options.style, STYLES)
    one_of("budget", options.budget, BUDGETS)
    dtypes = (one_of("dtype", options.dtype, DTYPES),) if options.dtype else DTYPES
    default = "" if contract in CODECS else "4:2:0" if contract in CODINGS else "4:4:4"
    if options.subsampling or default:
        options = replace(options, subsampling=_subsampling(options.subsampling or default))
    if options.target and options.command:
        raise ValueError("give TARGET or --command, not both")
    if options.seed < 0:
        raise ValueError(f"seed must be >= 0, got {options.seed}")
    if not options.timeout > 0:
        raise ValueError(f"timeout must be > 0 seconds, got {options.timeout}")
    if contract in CODECS:
        from oracles.cli.codec_targets import codec_candidates

        yield from codec_candidates(options)
        return
    if contract in CODINGS:
        from oracles.cli.diff_jpeg_targets import diff_jpeg_candidates

        yield from diff_jpeg_candidates(options)
        return
    make, windows, settings = (
        _from_command(options) if options.command else _from_target(options, contract)
    )
    if options.window and contract in BASELINES:
        raise ValueError(f"contract {contract} has no window, got {options.window!r}")
    if options.window:
        windows = (_window(options.window),)
    for window in windows:
        for dtype in dtypes:
            yield Candidate(make(window, dtype), window, dtype, options, settings)


_Made = tuple[Callable[[Any, str], Any], tuple[int | None, ...], dict[str, Any]]


def _from_command(options: Options) -> _Made:
    from oracles import adapters

    def made(window: int | None, dtype: str) -> Any:
        return adapters.process_function(
            options.command,
            timeout=options.timeout,
            contract=options.contract,
            window=window,
            subsampling=options.subsampling,
        )

    settings = {"command": options.command, "timeout": options.timeout}
    # A program is told the support, but may know one only: all levels, unless asked for.
    return made, (None,), settings


def _from_target(options: Options, contract: str) -> _Made:
    _, adapter_name, count, default = CONTRACTS[contract]
    target = options.target or default
    if not target:
        raise ValueError(f"contract {contract} needs a TARGET, package.module:function")
    function = resolve(target)
    style = _style(function, target, count) if options.style == "auto" else options.style
    settings: dict[str, Any] = {"target": target, "style": style}
    if style == "numpy":
        names = parameters(function)
        takes = [name for name in ("window", "subsampling") if name in names]

        def bound(window: int | None, dtype: str) -> Any:
            values = {"window": window, "subsampling": options.subsampling}
            return functools.partial(function, **{name: values[name] for name in takes})

        # Without a window parameter there is one support; which one, only its author knows.
        return bound, ((None, 5) if "window" in takes else (None,)), settings

    from oracles import adapters

    adapter = getattr(adapters, adapter_name)
    baseline = contract in BASELINES
    extra: dict[str, Any] = {"subsampling": options.subsampling} if contract == "layer" else {}
    if options.compile:
        extra["compile"] = settings["compile"] = True
    if options.device != "cpu":
        settings["device"] = options.device

    def adapted(window: int | None, dtype: str) -> Any:
        support = {"kind": contract} if baseline else {"window": window}
        return adapter(function, dtype=dtype, device=options.device, **support, **extra)

    return adapted, ((None,) if baseline else (None, 5)), settings


def _style(function: Any, target: str, count: int) -> str:
    """Tell a torch function from a NumPy one by its parameters."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(function, type) and issubclass(function, torch.nn.Module):
        return "torch"
    names = parameters(function)
    level = names.get("max_level")
    if "window" in names or (level is not None and level.kind is level.KEYWORD_ONLY):
        return "torch"
    positional = [
        p for p in names.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) == count:
        return "numpy"
    raise ValueError(
        f"cannot tell from the parameters of {target!r} how it is called: "
        f"give --style torch or --style numpy"
    )


def _window(text: str) -> int | None:
    if text == "full":
        return None
    if text.isdecimal() and int(text) >= 3 and int(text) % 2:
        return int(text)
    raise ValueError(f"window must be 'full' or an odd number >= 3, got {text!r}")


def _subsampling(text: str) -> str:
    """``420`` for ``4:2:0`` as well."""
    return one_of("subsampling", ":".join(text) if text.isdigit() else text, SUBSAMPLINGS)
