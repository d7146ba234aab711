"""history.csv, history.parquet and jaxga.load say the same."""

import csv
import json

import numpy as np
import pytest

import jaxga
from jaxga.base import Info, Objective
from jaxga.evolution import Record
from jaxga.loop import Generation
from jaxga.runs import records
from tests.command_line import events


def test_csv_parquet_and_load_say_the_same(whole):
    pq = pytest.importorskip("pyarrow.parquet")
    table = pq.read_table(whole / "history.parquet").to_pydict()
    loaded = jaxga.load(whole)
    columns = loaded.history.columns
    assert set(table) == {*columns, "seconds"}
    with open(whole / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [*rows[0]] == [*columns]
    for name in columns:
        got, expected = table[name], columns[name].tolist()
        assert got == (expected if name in ("run", "species") else pytest.approx(expected, nan_ok=True))
    assert [float(row["value"]) for row in rows] == pytest.approx(table["value"], rel=1e-6)
    assert set(table["run"]) == {json.loads((whole / "config.json").read_text())["run"]}
    seconds = {event["generation"]: event["seconds"] for event in events(whole)}
    assert table["seconds"] == pytest.approx([seconds[g] for g in table["generation"]], rel=1e-5)
    best = int(np.argmin(columns["value"]))
    assert loaded.best == {name: columns[name][best].item() for name in loaded.space.names}
    assert loaded.best_value == pytest.approx(columns["value"][best].item())


def test_load_of_no_run(tmp_path):
    with pytest.raises(ValueError, match=r"has no config\.json"):
        jaxga.load(tmp_path)


def test_all_kinds_of_columns_are_read_back(tmp_path):
    import jax.numpy as jnp

    from jaxga.runs.history import to_columns
    from jaxga.runs.saved import describe, read_history, space_from

    space = jaxga.SearchSpace(
        lr=jaxga.LogUniform(1e-4, 1.0), n=jaxga.Integer(1, 9), c=jaxga.Categorical(["a", "b"]),
        k=jaxga.Categorical([1, 2.5]), o=jaxga.Categorical([None, True, "x", 3]),
    )  # fmt: skip
    assert space_from(json.loads(json.dumps(describe(space)))) == space
    rng = np.random.default_rng(0)
    log = records.Log(tmp_path / "history.csv")
    objective = Objective("score", "max")
    file = records.HistoryFile(log, "r", space, objective, 2)
    written = []
    for g in range(5):
        genomes = np.asarray(space.snap(jnp.asarray(rng.random((4, space.size)), jnp.float32)))
        loss = np.array([1.5, np.inf, -2.25, 1 / 3], np.float32)
        info = Info(np.array([0, 1, 2, 3]), np.full((4, 2), -1), np.full(4, np.nan, np.float32), genomes[0], -2.25)
        metrics = {"curve": rng.random((4, 3)).astype(np.float32), "m": loss}
        record = Record(np.int32(g), genomes, loss, np.zeros(4, np.float32), metrics, 1, info)
        file.write(Generation(record, None, 1.0, 0.0))
        written.append(to_columns(record, space, objective, 2))
    with open(tmp_path / "history.csv", "a") as torn:
        torn.write("r,5,20,chi")
    blocks = list(read_history(tmp_path / "history.csv", space, num_rows=6))
    assert [len(block["member"]) for block in blocks] == [8, 8, 4]
    for name in written[0]:
        expected = np.concatenate([columns[name] for columns in written])
        np.testing.assert_array_equal(np.concatenate([block[name] for block in blocks]), expected)
    assert {type(value) for block in blocks for value in block["o"]} == {type(None), bool, str, int}
