"""pytest plugin: one test per evidence and regime.

``pytest --oracle package.module:function`` adds the tests of :mod:`oracles` for that function to
the run, as items ``oracle::package.module:function[float32-full-reference-soft]``. Where the
package is installed pytest finds the plugin by itself; elsewhere ``-p oracles.pytest_plugin``
loads it. The fixture :func:`oracle_report` gives verdicts to tests of one's own.
"""

# Every pytest run on a machine with this package imports this module: nothing heavy up here.
from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from oracles.cli.targets import Candidate
    from oracles.report import Check, Report

__all__ = [
    "oracle_report",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
]

_CANDIDATES = pytest.StashKey[list[tuple[str, "Candidate"]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options ``--oracle`` and its settings."""
    group = parser.getgroup("oracles", "oracles: verdicts on numerical implementations")
    group.addoption(
        "--oracle",
        action="append",
        default=[],
        metavar="package.module:function",
        help="judge this function, a test per evidence and regime; may be repeated",
    )
    for name, default, told in (
        ("contract", "quantizer", "quantizer, cpmf, layer, codec or a baseline such as cubic"),
        ("style", "auto", "how the function is called: auto, torch or numpy"),
        ("window", "", "'full' or an odd number of levels (both full and 5)"),
        ("dtype", "", "float32 or float64 (both)"),
        ("subsampling", "", "4:4:4, 4:2:2 or 4:2:0 (of a layer 4:4:4, of a codec all)"),
        ("device", "cpu", "torch device"),
        ("seed", "0", "seed of the inputs"),
        ("budget", "quick", "quick or full"),
    ):
        group.addoption(f"--oracle-{name}", default=default, help=f"for --oracle: {told}")


def pytest_configure(config: pytest.Config) -> None:
    """Import what is to be judged; a wrong option is a usage error."""
    targets = config.getoption("--oracle")
    if not targets:
        return
    from oracles.cli.targets import Options, candidates

    words = {
        name: config.getoption(f"--oracle-{name}")
        for name in ("contract", "style", "window", "dtype", "subsampling", "device", "budget")
    }
    seed = config.getoption("--oracle-seed")
    try:
        if not str(seed).isdecimal():
            raise ValueError(f"seed must be an int >= 0, got {seed!r}")
        config.stash[_CANDIDATES] = [
            (target, candidate)
            for target in targets
            for candidate in candidates(Options(target=target, seed=int(seed), **words))
        ]
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"--oracle: {error}") from None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Add the tests, before ``-k`` and others choose."""
    found = session.config.stash.get(_CANDIDATES, [])
    if not found:
        return
    parent = _Oracles.from_parent(session, name="oracle", nodeid="oracle")
    for target, candidate in found:
        verdict = _Verdict(candidate)
        items += [
            _Evidence.from_parent(parent, target=target, verdict=verdict, key=key)
            for key in verdict.keys
        ]


@pytest.fixture(scope="session")
def oracle_report() -> Callable[..., Report]:
    """A function that judges: ``oracle_report(fn, contract="quantizer", **options) -> Report``.

    ``options`` are those of :func:`oracles.verify_soft_quantizer` or of the contract's judge. Say
    ``oracle_report(fn, window=5).raise_if_failed()`` in a test.
    """

    def judge(fn: Any, *, contract: str = "quantizer", **options: Any) -> Report:
        from oracles.cli.targets import CONTRACTS, judge_of, one_of

        return judge_of(one_of("contract", contract, tuple(CONTRACTS)))(fn, **options)

    return judge


class _Verdict:
    """A report that is made when it is first asked for; one for all of its tests."""

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        self._report: Report | None = None

    @property
    def report(self) -> Report:
        if self._report is None:
            self._report = self.candidate.judge()
        return self._report

    @functools.cached_property
    def keys(self) -> list[tuple[str, str]]:
        """Evidence and regimes that a sound function is judged by.

        Every worker of a distributed run has to collect the same tests, and collecting must not
        run a function that may crash: so they come from a sound one.
        """
        from dataclasses import replace

        options = replace(self.candidate.options, budget="quick")
        sound = replace(self.candidate, fn=_sound(self.candidate), options=options)
        checks = sound.judge().checks
        return list(dict.fromkeys((check.evidence, check.regime) for check in checks))


def _sound(candidate: Candidate) -> Callable[..., Any]:
    """The reference as a function under test."""
    import reference
    from oracles.cli.targets import CODINGS

    support: dict[str, Any] = {"window": candidate.window}

    def quantizer(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        from reference.compiled import soft_quantize_partials

        wide = (array.astype("float64") for array in (z, q, alpha))
        parts = soft_quantize_partials(*wide, max_level=max_level, **support)
        return tuple(part.astype(z.dtype) for part in parts)

    def cpmf(z: Any, q: Any, alpha: Any, max_level: int) -> Any:
        levels, weights = reference.cpmf(z, q, alpha, max_level=max_level, **support)
        return levels, weights.astype(z.dtype)

    def layer(image: Any, q: Any, alpha: Any, grad_output: Any, max_level: int) -> Any:
        options = support | {
            "max_level": max_level,
            "subsampling": candidate.options.subsampling,
            "compiled": True,
        }
        output = reference.jpeg_layer(image, q, alpha, **options)
        gradients = reference.jpeg_layer_vjp(image, q, alpha, grad_output, **options)
        return tuple(part.astype(image.dtype) for part in (output, *gradients))

    def baseline(z: Any, q: Any, *rest: Any) -> Any:
        *noise, max_level = rest
        partials = getattr(reference, f"{candidate.options.contract}_partials")
        return tuple(part.astype(z.dtype) for part in partials(z, q, *noise, max_level=max_level))

    def codec(image: Any, **options: Any) -> Any:
        from reference.jpeg_codec import roundtrip

        return roundtrip(image, **options)

    if candidate.options.contract in CODINGS:
        return _sound_coding(candidate.options)
    functions: dict[str, Callable[..., Any]] = {
        "codec": codec,
        "real_codec": codec,
        "quantizer": quantizer,
        "cpmf": cpmf,
        "layer": layer,
    }
    return functions.get(candidate.options.contract, baseline)


def _sound_coding(options: Any) -> Callable[..., Any]:
    from oracles.mutants.diff_jpeg_sound import rounded_coding
    from oracles.mutants.rounding_sound import rounded_twin

    form = {"straight_through": options.straight_through}
    if options.contract == "diff_jpeg":
        return rounded_coding(rounding=options.kind, subsampling=options.subsampling, **form)
    return rounded_twin(options.kind, floor=options.contract == "floor", **form)


class _Oracles(pytest.Collector):
    """What all these tests hang on."""

    def collect(self) -> Iterator[pytest.Item]:
        return iter(())


class _RejectedError(Exception):
    """Carries the text of a failed check."""


class _Evidence(pytest.Item):
    """One kind of evidence in one regime."""

    def __init__(
        self, *, target: str, verdict: _Verdict, key: tuple[str, str], **kwargs: Any
    ) -> None:
        candidate = verdict.candidate
        support = "full" if candidate.window is None else f"window{candidate.window}"
        evidence, regime = (part.replace(" ", "_") for part in key)
        name = f"{target}[{candidate.dtype}-{support}-{evidence}-{regime}]"
        super().__init__(name=name, **kwargs)
        self._verdict = verdict
        self._key = key

    def runtest(self) -> None:
        report = self._verdict.report
        mine = [c for c in report.checks if (c.evidence, c.regime) == self._key]
        if self._key == ("contract", "all"):
            # And whatever the sound function was not asked.
            known = set(self._verdict.keys)
            mine += [c for c in report.failures if (c.evidence, c.regime) not in known]
        failed = [check for check in mine if not check.passed]
        if failed:
            raise _RejectedError("\n".join(self._lines(report, failed)))
        if not mine:
            if "contract" in report.evidence(failed=True):
                raise _RejectedError("not judged: a call before this broke the contract")
            pytest.skip("; ".join(report.notes) or "not judged for this function")

    def _lines(self, report: Report, failed: list[Check]) -> list[str]:
        lines = [str(check) for check in failed]
        worst = max(failed, key=lambda check: check.worst)
        again = report.replay(worst)
        return [*lines, f"replay: {again}"] if again else lines

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, _RejectedError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        return "oracle", None, self.name
