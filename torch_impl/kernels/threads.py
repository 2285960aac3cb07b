"""A small thread pool for kernels that release the GIL."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}  # by size


def _pool(helpers: int) -> ThreadPoolExecutor:
    with _lock:
        if helpers not in _pools:
            _pools[helpers] = ThreadPoolExecutor(helpers, thread_name_prefix="jpegdl")
        return _pools[helpers]


def _after_fork() -> None:
    """Forget the threads of the parent, which do not exist here; one may have held the lock."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


os.register_at_fork(after_in_child=_after_fork)


def run_tasks(task: Callable[[int], object], count: int) -> None:
    """Call ``task(0)`` to ``task(count - 1)``, on ``torch.get_num_threads()`` threads.

    The caller works too, and waits for nothing but tasks under way, so calls from many
    threads at once share the pool without waiting for each other's turn.

    Parameters
    ----------
    task : callable
        Gets the number of the task. Tasks must not depend on their order.
    count : int
        Number of tasks.
    """
    threads = min(torch.get_num_threads(), count)
    if threads <= 1:
        for i in range(count):
            task(i)
        return
    numbers = itertools.count()

    def work() -> None:
        while (i := next(numbers)) < count:  # next() is atomic
            task(i)

    helpers = _pool(torch.get_num_threads() - 1)
    futures = [helpers.submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        for future in futures:
            if not future.cancel():
                future.result()
