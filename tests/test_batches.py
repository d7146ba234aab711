"""What is computed in batches equals what is computed at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxga import in_batches


@pytest.mark.parametrize("batch_size", [1, 4, 5, 7, 10, 50])
def test_batches_change_nothing(batch_size):
    rows = {"x": jnp.arange(30.0).reshape(10, 3), "y": jnp.arange(10)}
    seen = []

    def function(batch):
        seen.append(len(batch["y"]))
        return batch["x"].sum(axis=1) * batch["y"], batch["x"][:, None]

    expected = function(rows)
    given = jax.jit(lambda rows: in_batches(function, rows, batch_size))(rows)
    jax.tree.map(np.testing.assert_array_equal, given, expected)
    assert seen[1:] == [min(batch_size, 10)]  # traced once, for one size
    stacked = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), rows)
    jax.tree.map(
        np.testing.assert_array_equal,
        jax.vmap(lambda rows: in_batches(function, rows, batch_size))(stacked),
        jax.vmap(function)(stacked),
    )


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, "2"])
def test_a_batch_size_that_is_wrong(batch_size):
    with pytest.raises(ValueError, match="in_batches: batch_size must be a whole number of at least 1, got"):
        in_batches(lambda x: x, jnp.arange(4), batch_size)
