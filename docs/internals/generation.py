"""``python docs/internals/generation.py [FILE]``: one generation of ``invasive_ga`` step by step, from its own data."""

import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import jaxga
from jaxga.algorithms.draws import uniform
from jaxga.algorithms.parents import best_parents, breed, breeder
from jaxga.evaluate import evaluate
from jaxga.surrogates import deep_kernel
from jaxga.surrogates.zoom import over_zoom

POPULATION, GENERATION, ARCHIVE, SAMPLE = 12, 2, 64, 1024
SPACE = jaxga.SearchSpace(lr=jaxga.LogUniform(1e-3, 1.0), momentum=jaxga.Uniform(0.0, 0.99))
CHILD, INVADER, SURVIVOR = "#0072B2", "#D55E00", "#009E73"


@jaxga.as_task(SPACE, objective=jaxga.Objective("log10 of the loss"))
def training(key, setting):
    """Least squares by gradient descent with momentum, 40 steps; a failed training is cut off at 2."""
    slopes = jnp.array([1.0, 4.0, 16.0])

    def step(carry, _):
        weights, velocity = carry
        velocity = setting["momentum"] * velocity - setting["lr"] * slopes * weights
        return (weights + velocity, velocity), None

    (weights, _), _ = jax.lax.scan(step, (jnp.ones(3), jnp.zeros(3)), length=40)
    return jnp.clip(jnp.log10(jnp.mean(slopes * weights**2) + 1e-6), -6.0, 2.0)


def main(path: Path) -> None:
    """Search for some generations, then draw what the next one is made of."""
    algorithm = jaxga.invasive_ga(SPACE, population_size=POPULATION, archive_size=ARCHIVE, num_candidates=SAMPLE)
    score = jax.jit(partial(evaluate, training))
    key = jax.random.key(3)
    state = algorithm.init(key)
    for generation in range(GENERATION):
        key_ask, key_train, key_tell = jax.random.split(jax.random.fold_in(key, generation), 3)
        offspring, state = algorithm.ask(key_ask, state)
        scores = score(key_train, offspring.genomes)
        state, _ = algorithm.tell(key_tell, state, offspring.genomes, scores.loss)
    key_ask, key_train, _ = jax.random.split(jax.random.fold_in(key, GENERATION), 3)
    offspring, _ = algorithm.ask(key_ask, state)
    draw(path, state, offspring, score(key_train, offspring.genomes).loss, key_ask, score)


def draw(path, state, offspring, loss, key_ask, score) -> None:
    """Six panels over the unit square of genomes."""
    archive = state.archive
    known = np.asarray(archive.genomes[archive.valid])
    ticks = (np.arange(41) + 0.5) / 41
    grid = jnp.asarray(np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2), jnp.float32)
    truth = np.asarray(score(jax.random.key(0), grid).loss).reshape(41, 41)
    model = over_zoom(deep_kernel, SPACE, num_points=ARCHIVE)
    mean = np.asarray(model.predict(state.params, grid)[0]).reshape(41, 41)

    # The dense sample as `ask` draws it: the litters first, then the candidates, every fifth a uniform draw.
    kinds = breeder(SPACE)
    num_bred = 4 * (POPULATION - POPULATION // 6)
    parents = best_parents(archive.genomes, archive.number, state.beliefs.worth, 2 * POPULATION)
    parents = parents._replace(spread=state.stretch * parents.spread)
    is_fresh = np.concatenate([np.zeros(num_bred, bool), np.arange(SAMPLE) % 5 == 0])
    draws = uniform(jax.random.split(key_ask)[0], (len(is_fresh), kinds.num_draws))
    sample = np.asarray(breed(kinds, draws, parents, is_fresh)[0])[num_bred:]

    genomes, species = np.asarray(offspring.genomes), np.asarray(offspring.species)
    bred, invading = species == jaxga.Species.CHILD, species == jaxga.Species.INVADER
    weights = np.asarray(parents.weights)
    numbers = {int(n): g for n, g in zip(archive.number, np.asarray(archive.genomes), strict=True) if n >= 0}

    figure, panels = plt.subplots(2, 3, figsize=(12, 8.4), sharex=True, sharey=True, layout="constrained")
    for axes in panels.flat:
        axes.contour(ticks, ticks, truth, levels=8, colors="#b5bac4", linewidths=0.8)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    for axes, title in zip(
        panels.flat,
        (
            f"1. Known: {len(known)} settings and their losses",
            "2. The model's mean of the loss",
            "3. Parents, by rank",
            f"4. {bred.sum()} children, each the best of a litter",
            f"5. The dense sample, {SAMPLE:,}",
            f"6. {invading.sum()} invaders, and all {POPULATION} as trained",
        ),
        strict=True,
    ):
        axes.set_title(title, loc="left", fontsize=11)
    known_panel, model_panel, parents_panel, children_panel, sample_panel, end_panel = panels.flat

    dots = known_panel.scatter(*known.T, c=np.asarray(archive.loss[archive.valid]), cmap="viridis", s=45, zorder=3)
    figure.colorbar(dots, ax=known_panel, label="log10 of the loss", shrink=0.8)
    shade = model_panel.pcolormesh(ticks, ticks, mean, cmap="viridis", alpha=0.8)
    figure.colorbar(shade, ax=model_panel, label="standardised", shrink=0.8)
    model_panel.plot(*known.T, "k.", ms=4)
    parents_panel.scatter(*np.asarray(parents.genomes).T, s=1500 * weights, color=CHILD, alpha=0.5)
    for genome, pair in zip(genomes[bred], np.asarray(offspring.parents)[bred], strict=True):
        for number in {int(n) for n in pair if int(n) in numbers}:
            children_panel.plot(*np.stack([numbers[number], genome]).T, color=CHILD, lw=0.7, alpha=0.6)
    children_panel.scatter(*genomes[bred].T, color=CHILD, zorder=3)
    sample_panel.scatter(*sample.T, s=3, color="#555555")
    end_panel.scatter(*genomes[bred].T, color=CHILD, label="child")
    end_panel.scatter(*genomes[invading].T, color=INVADER, marker="D", label="invader")
    again = species == jaxga.Species.SURVIVOR
    end_panel.scatter(*genomes[again].T, color=SURVIVOR, marker="s", label="the best, once more")
    best = int(np.argmin(np.asarray(loss)))
    end_panel.scatter(*genomes[best], s=180, facecolors="none", edgecolors="k", label="the best of them")
    end_panel.legend(fontsize=8, loc="lower left")
    decades = np.linspace(0, 1, 4)
    for axes in panels[1]:
        axes.set_xlabel("learning rate")
        axes.set_xticks(decades, ["0.001", "0.01", "0.1", "1"])
    for axes in panels[:, 0]:
        axes.set_ylabel("momentum")
        axes.set_yticks([0, 0.5 / 0.99, 0.9 / 0.99], ["0", "0.5", "0.9"])
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".png"))
