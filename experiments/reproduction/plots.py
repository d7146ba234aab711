"""How the figures are drawn: medians with bands of the quartiles, and the winners' spread."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import NullLocator

from jaxga.report.axes import log_ticks, spans_decades

# Okabe and Ito's colours, which colour-blind readers can distinguish.
COLOURS = {
    "random_search": "#777777",
    "sobol_search": "#CC79A7",
    "grid_search": "#009E73",
    "ga": "#0072B2",
    "invasive_ga": "#D55E00",
}
_DPI = 130
# Of the height of an axes: less, and two labels touch.
_LABEL_GAP = 0.075


def new_picture(shape: tuple[float, float]) -> Figure:
    """An empty figure of so many inches."""
    picture = Figure(figsize=shape, dpi=_DPI)
    picture.set_layout_engine(ConstrainedLayoutEngine(wspace=0.05, hspace=0.05))
    return picture


def bands(axes: Axes, x: np.ndarray, curves: Mapping[str, np.ndarray], names: Mapping[str, str], is_log: bool) -> None:
    """The median over the searches of curves f32[S, G] by method, with quartiles, each labelled at its end."""
    quartiles = {m: np.nanpercentile(curve, (25, 50, 75), axis=0) for m, curve in curves.items()}
    for method, (low, median, high) in quartiles.items():
        axes.fill_between(x, low, high, color=COLOURS[method], alpha=0.15, lw=0)
        axes.plot(x, median, color=COLOURS[method], lw=2)
    axes.set_xlim(x[0], x[-1])
    if is_log:
        log_axis(axes, "y", np.concatenate([q[1] for q in quartiles.values()]))
    _end_labels(axes, {names[m]: (float(q[1, -1]), COLOURS[m]) for m, q in quartiles.items()})


def is_logarithmic(curves: Mapping[str, np.ndarray], direction: str) -> bool:
    """Whether the medians span so much that their axis should be logarithmic."""
    return spans_decades(np.concatenate([np.nanmedian(curve, axis=0) for curve in curves.values()]), direction)


def spreads(axes: Axes, rows: Sequence[tuple[str, np.ndarray, str]]) -> None:
    """Values f64[S] as one line a row: 5th to 95th percentile thin, quartiles thick, a point at the median."""
    for place, (_, values, colour) in enumerate(rows):
        ends = np.nanpercentile(values, (5, 25, 50, 75, 95))
        axes.plot(ends[[0, 4]], [place] * 2, color=colour, lw=1)
        axes.plot(ends[[1, 3]], [place] * 2, color=colour, lw=5, alpha=0.5, solid_capstyle="butt")
        axes.plot(ends[2], place, "o", color=colour, ms=7)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)


def log_axis(axes: Axes, which: str, values: np.ndarray, most: int = 6) -> None:
    """A logarithmic axis with plain numbers."""
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    axis.set_ticks(*log_ticks(values, most))
    axis.set_minor_locator(NullLocator())


def log_colours(picture: Figure, panels: Any, colours: ScalarMappable, label: str, **options: Any) -> None:
    """A colour bar for logarithmic colours, with plain numbers."""
    bar = picture.colorbar(colours, ax=panels, label=label, **options)
    ticks, texts = log_ticks(np.array([colours.norm.vmin, colours.norm.vmax]), 8)
    bar.set_ticks(ticks, labels=texts)
    bar.minorticks_off()


def space_axes(axes: Axes, space: Any) -> None:
    """A search space of two hyperparameters as the two axes."""
    for which, (name, dimension) in zip("xy", space.items, strict=True):
        ends = np.array([dimension.low, dimension.high], float)
        if dimension.is_log:
            log_axis(axes, which, ends, 5)
        getattr(axes, f"set_{which}lim")(*ends)
        getattr(axes, f"set_{which}label")(name.replace("_", " "))


def _end_labels(axes: Axes, labels: Mapping[str, tuple[float, str]]) -> None:
    """Texts at the right of the axes, each as near to its value as the others allow."""
    to_axes = axes.transData + axes.transAxes.inverted()
    axes.figure.canvas.draw()
    wanted = sorted(
        (float(to_axes.transform((0.0 if axes.get_xscale() == "linear" else 1.0, y))[1]), text)
        for text, (y, _) in labels.items()
    )
    heights = np.array([height for height, _ in wanted])
    for _ in range(100):  # push neighbours apart until none touch
        overlap = np.maximum(_LABEL_GAP - np.diff(heights), 0.0)
        if overlap.max(initial=0.0) < 1e-3:
            break
        heights[:-1] -= overlap / 2
        heights[1:] += overlap / 2
    heights += max(0.0, -heights.min(initial=0.0)) - max(0.0, heights.max(initial=1.0) - 1.0)
    for height, (_, text) in zip(heights, wanted, strict=True):
        axes.text(1.02, height, text, color=labels[text][1], transform=axes.transAxes, va="center", fontsize=10)
