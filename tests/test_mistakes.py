"""What a user of the library can get wrong: one line that says what was given and what is allowed."""

import functools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxga
from jaxga import Categorical, Evaluation, Integer, LogInteger, LogUniform, Objective, SearchSpace, Uniform
from jaxga.loop import as_key
from jaxga.operators import crossover, mutation, selection, survival
from jaxga.task import FunctionTask

SPACE = SearchSpace(lr=LogUniform(1e-4, 1.0), x=Uniform(-1.0, 1.0), n=Integer(1, 9))


def bowl(key, setting):
    return setting["x"] ** 2


def minimize(fitness=bowl, space=SPACE, **options):
    small = {"population_size": 4, "num_generations": 2, "num_fresh": 0, "algorithm": "random_search"}
    return jaxga.minimize(fitness, space, **{**small, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"algorithm": "nonsense"}, "algorithm must be one of .*'invasive_ga'.*got 'nonsense'"),
        ({"algorithm": 3}, "algorithm must be one of .* got 3"),
        ({"algorithm": lambda space, population_size: None}, "a factory must return an Algorithm, got None"),
        ({"key": None}, r"key must be a seed in \[0, 4294967295\] or one threefry2x32 key of jax.random, got None"),
        ({"key": 0.5}, "got 0.5"),
        ({"key": True}, "got True"),
        ({"key": -1}, "got -1"),
        ({"key": 2**32}, "got 4294967296"),
        ({"population_size": "8"}, "population_size must be a whole number of at least 1, got '8'"),
        ({"population_size": 8.0}, "got 8.0"),
        ({"population_size": True}, "got True"),
        ({"population_size": 10**20}, "population_size must be at most 1048576, got 100000000000000000000"),
        ({"population_size": 0}, "got 0"),
        ({"num_generations": 0}, "num_generations must be a whole number .* got 0"),
        ({"num_replicates": 0}, "num_replicates must be a whole number of at least 1, got 0"),
        ({"chunk_size": 0}, "chunk_size must be a whole number of at least 1, got 0"),
        ({"num_generations": 2.5}, "num_generations must be a whole number .* got 2.5"),
        ({"num_generations": 2**31}, "num_generations must be a whole number in .* got 2147483648"),
        ({"seeds": "generations"}, "seeds must be one of own, generation, run, got 'generations'; did you mean gen"),
        ({"seeds": 3}, "seeds must be one of own, generation, run, got '3'"),
        ({"num_replicates": "2"}, "num_replicates must be a whole number of at least 1, got '2'"),
        ({"chunk_size": 1.5}, "chunk_size must be a whole number of at least 1, got 1.5"),
        ({"num_fresh": -1}, "num_fresh must be a whole number of at least 0, got -1"),
        ({"out": 3}, "out must be the path of a folder or None, got 3"),
        ({"fitness": SPACE, "space": bowl}, r"fitness must be a function of \(key, setting\), got SearchSpace"),
        ({"fitness": lambda setting: setting["x"]}, r"fitness must be a function of \(key, setting\), got <function"),
        ({"space": [Uniform(0, 1)]}, "space must be a SearchSpace or a dict of its dimensions"),
        ({"space": {"x": 3}}, "x must be a Uniform, .* got 3"),
        ({"space": {1: Uniform(0, 1)}}, "a name must be a string that is not empty, got 1"),
        ({"space": {}}, "at least one dimension is needed"),
        ({"space": {"value": Uniform(0, 1)}}, "'value' is a column of the history"),
    ],
)
def test_an_argument_that_is_wrong(options, message):
    with pytest.raises(ValueError, match=message) as raised:
        minimize(**options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda s: None, r"fitness must return a number, .* or \(number, dict of metrics, model\), got None"),
        (lambda s: (s["x"], {}, 3, 4), "fitness must return a number"),
        (lambda s: {"loss": s["x"]}, "fitness must return a number"),
        (lambda s: "best", "fitness must return a number"),
        (lambda s: (s["x"], [1.0]), "fitness must return a number"),
        (
            lambda s: (s["x"], {"m": "word"}),
            "metric 'm' of evaluate must be a number or .* got 'word'",
        ),
        (lambda s: jnp.ones(3), r"the value of evaluate must be one real number, got an array of shape \[3\]"),
        (lambda s: s["x"] + 1j, "the value of evaluate must be one real number, got the type complex64"),
        (
            lambda s: (s["x"], {"m": 1j * s["x"]}),
            "metric 'm' of evaluate must be a real number or a curve of one axis, got the type",
        ),
        (lambda s: (s["x"], {"m": jnp.eye(3)}), r"metric 'm' of evaluate must be .* got an array of shape \[3, 3\]"),
        (lambda s: (s["x"], {"m": jnp.ones(0)}), r"metric 'm' of evaluate must be .* got an array of shape \[0\]"),
        (lambda s: (s["x"], {"a": {"b": 1.0}, "a/b": 2.0}), "two metrics have the name 'a/b'"),
        (lambda s: (s["x"], {"value": 1.0, "metric_value": 2.0}), "two columns .* the name 'metric_value'"),
        (lambda s: (s["x"], {}, {"a": {"b": s["x"]}, "a/b": s["x"]}), "two arrays of the model .* the name 'a/b'"),
        (lambda s: (s["x"], {}, {"a": s["x"], "a/b": s["x"]}), "two arrays of the model .* the name 'a'"),
        (lambda s: (s["x"], {}, "net"), "the model of evaluate must be a pytree of arrays, got a str at model"),
        (lambda s: (s["x"], {}, {"w": s["x"], "f": bowl}), r"model .* of arrays, got a function at model\['f'\]"),
    ],
)
def test_what_a_fitness_returns(returned, message):
    with pytest.raises(ValueError, match=message) as raised:
        minimize(lambda key, setting: returned(setting))
    assert "\n" not in str(raised.value)


