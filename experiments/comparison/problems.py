"""The problems of the comparison, their two halves, and how one is built from its name.

The split was fixed before any result was seen: within each kind (smooth, multimodal and step functions, the two
families of tables, scikit-learn models, own tasks) the base names are ordered by their SHA-256 and dealt out in turn,
the first to ``development``. A base (a function, a data set) lies in one half with all its dimensions and noises.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.comparison import synthetic
from experiments.comparison.bbob import NUM_FUNCTIONS, bbob
from experiments.comparison.challenge import CHALLENGE
from experiments.comparison.conditional import CONDITIONAL
from experiments.comparison.functions import FUNCTIONS
from experiments.comparison.models import MODELS, Model
from experiments.comparison.tables import table
from jaxga import Evaluation, Objective, SearchSpace, Task

# Those of a public protocol, and conditional ones, lie in neither half: they are run where they are named.
Half = Literal["development", "reporting", "protocol"]
# Models and own tasks take milliseconds and more each: at the small budget only.
_FEW_EVALUATIONS = 100
_NUM_FRESH = 4
# What may be named instead of problems, beside all.
_GROUPS = ("development", "reporting", "bbob", "challenge", "conditional")


class ScoredTask(Task, Protocol):
    """A task that knows its regret: 0 at the optimum and free of noise."""

    def regret(self, setting: dict[str, Array]) -> Array: ...


class Problem(NamedTuple):
    """One problem of the comparison.

    Attributes:
        name: unique.
        group: what the tables sum up by.
        base: the function or data set, which decides the half.
        half: ``development``, ``reporting``, or ``protocol`` for neither.
        build: makes the task in JAX, or the model of the host.
        is_noisy: whether two evaluations of a setting may differ.
        knows_optimum: whether the regret is measured from the true optimum; else from the best value met.
        max_evaluations: greatest budget that it is run at; None for any.
        is_heavy: run only where it is named.
    """

    name: str
    group: str
    base: str
    half: Half
    build: Callable[[], ScoredTask | Model]
    is_noisy: bool = False
    knows_optimum: bool = True
    max_evaluations: int | None = None
    is_heavy: bool = False


@partial(jax.tree_util.register_dataclass, data_fields=["task"], meta_fields=["space", "objective"])
@dataclass(frozen=True)
class Own:
    """A task of this project as a loss; its regret is the mean loss under seeds that no search sees."""

    task: Task
    space: SearchSpace
    objective: Objective = field(default=Objective("loss", "min"))

    def evaluate(self, key: Array, setting: dict[str, Array]) -> Evaluation:
        return Evaluation(self.task.objective.sign * self.task.evaluate(key, setting).value, {})

    def regret(self, setting: dict[str, Array]) -> Array:
        keys = jax.random.split(jax.random.fold_in(jax.random.key(0), 2**31), _NUM_FRESH)
        return jnp.mean(jax.vmap(lambda key: self.evaluate(key, setting).value)(keys))


def deal(bases: list[str]) -> dict[str, Half]:
    """The half of each base name of one kind: in the order of their SHA-256, in turn."""
    ordered = sorted(bases, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return {name: "development" if i % 2 == 0 else "reporting" for i, name in enumerate(ordered)}


def _synthetic(base: str, suffix: str, group: str, half: Half, space: SearchSpace, **noise: float) -> Problem:
    name = f"{base}-{suffix}"
    return Problem(name, group, base, half, lambda: synthetic.synthetic(name, base, space, **noise), bool(noise))


def _functions(half: Half) -> list[Problem]:
    """All functions in two dimensions each; some with noise and some over mixed types."""
    kinds = ("smooth", "multimodal", "step")
    chosen: dict[str, list[str]] = {}
    for kind in kinds:
        halves = deal([name for name, function in FUNCTIONS.items() if function.kind == kind])
        chosen[kind] = [name for name, its in halves.items() if its == half]
    problems = []
    for kind in kinds:
        for i, base in enumerate(chosen[kind]):
            problems += [
                _synthetic(base, f"{num_genes}d", kind, half, synthetic.continuous(num_genes))
                for num_genes in ((2, 10), (5, 20))[i % 2]
            ]
    noises = {"additive": synthetic.ADDITIVE_NOISE, "multiplicative": synthetic.MULTIPLICATIVE_NOISE}
    for base, num_genes in [(chosen[kind][0], 5) for kind in kinds] + [(chosen["smooth"][1], 2)]:
        for noise, size in noises.items():
            space, suffix = synthetic.continuous(num_genes), f"{num_genes}d-{noise}"
            problems.append(_synthetic(base, suffix, "noisy", half, space, **{noise: size}))
    for base in (*chosen["smooth"][:2], chosen["multimodal"][0]):
        for num_genes, space in synthetic.MIXED_SPACES.items():
            problems.append(_synthetic(base, f"mixed{num_genes}", "mixed", half, space))
    return problems


def _guess() -> ScoredTask:
    from jaxga.tasks.guess import guess

    task = guess()
    return Own(task, task.space)


def _mnist() -> ScoredTask:
    from jaxga.tasks.data import load_images
    from jaxga.tasks.mnist import mnist

    task = mnist(load_images("mnist"))
    return Own(task, task.space)


def _cartpole() -> ScoredTask:
    from jaxga.tasks.ppo import ppo

    # A quarter of the task's own steps, and the mean of the learning curve: the return at the end saturates, so that
    # a random search of 32 settings finds the greatest one.
    task = ppo("CartPole-v1", num_steps=25_600, metric="area")
    return Own(task, task.space)


@cache
def catalogue() -> dict[str, Problem]:
    """All problems by name."""
    problems = [*_functions("development"), *_functions("reporting")]
    tables = {
        "hpobench": ["australian", "car", "phoneme", "vehicle"],
        "hpolib": ["naval_propulsion", "slice_localization"],
    }
    for family, data_sets in tables.items():
        for base, half in deal(data_sets).items():
            for suffix, noisy in (("mean", False), ("seeds", True)):
                build = partial(table, family, base, noisy=noisy)
                problems.append(Problem(f"{family}-{base}-{suffix}", "tables", base, half, build, noisy))
    for base, half in deal(list(MODELS)).items():
        model = partial(Problem, base, "models", base, half, MODELS[base])
        problems.append(model(knows_optimum=False, max_evaluations=_FEW_EVALUATIONS))
    own: dict[str, Callable[[], ScoredTask]] = {"guess": _guess, "mnist": _mnist, "cartpole": _cartpole}
    for base, half in deal(list(own)).items():
        is_trained = base != "guess"
        limit = _FEW_EVALUATIONS if is_trained else None
        problems.append(Problem(base, "own", base, half, own[base], is_trained, not is_trained, limit, is_trained))
    for function in range(1, NUM_FUNCTIONS + 1):
        name = f"bbob-f{function}"
        problems.append(Problem(name, "bbob", name, "protocol", partial(bbob, function)))
    for name, build in CHALLENGE.items():
        problems.append(Problem(name, "challenge", name, "protocol", build, knows_optimum=False))
    problems += [Problem(name, "conditional", name, "protocol", build) for name, build in CONDITIONAL.items()]
    return {problem.name: problem for problem in problems}


def select(names: str) -> list[Problem]:
    """Both halves (``all``), one of them, another of ``_GROUPS``, or problems by name with commas between.

    Heavy ones are selected by name alone.

    Raises ``ValueError`` for a name that there is not.
    """
    problems = catalogue()
    if names == "all":
        return [p for p in problems.values() if not p.is_heavy and p.half != "protocol"]
    if names in _GROUPS:
        return [p for p in problems.values() if not p.is_heavy and names in (p.half, p.group)]
    unknown = [name for name in names.split(",") if name not in problems]
    if unknown:
        raise ValueError(
            f"problems must be {', '.join(_GROUPS)}, all or names of problems, got {unknown[0]!r}; "
            f"there are {', '.join(problems)}"
        )
    return [problems[name] for name in dict.fromkeys(names.split(","))]


def fingerprint(task: ScoredTask | Model) -> str:
    """What tells a recorded run of this problem from one of another problem of the same name."""
    digest = hashlib.sha256(repr(task.space).encode())
    leaves: list[Any] = [] if isinstance(task, Model) else jax.tree.leaves(task)
    for leaf in leaves:
        # Five digits: the scale is a median of values that another processor may round otherwise.
        rounded = np.array([f"{x:.4e}" for x in np.asarray(leaf, np.float64).ravel()[:10_000]])
        digest.update(rounded.tobytes())
    return digest.hexdigest()[:12]


def affords(problem: Problem, num_evaluations: int) -> bool:
    """Whether the problem is run at a budget."""
    return problem.max_evaluations is None or num_evaluations <= problem.max_evaluations
