"""Throughput over the population, and the roofline of the machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator

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
            axes.plot(sizes, rates, "o-", color="#0072B2")
            axes.annotate("jaxga", (sizes[-1], rates[-1]), (0, 6), textcoords="offset points", ha="right", va="bottom")
            found = knee(sweep)
            if found:
                axes.axvline(found["pop"], color="#999999", linewidth=1, linestyle=":")
            others = [row for row in rows if row["section"] == task and row["kind"] in _BASELINES]
            for row, colour in zip(others, ("#D55E00", "#009E73"), strict=False):
                rate = row["members_per_second"]
                axes.axhline(rate, color=colour, linewidth=1.2)
                axes.annotate(
                    row["label"], (sizes[-1], rate), (0, 3), textcoords="offset points", ha="right", fontsize=8
                )
            axes.set(xscale="log", yscale="log", title=_TASKS[task], ylabel="members/s")
            axes.set_xlabel("members per generation (dotted: nine tenths of the best rate)", fontsize=9)
            every = max(1, len(sizes) // 6)
            axes.set_xticks(sizes[::every], [f"{n:,}" for n in sizes[::every]])
            axes.minorticks_off()
            axes.margins(y=0.15)
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
        figure.tight_layout()
        figure.savefig(path, dpi=150)
        plt.close(figure)


def roofline(rows: Sequence[dict[str, Any]], limits: dict[str, float], path: Path) -> None:
    """Every measured generation by its FLOPs a byte and its FLOP/s, under what the machine allows."""
    shown = [row for row in rows if row["section"] in _TASKS and "flops_per_second" in row]
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
