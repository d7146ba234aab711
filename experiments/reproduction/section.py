"""What a figure reads and gives: its searches; its picture, its table and what was found."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.comparison.statistics import Estimate
from experiments.reproduction.paired import paired
from experiments.reproduction.searches import Searches, load
from experiments.reproduction.setups import LABELS, Setup, get_setup

Row = dict[str, Any]


class Data(NamedTuple):
    """The searches in a folder."""

    folder: Path
    is_quick: bool

    def setup(self, name: str) -> Setup:
        return get_setup(name, self.is_quick)

    def searches(self, name: str, method: str) -> Searches:
        return load(self.folder, name, method, self.is_quick)


class Section(NamedTuple):
    """``rows``: of the CSV file, one a number that is drawn; ``found``: lines of Markdown."""

    picture: Figure
    rows: list[Row]
    found: list[str]


class Reproduction(NamedTuple):
    """One figure of the original.

    Attributes:
        title: of its section.
        claim: what the original shows or claims, and how it is read here.
        wanted: the pairs of setup and method that it needs, given whether it is quick.
        draw: makes it.
    """

    title: str
    claim: str
    wanted: Callable[[bool], Sequence[tuple[str, str]]]
    draw: Callable[[Data], Section]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    return ["", *(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)), ""]


def interval(estimate: Estimate) -> str:
    """A mean and its bounds, as a person writes them."""
    return f"{estimate.mean:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def percent(estimate: Estimate) -> str:
    """The same of a share."""
    return "{:.0f} % [{:.0f}, {:.0f}]".format(*(100.0 * x for x in estimate))


def quartiles(values: np.ndarray) -> str:
    """The median, in brackets the quartiles."""
    low, middle, high = np.nanpercentile(values, (25, 50, 75))
    return f"{middle:.3g} [{low:.3g}, {high:.3g}]"


def winners_table(searches: dict[str, Searches]) -> list[str]:
    """What the winners are worth, and the two genetic algorithms against every method."""
    rows = []
    for method, found in searches.items():
        cells = [LABELS[method], quartiles(found.fresh)]
        for focus in ("invasive_ga", "ga"):
            pair = paired(searches[focus].fresh_losses, found.fresh_losses)
            cells.append("-" if focus == method else f"{percent(pair.win_rate)}: {pair.verdict}")
        cells.append("-" if method == "invasive_ga" else _gain(searches, method))
        rows.append(cells)
    header = ["method", "winner on fresh seeds", "invasive GA wins", "GA wins", "invasive GA's median gain"]
    return table(header, rows)


def _gain(searches: dict[str, Searches], method: str) -> str:
    return interval(paired(searches["invasive_ga"].fresh_losses, searches[method].fresh_losses).gain)


def sentence(searches: dict[str, Searches], first: str, second: str) -> str:
    """One comparison of two methods as a sentence."""
    pair = paired(searches[first].fresh_losses, searches[second].fresh_losses)
    what = {
        "better": f"is better than {_named(second)}",
        "worse": f"is **worse** than {_named(second)}: the claim **does not hold**",
        "no difference shown": f"and {_named(second)} do not differ measurably: the claim is **not confirmed**",
    }[pair.verdict]
    rate = f"{percent(pair.win_rate)} of {len(searches[first].fresh)} paired searches"
    return f"{_named(first).capitalize().replace(' ga', ' GA')} {what} (the first wins {rate})."


def speed_sentence(searches: dict[str, Searches], first: str, second: str) -> str:
    """Which of two methods converges faster, by the means of their curves."""
    pair = paired(searches[first].curve_losses, searches[second].curve_losses)
    return (
        f"Speed: the mean of the best-so-far curve is better for {_named(first)} than for {_named(second)} in"
        f" {percent(pair.win_rate)} of the paired searches: {pair.verdict}."
    )


def _named(method: str) -> str:
    """A method in a sentence."""
    return f"the {LABELS[method]}" if method.endswith("ga") else f"{LABELS[method]} sampling"
