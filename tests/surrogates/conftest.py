"""No array silently takes on the rank of another one: f32[A] + f32[A, D] is an error, not a wrong sum."""

import jax
import pytest


@pytest.fixture(autouse=True)
def strict_ranks():
    with jax.numpy_rank_promotion("raise"):
        yield
