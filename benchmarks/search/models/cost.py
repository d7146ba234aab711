"""``NPROC=1 python cost.py``: seconds to compile, and of an ask and a tell, of both Gaussian processes."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from jaxga import Categorical, Integer, LogUniform, SearchSpace, Uniform, invasive_ga
from jaxga.runtime import compiler_options

SIZE, NUM_GENERATIONS, NUM_ROUNDS = 64, 12, 12
KINDS = (Uniform(0, 1), Integer(1, 9), Categorical(["a", "b", "c"]), LogUniform(1e-4, 1))
SPACES = {
    "10 uniform genes": SearchSpace({f"x{i}": Uniform(0, 1) for i in range(10)}),
    "8 genes, 4 of them discrete": SearchSpace({f"x{i}": KINDS[i % 4] for i in range(8)}),
}
MODELS = ("gaussian_process", "deep_kernel")
KEY = jax.random.key(0)


def started(space, model):
    """A compiled generation on a sphere, the state after some of them, and the seconds that compiling took."""
    algorithm = invasive_ga(space, population_size=SIZE, surrogate=model)

    def generation(key, state):
        key_ask, key_tell = jax.random.split(key)
        offspring, state = algorithm.ask(key_ask, state)
        loss = jnp.sum(jnp.square(offspring.genomes - 0.3), axis=1)
        return algorithm.tell(key_tell, state, offspring.genomes, loss, jnp.zeros_like(loss))

    state = algorithm.init(KEY)
    began = time.perf_counter()
    program = jax.jit(generation, compiler_options=compiler_options()).lower(KEY, state).compile()
    compiling = time.perf_counter() - began
    for i in range(NUM_GENERATIONS):
        state, _ = program(jax.random.fold_in(KEY, i), state)
    return program, state, compiling


def main():
    """Print a line a space and model; the models are timed in turn."""
    for name, space in SPACES.items():
        runs = {model: started(space, model) for model in MODELS}
        seconds = {model: [] for model in MODELS}
        for i in range(NUM_ROUNDS):
            for model, (program, state, _) in runs.items():
                began = time.perf_counter()
                jax.block_until_ready(program(jax.random.fold_in(KEY, 100 + i), state))
                seconds[model].append(time.perf_counter() - began)
        for model, (_, _, compiling) in runs.items():
            print(f"{name}, {model}: {1e3 * np.median(seconds[model]):.1f} ms, compiled in {compiling:.1f} s")


if __name__ == "__main__":
    main()
