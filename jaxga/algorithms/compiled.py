"""An algorithm made of three pure functions."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxga.base import Algorithm, Best, Measured, Offspring, PyTree
from jaxga.space import SearchSpace


def compiled(
    name: str,
    space: SearchSpace,
    population_size: int,
    init: Callable[[Array], PyTree],
    ask: Callable[[Array, PyTree], tuple[Offspring, PyTree]],
    tell: Callable[..., tuple[PyTree, Best]],
    revise: Callable[[Array, PyTree, Measured], tuple[PyTree, Best, Array]] | None = None,
) -> Algorithm:
    """An algorithm for a space, its functions jitted; ``tell`` raises ``ValueError`` for arrays of a wrong shape."""

    def checked_tell(key: Array, state: PyTree, genomes: Any, loss: Any, loss_var: Any = None) -> tuple[PyTree, Best]:
        # Checked while it is traced: a call with the shapes of an earlier one goes straight to the compiled program.
        for argument, array, shape in (
            ("genomes", genomes, (population_size, space.size)),
            ("loss", loss, (population_size,)),
            ("loss_var", loss if loss_var is None else loss_var, (population_size,)),
        ):
            if jnp.shape(array) != shape:
                raise ValueError(f"tell: {argument} must have shape {list(shape)}, got {list(jnp.shape(array))}")
        return tell(key, state, jnp.asarray(genomes, jnp.float32), jnp.asarray(loss, jnp.float32), loss_var)

    revises = None if revise is None else jax.jit(revise)
    return Algorithm(jax.jit(init), jax.jit(ask), jax.jit(checked_tell), population_size, revises, name, space)
