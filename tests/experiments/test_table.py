"""What the plots and the report mark as the winner."""

import numpy as np
import pytest

from experiments.table import Table
from jaxga import Categorical, Objective, SearchSpace, Uniform


def make(result):
    columns = {
        "value": np.array([5.0, np.nan, 9.0, 7.0, 8.0]),
        "rate": np.array([0.1, 0.2, 0.3, 0.4, 0.4], np.float32),
        "kind": np.array(["a", "b", "a", "True", "True"]),
    }
    space = SearchSpace(rate=Uniform(0.0, 1.0), kind=Categorical(("a", "b", "True")))
    return Table({}, result, [], space, Objective("score", "max"), columns, 5)


@pytest.mark.parametrize(
    ("result", "row"),
    [
        ({"best": {"rate": 0.4000000059604645, "kind": "True"}}, 4),  # its best evaluation, not the luckiest member
        ({"best": {"rate": 0.1, "kind": "b"}}, 2),  # thinned out of the table
        ({}, 2),  # the run did not come to its end
    ],
)
def test_the_row_marked_is_the_winners(result, row):
    assert make(result).best_row == row
