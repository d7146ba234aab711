"""``python measure.py OUT METHODS BUDGETS [HALF SEEDS]``: true regrets, one JSON line a problem and method.

Of the development half and ten seeds, unless said otherwise.

As ``experiments/compare.py`` does, by its own parts; but the ask and the tell of all seeds are compiled once a search
space, and not once a problem. It reads the interfaces before and after the change, so that the checkout on PYTHONPATH
is the one that is measured.
"""

import json
import sys
from pathlib import Path

from experiments.comparison import cache

cache.be_single_threaded()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from experiments.comparison.models import Model  # noqa: E402
from experiments.comparison.problems import affords, select  # noqa: E402
from experiments.comparison.runs import _host_program, forget_programs, problem_task, run_ours  # noqa: E402


@jax.jit
def evaluate(task, keys, genomes):
    """Losses f32[S, P] of genomes f32[S, P, D]."""

    def one(key, genome):
        return task.evaluate(key, task.space.decode(genome)).value

    return jax.vmap(lambda key, rows: jax.vmap(one)(jax.random.split(key, rows.shape[0]), rows))(keys, genomes)


@jax.jit
def regret(task, genomes):
    """True regrets f32[S]."""
    return jax.vmap(lambda genome: task.regret(task.space.decode(genome)))(genomes)


@jax.jit
def split(keys, generation):
    """Three keys a seed."""
    return jnp.moveaxis(jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, generation + 1), 3))(keys), 1, 0)


def curves(method, problem, size, num_generations, num_seeds):
    """The regret of what is recommended after each generation, [S][G]."""
    task = problem_task(problem)
    if isinstance(task, Model):
        return [run.curve for run in run_ours(method, problem, size, num_generations, num_seeds)]
    init, ask, tell = _host_program(method, task.space, size)
    keys, rows = jax.vmap(jax.random.key)(jnp.arange(num_seeds)), []
    state = init(keys)
    for generation in range(num_generations):
        key_ask, key_evaluate, key_tell = split(keys, generation)
        asked, state = ask(key_ask, state)
        genomes = getattr(asked, "genomes", asked)
        state, best = tell(key_tell, state, genomes, evaluate(task, key_evaluate, genomes))
        rows.append(np.asarray(regret(task, best.genome if hasattr(best, "genome") else best.best_genome)))
    return np.array(rows).T.tolist()


def main(out, methods, budgets, half, num_seeds):
    """Append what is not in the file yet."""
    done = set()
    if out.exists():
        done = {(row["budget"], row["problem"], row["method"]) for row in map(json.loads, out.open())}
    for budget in budgets:
        size, num_generations = map(int, budget.split("x"))
        problems = [problem for problem in select(half) if affords(problem, size * num_generations)]

        def by_space(problem):
            task = problem_task(problem.name)
            return isinstance(task, Model), str(task.space)

        for problem in sorted(problems, key=by_space):
            for method in methods:
                if (budget, problem.name, method) in done:
                    continue
                row = {"budget": budget, "problem": problem.name, "method": method}
                row |= {"knows_optimum": problem.knows_optimum, "group": problem.group, "noisy": problem.is_noisy}
                row |= {"curves": curves(method, problem.name, size, num_generations, num_seeds)}
                with out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
        forget_programs()


if __name__ == "__main__":
    half, num_seeds = sys.argv[4:] or ("development", "10")
    main(Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3].split(","), half, int(num_seeds))
