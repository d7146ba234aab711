"""The search space: the only place that knows names, units, log scales, integers, categories and conditions.

Everything else in jaxga works on a ``genome``, a float32 vector in the unit cube ``[0, 1]^D``. A dimension divides its
edge of the cube into levels where it is discrete. Each level has one canonical coordinate, its centre; that of a gene
whose condition does not hold is the middle. :meth:`SearchSpace.snap` moves the genes there, so that equal settings have
equal genomes.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxga.conditions import Condition, active_genes, as_text, parents_first, values_of

# float32 has 24 bits: with more levels than this, the centres of two neighbours may round to one number.
MAX_LEVELS = 2**22
MAX_LOG_INTEGER = 100_000

_MAX_FLOAT32 = float(np.finfo(np.float32).max)
# A smaller positive number is subnormal: a compiled program takes it for zero.
_MIN_FLOAT32 = float(np.finfo(np.float32).tiny)
_MAX_INT32 = 2**31 - 1


def _single(constant: np.ndarray) -> np.ndarray:
    return constant.astype(np.float32)


def _namespace(gene: Any) -> Any:
    """JAX's for arrays of JAX, else numpy: on the host an operation of JAX would wait for the running generation."""
    return jnp if isinstance(gene, Array) else np


def _finite(owner: object, field: str, value: Any) -> float:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not abs(value) <= _MAX_FLOAT32:  # false for NaN
        raise ValueError(f"{type(owner).__name__}: {field} must be a finite number, got {value!r}")
    return float(value)


def _check_order(owner: object, low: Any, high: Any) -> None:
    if not _finite(owner, "low", low) < _finite(owner, "high", high):
        raise ValueError(f"{type(owner).__name__}: low must be below high, got low={low!r}, high={high!r}")
    if np.float32(low) == np.float32(high):
        raise ValueError(f"{type(owner).__name__}: low and high are equal in float32, got low={low!r}, high={high!r}")


def _check_whole_bounds(owner: object, low: Any, high: Any) -> None:
    for field, value in (("low", low), ("high", high)):
        if _finite(owner, field, value) != int(value):
            raise ValueError(f"{type(owner).__name__}: {field} must be a whole number, got {value!r}")


