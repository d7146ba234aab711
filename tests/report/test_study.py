"""The export to an Optuna study."""

import pytest

import jaxga


def test_every_member_is_a_trial_of_the_exported_study(whole, tmp_path, capfd):
    optuna = pytest.importorskip("optuna")
    from jaxga.cli.export import main as export

    url = f"sqlite:///{tmp_path / 'run.db'}"
    assert export([str(whole), "--optuna", url]) == 0
    trials = optuna.load_study(study_name=None, storage=url).trials
    rows = list(jaxga.load(whole).history.rows())
    assert len(trials) == len(rows) == 48
    names = jaxga.load(whole).space.names
    for trial, row in zip(trials, rows, strict=True):
        assert trial.value == row["value"]
        assert trial.params == {name: row[name] for name in names}
        assert trial.user_attrs["member"] == row["member"]
        assert trial.user_attrs["species"] == row["species"]
    assert export([str(whole), "--optuna", url]) == 2
    assert "has a study" in capfd.readouterr().err
