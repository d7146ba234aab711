"""Many settings, each trained under many seeds: made in blocks, and kept on the disk."""

import csv
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.blocks import join_blocks
from experiments.noise.setups import Setup
from jaxga.base import Task
from jaxga.chunks import plan_chunk
from jaxga.evaluate import train_members
from jaxga.runs.draft import draft


class Trainings(NamedTuple):
    """N settings under S seeds each, no seed used twice.

    Attributes:
        genomes: f32[N, D], uniform in the unit cube.
        values: f32[N, S], greater is better; the least value of all where the training failed.
        curves: f32[N, S, T], the mean training return in each of T equal parts of the training; the least one where it
            is not finite.
    """

    genomes: np.ndarray
    values: np.ndarray
    curves: np.ndarray


def complete(folder: Path, setup: Setup) -> None:
    """Make the blocks of ``setup`` that are missing in ``folder``, all by one compiled program."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [(first, path) for first, path in _blocks(folder, setup) if not path.exists()]
    if not missing:
        return
    task = setup.task()
    chunk_size = plan_chunk("auto", task)

    @jax.jit
    def train(task: Task, settings: Array) -> tuple[Array, Any]:
        """Genomes f32[B, D], and the evaluations [B * S] of settings i32[B]."""
        key_genome, key_training = jax.random.split(jax.random.key(0))
        keys_genome = jax.vmap(jax.random.fold_in, (None, 0))(key_genome, settings)
        genomes = jax.vmap(lambda key: jax.random.uniform(key, (task.space.size,)))(keys_genome)
        jobs = settings[:, None] * setup.num_seeds + jnp.arange(setup.num_seeds)[None]
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key_training, jobs.ravel())
        genome_of_job = jnp.repeat(genomes, setup.num_seeds, axis=0)
        return genomes, train_members(type(task).evaluate, task, keys, genome_of_job, chunk_size=chunk_size)

    for first, path in missing:
        genomes, evaluation = train(task, first + jnp.arange(setup.block_size))
        shape = (setup.block_size, setup.num_seeds)
        with draft(path) as made, made.open("wb") as file:
            np.savez_compressed(
                file,
                genomes=genomes,
                values=np.reshape(evaluation.value, shape),
                curves=np.reshape(evaluation.metrics["curve"], (*shape, -1)),
            )
        print(f"trainings: {setup.name}, {first + setup.block_size} of {setup.num_settings} settings", flush=True)


def load(folder: Path, setup: Setup) -> Trainings:
    """All that was made of ``setup``."""
    columns = join_blocks([path for _, path in _blocks(folder, setup)], Trainings._fields)
    return Trainings(**{name: _filled(column) for name, column in columns.items()})


def write_csv(path: Path, setup: Setup, trainings: Trainings) -> None:
    """A row a setting: its hyperparameters, then its return under each seed."""
    space = setup.task().space
    seeds = [f"return {seed}" for seed in range(setup.num_seeds)]
    with draft(path) as made, made.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*space.names, *seeds])
        for setting, values in zip(space.settings(trainings.genomes), trainings.values, strict=True):
            writer.writerow([x if isinstance(x, bool) else f"{x:.6g}" for x in (*setting.values(), *values.tolist())])


def _filled(values: np.ndarray) -> np.ndarray:
    """A training that failed is as bad as the worst one that did not."""
    return np.nan_to_num(values, nan=np.nanmin(values))


def _blocks(folder: Path, setup: Setup) -> list[tuple[int, Path]]:
    """The first setting and the file of each block; the name has all that decides the content."""
    mark = hashlib.sha256(repr((setup.details, setup.num_seeds)).encode()).hexdigest()[:8]
    firsts = range(0, setup.num_settings, setup.block_size)
    return [(first, folder / f"{setup.name}-{mark}-{first}-{first + setup.block_size}.npz") for first in firsts]
