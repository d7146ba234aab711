"""A pure-JAX PPO on gymnax, trained as one function of a key and a setting."""

from tasks.ppo.environments import NAMES
from tasks.ppo.hyperparameters import Hyperparameters
from tasks.ppo.task import PPO, ppo

__all__ = ["NAMES", "PPO", "Hyperparameters", "ppo"]