class _Dimension:
    """What all kinds have in common.

    Attributes:
        low, high: the ends of the range; of a categorical dimension, the positions of its first and last choice.
        is_log: whether the logarithm is uniform.
        is_discrete: whether the gene has levels.
        is_categorical: whether these levels have no order.
    """

    low: Any
    high: Any
    is_log: ClassVar[bool] = False
    is_discrete: ClassVar[bool] = False
    is_categorical: ClassVar[bool] = False

    @property
    def num_levels(self) -> int:
        """How many levels the gene has; 0 where it is continuous."""
        return int(self.high) - int(self.low) + 1 if self.is_discrete else 0

    @property
    def labels(self) -> tuple[str, ...]:
        """The choices as text; empty where the dimension is a number."""
        return ()

    @property
    def dtype(self) -> np.dtype:
        """The type of a column of values: what a person reads, in the precision that a task was given."""
        return np.dtype(np.int64 if self.is_discrete else np.float32)

    def level_of_gene(self, gene: Any) -> Any:
        """The number i32[...] of the gene's level, from 0."""
        # Clipped as a whole number, so that NaN has a level too.
        xp = _namespace(gene)
        return xp.clip(xp.floor(gene * self.num_levels).astype(xp.int32), 0, self.num_levels - 1)

    def decode(self, gene: Any) -> Any:
        """The values of genes in [0, 1], of any shape: arrays of JAX from arrays of JAX, else numpy's."""
        raise NotImplementedError

    def encode(self, value: Any) -> float:
        """The gene of a value; ``ValueError`` where the dimension does not have it."""
        raise NotImplementedError

    def column(self, genes: np.ndarray) -> np.ndarray:
        """The decoded values of genes f32[N] in [0, 1], on the host; real numbers are rounded to float32."""
        with np.errstate(invalid="ignore"):  # NaN becomes the first level
            if self.is_discrete:
                return self.decode(genes)
            return self.decode(genes.astype(np.float64)).astype(np.float32)

    def to_python(self, value: Any) -> Any:
        """A decoded value as what a person reads: a Python number, or the choice."""
        return int(value) if self.is_discrete else min(max(float(value), float(self.low)), float(self.high))

    def to_text(self, value: Any) -> str:
        """A value as a CSV cell; numbers that are not whole in the shortest form that float32 distinguishes."""
        return str(np.float32(value) if self.dtype == np.float32 else value)

    def from_text(self, cell: str) -> Any:
        """The value that a CSV cell holds: the inverse of :meth:`to_text`.

        Raises ``ValueError`` where the cell holds no value of this dimension.
        """
        return self.to_python(self._check(_number(self, cell)))

    def _check(self, value: Any) -> Any:
        """The value as a number in ``[low, high]``, whole where the dimension is; ``ValueError`` for any other."""
        number = _finite(self, "value", value)
        nearest = round(number) if self.is_discrete else number
        slack_low, slack_high = self._slack
        if not self.low - slack_low <= nearest <= self.high + slack_high:
            raise ValueError(f"{type(self).__name__}: value must lie in [{self.low!r}, {self.high!r}], got {value!r}")
        # float32 or a text file may have moved a whole number by one part in 10^6.
        if self.is_discrete and abs(number - nearest) > 1e-6 * max(1.0, abs(number)):
            raise ValueError(f"{type(self).__name__}: value must be a whole number, got {value!r}")
        return nearest

    @property
    def _slack(self) -> tuple[float, float]:
        """How far a value may lie below ``low`` and above ``high``: float32 moves a number by less than 1e-6 of it."""
        if self.is_discrete:
            return 0.0, 0.0  # the value was rounded
        largest = max(abs(self.low), abs(self.high))
        # The ends of a logarithmic range differ by orders of magnitude.
        return (1e-6 * self.low, 1e-6 * self.high) if self.is_log else (1e-6 * largest, 1e-6 * largest)

    def level(self, value: Any) -> int:
        """The number of a value's level, from 0; ``ValueError`` where it has none."""
        return int(self.level_of_gene(np.float32(self.encode(value))))

    def at_level(self, level: int) -> Any:
        """The value at a level: the inverse of :meth:`level`."""
        return int(self.low) + level

    def positions(self, values: Sequence[Any] | np.ndarray) -> np.ndarray:
        """Where N values lie on an axis from ``low`` to ``high``, f64[N].

        A number lies at itself, a choice at its place, and NaN, an inactive value, nowhere: at NaN.
        """
        # float32 may have rounded a value beyond a bound.
        return np.clip(np.asarray(values, np.float64), self.low, self.high)

    def when(self, parents: Mapping[str, Any] | None = None, /, **named: Any) -> "Conditional":
        """The dimension, active only where each of the named hyperparameters has a given value.

        Args:
            parents: by name of an integer or a category: one value, or several in a list, tuple, range or set.
            named: the same, as arguments.

        >>> space = SearchSpace(kernel=Categorical(["linear", "rbf"]), gamma=LogUniform(1e-3, 1.0).when(kernel="rbf"))
        >>> space.settings([[0.1, 0.5], [0.9, 0.0]])
        [{'kernel': 'linear'}, {'kernel': 'rbf', 'gamma': 0.0010000000474974513}]
        """
        if not isinstance(parents, Mapping | None):
            raise ValueError(f"when: values by name are needed, got {parents!r}")
        return Conditional(self, {**(parents or {}), **named})  # pyright: ignore[reportArgumentType]

    def to_dict(self) -> dict[str, Any]:
        """The dimension as plain values for JSON; :func:`dimension_from` is the inverse.

        >>> Uniform(0.0, 1.0).to_dict()
        {'kind': 'Uniform', 'low': 0.0, 'high': 1.0}
        """
        fields = asdict(self)  # pyright: ignore[reportArgumentType]  (every kind is a dataclass)
        return {"kind": type(self).__name__} | {name: _plain(value) for name, value in fields.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return value.item() if isinstance(value, np.generic) else value


def is_missing(value: Any) -> bool:
    """Whether a value of a history is NaN: that of a hyperparameter that was not active."""
    return isinstance(value, float | np.floating) and math.isnan(value)


@lru_cache(maxsize=4096)
def _level_of(dimension: "Dimension", value: Any) -> int:
    return dimension.level(value)  # of the few values that the rows of a history have


def _number(owner: object, cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"{type(owner).__name__}: value must be a number, got {cell!r}") from None


@dataclass(frozen=True)
class Uniform(_Dimension):
    """A real number in ``[low, high]``, uniform.

    >>> SearchSpace(momentum=Uniform(0.0, 0.99)).decode(jnp.array([1.0]))["momentum"].item()
    0.9900000095367432
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_order(self, self.low, self.high)
        if self.high - self.low > _MAX_FLOAT32:
            raise ValueError(f"Uniform: high - low must fit float32, got low={self.low!r}, high={self.high!r}")

    def decode(self, gene: Any) -> Any:
        value = self.low + gene * (self.high - self.low)
        return _namespace(gene).clip(value, self.low, self.high)

    def encode(self, value: Any) -> float:
        return (self._check(value) - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class LogUniform(_Dimension):
    """A real number in ``[low, high]``, uniform in its logarithm; ``low`` is at least 1.2e-38 (float32).

    >>> SearchSpace(lr=LogUniform(1e-4, 1.0)).setting([0.5])["lr"]
    0.009999999776482582
    """

    low: float
    high: float
    is_log: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not _finite(self, "low", self.low) > 0:
            raise ValueError(f"LogUniform: low must be above 0 (its logarithm is taken), got low={self.low!r}")
        if self.low < _MIN_FLOAT32:
            raise ValueError(f"LogUniform: low must be at least {_MIN_FLOAT32:.3g} (float32), got low={self.low!r}")
        _check_order(self, self.low, self.high)

    def decode(self, gene: Any) -> Any:
        xp, log_low, log_high = _namespace(gene), math.log(self.low), math.log(self.high)
        return xp.clip(xp.exp(log_low + gene * (log_high - log_low)), self.low, self.high)

    def encode(self, value: Any) -> float:
        return math.log(max(self._check(value), self.low) / self.low) / math.log(self.high / self.low)


@dataclass(frozen=True)
class Integer(_Dimension):
    """A whole number in ``[low, high]``, both ends included; at most 2^22 of them.

    >>> SearchSpace(layers=Integer(1, 4)).setting([0.99])
    {'layers': 4}
    """

    low: int
    high: int
    is_discrete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_order(self, self.low, self.high)
        _check_whole_bounds(self, self.low, self.high)
        if self.num_levels > MAX_LEVELS or max(abs(self.low), abs(self.high)) > 2**30:
            raise ValueError(
                f"Integer: at most {MAX_LEVELS} levels within +-2**30 are allowed, "
                f"got low={self.low!r}, high={self.high!r}"
            )

    def decode(self, gene: Any) -> Any:
        return self.level_of_gene(gene) + int(self.low)

    def encode(self, value: Any) -> float:
        return (self._check(value) - self.low + 0.5) / self.num_levels


@dataclass(frozen=True)
class LogInteger(_Dimension):
    """A whole number in ``[low, high]``, ``1 <= low``, ``high <= 100,000``, uniform in its logarithm.

    >>> SearchSpace(width=LogInteger(8, 512)).setting([0.5])
    {'width': 64}
    """

    low: int
    high: int
    is_log: ClassVar[bool] = True
    is_discrete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not _finite(self, "low", self.low) >= 1:
            raise ValueError(f"LogInteger: low must be at least 1 (its logarithm is taken), got low={self.low!r}")
        _check_order(self, self.low, self.high)
        _check_whole_bounds(self, self.low, self.high)
        if self.high > MAX_LOG_INTEGER:
            raise ValueError(f"LogInteger: high must be at most {MAX_LOG_INTEGER}, got high={self.high!r}")

    @property
    def log_width(self) -> float:
        """The range of the logarithm, with the level of ``high``."""
        return math.log((self.high + 1) / self.low)

    def level_of_gene(self, gene: Any) -> Any:
        return self.decode(gene) - int(self.low)

    def decode(self, gene: Any) -> Any:
        xp = _namespace(gene)
        value = xp.floor(xp.exp(math.log(self.low) + gene * self.log_width)).astype(xp.int32)
        return xp.clip(value, int(self.low), int(self.high))

    def encode(self, value: Any) -> float:
        return math.log((self._check(value) + 0.5) / self.low) / self.log_width


@dataclass(frozen=True, eq=False)
class Categorical(_Dimension):
    """One of two or more different choices, without an order.

    Numbers decode to themselves. They must be finite and differ from one another in float32 (whole numbers: fit int32).
    Anything else (strings, or a mixture) decodes inside a program to the choice's position, an int32: there
    ``setting["c"]`` is 0 for the first choice. ``Result.best`` and the history have the choice itself.

    >>> SearchSpace(optimizer=Categorical(["sgd", "adam"])).setting([0.7])
    {'optimizer': 'adam'}
    """

    choices: tuple[Any, ...]
    is_discrete: ClassVar[bool] = True
    is_categorical: ClassVar[bool] = True

    def __init__(self, choices: Sequence[Any]) -> None:
        if isinstance(choices, str) or not isinstance(choices, Sequence):
            raise ValueError(f"Categorical: choices must be a list or tuple, got {choices!r}")
        object.__setattr__(self, "choices", tuple(choices))
        object.__setattr__(self, "low", 0)
        object.__setattr__(self, "high", len(choices) - 1)
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
        if len(set(as_decoded)) != len(self.choices) or len(set(self.labels)) != len(self.choices):
            raise ValueError(
                f"Categorical: choices must differ from one another, in float32 and as text, got {choices!r}"
            )

    def __eq__(self, other: object) -> bool:
        # True, 1 and 1.0 are equal and decode to different types: programs of equal spaces are shared.
        return isinstance(other, Categorical) and self._typed == other._typed

    def __hash__(self) -> int:
        return hash(self._typed)

    @property
    def _typed(self) -> tuple[tuple[type, Any], ...]:
        return tuple((type(choice), choice) for choice in self.choices)

    @property
    def is_numeric(self) -> bool:
        """Whether all choices are numbers, which decode to themselves."""
        return all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in self.choices)

    @property
    def _is_whole(self) -> bool:
        return all(isinstance(choice, int) for choice in self.choices)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(str(choice) for choice in self.choices)

    @property
    def dtype(self) -> np.dtype:
        if self.is_numeric:
            return np.dtype(np.int64 if self._is_whole else np.float32)
        has_one_type = len({type(choice) for choice in self.choices}) == 1
        return np.array(self.choices).dtype if has_one_type else np.dtype(object)

    def decode(self, gene: Any) -> Any:
        position = self.level_of_gene(gene)
        if not self.is_numeric:
            return position
        xp = _namespace(gene)
        return xp.asarray(self.choices, xp.int32 if self._is_whole else xp.float32)[position]

    def encode(self, value: Any) -> float:
        return (self._position(value) + 0.5) / self.num_levels

    def _position(self, value: Any) -> int:
        """The place of a value among the choices; ``ValueError`` where it is none of them."""
        value = _plain(value)  # numpy compares its float32 with a whole number in float32
        if value in self.choices:
            return self.choices.index(value)
        # Whole numbers are never float32, which does not tell those above 2^24 from their neighbours.
        if not self._is_whole:
            for i, choice in enumerate(self.choices):
                if _same_float(choice, value):
                    return i
        raise ValueError(f"Categorical: value must be one of {list(self.choices)!r}, got {value!r}")

    def to_python(self, value: Any) -> Any:
        if not self.is_numeric:
            return self.choices[int(value)]
        return self.choices[int(np.argmin(np.abs(np.asarray(self.choices, np.float64) - float(value))))]

    def from_text(self, cell: str) -> Any:
        choice_of = dict(zip(self.labels, self.choices, strict=True))
        value = _number(self, cell) if self.is_numeric else choice_of.get(cell, cell)
        return self.choices[self._position(value)]

    def positions(self, values: Sequence[Any] | np.ndarray) -> np.ndarray:
        cells = [None if is_missing(value) else str(value) for value in values]
        places = {cell: np.nan if cell is None else self._position(self.from_text(cell)) for cell in set(cells)}
        return np.array([float(places[cell]) for cell in cells])

    def at_level(self, level: int) -> Any:
        return self.choices[level]


def _same_float(choice: Any, value: Any) -> bool:
    if isinstance(choice, bool) or not isinstance(choice, int | float):
        return False
    return isinstance(value, float | np.floating) and bool(np.float32(choice) == np.float32(value))


Dimension = Uniform | LogUniform | Integer | LogInteger | Categorical


@dataclass(frozen=True)
class Conditional:
    """A dimension that is active only where others have given values; :meth:`Uniform.when` and its like make it."""

    dimension: Dimension
    parents: Mapping[str, Any]

    def when(self, *_: Any, **__: Any) -> NoReturn:
        """Raise ``ValueError``: one ``when`` names all parents."""
        raise ValueError("when: a condition is given once, with all its parents: .when(kernel='rbf', layers=2)")


_KINDS = {kind.__name__: kind for kind in (Uniform, LogUniform, Integer, LogInteger, Categorical)}


def dimension_from(described: Mapping[str, Any]) -> Dimension:
    """The dimension that ``to_dict`` described, without a condition; ``ValueError`` where there is none like that.

    >>> dimension_from({"kind": "Integer", "low": 1, "high": 4})
    Integer(low=1, high=4)
    """
    try:
        arguments = {name: value for name, value in described.items() if name not in ("kind", "when")}
        return _KINDS[described["kind"]](**arguments)
    except (KeyError, TypeError, AttributeError):
        kinds = list(_KINDS)
        raise ValueError(f"a dimension must have a kind of {kinds} and its arguments, got {described!r}") from None


@dataclass(frozen=True, init=False)
class SearchSpace:
    """Named hyperparameters, each with its range; hashable, so that it can be static under ``jit``.

    Raises ``ValueError`` for a dimension of another kind, and where there is no dimension.

    >>> space = SearchSpace(lr=LogUniform(1e-4, 1.0), layers=Integer(1, 4))
    >>> space.setting(space.encode({"lr": 0.01, "layers": 3}))
    {'lr': 0.009999999776482582, 'layers': 3}
    """

    items: tuple[tuple[str, Dimension], ...]
    conditions: tuple[Condition, ...]

    def __init__(
        self, dimensions: Mapping[str, Dimension | Conditional] | None = None, /, **named: Dimension | Conditional
    ) -> None:
        if not isinstance(dimensions, Mapping | None):
            raise ValueError(f"SearchSpace: a dict of dimensions by name is needed, got {dimensions!r}")
        merged = {**(dimensions or {}), **named}
        if not merged:
            raise ValueError("SearchSpace: at least one dimension is needed, got none")
        plain, conditional = {}, {}
        for name, given in merged.items():
            if not isinstance(name, str) or not name:
                raise ValueError(f"SearchSpace: a name must be a string that is not empty, got {name!r}")
            dimension, conditional[name] = (
                (given.dimension, given.parents) if isinstance(given, Conditional) else (given, {})
            )
            if not isinstance(dimension, Dimension):
                raise ValueError(
                    f"SearchSpace: {name} must be a Uniform, LogUniform, Integer, LogInteger or Categorical, "
                    f"got {dimension!r}"
                )
            plain[name] = dimension
        object.__setattr__(self, "items", tuple(plain.items()))
        conditions = [
            self._condition(name, parent, values_of(given))
            for name, parents in conditional.items()
            for parent, given in parents.items()
        ]
        object.__setattr__(self, "conditions", parents_first(conditions, self.names))

    def _condition(self, name: str, parent: str, values: list[Any]) -> Condition:
        dimension = dict(self.items).get(parent)
        what = f"SearchSpace: the condition of {name}"
        if dimension is None:
            raise ValueError(f"{what} names {parent!r}, the names are {list(self.names)}")
        if not dimension.is_discrete:
            raise ValueError(f"{what} must be on an Integer, LogInteger or Categorical, {parent} is {dimension!r}")
        if "" in dict(self.items)[name].labels:
            raise ValueError(f"SearchSpace: {name} has a condition, so that no choice may be an empty text")
        if not values:
            raise ValueError(f"{what} must have at least one value of {parent}, got none")
        try:
            levels = {dimension.level(value) for value in values}
        except ValueError as error:
            raise ValueError(f"{what} on {parent}: {error}") from None
        return Condition(self.names.index(name), self.names.index(parent), tuple(sorted(levels)))

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
        """i32[D]: the number of levels of each gene, 0 where it is continuous."""
        return np.array([dimension.num_levels for _, dimension in self.items], np.int32)

    @property
    def is_discrete(self) -> np.ndarray:
        """bool[D]: integers and categories."""
        return self.num_levels > 0

    @property
    def is_categorical(self) -> np.ndarray:
        """bool[D]: genes whose levels have no order."""
        return np.array([dimension.is_categorical for _, dimension in self.items])

    def condition_of(self, name: str) -> dict[str, list[Any]]:
        """Where a hyperparameter is active: the values of each of its parents; empty where it always is.

        >>> SearchSpace(n=Integer(1, 3), width=Integer(4, 9).when(n=[3, 2])).condition_of("width")
        {'n': [2, 3]}
        """
        found = [condition for condition in self.conditions if self.names[condition.gene] == name]
        return {self.names[c.parent]: [self.items[c.parent][1].at_level(level) for level in c.levels] for c in found}

    def described(self) -> dict[str, str]:
        """Each hyperparameter's dimension and condition as text."""
        found = {}
        for name, dimension in self.items:
            condition = self.condition_of(name)
            found[name] = f"{dimension!r}{as_text(condition) if condition else ''}"
        return found

    def is_active(self, genomes: Array) -> Array:
        """bool[..., D]: the genes of genomes f32[..., D] whose conditions hold, or that have none."""
        if not self.conditions:
            return jnp.ones(genomes.shape, bool)
        return active_genes(self.conditions, self._levels(genomes))

    def active_names(self, setting: Mapping[str, Any]) -> list[str]:
        """The names that are active where the integers and categories have the values of ``setting``.

        >>> SearchSpace(n=Integer(1, 3), width=Integer(4, 9).when(n=[2, 3])).active_names({"n": 1})
        ['n']
        """
        active = dict.fromkeys(self.names)
        for gene, parent, levels in self.conditions:
            (name, _), (decides, dimension) = self.items[gene], self.items[parent]
            if decides in active and decides in setting:
                value = setting[decides]
                level = _level_of(dimension, value) if isinstance(value, Hashable) else dimension.level(value)
                if level in levels:
                    continue
            active.pop(name, None)
        return list(active)

    def active_part(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """A setting without the hyperparameters that are inactive in it."""
        return {name: setting[name] for name in self.active_names(setting) if name in setting}

    def decode(self, genomes: Array) -> dict[str, Array]:
        """Genomes f32[..., D] to settings in their own units, a dict of arrays [...]; pure JAX.

        Any genome decodes to a value inside the bounds. A NaN gene decodes to NaN or to a bound, an inactive gene to
        the middle of its range.
        """
        clipped = self.masked(jnp.clip(jnp.asarray(genomes, jnp.float32), 0.0, 1.0))
        return {name: dimension.decode(clipped[..., i]) for i, (name, dimension) in enumerate(self.items)}

    def encode(self, setting: Mapping[str, Any]) -> np.ndarray:
        """One setting in its own units to its genome f32[D], snapped; the inverse of :meth:`setting`.

        Raises ``ValueError`` for a missing, inactive or unknown name and for a value outside its range.
        """
        if not isinstance(setting, Mapping):
            raise ValueError(f"SearchSpace: a setting is a dict of values by name, got {setting!r}")
        try:
            active = self.active_names(setting)
            if set(setting) != set(active):
                raise ValueError(f"a setting has the names {active}")
            genes = [
                dimension.encode(setting[name]) if name in setting else middle
                for (name, dimension), middle in zip(self.items, self._middle, strict=True)
            ]
        except ValueError as error:
            raise ValueError(f"SearchSpace: {dict(setting)!r}: {error}") from None
        # Compiled, as in a search: its logarithm and numpy's differ in the last bit. Under a trace of the caller too.
        with jax.ensure_compile_time_eval():
            return np.asarray(_snapped(self, np.array(genes, np.float32)))

    @property
    def _middle(self) -> np.ndarray:
        """f32[D]: where each gene is while it is inactive."""
        half = np.array([0.5], np.float32)
        return np.array([d.encode(d.to_python(d.column(half)[0])) for _, d in self.items], np.float32)

    def masked(self, genomes: Array) -> Array:
        """Genomes f32[..., D] with every inactive gene in the middle."""
        return (
            jnp.where(self.is_active(genomes), genomes, jnp.broadcast_to(self._middle, genomes.shape))
            if self.conditions
            else genomes
        )

    def snap(self, genomes: Array) -> Array:
        """Genomes f32[..., D] with every discrete gene at the centre of its level, every inactive one in the middle."""
        return self.masked(self.centred(genomes))

    def centred(self, genomes: Array) -> Array:
        """Genomes f32[..., D] with every discrete gene at the centre of its level, active or not."""
        clipped = jnp.clip(genomes, 0.0, 1.0)
        return self._at_levels(clipped, self._levels(clipped) + 0.5) if self.is_discrete.any() else clipped

    def level_bounds(self, genomes: Array) -> tuple[Array, Array]:
        """The ends (low, high) f32[..., D] of the level of each gene; the gene itself twice where it is continuous.

        >>> SearchSpace(n=Integer(0, 3)).level_bounds(jnp.array([0.3]))
        (Array([0.25], dtype=float32), Array([0.5], dtype=float32))
        """
        if not self.is_discrete.any():
            return genomes, genomes
        levels = self._levels(genomes)
        return self._at_levels(genomes, levels), self._at_levels(genomes, levels + 1.0)

    # All genes at once, with an array of each constant: gene by gene, XLA took three times as long to compile a search.

    def _levels(self, genomes: Array) -> Array:
        """The number f32[..., D] of the level of each gene, from 0; any number where the gene is continuous."""
        per_gene = partial(jnp.broadcast_to, shape=genomes.shape)
        level = jnp.floor(genomes * per_gene(self.num_levels.astype(np.float32)))
        if self._is_log_integer.any():
            low, width = self._log_ranges
            logarithmic = jnp.floor(jnp.exp(per_gene(_single(np.log(low))) + genomes * per_gene(_single(width))))
            level = jnp.where(per_gene(self._is_log_integer), logarithmic - per_gene(_single(low)), level)
        # Clipped as a whole number, so that NaN has a level too.
        most = per_gene(np.maximum(self.num_levels - 1, 0))
        return jnp.clip(level.astype(jnp.int32), 0, most).astype(jnp.float32)

    def _at_levels(self, genomes: Array, level: Array) -> Array:
        """Where a level begins, f32[..., D]; ``level + 0.5`` is its centre; a continuous gene stays.

        Multiplied by reciprocals, as XLA does with a constant divisor: the same bits compiled and not compiled.
        """
        per_gene = partial(jnp.broadcast_to, shape=genomes.shape)
        coordinate = level * per_gene(1.0 / _single(np.maximum(self.num_levels, 1)))
        if self._is_log_integer.any():
            low, width = self._log_ranges
            ratio = (level + per_gene(_single(low))) * per_gene(1.0 / _single(low))
            logarithmic = jnp.log(ratio) * per_gene(1.0 / _single(width))
            coordinate = jnp.where(per_gene(self._is_log_integer), logarithmic, coordinate)
        return jnp.where(per_gene(self.is_discrete), coordinate, genomes)

    @property
    def _is_log_integer(self) -> np.ndarray:
        return self.is_discrete & np.array([dimension.is_log for _, dimension in self.items])

    @property
    def _log_ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """f64[D] each, of a LogInteger: its least value and the range of its logarithm; 1 for other genes."""
        ranges = [(d.low, d.log_width) if isinstance(d, LogInteger) else (1.0, 1.0) for _, d in self.items]
        return np.array([low for low, _ in ranges], np.float64), np.array([width for _, width in ranges])

    def setting(self, genome: Any) -> dict[str, Any]:
        """One genome [D] to Python numbers and choices: what a person reads.

        >>> SearchSpace(n=Integer(1, 9), c=Categorical(["a", "b"])).setting([0.0, 1.0])
        {'n': 1, 'c': 'b'}
        """
        return self.settings(np.asarray(genome, np.float32)[None])[0]

    def settings(self, genomes: Any) -> list[dict[str, Any]]:
        """Genomes [N, D] to N settings of Python numbers and choices, without what is inactive.

        A real number is rounded to float32, and may differ from that of :meth:`decode` in its last digit.
        """
        array = np.asarray(genomes, np.float32)
        if array.ndim != 2 or array.shape[1] != self.size:
            raise ValueError(f"SearchSpace: genomes must have shape [N, {self.size}], got {list(array.shape)}")
        columns = [
            dimension.column(gene) for (_, dimension), gene in zip(self.items, np.clip(array, 0.0, 1.0).T, strict=True)
        ]
        settings = [
            {name: dimension.to_python(value) for (name, dimension), value in zip(self.items, row, strict=True)}
            for row in zip(*columns, strict=True)
        ]
        return [self.active_part(setting) for setting in settings] if self.conditions else settings

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The space as plain values for JSON, one dict a dimension; :meth:`from_dict` is the inverse.

        >>> SearchSpace(x=Uniform(0.0, 1.0)).to_dict()
        {'x': {'kind': 'Uniform', 'low': 0.0, 'high': 1.0}}
        """
        conditions = {name: self.condition_of(name) for name in self.names}
        return {
            name: dimension.to_dict() | ({"when": conditions[name]} if conditions[name] else {})
            for name, dimension in self.items
        }

    @classmethod
    def from_dict(cls, described: Mapping[str, Mapping[str, Any]]) -> "SearchSpace":
        """The space that :meth:`to_dict` described; ``ValueError`` where there is none like that."""
        if not isinstance(described, Mapping):
            raise ValueError(f"SearchSpace: a dict of described dimensions is needed, got {described!r}")
        dimensions = {}
        for name, arguments in described.items():
            try:
                dimensions[name] = dimension_from(arguments)
                if "when" in arguments:
                    dimensions[name] = dimensions[name].when(arguments["when"])
            except ValueError as error:
                raise ValueError(f"SearchSpace: {name}: {error}") from None
        return cls(dimensions)


_snapped = jax.jit(SearchSpace.snap, static_argnums=0)
