"""jaxga: a JAX-vectorised evolution engine for hyperparameter search."""

from jaxga.base import Algorithm, Evaluation, Info, Objective, Species, Surrogate, Task
from jaxga.space import Categorical, Integer, LogInteger, LogUniform, SearchSpace, Uniform

__all__ = [
    "Algorithm",
    "Categorical",
    "Evaluation",
    "Info",
    "Integer",
    "LogInteger",
    "LogUniform",
    "Objective",
    "SearchSpace",
    "Species",
    "Surrogate",
    "Task",
    "Uniform",
]
