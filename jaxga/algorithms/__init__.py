import jax
import jax.numpy as jnp

from jaxga.base import Algorithm, Info


def invasive_ga(space, *, population_size):
    P, D = population_size, space.size

    def init(key):
        return (jnp.zeros(D), jnp.float32(jnp.inf))

    def ask(key, state):
        return space.snap(jax.random.uniform(key, (P, D))), state

    def tell(key, state, genomes, loss, loss_var=None):
        i = jnp.argmin(loss)
        better = loss[i] < state[1]
        best = jnp.where(better, genomes[i], state[0]), jnp.where(better, loss[i], state[1])
        return best, Info(jnp.zeros(P, jnp.int32), jnp.full((P, 2), -1), jnp.full(P, jnp.nan), *best)

    return Algorithm(init, ask, tell, P)


random_search = invasive_ga
ALGORITHMS = {"invasive_ga": invasive_ga, "random_search": random_search}
