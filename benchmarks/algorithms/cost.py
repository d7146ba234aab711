"""``python cost.py PART [CHECKOUT ...]``: what an algorithm costs beside the training, as CPU seconds of one core.

PART is ``calls`` (ask + tell, jitted apart, blocked on), ``scan`` (generations a second, 100 in one dispatch),
``compile`` (of ask and tell, cold) or ``peers`` (ask + tell of evosax, cmaes and Optuna, at P = 64). The code
of every CHECKOUT (default: this one) is measured in this process, in turn, so that other work on the machine falls on
all alike. ``--methods a,b`` and ``--sizes 16,64`` choose.
"""

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

os.environ["NPROC"] = "1"  # one thread: CPU seconds are those of one core

import jax
import jax.numpy as jnp
import numpy as np

HERE = Path(__file__).resolve().parents[2]
NUM_GENES = 10


def load(checkout):
    """The package ``jaxga`` of a checkout; one process can hold several."""
    for name in [name for name in sys.modules if name.split(".")[0] == "jaxga"]:
        del sys.modules[name]
    sys.path.insert(0, str(checkout))
    package = importlib.import_module("jaxga")
    evolution = importlib.import_module("jaxga.evolution")
    registry = importlib.import_module("jaxga.registry")
    task = importlib.import_module("jaxga.task")
    sys.path.pop(0)
    assert Path(str(package.__file__)).is_relative_to(checkout), package.__file__
    return package, evolution, registry.ALGORITHMS, task


def spaces(package):
    """Ten uniform genes, and ten of all kinds."""
    uniform = {f"x{i}": package.Uniform(0.0, 1.0) for i in range(NUM_GENES)}
    mixed = {
        **{f"x{i}": package.Uniform(-1.0, 2.0) for i in range(2)},
        **{f"l{i}": package.LogUniform(1e-4, 1.0) for i in range(3)},
        **{f"n{i}": package.Integer(0, 6) for i in range(2)},
        "m": package.LogInteger(1, 50),
        **{f"c{i}": package.Categorical(["x", "y", "z"]) for i in range(2)},
    }
    return {"uniform": package.SearchSpace(uniform), "mixed": package.SearchSpace(mixed)}


@jax.jit
def sphere(genomes):
    """A loss that costs nothing."""
    return jnp.sum(jnp.square(genomes - 0.3), axis=-1)


class Calls:
    """A search that goes on, one ask and one tell at a time."""

    def __init__(self, algorithm):
        self.algorithm, self.generation = algorithm, 0
        self.ask, self.tell = jax.jit(algorithm.ask), algorithm.tell
        self.key_ask, self.key_tell = jax.random.split(jax.random.key(0), 2)
        self.state = algorithm.init(self.key_ask)

    def spend(self):
        """CPU seconds (ask, tell) of a generation."""
        began = time.process_time()
        offspring, state = jax.block_until_ready(self.ask(self.key_ask, self.state))
        asked = time.process_time()
        loss = jax.block_until_ready(sphere(offspring.genomes))
        told = time.process_time()
        self.state, _ = jax.block_until_ready(self.tell(self.key_tell, state, offspring.genomes, loss))
        return asked - began, time.process_time() - told


def calls(packages, methods, sizes):
    for method in methods:
        for size in sizes:
            searches = [
                Calls(algorithms[method](spaces(package)["uniform"], population_size=size))
                for package, _, algorithms, _ in packages
            ]
            for search in searches:
                for _ in range(3):
                    search.spend()
            spent = [[] for _ in searches]
            until = time.process_time() + 2.0 * len(searches)
            while time.process_time() < until or len(spent[0]) < 3:
                for search, figures in zip(searches, spent, strict=True):
                    figures.append(search.spend())
            for i, figures in enumerate(spent):
                ask, tell = np.median(np.array(figures), axis=0) * 1e3
                print(f"{method:16} P={size:<6} checkout {i}: ask {ask:9.3f} tell {tell:9.3f} "
                      f"together {ask + tell:9.3f} ms", flush=True)  # fmt: skip


def scan(packages, methods, sizes):
    for method in methods:
        for size in sizes:
            programs = [loop(package, method, size) for package in packages for loop in (_alone, _advanced)]
            for program, carry, _ in programs:
                jax.block_until_ready(program(carry))
            for _ in range(15):
                for entry in programs:
                    began = time.process_time()
                    entry[1] = jax.block_until_ready(entry[0](entry[1]))
                    entry[2].append(time.process_time() - began)
            for i in range(len(packages)):
                alone, advanced = (100 / np.median(spent) for _, _, spent in programs[2 * i : 2 * i + 2])
                print(f"{method:16} P={size:<6} checkout {i}: {alone:9.0f} generations/s of ask and tell alone, "
                      f"{advanced:9.0f} by evolution.advance", flush=True)  # fmt: skip


