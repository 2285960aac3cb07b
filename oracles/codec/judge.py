"""The judge of JPEG codecs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from oracles.codec import identities
from oracles.codec.cases import DEFAULTS, Case, make_cases
from oracles.codec.claim import Claim, make_claim, takes
from oracles.codec.files import check_encode, check_file_size
from oracles.codec.subject import CodecFindings, CodecFunction, CodecSubject
from oracles.contract import ContractError
from oracles.quantizer.judge import check_arguments
from oracles.report import Report
from reference import jpeg_codec
from reference.standard import annex_k_tables

__all__ = ["verify_jpeg_codec"]

# Of so many cases one is called again in other ways, and its file is looked at.
_EVERY = 7


def verify_jpeg_codec(
    fn: CodecFunction,
    *,
    exact: bool = DEFAULTS["exact"],
    qualities: str | Iterable[int] = DEFAULTS["qualities"],
    subsamplings: str | Iterable[str] | None = None,
    qtables: bool | None = None,
    grey: bool = DEFAULTS["grey"],
    multiple: int = DEFAULTS["multiple"],
    encode: Callable[..., Any] | None = None,
    file_size: Callable[..., Any] | None = None,
    seed: int = 0,
    budget: str = "quick",
) -> Report:
    """Judge a JPEG codec: what becomes of images that are encoded and decoded.

    Parameters
    ----------
    fn : callable
        ``fn(image, *, quality, subsampling) -> image`` and ``fn(image, *, qtables, subsampling)``:
        a uint8 array (H, W, 3) in; the coded image of that shape out, uint8 or floating. The
        quality is an int in 1..100 as libjpeg has it, the tables an int64 array (2, 8, 8) of
        1..255 in natural order, the sampling a name. Edges as libjpeg has them: repeated, and
        chroma cut to the samples of the image before it is widened.
    exact : bool
        Whether ``fn`` claims to be libjpeg-turbo, bit for bit: then nothing is tolerated. False
        for a codec in floating point, or with another integer transform, that truly rounds: it is
        held to the bounds of :mod:`oracles.codec.intervals`.
    qualities : str or iterable of int
        Those on offer, such as ``"1-100"`` or ``(50, 75, 90)``; every one of them is tried. Empty
        if there are only tables.
    subsamplings : str or iterable of str, optional
        Those on offer, of 4:4:4, 4:2:2, 4:2:0 and 4:4:0; as text, with commas. Default: the first
        three. A function without that parameter has one sampling, 4:2:0 unless another is named,
        and is called without it.
    qtables : bool, optional
        Whether tables of one's own are on offer. Default: whether ``fn`` takes them.
    grey : bool
        Whether images (H, W) are.
    multiple : int
        Sides of images are multiples of it: 16 for a codec of whole MCUs.
    encode : callable, optional
        With the arguments of ``fn``, gives the file as bytes. The reference decodes it; with
        ``exact`` its bytes are compared too.
    file_size : callable, optional
        With the arguments of ``fn``, gives the bytes of the file as an int; needs ``exact`` or
        ``encode``.
    seed : int
        Of the images, >= 0.
    budget : {"quick", "full"}
        Some 450 calls, or some 6,000.

    Returns
    -------
    Report
        Each finding names evidence, quality, sampling, image, the worst pixel and the first wrong
        one, and the number of its case for :func:`oracles.codec_case`.

    Raises
    ------
    TypeError, ValueError
        If an argument of this function itself is wrong.

    Examples
    --------
    >>> from reference.jpeg_codec import roundtrip
    >>> verify_jpeg_codec(roundtrip).passed
    True

    References
    ----------
    ITU-T T.81 | ISO/IEC 10918-1; libjpeg-turbo.
    """
    check_arguments(fn, None, "float64", seed, budget)
    out = CodecFindings()
    if qtables is None:
        qtables = takes(fn, "qtables")
        if not qtables:
            out.note("fn takes no qtables: tables of one's own were not judged")
    if subsamplings is None:
        subsamplings = DEFAULTS["subsamplings"]
        if not takes(fn, "subsampling"):
            subsamplings = "4:2:0"
            out.note("fn takes no subsampling: judged as 4:2:0; subsamplings= names another")
    claim = make_claim(
        exact=exact,
        qualities=qualities,
        subsamplings=subsamplings,
        qtables=qtables,
        grey=grey,
        multiple=multiple,
    )
    if len(claim.subsamplings) > 1 and not takes(fn, "subsampling"):
        raise ValueError(
            "fn takes no subsampling, so subsamplings must name the one that it has, got "
            f"{', '.join(claim.subsamplings)}"
        )
    for name, function in (("encode", encode), ("file_size", file_size)):
        if function is not None and not callable(function):
            raise TypeError(f"{name} must be callable, got {type(function).__name__}")
    if file_size is not None and encode is None and not exact:
        raise ValueError("file_size is compared with libjpeg's (exact=True) or with encode's files")
    subject = CodecSubject(fn, exact, claim.multiple)
    cases = make_cases(claim, seed, budget)
    for case in cases:
        chosen = case.number % _EVERY == 0
        with _broken(out, case):
            _judge(subject, case, out, calls=chosen)
        if chosen and (encode is not None or file_size is not None):
            with _broken(out, case):
                _judge_files(case, out, encode, file_size, exact=exact)
    for case in _entries(claim, seed):
        with _broken(out, case):
            identities.table_entries(subject, case, out)
    if not exact:
        pixels = [case.pixels for case in cases]
        wide, blocks = (sum(p[i] for p in pixels) for i in (2, 3))
        out.note(f"{wide} of {blocks} blocks lie near a tie: more than one level was accepted")
    kind = "equal to libjpeg-turbo" if exact else "in real arithmetic"
    title = f"JPEG codec, {kind}, seed {seed}, budget {budget}"
    settings = {
        "contract": "codec" if exact else "real_codec",
        **claim.settings,
        "seed": seed,
        "budget": budget,
    }
    return Report(title, out.checks, (), tuple(out.notes), settings)


def _judge(subject: CodecSubject, case: Case, out: CodecFindings, *, calls: bool) -> None:
    got = subject(case)
    out.called()
    expected, tolerance = case.expected(exact=subject.exact)
    out.pixels(case, got=got, expected=expected, tolerance=tolerance)
    for check in identities.NUMBERS:
        check(subject, case, got, out)
    if calls:
        for check in identities.CALLS:
            check(subject, case, got, out)


def _judge_files(
    case: Case,
    out: CodecFindings,
    encode: Callable[..., Any] | None,
    file_size: Callable[..., Any] | None,
    *,
    exact: bool,
) -> None:
    size = 0
    if encode is not None:
        size = check_encode(encode, case, out, exact=exact)
    if exact:
        size = jpeg_codec.file_size(case.image, **case.options)
    if file_size is not None:
        check_file_size(file_size, case, out, size)


def _entries(claim: Claim, seed: int) -> Iterator[Case]:
    """What the entries of tables are looked at with: large steps, luma unlike chroma."""
    if 64 % claim.multiple:
        return
    empty = np.zeros((64, 64, 3), np.uint8)
    sampling = "4:4:4" if "4:4:4" in claim.subsamplings else claim.subsamplings[0]
    base = Case("table entries", "own tables", "probes", empty, np.ones((2, 8, 8)), None, sampling)
    if claim.qtables:
        drawn = np.random.default_rng([seed, 1000]).integers(60, 250, (2, 8, 8))
        yield replace(base, tables=drawn.astype(np.float64))
    for quality in sorted({claim.nearest(wanted) for wanted in (8, 12)} if claim.qualities else ()):
        if quality <= 20:  # of smaller steps pixels do not tell
            tables = annex_k_tables(quality)
            yield replace(base, regime="quality", tables=tables, quality=quality)


@contextmanager
def _broken(out: CodecFindings, case: Case) -> Iterator[None]:
    """Go on with the next case where the function breaks its contract, and say in which."""
    try:
        yield
    except ContractError as error:
        out.broke(f"{case}: {error}", regime=case.regime)
