"""Compiled programs are kept: a second search of the same kind compiles nothing."""

import contextlib
import functools
import gc
import weakref

import jax
import pytest

import jaxga
from jaxga import loop, programs
from jaxga.base import Objective
from jaxga.task import FunctionTask

SMALL = {"population_size": 4, "num_generations": 2, "num_fresh": 2}


def make_fitness():
    return lambda key, setting: setting["x"] ** 2 + jax.random.uniform(key)


def make_space():
    return {"x": jaxga.Uniform(-1.0, 1.0), "c": jaxga.Categorical([1, 2])}


@contextlib.contextmanager
def compiling():
    """The seconds of each compilation inside."""
    compiled = []

    def heard(event, duration_secs, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(heard)
    try:
        yield compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(heard)


@pytest.mark.parametrize(
    "algorithm", ["ga", jaxga.ga, functools.partial(jaxga.ga, num_parents=2)], ids=["name", "factory", "partial"]
)
def test_a_second_search_compiles_nothing(algorithm):
    fitness = make_fitness()
    with compiling() as first:
        jaxga.minimize(fitness, make_space(), algorithm=algorithm, **SMALL)
    if isinstance(algorithm, functools.partial):
        algorithm = functools.partial(jaxga.ga, num_parents=2)
    with compiling() as second:
        jaxga.minimize(fitness, make_space(), algorithm=algorithm, key=7, **{**SMALL, "num_generations": 3})
    assert first
    assert not second


def test_spaces_that_decode_to_other_types_do_not_share_a_program():
    seen = []

    def fitness(key, setting):
        seen.append(setting["c"].dtype.name)
        return setting["c"]

    for choices in ([1, 2], [1.0, 2.0]):
        space = {"c": jaxga.Categorical(choices)}
        jaxga.minimize(fitness, space, algorithm="random_search", **{**SMALL, "num_fresh": 0})
    assert list(dict.fromkeys(seen)) == ["int32", "float32"]
    assert len({jaxga.Categorical(choices) for choices in ([1, 0], [1.0, 0.0], [True, False], (1, 0))}) == 3


def test_unequal_options_make_unequal_algorithms():
    space = jaxga.SearchSpace(make_space())
    with pytest.raises(ValueError, match="population_size must be a whole number"):
        jaxga.minimize(make_fitness(), space, algorithm="random_search", population_size=True)
    with pytest.raises(TypeError, match="num_parrots"):
        jaxga.minimize(make_fitness(), space, algorithm=functools.partial(jaxga.ga, **{"num_parrots": 1}))


def test_the_newest_programs_are_kept_and_older_ones_die():
    @programs.kept_program
    def program(scale):
        return jax.jit(lambda task: task.fitness(None, {"x": scale}))

    def task(fitness):
        return FunctionTask(fitness, jaxga.SearchSpace(make_space()), Objective())

    fitness = lambda key, setting: setting["x"] + 1.0  # noqa: E731
    assert float(program(task(fitness), 2.0).lower(task(fitness)).compile()(task(fitness))) == 3.0
    assert program(task(fitness), 2.0) is program(task(fitness), 2.0)
    assert program(task(fitness), 2.0) is not program(task(fitness), 3.0)
    reference = weakref.ref(program(task(fitness), 2.0))
    gc.collect()
    assert reference() is not None
    for _ in range(programs.NUM_KEPT):
        program(task(make_fitness()), 2.0)
    gc.collect()
    assert reference() is None


def test_a_program_compiled_ahead_is_not_compiled_again(monkeypatch):
    jitted, threads = jax.jit(lambda x: x * 3.25), []
    monkeypatch.setattr(programs.threading.Thread, "run", lambda self: threads.append(self) or self._target())
    with compiling() as compiled:
        programs.compile_ahead(jitted, 2.0)
        programs.compile_ahead(jitted, 2.0)  # is under way
        assert float(programs.compiled(jitted, 2.0)(2.0)) == 6.5
    assert len(compiled) == len(threads) == 1


def test_what_cannot_be_compiled_ahead_fails_where_it_is_needed():
    def fails(x):
        raise ValueError("too wide")

    jitted = jax.jit(fails)
    programs.compile_ahead(jitted, 2.0)
    with pytest.raises(ValueError, match="too wide"):
        programs.compiled(jitted, 2.0)


def test_the_winners_program_is_compiled_during_the_generations(monkeypatch):
    ahead = []
    monkeypatch.setattr(loop, "compile_ahead", lambda jitted, *arguments: ahead.append((jitted, arguments)))
    task = FunctionTask(make_fitness(), jaxga.SearchSpace(make_space()), Objective())
    algorithm = jaxga.random_search(task.space, population_size=4)
    seen = []
    options = {
        "algorithm": algorithm,
        "num_generations": 3,
        "num_fresh": 2,
        "callbacks": [lambda g: seen.append(len(ahead))],
    }
    jaxga.optimize(task, **options)
    assert seen[1:] == [1, 1]
    jitted, arguments = ahead[0]
    with compiling() as compiled:  # it is the program that was run at the end
        jitted.lower(*arguments).compile()
    assert not compiled
    jaxga.optimize(task, **{**options, "num_fresh": 0})
    assert len(ahead) == 1
