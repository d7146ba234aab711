"""The invasive genetic algorithm with 1, 2 and 4 replicates, at equal trainings."""

from collections.abc import Mapping

import matplotlib as mpl

from experiments.noise.searches import SearchSetup, Winners, sizes
from experiments.reproduction.paired import paired
from experiments.reproduction.plots import new_picture, spreads
from experiments.reproduction.section import Section, interval, percent, quartiles, table
from jaxga.report.plots import STYLE


def draw(setup: SearchSetup, found: Mapping[int, Winners]) -> Section:
    """What the searches show of their winners, and what these are worth."""
    names = {num: f"{num} replicate{'s' * (num > 1)}" for num in found}
    rows, cells = [], []
    for num, winners in found.items():
        rows += [
            {"replicates": num, "search": search, "shown": float(shown), "true": float(true)}
            for search, (shown, true) in enumerate(zip(*winners, strict=True))
        ]
        pair = paired(-winners.true, -found[1].true)
        against = ["-", "-"] if num == 1 else [f"{percent(pair.win_rate)}: {pair.verdict}", interval(pair.gain)]
        cells.append([names[num], sizes(setup, num), quartiles(winners.shown), quartiles(winners.true), *against])
    with mpl.rc_context(STYLE):
        picture = new_picture((8.0, 2.8))
        axes = picture.subplots()
        lines = [
            (f"{names[num]}, {what}", values, colour)
            for num, winners in found.items()
            for what, values, colour in zip(Winners._fields, winners, ("#777777", "#D55E00"), strict=True)
        ]
        spreads(axes, lines)
        axes.set(xlabel="mean training return", title=f"winners of {setup.num_searches} searches each")
    header = ["replicates", "members x generations x replicates", "shown", "true", "wins against 1", "median gain"]
    about = f"{setup.num_searches} searches each of {setup.num_trainings} trainings. {setup.details}."
    return Section(picture, rows, [about, *table(header, cells)])
