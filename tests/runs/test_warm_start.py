"""A warm start: settings or known values with which a run begins."""

import json
import shutil

import numpy as np
import pytest

import jaxga
from jaxga.cli.run import main
from tests.command_line import SMALL, outcome, resume


def warm(source, folder, *arguments):
    """A run that begins with what the source knows; its first generation and its result."""
    ga = [option if option != "random_search" else "ga" for option in SMALL]
    begin = ["--generations", "2", "--seed", "7", "--out", str(folder), "--warm-start", str(source)]
    assert main([*ga, *begin, *arguments]) == 0
    rows = [row for row in jaxga.load(folder).history.rows() if row["generation"] == 0]
    return rows, json.loads((folder / "result.json").read_text())


def settings_of(rows, names):
    return [{name: row[name] for name in names} for row in rows]


def test_a_list_of_settings_is_the_first_generation(whole, tmp_path):
    names = jaxga.load(whole).space.names
    settings = settings_of(list(jaxga.load(whole).history.rows())[:3], names)
    source = tmp_path / "list.json"
    source.write_text(json.dumps(settings))
    rows, _ = warm(source, tmp_path / "warm")
    assert settings_of(rows, names)[:3] == settings
    assert {row["species"] for row in rows} == {"founder"}
    source.unlink()
    assert resume(tmp_path / "warm", "--generations", "3") == 0


def test_known_values_are_not_evaluated_again(whole, tmp_path):
    pytest.importorskip("optuna")
    from jaxga.cli.export import main as export

    url = f"sqlite:///{tmp_path / 'run.db'}"
    export([str(whole), "--optuna", url])
    loaded = jaxga.load(whole)
    known = list(loaded.history.rows())
    before = settings_of(known, loaded.space.names)
    pairs = [setting | {"value": row["value"]} for setting, row in zip(before, known, strict=True)]
    (tmp_path / "list.json").write_text(json.dumps(pairs))
    outcomes = []
    for i, source in enumerate((whole / "history.csv", whole / "history.parquet", tmp_path / "list.json", url)):
        rows, result = warm(source, tmp_path / f"warm{i}")
        assert not any(setting in before for setting in settings_of(rows, loaded.space.names))
        assert {row["species"] for row in rows} == {"child"}
        # Bred from the best, they are better than settings drawn at random.
        assert np.median([row["value"] for row in rows]) < np.median([row["value"] for row in known])
        assert result["best_value"] <= loaded.best_value
        outcomes.append(outcome(tmp_path / f"warm{i}")[1])
    assert outcomes[0] == outcomes[1] == outcomes[2] == outcomes[3]


def test_a_warm_run_goes_on_from_what_it_began_with(whole, tmp_path):
    source = shutil.copy(whole / "history.csv", tmp_path / "history.csv")
    warm(source, tmp_path / "long", "--generations", "4")
    warm(source, tmp_path / "short")
    source.unlink()
    assert resume(tmp_path / "short", "--generations", "4") == 0
    assert outcome(tmp_path / "short") == outcome(tmp_path / "long")
    (tmp_path / "short" / "warm_start.json").write_text('{"genomes": [[0.5]], "loss": null}')
    assert resume(tmp_path / "short", "--generations", "5") == 2


def test_of_many_known_values_the_best_half_and_some_of_all_others_are_taken():
    from jaxga.runs.known import _spread

    loss = np.random.default_rng(0).permutation(np.append(np.arange(5000.0), [np.nan] * 9))
    kept = _spread(loss)
    taken = np.sort(loss[kept])
    assert kept.tolist() == sorted(kept.tolist())
    assert taken.size == 512
    assert taken[:256].tolist() == list(range(256))
    assert taken[-1] == 4999
    assert np.diff(taken[256:]).max() <= 20
    assert _spread(np.array([2.0, np.inf, 1.0])).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "a list of settings is needed"),
        ("[]", "has no setting"),
        ('[{"n0": 1, "value": 1.0}, {"n0": 2}]', "all settings need a value or none, got 1 values"),
        ('[{"n0": 1}]', "a setting has no 'n1'"),
        ("[" + json.dumps({f"n{i}": 100 for i in range(10)}) + "]", "value must lie in [0, 99]"),
        ("[" + json.dumps({f"n{i}": "x" for i in range(10)}) + "]", "value must be a finite number"),
    ],
)
def test_a_warm_start_that_does_not_fit(tmp_path, content, message, capfd):
    (tmp_path / "list.json").write_text(content)
    out = str(tmp_path / "new")
    assert main([*SMALL, "--out", out, "--warm-start", str(tmp_path / "list.json")]) == 2
    assert message in capfd.readouterr().err
