"""The GPU benchmarks, run on the CPU on small images: what they compare, not how fast it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import bench_cuda, workloads
from benchmarks.cuda_timing import CudaClock, as_graph
from benchmarks.measure import Opponent, Work
from benchmarks.ratios import Kind, Ratio
from benchmarks.workloads import CIFAR, IMAGENET, Setting


class Recorder:
    """Takes the place of the fixture `race`: calls both sides once, and remembers."""

    def __init__(self) -> None:
        self.name = ""
        self.opponent: Opponent
        self.outputs: list[Any] = []

    def __call__(
        self, name: str, candidate: Work, opponents: Sequence[Opponent], **_: object
    ) -> list[Ratio]:
        self.name = name
        (self.opponent,) = opponents
        self.outputs = [candidate(), self.opponent.run()]
        return []


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    def small(shape: workloads.Shape, device: str) -> Tensor:
        return workloads.images((min(shape[0], 2), 3, 64, 64), device)

    monkeypatch.setattr(bench_cuda, "DEVICE", "cpu")
    monkeypatch.setattr(bench_cuda, "images", small)
    monkeypatch.setattr(bench_cuda, "as_graph", lambda run: run)
    return Recorder()


@pytest.mark.parametrize("support", bench_cuda.SUPPORTS)
@pytest.mark.parametrize("setting", [CIFAR, IMAGENET], ids=lambda setting: setting.name)
@pytest.mark.parametrize(("direction", "work"), [("forward", 1.0), ("forward+backward", 2.5)])
def test_bandwidth(
    on_cpu: Recorder, direction: str, work: float, setting: Setting, support: str
) -> None:
    # Five images cross the bus forwards and backwards, two in a copy.
    for test, goals in (
        (bench_cuda.test_layer_bandwidth, {"forward": 0.60, "forward+backward": 0.40}),
        (bench_cuda.test_quantizer_bandwidth, {}),
    ):
        test(on_cpu, direction, setting, support)
        assert on_cpu.opponent.kind is Kind.SHARE
        assert on_cpu.opponent.work == work
        with_goal = setting is CIFAR and support == "full"
        assert on_cpu.opponent.goal == (goals.get(direction) if with_goal else None)
        mine, copied = on_cpu.outputs
        result = mine if direction == "forward" else mine[0]
        assert result.shape == copied.shape
        assert torch.isfinite(result).all()


@pytest.mark.parametrize("support", bench_cuda.SUPPORTS)
@pytest.mark.parametrize("batch", [1, 256])
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_cost_on_top(on_cpu: Recorder, mode: str, batch: int, support: str) -> None:
    bench_cuda.test_cost_on_top_of_resnet18(on_cpu, mode, batch, support)
    assert on_cpu.opponent.kind is Kind.OVERHEAD
    paper = {"full": "+245%", "window 5": "+36%"}[support]
    assert (paper in on_cpu.opponent.note) is (mode == "inference")
    goals = {1: 0.03, 256: 0.02}
    with_goal = mode == "inference" and support == "full"
    assert on_cpu.opponent.goal == (goals[batch] if with_goal else None)


def test_graph(on_cpu: Recorder) -> None:
    bench_cuda.test_cost_in_a_cuda_graph(on_cpu, "full")
    assert on_cpu.outputs[0].shape == on_cpu.outputs[1].shape == (1, 1000)
    assert "CUDA graph" in on_cpu.name


def test_layer_that_cannot_be_captured(on_cpu: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(run: Work) -> Work:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(bench_cuda, "as_graph", refuse)
    with pytest.raises(pytest.skip.Exception, match="cannot be captured"):
        bench_cuda.test_cost_in_a_cuda_graph(on_cpu, "full")


@pytest.mark.gpu
def test_cuda_clock_sees_the_work() -> None:
    small, large = (torch.ones(n, n, device="cuda") for n in (64, 4096))
    clock = CudaClock()
    # 260,000 times the arithmetic; more than ten times the time on any device.
    assert clock(lambda: large @ large) > 10 * clock(lambda: small @ small)


@pytest.mark.gpu
def test_graph_replays() -> None:
    x = torch.zeros(8, device="cuda")
    replay = as_graph(lambda: x.add_(1))
    before = float(x[0])
    replay()
    assert float(x[0]) == before + 1
