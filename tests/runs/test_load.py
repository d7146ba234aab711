"""history.csv, history.parquet and jaxga.load say the same."""

import csv
import json

import numpy as np
import pytest

import jaxga
from tests.command_line import events


def test_csv_parquet_and_load_say_the_same(whole):
    pq = pytest.importorskip("pyarrow.parquet")
    table = pq.read_table(whole / "history.parquet").to_pydict()
    loaded = jaxga.load(whole)
    columns = loaded.history.columns
    assert set(table) == {"run", *columns, "seconds"}
    with open(whole / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [*rows[0]] == ["run", *columns]
    for name in columns:
        got, expected = table[name], columns[name].tolist()
        assert got == (expected if name == "species" else pytest.approx(expected, nan_ok=True))
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
