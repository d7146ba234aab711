"""Models of the loss behind one contract, :class:`jaxga.base.Surrogate`.

A factory takes ``(space, *, num_points, ...)``; ``num_points`` is the number of rows that ``fit`` is given.
"""

from collections.abc import Callable

from jaxga.base import Surrogate
from jaxga.surrogates.gp import gaussian_process
from jaxga.surrogates.mlp import mlp_ensemble

SURROGATES: dict[str, Callable[..., Surrogate]] = {
    "gaussian_process": gaussian_process,
    "mlp_ensemble": mlp_ensemble,
}

__all__ = ["SURROGATES", "gaussian_process", "mlp_ensemble"]