def branches(key, setting):
    return setting["x"] if setting["x"] > 0 else 0.0


def test_python_cannot_see_a_traced_hyperparameter():
    cases = [
        branches,
        lambda key, setting: float(setting["x"]),
        lambda key, setting: sum(range(setting["n"])),
        lambda key, setting: np.log(setting["lr"]),
        lambda key, setting: jnp.zeros(setting["n"]).sum(),
    ]
    for fitness in cases:
        with pytest.raises(
            ValueError, match=r"evaluate cannot be traced \(test_mistakes\.py:\d+\): .*jnp\.where"
        ) as raised:
            minimize(fitness)
        assert raised.value.__cause__ is not None  # the original error is shown too
        assert "\n" not in str(raised.value)


def test_a_misspelt_hyperparameter_is_named_with_those_there_are():
    with pytest.raises(
        ValueError, match=r"nothing has the name 'rate' \(test_mistakes\.py:\d+\); a setting has \['lr', 'x', 'n'\]"
    ):
        minimize(lambda key, setting: setting["rate"])
    with pytest.raises(KeyError, match="lr"):  # not the setting's own: as it was raised
        minimize(lambda key, setting: {}["lr"])


def test_nested_metrics_are_named_by_their_path():
    result = minimize(
        lambda key, setting: (setting["x"], {"test": {"loss": setting["x"], "hits": 3}, "curve": jnp.ones(2)})
    )
    assert {"test/loss", "test/hits", "curve"} <= set(result.history.columns)
    np.testing.assert_array_equal(result.history.columns["test/loss"], result.history.columns["value"])


def test_a_metric_of_a_taken_name_keeps_its_figures():
    result = minimize(lambda key, setting: (setting["x"], {"value": 7.0, "x": 8.0, "run": 9.0}))
    columns = result.history.columns
    assert [columns[f"metric_{name}"][0] for name in ("value", "x", "run")] == [7.0, 8.0, 9.0]


@pytest.mark.parametrize("word", ["minimise", "down", "MIN", "", None, 1])
def test_an_unknown_direction_is_refused(word):
    with pytest.raises(ValueError, match="direction must be one of"):
        Objective("loss", word)


@pytest.mark.parametrize(("word", "expected"), [("min", 0.0), ("minimize", 0.0), ("max", 1.0), ("maximize", 1.0)])
def test_a_direction_and_its_synonym_search_the_same_way(word, expected):
    @jax.tree_util.register_dataclass
    @dataclass(frozen=True)
    class Bowl:
        space = SPACE
        objective = Objective("square", word)

        def evaluate(self, key, setting):
            return Evaluation(setting["x"] ** 2, {})

    result = jaxga.optimize(Bowl(), population_size=64, num_generations=2, algorithm="random_search", num_fresh=0)
    assert abs(result.best_value - expected) < 0.1


@pytest.mark.parametrize(
    "task", [bowl, SPACE, None, "mnist", type("Task", (), {"space": SPACE, "objective": Objective(), "evaluate": bowl})]
)
def test_what_is_no_task(task):
    with pytest.raises(ValueError, match="task must be an object with space, objective and evaluate"):
        jaxga.optimize(task)


class Plain:
    """A task but for what a test changes."""

    space = SPACE
    objective = Objective()

    def evaluate(self, key, setting):
        return Evaluation(setting["x"], {})


