"""One pass over the images of a loader: checks, progress, sums over processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from torch_impl._validation import as_int
from torch_impl.jpeg_layer import check_image

Progress = bool | Callable[[int, int | None], None]
"""False: silence. True: a bar on the terminal. A function: called with (images done, expected)."""


class ImagePass:
    """Runs over a loader, adds up float64 sums, and joins those of all processes.

    Parameters
    ----------
    loader
        Batches (images, ...), images RGB (N, 3, H, W), floating point, in [0, 255].
    max_images
        Stop after this many images, over all processes; None for all.
    progress
        See :data:`Progress`.
    distributed
        Add up over the processes of torch.distributed, where it is initialized.
    """

    def __init__(
        self,
        loader: Iterable[Any],
        *,
        max_images: int | None,
        progress: Progress,
        distributed: bool,
    ) -> None:
        if not isinstance(loader, Iterable):
            raise TypeError(
                "loader must be an iterable of (images, labels), such as a "
                f"torch.utils.data.DataLoader, got {type(loader).__name__}"
            )
        if isinstance(loader, Tensor):
            raise TypeError("loader must give batches: put a single one into a list, [(x, y)]")
        if not isinstance(progress, bool) and not callable(progress):
            raise TypeError(f"progress must be True, False or a function, got {progress!r}")
        if max_images is not None:
            max_images = as_int("max_images", max_images, 1)
        self._loader = loader
        self._progress = progress
        self._joined = distributed and dist.is_available() and dist.is_initialized()
        self._share = max_images
        if self._joined and max_images is not None:
            rank, size = dist.get_rank(), dist.get_world_size()
            self._share = max_images // size + (rank < max_images % size)
        self._peak = 0.0

    def total(self, add: Callable[[Any], tuple[Tensor, int]], length: int) -> Tensor:
        """Sums of `add` over all batches and processes, then the number of images.

        Parameters
        ----------
        add
            Takes a batch, already checked and cut to what may still be taken; returns sums
            (`length` numbers) and how many images they stand for.
        length
            How many sums.

        Returns
        -------
        Tensor
            (length + 1,) float64 on the CPU.

        Raises
        ------
        RuntimeError
            If another process failed; the error of this process is raised as it is.
        """
        sums = torch.zeros(length + 1, dtype=torch.float64)
        error: Exception | None = None
        try:
            with self._report() as report:
                for batch in self._batches():
                    part, images = add(batch)
                    sums[:-1] += part.detach().cpu().double()
                    sums[-1] += images
                    report(int(sums[-1]))
        except Exception as caught:
            # Raised below: the other processes wait for this one's sums.
            error = caught
        others_failed = False
        if self._joined:
            device = _reduction_device()
            extremes = torch.tensor([self._peak, error is not None], device=device)
            dist.all_reduce(extremes, dist.ReduceOp.MAX)
            self._peak, others_failed = float(extremes[0]), bool(extremes[1])
            moved = sums.to(device)
            dist.all_reduce(moved)
            sums = moved.cpu()
        if error is not None:
            raise error
        if others_failed:
            raise RuntimeError("another process failed while it read its images: see its message")
        self._check(int(sums[-1]))
        return sums

    def _check(self, images: int) -> None:
        if not images:
            raise ValueError("loader gave no images: it is empty, or used up")
        if self._peak <= 1:
            raise ValueError(
                f"images must be RGB in [0, 255], and none of {images} has a value above 1: "
                "multiply by 255"
            )

    def _batches(self) -> Iterator[tuple[Any, ...]]:
        """Checked batches, as tuples, the last one cut."""
        left = self._share
        if left == 0:
            return
        for batch in self._loader:
            items = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
            if not items:
                raise ValueError("loader gave an empty tuple: a batch is (images, labels)")
            self._check_range(items[0])
            count = len(items[0])
            if left is not None and count > left:
                items = tuple(x[:left] if _runs_along(x, count) else x for x in items)
            yield items
            if left is not None:
                left -= len(items[0])
                if left <= 0:
                    return

    def _check_range(self, image: Any) -> None:
        check_image(image)
        low, high = (float(x) for x in image.detach().aminmax())
        if not (low >= 0 and high <= 255):  # NaN fails as well
            raise ValueError(
                f"images must lie in [0, 255], got values from {low:g} to {high:g}: give them as "
                "they are before normalization by mean and standard deviation"
            )
        self._peak = max(self._peak, high)

    @contextmanager
    def _report(self) -> Iterator[Callable[[int], None]]:
        expected = self._expected()
        if self._progress is False or (self._progress is True and not _first_process()):
            yield lambda done: None
        elif self._progress is True:
            from rich.progress import Progress as Bar

            with Bar() as bar:
                task = bar.add_task("images", total=expected)
                yield lambda done: bar.update(task, completed=done)
        else:
            tell = self._progress
            yield lambda done: tell(done, expected)

    def _expected(self) -> int | None:
        """How many images this process will see, where its sampler knows."""
        try:
            known = len(self._loader.sampler)  # type: ignore[attr-defined]
        except (AttributeError, TypeError):
            return self._share
        return known if self._share is None else min(known, self._share)


def _runs_along(value: Any, count: int) -> bool:
    return isinstance(value, (Tensor, list, tuple)) and len(value) == count


def _first_process() -> bool:
    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0


def _reduction_device() -> torch.device:
    if "nccl" in dist.get_backend():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
