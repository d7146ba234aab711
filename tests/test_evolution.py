"""Evaluation, one generation, the host loop: what a member gets does not depend on how it is run."""

import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxga
from jaxga import Evaluation, Objective, SearchSpace, evolution
from jaxga.evaluate import evaluate, mean_scores, train_members
from jaxga.loop import evaluate_fresh
from jaxga.task import FunctionTask
from jaxga.tasks.guess import guess

SPACE = SearchSpace(x=jaxga.Uniform(-1.0, 1.0), n=jaxga.Integer(1, 9), c=jaxga.Categorical(["a", "b"]))


def noisy_bowl(key, setting):
    return setting["x"] ** 2 + 0.1 * (setting["n"] - 4) ** 2 + setting["c"] + 0.01 * jax.random.normal(key)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Scaled:
    """Data as a leaf; fails where x is below ``floor``."""

    data: jax.Array
    floor: float = field(default=-2.0, metadata={"static": True})
    space: SearchSpace = field(default=SPACE, metadata={"static": True})
    objective: Objective = field(default=Objective("score", "max"), metadata={"static": True})

    def evaluate(self, key, setting):
        score = -noisy_bowl(key, setting) * self.data.mean()
        score = jnp.where(setting["x"] < self.floor, jnp.nan, score)
        return Evaluation(score, {"curve": score * jnp.arange(3.0), "x_seen": setting["x"]})


TASK = Scaled(jnp.ones(7))
GENOMES = jax.random.uniform(jax.random.key(1), (10, 3))


@pytest.mark.parametrize("num_replicates", [1, 3])
def test_members_are_scored_one_by_one_under_their_own_keys(num_replicates):
    key = jax.random.key(5)
    scores = evaluate(TASK, key, GENOMES, num_replicates=num_replicates)
    for i, genome in enumerate(GENOMES):
        keys = [jax.random.fold_in(jax.random.fold_in(key, i), r) for r in range(num_replicates)]
        values = np.array([TASK.evaluate(k, SPACE.decode(genome)).value for k in keys])
        np.testing.assert_allclose(scores.loss[i], -values.mean(), rtol=1e-5)
        expected = values.var(ddof=1) / num_replicates if num_replicates > 1 else 0.0
        np.testing.assert_allclose(scores.loss_var[i], expected, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("chunk_size", [1, 3, 7, 10, 100])
def test_chunks_change_nothing(chunk_size):
    plain = evaluate(TASK, jax.random.key(5), GENOMES, num_replicates=2)
    chunked = evaluate(TASK, jax.random.key(5), GENOMES, num_replicates=2, chunk_size=chunk_size)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-7), plain, chunked)


def seed_drawn(key, setting):
    return jax.random.normal(key), {"x": setting["x"]}


@pytest.mark.parametrize("seeds", ["generation", "run"])
@pytest.mark.parametrize("chunk_size", [None, 1, 4, 20])
def test_shared_seeds_are_those_of_member_0(seeds, chunk_size):
    """Every member has the same replicates, which differ from one another; the settings stay each member's own."""
    task = FunctionTask(seed_drawn, SPACE, Objective())
    scores = evaluate(task, jax.random.key(5), GENOMES, num_replicates=2, seeds=seeds, chunk_size=chunk_size)
    own = evaluate(task, jax.random.key(5), GENOMES, num_replicates=2)
    np.testing.assert_array_equal(scores.loss, np.full(10, own.loss[0]))
    np.testing.assert_array_equal(scores.loss_var, np.full(10, own.loss_var[0]))
    assert scores.loss_var[0] > 0.0
    np.testing.assert_array_equal(scores.metrics["x"], own.metrics["x"])
    assert len(np.unique(own.loss)) == 10


@pytest.mark.parametrize(("seeds", "num_distinct"), [("own", 15), ("generation", 3), ("run", 1)])
def test_who_shares_the_seeds(seeds, num_distinct):
    task = FunctionTask(seed_drawn, SPACE, Objective())
    options = {"num_generations": 3, "seeds": seeds, "num_replicates": 2}
    generations = list(jaxga.run(task, jaxga.random_search(SPACE, population_size=5), **options))
    losses = np.array([g.record.loss for g in generations])
    assert len(np.unique(losses)) == num_distinct
    assert (np.array([g.record.loss_var for g in generations]) > 0.0).all()
    result = jaxga.minimize(seed_drawn, SPACE, population_size=5, num_fresh=4, algorithm="random_search", **options)
    assert not np.isin(result.fresh_values, losses).any()
    assert len(np.unique(result.fresh_values)) == 4


