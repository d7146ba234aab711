"""Runs are read back from their folders."""

import json

import numpy as np
import pytest

import jaxga
from jaxga import Categorical, Objective, SavedRun, SearchSpace, Uniform
from jaxga.report.findings import best_row, winner_row
from jaxga.runs.history import History
from tests.report.example_runs import write_run


def example_history():
    columns = {
        "member": np.arange(5),
        "value": np.array([5.0, np.nan, 9.0, 7.0, 8.0]),
        "rate": np.array([0.1, 0.2, 0.3, 0.4, 0.4], np.float32),
        "kind": np.array(["a", "b", "a", "True", "True"]),
    }
    space = SearchSpace(rate=Uniform(0.0, 1.0), kind=Categorical(("a", "b", "True")))
    history = History(space, Objective("score", "max"), 1)
    history.extend(columns, {})
    return history


@pytest.mark.parametrize(
    ("setting", "row"),
    [
        ({"rate": 0.4000000059604645, "kind": "True"}, 4),  # its best evaluation, not the best member
        ({"rate": 0.1, "kind": "b"}, None),  # not in the history
        ({"rate": 0.2, "kind": "b"}, None),  # failed there
        (None, None),  # the run did not end
    ],
)
def test_the_row_marked_is_the_winners(setting, row):
    assert winner_row(example_history(), setting) == row
    assert best_row(example_history()) == 2


def write_long_run(path):
    """100 generations: the same best member in each, and the winner with its best value in generation 34."""
    space = SearchSpace(x=Uniform(0.0, 1.0))
    config = {"options": {}, "identity": {}, "objective": {"name": "loss", "direction": "min"}, "run": "r"}
    (path / "config.json").write_text(json.dumps(config | {"space": space.to_dict()}))
    (path / "result.json").write_text(json.dumps({"best": {"x": 0.5}}))
    value = [7.0] * 100
    value[34] = 6.0
    rows = [f"r,{g},{m},child,-1,-1,{x},{v}" for g in range(100) for m, x, v in ((0, 0.1, 5.0), (1, 0.5, value[g]))]
    header = "run,generation,member,species,parent_a,parent_b,x,value"
    (path / "history.csv").write_text("\n".join([header, *rows, ""]))


def test_a_winner_of_every_generation_does_not_keep_them_all(tmp_path):
    write_long_run(tmp_path)
    blocks = []
    history = SavedRun.read(tmp_path).read_history(max_rows=20, on_block=blocks.append)
    assert set(history.numbers.tolist()) == {*range(0, 100, 11), 34}
    assert history.columns["value"][winner_row(history, {"x": 0.5})] == 6.0
    assert history.num_omitted == 200 - len(history)
    assert sum(len(block["member"]) for block in blocks) == 200


def test_a_run_that_was_killed_is_read_but_not_loaded(tmp_path):
    write_run(tmp_path, killed=True, lost_events=1)
    with pytest.raises(ValueError, match=r"has no result\.json: its run did not end"):
        jaxga.load(tmp_path)
    run = SavedRun.read(tmp_path)
    assert run.result == {}
    assert len(run.history) == 32
    assert np.isfinite(run.history.estimates).tolist() == [True, True, True, False]


def test_estimates_are_the_same_in_memory_and_read_back(tmp_path):
    run = SavedRun.read(write_run(tmp_path, objective=("return", "max"), estimates=lambda g: 2.0 - 0.5 * g))
    assert run.history.estimates.tolist() == [2.0, 1.5, 1.0, 0.5]
    options = {"algorithm": "random_search", "population_size": 4, "num_generations": 3}
    result = jaxga.minimize(lambda key, setting: setting["x"], {"x": Uniform(0.0, 1.0)}, **options)
    np.testing.assert_allclose(result.history.estimates, result.history.best_evaluations)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "[]", r"config\.json cannot be read: it is no JSON object"),
        ("config.json", "{}", r"it needs objects options, identity, space, objective"),
        ("result.json", "{", r"result\.json cannot be read"),
        ("events.jsonl", "{\n", r"events\.jsonl cannot be read as a run's events"),
        ("events.jsonl", "[1]\n", r"events\.jsonl cannot be read as a run's events: a line is \[1\]"),
        ("history.csv", "generation,x,rate,value\n0,1\n", "line 2 has 2 cells, the first line has 4"),
        ("history.csv", "generation,x,rate,value\n0,7,0.1,1\n", r"value must lie in \[0.0, 1.0\], got 7"),
        ("history.csv", "generation,x,rate,value\n0,0.1,0.1,low\n", "could not convert string to float"),
        ("history.csv", "generation,rate,value\n0,0.1,1\n", "its first line has no 'x'"),
        ("history.csv", "", "has no recorded generation"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content, message):
    write_run(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        list(SavedRun.read(tmp_path).blocks())
