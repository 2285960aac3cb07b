"""How the CPU quantizer cuts its work: promises that no result shows."""

from __future__ import annotations

from itertools import pairwise

import pytest

from torch_impl.kernels.cpu_quantizer import _layout

TABLES = (8, 3, 16, 8, 16, 8), (3, 1, 8, 1, 8)


@pytest.mark.parametrize(
    ("shape", "q_shape"),
    [((8, 40_000), (40_000,)), ((16, 20_001), (20_001,)), ((64, 3, 96, 96), (3, 96, 96))],
)
def test_the_shares_of_all_tasks_take_at_most_half_the_memory_of_z(shape, q_shape):
    layout = _layout(shape, q_shape, (1,))
    assert not layout.q.private
    assert layout.tasks > 1
    assert layout.tasks * layout.q.size <= layout.total / 2


@pytest.mark.parametrize(
    ("shape", "q_shape"),
    [((1 << 20,), (1,)), ((1 << 20,), (1 << 20,)), ((1 << 10, 1 << 10), (1 << 10,)), TABLES],
)
def test_there_is_work_for_several_threads(shape, q_shape):
    layout = _layout(shape, q_shape, q_shape)
    rows = [layout.bounds(task)[:2] for task in range(layout.tasks)]
    assert len(rows) >= min(8, layout.total >> 15)
    # Every row once, in order.
    assert rows[0][0] == 0
    assert all(a[1] == b[0] for a, b in pairwise(rows))
    assert rows[-1][1] * layout.length >= layout.total > (rows[-1][1] - 1) * layout.length


@pytest.mark.parametrize("side", [10, 64])
def test_tables_stand_still_along_rows_where_they_can(side):
    """One entry per plane: rows with a sum of their own, not an entry expanded per element."""
    layout = _layout((4, 6, side, side), (6, 1, 1), (6, 1, 1))
    assert (layout.length, layout.q.stride, layout.q.size) == (side * side, 0, 6)
