"""Protocols that others publish figures of: their problems, their budget and their one figure."""

from typing import NamedTuple


class Protocol(NamedTuple):
    """A published comparison; its figure: the mean over its problems of a method's median regret in their units.

    Attributes:
        problems: what ``select`` takes.
        num_evaluations: of one search; members times generations.
        budgets: the populations that are run where none is named.
        units: by problem, the published median regret of random sampling.
        published: the figures that others report, by method.
        source: where they do.
    """

    problems: str
    num_evaluations: int
    budgets: str
    units: dict[str, float]
    published: dict[str, float]
    source: str


# The best of 200 random points, the median of 10 seeds, less the optimum.
_BBOB_RANDOM = (
    5.4676, 32182, 61.721, 73.419, 26.665, 67.163, 23.032, 919.68, 904.24, 52217, 297.88, 2227907, 394.17, 2.7341,
    62.841, 10.944, 3.9966, 18.527, 7.2098, 11.712, 9.8467, 8.2436, 2.3298, 45.186,
)  # fmt: skip

PROTOCOLS: dict[str, Protocol] = {
    "bbob": Protocol(
        problems="bbob",
        num_evaluations=200,
        budgets="4x50,8x25,10x20",
        units={f"bbob-f{i + 1}": regret for i, regret in enumerate(_BBOB_RANDOM)},
        published={"random": 1.0, "Optuna TPE": 0.2463, "CMA-ES, tuned": 0.2004, "CMA-ES with refinement": 0.1284},
        source="OptunaHub, samplers/cma_es_refinement, 2026",
    ),
}
