"""jaxga: a JAX-vectorised evolution engine for hyperparameter search."""

from jaxga import runtime

runtime.configure()  # before anything below starts JAX

from jaxga.algorithms import *  # noqa
from jaxga.base import Algorithm, Evaluation, Info, Objective, Species, Surrogate, Task  # noqa: E402
from jaxga.run import AllMembersFailed, Result, maximize, minimize, optimize, run  # noqa: E402
from jaxga.space import Categorical, Integer, LogInteger, LogUniform, SearchSpace, Uniform  # noqa: E402
