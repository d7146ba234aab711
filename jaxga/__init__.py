"""jaxga: a JAX-vectorised evolution engine for hyperparameter search.

Shapes are written as ``f32[P, D]``, a float32 array of two axes. The letters count: P members of a population, D genes,
A rows of an archive, N points or seeds, K parents, R replicates, T points of a curve, M scores.
"""

from jaxga import runtime

runtime.configure()  # before JAX starts its CPU client

from jaxga.algorithms import ga, invasive_ga, random_search  # noqa: E402
from jaxga.base import Algorithm, Best, Evaluation, Objective, Offspring, Operator, Species, Surrogate, Task  # noqa: E402
from jaxga.batches import in_batches  # noqa: E402
from jaxga.host import as_host_task  # noqa: E402
from jaxga.loop import AllMembersFailed, Generation, run  # noqa: E402
from jaxga.many import optimize_many  # noqa: E402
from jaxga.optimize import maximize, minimize, optimize  # noqa: E402
from jaxga.precision import single_precision  # noqa: E402
from jaxga.registry import ALGORITHMS  # noqa: E402
from jaxga.result import Result  # noqa: E402
from jaxga.runs.saved import SavedRun, load  # noqa: E402
from jaxga.runs.stopping import Stop  # noqa: E402
from jaxga.schedules import Schedule, hyperband, pipelined, population_based, successive_halving  # noqa: E402
from jaxga.space import Categorical, Integer, LogInteger, LogUniform, SearchSpace, Uniform  # noqa: E402
from jaxga.task import as_task, run_defaults  # noqa: E402
from jaxga.trainable import Trainable  # noqa: E402

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "AllMembersFailed",
    "Best",
    "Categorical",
    "Evaluation",
    "Generation",
    "Integer",
    "LogInteger",
    "LogUniform",
    "Objective",
    "Offspring",
    "Operator",
    "Result",
    "SavedRun",
    "Schedule",
    "SearchSpace",
    "Species",
    "Stop",
    "Surrogate",
    "Task",
    "Trainable",
    "Uniform",
    "as_host_task",
    "as_task",
    "ga",
    "hyperband",
    "in_batches",
    "invasive_ga",
    "load",
    "maximize",
    "minimize",
    "optimize",
    "optimize_many",
    "pipelined",
    "population_based",
    "random_search",
    "run",
    "run_defaults",
    "runtime",
    "single_precision",
    "successive_halving",
]
