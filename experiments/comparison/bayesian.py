"""HEBO and hyperoptax: Gaussian processes of others that propose a whole batch."""

# pyright: reportMissingImports=false
# The extra "peers" may not be installed.

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxga import Categorical, Integer, LogInteger, LogUniform, SearchSpace
from jaxga.space import Dimension


class Hebo:
    """HEBO, which takes its random numbers from the generators of the process."""

    def __init__(self, space: SearchSpace, size: int, num_generations: int, seed: int) -> None:
        import torch
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        warnings.simplefilter("ignore")
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        parameters = [{"name": name, **self._parameter(dimension)} for name, dimension in space.items]
        self.search: Any = HEBO(DesignSpace().parse(parameters), scramble_seed=seed)
        self.size = size

    @staticmethod
    def _parameter(dimension: Dimension) -> dict[str, Any]:
        if isinstance(dimension, Categorical):
            return {"type": "cat", "categories": list(dimension.choices)}
        is_whole = isinstance(dimension, Integer | LogInteger)
        if isinstance(dimension, LogUniform | LogInteger):
            kind = {"type": "pow_int" if is_whole else "pow", "base": 10}
        else:
            kind = {"type": "int" if is_whole else "num"}
        return {**kind, "lb": dimension.low, "ub": dimension.high}

    def ask(self) -> list[dict[str, Any]]:
        self.asked = self.search.suggest(n_suggestions=self.size)
        return self.asked.to_dict("records")

    def tell(self, losses: np.ndarray) -> None:
        self.search.observe(self.asked, np.asarray(losses, np.float64)[:, None])


class Hyperoptax:
    """Its ``get_next_params`` and ``update_state``, which its scan over pure functions is made of.

    It knows no categories but by number, and no noise.
    """

    def __init__(self, space: SearchSpace, size: int, num_generations: int, seed: int) -> None:
        self.space = space
        self.state, self._ask, self._tell = _hyperoptax(space, size, num_generations)
        self.key = jax.random.key(seed)

    def ask(self) -> list[dict[str, Any]]:
        self.key, key_ask = jax.random.split(self.key)
        self.asked = self._ask(self.state, key_ask)
        columns = {name: np.asarray(column) for name, column in self.asked.items()}
        size = len(next(iter(columns.values())))
        return [{name: self._value(name, column[i]) for name, column in columns.items()} for i in range(size)]

    def _value(self, name: str, value: Any) -> Any:
        dimension = dict(self.space.items)[name]
        if isinstance(dimension, Categorical):
            return dimension.choices[int(value)]
        return int(value) if isinstance(dimension, Integer | LogInteger) else float(value)

    def tell(self, losses: np.ndarray) -> None:
        self.key, key_tell = jax.random.split(self.key)
        self.state = self._tell(self.state, key_tell, jnp.asarray(losses, jnp.float32), self.asked)


@cache  # compiled once for all seeds
def _hyperoptax(
    space: SearchSpace, size: int, num_generations: int
) -> tuple[Any, Callable[..., Any], Callable[..., Any]]:
    from hyperoptax import BayesianSearch, DiscreteSpace, LinearSpace, LogSpace, QLinearSpace, QLogSpace

    spaces: dict[str, Any] = {}
    for name, dimension in space.items:
        if isinstance(dimension, Categorical):
            spaces[name] = DiscreteSpace(tuple(range(dimension.num_levels)))
            continue
        is_whole = isinstance(dimension, Integer | LogInteger)
        if isinstance(dimension, LogUniform | LogInteger):
            kind = QLogSpace if is_whole else LogSpace
        else:
            kind = QLinearSpace if is_whole else LinearSpace
        spaces[name] = kind(dimension.low, dimension.high)
    state, search = BayesianSearch.init(spaces, n_max=size * num_generations, n_parallel=size, maximize=False)
    return state, jax.jit(search.get_next_params), jax.jit(search.update_state)
