"""The page: a figure, its numbers and a section for each question."""

from pathlib import Path

from experiments.noise import budget, curse, ranking, replicates, searches, spread, trainings
from experiments.noise.searches import SearchSetup
from experiments.noise.setups import Setup
from experiments.reproduction.page import machine, wrapped, write_picture
from experiments.reproduction.section import Section
from jaxga.runs.draft import draft

_QUESTIONS = {
    "spread": (
        "How much one setting varies over the seeds",
        "Henderson et al., 2018: the seed alone can make two results of one algorithm differ as two algorithms do.",
    ),
    "ranking": (
        "How many seeds rank two settings",
        "Becktepe et al. (ARLBench), 2024, use 3 to 10 seeds a setting; the tasks here use 3 by default.",
    ),
    "curse": (
        "The winner's curse",
        "The best of many noisy values is optimistic: more so with more settings, less so with more seeds. From"
        " ARLBench's data (PPO on CartPole, 100,000 steps) the best of 32 was shown as 500, and worth 433 when chosen"
        " by 1 seed, 471 by 3, 482 by 5.",
    ),
    "budget": (
        "More seeds or more settings, at equal steps",
        "Hertel et al., 2020, tune PPO2 on CartPole and an inverted pendulum: repetitions do not help to find settings"
        " that are better across seeds, and pruning (successive halving) may hurt.",
    ),
    "replicates": (
        "Replicates in the invasive GA, at equal trainings",
        "The same question where the search learns from what it has evaluated: Hertel et al. find that repetitions do"
        " not help.",
    ),
}
_HEAD = """# The noise of reinforcement learning, and what it does to a search

Each environment: {num_settings} settings drawn uniformly in the search space, each trained under {num_seeds} seeds
({num_trainings} trainings). A search is played by drawing settings and seeds from these: one half of a
setting's seeds judges, and the mean of the other half is the true value. A training that failed counts as the worst
that did not. "The best quarter" are the settings that a quarter of their seeds judges best; all else is of their
other seeds. Brackets: 95 % intervals over random halves of the settings, which vary as whole sets drawn anew would;
they are not corrected for the number of comparisons. "Better" and "worse": the interval leaves 0 out.
`python experiments/variability.py` makes this page.

"""
_QUICK = """**This page is a test of the program (`--quick`): its figures mean nothing.**

"""


def write_page(folder: Path, setups: list[Setup], search_setups: list[SearchSetup], is_quick: bool) -> Path:
    """``folder``/variability.md, with its figures and the table of returns of each environment beside it."""
    out = folder / "variability"
    trained = {setup: trainings.load(out / "trainings", setup) for setup in setups}
    sections = {
        "spread": spread.draw(trained),
        "ranking": ranking.draw(trained),
        "curse": curse.draw(trained),
        "budget": budget.draw(trained),
    }
    if search_setups:
        searched = {setup: searches.load(out / "searches", setup) for setup in search_setups}
        sections["replicates"] = replicates.draw(searched)
    lines = []
    for name, section in sections.items():
        write_picture(out / name, section)
        lines += _section(name, section)
    for setup, made in trained.items():
        trainings.write_csv(out / f"returns-{setup.name}.csv", setup, made)
    tables = ", ".join(f"[{setup.title}](variability/returns-{setup.name}.csv)" for setup in setups)
    options = " --quick" * is_quick + " --no-searches" * (not search_setups)
    lines += [
        "## What was run",
        "",
        *[f"- {setup.title}: {setup.details}." for setup in setups],
        *[f"- Searches on {setup.title}: {setup.details}." for setup in search_setups],
        "",
        f"`python experiments/variability.py{options}`; {machine()}. All returns: {tables}.",
        "",
    ]
    first = setups[0]
    total = first.num_settings * first.num_seeds
    head = _HEAD.format(num_settings=first.num_settings, num_seeds=first.num_seeds, num_trainings=f"{total:,}")
    path = folder / "variability.md"
    with draft(path) as made:
        made.write_text(head + _QUICK * is_quick + "\n".join(map(wrapped, lines)), encoding="utf-8")
    return path


def _section(name: str, section: Section) -> list[str]:
    title, claim = _QUESTIONS[name]
    return [
        f"## {title}",
        "",
        f"**Known or claimed.** {claim}",
        "",
        f"![{title}](variability/{name}.png)",
        "",
        "**Found.**",
        "",
        *section.found,
        f"[Its numbers](variability/{name}.csv).",
        "",
    ]
