"""What the plots and the report mark as the winner."""

import json

import numpy as np
import pytest

from jaxga import Categorical, Objective, SearchSpace, Uniform
from jaxga.report.table import Table, read_table
from jaxga.runs.saved import describe


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


def test_a_winner_of_every_generation_does_not_keep_them_all(tmp_path):
    config = {
        "options": {"pop": 2, "generations": 100},
        "objective": {"name": "loss", "direction": "min"},
        "run": "r",
        "identity": {},
    }
    config["space"] = describe(SearchSpace(x=Uniform(0.0, 1.0)))
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "result.json").write_text(json.dumps({"best": {"x": 0.5}}))
    (tmp_path / "events.jsonl").touch()
    value = [7.0] * 100
    value[33] = 6.0
    rows = [f"r,{g},{m},child,-1,-1,{x},{v}" for g in range(100) for m, x, v in ((0, 0.1, 5.0), (1, 0.5, value[g]))]
    header = "run,generation,member,species,parent_a,parent_b,x,value"
    (tmp_path / "history.csv").write_text("\n".join([header, *rows, ""]))
    table = read_table(tmp_path, max_rows=20)
    assert set(table.columns["generation"].tolist()) == {*range(0, 100, 10), 33}
    assert table.columns["value"][table.best_row] == 6.0
