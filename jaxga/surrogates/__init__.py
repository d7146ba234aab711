"""Models of the loss; each factory returns a :class:`jaxga.base.Surrogate`.

A factory takes ``(space, *, num_points, ...)``; ``num_points`` is the number of rows that ``fit`` gets.
"""

from collections.abc import Callable

from jaxga.base import Surrogate
from jaxga.surrogates.deep import deep_kernel
from jaxga.surrogates.fourier import random_features
from jaxga.surrogates.gp import gaussian_process
from jaxga.surrogates.mlp import mlp, mlp_ensemble
from jaxga.surrogates.neighbours import nearest_neighbours
from jaxga.surrogates.quadratic import quadratic_ridge

SURROGATES: dict[str, Callable[..., Surrogate]] = {
    "deep_kernel": deep_kernel,
    "gaussian_process": gaussian_process,
    "mlp_ensemble": mlp_ensemble,
    "mlp": mlp,
    "random_features": random_features,
    "nearest_neighbours": nearest_neighbours,
    "quadratic_ridge": quadratic_ridge,
}

__all__ = [
    "SURROGATES",
    "deep_kernel",
    "gaussian_process",
    "mlp",
    "mlp_ensemble",
    "nearest_neighbours",
    "quadratic_ridge",
    "random_features",
]
