"""Throughput over the population, and the roofline of the machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from experiments.speed.tables import knee
from jaxga.report.plots import STYLE

_TASKS = {"mnist": "MNIST", "cartpole": "PPO on CartPole"}
_BASELINES = ("torch", "stable_baselines3", "sequential")


def throughput(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Members per second over the population, a panel a task, beside one training after another."""
    tasks = [name for name in _TASKS if any(row["section"] == name and row.get("is_sweep") for row in rows)]
    if not tasks:
        return
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, len(tasks), figsize=(5.2 * len(tasks), 3.8), squeeze=False)
        for axes, task in zip(panels[0], tasks, strict=True):
            sweep = [row for row in rows if row["section"] == task and row.get("is_sweep")]
            sizes, rates = ([row[name] for row in sweep] for name in ("pop", "members_per_second"))
            axes.plot(sizes, rates, "o-", color="#0072B2", label="jaxga")
            found = knee(sweep)
            if found:
                axes.axvline(found["pop"], color="#999999", linewidth=1, linestyle=":")
            others = [row for row in rows if row["section"] == task and row["kind"] in _BASELINES]
            for row, colour in zip(others, ("#D55E00", "#009E73"), strict=False):
                axes.axhline(row["members_per_second"], color=colour, linewidth=1.2, label=row["label"])
            axes.set(
                xscale="log", yscale="log", title=_TASKS[task], xlabel="members per generation", ylabel="members/s"
            )
            axes.set_xticks(sizes[:: max(1, len(sizes) // 6)], [f"{n:,}" for n in sizes[:: max(1, len(sizes) // 6)]])
            axes.minorticks_off()
            axes.legend(frameon=False, fontsize=8)
        figure.tight_layout()
        figure.savefig(path, dpi=150)
        plt.close(figure)


def roofline(rows: Sequence[dict[str, Any]], limits: dict[str, float], path: Path) -> None:
    """Every measured generation by its FLOPs a byte and its FLOP/s, under what the machine allows."""
    shown = [row for row in rows if "flops_per_second" in row]
    if not shown:
        return
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6.2, 4.2))
        intensity = np.geomspace(0.25, 4096, 200)
        roof = np.minimum(limits["float32_flops"], intensity * limits["bandwidth"])
        axes.plot(intensity, 1e-9 * roof, color="#000000", linewidth=1.5, label="product's peak, memory's bandwidth")
        for task, colour in zip(_TASKS, ("#0072B2", "#D55E00"), strict=True):
            own = [row for row in shown if row["section"] == task]
            if own:
                x = [row["flops"] / row["num_bytes"] for row in own]
                y = [1e-9 * row["flops_per_second"] for row in own]
                axes.plot(x, y, "o", color=colour, alpha=0.7, label=_TASKS[task])
        axes.set(xscale="log", yscale="log", xlabel="FLOPs a byte of operands and results", ylabel="GFLOP/s")
        axes.legend(frameon=False, fontsize=8)
        figure.tight_layout()
        figure.savefig(path, dpi=150)
        plt.close(figure)