def test_a_remainder_does_not_trace_the_task_twice():
    traced = []

    def fitness(key, setting):
        traced.append(1)
        return setting["x"]

    task = FunctionTask(fitness, SPACE, Objective())
    jax.jit(partial(evaluate, chunk_size=4))(task, jax.random.key(0), GENOMES)
    assert len(traced) == 1


def test_a_failed_member_is_a_value_and_does_not_touch_its_neighbours():
    key = jax.random.key(5)
    healthy = evaluate(TASK, key, GENOMES, num_replicates=2)
    scores = evaluate(Scaled(jnp.ones(7), floor=0.0), key, GENOMES, num_replicates=2)
    fails = np.asarray(SPACE.decode(GENOMES)["x"] < 0.0)
    assert 0 < fails.sum() < 10
    np.testing.assert_array_equal(np.isinf(scores.loss), fails)
    np.testing.assert_array_equal(scores.loss[~fails], healthy.loss[~fails])
    assert scores.num_failed == fails.sum()
    assert np.isfinite(scores.loss_var).all()


def test_one_failed_replicate_fails_the_member():
    def fitness(key, setting):
        return jnp.where(jax.random.uniform(key) < 0.5, jnp.nan, 1.0)

    scores = evaluate(FunctionTask(fitness, SPACE, Objective()), jax.random.key(0), GENOMES, num_replicates=3)
    keys = [[jax.random.fold_in(jax.random.fold_in(jax.random.key(0), i), r) for r in range(3)] for i in range(10)]
    fails = [any(jax.random.uniform(k) < 0.5 for k in member) for member in keys]
    np.testing.assert_array_equal(np.isinf(scores.loss), fails)


def test_large_replicates_have_a_mean_and_a_variance():
    values = jnp.array([[3e38, 3e38, 3e38], [1e25, 2e25, 3e25], [3e38, -3e38, -3e38], [1.0, jnp.inf, 1.0]])
    scores = mean_scores(TASK, values, {"same": values})
    np.testing.assert_allclose(scores.loss, [-3e38, -2e25, 1e38, np.inf], rtol=1e-6)
    np.testing.assert_allclose(scores.metrics["same"], [3e38, 2e25, -1e38, np.inf], rtol=1e-6)
    assert scores.num_failed == 1
    spread = np.sqrt(scores.loss_var * 3)  # as in the history
    np.testing.assert_allclose(spread, [0, 2**63.5, 2**63.5, 0], rtol=1e-6)


@pytest.mark.parametrize("num_replicates", [1, 2, 3, 8, 11])
def test_ordinary_replicates_have_the_plain_mean_and_variance_to_the_bit(num_replicates):
    key_value, key_power = jax.random.split(jax.random.key(0))
    shape = (500, num_replicates)
    values = jax.random.normal(key_value, shape) * 10.0 ** jax.random.uniform(key_power, shape, minval=-9.0, maxval=9.0)
    scores = mean_scores(TASK, values, {})
    np.testing.assert_array_equal(scores.loss, -values.mean(axis=1))
    if num_replicates > 1:
        np.testing.assert_array_equal(scores.loss_var, values.var(axis=1, ddof=1) / num_replicates)


def losses(**options):
    algorithm = jaxga.random_search(SPACE, population_size=6)
    return np.array([g.record.loss for g in jaxga.run(TASK, algorithm, key=3, num_generations=5, **options)])


def test_several_generations_in_one_program_equal_one_by_one():
    plain = losses()
    np.testing.assert_array_equal(losses(generations_per_dispatch=2), plain)
    np.testing.assert_array_equal(losses(generations_per_dispatch=9), plain)
    # As many records are kept on the device as there are generations to come.
    np.testing.assert_array_equal(losses(generations_per_dispatch=2**40), plain)


def test_the_generations_of_one_program_share_its_time():
    algorithm = jaxga.random_search(SPACE, population_size=6)
    found = list(jaxga.run(TASK, algorithm, num_generations=5, generations_per_dispatch=3))
    seconds = [generation.seconds - generation.compile_seconds for generation in found]
    assert seconds[:3] == pytest.approx([seconds[1]] * 3)
    assert seconds[3] == seconds[4]
    assert [generation.compile_seconds > 0 for generation in found] == [True, False, False, False, False]


def test_generations_a_program_change_no_bit():
    """Whole numbers are full of near ties: a rounding that differs makes another search within some 25 generations."""
    task = guess()
    algorithm = jaxga.invasive_ga(task.space, population_size=12)

    def genomes(generations_per_dispatch):
        options = {"num_generations": 40, "generations_per_dispatch": generations_per_dispatch}
        return np.array([g.record.offspring.genomes for g in jaxga.run(task, algorithm, **options)])

    np.testing.assert_array_equal(genomes(7), genomes(1))


