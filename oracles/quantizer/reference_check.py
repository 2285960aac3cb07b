"""The difference to the reference, in units of the tolerance."""

from __future__ import annotations

import numpy as np

from oracles.findings import Codes
from oracles.subject import Array, Inputs, PointFindings, Subject
from oracles.tolerance import ambiguous_windows, windowed
from reference.compiled import soft_quantize_partials

__all__ = ["check_reference", "expectation"]


def expectation(subject: Subject, inputs: Inputs, got: Array) -> tuple[Array, Array]:
    """What the reference says, and how far a sound implementation may be off.

    Parameters
    ----------
    subject : Subject
        The implementation under test: support, level count, dtype.
    inputs : Inputs
        n points.
    got : ndarray, shape (4, n)
        What came out. Where rounding may pick either of two windows, the expectation is that of
        the window that fits more of the four outputs.

    Returns
    -------
    expected, tolerance : ndarray, shape (4, n)
    """
    expected = np.array(
        soft_quantize_partials(*inputs, max_level=subject.max_level, window=subject.window)
    )
    tolerance = subject.tolerance(inputs)
    if subject.window is not None:
        either, _, other = ambiguous_windows(
            inputs.z,
            inputs.q,
            max_level=subject.max_level,
            window=subject.window,
            dtype=subject.dtype,
        )
        z, q, alpha = inputs.take(either)
        expected_other, tolerance_other = windowed(
            z,
            q,
            alpha,
            other[either],
            max_level=subject.max_level,
            window=subject.window,
            dtype=subject.dtype,
        )
        here = got[:, either]
        with np.errstate(all="ignore"):
            first = np.abs(here - expected[:, either]) / tolerance[:, either]
            second = np.abs(here - expected_other) / tolerance_other
            # All four outputs have to come from the same window: that which fits more of them.
            gain = (second <= 1).sum(axis=0) - (first <= 1).sum(axis=0)
            swap = (gain > 0) | ((gain == 0) & (second.max(axis=0) < first.max(axis=0)))
        nearer = np.flatnonzero(either)[swap]
        expected[:, nearer] = expected_other[:, swap]
        tolerance[:, nearer] = tolerance_other[:, swap]
    return expected, tolerance


def check_reference(
    subject: Subject, inputs: Inputs, regimes: Codes, got: Array, out: PointFindings
) -> None:
    """Add the evidence ``"reference"``: each output against the reference's."""
    expected, tolerance = expectation(subject, inputs, got)
    out.compare_all(
        "reference",
        regimes,
        subject,
        inputs,
        got=got,
        expected=expected,
        tolerance=tolerance,
    )
