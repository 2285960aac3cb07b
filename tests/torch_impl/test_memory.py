"""What the CPU path holds: allocations of torch and of NumPy, over forward and backward."""

from __future__ import annotations

import pytest
import torch

from benchmarks.memory import peak_bytes
from torch_impl import JPEGLayer
from torch_impl.encode_decode import encode_decode

# Images of 16 x 3 x 224 x 224 that forward and backward may hold above input and output.
LIMIT = 4.0


@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_forward_and_backward_stay_below_four_images(subsampling, rounds):
    layer = JPEGLayer(q=4.0, subsampling=subsampling, rounds=rounds, trainable_alpha=True)
    image = torch.full((16, 3, 224, 224), 90.0).requires_grad_()
    grad = torch.ones_like(image)
    layer(image[:1]).sum().backward()  # compiles
    image.grad = None
    size = image.numel() * image.element_size()
    peak = peak_bytes(lambda: layer(image).backward(grad))
    # The output is among what was allocated; at least it and the gradient must have shown.
    assert 2.0 <= peak / size <= LIMIT + 1


def test_the_measurement_sees_torch_and_numpy():
    size = 1 << 24
    assert peak_bytes(lambda: torch.ones(size // 4) + torch.ones(size // 4)) >= 3 * size
    assert peak_bytes(lambda: torch.ones(8).numpy().repeat(size // 32)) >= size


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