def test_generations_differ_and_keys_matter():
    plain = losses()
    assert len(np.unique(plain)) == plain.size
    other = jaxga.run(TASK, jaxga.random_search(SPACE, population_size=6), key=4, num_generations=1)
    assert not np.isin(next(iter(other)).record.loss, plain).any()


def test_stopped_and_resumed_equals_straight():
    algorithm = jaxga.ga(SPACE, population_size=6, num_parents=2)
    straight = list(jaxga.run(TASK, algorithm, key=3, num_generations=5))
    first = list(jaxga.run(TASK, algorithm, key=3, num_generations=2))
    state = jax.tree.map(jnp.asarray, jax.device_get(first[-1].state))
    rest = list(jaxga.run(TASK, algorithm, key=3, num_generations=5, state=state))
    for whole, part in zip(straight, first + rest, strict=True):
        jax.tree.map(np.testing.assert_array_equal, whole.record, part.record)


def test_a_second_generation_compiles_nothing(caplog):
    jax.config.update("jax_log_compiles", True)
    try:
        generations = jaxga.run(TASK, jaxga.ga(SPACE, population_size=6, num_parents=2), num_generations=4)
        next(generations)
        next(generations)
        caplog.clear()
        assert len(list(generations)) == 2
        assert not [r for r in caplog.records if "Compiling" in r.getMessage()]
    finally:
        jax.config.update("jax_log_compiles", False)


def test_only_the_record_leaves_the_device():
    generations = jaxga.run(TASK, jaxga.ga(SPACE, population_size=6, num_parents=2), num_generations=4)
    next(generations)
    with jax.transfer_guard_host_to_device("disallow"):
        generation = next(generations)
    assert all(isinstance(leaf, np.ndarray | np.generic) for leaf in jax.tree.leaves(generation.record))
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(generation.state))
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(generation.record)) < 2000


def test_a_whole_run_is_vmapped_over_keys():
    algorithm = jaxga.ga(SPACE, population_size=6, num_parents=2)
    run = evolution.scan(evolution.make_step(algorithm), 4)

    def best(key):
        _, record = run(key, evolution.init(algorithm, key), TASK)
        return record.best.loss[-1]

    keys = jax.vmap(jax.random.key)(jnp.arange(3))
    together = jax.jit(jax.vmap(best))(keys)
    np.testing.assert_allclose(together, [best(key) for key in keys], rtol=1e-5)
    assert len(np.unique(together)) == 3


def test_no_key_is_used_twice():
    with jax.debug_key_reuse(True):
        algorithm = jaxga.random_search(SPACE, population_size=4)
        list(jaxga.run(TASK, algorithm, num_generations=2, num_replicates=2))


def test_fresh_seeds_are_not_those_of_the_search():
    genome = np.array([0.5, 0.5, 0.0], np.float32)
    fresh = evaluate_fresh(TASK, genome, key=0, num_seeds=5, chunk_size=2).value
    assert len(np.unique(fresh)) == 5
    searched = [evaluate(TASK, jax.random.fold_in(jax.random.key(0), t), genome[None]).loss for t in range(3)]
    assert not np.isin(-fresh, searched).any()


NUM_WEIGHTS = 500_000


def with_model(key, setting):
    value = setting["x"] + jax.random.normal(key)
    return value, {}, {"weights": value * jnp.arange(NUM_WEIGHTS, dtype=jnp.float32)}


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_a_population_does_not_hold_the_models(chunk_size):
    def num_bytes(function, *arguments):
        program = jax.jit(partial(function, chunk_size=chunk_size)).lower(*arguments).compile()
        memory = program.memory_analysis()
        return memory.temp_size_in_bytes + memory.output_size_in_bytes

    task, keys = FunctionTask(with_model, SPACE, Objective()), jax.random.split(jax.random.key(0), len(GENOMES))
    kept = num_bytes(partial(train_members, FunctionTask.evaluate, keep_model=True), task, keys, GENOMES)
    size = len(GENOMES) * NUM_WEIGHTS * 4
    assert num_bytes(evaluate, task, keys[0], GENOMES) < size / 100 < size < kept


def test_the_winners_models_are_returned_for_all_fresh_seeds():
    task = FunctionTask(with_model, SPACE, Objective())
    fresh = evaluate_fresh(task, np.array([0.5, 0.5, 0.0], np.float32), key=0, num_seeds=3, chunk_size=2)
    assert fresh.model["weights"].shape == (3, NUM_WEIGHTS)
    np.testing.assert_array_equal(fresh.model["weights"][:, 1], fresh.value)
    assert evaluate_fresh(TASK, np.zeros(3, np.float32), key=0, num_seeds=2).model is None


@jax.tree_util.register_pytree_node_class
class Callable:
    """A model that can be called and is a pytree, as many libraries have them."""

    def __init__(self, weight):
        self.weight = weight

    def __call__(self, x):
        return self.weight * x

    def tree_flatten(self):
        return [self.weight], None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        return cls(*leaves)


