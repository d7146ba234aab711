"""What can be searched: PPO's hyperparameters, their defaults and the two search spaces.

Sources: the defaults are those of Huang et al., "The 37 Implementation Details of Proximal Policy
Optimization", 2022; the full space is that of Becktepe et al., "ARLBench", 2024.
"""

from typing import NamedTuple

from jax import Array

from jaxga import Categorical, LogUniform, SearchSpace, Uniform


class Hyperparameters(NamedTuple):
    """One setting of PPO; a hyperparameter that is not searched keeps its default.

    Attributes:
        learning_rate: of Adam, above 0; falls linearly to 0 where the task anneals it.
        max_grad_norm: the gradient's global norm is clipped to it.
        gamma: the discount, in [0, 1].
        gae_lambda: the decay of the advantage's trace, in [0, 1].
        clip_range: how far the probability ratio may leave 1.
        value_clip_range: how far the value may leave the old one, in units of the value; None: plain squared error.
        value_coefficient: the weight of the value loss.
        entropy_coefficient: the weight of the entropy bonus.
        normalize_advantage: whether advantages are standardised within a minibatch.
        minibatch_size: rows for each step of Adam; None: what the task's ``num_minibatches`` gives.
    """

    learning_rate: Array | float = 2.5e-4
    max_grad_norm: Array | float = 0.5
    gamma: Array | float = 0.99
    gae_lambda: Array | float = 0.95
    clip_range: Array | float = 0.2
    value_clip_range: Array | float | None = None
    value_coefficient: Array | float = 0.5
    entropy_coefficient: Array | float = 0.01
    normalize_advantage: Array | bool = True
    minibatch_size: Array | int | None = None


# Measured: these solve an environment within ``num_steps`` where the general defaults do not.
PRESETS: dict[str, dict[str, float]] = {
    "CartPole-v1": {"learning_rate": 2.5e-3},
    # With 200,000 steps and 10 epochs.
    "Pendulum-v1": {"learning_rate": 1e-3, "gamma": 0.9, "entropy_coefficient": 0.0},
}

MINIBATCH_SIZES = (128, 256, 512)

SPACES = {
    "default": SearchSpace(
        learning_rate=LogUniform(1e-5, 1e-1),
        max_grad_norm=LogUniform(0.05, 5.0),
    ),
    "full": SearchSpace(
        learning_rate=LogUniform(1e-6, 1e-1),
        entropy_coefficient=Uniform(0.0, 0.5),
        minibatch_size=Categorical(MINIBATCH_SIZES),
        gae_lambda=Uniform(0.8, 0.9999),
        clip_range=Uniform(0.0, 0.5),
        value_clip_range=Uniform(0.0, 0.5),
        normalize_advantage=Categorical((False, True)),  # decodes to 0 or 1
        value_coefficient=Uniform(0.0, 1.0),
        max_grad_norm=Uniform(0.0, 1.0),
    ),
}
