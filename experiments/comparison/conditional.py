"""Problems with conditional hyperparameters: a published tree, a choice between models, networks of variable depth."""

import hashlib
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.comparison.synthetic import Synthetic, synthetic
from jaxga import Categorical, Evaluation, Integer, LogInteger, LogUniform, Objective, SearchSpace, Uniform

_OBJECTIVE: Any = field(default=Objective("value", "min"), metadata={"static": True})
_MOST_LAYERS = 4


class _Noiseless:
    """Tasks whose value is their regret."""

    def regret(self, setting: dict[str, Array]) -> Array:
        raise NotImplementedError

    def evaluate(self, key: Array, setting: dict[str, Array]) -> Evaluation:
        del key
        return Evaluation(self.regret(setting), {})


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Tree(_Noiseless):
    """Three binary decisions lead to one of four leaves, with a number of its own and one that two leaves share.

    Source: Jenatton, Archambeau, González, Seeger, "Bayesian optimization with tree-structured dependencies" (2017).
    """

    space: SearchSpace = field(
        default=SearchSpace(
            x1=Integer(0, 1),
            x2=Integer(0, 1).when(x1=0),
            x3=Integer(0, 1).when(x1=1),
            x4=Uniform(-1.0, 1.0).when(x2=0),
            x5=Uniform(-1.0, 1.0).when(x2=1),
            x6=Uniform(-1.0, 1.0).when(x3=0),
            x7=Uniform(-1.0, 1.0).when(x3=1),
            r8=Uniform(0.0, 1.0).when(x1=0),
            r9=Uniform(0.0, 1.0).when(x1=1),
        ),
        metadata={"static": True},
    )
    objective: Objective = _OBJECTIVE

    def regret(self, setting: dict[str, Array]) -> Array:
        s = setting
        left = jnp.where(s["x2"] == 0, s["x4"] ** 2, s["x5"] ** 2 + 0.1) + s["r8"]
        right = jnp.where(s["x3"] == 0, s["x6"] ** 2 + 0.2, s["x7"] ** 2 + 0.3) + s["r9"]
        return jnp.where(s["x1"] == 0, left, right)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ModelChoice(_Noiseless):
    """One of several models, each a synthetic function of its own hyperparameters.

    Attributes:
        models: the functions, each with its space.
        penalty: f32[K], what each of the K models costs at its best; 0 for one of them.
        space: the choice, and every model's hyperparameters where it is chosen.
    """

    models: tuple[Synthetic, ...]
    penalty: Array
    space: SearchSpace = field(metadata={"static": True})
    objective: Objective = _OBJECTIVE

    def regret(self, setting: dict[str, Array]) -> Array:
        values = [
            model.regret({name: setting[f"{name}_{i}"] for name in model.space.names})
            for i, model in enumerate(self.models)
        ]
        return jnp.stack(values)[setting["model"]] + self.penalty[setting["model"]]


_MODEL_SPACES = (
    SearchSpace(depth=Integer(1, 12), rate=LogUniform(1e-3, 1.0)),
    SearchSpace(c=LogUniform(1e-3, 1e3), gamma=LogUniform(1e-4, 1e1), shrink=Uniform(0.0, 1.0)),
    SearchSpace(neighbours=LogInteger(1, 64)),
    SearchSpace(
        rate=LogUniform(1e-5, 1.0), momentum=Uniform(0.0, 1.0), width=LogInteger(8, 512), decay=LogUniform(1e-6, 0.1)
    ),
)


def model_choice(name: str, functions: tuple[str, ...]) -> ModelChoice:
    """A choice between as many models as there are functions."""
    rng = _generator(name)
    penalty = rng.uniform(0.05, 0.5, len(functions))
    penalty[rng.integers(len(functions))] = 0.0
    spaces = _MODEL_SPACES[: len(functions)]
    space = SearchSpace(
        {"model": Categorical([f"model {i}" for i in range(len(functions))])}
        | {f"{n}_{i}": d.when(model=f"model {i}") for i, its in enumerate(spaces) for n, d in its.items}
    )
    models = [
        synthetic(f"{name}-{i}", function, its) for i, (function, its) in enumerate(zip(functions, spaces, strict=True))
    ]
    return ModelChoice(tuple(models), jnp.asarray(penalty, jnp.float32), space)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Depth(_Noiseless):
    """A network of one to four layers, each with a width and a dropout of its own, and a learning rate for all.

    Attributes:
        best: f32[4, 2], the best log2 width and dropout of each layer.
        depth: i32[], the best number of layers.
        rate: f32[], the best log10 learning rate of one layer; that of n layers is n / 4 less.
    """

    best: Array
    depth: Array
    rate: Array
    space: SearchSpace = field(
        default=SearchSpace(
            {"rate": LogUniform(1e-5, 1.0), "layers": Integer(1, _MOST_LAYERS)}
            | {f"width_{i}": LogInteger(8, 512).when(layers=range(i, _MOST_LAYERS + 1)) for i in range(1, 5)}
            | {f"dropout_{i}": Uniform(0.0, 0.9).when(layers=range(i, _MOST_LAYERS + 1)) for i in range(1, 5)}
        ),
        metadata={"static": True},
    )
    objective: Objective = _OBJECTIVE

    def regret(self, setting: dict[str, Array]) -> Array:
        layers = setting["layers"]
        found = jnp.stack(
            [jnp.stack([jnp.log2(setting[f"width_{i}"]), setting[f"dropout_{i}"]]) for i in range(1, _MOST_LAYERS + 1)]
        )
        apart = jnp.square((found - self.best) / jnp.array([[3.0, 0.4]])).sum(1)
        used = jnp.arange(_MOST_LAYERS) < layers
        of_rate = jnp.square(jnp.log10(setting["rate"]) - self.rate + 0.25 * (layers - 1))
        return of_rate + 0.3 * jnp.abs(layers - self.depth) + jnp.where(used, apart, 0.0).sum() / layers


def depth(name: str) -> Depth:
    rng = _generator(name)
    widths, dropouts = rng.integers(4, 9, _MOST_LAYERS), rng.uniform(0.05, 0.6, _MOST_LAYERS)
    return Depth(
        best=jnp.asarray(np.stack([widths, dropouts], axis=1), jnp.float32),
        depth=jnp.int32(rng.integers(2, _MOST_LAYERS + 1)),
        rate=jnp.float32(rng.uniform(-3.5, -1.5)),
    )


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]))


CONDITIONAL = {
    "conditional-tree": Tree,
    **{
        name: partial(model_choice, name, functions)
        for name, functions in {
            "conditional-models-smooth": ("sphere", "ellipsoid", "sphere", "rosenbrock"),
            "conditional-models-multimodal": ("rastrigin", "griewank_rosenbrock", "rastrigin", "schaffer"),
            "conditional-models-mixed": ("step_ellipsoid", "rosenbrock", "rastrigin", "powers"),
        }.items()
    },
    **{name: partial(depth, name) for name in ("conditional-depth-a", "conditional-depth-b", "conditional-depth-c")},
}
