"""Time of one inference with and without the JPEG layer, measured on this machine (Table 11)."""

from __future__ import annotations

import platform
import statistics
import time
import warnings
from dataclasses import dataclass

import torch
from torch import nn

from torch_impl import JPEGLayer, MaskedWindowWarning, standard_tables

HBAR = 0.7
MAX_LEVEL = 1023
WINDOW = 5
_WARM_UP = 3

# The names of the rows are in the order in which times grow; on an NVIDIA RTX A5000.
PAPER = {
    "network alone": (5.46, 180.65),
    "with masked JPEG layer": (7.43, 133.79),
    "with full-space JPEG layer": (18.86, 52.27),
}
"""Milliseconds and images per second in Table 11: ResNet-18 on ImageNet."""


@dataclass(frozen=True)
class InferenceTime:
    """Time of one forward pass.

    Parameters
    ----------
    setting
        A key of `PAPER`.
    milliseconds
        Median over the repetitions, of one image.
    fastest
        Least of them, in milliseconds: what other work on the machine disturbs least.
    """

    setting: str
    milliseconds: float
    fastest: float

    @property
    def throughput(self) -> float:
        """Images per second."""
        return 1000 / self.milliseconds


def inference_times(
    network: nn.Module,
    size: tuple[int, int],
    *,
    device: str = "cpu",
    repetitions: int = 20,
) -> list[InferenceTime]:
    """Measure a network alone, with the masked and with the full-space JPEG layer.

    The settings take turns, so that a disturbance of the machine meets all of them; images are
    made of random numbers and pass one at a time.

    Parameters
    ----------
    network
        Takes (1, 3, H, W).
    size
        Height and width of the images in pixels.
    device
        "cpu" or "cuda".
    repetitions
        Forward passes per setting, at least 1, after a warm-up.

    Raises
    ------
    ValueError
        If repetitions is below 1.

    References
    ----------
    JPEG-DL, Table 11; section 4, ImageNet: b = 11, hbar = 0.7. The tables are Annex K at quality
    50; the time does not depend on them.
    """
    if repetitions < 1:
        raise ValueError(f"repetitions must be at least 1, got {repetitions}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MaskedWindowWarning)  # the paper's setting
        masked, full = (
            JPEGLayer(standard_tables(50), max_level=MAX_LEVEL, window=window, hbar=HBAR)
            for window in (WINDOW, None)
        )
    settings = (network, nn.Sequential(masked, network), nn.Sequential(full, network))
    source = torch.Generator().manual_seed(0)
    image = (255 * torch.rand(1, 3, *size, generator=source)).to(device)
    seconds: list[list[float]] = [[], [], []]
    for setting in settings:
        setting.to(device).eval()
    with torch.inference_mode():
        for number in range(_WARM_UP + repetitions):
            for setting, taken in zip(settings, seconds, strict=True):
                elapsed = _seconds(setting, image)
                if number >= _WARM_UP:
                    taken.append(elapsed)
    return [
        InferenceTime(name, 1000 * statistics.median(taken), 1000 * min(taken))
        for name, taken in zip(PAPER, seconds, strict=True)
    ]


def _seconds(model: nn.Module, image: torch.Tensor) -> float:
    _wait(image.device)
    start = time.perf_counter()
    model(image)
    _wait(image.device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def device_name(device: str) -> str:
    """What the times were measured on."""
    if device == "cuda":
        return str(torch.cuda.get_device_name())
    threads = torch.get_num_threads()
    name = platform.processor() or platform.machine()
    return f"CPU ({name}), {threads} thread{'s' if threads > 1 else ''}"


def table_11(
    times: list[InferenceTime],
    *,
    network: str,
    size: tuple[int, int],
    device: str,
    repetitions: int,
) -> str:
    """The measured times beside the paper's.

    Parameters
    ----------
    times
        From :func:`inference_times`.
    network
        Name of the network, for the heading.
    size, device, repetitions
        As they were measured with.
    """
    lines = [
        "Table 11 of JPEG-DL: time of one inference",
        "",
        f"Measured here: {network}, one image of {size[0]}x{size[1]} pixels at a time, float32, "
        f"b = 11, hbar = {HBAR}, 4:4:4,",
        f"{device_name(device)}, torch {torch.__version__}, median of {repetitions}.",
        "The paper's, beside it: ResNet-18, ImageNet, NVIDIA RTX A5000.",
        "",
        f"{'':28}{'measured here':^36}{'paper, other machine':^26}",
        f"{'':28}{'median ms':>10}{'fastest':>10}{'images/s':>12}{'ms':>14}{'images/s':>12}",
    ]
    for row in times:
        milliseconds, throughput = PAPER[row.setting]
        lines.append(
            f"{row.setting:28}{row.milliseconds:>10.2f}{row.fastest:>10.2f}{row.throughput:>12.2f}"
            f"{milliseconds:>14.2f}{throughput:>12.2f}"
        )
    return "\n".join(lines) + "\n"
