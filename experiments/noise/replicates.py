"""The invasive genetic algorithm with 1, 2 and 4 replicates, at equal trainings."""

from collections.abc import Mapping

import matplotlib as mpl

from experiments.noise.searches import SearchSetup, Winners, sizes
from experiments.reproduction.paired import Paired, median, paired
from experiments.reproduction.plots import new_picture, spreads
from experiments.reproduction.section import Section, interval, percent, table
from jaxga.report.plots import STYLE

_COLOURS = {"shown": "#777777", "true": "#D55E00"}


def draw(searched: Mapping[SearchSetup, Mapping[int, Winners]]) -> Section:
    """A panel an environment: what the searches show of their winners, and what these are worth."""
    rows, cells, sentences = [], [], []
    with mpl.rc_context(STYLE):
        picture = new_picture((5.2 * len(searched), 2.8))
        for axes, (setup, found) in zip(
            picture.subplots(1, len(searched), squeeze=False)[0], searched.items(), strict=True
        ):
            pairs = {num: paired(-winners.true, -found[1].true) for num, winners in found.items() if num > 1}
            sentences.append(_sentence(setup, pairs))
            for num, winners in found.items():
                rows += [
                    {"environment": setup.name, "replicates": num, "search": i, "shown": float(s), "true": float(t)}
                    for i, (s, t) in enumerate(zip(*winners, strict=True))
                ]
                excess = winners.shown - winners.true
                middles = [interval(median(values)) for values in (winners.shown, winners.true, excess)]
                cells.append([setup.title, str(num), sizes(setup, num), *middles, *_against(pairs.get(num))])
            spreads(
                axes,
                [
                    (f"{_counted(num)}, {what}", getattr(winners, what), colour)
                    for num, winners in found.items()
                    for what, colour in _COLOURS.items()
                ],
            )
            axes.set(xlabel="mean training return", title=f"{setup.title}: {setup.num_searches} searches each")
    header = ["environment", "replicates", "members x generations x replicates", "shown", "true", "excess"]
    header += ["wins against 1", "median gain"]
    numbers = ", ".join(
        f"{setup.num_searches} on {setup.title} with {setup.num_trainings} trainings each" for setup in searched
    )
    about = (
        f"Searches by the invasive GA for each number of replicates: {numbers}. Shown: the value that the search gives"
        " its winner; true: the mean of the winner under fresh seeds; excess: shown minus true. Medians over the"
        ' searches. Search *i* has the same key and the same fresh seeds with every number of replicates: "wins" is'
        ' the share of these pairs with the better true value, "better" and "worse" as the exact sign test (p < 0.05)'
        " says too. Brackets: 95 % bootstrap intervals over the searches. The picture: median, quartiles (thick), 5th"
        " and 95th percentiles (thin)."
    )
    return Section(picture, rows, [about, "", *sentences, *table(header, cells)])


def _sentence(setup: SearchSetup, pairs: Mapping[int, Paired]) -> str:
    """Whether the claim of Hertel et al. holds on one environment."""
    better = [_counted(num) for num, pair in pairs.items() if pair.verdict == "better"]
    each = "; ".join(
        f"{_counted(num)}: **{pair.verdict}**, {percent(pair.win_rate)} of the pairs won" for num, pair in pairs.items()
    )
    claim = f"does not hold: {' and '.join(better)} are better" if better else "is not refuted"
    return f"- {setup.title}: the claim that repetitions do not help {claim}. Against 1 replicate, {each}."


def _against(pair: Paired | None) -> list[str]:
    return ["-", "-"] if pair is None else [f"{percent(pair.win_rate)}: {pair.verdict}", interval(pair.gain)]


def _counted(num: int) -> str:
    return f"{num} replicate{'s' * (num > 1)}"
