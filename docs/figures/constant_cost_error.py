"""Measure reference.constant_cost: the tables and the figure of docs/constant_cost.md.

Run from the repository root: ``python docs/figures/constant_cost_error.py`` (two minutes).
The judge is the plain sum over all levels in extended precision (11 bits more than float64 where
the platform has them; elsewhere the errors printed include its own), and the mpmath arbiter.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import matplotlib as mpl
import mpmath
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from reference import constant_cost, constant_cost_compiled, high_precision
from reference.cpmf import nearest_level

Array = NDArray[np.float64]
EPS64, EPS32 = 2.0**-52, 2.0**-23
QUANTITIES = ("value", "d/dz", "d/dq", "d/dalpha")
REGIMES = ("theta", "direct, <= 9", "direct, <= 64", "smooth")
SWEEP = {1: 40, 2: 40, 3: 40, 7: 60, 31: 40, 32: 40, 63: 40, 127: 60, 1023: 10, 2047: 5}


class Judged(NamedTuple):
    """Exact value and partials, and the natural scale of each, shape (4, n)."""

    truth: Array
    scale: Array


def judge(z: Array, q: Array, alpha: Array, max_level: int) -> Judged:
    """Plain sum over all levels in extended precision."""
    nearest, distance = (a.astype(np.longdouble) for a in nearest_level(z, q, max_level))
    z_, q_, alpha_ = (a.astype(np.longdouble) for a in (z, q, alpha))
    c, d, h = z_ / q_, distance / q_, alpha_ * q_ * q_
    k = np.arange(-max_level, max_level + 1) - nearest[:, None]
    p = np.exp((alpha_ * q_)[:, None] * k * (2 * distance[:, None] - k * q_[:, None]))
    p /= p.sum(axis=-1, keepdims=True)
    mean = (p * k).sum(axis=-1)
    y = k - mean[:, None]
    var, mu3, spread = ((p * f).sum(axis=-1) for f in (y * y, y * y * y, np.abs(y * y * y)))
    size = (p * np.abs(nearest[:, None] + k)).sum(axis=-1)
    level, excess = nearest + mean, mean - d
    dz, dq = 2 * h * var, level - 2 * h * (mu3 + (level + excess) * var)
    dalpha = -(mu3 + 2 * excess * var)
    truth = np.stack([q_ * level, dz, dq, q_**3 * dalpha])
    inputs = np.abs(c * dz) + np.abs(dq) + np.abs(h * dalpha)
    curved = 2 * h * (spread + (2 * np.abs(level) + np.abs(c)) * var)
    scale = np.stack(
        [
            q_ * (size + inputs + np.finfo(np.float64).tiny / EPS64),
            dz + 1,
            size + curved + 1 + np.minimum(np.abs(c), max_level),
            q_**3 * (spread + 2 * np.abs(excess) * var + 1),
        ]
    )
    return Judged(truth, scale)


def adversarial(count: int, max_level: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Points crowded on regime boundaries, ties, levels, ends and far outside; h in 1e-6..1e6."""
    level = rng.integers(0, max_level + 1, count)
    h = np.choose(
        rng.integers(0, 5, count),
        [
            10 ** rng.uniform(-6, 6, count),
            10 ** rng.uniform(-6, 0.7, count),
            np.pi * (1 + 1e-3 * rng.normal(size=count) * rng.integers(0, 2, count)),
            45 / (rng.integers(1, 130, count) + rng.uniform(-0.6, 0.6, count)) ** 2,
            10 ** rng.uniform(-4, 2.5, count) / max_level**2,
        ],
    ).clip(1e-6, 1e6)
    near = 10 ** rng.uniform(-16, -1, count) * rng.choice([-1, 1], count)
    c = np.choose(
        rng.integers(0, 8, count),
        [
            rng.uniform(0, 1.3 * max_level, count),
            level + 0.5,
            level * 1.0,
            max_level + rng.normal(size=count) * np.sqrt(45 / h),
            max_level + 10 ** rng.uniform(-2, 2, count) * np.minimum(1 / h, 1e6 * max_level),
            10 ** rng.uniform(-18, 0, count),
            max_level * 10 ** rng.uniform(-1, 6, count),
            level + near + rng.choice([0, 0.5], count),
        ],
    ) * rng.choice([-1, 1], count)
    q = np.where(
        rng.integers(0, 2, count), 2.0 ** rng.integers(-8, 8, count), 10 * rng.random(count)
    )
    return c * q, q, h / q**2


