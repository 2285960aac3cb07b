"""What the CPU path holds: allocations of torch and of NumPy, over forward and backward."""

from __future__ import annotations

import tracemalloc

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from torch_impl import JPEGLayer
from torch_impl.encode_decode import encode_decode

# Images of 16 x 3 x 224 x 224 that forward and backward may hold above input and output.
LIMIT = 4.0


def _peak(work) -> float:
    """Bytes at the peak: torch's own and NumPy's, each at its worst, added."""
    tracemalloc.start()
    try:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
            work()
        numpy_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    held, peak = 0, 0
    for event in record.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak + numpy_peak


# Kineto announces a change of its own.
@pytest.mark.filterwarnings("ignore::UserWarning:torch.profiler", "ignore::FutureWarning")
@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_forward_and_backward_stay_below_four_images(subsampling, rounds):
    layer = JPEGLayer(q=4.0, subsampling=subsampling, rounds=rounds, trainable_alpha=True)
    image = torch.full((16, 3, 224, 224), 90.0).requires_grad_()
    grad = torch.ones_like(image)
    layer(image[:1]).sum().backward()  # compiles
    image.grad = None
    size = image.numel() * image.element_size()
    peak = _peak(lambda: layer(image).backward(grad))
    # The output is among what was allocated; at least it and the gradient must have shown.
    assert 2.0 <= peak / size <= LIMIT + 1


def test_the_measurement_sees_torch_and_numpy():
    size = 1 << 24
    assert _peak(lambda: torch.ones(size // 4) + torch.ones(size // 4)) >= 3 * size
    assert _peak(lambda: torch.ones(8).numpy().repeat(size // 32)) >= size


@pytest.mark.parametrize("factors", [(1, 1), (2, 2)])
def test_nothing_but_image_and_tables_is_saved(factors):
    image = torch.full((1, 3, 16, 16), 90.0).requires_grad_()
    q = torch.ones(1, 2, 8, 8).requires_grad_()
    alpha = torch.ones(1, 2, 8, 8).requires_grad_()
    saved: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        encode_decode(image, q, alpha, max_level=7, factors=factors)
    assert [x.data_ptr() for x in saved] == [x.data_ptr() for x in (image, q, alpha)]
