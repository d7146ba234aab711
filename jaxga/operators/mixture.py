"""Operators made of operators: one after another, one of several, in some genes only, or with a key."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.base import Operator
from jaxga.precision import single_precision


@single_precision
def chain(*operators: Operator) -> Operator:
    """The operators one after another: the genome that one gives is the first parent of the next.

    Args:
        operators: at least one; each has its own draws.

    >>> from jaxga import SearchSpace, Uniform
    >>> from jaxga.operators import crossover, mutation
    >>> space = SearchSpace(x=Uniform(0.0, 1.0), y=Uniform(0.0, 1.0))
    >>> chain(crossover.uniform(space), mutation.reset(space)).num_parents
    2
    """
    if not operators:
        raise ValueError("chain must have at least one operator, got none")
    ends = np.cumsum([operator.num_draws for operator in operators])

    def apply(draws: Array, parents: Array, scale: Array) -> Array:
        for operator, end in zip(operators, ends, strict=True):
            child = operator.apply(draws[end - operator.num_draws : end], parents, scale)
            parents = parents.at[0].set(child)
        return parents[0]

    return Operator(max(operator.num_parents for operator in operators), int(ends[-1]), apply)


@single_precision
def mixture(operators: Sequence[Operator], shares: Sequence[float]) -> Operator:
    """One of the operators, chosen at random; the first draw chooses, see :func:`choice`.

    Only one operator's genome is used, so that all of them read the same draws.

    Args:
        operators: at least one.
        shares: the probability of each; at least 0, sum 1.

    Raises ``ValueError`` for shares that are no probabilities.
    """
    if not operators or len(shares) != len(operators) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(
            f"mixture: shares must be {len(operators)} probabilities of sum 1, one an operator, got {list(shares)}"
        )

    def apply(draws: Array, parents: Array, scale: Array) -> Array:
        genomes = [operator.apply(draws[1 : 1 + operator.num_draws], parents, scale) for operator in operators]
        return jnp.stack(genomes)[choice(draws[0], shares)]

    most = max(operator.num_draws for operator in operators)
    return Operator(max(operator.num_parents for operator in operators), 1 + most, apply)


def choice(draws: Array, shares: Sequence[float]) -> Array:
    """The places i32[...] of a mixture's operators that uniform numbers f32[...] choose.

    >>> choice(jnp.array([0.1, 0.3, 0.9]), (0.25, 0.75)).tolist()
    [0, 1, 1]
    """
    thresholds = jnp.asarray(np.cumsum(shares)[:-1], jnp.float32)
    return jnp.sum(draws[..., None] >= thresholds.reshape((1,) * draws.ndim + (-1,)), axis=-1, dtype=jnp.int32)


@single_precision
def masked(operator: Operator, genes: np.ndarray) -> Operator:
    """The operator in the genes bool[D] alone; the others stay as in the first parent."""

    def apply(draws: Array, parents: Array, scale: Array) -> Array:
        return jnp.where(jnp.asarray(genes), operator.apply(draws, parents, scale), parents[0])

    return Operator(max(operator.num_parents, 1), operator.num_draws, apply)


@single_precision
def keyed(operator: Operator) -> Callable[..., Array]:
    """The operator as a function ``(key, parents f32[K, D], scale f32[D] or f32[] = 1) -> genome f32[D]``.

    >>> from jaxga import SearchSpace, Uniform
    >>> from jaxga.operators import crossover
    >>> cross = keyed(crossover.uniform(SearchSpace(x=Uniform(0.0, 1.0))))
    >>> cross(jax.random.key(0), jnp.array([[0.25], [0.25]])).tolist()
    [0.25]
    """

    def breed(key: Array, parents: Array, scale: Array | float = 1.0) -> Array:
        draws = jax.random.uniform(key, (operator.num_draws,))
        return operator.apply(draws, parents, jnp.broadcast_to(jnp.float32(scale), parents.shape[-1:]))

    return breed
