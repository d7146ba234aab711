"""Space-filling designs."""

import jax
import jax.numpy as jnp
from jax import Array


def latin_hypercube_sample(key: Array, num: int, num_genes: int, num_samples: int = 1) -> Array:
    """f32[S, num, D]: S samples with one point in each of ``num`` slices of every gene."""
    draws = jax.random.uniform(key, (2, num_samples, num, num_genes))
    return (jnp.argsort(draws[0], axis=1) + draws[1]) / num


def maximin_latin_hypercube(key: Array, num: int, num_genes: int, num_tries: int = 20) -> Array:
    """Of ``num_tries`` Latin hypercubes the one whose nearest two points are farthest apart.

    Source: M. D. McKay, R. J. Beckman, W. J. Conover, "A comparison of three methods for selecting values of
    input variables", 1979; M. E. Johnson, L. M. Moore, D. Ylvisaker, "Minimax and maximin distance designs", 1990.
    """

    def nearest(sample: Array) -> Array:
        gaps = sum(jnp.square(sample[:, i, None] - sample[None, :, i]) for i in range(num_genes))
        return jnp.min(gaps + 1e6 * jnp.eye(num))

    samples = latin_hypercube_sample(key, num, num_genes, num_tries)
    return samples[jnp.argmax(jax.vmap(nearest)(samples))]
