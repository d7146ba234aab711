"""CPU seconds of whole searches, one by one and as one program: ``NPROC=1 python benchmarks/many.py ga 100``.

A trivial objective of 10 genes, 20 generations of 16 members. The ways run in turn; the first round compiles.
"""

import sys
import time

import jaxga

SPACE = {f"x{i}": jaxga.Uniform(-1.0, 1.0) for i in range(10)}
NUM_ROUNDS = 3


def fitness(key, setting):
    return sum((value - 0.3) ** 2 for value in setting.values())


def main(name: str, num: int) -> None:
    task = jaxga.as_task(SPACE)(fitness)
    options = {"algorithm": name, "population_size": 16, "num_generations": 20, "num_fresh": 0}

    def alone(key):
        return jaxga.minimize(fitness, SPACE, key=key, **options, generations_per_dispatch=20)

    ways = {
        "minimize, one after another": lambda: [alone(key) for key in range(num)],
        "optimize_many, one after another": lambda: jaxga.optimize_many(
            task, keys=range(num), **options, searches_at_once=1
        ),
        "optimize_many, vmapped": lambda: jaxga.optimize_many(task, keys=range(num), **options, searches_at_once=num),
    }
    rounds = []
    for _ in range(1 + NUM_ROUNDS):
        seconds = []
        for way in ways.values():
            began = time.process_time()
            way()
            seconds.append(time.process_time() - began)
        rounds.append(seconds)
    for i, way in enumerate(ways):
        times = [row[i] for row in rounds]
        print(f"{name} x {num}, {way}: first {times[0]:.2f} s, then {', '.join(f'{t:.3f}' for t in times[1:])} s")
    algorithm = jaxga.ALGORITHMS[name](task.space, population_size=16)
    num_generations = 20_000 if name == "ga" else 200
    for i in range(2):
        began = time.process_time()
        for _ in jaxga.run(task, algorithm, key=i, num_generations=num_generations, generations_per_dispatch=100):
            pass
        seconds = time.process_time() - began
        print(
            f"{name}, jaxga.run, 100 generations a dispatch: {num_generations / seconds:,.0f} generations a CPU second"
        )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
