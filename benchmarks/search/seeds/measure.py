"""``python measure.py > summary.json``: members of ``invasive_ga`` with own seeds and with shared ones.

Seeds are shared by a generation or by the whole run, at the same number of trainings, one a member. The problems:
tables of trained networks, of which a seed draws one training of each setting, and a small network on the digits.
The regret is that of the mean over a table's trainings; of the digits it is the loss under seeds that no search saw.
A win rate compares every search with every search on the same problem.
"""

import json
import sys

from experiments.comparison import cache

cache.be_single_threaded()

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from experiments.comparison.problems import Own, select  # noqa: E402
from experiments.comparison.report import FLOOR  # noqa: E402
from experiments.comparison.runs import _algorithm, _regrets, problem_task  # noqa: E402
from experiments.comparison.statistics import win_rates  # noqa: E402
from jaxga.evaluate import SEEDS  # noqa: E402
from jaxga.loop import as_keys  # noqa: E402
from jaxga.many import searches_program  # noqa: E402
from jaxga.tasks.data import embedded_digits  # noqa: E402
from jaxga.tasks.mnist import mnist  # noqa: E402

SIZE, NUM_GENERATIONS, NUM_SEARCHES = 8, 20, 10


def problems():
    """Name, kind and task of each."""
    for problem in select("all"):
        if problem.is_noisy and problem.group == "tables":
            yield problem.name, "tables", problem_task(problem.name)
    task = mnist(embedded_digits("a small problem"), num_steps=100, batch_size=32, hidden_size=32)
    yield "digits", "digits", Own(task, task.space)


def finals(task, seeds):
    """f64[S]: the regret of what each search recommends at the end; of the digits the loss under other seeds."""
    algorithm = _algorithm("invasive_ga", task.space, SIZE)
    program = searches_program(task, algorithm, None, NUM_GENERATIONS, 1, seeds, 1, None)
    _, record = program(as_keys(range(NUM_SEARCHES)), task, jnp.int32(NUM_GENERATIONS))
    return np.maximum(np.asarray(_regrets(task, record.best.genome))[:, -1], FLOOR)


def main():
    found, kinds = {seeds: {} for seeds in SEEDS}, {}
    for name, kind, task in problems():
        kinds.setdefault(kind, []).append(name)
        for seeds in SEEDS:
            found[seeds][name] = finals(task, seeds)
        print(name, *(f"{seeds}: {np.median(rows[name]):.3g}" for seeds, rows in found.items()), file=sys.stderr)
    rates = []
    for kind, names in kinds.items():
        for seeds in SEEDS[1:]:
            pair = {key: {name: found[key][name] for name in names} for key in ("own", seeds)}
            rate, num = win_rates(pair, seeds, "own")
            rates.append(
                {"kind": kind, "problems": num, "seeds": seeds, "win_rate_against_own": np.round(rate, 3).tolist()}
            )
    medians = {
        seeds: {name: float(np.median(values)) for name, values in rows.items()} for seeds, rows in found.items()
    }
    print(json.dumps({"win_rates": rates, "median_regret": medians}, indent=1))


if __name__ == "__main__":
    main()
