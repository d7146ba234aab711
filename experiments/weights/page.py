"""The record: a page of tables, and a picture of return over frames."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.weights.encodings import Cost
from experiments.weights.searches import Row
from experiments.weights.throughput import Pair
from jaxga.text import show, show_bytes

# Okabe and Ito's colours, which colour-blind readers can distinguish.
_COLOURS = {
    "truncation_ga": "#D55E00",
    "evosax_simple_ga": "#E69F00",
    "evosax_open_es": "#0072B2",
    "evosax_sep_cma_es": "#009E73",
    "random_search": "#777777",
    "ppo": "#CC79A7",
}
_EXPLAINED = """
Every evolved method plays the same number of episodes. Frames: steps until the ends of the episodes, of one search.
Seconds: of one search, without compiling. A pass is one observation through one network: evolution needs one forward
pass a frame; PPO sends a frame through actor and critic in the rollout, and in every epoch each way. PPO has the frames
of its own recorded runs, not those of the others.
Return: under fresh seeds, of the winner (of OpenES and CMA-ES the mean of the distribution, of PPO the agent), mean ±
standard deviation over the searches, in brackets the worst and the best.
"""
# From the logs that gymnax-blines stores beside its agents, at its commit 3f029d6.
_PUBLISHED = """
Published, for comparison (R. T. Lange, gymnax-blines, the logs stored with its agents; policies of 2 x 64 units, of
MinAtar 2 x 256): OpenES with 100 members x 20 episodes reaches 500 on CartPole within 6.2e7 frames, -80 on Acrobot
within 2.2e7 and -130 on Pendulum within 4.0e7. SimpleGA with 512 members x 64 episodes reaches 1.9 on Breakout-MinAtar
after 2.3e6 frames, 3.4 after 4.9e6, and 6.5 at the end of its 2.0e9 frames; PPO there 23 after 9.9e6.
"""


class Part(NamedTuple):
    """What was measured, and how: command, machine and versions."""

    about: list[str]
    rows: list[Any]


@dataclass
class Record:
    """All that was measured; a part that was not is None."""

    searches: Part | None = None
    throughput: Part | None = None
    encodings: Part | None = None

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """What :meth:`write` wrote into a folder, nothing where it wrote nothing; ``ValueError`` for another file."""
        path = folder / "neuroevolution.json"
        if not path.exists():
            return cls()
        kinds = {"searches": Row, "throughput": Pair, "encodings": Cost}
        try:
            parts = json.loads(path.read_text(encoding="utf-8")).items()
            return cls(**{k: Part(part["about"], [kinds[k](**row) for row in part["rows"]]) for k, part in parts})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not of this program: remove it, or give another folder as --out") from error

    def write(self, folder: Path) -> None:
        """Write ``neuroevolution.json``, ``neuroevolution.md`` and, where something was searched, ``returns.png``."""
        folder.mkdir(parents=True, exist_ok=True)
        found = {
            name: {"about": part.about, "rows": [row._asdict() for row in part.rows]}
            for name, part in vars(self).items()
            if part is not None
        }
        (folder / "neuroevolution.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (folder / "neuroevolution.md").write_text(markdown(self), encoding="utf-8")
        if self.searches is not None:
            picture(self.searches.rows).savefig(folder / "returns.png")


def markdown(record: Record) -> str:
    """The page; a part that was not measured is left out."""
    text = "# Weights evolved directly\n"
    if record.searches is not None:
        text += f"{_EXPLAINED}\n{_about(record.searches)}"
        rows = record.searches.rows
        for env in dict.fromkeys(row.env for row in rows):
            text += f"\n## {env}\n\n" + _table(
                ("method", "weights", "frames", "seconds", "forward passes", "backward passes", "return"),
                [_cells(row) for row in rows if row.env == env],
            )
        text += f"\n![Return over frames](returns.png)\n{_PUBLISHED}"
    if record.throughput is not None:
        text += f"\n## Frames a second, beside evosax's own loop\n\n{_about(record.throughput)}\n" + _table(
            ("jaxga", "evosax", "jaxga frames/s", "evosax frames/s", "ratio"),
            [
                (p.method, p.beside, f"{p.jaxga:.3g}", f"{p.evosax:.3g}", f"{p.ratio:.2f}")
                for p in record.throughput.rows
            ],
        )
    if record.encodings is not None:
        text += f"\n## The encodings of `truncation_ga`\n\n{_about(record.encodings)}\n" + _table(
            ("encoding", "weights", "mutations of a parent", "state between generations", "ms to breed a generation"),
            [
                (c.encoding, c.num_weights, c.num_mutations, show_bytes(c.num_bytes), f"{1000 * c.seconds:.3g}")
                for c in record.encodings.rows
            ],
        )
    return text


def _about(part: Part) -> str:
    return "".join(f"- {line}\n" for line in part.about)


def _cells(row: Row) -> tuple[Any, ...]:
    fresh = np.array(row.fresh)
    passes = [f"{number:.2g}" if number else "0" for number in (row.forward, row.backward)]
    found = f"{show(float(fresh.mean()))} ± {show(float(fresh.std(ddof=1)))}"
    found += f" [{show(float(fresh.min()))}, {show(float(fresh.max()))}]"
    return row.method, row.num_weights, f"{row.frames:.2g}", f"{row.seconds:.2g}", *passes, found


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def picture(rows: Sequence[Row]) -> Figure:
    """Return over frames, one axes an environment; a point is the winners' mean return under fresh seeds."""
    envs = list(dict.fromkeys(row.env for row in rows))
    figure = Figure(figsize=(4.2 * len(envs), 3.6), dpi=130, layout="constrained")
    for axes, env in zip(figure.subplots(1, len(envs), squeeze=False)[0], envs, strict=True):
        for row in (row for row in rows if row.env == env):
            colour = _COLOURS[row.method]
            axes.plot(*zip(*row.curve, strict=True), color=colour, lw=1.5, label=row.method)
            axes.plot(row.frames, np.mean(row.fresh), "o", color=colour, ms=6)
        axes.set_xscale("log")
        axes.set_xlabel("frames")
        axes.set_title(env)
    figure.axes[0].set_ylabel("return: line believed, point fresh")
    figure.axes[0].legend(fontsize=7, frameon=False)
    return figure
