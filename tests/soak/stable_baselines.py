"""Train PPO here and in Stable-Baselines3 under the same settings, and compare what the agents earn.

python tests/soak/stable_baselines.py --seeds 8 --out benchmarks/ppo

Every agent is trained from its own seed and judged by ten greedy episodes. Needs stable-baselines3, and 20 minutes.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ["NPROC"] = "1"

import gymnasium
import jax
import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

from jaxga.runs.records import environment
from jaxga.runtime import compiler_options
from jaxga.tasks.ppo import PPO, ppo

SIZES = {
    "CartPole-v1": {},
    "Acrobot-v1": {},
    "Pendulum-v1": {"num_steps": 200_000, "num_epochs": 10},
}


def ours(task: PPO, num_seeds: int) -> np.ndarray:
    """Returns f64[num_seeds] of agents trained by this project."""

    def train(keys: jax.Array) -> jax.Array:
        return jax.lax.map(lambda key: task.evaluate(key, {}).value, keys, batch_size=8)

    keys = jax.random.split(jax.random.key(1), num_seeds)
    return np.asarray(jax.jit(train, compiler_options=compiler_options())(keys), float)


def theirs(task: PPO, seed: int) -> float:
    """The return of an agent trained by Stable-Baselines3."""
    hyper, name = task.fixed, task.environment.name
    env = make_vec_env(name, n_envs=task.num_envs, seed=seed)
    if task.environment.normalize:
        env = VecNormalize(env, gamma=float(hyper.gamma))
    rate = float(hyper.learning_rate)
    agent = stable_baselines3.PPO(
        "MlpPolicy",
        env,
        learning_rate=lambda remaining: rate * remaining,
        n_steps=task.rollout_length,
        batch_size=task.num_envs * task.rollout_length // task.num_minibatches,
        n_epochs=task.num_epochs,
        gamma=float(hyper.gamma),
        gae_lambda=float(hyper.gae_lambda),
        clip_range=float(hyper.clip_range),
        ent_coef=float(hyper.entropy_coefficient),
        # Its squared error has no half.
        vf_coef=float(hyper.value_coefficient) / 2,
        max_grad_norm=float(hyper.max_grad_norm),
        seed=seed,
        device="cpu",
    )
    agent.learn(task.num_steps)
    judge = make_vec_env(name, n_envs=1, seed=1000 + seed)
    if isinstance(env, VecNormalize):
        judge = VecNormalize(judge, training=False, norm_reward=False)
        judge.obs_rms = env.obs_rms
    return float(evaluate_policy(agent, judge, n_eval_episodes=task.num_episodes)[0])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--out", type=Path, help="Files to write, without their endings .json and .md.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, lines = (
        {},
        ["| environment | steps | jaxga | Stable-Baselines3 | seconds an agent |", "|---|---:|---:|---:|---:|"],
    )
    for name, sizes in SIZES.items():
        task = ppo(name, **sizes)
        began = time.perf_counter()
        here = ours(task, options.seeds)
        between = time.perf_counter()
        there = np.array([theirs(task, seed) for seed in range(options.seeds)])
        seconds = [(between - began) / options.seeds, (time.perf_counter() - between) / options.seeds]
        rows[name] = {"jaxga": here.tolist(), "stable-baselines3": there.tolist(), "seconds": seconds, "sizes": sizes}
        cells = [f"{values.mean():.1f} ± {values.std(ddof=1) / len(values) ** 0.5:.1f}" for values in (here, there)]
        lines.append(f"| {name} | {task.num_steps:,} | {cells[0]} | {cells[1]} | {seconds[0]:.1f} / {seconds[1]:.1f} |")
        print(lines[-1], flush=True)
    about = environment()
    versions = {"stable-baselines3": stable_baselines3.__version__, "torch": torch.__version__}
    versions |= {"gymnasium": gymnasium.__version__, **about["versions"]}
    text = (
        "# PPO beside Stable-Baselines3\n\n"
        f"Mean return of ten greedy episodes ± its standard error over {options.seeds} agents, the same settings, "
        f"one core of {about['processor']}; "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + f".\nThe seconds of jaxga include compiling.\n\n"
        f"`python tests/soak/stable_baselines.py --seeds {options.seeds}`\n\n" + "\n".join(lines) + "\n"
    )
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.with_suffix(".json").write_text(json.dumps({"rows": rows, "versions": versions}, indent=2) + "\n")
        options.out.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
