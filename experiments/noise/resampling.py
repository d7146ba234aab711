"""What a search would have found, by drawing settings and seeds from those that were trained.

The settings of a search are drawn without replacement, each with its seeds in a new order: the first half of the seeds
judges, and the mean of the second half is the true value, so that no training is both. A setting must not be twice in a
search: one half of its seeds being high, the other half is low.

Intervals are of random halves of the settings, because a half drawn without replacement varies as much as the whole
drawn anew, and has no setting twice (McCarthy, "Pseudo-Replication: Half Samples", 1969).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from experiments.comparison.statistics import Estimate
from experiments.noise.trainings import Trainings

# Of one estimate, of one half of the settings, and how many halves.
_NUM_SEARCHES = 4_000
_NUM_SEARCHES_OF_HALF = 1_000
_NUM_HALVES = 200
# At which part of its steps successive halving stops a training (those of the curve's parts that are nearest to a ninth
# and a third), and which part of the trainings goes on.
RUNGS = (0.1, 0.35)
KEPT = 1 / 3
# Of a budget in trainings: half of it judges settings by one seed each, an eighth as many settings are trained again.
_AGAIN = 8


class Drawn(NamedTuple):
    """Searches B, each with n settings.

    Attributes:
        judged: f32[B, n, S / 2], in the order in which a search spends its seeds.
        truth: f32[B, n], the mean of the other seeds.
        curves: f32[B, n, T], of the first seed.
    """

    judged: np.ndarray
    truth: np.ndarray
    curves: np.ndarray


class Found(NamedTuple):
    """Of each search f32[B]: the value of its winner as the search shows it, and what the winner is worth."""

    shown: np.ndarray
    true: np.ndarray


Draw = Callable[[int], Drawn]


def drawer(trainings: Trainings, num_searches: int, rng: np.random.Generator) -> Draw:
    """``draw(n)``: searches of n settings each, n being at most N."""
    num_settings, num_seeds = trainings.values.shape
    half = num_seeds // 2

    def draw(num: int) -> Drawn:
        if num > num_settings:
            raise ValueError(f"a search of {num} settings needs as many, got {num_settings}")
        rows = np.argsort(rng.random((num_searches, num_settings)), axis=1)[:, :num]
        order = rng.permuted(np.broadcast_to(np.arange(num_seeds), (num_searches, num, num_seeds)), axis=-1)
        values = np.take_along_axis(trainings.values[rows], order, axis=-1)
        curves = trainings.curves[rows, order[..., 0]]
        return Drawn(values[..., :half], values[..., half:].mean(-1), curves)

    return draw


def best_of(drawn: Drawn, num_replicates: int) -> Found:
    """The setting with the best mean of its first seeds; among equals the first one."""
    means = drawn.judged[..., :num_replicates].mean(-1)
    return _chosen(means, drawn.truth)


def judged_again(drawn: Drawn, num_finalists: int, num_seeds: int) -> Found:
    """Every setting by one seed, then the best ``num_finalists`` by ``num_seeds`` fresh ones, which alone decide."""
    finalists = np.argsort(-drawn.judged[..., 0], axis=1, kind="stable")[:, :num_finalists]
    means = drawn.judged[..., 1 : 1 + num_seeds].mean(-1)
    return _chosen(*[np.take_along_axis(x, finalists, axis=1) for x in (means, drawn.truth)])


def halving(drawn: Drawn) -> Found:
    """Successive halving: at each rung the best third, by the training return there, goes on; the final value decides.

    Source: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", 2016.
    """
    values, truth, curves = drawn.judged[..., 0], drawn.truth, drawn.curves
    for rung in RUNGS:
        reached = curves[..., round(rung * curves.shape[-1]) - 1]
        kept = np.argsort(-reached, axis=1, kind="stable")[:, : max(1, round(reached.shape[1] * KEPT))]
        values, truth = (np.take_along_axis(x, kept, axis=1) for x in (values, truth))
        curves = np.take_along_axis(curves, kept[..., None], axis=1)
    return _chosen(values, truth)


def _chosen(means: np.ndarray, truth: np.ndarray) -> Found:
    best = np.argmax(means, axis=1)
    rows = np.arange(len(means))
    return Found(means[rows, best], truth[rows, best])


def halving_size(budget: int) -> int:
    """How many settings successive halving starts with at the steps of ``budget`` whole trainings."""
    steps, part, before = 0.0, 1.0, 0.0
    for rung in (*RUNGS, 1.0):
        steps += part * (rung - before)
        part, before = part * KEPT, rung
    return int(budget / steps)


def strategies(budget: int, num_settings: int, num_seeds: int) -> dict[str, Callable[[Draw], Found]]:
    """Ways to spend the steps of ``budget`` whole trainings by random search that half of the trainings suffice for."""
    most = num_seeds // 2
    ways: dict[str, Callable[[Draw], Found]] = {}
    for k in (k for k in (1, 2, 4, 8) if k <= most):
        ways[f"{k} seed{'s' * (k > 1)} each"] = lambda draw, k=k: best_of(draw(budget // k), k)
    finalists = budget // _AGAIN
    again = budget // 2 // finalists
    if again < most:
        ways["1 seed, best again"] = lambda draw: judged_again(draw(budget // 2), finalists, again)
    size = halving_size(budget)
    if size <= num_settings // 2:
        ways["halving"] = lambda draw: halving(draw(size))
    return ways


def pairs_ranked(trainings: Trainings, num_replicates: int, num_pairs: int, rng: np.random.Generator) -> float:
    """How often ``num_replicates`` seeds rank two settings as the held-out seeds do; a tie of the first is half."""
    drawn = drawer(trainings, num_pairs, rng)(2)
    judged = np.diff(drawn.judged[..., :num_replicates].mean(-1))[:, 0]
    truth = np.diff(drawn.truth)[:, 0]
    differ = truth != 0
    return float((np.sign(judged * truth)[differ].mean() + 1) / 2)


def best_quarter(trainings: Trainings) -> Trainings:
    """The settings with the best means over a quarter of their seeds, with their other seeds."""
    num = trainings.values.shape[1] // 4
    best = np.argsort(-trainings.values[:, :num].mean(1))[: len(trainings.values) // 4]
    return Trainings(trainings.genomes[best], trainings.values[best, num:], trainings.curves[best, num:])


def estimates(trainings: Trainings, statistic: Callable[[Trainings, int, np.random.Generator], Any]) -> list[Estimate]:
    """The numbers f64[Q] of ``statistic(trainings, num_searches, rng)``, each with its 95 % interval."""
    rng = np.random.default_rng(0)
    num = len(trainings.values)
    drawn = []
    for _ in range(_NUM_HALVES):
        rows = rng.permutation(num)[: num // 2]
        half = Trainings(*[array[rows] for array in trainings])
        drawn.append(statistic(half, _NUM_SEARCHES_OF_HALF, rng))
    ends = np.quantile(drawn, [0.025, 0.975], axis=0)
    return [Estimate(*map(float, row)) for row in zip(statistic(trainings, _NUM_SEARCHES, rng), *ends, strict=True)]
