"""``python benchmarks/host.py``: how well the worker processes of ``as_host_task`` use the cores.

Random forests on the digits: the seconds of all members of a search, by 1 worker and by one a core, without compiling;
beside them the same cross-validations in a plain loop.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # the loop has one core, as a worker has

import time

import jax

import jaxga
from jaxga.runtime import num_cores
from jaxga.tasks.classical import CrossValidation, random_forest

NUM_MEMBERS, NUM_GENERATIONS = 16, 2


def search(num_workers: int) -> tuple[float, list[dict[str, object]]]:
    """Seconds, and the settings of all members."""
    task = random_forest("digits", num_workers=num_workers)
    algorithm = jaxga.random_search(task.space, population_size=NUM_MEMBERS)
    began, settings = time.perf_counter(), []
    for generation in jaxga.run(task, algorithm, num_generations=NUM_GENERATIONS):
        began += generation.compile_seconds
        settings += task.space.settings(generation.record.offspring.genomes)
    return time.perf_counter() - began, settings


def loop(settings: list[dict[str, object]]) -> float:
    function = CrossValidation("random_forest", "digits", None, 5)
    function(0, settings[0])  # imports, and loads the table
    began = time.perf_counter()
    for setting in settings:
        function(0, setting)
    return time.perf_counter() - began


if __name__ == "__main__":
    print(f"jax {jax.__version__}, {num_cores()} cores, {NUM_GENERATIONS} generations of {NUM_MEMBERS} members")
    seconds, settings = search(num_cores())
    print(f"{num_cores()} workers: {seconds:.1f} s, with their start")
    print(f"1 worker: {search(1)[0]:.1f} s, with its start")
    print(f"a loop: {loop(settings):.1f} s")
