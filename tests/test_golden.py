"""The numbers that algorithms and operators draw on a fixed key.

A run has to give the same result under the next version. A change of these numbers is therefore a commit of its own,
which says why, records what it does to the search (benchmarks/search) and raises the version; then
``python tests/test_golden.py`` writes them anew.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxga import Categorical, Integer, LogInteger, LogUniform, SearchSpace, Uniform
from jaxga.operators import keyed
from jaxga.registry import ALGORITHMS, CROSSOVERS, MUTATIONS, SELECTIONS

PATH = Path(__file__).parent / "golden.json"
SPACE = SearchSpace(
    a=Uniform(-1.0, 2.0), b=LogUniform(1e-4, 1.0), n=Integer(0, 6), m=LogInteger(1, 50), c=Categorical(["x", "y", "z"])
)
OPTIONS = {"invasive_ga": {"archive_size": 32, "num_candidates": 64}}
ROWS = [("algorithm", name) for name in ("ga", "invasive_ga")]
ROWS += [("operator", name) for name in CROSSOVERS | MUTATIONS]
ROWS += [("selection", name) for name in SELECTIONS]


def drawn(kind, name):
    """Of an algorithm the genomes of the generations 0, 1 and 2; of an operator six genomes; of a
    selection the places of four parents.
    """
    key = jax.random.key(12)
    if kind == "selection":
        made = SELECTIONS[name]()
        return made.choose(jax.random.uniform(key, (4, made.num_draws)), jnp.arange(8.0) ** 2)
    if kind == "operator":
        parents = SPACE.snap(jax.random.uniform(jax.random.key(34), (3, SPACE.size)))
        operator = keyed((CROSSOVERS | MUTATIONS)[name](SPACE))
        return jax.vmap(operator, (0, None))(jax.random.split(key, 6), parents)
    algorithm = ALGORITHMS[name](SPACE, population_size=6, **OPTIONS.get(name, {}))
    key_init, key_run = jax.random.split(key)
    state, genomes = algorithm.init(key_init), []
    for generation in range(3):
        key_ask, key_tell = jax.random.split(jax.random.fold_in(key_run, generation))
        offspring, state = algorithm.ask(key_ask, state)
        loss = jnp.sum(jnp.square(offspring.genomes - 0.3), axis=1)
        state, _ = algorithm.tell(key_tell, state, offspring.genomes, loss)
        genomes.append(offspring.genomes)
    return jnp.stack(genomes)


@pytest.mark.parametrize(("kind", "name"), ROWS)
def test_what_is_drawn_is_what_was_drawn(kind, name):
    golden = json.loads(PATH.read_text())[f"{kind} {name}"]
    np.testing.assert_allclose(drawn(kind, name), golden, rtol=0, atol=1e-6)


if __name__ == "__main__":
    rows = {f"{kind} {name}": np.asarray(drawn(kind, name)).tolist() for kind, name in ROWS}
    lines = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items()]
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n")
