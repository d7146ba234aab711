"""The 24 noiseless functions of BBOB in five genes, as the package ioh computes them: functions of the host.

Source: Hansen, Finck, Ros and Auger, "Real-Parameter Black-Box Optimization Benchmarking 2009: Noiseless Functions
Definitions" (2009).
"""

# pyright: reportMissingImports=false
# The extra "peers" may not be installed.

from typing import Any

from experiments.comparison.models import Model
from experiments.comparison.synthetic import continuous

NUM_FUNCTIONS = 24
_NUM_GENES = 5
# OptunaHub's benchmark takes the first one where none is named.
_INSTANCE = 1


def bbob(function: int) -> Model:
    """``function`` from 1 to 24; its loss is the regret. Raises ``ImportError`` where the package is missing."""
    try:
        import ioh
    except ImportError:
        raise ImportError("the BBOB functions need the package ioh: pip install ioh") from None
    problem = ioh.get_problem(function, _INSTANCE, _NUM_GENES)
    least = problem.optimum.y

    def loss(setting: dict[str, Any]) -> float:
        return float(problem([setting[f"x{i}"] for i in range(_NUM_GENES)])) - least

    return Model(continuous(_NUM_GENES), loss)
