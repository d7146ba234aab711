"""More seeds a setting against more settings, at equal environment steps."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np

from experiments.comparison.statistics import Estimate
from experiments.noise.resampling import RUNGS, drawer, estimates, halving_size, strategies
from experiments.noise.setups import Setup
from experiments.noise.trainings import Trainings
from experiments.reproduction.plots import new_picture
from experiments.reproduction.section import Section, interval, table
from jaxga.report.plots import STYLE

# By the environment's title, the budget and the way.
Verdicts = dict[tuple[str, int, str], str]

_BUDGETS = (16, 64)
_COLOURS = ("#0072B2", "#D55E00")


def draw(trained: Mapping[Setup, Trainings]) -> Section:
    """A panel an environment: what the winner of each way to spend the steps is worth."""
    first = next(iter(trained))
    by_budget = {budget: strategies(budget, first.num_settings, first.num_seeds) for budget in _BUDGETS}
    names = list(by_budget[_BUDGETS[0]])  # the greater budget may have one less, at the end
    rows, cells, verdicts = [], [], Verdicts()
    with mpl.rc_context(STYLE):
        picture = new_picture((3.6 * len(trained) + 1.2, 3.6))
        panels = picture.subplots(1, len(trained), squeeze=False, sharey=True)[0]
        for axes, (setup, trainings) in zip(panels, trained.items(), strict=True):
            for colour, (budget, ways) in zip(_COLOURS, by_budget.items(), strict=True):

                def statistic(t: Trainings, num: int, rng: np.random.Generator, ways=ways) -> np.ndarray:
                    draw = drawer(t, num, rng)
                    true = np.array([way(draw).true.mean() for way in ways.values()])
                    return np.concatenate([true, true - true[0]])

                both = estimates(trainings, statistic)
                for place, (name, true, gain) in enumerate(
                    zip(ways, both[: len(ways)], both[len(ways) :], strict=True)
                ):
                    verdicts[setup.title, budget, name] = _verdict(gain)
                    against = f"{interval(gain)}: {_verdict(gain)}" if place else "-"
                    cells.append([setup.title, str(budget), name, interval(true), against])
                    rows.append({"environment": setup.name, "budget": budget, "way": name, **true._asdict()})
                    y = place + 0.12 * (1 if budget == _BUDGETS[-1] else -1)
                    axes.plot([true.low, true.high], [y, y], color=colour, lw=1.5)
                    axes.plot(true.mean, y, "o", color=colour, label=None if place else f"{budget} trainings")
            axes.set_yticks(range(len(names)), names)
            axes.set(xlabel="what the winner is worth", title=setup.title)
        panels[0].invert_yaxis()
        panels[-1].legend(loc="lower left")
    found = [
        f"Random search with the steps of {_BUDGETS[0]} and of {_BUDGETS[1]} whole trainings. 1 seed, best again: half"
        " of the trainings judge a setting each by one seed, the other half judge the best of these settings again by"
        " four more seeds each, which alone decide. Halving: successive halving from"
        f" {halving_size(_BUDGETS[0])} settings, of which a third goes on at {100 * RUNGS[0]:.0f} and again at"
        f" {100 * RUNGS[1]:.0f} % of the steps. Gain: against 1 seed each, in the same halves of the settings.",
        "",
        *[f"- {claim}" for claim in _claims(verdicts)],
        *[f"- {_sentence(name, verdicts)}" for name in names[1:]],
        *table(["environment", "trainings", "way", "true value", "gain over 1 seed each"], cells),
    ]
    return Section(picture, rows, found)


def _claims(verdicts: Verdicts) -> list[str]:
    """The two claims of Hertel et al. beside what was found."""
    titles = list(dict.fromkeys(title for title, _, _ in verdicts))
    better: dict[str, list[int]] = {}
    for (title, budget, way), verdict in verdicts.items():
        if way.endswith("seeds each") and verdict == "better" and budget not in better.setdefault(title, []):
            better[title].append(budget)
    worse = {t for (t, _, way), verdict in verdicts.items() if way == "halving" and verdict == "worse"}
    places = [f"{t} ({' and '.join(map(str, better[t]))} trainings)" for t in titles if t in better]
    helped = ", ".join(places) or "no environment"
    others = ", ".join(t for t in titles if t not in better)
    hurt = (
        f"holds on {', '.join(t for t in titles if t in worse)}" if worse else "is not confirmed: it is worse nowhere"
    )
    return [
        f"That repetitions do not help does not hold on {helped}: some number of seeds above 1 is better."
        + (f" On {others} none is." if others else ""),
        f"That pruning hurts {hurt}.",
    ]


def _sentence(name: str, verdicts: Verdicts) -> str:
    """Where one way is better or worse than 1 seed each."""
    parts = []
    for verdict in ("better", "worse", "no difference shown"):
        places = [f"{title} ({budget})" for (title, budget, way), v in verdicts.items() if (way, v) == (name, verdict)]
        if places:
            parts.append(f"**{verdict}** on {', '.join(places)}")
    return f"{name[0].upper()}{name[1:]}, against 1 seed each: {'; '.join(parts)}."


def _verdict(gain: Estimate) -> str:
    if gain.low > 0 or gain.high < 0:
        return "better" if gain.mean > 0 else "worse"
    return "no difference shown"
