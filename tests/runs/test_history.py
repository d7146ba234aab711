"""What is read back from a run's folder is what the run had."""

import jax
import numpy as np

from jaxga import Categorical, Integer, SearchSpace, Uniform, minimize
from jaxga.report import plots
from jaxga.runs.saved import read_history


def test_choices_of_every_kind_come_back_as_they_were_and_are_drawn(tmp_path):
    space = SearchSpace(
        size=Categorical((128, 256)),
        rate=Categorical((0.1, 0.3)),
        flag=Categorical((False, True)),
        name=Categorical(("a", "b")),
        mixed=Categorical((1, 2.5)),
        depth=Integer(1, 3),
        x=Uniform(0.0, 1.0),
    )
    result = minimize(lambda key, setting: jax.random.uniform(key), space, population_size=8, num_generations=1, key=0)
    result.history.to_csv(tmp_path / "history.csv")
    (block,) = read_history(tmp_path / "history.csv", space)
    for name, column in result.history.columns.items():
        np.testing.assert_array_equal(block[name], column, err_msg=name)
        assert block[name].dtype.kind == column.dtype.kind, name
    plots.search_space(tmp_path / "space.png", block, space, result.history.objective, "choices", 0)
    assert (tmp_path / "space.png").exists()
