"""The search space: the only place that knows names, units, log scales, integers and categories.

Everything else in jaxga works on a ``genome``, a float32 vector in the unit cube ``[0, 1]^D``.
Discrete genes have one canonical coordinate per level; :meth:`SearchSpace.snap` maps any genome
to it, so equal settings have equal genomes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

# float32 has 24 bits: above these sizes the centre of a level is no longer told from its neighbour's.
_MAX_LEVELS = 2**22
_MAX_LOG_INTEGER = 100_000

_MAX_FLOAT32 = float(np.finfo(np.float32).max)
# A smaller positive number is subnormal, and zero inside a compiled program.
_MIN_FLOAT32 = float(np.finfo(np.float32).tiny)
_MAX_INT32 = 2**31 - 1


def _bound(owner: object, field: str, value: Any) -> float:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not abs(value) <= _MAX_FLOAT32:  # NaN is not below any number
        raise ValueError(f"{type(owner).__name__}: {field} must be a finite number, got {value!r}")
    return float(value)


def _ordered(owner: object, low: Any, high: Any) -> None:
    if not _bound(owner, "low", low) < _bound(owner, "high", high):
        raise ValueError(f"{type(owner).__name__}: low must be below high, got low={low!r}, high={high!r}")
    if np.float32(low) == np.float32(high):
        raise ValueError(f"{type(owner).__name__}: low and high are equal in float32, got low={low!r}, high={high!r}")


def _whole(owner: object, low: Any, high: Any) -> None:
    for field, value in (("low", low), ("high", high)):
        if _bound(owner, field, value) != int(value):
            raise ValueError(f"{type(owner).__name__}: {field} must be a whole number, got {value!r}")


def _check_inside(owner: object, value: Any, low: float, high: float) -> float:
    number = _bound(owner, "value", value)
    # One part in 10^6 is what float32 takes from a bound.
    slack = 1e-6 * max(abs(low), abs(high))
    if not low - slack <= number <= high + slack:
        raise ValueError(f"{type(owner).__name__}: value must lie in [{low!r}, {high!r}], got {value!r}")
    return number


def _check_whole(owner: object, value: Any, low: float, high: float) -> int:
    number = _check_inside(owner, value, low, high)
    # A whole number that went through float32 or a text file is whole to one part in 10^6.
    if abs(number - round(number)) > 1e-6 * max(1.0, abs(number)):
        raise ValueError(f"{type(owner).__name__}: value must be a whole number, got {value!r}")
    return round(number)


@dataclass(frozen=True)
class Uniform:
    """A real number in ``[low, high]``, uniform.

    >>> SearchSpace(momentum=Uniform(0.0, 0.99)).decode(jnp.array([1.0]))["momentum"].item()
    0.9900000095367432
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _ordered(self, self.low, self.high)
        if self.high - self.low > _MAX_FLOAT32:
            raise ValueError(f"Uniform: high - low must fit float32, got low={self.low!r}, high={self.high!r}")

    @property
    def num_levels(self) -> int:
        return 0

    def decode(self, gene: Array) -> Array:
        value = self.low + gene * (self.high - self.low)
        return jnp.clip(value, self.low, self.high)

    def encode(self, value: Any) -> float:
        number = _check_inside(self, value, self.low, self.high)
        return (number - self.low) / (self.high - self.low)

    def to_python(self, value: Any) -> float:
        return min(max(float(value), float(self.low)), float(self.high))


