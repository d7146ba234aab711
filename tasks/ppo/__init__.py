"""A pure-JAX PPO on gymnax, trained as one function of a key and a setting."""

from jaxga.tasks.ppo.environments import NAMES
from jaxga.tasks.ppo.hyperparameters import Hyperparameters
from jaxga.tasks.ppo.task import PPO, cartpole, ppo

__all__ = ["NAMES", "PPO", "Hyperparameters", "cartpole", "ppo"]
