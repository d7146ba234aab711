"""The archive keeps the best, the newest, what repeats the best, and a cover of all other evaluations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxga import LogUniform, Objective, SearchSpace, Uniform, evolution, invasive_ga
from jaxga.algorithms.archive import empty, insert
from jaxga.task import function_task

SIZE = 32
NUM_BEST, NUM_NEWEST = SIZE // 4, SIZE // 8


def _fill(generations):
    """An archive of 32 rows told these generations of (genomes, loss), and all members as numpy arrays."""
    archive, number = empty(SIZE, 2), 0
    told = jax.jit(insert)
    for genomes, loss in generations:
        size = len(loss)
        archive = told(archive, jnp.asarray(genomes), jnp.asarray(loss), number + jnp.arange(size, dtype=jnp.int32))
        number += size
    genomes, loss = (np.concatenate(parts) for parts in zip(*generations, strict=True))
    return archive, genomes, loss


def _drawn(seed, size, num):
    generator = np.random.default_rng(seed)
    return [(generator.random((size, 2), np.float32), generator.random(size, dtype=np.float32)) for _ in range(num)]


def test_keeps_everything_while_there_is_room():
    archive, _, loss = _fill(_drawn(0, 6, 5))
    assert sorted(np.asarray(archive.number)) == [-1, -1, *range(30)]
    kept = np.asarray(archive.number) >= 0
    assert (np.asarray(archive.loss)[kept] == loss[np.asarray(archive.number)[kept]]).all()


@pytest.mark.parametrize("size", [1, 6, 40])
def test_keeps_the_best_and_the_newest(size):
    archive, _, loss = _fill(_drawn(1, size, 240 // size))
    number = set(np.asarray(archive.number).tolist())
    assert set(np.argsort(loss)[:NUM_BEST].tolist()) <= number
    if size < SIZE:
        assert set(range(len(loss) - NUM_NEWEST, len(loss))) <= number


def test_drops_the_rows_nearest_to_an_older_or_kept_one():
    generations = _drawn(2, 8, 6)
    archive, genomes, loss = _fill(generations[:5])
    before, _, _ = _fill(generations[:4])
    rows = np.concatenate([np.asarray(before.number), np.arange(32, 40)])
    order = rows[np.argsort(loss[rows], kind="stable")]
    stays = set(order[:NUM_BEST].tolist()) | set(range(36, 40))
    gap = {}
    for row in rows:
        others = [other for other in rows if other != row and (other in stays or other < row)]
        gap[int(row)] = min((np.square(genomes[row] - genomes[o]).sum() for o in others), default=np.inf)
    ranked = sorted(set(rows.tolist()) - stays, key=lambda row: -gap[row])
    assert set(np.asarray(archive.number).tolist()) == stays | set(ranked[: SIZE - len(stays)])


def test_a_bad_region_stays_known():
    generator = np.random.default_rng(3)
    bad = np.array([[0.9, 0.9], [0.9, 0.1]], np.float32)
    good = [
        (0.1 + 0.1 * generator.random((8, 2), np.float32), generator.random(8, dtype=np.float32)) for _ in range(40)
    ]
    archive, _, _ = _fill([(bad, np.array([5.0, 6.0], np.float32)), *good])
    assert {0, 1} <= set(np.asarray(archive.number).tolist())


def test_repetitions_of_the_best_stay_and_those_of_others_do_not():
    generator = np.random.default_rng(4)
    best, poor = np.array([[0.5, 0.5]], np.float32), np.array([[0.2, 0.7]], np.float32)
    first = (np.concatenate([best, poor, best, poor]), np.array([-1.0, 8.0, 4.0, 9.0], np.float32))
    others = [(generator.random((8, 2), np.float32), generator.random(8, dtype=np.float32)) for _ in range(40)]
    number = set(np.asarray(_fill([first, *others])[0].number).tolist())
    assert {0, 2} <= number
    assert 3 not in number


def test_failed_members_leave_first():
    generations = _drawn(5, 8, 4)
    failed = (generations[0][0], np.full(8, np.nan, np.float32))
    archive, _, _ = _fill([failed, *generations, _drawn(6, 1, 1)[0]])
    assert np.asarray(archive.valid).sum() == SIZE
    assert np.asarray(archive.number).min() >= 8


def test_the_search_does_not_go_back_to_what_was_bad():
    """Two genes with a cliff; five times as many evaluations as the archive has rows."""
    space = SearchSpace(learning_rate=LogUniform(1e-4, 1.0), momentum=Uniform(0.0, 0.99))

    def loss(key, setting):
        rate = jnp.log10(setting["learning_rate"] / (1.01 - setting["momentum"]))
        noise = 0.004 * jax.random.normal(key)
        return 0.12 + 2.2 * jax.nn.sigmoid(-4.0 * (rate + 1.0)) + 0.02 * (rate - 0.5) ** 2 + noise

    algorithm = invasive_ga(space, population_size=16, archive_size=96, num_candidates=256)
    step = evolution.make_step(algorithm)
    key = jax.random.key(0, impl="threefry2x32")
    task = function_task(loss, space, Objective("loss", "min"))
    _, records = jax.jit(evolution.scan(step, 30))(key, evolution.init(algorithm, key), task)
    losses = np.asarray(records.loss)
    assert (losses[4:] > np.median(losses[0])).mean() <= 0.02
