"""The genetic algorithm: its operators, lineage and survival."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxga import Operator, SearchSpace, Species, Uniform, ga
from jaxga.operators import Selection, selection, survival
from jaxga.registry import CROSSOVERS, MUTATIONS, SELECTIONS, SURVIVALS

P = 8
SPACE = SearchSpace(**{f"x{i}": Uniform(0.0, 1.0) for i in range(4)})
SECOND = Operator(2, 0, lambda draws, parents, scale: parents[1])
UNCHANGED = Operator(1, 0, lambda draws, parents, scale: parents[0])


def bowl(genomes):
    return jnp.sum(jnp.square(genomes - 0.3), axis=1)


def generations(algorithm, num, loss_of=bowl):
    """Genomes and losses [T * P, ...] by member number; of each generation the offspring, the state and the best."""
    state, genomes, losses, told = algorithm.init(jax.random.key(0)), [], [], []
    for t in range(num):
        key_ask, key_tell = jax.random.split(jax.random.fold_in(jax.random.key(1), t))
        offspring, state = algorithm.ask(key_ask, state)
        loss = loss_of(offspring.genomes)
        state, best = algorithm.tell(key_tell, state, offspring.genomes, loss)
        genomes.append(offspring.genomes)
        losses.append(loss)
        told.append((offspring, state, best))
    return np.concatenate(genomes), np.concatenate(losses), told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"population_size": 1}, "population_size must be a whole number of at least 2, got 1"),
        ({"num_parents": 9}, r"num_parents must be a whole number in \[1, 8\], got 9"),
        ({"num_mutations": 5}, r"num_mutations must be a whole number in \[1, 4\], got 5"),
        ({"crossover_rate": 1.5}, r"crossover_rate must lie in \[0, 1\], got 1.5"),
        ({"selection": "lottery"}, "selection must be one of .*'tournament'.* got 'lottery'"),
        ({"selection": selection.tournament}, "selection must be one of .*, or a Selection, got <function tournament"),
        ({"crossover": "none"}, "crossover must be one of .*'sbx'.* got 'none'"),
        ({"mutation": "none"}, "mutation must be one of .*'gaussian'.* got 'none'"),
        ({"mutation": SECOND}, "mutation must have at most 1 parent, got 2"),
        ({"survival": "none"}, "survival must be one of .*'comma'.* got 'none'"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ga(SPACE, **{"population_size": P} | arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"selection": Selection(1, lambda draws, loss: jnp.argsort(loss)[:3])}, r"choose .* i32\[4\], got int32\[3\]"),
        ({"selection": Selection(1, lambda draws, loss: draws[:, 0])}, r"choose .* i32\[4\], got float32\[4\]"),
        (
            {"crossover": SECOND._replace(apply=lambda draws, parents, scale: parents)},
            r"crossover .* f32\[4\], got float32\[2, 4\]",
        ),
        (
            {"mutation": UNCHANGED._replace(apply=lambda draws, parents, scale: parents[0, 0])},
            r"mutation .* got float32\[\]",
        ),
    ],
)
def test_an_operator_that_returns_another_shape_is_named(arguments, message):
    """``_replace`` leaves out the checks of ``tests/shapes.py``, which a user does not have."""
    with pytest.raises(ValueError, match=message):
        generations(ga(SPACE, **{"population_size": P} | arguments), 2)


@pytest.mark.parametrize(("rate", "parent"), [(0.0, 0), (1.0, 1)])
def test_a_child_is_of_the_parents_it_names(rate, parent):
    algorithm = ga(SPACE, population_size=P, crossover=SECOND, mutation=UNCHANGED, crossover_rate=rate)
    genomes, _, told = generations(algorithm, 4)
    for t, (offspring, *_) in enumerate(told[1:], start=1):
        lineage = np.asarray(offspring.parents)
        np.testing.assert_array_equal(genomes[t * P : (t + 1) * P], genomes[lineage[:, parent]])
        assert (lineage[:, 1] == -1).all() == (rate == 0.0)
        assert (np.asarray(offspring.species) == Species.CHILD).all()


def test_the_best_half_breeds_in_pairs_of_two():
    algorithm = ga(SPACE, population_size=P, selection="truncation", crossover_rate=1.0)
    _, losses, told = generations(algorithm, 2)
    lineage = np.asarray(told[1][0].parents)
    assert set(lineage.ravel()) <= set(np.argsort(losses[:P])[: P // 2])
    assert (lineage[:, 0] != lineage[:, 1]).all()
    assert len({tuple(pair) for pair in lineage.tolist()}) > 2


@pytest.mark.parametrize(("rule", "num_elites"), [("plus", P), ("comma", 1), (survival.comma(3), 3)])
def test_who_lives_on(rule, num_elites):
    def failing(genomes):
        return jnp.where(jnp.arange(P) == 2, jnp.nan, bowl(genomes))

    _, losses, told = generations(ga(SPACE, population_size=P, survival=rule), 4, failing)
    losses = np.where(np.isnan(losses), np.inf, losses)
    living = np.sort(losses[:P])
    for t, (_, state, _) in enumerate(told):
        children = np.sort(losses[t * P : (t + 1) * P])
        if t:
            elites = living[:num_elites]
            rest = np.sort(np.concatenate([living, children]))[:P] if rule == "plus" else children[: P - num_elites]
            living = rest if rule == "plus" else np.sort(np.concatenate([elites, rest]))
        np.testing.assert_array_equal(np.sort(state.loss), living)
        np.testing.assert_array_equal(losses[np.asarray(state.number)], state.loss)


@pytest.mark.parametrize("num_mutations", [1, 3])
def test_how_many_genes_are_drawn_anew(num_mutations):
    size = 1000
    algorithm = ga(SPACE, population_size=size, mutation="reset", num_mutations=num_mutations, crossover_rate=0.0)
    genomes, _, told = generations(algorithm, 2)
    changed = (genomes[size:] != genomes[told[1][0].parents[:, 0]]).sum(1)
    # Each of the four genes by its rate; where none would change, one does. Five standard errors.
    rate = num_mutations / 4
    expected = num_mutations + (1 - rate) ** 4
    assert changed.min() == 1
    assert abs(changed.mean() - expected) < 5 * np.sqrt(4 * rate * (1 - rate) / size)


NAMES = list(zip(range(7), *map(itertools.cycle, (SELECTIONS, CROSSOVERS, MUTATIONS, SURVIVALS)), strict=False))


@pytest.mark.parametrize(("_", "select", "cross", "mutate", "survive"), NAMES)
def test_every_operator_by_its_name(_, select, cross, mutate, survive):
    algorithm = ga(SPACE, population_size=P, selection=select, crossover=cross, mutation=mutate, survival=survive)
    genomes, losses, told = generations(algorithm, 10)
    assert genomes.min() >= 0.0
    assert genomes.max() <= 1.0
    assert losses.min() < losses[:P].min()
    assert float(told[-1][2].loss) == losses.min()


def test_a_selection_of_ones_own():
    last = Selection(0, lambda draws, loss: jnp.full(draws.shape[0], loss.shape[0] - 1))
    worst = ga(SPACE, population_size=P, selection=last, mutation=UNCHANGED)
    genomes, losses, _ = generations(worst, 2)
    np.testing.assert_array_equal(genomes[P:], np.tile(genomes[7], (P, 1)))
    assert losses[P:].min() == losses[7]
    best = ga(SPACE, population_size=P, selection=selection.truncation(), num_parents=1, mutation=UNCHANGED)
    genomes, losses, _ = generations(best, 2)
    np.testing.assert_array_equal(genomes[P:], np.tile(genomes[np.argmin(losses[:P])], (P, 1)))
