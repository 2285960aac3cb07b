"""Times on a CUDA device: events on the stream, and replayed graphs."""

from __future__ import annotations

import torch

from benchmarks.measure import Work

_SHORTEST = 5e-3  # seconds between two events; a few microseconds of noise are then nothing
_MOST_CALLS = 200
_WARM_UP = 3


class CudaClock:
    """Time of one call, from events around several.

    Short work is repeated between the events, as many times as its first timing asks for. The
    device is drained before, so that the first call does not queue behind other work.
    """

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}

    def __call__(self, run: Work) -> float:
        """Seconds per call."""
        calls = self._calls.get(id(run))
        if calls is None:
            run()  # compiles, allocates
            once = _between_events(run, 1)
            calls = max(1, min(_MOST_CALLS, round(_SHORTEST / max(once, 1e-6))))
            self._calls[id(run)] = calls
        return _between_events(run, calls)


def _between_events(run: Work, calls: int) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(calls):
        run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / calls


def as_graph(run: Work) -> Work:
    """Capture one call; the result replays it without the launch cost of its kernels.

    Parameters
    ----------
    run : callable
        Work on tensors that stay where they are, without waiting for the device.

    Returns
    -------
    callable
        Replays the graph.

    Raises
    ------
    RuntimeError
        If the work cannot be captured.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # capture demands a warmed-up side stream
        for _ in range(_WARM_UP):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


__all__ = ["CudaClock", "as_graph"]