def regimes(z: Array, q: Array, alpha: Array, max_level: int) -> NDArray[np.int64]:
    """Regime of every point, an index into REGIMES."""
    with np.errstate(all="ignore"):
        return constant_cost._regime(constant_cost._localize(np.abs(z), q, alpha, max_level))


def errors(got: tuple[Array, ...], judged: Judged, eps: float = EPS64) -> Array:
    """Errors in units of eps times the natural scale, shape (4, n)."""
    error = np.abs(np.stack(got) - judged.truth) / (eps * judged.scale)
    return np.asarray(error, dtype=np.float64)


def measure_worst() -> None:
    """Worst error per regime and quantity, NumPy and Numba."""
    rng = np.random.default_rng(2026)
    worst = np.zeros((2, len(REGIMES), 4))
    points = np.zeros(len(REGIMES), dtype=int)
    for max_level, chunks in SWEEP.items():
        for _ in range(chunks):
            args = *adversarial(min(4000, 1_000_000 // max_level), max_level, rng), max_level
            judged, regime = judge(*args), regimes(*args)
            points += np.bincount(regime, minlength=len(REGIMES))
            for i, room in enumerate((constant_cost, constant_cost_compiled)):
                error = errors(room.soft_quantize_partials(*args[:3], max_level=max_level), judged)
                for j in range(len(REGIMES)):
                    worst[i, j] = np.maximum(worst[i, j], error[:, regime == j].max(1, initial=0))
    print(f"worst error, units of eps64 x scale, {points.sum()} points, L in {list(SWEEP)}")
    for i, name in enumerate(("NumPy", "Numba")):
        for j, regime_name in enumerate(REGIMES):
            print(f"  {name} {regime_name:14} {points[j]:8d} points", worst[i, j].round(2))


def measure_arbiter() -> None:
    """Worst error against the mpmath arbiter, for the levels that it can afford."""
    rng = np.random.default_rng(7)
    for max_level, count in {1: 1000, 3: 1000, 7: 1000, 32: 200, 127: 100}.items():
        z, q, alpha = adversarial(count, max_level, rng)
        truths = [
            high_precision.soft_quantize_partials(*map(float, point), max_level=max_level)
            for point in zip(z, q, alpha, strict=True)
        ]
        exact = np.array([[extended(x) for x in truth] for truth in truths]).T
        judged = Judged(exact, judge(z, q, alpha, max_level).scale)
        for name, room in (("NumPy", constant_cost), ("Numba", constant_cost_compiled)):
            got = room.soft_quantize_partials(z, q, alpha, max_level=max_level)
            print(
                f"  arbiter {name} L={max_level} {count} points",
                errors(got, judged).max(1).round(2),
            )


def extended(x: mpmath.mpf) -> np.longdouble:
    """Round an mpmath number to extended precision; what float64 cannot hold is 0."""
    return np.longdouble(mpmath.nstr(x, 25) if abs(x) > 1e-320 else 0)


def measure_terms() -> None:
    """Truncation error of fewer terms, in units of eps32 x scale: what float32 needs."""
    rng = np.random.default_rng(32)
    cases = []
    for max_level in (1, 7, 32, 63, 127, 1023):
        args = *adversarial(min(20_000, 4_000_000 // max_level), max_level, rng), max_level
        cases.append((args, judge(*args)))

    def worst(**constants: object) -> Array:
        result = np.zeros(4)
        with mock.patch.multiple(constant_cost, **constants):
            for args, judged in cases:
                got = constant_cost.soft_quantize_partials(*args[:3], max_level=args[3])
                result = np.maximum(result, errors(got, judged, EPS32).max(axis=1))
        return result

    quadrature = constant_cost._gauss_legendre
    corrections = constant_cost._midpoint_coefficients
    print("truncation alone, units of eps32 x scale (value, d/dz, d/dq, d/dalpha)")
    for name, choices in {
        "_THETA_TERMS": (1, 2, 3),
        "_NEAR": (1, 2, 3),
        "_REACH": (12.0, 16.0, 18.0, 20.0, 22.0, 24.0),
    }.items():
        for choice in choices:
            print(f"  {name} = {choice}:", np.array2string(worst(**{name: choice}), precision=2))
    single = {"_REACH": 20.0, "_NEAR": 2, "_THETA_TERMS": 2}
    for levels in (16, 24, 32):
        for nodes in (20, 22, 24):
            for terms in (3, 4, 5):
                node, weight = quadrature(nodes)
                result = worst(
                    **single,
                    _LEVELS=levels,
                    _NODE=node,
                    _NODE_WEIGHT=weight,
                    _CORRECTIONS=terms,
                    _COEFFICIENT=corrections(terms),
                )
                if result.max() < 8:
                    print(
                        f"  levels <= {levels}, {nodes} nodes, {terms} corrections:",
                        result.round(2),
                    )


def measure_time() -> None:
    """Nanoseconds per element and regime, one thread."""
    rng = np.random.default_rng(1)
    for max_level in (127, 1023):
        args = adversarial(40_000, max_level, rng)
        regime = regimes(*args, max_level)
        for j, name in enumerate(REGIMES):
            chosen = np.resize(np.flatnonzero(regime == j), 100_000)
            part, seconds = [a[chosen] for a in args], []
            for room in (constant_cost_compiled, constant_cost):
                room.soft_quantize_partials(*part, max_level=max_level)
                best = np.inf
                for _ in range(5 if room is constant_cost_compiled else 1):
                    start = time.perf_counter()
                    room.soft_quantize_partials(*part, max_level=max_level)
                    best = min(best, time.perf_counter() - start)
                seconds.append(best)
            print(
                f"  L={max_level} {name:14} Numba {seconds[0] * 1e4:7.0f} ns,"
                f" NumPy {seconds[1] * 1e4:7.0f} ns per element"
            )


def draw(path: Path, max_level: int = 127) -> None:
    """Worst error per cell of the (h, c) plane, one panel per quantity."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.colors import LogNorm

    rng = np.random.default_rng(3)
    x_edges, y_edges = np.linspace(-6, 6, 97), np.linspace(0, 1.25 * max_level, 81)
    worst = np.zeros((4, 96, 80))
    for _ in range(80):
        n = 5000
        c = rng.uniform(0, y_edges[-1], n)
        c = np.where(rng.random(n) < 0.3, np.rint(2 * c) / 2, c)  # levels and ties
        h = 10 ** rng.uniform(-6, 6, n)
        q = 10 ** rng.uniform(-2, 2, n)
        args = c * q, q, h / q**2, max_level
        got = constant_cost.soft_quantize_partials(*args[:3], max_level=max_level)
        error = errors(got, judge(*args))
        i = np.clip(np.digitize(np.log10(h), x_edges) - 1, 0, 95)
        j = np.clip(np.digitize(c, y_edges) - 1, 0, 79)
        for quantity in range(4):
            np.maximum.at(worst[quantity], (i, j), error[quantity])
    grid_h, grid_c = np.meshgrid(10 ** np.linspace(-6, 6, 600), np.linspace(0, y_edges[-1], 500))
    regime = regimes(grid_c.ravel(), np.ones(grid_c.size), grid_h.ravel(), max_level)
    regime = np.where(regime == 2, 1, regime).reshape(grid_h.shape)

    figure, axes = plt.subplots(
        2, 2, figsize=(10, 7.5), sharex=True, sharey=True, layout="constrained"
    )
    for ax, name, cells, limit in zip(axes.flat, QUANTITIES, worst, (16, 64, 64, 200), strict=True):
        image = ax.pcolormesh(
            10**x_edges, y_edges, cells.T.clip(0.02), norm=LogNorm(0.02, 16), cmap="viridis"
        )
        ax.contour(grid_h, grid_c, regime, levels=[0.5, 2], colors="white", linewidths=0.8)
        ax.axhline(max_level, color="white", linestyle=":", linewidth=0.8)
        ax.set_xscale("log")
        ax.set_title(f"{name}: worst {cells.max():.1f}, limit {limit}")
    for text, at in (("theta", (3e-2, 50)), ("direct", (1e3, 50)), ("smooth", (4e-6, 50))):
        axes[0, 0].text(*at, text, color="white", fontsize=11)
    figure.supxlabel("h = alpha q²")
    figure.supylabel(f"c = z / q   (dotted: the end, L = {max_level})")
    figure.suptitle("Error of reference.constant_cost, units of eps64 × natural scale")
    figure.colorbar(image, ax=axes, label="worst error in the cell", extend="both")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    measure_time()
    measure_worst()
    measure_arbiter()
    measure_terms()
    draw(Path(__file__).with_suffix(".png"))
