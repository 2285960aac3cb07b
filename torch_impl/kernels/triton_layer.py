"""The whole JPEG layer in Triton: what the layer operator runs on CUDA.

One kernel each way for 4:4:4 (:mod:`torch_impl.kernels.triton_full_chroma`), two each way with
chroma subsampling (:mod:`torch_impl.kernels.triton_subsampled`). The backward pass recomputes the
coefficients from the image, so that nothing of image size is saved. Gradients of the tables are
summed inside a program, written as one row per program, and added up in float64 by a second,
fixed-order sum: no atomics, bit-equal from run to run.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torch_impl import transforms
from torch_impl.kernels import triton_full_chroma, triton_subsampled


def encode_decode(
    image: Tensor,
    q: Tensor,
    alpha: Tensor,
    max_level: int,
    window: int,
    vertical: int,
    horizontal: int,
) -> Tensor:
    """JPEG encoding and decoding of a batch of images.

    Parameters
    ----------
    image : Tensor
        RGB in [0, 255], (N, 3, H, W), any H and W; float32, float16 or bfloat16.
    q, alpha : Tensor
        Quantization steps and scaling factors, positive, (rounds, 2, 8, 8): luma and chroma of
        every round.
    max_level : int
        L.
    window : int
        Levels of the masked CPMF; 0 for the full space.
    vertical, horizontal : int
        Chroma subsampling factors, 1 or 2.

    Returns
    -------
    Tensor
        Decoded RGB in the shape and dtype of the image, not clipped. All arithmetic is float32.

    References
    ----------
    JPEG Inspired Deep Learning, section 3.3, Fig. 1.
    """
    image, q, alpha = image.contiguous(), _table(q), _table(alpha)
    with torch.cuda.device_of(image):
        if (vertical, horizontal) == (1, 1):
            return triton_full_chroma.encode_decode(image, q, alpha, max_level, window)
        height, width = image.shape[2:]
        padded = transforms.pad_to_multiple(image, 8 * vertical, 8 * horizontal)
        factors = (vertical, horizontal)
        decoded = triton_subsampled.encode_decode(padded, q, alpha, max_level, window, factors)
        return decoded[..., :height, :width].contiguous()


def encode_decode_backward(
    grad: Tensor,
    image: Tensor,
    q: Tensor,
    alpha: Tensor,
    max_level: int,
    window: int,
    vertical: int,
    horizontal: int,
    needs: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of :func:`encode_decode`.

    Parameters
    ----------
    grad : Tensor
        Gradient of the decoded images, (N, 3, H, W).
    image, q, alpha, max_level, window, vertical, horizontal
        As in :func:`encode_decode`.
    needs : sequence of bool
        Which of the gradients of image, q and alpha to return; the others come back empty.

    Returns
    -------
    tuple of Tensor
        In the shapes and dtypes of image, q and alpha; bit-equal from run to run.

    References
    ----------
    JPEG Inspired Deep Learning, appendix A.1, eq. (10a), (10b) and (13).
    """
    tables = needs[1] or needs[2]
    options = (_table(q), _table(alpha), max_level, window)
    image, grad = image.contiguous(), grad.contiguous()
    with torch.cuda.device_of(image):
        if (vertical, horizontal) == (1, 1):
            grad_image, sums = triton_full_chroma.backward(grad, image, *options, tables)
        else:
            factors = (vertical, horizontal)
            size = image.shape[2:]
            padded = transforms.pad_to_multiple(image, 8 * vertical, 8 * horizontal)
            bottom, right = (p - s for p, s in zip(padded.shape[2:], size, strict=True))
            grad = torch.nn.functional.pad(grad, (0, right, 0, bottom))
            grad_image, sums = triton_subsampled.backward(grad, padded, *options, factors, tables)
            del padded, grad  # before the fold makes another image
            grad_image = _fold_edges(grad_image, size)
    if not tables:
        return grad_image, q.new_empty(0), alpha.new_empty(0)
    # Rows of (components, rounds, q | alpha, 64), all components together Y, Cb, Cr.
    by_component = torch.cat([rows.sum(0, dtype=torch.float64) for rows in sums])
    totals = torch.stack([by_component[0], by_component[1] + by_component[2]], dim=2)
    dq, dalpha = (  # (rounds, table, 64) each
        totals[:, i].reshape(like.shape).to(like.dtype).contiguous()
        if needed
        else like.new_empty(0)
        for i, (like, needed) in enumerate(((q, needs[1]), (alpha, needs[2])))
    )
    return grad_image if needs[0] else image.new_empty(0), dq, dalpha


def _table(table: Tensor) -> Tensor:
    return table.to(torch.float32).contiguous()


def _fold_edges(grad: Tensor, size: torch.Size) -> Tensor:
    """Adjoint of padding by edge replication: what lies beyond is added to the edge."""
    height, width = size
    if grad.shape[2:] == size:
        return grad
    rows = grad[:, :, :height].float()
    rows[:, :, -1] += grad[:, :, height:].sum(2, dtype=torch.float32)
    folded = rows[..., :width].clone()
    folded[..., -1] += rows[..., width:].sum(-1)
    return folded.to(grad.dtype)


__all__ = ["encode_decode", "encode_decode_backward"]
