"""What ``truncation_ga`` keeps under its two encodings, and what it costs to make the genes of the parents again."""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxga
from jaxga.algorithms.truncation import Encoding, TruncationState


class Cost(NamedTuple):
    """Of one encoding: bytes of the state between generations, and seconds to breed a generation."""

    encoding: Encoding
    num_weights: int
    num_mutations: int
    num_bytes: int
    seconds: float


def measure(num_weights: int, num_mutations: int, population_size: int, num_rounds: int = 3) -> list[Cost]:
    """Both encodings, of parents whose lines have ``num_mutations`` mutations each; the median of the rounds."""
    from jaxga.tasks.neuroevolution import WeightSpace

    found = []
    for encoding in ("genes", "seeds"):
        algorithm = jaxga.ALGORITHMS["truncation_ga"](
            WeightSpace(num_weights, 6.0),
            population_size=population_size,
            encoding=encoding,
            max_mutations=num_mutations + 2,
        )
        state: TruncationState = algorithm.init(jax.random.key(0))
        if encoding == "seeds":
            lines = jnp.arange(num_mutations + 2)[None] + 1000 * jnp.arange(state.code.shape[0])[:, None]
            state = state._replace(code=lines.astype(jnp.int32).at[:, -1].set(-1))
        state = state._replace(generation=jnp.int32(1), loss=jnp.zeros_like(state.loss))
        seconds = []
        for i in range(num_rounds + 1):
            began = time.perf_counter()
            jax.block_until_ready(algorithm.ask(jax.random.key(i), state))
            seconds.append(time.perf_counter() - began)
        num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        found.append(Cost(encoding, num_weights, num_mutations, num_bytes, float(np.median(seconds[1:]))))
    return found