def test_a_task_is_a_pytree_of_arrays():
    with pytest.raises(ValueError, match=r"task must be a pytree \(@jax\.tree_util\.register_dataclass\), got"):
        jaxga.optimize(Plain())

    @jax.tree_util.register_dataclass
    @dataclass(frozen=True)
    class Named(Plain):
        name: str = "mine"

    with pytest.raises(ValueError, match=r"task\.name must be an array, or static .* got 'mine'"):
        jaxga.optimize(Named())


def test_what_the_winner_is_tested_by_is_looked_at_before_the_search():
    @jax.tree_util.register_dataclass
    @dataclass(frozen=True)
    class Tested(Plain):
        def test(self, key, setting):
            return Evaluation(jnp.ones(3), {})

    with pytest.raises(ValueError, match="the value of test must be one real number, got an array"):
        jaxga.optimize(Tested())


def test_an_algorithm_by_name_and_a_dict_as_space():
    named = minimize(space=dict(SPACE.items), algorithm="sobol_search")
    made = minimize(algorithm=jaxga.ALGORITHMS["sobol_search"](SPACE, population_size=4), population_size=None)
    assert named.best == made.best
    assert len(minimize(population_size=None, num_generations=1).history) == 64


def test_a_population_size_that_contradicts_the_algorithm():
    with pytest.raises(ValueError, match="population_size must be the given Algorithm's own 4 or left out, got 5"):
        minimize(algorithm=jaxga.random_search(SPACE, population_size=4), population_size=5)