@dataclass(frozen=True)
class LogUniform:
    """A real number in ``[low, high]``, uniform in its logarithm; ``low`` is at least 1.2e-38 (float32).

    >>> SearchSpace(lr=LogUniform(1e-4, 1.0)).setting([0.5])["lr"]
    0.009999999776482582
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not _bound(self, "low", self.low) > 0:
            raise ValueError(f"LogUniform: low must be above 0 (its logarithm is taken), got low={self.low!r}")
        if self.low < _MIN_FLOAT32:
            raise ValueError(f"LogUniform: low must be at least {_MIN_FLOAT32:.3g} (float32), got low={self.low!r}")
        _ordered(self, self.low, self.high)

    @property
    def num_levels(self) -> int:
        return 0

    def decode(self, gene: Array) -> Array:
        log_low, log_high = math.log(self.low), math.log(self.high)
        return jnp.clip(jnp.exp(log_low + gene * (log_high - log_low)), self.low, self.high)

    def encode(self, value: Any) -> float:
        number = _check_inside(self, value, self.low, self.high)
        return math.log(max(number, self.low) / self.low) / math.log(self.high / self.low)

    def to_python(self, value: Any) -> float:
        return min(max(float(value), float(self.low)), float(self.high))


@dataclass(frozen=True)
class Integer:
    """A whole number in ``[low, high]``, both ends included; at most 2^22 of them.

    >>> SearchSpace(layers=Integer(1, 4)).setting([0.99])
    {'layers': 4}
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        _ordered(self, self.low, self.high)
        _whole(self, self.low, self.high)
        if self.num_levels > _MAX_LEVELS or max(abs(self.low), abs(self.high)) > 2**30:
            raise ValueError(
                f"Integer: at most {_MAX_LEVELS} levels within +-2**30 are allowed, "
                f"got low={self.low!r}, high={self.high!r}"
            )

    @property
    def num_levels(self) -> int:
        return int(self.high) - int(self.low) + 1

    def decode(self, gene: Array) -> Array:
        level = jnp.floor(gene * self.num_levels).astype(jnp.int32)
        return jnp.clip(level, 0, self.num_levels - 1) + int(self.low)

    def encode(self, value: Any) -> float:
        number = _check_whole(self, value, self.low, self.high)
        return (number - self.low + 0.5) / self.num_levels

    def to_python(self, value: Any) -> int:
        return int(value)


