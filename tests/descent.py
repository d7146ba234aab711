"""The smallest training that schedules cut into parts; on the command line ``--task tests.descent:TASK``."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

import jaxga
from jaxga import Evaluation, LogUniform, Objective, SearchSpace, Uniform


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Descent(jaxga.Trainable):
    """Noisy descent whose learning curves cross: what is fast at first ends higher. A part adds its key's noise."""

    space = SearchSpace(rate=LogUniform(0.05, 1.0), floor=Uniform(0.0, 1.0))
    objective, num_parts = Objective("loss"), 4

    def init(self, key, setting):
        return jax.random.uniform(key) + 1.0

    def advance(self, key, carry, setting, part):
        noise = 0.01 * jax.random.normal(key)
        return carry + setting["rate"] * (setting["floor"] - carry) / (part + 1.0) + noise

    def score(self, key, carry, setting):
        failed = setting["floor"] > 0.9
        return Evaluation(jnp.where(failed, jnp.nan, carry), {"twice": 2 * carry}, carry)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Tested(Descent):
    """With a figure that the winner's training alone is given."""

    def test(self, key, setting):
        found = self.evaluate(key, setting)
        return found._replace(metrics={**found.metrics, "tested": -found.value})


TASK, TESTED = Descent(), Tested()
