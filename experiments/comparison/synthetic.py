"""Synthetic tasks: a function with a shifted and rotated optimum over floats, logs, whole numbers and categories."""

import dataclasses
import hashlib
import math
from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.comparison.functions import FUNCTIONS
from jaxga import Categorical, Evaluation, Integer, LogInteger, LogUniform, Objective, SearchSpace, Uniform
from jaxga.space import Dimension

_NUM_SCALE_POINTS = 1024
# The spread of one evaluation: additive, in units of a typical random point's regret, and of the logarithm.
ADDITIVE_NOISE, MULTIPLICATIVE_NOISE = 0.1, 0.5


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["function", "optimum", "penalty", "rotation", "scale", "offset", "additive", "multiplicative"],
    meta_fields=["space", "objective"],
)
@dataclass(frozen=True)
class Synthetic:
    """``offset + regret`` and noise. N numeric genes, C combinations of the categories (1 where there are none).

    Attributes:
        function: i32[], the place in ``FUNCTIONS``; data, so that all functions of a space share one program.
        optimum: f32[C, N], in ``[-5, 5]``: the best numbers of each combination.
        penalty: f32[C], what each combination costs at its best; 0 for one of them.
        rotation: f32[N, N], orthogonal.
        scale: f32[], the median of the unscaled regret at random points.
        offset: f32[], the least value, which no method is told.
        additive, multiplicative: f32[], standard deviations; the mean over the noise is ``offset + regret``.
        space: the search space.
    """

    function: Array
    optimum: Array
    penalty: Array
    rotation: Array
    scale: Array
    offset: Array
    additive: Array
    multiplicative: Array
    space: SearchSpace
    objective: Objective = field(default=Objective("value", "min"))

    def regret(self, setting: dict[str, Array]) -> Array:
        """f32[], 0 at the optimum and about 1 at a random point."""
        numbers = jnp.stack([_coordinate(d, setting[n]) for n, d in self.space.items if not isinstance(d, Categorical)])
        combination = jnp.int32(0)
        for name, dimension in self.space.items:
            if isinstance(dimension, Categorical):
                combination = combination * dimension.num_levels + setting[name]
        z = self.rotation @ (numbers - self.optimum[combination])
        value = jax.lax.switch(self.function, [function.value for function in FUNCTIONS.values()], z)
        return value / self.scale + self.penalty[combination]

    def evaluate(self, key: Array, setting: dict[str, Array]) -> Evaluation:
        """The regret with its noise, plus the offset."""
        key_additive, key_multiplicative = jax.random.split(key)
        factor = self.multiplicative * jax.random.normal(key_multiplicative) - self.multiplicative**2 / 2
        noise = self.additive * jax.random.normal(key_additive)
        return Evaluation(self.offset + self.regret(setting) * jnp.exp(factor) + noise, {})


def continuous(num_genes: int) -> SearchSpace:
    """``[-5, 5]^D``."""
    return SearchSpace({f"x{i}": Uniform(-5.0, 5.0) for i in range(num_genes)})


MIXED_SPACES = {
    5: SearchSpace(
        rate=LogUniform(1e-4, 1.0),
        momentum=Uniform(0.0, 1.0),
        depth=Integer(1, 8),
        width=LogInteger(8, 512),
        kind=Categorical(["a", "b", "c", "d"]),
    ),
    10: SearchSpace(
        rate=LogUniform(1e-5, 1.0),
        decay=LogUniform(1e-6, 0.1),
        momentum=Uniform(0.0, 1.0),
        dropout=Uniform(0.0, 0.9),
        smoothing=Uniform(0.0, 0.3),
        depth=Integer(1, 8),
        heads=Integer(1, 16),
        width=LogInteger(8, 1024),
        kind=Categorical(["a", "b", "c"]),
        schedule=Categorical(["constant", "cosine"]),
    ),
}


def synthetic(
    name: str, function: str, space: SearchSpace, *, additive: float = 0.0, multiplicative: float = 0.0
) -> Synthetic:
    """The task ``name``: its optimum, rotation and offset are drawn from the name."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]))
    numeric = [dimension for _, dimension in space.items if not isinstance(dimension, Categorical)]
    num_combinations = math.prod(d.num_levels for _, d in space.items if isinstance(d, Categorical))
    best = rng.uniform(-3.5, 3.5, len(numeric))
    others = np.clip(best + rng.normal(0.0, 1.0, (num_combinations, len(numeric))), -4.5, 4.5)
    winner = rng.integers(num_combinations)
    others[winner] = best
    optimum = np.array([[_on_level(d, x) for d, x in zip(numeric, row, strict=True)] for row in others])
    penalty = rng.uniform(0.05, 0.5, num_combinations)
    penalty[winner] = 0.0
    rotation = np.eye(len(numeric))
    if FUNCTIONS[function].is_rotated:
        q, r = np.linalg.qr(rng.normal(size=rotation.shape))
        rotation = q * np.sign(np.diag(r))
    task = Synthetic(
        function=jnp.int32(list(FUNCTIONS).index(function)),
        optimum=jnp.asarray(optimum, jnp.float32),
        penalty=jnp.zeros(num_combinations),
        rotation=jnp.asarray(rotation, jnp.float32),
        scale=jnp.float32(1.0),
        offset=jnp.float32(rng.uniform(-2.0, 2.0)),
        additive=jnp.float32(additive),
        multiplicative=jnp.float32(multiplicative),
        space=space,
    )
    genomes = jnp.asarray(np.random.default_rng(0).uniform(size=(_NUM_SCALE_POINTS, space.size)), jnp.float32)
    scale = jnp.median(_regrets(task, genomes))
    return dataclasses.replace(task, scale=scale, penalty=jnp.asarray(penalty, jnp.float32))


@jax.jit
def _regrets(task: Synthetic, genomes: Array) -> Array:
    return jax.vmap(lambda genome: task.regret(task.space.decode(genome)))(genomes)


def _coordinate(dimension: Dimension, value: Array) -> Array:
    """A number in its own unit to ``[-5, 5]``, along its logarithm where it has one."""
    if isinstance(dimension, LogUniform | LogInteger):
        unit = jnp.log(value / dimension.low) / math.log(dimension.high / dimension.low)
    else:
        assert isinstance(dimension, Uniform | Integer)
        unit = (value - dimension.low) / (dimension.high - dimension.low)
    return 10.0 * unit - 5.0


def _on_level(dimension: Dimension, coordinate: float) -> float:
    """The coordinate nearest by that a whole number has."""
    unit = (coordinate + 5.0) / 10.0
    if isinstance(dimension, LogInteger):
        level = round(dimension.low * (dimension.high / dimension.low) ** unit)
        unit = math.log(level / dimension.low) / math.log(dimension.high / dimension.low)
    elif isinstance(dimension, Integer):
        unit = round(unit * (dimension.num_levels - 1)) / (dimension.num_levels - 1)
    return 10.0 * unit - 5.0
