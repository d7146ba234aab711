"""What is read back from ``history.csv`` is what the run had."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxga import Categorical, Integer, LogUniform, Objective, SearchSpace, Uniform, minimize
from jaxga.base import Best, Offspring
from jaxga.evolution import Record
from jaxga.loop import Generation
from jaxga.runs import records
from jaxga.runs.history import has_setting, read_csv, to_columns


def test_choices_of_every_kind_come_back_as_they_were(tmp_path):
    space = SearchSpace(
        size=Categorical((128, 256)),
        rate=Categorical((0.1, 0.3)),
        flag=Categorical((False, True)),
        name=Categorical(("a", "b")),
        mixed=Categorical((1, 2.5)),
        depth=Integer(1, 3),
        x=Uniform(0.0, 1.0),
    )
    options = {"population_size": 8, "num_generations": 1, "algorithm": "ga"}
    result = minimize(lambda key, setting: jax.random.uniform(key), space, key=0, **options)
    result.history.to_csv(tmp_path / "history.csv")
    (block,) = read_csv(tmp_path / "history.csv", space)
    for name, column in result.history.columns.items():
        np.testing.assert_array_equal(block[name], column, err_msg=name)
        assert block[name].dtype.kind == column.dtype.kind, name


SPACE = SearchSpace(
    lr=LogUniform(1e-4, 1.0), n=Integer(1, 9), c=Categorical(["a", "b"]),
    k=Categorical([1, 2.5]), o=Categorical([None, True, "x", 3]),
)  # fmt: skip


def generations(num):
    """Generations of 4 members with a failed one, a curve and a scalar metric."""
    rng = np.random.default_rng(0)
    for g in range(num):
        genomes = np.asarray(SPACE.snap(jnp.asarray(rng.random((4, SPACE.size)), jnp.float32)))
        loss = np.array([1.5, np.inf, -2.25, 1 / 3], np.float32)
        offspring = Offspring(genomes, np.arange(4), np.full((4, 2), -1), np.full(4, np.nan, np.float32))
        metrics = {"curve": rng.random((4, 3)).astype(np.float32), "m": loss}
        best = Best(genomes[0], np.float32(-2.25))
        yield Generation(Record(np.int32(g), offspring, loss, np.zeros(4), metrics, 1, best), None, 1.0, 0.0)


def test_a_run_that_was_killed_while_it_wrote_is_read_in_blocks_of_whole_generations(tmp_path):
    objective = Objective("score", "max")
    file = records.HistoryFile(records.Log(tmp_path / "history.csv"), "r", SPACE, objective, 2)
    written = []
    for generation in generations(5):
        file.write(generation)
        written.append(to_columns(generation.record, SPACE, objective, 2))
    with open(tmp_path / "history.csv", "a") as torn:
        torn.write("r,5,20,chi")
    blocks = list(read_csv(tmp_path / "history.csv", SPACE, num_rows=6))
    assert [len(block["member"]) for block in blocks] == [8, 8, 4]
    for name in written[0]:
        expected = np.concatenate([columns[name] for columns in written])
        got = np.concatenate([block[name] for block in blocks])
        np.testing.assert_array_equal(got, expected)
        assert got.dtype.kind == expected.dtype.kind
    assert {type(value) for block in blocks for value in block["o"]} == {type(None), bool, str, int}


def test_parquet_has_the_rows_of_the_csv_and_the_seconds(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    from jaxga.runs.parquet import parquet_writer

    log = records.Log(tmp_path / "history.csv")
    file = records.HistoryFile(log, "r", SPACE, Objective("score", "min"), 1)
    for generation in generations(3):
        file.write(generation)
    (block,) = read_csv(tmp_path / "history.csv", SPACE)
    with parquet_writer(tmp_path / "history.parquet", SPACE, {0: 1.5, 2: 2.5}) as write:
        for g in range(3):
            write({name: column[block["generation"] == g] for name, column in block.items()})
    table = pq.read_table(tmp_path / "history.parquet").to_pydict()
    np.testing.assert_array_equal(table.pop("seconds"), [1.5] * 4 + [np.nan] * 4 + [2.5] * 4)
    assert table["o"] == [str(value) for value in block["o"]]
    for name in set(table) - {"o"}:
        np.testing.assert_array_equal(table[name], block[name].tolist(), err_msg=name)


def test_rows_with_a_setting_are_those_with_its_whole_numbers():
    whole = np.array([2_000_000, 2_000_001, 2_000_001, 2_000_002])
    real = np.array([0.1, 0.1, 0.3, 0.1], np.float32)
    mixed = np.array([2**24 + 1, 2**24 + 1, 0.5, 0.5], np.float32)  # of the choices 0.5 and 2^24 + 1
    columns = {"value": np.zeros(4), "n": whole, "x": real, "c": mixed}
    setting = {"n": 2_000_001, "x": 0.1, "c": 2**24 + 1}
    np.testing.assert_array_equal(has_setting(columns, setting), [False, True, False, False])
    # Columns of hyperparameters that have conditions.
    conditional = {name: np.array([*column[:3], np.nan], object) for name, column in columns.items()}
    np.testing.assert_array_equal(
        has_setting({**conditional, "value": np.zeros(4)}, setting), [False, True, False, False]
    )
