"""Peak memory of a piece of work: what torch and NumPy allocate while it runs."""

from __future__ import annotations

import tracemalloc
import warnings
from typing import Any

from torch.profiler import ProfilerActivity, profile

from benchmarks.measure import Work


def peak_bytes(work: Work) -> float:
    """Bytes at the peak above what was held before: torch's and NumPy's, each at its worst, added.

    A clock for :class:`benchmarks.measure.Race` that measures memory.
    """
    result: Any = None
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            # Kineto announces a change of its own.
            warnings.simplefilter("ignore")
            with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
                result = work()
        numpy_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    del result
    held, peak = 0, 0
    for event in record.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return float(peak + numpy_peak)


__all__ = ["peak_bytes"]
