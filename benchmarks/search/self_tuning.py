"""``python self_tuning.py > self_tuning.json``: ``invasive_ga`` searches the constants of ``invasive_ga``.

The loss of a setting of the constants is minus its win rate against the defaults: 8 x 10, five genes, on the functions
of the development half, every second one with noise, whose optima and rotations are drawn anew for each generation
of the outer search. What it recommends is then run against the defaults on the problems of the reporting half that have
at most five genes.
"""

import json
import sys

from experiments.comparison import cache

cache.be_single_threaded()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from experiments.comparison import synthetic  # noqa: E402
from experiments.comparison.functions import FUNCTIONS  # noqa: E402
from experiments.comparison.models import Model  # noqa: E402
from experiments.comparison.problems import catalogue, select  # noqa: E402
from experiments.comparison.report import FLOOR  # noqa: E402
from experiments.comparison.runs import _regrets, problem_task  # noqa: E402
from experiments.comparison.statistics import win_probability, win_rates  # noqa: E402
from jaxga import Categorical, Integer, LogInteger, SearchSpace, Uniform, invasive_ga  # noqa: E402
from jaxga.loop import as_keys  # noqa: E402
from jaxga.many import searches_program  # noqa: E402

NUM_GENES, SIZE, NUM_GENERATIONS, NUM_SEARCHES = 5, 8, 10, 8
OUTER_SIZE, OUTER_GENERATIONS = 5, 2
CONSTANTS = SearchSpace(
    invader_share=Uniform(0.1, 1.0),
    litter_size=LogInteger(1, 16),
    parents=Categorical(["default", "a quarter", "a half", "all but one"]),
    num_mutations=Integer(1, 3),
    num_candidates=LogInteger(128, 4096),
)
PARENTS = {"a quarter": lambda size: size // 4, "a half": lambda size: size // 2, "all but one": lambda size: size - 1}


def options(constants, size):
    """The arguments of the factory at a population of ``size``; none for the defaults."""
    if constants is None:
        return {}
    found = {name: constants[name] for name in ("litter_size", "num_mutations", "num_candidates")}
    found["num_invaders"] = max(1, round(constants["invader_share"] * size))
    if constants["parents"] != "default":
        found["num_parents"] = PARENTS[constants["parents"]](size)
    return found


def finals(algorithm, tasks, num_generations):
    """f64[S] of each task: the regret of what each search recommends at the end."""
    rows = []
    for task in tasks:
        program = searches_program(task, algorithm, None, num_generations, 1, "own", 1, None)
        _, record = program(as_keys(range(NUM_SEARCHES)), task, jnp.int32(num_generations))
        rows.append(np.maximum(np.asarray(_regrets(task, record.best.genome))[:, -1], FLOOR))
    return rows


def drawn(generation):
    """One task of each function of the development half."""
    bases = sorted({p.base for p in catalogue().values() if p.half == "development"} & set(FUNCTIONS))
    space = synthetic.continuous(NUM_GENES)
    return [
        synthetic.synthetic(f"{base}-drawn{generation}", base, space, additive=synthetic.ADDITIVE_NOISE * (i % 2))
        for i, base in enumerate(bases)
    ]


def search():
    """The constants that are recommended, and every setting tried with its win rate."""
    outer = invasive_ga(CONSTANTS, population_size=OUTER_SIZE, noisy=True)
    default = invasive_ga(synthetic.continuous(NUM_GENES), population_size=SIZE)
    key = jax.random.key(0)
    state, tried = outer.init(key), []
    for generation in range(OUTER_GENERATIONS):
        key_ask, key_tell = jax.random.split(jax.random.fold_in(key, generation))
        offspring, state = outer.ask(key_ask, state)
        tasks, losses = drawn(generation), []
        wanted = finals(default, tasks, NUM_GENERATIONS)
        for constants in CONSTANTS.settings(offspring.genomes):
            algorithm = invasive_ga(synthetic.continuous(NUM_GENES), population_size=SIZE, **options(constants, SIZE))
            pairs = zip(finals(algorithm, tasks, NUM_GENERATIONS), wanted, strict=True)
            rate = float(np.mean([win_probability(ours, its) for ours, its in pairs]))
            losses.append(-rate)
            tried.append({**constants, "win_rate": round(rate, 3)})
            print(generation, tried[-1], file=sys.stderr, flush=True)
        state, best = outer.tell(key_tell, state, offspring.genomes, jnp.array(losses), None)
    return CONSTANTS.setting(best.genome), tried


def verdict(constants, size, num_generations):
    """The win rate of the constants against the defaults on the reporting half, and on how many problems."""
    found, algorithms = {"found": {}, "default": {}}, {}
    for problem in select("reporting"):
        task = problem_task(problem.name)
        if isinstance(task, Model) or task.space.size > NUM_GENES:
            continue
        for name, its in (("found", constants), ("default", None)):
            if (name, task.space) not in algorithms:
                arguments = options(its, size)
                algorithms[name, task.space] = invasive_ga(task.space, population_size=size, **arguments)
            found[name][problem.name] = finals(algorithms[name, task.space], [task], num_generations)[0]
    rate, num_problems = win_rates(found, "found", "default")
    return {"win_rate": [round(x, 3) for x in rate], "problems": num_problems}


if __name__ == "__main__":
    constants, tried = search()
    print(json.dumps({"found": constants, "8x10": verdict(constants, 8, 10), "tried": tried}, indent=1))
