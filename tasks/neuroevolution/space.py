"""Thousands of weights as one search space."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga import SearchSpace, Uniform
from jaxga.checks import check_count, check_number


@dataclass(frozen=True, init=False)
class WeightSpace(SearchSpace):
    """D weights in ``[-reach, reach]``, one gene each, without names of their own.

    A program gets them as one array, ``{"weights": f32[D]}``. Thousands of named dimensions would be thousands of
    operations to compile and as many columns of a history. A person reads their root mean square instead,
    ``{"weight_rms": 0.58}``; the weights themselves are in a run's trained model.

    Args:
        num_weights: D, at least 1.
        reach: the largest weight, above 0.

    >>> space = WeightSpace(1000, 2.0)
    >>> space.decode(jnp.full((1000,), 0.75))["weights"].shape
    (1000,)
    >>> space.setting(jnp.full((1000,), 0.75))
    {'weight_rms': 1.0}
    """

    num_weights: int
    reach: float

    def __init__(self, num_weights: int, reach: float) -> None:
        check_count("WeightSpace: num_weights", num_weights, 1)
        check_number("WeightSpace: reach", reach, 0, above=True)
        super().__init__(weight_rms=Uniform(0.0, reach))
        object.__setattr__(self, "num_weights", num_weights)
        object.__setattr__(self, "reach", float(reach))

    @property
    def size(self) -> int:
        """D, the number of genes."""
        return self.num_weights

    @property
    def num_levels(self) -> np.ndarray:
        """i32[D]: zeros, every gene is continuous."""
        return np.zeros(self.num_weights, np.int32)

    @property
    def is_categorical(self) -> np.ndarray:
        """bool[D]: no gene is a category."""
        return np.zeros(self.num_weights, bool)

    def decode(self, genomes: Array) -> dict[str, Array]:
        """Genomes f32[..., D] to ``{"weights": f32[..., D]}``; a NaN gene decodes to NaN."""
        return {"weights": self.reach * (2.0 * jnp.clip(jnp.asarray(genomes, jnp.float32), 0.0, 1.0) - 1.0)}

    def encode(self, setting: Mapping[str, Any]) -> np.ndarray:
        """Weights ``{"weights": f32[D]}`` to a genome f32[D].

        Raises ``ValueError`` for anything else: one number, such as a history has, does not give the weights back.
        """
        weights = np.asarray(setting["weights"] if set(setting) == {"weights"} else np.nan, np.float32)
        if weights.shape != (self.num_weights,) or not (np.abs(weights) <= self.reach).all():
            raise ValueError(
                f"WeightSpace: a setting has the name weights alone and {self.num_weights} numbers in "
                f"[{-self.reach:g}, {self.reach:g}], got the names {list(setting)}"
            )
        return 0.5 + 0.5 * weights / np.float32(self.reach)

    def settings(self, genomes: Any) -> list[dict[str, Any]]:
        """The root mean square of the weights of each of the genomes [N, D]."""
        array = np.asarray(genomes, np.float32)
        if array.ndim != 2 or array.shape[1] != self.size:
            raise ValueError(f"WeightSpace: genomes must have shape [N, {self.size}], got {list(array.shape)}")
        rms = self.reach * np.sqrt(np.mean(np.square(2.0 * np.clip(array, 0.0, 1.0) - 1.0), axis=1))
        return [{"weight_rms": min(float(value), self.reach)} for value in rms]
