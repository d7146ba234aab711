"""SMAC and DEHB, which take their space from the package ConfigSpace."""

# pyright: reportMissingImports=false
# The extra "peers" may not be installed.

import tempfile
import warnings
from typing import Any

import numpy as np

from jaxga import Categorical, Integer, LogInteger, LogUniform, SearchSpace
from jaxga.space import Dimension


def _configuration_space(space: SearchSpace, seed: int) -> Any:
    import ConfigSpace

    parameters = [_parameter(ConfigSpace, name, dimension) for name, dimension in space.items]
    return ConfigSpace.ConfigurationSpace(space=parameters, seed=seed)


def _parameter(kinds: Any, name: str, dimension: Dimension) -> Any:
    if isinstance(dimension, Categorical):
        return kinds.CategoricalHyperparameter(name, list(dimension.choices))
    is_whole = isinstance(dimension, Integer | LogInteger)
    kind = kinds.UniformIntegerHyperparameter if is_whole else kinds.UniformFloatHyperparameter
    return kind(name, dimension.low, dimension.high, log=isinstance(dimension, LogUniform | LogInteger))


class Smac:
    """``facade`` is ``HyperparameterOptimizationFacade`` (forests) or ``BlackBoxFacade`` (a Gaussian process)."""

    def __init__(self, facade: str, space: SearchSpace, size: int, num_generations: int, seed: int) -> None:
        import smac

        warnings.simplefilter("ignore")
        self.folder = tempfile.TemporaryDirectory()  # where it insists on writing
        scenario = smac.Scenario(
            _configuration_space(space, seed),
            output_directory=self.folder.name,
            deterministic=True,
            n_trials=size * num_generations,
            seed=seed,
        )
        self.search: Any = getattr(smac, facade)(scenario, lambda config, seed: 0.0, logging_level=False)
        self.size = size

    def ask(self) -> list[dict[str, Any]]:
        self.asked = [self.search.ask() for _ in range(self.size)]
        return [dict(trial.config) for trial in self.asked]

    def tell(self, losses: np.ndarray) -> None:
        from smac.runhistory.dataclasses import TrialValue

        for trial, loss in zip(self.asked, losses, strict=True):
            self.search.tell(trial, TrialValue(cost=float(loss)))


class Dehb:
    """DEHB where every evaluation is a whole one, as for the others: one rung, so differential evolution.

    With other ``fidelities``, the least and the greatest, it is asked for settings at several.
    """

    def __init__(
        self,
        space: SearchSpace,
        size: int,
        num_generations: int,
        seed: int,
        # It refuses equal ones; less than eta apart there is one rung, at the greatest.
        fidelities: tuple[float, float] = (0.5, 1.0),
    ) -> None:
        from dehb import DEHB
        from loguru import logger

        warnings.simplefilter("ignore")
        logger.remove()
        self.folder = tempfile.TemporaryDirectory()  # where it insists on writing
        self.search: Any = DEHB(
            cs=_configuration_space(space, seed),
            min_fidelity=fidelities[0],
            max_fidelity=fidelities[1],
            eta=3,
            seed=seed,
            n_workers=1,
            output_path=self.folder.name,
        )
        self.size = size

    def ask(self) -> list[dict[str, Any]]:
        asked = self.search.ask(self.size)
        self.asked = asked if isinstance(asked, list) else [asked]
        return [dict(job["config"]) for job in self.asked]

    def tell(self, losses: np.ndarray) -> None:
        for job, loss in zip(self.asked, losses, strict=True):
            self.search.tell(job, {"fitness": float(loss), "cost": float(job["fidelity"])})
