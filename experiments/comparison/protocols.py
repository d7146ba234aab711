"""Protocols that others publish figures of: their problems, their budget and their one figure."""

from typing import Literal, NamedTuple

from experiments.comparison.challenge import CHALLENGE


class Protocol(NamedTuple):
    """A published comparison and its one figure.

    Attributes:
        figure: ``"regret"``: the mean over the problems of a method's median regret in their units; the less, the
            better. ``"score"``: 100 for the best loss that any method met, and 0 for that of the median random setting
            or a worse one; the mean over the problems and the searches.
        problems: what ``select`` takes.
        num_evaluations: of one search; members times generations.
        budgets: the populations that are run where none is named.
        units: by problem, the published median regret of random sampling; of a score the median loss of a random
            setting.
        published: the figures that others report, by method.
        source: where they do.
    """

    figure: Literal["regret", "score"]
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

# The median loss of 101 random settings, by `python -m experiments.comparison.challenge` (scikit-learn 1.9.1).
_CHALLENGE_RANDOM = (
    0.14385, -0.94167, 0.83825, -0.69803, 0.4014, -0.92308, 3202.3, 46.582, 0.18748, -0.93333, 0.66304, -0.77512,
    0.27907, -0.93187, 6312.5, 66.709, 1.0968, -0.36667, 1.092, -0.38744, 0.35027, -0.89011, 4984, 58.909, 1.099,
    -0.35, 1.0936, -0.38744, 0.65509, -0.63736, 6157.5, 67.362,
)  # fmt: skip

PROTOCOLS: dict[str, Protocol] = {
    "bbob": Protocol(
        figure="regret",
        problems="bbob",
        num_evaluations=200,
        budgets="4x50,8x25,10x20",
        units={f"bbob-f{i + 1}": regret for i, regret in enumerate(_BBOB_RANDOM)},
        published={"random": 1.0, "Optuna TPE": 0.2463, "CMA-ES, tuned": 0.2004, "CMA-ES with refinement": 0.1284},
        source="OptunaHub, samplers/cma_es_refinement, 2026",
    ),
    "challenge": Protocol(
        figure="score",
        problems="challenge",
        num_evaluations=128,
        budgets="8x16",
        units=dict(zip(CHALLENGE, _CHALLENGE_RANDOM, strict=True)),
        published={},
        source="Turner et al., 2021, and bayesmark 0.0.8",
    ),
}