def test_a_model_that_can_be_called_passes_single_precision_as_it_is():
    @jaxga.single_precision
    def fitness(key, setting):
        return setting["x"], {}, Callable(setting["x"])

    fresh = evaluate_fresh(FunctionTask(fitness, SPACE, Objective()), np.ones(3, np.float32), key=0, num_seeds=2)
    assert isinstance(fresh.model, Callable)
    np.testing.assert_array_equal(fresh.model(1.0), fresh.value)
    evaluation = jaxga.single_precision(lambda: Evaluation(jnp.ones(()), {}, Callable(jnp.ones(()))))()
    assert isinstance(evaluation.model, Callable)


DEVICES = """
import jax, jaxga, numpy as np
from tests.test_evolution import TASK, SPACE
mesh = jaxga.runtime.population_mesh()
assert mesh.size == 3
algorithm = jaxga.ga(SPACE, population_size=7, num_parents=2)
options = dict(key=3, num_generations=4, num_replicates=2)
for chunk_size, seeds in ((None, "own"), (2, "own"), (None, "generation"), (2, "generation")):
    plain = list(jaxga.run(TASK, algorithm, seeds=seeds, **options))
    generations = jaxga.run(TASK, algorithm, mesh=mesh, chunk_size=chunk_size, seeds=seeds, **options)
    sharded = [next(generations), next(generations)]
    with jax.log_compiles():
        sharded += list(generations)
    for a, b in zip(plain, sharded, strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), a.record, b.record)
print("equal")
"""


def test_a_population_shared_among_devices_equals_one_device():
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=3", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", DEVICES],
        env={**__import__("os").environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout.strip() == "equal", done.stderr[-2000:]
    assert "Compiling" not in done.stderr


def test_all_members_failed_is_an_error_outside():
    with pytest.raises(jaxga.AllMembersFailed, match="every one of the 6 members of generation 1 failed"):
        list(
            jaxga.run(Scaled(jnp.ones(7), floor=5.0), jaxga.random_search(SPACE, population_size=6), num_generations=2)
        )


@pytest.fixture(scope="module")
def result():
    return jaxga.minimize(noisy_bowl, SPACE, population_size=12, num_generations=6, key=0, algorithm="ga")


def test_minimize_speaks_the_settings_own_units(result):
    assert set(result.best) == {"x", "n", "c"}
    assert isinstance(result.best["n"], int)
    assert result.best["c"] in ("a", "b")
    assert isinstance(result.best_value, float)
    assert len(result.fresh_values) == 8
    value = noisy_bowl(jax.random.key(0), {**result.best, "c": ["a", "b"].index(result.best["c"])})
    assert abs(float(value) - result.fresh_value) < 0.05  # the noise has a standard deviation of 0.01


def test_maximize_is_minimize_of_the_negative():
    options = {"population_size": 6, "num_generations": 3, "key": 1, "num_fresh": 0, "algorithm": jaxga.random_search}
    down = jaxga.minimize(noisy_bowl, SPACE, **options)
    up = jaxga.maximize(lambda key, setting: -noisy_bowl(key, setting), SPACE, **options)
    assert up.best == down.best
    assert up.best_value == -down.best_value
    np.testing.assert_array_equal(up.history.columns["value"], -down.history.columns["value"])


def test_history_has_a_row_a_member(result, tmp_path):
    columns = result.history.columns
    assert len(result.history) == 72
    np.testing.assert_array_equal(columns["member"], np.arange(72))
    np.testing.assert_array_equal(columns["generation"], np.arange(72) // 12)
    result.history.to_csv(tmp_path / "history.csv")
    import pandas as pd

    table = pd.read_csv(tmp_path / "history.csv")
    assert list(table) == list(columns)
    np.testing.assert_array_equal(table["value"].astype(np.float32), columns["value"])
    assert list(result.history.to_pandas()) == list(columns)


def test_choices_of_several_kinds_keep_them(tmp_path):
    space = SearchSpace(c=jaxga.Categorical([None, True, "x", 3]))
    options = {"population_size": 8, "num_generations": 2, "num_fresh": 0, "algorithm": "ga"}
    result = jaxga.minimize(lambda key, s: s["c"], space, **options)
    assert {type(row["c"]) for row in result.history.rows()} == {type(None), bool, str, int}
    result.history.to_csv(tmp_path / "history.csv")
    assert set((tmp_path / "history.csv").read_text().split(",")) >= {"None", "True", "x", "3"}


def test_the_final_population_is_the_best_of_all(result):
    values = [row["value"] for row in result.population]
    assert values == sorted(result.history.columns["value"].tolist())[:12]
