"""Checks of the shapes and types of the public contracts, by jaxtyping and beartype.

``tests/conftest.py`` calls :func:`install`. Then the functions of every algorithm, operator, surrogate and search
space are checked in every test, and a wrong shape raises ``TypeCheckError``. P members, D genes, A rows, N points.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from beartype import beartype
from jax import Array
from jaxtyping import Bool, Float, Float32, Int32, Key, Shaped, jaxtyped

from jaxga import SearchSpace, base

shaped = jaxtyped(typechecker=beartype)
Points = Float32[Array, "N D"]


def surrogate(init: Any, fit: Any, predict: Any, covariance: Any = None) -> tuple[Any, ...]:
    """The functions of a :class:`jaxga.base.Surrogate`, each with its shapes checked."""

    @shaped
    def checked_init(key: Key[Array, ""]) -> Any:
        return init(key)

    @shaped
    def checked_fit(
        key: Key[Array, ""],
        params: Any,
        genomes: Float32[Array, "A D"],
        target: Float32[Array, " A"],
        valid: Bool[Array, " A"],
    ) -> Any:
        return same_types(params, fit(key, params, genomes, target, valid))

    @shaped
    def checked_predict(params: Any, genomes: Points) -> tuple[Float32[Array, " N"], Float32[Array, " N"]]:
        return predict(params, genomes)

    @shaped
    def checked_covariance(params: Any, genomes: Points) -> Float32[Array, "N N"]:
        return covariance(params, genomes)

    return checked_init, checked_fit, checked_predict, covariance and checked_covariance


def algorithm(
    init: Any, ask: Any, tell: Any, population_size: int, revise: Any = None, name: str = "", space: Any = None
) -> tuple[Any, ...]:
    """The functions of a :class:`jaxga.base.Algorithm`, each with its shapes checked."""

    @shaped
    def offspring(
        genomes: Float32[Array, "P D"],
        species: Int32[Array, " P"],
        parents: Int32[Array, "P 2"],
        predicted: Float32[Array, " P"],
    ) -> None:
        assert genomes.shape[0] == population_size

    @shaped
    def best(genomes: Float[Array | np.ndarray, "P D"], genome: Float32[Array, " D"], loss: Float32[Array, ""]) -> None:
        pass

    @shaped
    def checked_init(key: Key[Array, ""]) -> Any:
        return init(key)

    @shaped
    def checked_ask(key: Key[Array, ""], state: Any) -> Any:
        asked, after = ask(key, state)
        offspring(*asked)
        return asked, same_types(state, after)

    def checked_tell(key: Any, state: Any, genomes: Any, loss: Any, loss_var: Any = None) -> Any:
        after, told = tell(key, state, genomes, loss, loss_var)
        best(genomes, *told)
        return same_types(state, after), told

    @shaped
    def forecasts(loss: Float32[Array, " M"], forecast: Float32[Array, " M"]) -> None:
        pass

    def checked_revise(key: Any, state: Any, measured: base.Measured) -> Any:
        after, told, forecast = revise(key, state, measured)
        best(measured.genomes, *told)
        forecasts(measured.loss, forecast)
        return same_types(state, after), told, forecast

    return checked_init, checked_ask, checked_tell, population_size, revise and checked_revise, name, space


def operator(num_parents: int, num_draws: int, apply: Any) -> tuple[Any, ...]:
    """The function of a :class:`jaxga.base.Operator`, its shapes checked."""

    @shaped
    def checked_apply(
        draws: Float32[Array, " N"], parents: Float32[Array, "K D"], scale: Float32[Array, " D"]
    ) -> Float32[Array, " D"]:
        assert draws.shape[0] == num_draws
        assert parents.shape[0] >= num_parents
        return apply(draws, parents, scale)

    return num_parents, num_draws, checked_apply


def same_types(before: Any, after: Any) -> Any:
    """``after``; raises ``TypeError`` if it has other shapes or types than ``before``: it would be compiled again."""
    kinds = [
        jax.tree.map(lambda leaf: (jnp.shape(leaf), getattr(leaf, "dtype", type(leaf))), tree)
        for tree in (before, after)
    ]
    if kinds[0] != kinds[1]:
        raise TypeError(f"shapes or types change from {kinds[0]} to {kinds[1]}")
    return after


def install() -> None:
    """Check everything that is made from now on."""
    for kind, check in ((base.Surrogate, surrogate), (base.Algorithm, algorithm), (base.Operator, operator)):
        make = kind.__new__
        kind.__new__ = lambda cls, *fields, make=make, check=check, **named: make(cls, *check(*fields, **named))
    decode, encode, snap = SearchSpace.decode, SearchSpace.encode, SearchSpace.snap

    @shaped
    def checked_decode(
        self: SearchSpace, genomes: Float[Array | np.ndarray, "*B D"]
    ) -> dict[str, Shaped[Array | np.ndarray, "*B"]]:
        return decode(self, genomes)

    @shaped
    def checked_encode(self: SearchSpace, setting: Any) -> Float32[np.ndarray, " D"]:
        return encode(self, setting)

    @shaped
    def checked_snap(self: SearchSpace, genomes: Float[Array | np.ndarray, "*B D"]) -> Float[Array, "*B D"]:
        return snap(self, genomes)

    SearchSpace.decode, SearchSpace.encode, SearchSpace.snap = checked_decode, checked_encode, checked_snap
