"""Small factories of pure functions: selection, crossover, mutation, survival; and operators made of operators.

The tables name what an algorithm takes by name; the tests of every operator read them.

>>> from jaxga.operators import chain, crossover, mutation, selection, survival
"""

from collections.abc import Callable

from jaxga.base import Operator
from jaxga.operators import crossover, mutation, selection, survival
from jaxga.operators.mixture import chain, choice, keyed, masked, mixture
from jaxga.operators.selection import Selection
from jaxga.operators.survival import Survival

SELECTIONS: dict[str, Callable[..., Selection]] = {
    "truncation": selection.truncation,
    "tournament": selection.tournament,
    "rank": selection.rank,
    "roulette": selection.roulette,
    "stochastic_universal": selection.stochastic_universal,
}
CROSSOVERS: dict[str, Callable[..., Operator]] = {
    "uniform": crossover.uniform,
    "one_point": crossover.one_point,
    "two_point": crossover.two_point,
    "arithmetic": crossover.arithmetic,
    "blx_alpha": crossover.blx_alpha,
    "sbx": crossover.sbx,
    "differential": crossover.differential,
}
MUTATIONS: dict[str, Callable[..., Operator]] = {
    "reset": mutation.reset,
    "gaussian": mutation.gaussian,
    "polynomial": mutation.polynomial,
    "self_adapting": mutation.self_adapting,
}
SURVIVALS: dict[str, Callable[[], Survival]] = {"plus": survival.plus, "comma": lambda: survival.comma(1)}

__all__ = [
    "CROSSOVERS",
    "MUTATIONS",
    "SELECTIONS",
    "SURVIVALS",
    "Operator",
    "Selection",
    "Survival",
    "chain",
    "choice",
    "crossover",
    "keyed",
    "masked",
    "mixture",
    "mutation",
    "selection",
    "survival",
]
