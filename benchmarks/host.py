"""``python benchmarks/host.py``: how well the worker processes of ``as_host_task`` use the cores.

Seconds of one generation of random forests on the digits, one worker after another number of workers, in turn; beside
them the same cross-validations in a plain loop.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # the loop has one core, as a worker has

import time

import jax

import jaxga
from jaxga.runtime import num_cores
from jaxga.tasks.classical import CrossValidation, random_forest

NUM_MEMBERS, NUM_ROUNDS = 16, 3


def seconds_of_generations(num_workers: int) -> list[float]:
    task = random_forest("digits", num_workers=num_workers)
    algorithm = jaxga.random_search(task.space, population_size=NUM_MEMBERS)
    generations = jaxga.run(task, algorithm, num_generations=1 + NUM_ROUNDS, generations_per_dispatch=1)
    return [generation.seconds for generation in generations][1:]


def seconds_of_loop() -> float:
    """The members of the second generation, one after another."""
    task = random_forest("digits")
    algorithm = jaxga.random_search(task.space, population_size=NUM_MEMBERS)
    records = [generation.record for generation in jaxga.run(task, algorithm, num_generations=2)]
    settings = task.space.settings(records[1].offspring.genomes)
    function = CrossValidation("random_forest", "digits", None, 5)
    function(0, settings[0])  # imports, and loads the table
    began = time.perf_counter()
    for setting in settings:
        function(0, setting)
    return time.perf_counter() - began


if __name__ == "__main__":
    print(f"jax {jax.__version__}, {num_cores()} cores, generations of {NUM_MEMBERS} members")
    print(f"a loop: {seconds_of_loop():.2f} s for the second generation")
    for workers in sorted({1, num_cores()}):
        figures = ", ".join(f"{seconds:.2f}" for seconds in seconds_of_generations(workers))
        print(f"{workers} workers: {figures} s for the second generation and those after it")