def _alone(loaded, method, size):
    """[program of 100 generations of ask and tell, its carry, CPU seconds of its calls]."""
    package, _, algorithms, _ = loaded
    algorithm = algorithms[method](spaces(package)["uniform"], population_size=size)

    def generation(carry, _):
        key, state = carry
        key, key_ask, key_tell = jax.random.split(key, 3)
        offspring, state = algorithm.ask(key_ask, state)
        state, best = algorithm.tell(key_tell, state, offspring.genomes, sphere(offspring.genomes))
        return (key, state), best.loss

    key = jax.random.key(0)
    program = jax.jit(lambda carry: jax.lax.scan(generation, carry, length=100)[0])
    return [program, (key, algorithm.init(key)), []]


def _advanced(loaded, method, size):
    """As :func:`_alone`, with keys, records and the evaluation of a task."""
    package, evolution, algorithms, task = loaded
    space = spaces(package)["uniform"]
    algorithm = algorithms[method](space, population_size=size)
    sphere_task = task.function_task(
        lambda key, setting: sum((x - 0.3) ** 2 for x in setting.values()), space, package.Objective()
    )
    key = jax.random.key(0)
    program = jax.jit(evolution.advance(evolution.make_step(algorithm), 100))

    def advanced(state):
        return program(key, state, sphere_task, jnp.int32(10**6))[0]

    return [advanced, evolution.init(algorithm, key), []]


def compile_(packages, methods, sizes):
    for method in methods:
        for size in sizes:
            for name in ("uniform", "mixed"):
                for i, (package, _, algorithms, _) in enumerate(packages):
                    algorithm = algorithms[method](spaces(package)[name], population_size=size)
                    key = jax.random.key(0)
                    state = jax.eval_shape(algorithm.init, key)
                    genomes, loss = jnp.zeros((size, NUM_GENES)), jnp.zeros(size)
                    figures = []
                    for function, arguments in ((algorithm.ask, (key, state)),
                                                (algorithm.tell, (key, state, genomes, loss, loss))):  # fmt: skip
                        began = time.process_time()
                        lowered = jax.jit(function).lower(*arguments)
                        traced = time.process_time()
                        text = str(lowered.compile().as_text())
                        figures += [traced - began, time.process_time() - traced, len(text.splitlines())]
                    print(f"{method:16} P={size:<6} {name:8} checkout {i}: ask trace {figures[0]:.2f} compile "
                          f"{figures[1]:.2f} s ({figures[2]} lines); tell trace {figures[3]:.2f} compile "
                          f"{figures[4]:.2f} s ({figures[5]} lines); together "
                          f"{sum(figures) - figures[2] - figures[5]:.2f} s", flush=True)  # fmt: skip


def peers():
    """Each library as its documentation calls it; Optuna after 256 tells and 1,024."""
    import cmaes
    import optuna
    from evosax.algorithms import SimpleGA

    evolver = SimpleGA(population_size=64, solution=jnp.zeros(NUM_GENES))
    params, key = evolver.default_params, jax.random.key(0)
    genomes = jax.random.uniform(key, (64, NUM_GENES))
    state = evolver.init(key, genomes, sphere(genomes), params)
    ask, tell = jax.jit(evolver.ask), jax.jit(evolver.tell)

    def evosax(state):
        genomes, state = jax.block_until_ready(ask(key, state, params))
        return jax.block_until_ready(tell(key, genomes, sphere(genomes), state, params))[0]

    spent = []
    for _ in range(500):
        began = time.process_time()
        state = evosax(state)
        spent.append(time.process_time() - began)
    print(f"evosax SimpleGA  P=64: {np.median(spent) * 1e3:.3f} ms (with the loss)")

    optimizer = cmaes.CMA(np.full(NUM_GENES, 0.5), 0.3, population_size=64, bounds=np.array([[0.0, 1.0]] * NUM_GENES))
    spent = []
    for _ in range(50):
        began = time.process_time()
        points = [optimizer.ask() for _ in range(64)]
        optimizer.tell([(x, float(np.square(x - 0.3).sum())) for x in points])
        spent.append(time.process_time() - began)
    print(f"cmaes CMA        P=64: {np.median(spent) * 1e3:.3f} ms (with the loss)")

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    for generation in range(17):
        began = time.process_time()
        trials = [study.ask() for _ in range(64)]
        for trial in trials:
            study.tell(trial, sum((trial.suggest_float(f"x{i}", 0.0, 1.0) - 0.3) ** 2 for i in range(NUM_GENES)))
        if generation in (4, 16):
            told = (time.process_time() - began) * 1e3
            print(f"Optuna TPE       P=64: {told:.0f} ms after {64 * generation} tells", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("calls", "scan", "compile", "peers"))
    parser.add_argument("checkouts", nargs="*", default=[str(HERE)])
    parser.add_argument("--methods", default="ga,invasive_ga,random_search")
    parser.add_argument("--sizes", default="64")
    given = parser.parse_args()
    if given.part == "peers":
        peers()
    else:
        loaded = [load(Path(checkout).resolve()) for checkout in given.checkouts]
        part = {"calls": calls, "scan": scan, "compile": compile_}[given.part]
        part(loaded, given.methods.split(","), [int(size) for size in given.sizes.split(",")])