@pytest.mark.parametrize("name", [name for name in jaxga.ALGORITHMS if not name.startswith("evosax")])
def test_a_factory_wants_a_space_and_tell_a_loss_a_member(name):
    with pytest.raises(ValueError, match=r"space must be a jaxga\.SearchSpace, got \{"):
        jaxga.ALGORITHMS[name]({"x": Uniform(0, 1)}, population_size=4)
    algorithm = jaxga.ALGORITHMS[name](SPACE, population_size=8)
    key = jax.random.key(0)
    state = jax.eval_shape(algorithm.init, key)
    with pytest.raises(ValueError, match=r"tell: loss must have shape \[8\], got \[5\]"):
        algorithm.tell(key, state, np.zeros((8, 3)), np.zeros(5))
    with pytest.raises(ValueError, match=r"tell: genomes must have shape \[8, 3\], got \[8, 2\]"):
        algorithm.tell(key, state, np.zeros((8, 2)), np.zeros(8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Categorical([math.nan, 1, 2]), "must be finite, got nan"),
        (lambda: Categorical([math.inf, 1]), "must be finite, got inf"),
        (lambda: Categorical(["a", math.nan]), "must be finite, got nan"),
        (lambda: Categorical([1e39, 1.0]), r"must fit float32, got 1e\+39"),
        (lambda: Categorical([2**40, 1]), "must fit int32, got 1099511627776"),
        (lambda: Categorical([0.1, 0.1 + 1e-12]), "must differ from one another"),
        (lambda: Categorical(["1", 1]), "must differ from one another, in float32 and as text"),
        (lambda: Categorical([None, "None"]), "must differ from one another"),
        (lambda: Uniform(0.0, 10**400), "high must be a finite number"),
        (lambda: Uniform(0.0, math.nan), "high must be a finite number"),
        (lambda: Uniform(1e8, 1e8 + 1), "are equal in float32"),
        (lambda: Uniform(0.0, "x"), "high must be a finite number"),
        (lambda: LogUniform(1e-300, 1.0), "low must be at least 1.18e-38"),
        (lambda: LogUniform(0.0, 1.0), "low must be above 0"),
        (lambda: Integer(0.5, 3), "low must be a whole number"),
        (lambda: Integer(0, 2**40), "levels within"),
        (lambda: SPACE.encode({"lr": 0.1, "x": 0.0, "n": 5.4}), "Integer: value must be a whole number, got 5.4"),
        (
            lambda: SearchSpace(m=LogInteger(1, 50)).encode({"m": 2.5}),
            "LogInteger: value must be a whole number, got 2.5",
        ),
    ],
)
def test_a_space_that_float32_cannot_hold(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_whole_numbers_from_a_text_file_are_whole():
    assert SPACE.setting(SPACE.encode({"lr": 0.1, "x": 0.0, "n": 5.0}))["n"] == 5


def test_keys_are_threefry_whatever_the_default_is():
    expected = jax.random.key_data(as_key(7)).tolist()
    assert expected == [0, 7]
    with jax.default_prng_impl("rbg"):
        assert jax.random.key_data(as_key(7)).tolist() == expected
        with pytest.raises(ValueError, match=r"got a key of type key<rbg>\[\]"):
            as_key(jax.random.key(7))
        with pytest.raises(ValueError, match="threefry2x32"):
            as_key(jax.random.PRNGKey(7))
        plain, chunked = (minimize(chunk_size=c).history.columns["value"] for c in (None, 1))
    np.testing.assert_allclose(plain, chunked, rtol=1e-6)
    assert jax.random.key_data(as_key(jax.random.PRNGKey(7))).tolist() == expected


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Scaled:
    """The scale is a leaf, so that one program serves every scale."""

    scale: jax.Array
    space = SPACE
    objective = Objective()

    def evaluate(self, key, setting):
        return Evaluation(setting["x"] * self.scale, {})


@pytest.mark.usefixtures("quick_programs")
@pytest.mark.parametrize("scale", [3e38, -3e38, 1e20])
@pytest.mark.parametrize("noisy", [False, True])
def test_losses_near_the_end_of_float32_leave_no_nan(scale, noisy):
    result = jaxga.optimize(Scaled(jnp.float32(scale)), algorithm=_smallest(noisy), num_generations=4, num_fresh=0)
    assert result.best_value < -0.5 * abs(scale)
    for path, leaf in jax.tree_util.tree_flatten_with_path(result.state)[0]:
        assert not np.isnan(leaf).any(), jax.tree_util.keystr(path)
    predicted = result.history.columns["predicted"]
    assert np.isfinite(predicted[result.history.columns["generation"] > 0]).all()
    assert np.abs(predicted[-6:]).max() > 1e-3 * abs(scale)


@functools.cache
def _smallest(noisy):
    """With an archive of the least size, which 4 generations fill."""
    return jaxga.invasive_ga(SPACE, population_size=6, noisy=noisy, archive_size=16, num_candidates=64)


@pytest.mark.usefixtures("quick_programs")
def test_the_smallest_archive_works_with_a_larger_population():
    algorithm = jaxga.invasive_ga(SPACE, population_size=64, archive_size=16)
    assert minimize(algorithm=algorithm, population_size=None, num_generations=3).best_value < 0.5
    with pytest.raises(ValueError, match="archive_size must be a whole number of at least 16, got 15"):
        jaxga.invasive_ga(SPACE, population_size=4, archive_size=15)
    with pytest.raises(ValueError, match="noisy must be True, False or None, got 1"):
        jaxga.invasive_ga(SPACE, population_size=4, noisy=1)


def test_an_algorithm_for_another_space_is_refused():
    other = jaxga.random_search(SearchSpace(x=Uniform(0, 2)), population_size=4)
    with pytest.raises(ValueError, match=r"the task's search space .* got one for .*high=2"):
        minimize(algorithm=other, population_size=None)
    with pytest.raises(ValueError, match="must be made for the task's search space"):
        jaxga.run(FunctionTask(bowl, SPACE, Objective()), other, num_generations=1)


def test_the_state_of_another_search_is_refused():
    task = FunctionTask(bowl, SPACE, Objective())
    algorithm, other = (factory(SPACE, population_size=4) for factory in (jaxga.random_search, jaxga.ga))
    [generation] = jaxga.run(task, algorithm, num_generations=1)
    with pytest.raises(ValueError, match="state must be the state of a Generation of this algorithm"):
        jaxga.run(task, other, num_generations=2, state=generation.state)
    with pytest.raises(ValueError, match="state must be the state"):
        jaxga.run(task, algorithm, num_generations=2, state={"generation": 1})
    with pytest.raises(ValueError, match="mesh must have the one axis 'pop'"):
        jaxga.run(task, algorithm, num_generations=2, mesh=3)
    with pytest.raises(ValueError, match="algorithm must be an Algorithm, got 'random_search'"):
        jaxga.run(task, "random_search", num_generations=2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: selection.rank("2"),
        lambda: selection.tournament(2.5),
        lambda: crossover.uniform(SPACE, swap_rate="x"),
        lambda: crossover.blx_alpha(SPACE, alpha=math.nan),
        lambda: crossover.differential(SPACE, min_factor=1.0, max_factor=1.0),
        lambda: mutation.gaussian(SPACE, rate=0.0),
        lambda: mutation.self_adapting(SPACE, max_scale=None),
        lambda: survival.comma(-1),
        lambda: jaxga.ga(SPACE, population_size=4, selection=3),
        lambda: jaxga.ga(SPACE, population_size=4, crossover_rate="x"),
    ],
)
def test_an_operator_of_a_wrong_number(make):
    with pytest.raises(ValueError, match=r"must .* got"):
        make()
