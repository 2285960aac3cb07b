"""The judge of JPEG layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.contract import ContractError
from oracles.layer import identities
from oracles.layer.cases import LAYER_BUDGETS, make_layer_cases
from oracles.layer.definition import check_definition
from oracles.layer.differences import check_layer_differences
from oracles.layer.exact import check_basis, check_limits
from oracles.layer.identities import Judged
from oracles.layer.maps import LayerMaps
from oracles.layer.subject import (
    LayerFindings,
    LayerFunction,
    LayerResult,
    LayerSubject,
)
from oracles.quantizer.judge import check_arguments
from oracles.report import ErrorMap, Report
from reference.standard import SUBSAMPLINGS

__all__ = ["LayerFunction", "verify_jpeg_layer"]

_TINY = float(np.finfo(np.float64).tiny)
# Another content of freed memory than the NaN of every other call.
_OTHER_POISON = 1e30
# Cases whose tables serve the evidence "translation" in a quick verdict.
_TRANSLATED = ("noise", "odd size", "Annex K", "saturated")


def verify_jpeg_layer(
    fn: LayerFunction,
    *,
    window: int | None = None,
    subsampling: str = "4:4:4",
    dtype: Any = "float32",
    seed: int = 0,
    budget: str = "quick",
) -> Report:
    """Judge an implementation of the JPEG layer and its vector-Jacobian product.

    Parameters
    ----------
    fn : callable
        ``fn(image, q, alpha, grad_output, max_level) -> (output, grad_image, grad_q,
        grad_alpha)``. In: NumPy arrays of ``dtype``; image and grad_output (N, 3, H, W), any
        N, H, W >= 1, RGB in [0, 255] and the weights of the output; q in [1e-3, 255] and alpha
        >= 4e-6, (2, 8, 8), [0] luma and [1] chroma, natural order; ``max_level`` an int. Out:
        floating arrays; the decoded RGB, neither rounded nor clipped, and the gradients of
        sum(grad_output * output), each of its argument's shape. Sides are padded to whole MCUs by
        repeating the last row and column, chroma is averaged over each cell and interpolated
        linearly back (:func:`reference.jpeg_layer`).
    window : int, optional
        The support that ``fn`` claims: an odd number >= 3 of levels about the nearest one, or
        None for all 2L+1 levels.
    subsampling : {"4:4:4", "4:2:2", "4:2:0"}
        The chroma subsampling that ``fn`` claims.
    dtype : {"float32", "float64"}
        Dtype of the inputs, and unit of the tolerances.
    seed : int
        Of the inputs, >= 0.
    budget : {"quick", "full"}
        Every case once, or eight times with larger images.

    Returns
    -------
    Report
        ``passed``, every check with the place and size of its worst error, and maps of the
        errors over table entries and over pixels. A function that raises, changes its inputs or
        returns something unfitting gets a failed report.

    Raises
    ------
    TypeError, ValueError
        If an argument of this function itself is out of range.

    Examples
    --------
    >>> import reference
    >>> def fn(image, q, alpha, grad_output, max_level):
    ...     output = reference.jpeg_layer(image, q, alpha, max_level=max_level, compiled=True)
    ...     gradients = reference.jpeg_layer_vjp(
    ...         image, q, alpha, grad_output, max_level=max_level, compiled=True
    ...     )
    ...     return output, *gradients
    >>> verify_jpeg_layer(fn, dtype="float64").passed
    True

    References
    ----------
    JPEG-DL, sections 3.1 and 3.3, Fig. 1, and appendix A.1.
    """
    kind = _check_arguments(fn, window, subsampling, dtype, seed, budget)
    subject = LayerSubject(fn, window, subsampling, kind)
    out = LayerFindings()
    maps: tuple[ErrorMap, ...] = ()
    try:
        # Wrong outputs may be infinite or NaN; that is counted, not warned of.
        with np.errstate(all="ignore"):
            maps = _judge(subject, out, seed, budget)
    except ContractError as error:
        out.broke(str(error))
    support = "all levels" if window is None else f"window {window}"
    title = f"JPEG layer {subsampling}, {support}, {kind}, seed {seed}, budget {budget}"
    settings = {
        "contract": "layer",
        "window": window,
        "subsampling": subsampling,
        "dtype": kind.name,
        "seed": seed,
        "budget": budget,
    }
    return Report(title, out.checks, maps, tuple(out.notes), settings)


def _check_arguments(
    fn: Any, window: Any, subsampling: Any, dtype: Any, seed: Any, budget: Any
) -> np.dtype[Any]:
    if not callable(fn):
        raise TypeError(
            "fn must be callable as fn(image, q, alpha, grad_output, max_level), "
            f"got {type(fn).__name__}"
        )
    if not isinstance(subsampling, str) or subsampling not in SUBSAMPLINGS:
        raise ValueError(
            f"subsampling must be one of {', '.join(SUBSAMPLINGS)}, got {subsampling!r}"
        )
    return check_arguments(fn, window, dtype, seed, budget)


def _judge(
    subject: LayerSubject, out: LayerFindings, seed: int, budget: str
) -> tuple[ErrorMap, ...]:
    maps = LayerMaps()
    cases = make_layer_cases(window=subject.window, dtype=subject.dtype, seed=seed, budget=budget)
    for number, case in enumerate(cases):
        rng = np.random.default_rng([seed, 1, number])
        judged = Judged(case, subject(case), subject.tolerance(case))
        out.called(regime=case.name)
        expected = subject.expected(case)
        _check_finite(judged, out)
        out.compare(
            "reference", case, got=judged.got, expected=expected, tolerance=judged.tolerance
        )
        maps.add(judged, expected)
        _check_repeatable(subject, judged, out)
        _check_strides(subject, judged, out)
        identities.linear(subject, judged, out, rng)
        identities.euler(subject, judged, out)
        identities.oddness(subject, judged, out)
        identities.scale(subject, judged, out)
        identities.neighbours(subject, judged, out)
        identities.padding(subject, judged, out)
        if budget == "full" or case.name in _TRANSLATED:
            identities.translation(subject, judged, out, rng)
    for repetition in range(LAYER_BUDGETS[budget]):
        rng = np.random.default_rng([seed, 2, repetition])
        check_limits(subject, out, rng)
        check_basis(subject, out, rng)
        check_definition(subject, out, rng)
        check_layer_differences(subject, out, rng)
    return maps.made()


def _check_finite(judged: Judged, out: LayerFindings) -> None:
    """Finite inputs give finite outputs, saturated or not."""
    zero = LayerResult(*(np.zeros_like(part) for part in judged.got))
    one = LayerResult(*(np.ones_like(part) for part in judged.got))
    got = LayerResult(*(np.where(np.isfinite(part), 0.0, part) for part in judged.got))
    out.compare("finite", judged.case, got=got, expected=zero, tolerance=one)


def _check_repeatable(subject: LayerSubject, judged: Judged, out: LayerFindings) -> None:
    """The same call again gives the same, and so it does with other leftovers in memory.

    Pixels bit by bit. The gradients of the tables are sums over all blocks, which a parallel
    device may add up in any order: they only have to stay within their tolerance.
    """
    again = subject(judged.case)
    other = subject(judged.case, poison=_OTHER_POISON)
    bits = [np.full_like(part, _TINY) for part in judged.got[:2]]
    sums = [2 * part for part in judged.tolerance[2:]]
    # Where both calls gave NaN, that is no difference: it is the evidence "finite".
    expected = LayerResult(*(np.nan_to_num(part) for part in judged.got))
    for evidence, result in (("determinism", again), ("unwritten", other)):
        same = (
            np.where((a == b) | (np.isnan(a) & np.isnan(b)), want, a)
            for a, b, want in zip(result, judged.got, expected, strict=True)
        )
        out.compare(
            evidence,
            judged.case,
            got=LayerResult(*same),
            expected=expected,
            tolerance=LayerResult(bits[0], bits[1], sums[0], sums[1]),
        )


def _check_strides(subject: LayerSubject, judged: Judged, out: LayerFindings) -> None:
    """Inputs that are not contiguous: other strides, and every second entry of a NaN buffer."""
    for arrange in (_inner_axes_last, _every_second):
        out.compare(
            "strided",
            judged.case,
            got=subject(judged.case, arrange=arrange),
            expected=judged.got,
            tolerance=judged.tolerance.times(2, 2, 2, 2),
        )


def _inner_axes_last(array: NDArray[Any]) -> NDArray[Any]:
    """Channels last for images, columns first for tables."""
    axis = 1 if array.ndim == 4 else -2
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, axis, -1)), -1, axis)


def _every_second(array: NDArray[Any]) -> NDArray[Any]:
    shape = (*array.shape[:-2], 2 * array.shape[-2], 2 * array.shape[-1])
    buffer = np.full(shape, np.nan, dtype=array.dtype)
    buffer[..., ::2, ::2] = array
    return buffer[..., ::2, ::2]
