"""Synthetic trainings: learning curves that hardly cross, and curves that cross hard."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from jaxga import Evaluation, LogUniform, Objective, SearchSpace, Trainable, Uniform


@partial(jax.tree_util.register_dataclass, data_fields=["crossing"], meta_fields=["num_parts"])
@dataclass(frozen=True)
class Curves(Trainable):
    """A loss that falls exponentially from 1 to a floor; both follow from six hyperparameters.

    Attributes:
        crossing: f32[], 0: what is fast has a low floor too; 1: what is fast at first ends high, so that the order
            after a part says little about the end.
        num_parts: of a training.
    """

    crossing: Array
    num_parts: int = 8

    space = SearchSpace(rate=LogUniform(0.01, 1.0), **{f"x{i}": Uniform(0.0, 1.0) for i in range(5)})
    objective = Objective("loss")

    def init(self, key: Array, setting: dict[str, Array]) -> Array:
        del key, setting
        return jnp.float32(0.0)

    def advance(self, key: Array, carry: Array, setting: dict[str, Array], part: Array) -> Array:
        """The carry is the time trained, in units of the decay; each part takes a little more or less of it."""
        del part
        return carry + (1.0 + 0.05 * jax.random.normal(key)) / self.num_parts

    def score(self, key: Array, carry: Array, setting: dict[str, Array]) -> Evaluation:
        speed = jnp.log10(setting["rate"]) / 2.0 + 1.0  # from 0 to 1
        others = jnp.stack([setting[f"x{i}"] for i in range(5)])
        optimum = jnp.array([0.3, 0.7, 0.2, 0.55, 0.8])
        misfit = jnp.mean(jnp.square(others - optimum)) / 0.12
        best_speed = jnp.where(self.crossing > 0, 0.35, 0.75)
        floor = 0.5 * misfit + 0.6 * jnp.square(speed - best_speed)
        decay = 1.0 + 9.0 * speed + self.crossing * 4.0 * misfit * speed
        loss = floor + (1.0 - floor) * jnp.exp(-decay * carry)
        return Evaluation(loss + 0.01 * jax.random.normal(key), {})
