"""How much of the bounds of codecs sound ones need: ``python -m tests.oracles.calibrate_codec``.

Every constant of :mod:`oracles.codec.intervals` is made smaller, alone and together with the
others, until a sound codec is accused.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from unittest.mock import patch

import numpy as np

from oracles import verify_jpeg_codec
from oracles.codec import intervals
from oracles.codec.cases import DEFAULTS, make_cases
from oracles.codec.claim import make_claim
from oracles.mutants.codec_sound import CODEC_SOUND

_NAMES = ("COLOUR", "PASS_ROUNDING", "CONSTANTS", "INVERSE_ROUNDING")
_SHARES = (1.0, 0.5, 0.2, 0.1, 0.0)


def accused(names: Iterable[str], share: float, seeds: Iterable[int]) -> list[str]:
    """Sound codecs that are rejected with the constants made smaller.

    Parameters
    ----------
    names : iterable of str
        Which constants.
    share : float
        What they are multiplied with.
    seeds : iterable of int

    Returns
    -------
    list of str
    """
    found = []
    with ExitStack() as stack:
        for name in names:
            smaller = share * getattr(intervals, name)
            stack.enter_context(patch.object(intervals, name, smaller))
        make_cases.cache_clear()
        for seed in seeds:
            for codec, (function, _) in CODEC_SOUND.items():
                if not verify_jpeg_codec(function, exact=False, seed=seed).passed:
                    found.append(f"{codec} ({seed})")
    make_cases.cache_clear()
    return found


def widths(seed: int) -> dict[str, np.ndarray]:
    """Widths of the accepted intervals, by evidence."""
    found: dict[str, list[np.ndarray]] = {}
    for case in make_cases(make_claim(**{**DEFAULTS, "exact": False}), seed, "quick"):
        low, high = case.pixels[:2]
        found.setdefault(case.evidence, []).append((high - low).ravel())
    return {name: np.concatenate(each) for name, each in found.items()}


if __name__ == "__main__":
    chosen = range(*map(int, sys.argv[1:3])) if len(sys.argv) > 2 else range(2)
    for constants in (*((name,) for name in _NAMES), _NAMES):
        for share in _SHARES:
            names = accused(constants, share, chosen)
            print(f"{' '.join(constants)} x {share:g}: {len(names)} accused", *names[:3])
    for evidence, width in widths(0).items():
        quantiles = np.quantile(width, (0.1, 0.5, 0.9))
        print(evidence, *(f"{q:.1f}" for q in quantiles))
