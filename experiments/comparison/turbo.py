"""TuRBO on BoTorch, which has its parts and no class of it: one trust region, and Thompson samples inside it."""

# pyright: reportMissingImports=false
# The extra "peers" may not be installed.

import math
from typing import Any

import numpy as np

from jaxga import SearchSpace

_FIRST_LENGTH, _LEAST_LENGTH, _GREATEST_LENGTH = 0.8, 0.5**7, 1.6
_SUCCESSES = 3


class Turbo:
    """TuRBO-1 in the unit cube with the constants of the paper; a level of a discrete gene by its interval.

    Source: D. Eriksson, M. Pearce, J. R. Gardner, R. Turner, M. Poloczek, "Scalable global optimization via local
    Bayesian optimization", 2019.
    """

    def __init__(self, space: SearchSpace, size: int, num_generations: int, seed: int) -> None:
        from torch.quasirandom import SobolEngine

        self.space, self.size = space, size
        self.sobol = SobolEngine(space.size, scramble=True, seed=seed)
        self.rng = np.random.default_rng(seed)
        self.num_failures = math.ceil(max(4.0, space.size) / size)
        self._restart()

    def _restart(self) -> None:
        self.length, self.good, self.bad = _FIRST_LENGTH, 0, 0
        self.points, self.losses = np.zeros((0, self.space.size)), np.zeros(0)
        # Twice as many as there are genes, in whole generations.
        self.num_left = math.ceil(2 * self.space.size / self.size) * self.size

    def ask(self) -> list[dict[str, Any]]:
        is_first = self.num_left > 0
        self.asked = self.sobol.draw(self.size).double().numpy() if is_first else self._thompson()
        return self.space.settings(self.asked)

    def tell(self, losses: np.ndarray) -> None:
        finite = np.where(np.isfinite(losses), losses, np.nan)
        worst = np.nanmax(np.append(self.losses, finite)) if np.isfinite(losses).any() else 0.0
        losses = np.where(np.isnan(finite), worst, finite)
        before = self.losses.min(initial=np.inf)
        self.points, self.losses = np.concatenate([self.points, self.asked]), np.concatenate([self.losses, losses])
        if self.num_left > 0:
            self.num_left -= self.size
            return
        is_better = losses.min() < before - 1e-3 * abs(before)
        self.good, self.bad = (self.good + 1, 0) if is_better else (0, self.bad + 1)
        if self.good == _SUCCESSES:
            self.length, self.good = min(2.0 * self.length, _GREATEST_LENGTH), 0
        elif self.bad == self.num_failures:
            self.length, self.bad = self.length / 2.0, 0
        if self.length < _LEAST_LENGTH:
            self._restart()

    def _thompson(self) -> np.ndarray:
        import torch
        from botorch.fit import fit_gpytorch_mll
        from botorch.generation import MaxPosteriorSampling
        from botorch.models import SingleTaskGP
        from gpytorch.constraints import Interval
        from gpytorch.kernels import MaternKernel, ScaleKernel
        from gpytorch.likelihoods import GaussianLikelihood
        from gpytorch.mlls import ExactMarginalLogLikelihood

        num_genes = self.space.size
        torch.manual_seed(int(self.rng.integers(2**31)))
        x = torch.tensor(self.points)
        spread = max(self.losses.std(), 1e-12)
        y = torch.tensor((self.losses.mean() - self.losses) / spread)[:, None]  # BoTorch maximises
        matern = MaternKernel(nu=2.5, ard_num_dims=num_genes, lengthscale_constraint=Interval(0.005, 2.0))
        model = SingleTaskGP(
            x,
            y,
            covar_module=ScaleKernel(matern, outputscale_constraint=Interval(0.05, 20.0)),
            likelihood=GaussianLikelihood(noise_constraint=Interval(5e-4, 0.2)),
            outcome_transform=None,
        )
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))

        weights = matern.lengthscale.detach().numpy().ravel()
        weights = weights / np.exp(np.log(weights).mean())
        centre = self.points[self.losses.argmin()]
        low, high = (np.clip(centre + side * weights * self.length / 2.0, 0.0, 1.0) for side in (-1.0, 1.0))
        num_candidates = min(100 * num_genes, 5000)
        inside = low + (high - low) * self.sobol.draw(num_candidates).double().numpy()
        moves = self.rng.random((num_candidates, num_genes)) < min(20.0 / num_genes, 1.0)
        moves[~moves.any(1), self.rng.integers(num_genes)] = True
        candidates = torch.tensor(np.where(moves, inside, centre))
        with torch.no_grad():
            return MaxPosteriorSampling(model, replacement=False)(candidates, num_samples=self.size).numpy()