@dataclass(frozen=True)
class LogInteger:
    """A whole number in ``[low, high]``, ``1 <= low``, ``high <= 100,000``, uniform in its logarithm.

    >>> SearchSpace(width=LogInteger(8, 512)).setting([0.5])
    {'width': 64}
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        if not _bound(self, "low", self.low) >= 1:
            raise ValueError(f"LogInteger: low must be at least 1 (its logarithm is taken), got low={self.low!r}")
        _ordered(self, self.low, self.high)
        _whole(self, self.low, self.high)
        if self.high > _MAX_LOG_INTEGER:
            raise ValueError(f"LogInteger: high must be at most {_MAX_LOG_INTEGER}, got high={self.high!r}")

    @property
    def num_levels(self) -> int:
        return int(self.high) - int(self.low) + 1

    @property
    def _log_width(self) -> float:
        return math.log((self.high + 1) / self.low)

    def decode(self, gene: Array) -> Array:
        value = jnp.floor(jnp.exp(math.log(self.low) + gene * self._log_width)).astype(jnp.int32)
        return jnp.clip(value, int(self.low), int(self.high))

    def encode(self, value: Any) -> float:
        number = _check_whole(self, value, self.low, self.high)
        return math.log((number + 0.5) / self.low) / self._log_width

    def to_python(self, value: Any) -> int:
        return int(value)


@dataclass(frozen=True)
class Categorical:
    """One of two or more different choices, without an order.

    Numbers decode to themselves, finite and different from one another in float32 (whole numbers: in int32).
    Anything else (strings, mixtures) decodes inside a program to the choice's index, an int32: there ``setting["c"]``
    is 0 for the first choice. What a person reads (``Result.best``, the history) has the choice itself.

    >>> SearchSpace(optimizer=Categorical(["sgd", "adam"])).setting([0.7])
    {'optimizer': 'adam'}
    """

    choices: tuple[Any, ...]

    def __init__(self, choices: Sequence[Any]) -> None:
        if isinstance(choices, str) or not isinstance(choices, Sequence):
            raise ValueError(f"Categorical: choices must be a list or tuple, got {choices!r}")
        object.__setattr__(self, "choices", tuple(choices))
        if len(self.choices) < 2:
            raise ValueError(f"Categorical: at least 2 choices are needed, got {choices!r}")
        for choice in self.choices:
            if not isinstance(choice, str | int | float | bool | None):
                raise ValueError(f"Categorical: a choice must be a string, number, bool or None, got {choice!r}")
            if isinstance(choice, float) and not math.isfinite(choice):
                raise ValueError(f"Categorical: a number must be finite, got {choice!r}")
        if self.is_numeric:
            limit = _MAX_INT32 if self._is_whole else _MAX_FLOAT32
            if too_large := [choice for choice in self.choices if abs(choice) > limit]:
                kind = "int32" if self._is_whole else "float32"
                raise ValueError(f"Categorical: a number must fit {kind}, got {too_large[0]!r}")
        as_decoded = [np.float32(c) for c in self.choices] if self.is_numeric and not self._is_whole else self.choices
        if len(set(as_decoded)) != len(self.choices) or len(set(map(str, self.choices))) != len(self.choices):
            raise ValueError(
                f"Categorical: choices must differ from one another, in float32 and as text, got {choices!r}"
            )

    @property
    def num_levels(self) -> int:
        return len(self.choices)

    @property
    def is_numeric(self) -> bool:
        """Whether the choices are numbers, and so decode to themselves."""
        return all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in self.choices)

    @property
    def _is_whole(self) -> bool:
        return all(isinstance(choice, int) for choice in self.choices)

    def decode(self, gene: Array) -> Array:
        index = jnp.clip(jnp.floor(gene * self.num_levels).astype(jnp.int32), 0, self.num_levels - 1)
        if not self.is_numeric:
            return index
        return jnp.asarray(self.choices, jnp.int32 if self._is_whole else jnp.float32)[index]

    def encode(self, value: Any) -> float:
        matches = [i for i, choice in enumerate(self.choices) if choice == value or _same_float(choice, value)]
        if not matches:
            raise ValueError(f"Categorical: value must be one of {list(self.choices)!r}, got {value!r}")
        return (matches[0] + 0.5) / self.num_levels

    def to_python(self, value: Any) -> Any:
        if not self.is_numeric:
            return self.choices[int(value)]
        return self.choices[int(np.argmin(np.abs(np.asarray(self.choices, np.float64) - float(value))))]


def _same_float(choice: Any, value: Any) -> bool:
    if isinstance(choice, bool) or not isinstance(choice, int | float):
        return False
    return isinstance(value, float | np.floating) and bool(np.float32(choice) == np.float32(value))


Dimension = Uniform | LogUniform | Integer | LogInteger | Categorical


@dataclass(frozen=True, init=False)
class SearchSpace:
    """Named hyperparameters, each with its range; hashable, so that it can be static under ``jit``.

    Raises ``ValueError`` where a dimension is not one of the five kinds or there is none.

    >>> space = SearchSpace(lr=LogUniform(1e-4, 1.0), layers=Integer(1, 4))
    >>> space.setting(space.encode({"lr": 0.01, "layers": 3}))
    {'lr': 0.009999999776482582, 'layers': 3}
    """

    items: tuple[tuple[str, Dimension], ...]

    def __init__(self, dimensions: Mapping[str, Dimension] | None = None, /, **named: Dimension) -> None:
        if not isinstance(dimensions, Mapping | None):
            raise ValueError(f"SearchSpace: a dict of dimensions by name is needed, got {dimensions!r}")
        merged = {**(dimensions or {}), **named}
        if not merged:
            raise ValueError("SearchSpace: at least one dimension is needed, got none")
        for name, dimension in merged.items():
            if not isinstance(name, str) or not name:
                raise ValueError(f"SearchSpace: a name must be a string that is not empty, got {name!r}")
            if not isinstance(dimension, Dimension):
                raise ValueError(
                    f"SearchSpace: {name} must be a Uniform, LogUniform, Integer, LogInteger or Categorical, "
                    f"got {dimension!r}"
                )
        object.__setattr__(self, "items", tuple(merged.items()))

    @property
    def names(self) -> tuple[str, ...]:
        """The D names, in the order of the genes."""
        return tuple(name for name, _ in self.items)

    @property
    def size(self) -> int:
        """D, the number of genes."""
        return len(self.items)

    @property
    def num_levels(self) -> np.ndarray:
        """i32[D]: how many levels each gene has, 0 where it is continuous."""
        return np.array([dimension.num_levels for _, dimension in self.items], np.int32)

    @property
    def is_discrete(self) -> np.ndarray:
        """bool[D]: integers and categories."""
        return self.num_levels > 0

    @property
    def is_categorical(self) -> np.ndarray:
        """bool[D]: genes whose levels have no order."""
        return np.array([isinstance(dimension, Categorical) for _, dimension in self.items])

    @property
    def num_settings(self) -> float:
        """How many different settings there are; infinite where a gene is continuous."""
        levels = self.num_levels.astype(np.float64)
        return math.inf if (levels == 0).any() else float(np.prod(levels))

    def decode(self, genomes: Array) -> dict[str, Array]:
        """Genomes f32[..., D] to settings in their own units, a dict of arrays [...]; pure JAX.

        Any genome decodes to a value inside the bounds; a NaN gene to NaN or a bound.
        """
        clipped = jnp.clip(jnp.asarray(genomes, jnp.float32), 0.0, 1.0)
        return {name: dimension.decode(clipped[..., i]) for i, (name, dimension) in enumerate(self.items)}

    def encode(self, setting: Mapping[str, Any]) -> np.ndarray:
        """One setting in its own units to its genome f32[D]; the inverse of :meth:`setting`.

        Raises ``ValueError`` for a missing or unknown name and for a value outside its range.
        """
        if not isinstance(setting, Mapping):
            raise ValueError(f"SearchSpace: a setting is a dict of values by name, got {setting!r}")
        if set(setting) != set(self.names):
            raise ValueError(f"SearchSpace: a setting has the names {list(self.names)}, got {list(setting)}")
        try:
            genes = [dimension.encode(setting[name]) for name, dimension in self.items]
        except ValueError as error:
            raise ValueError(f"SearchSpace: {dict(setting)!r}: {error}") from None
        return np.clip(np.array(genes, np.float32), 0.0, 1.0)

    def snap(self, genomes: Array) -> Array:
        """Genomes f32[..., D] with every discrete gene moved to the centre of its level."""
        clipped = jnp.clip(genomes, 0.0, 1.0)
        columns = []
        for i, (_, dimension) in enumerate(self.items):
            gene, n = clipped[..., i], dimension.num_levels
            if isinstance(dimension, LogInteger):
                log_low, width = math.log(dimension.low), math.log((dimension.high + 1) / dimension.low)
                level = dimension.decode(gene).astype(jnp.float32)
                gene = (jnp.log(level + 0.5) - log_low) / width
            elif n:
                gene = (jnp.clip(jnp.floor(gene * n), 0, n - 1) + 0.5) / n
            columns.append(gene)
        return jnp.stack(columns, axis=-1)

    def setting(self, genome: Any) -> dict[str, Any]:
        """One genome [D] to Python numbers and choices: what a person reads.

        >>> SearchSpace(n=Integer(1, 9), c=Categorical(["a", "b"])).setting([0.0, 1.0])
        {'n': 1, 'c': 'b'}
        """
        return self.settings(np.asarray(genome, np.float32)[None])[0]

    def settings(self, genomes: Any) -> list[dict[str, Any]]:
        """Genomes [N, D] to N settings of Python numbers and choices.

        The figures are those that :meth:`decode` gives to a task, in float32.
        """
        array = np.asarray(genomes, np.float32)
        if array.ndim != 2 or array.shape[1] != self.size:
            raise ValueError(f"SearchSpace: genomes must have shape [N, {self.size}], got {list(array.shape)}")
        columns = {name: np.asarray(column) for name, column in self.decode(jnp.asarray(array)).items()}
        return [
            {name: dimension.to_python(columns[name][row]) for name, dimension in self.items}
            for row in range(array.shape[0])
        ]
