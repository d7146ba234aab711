"""A run begins with settings or evaluations from another run, a file, Optuna or Python."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import jaxga
from jaxga import Categorical, Integer, LogUniform, Objective, SearchSpace
from jaxga.cli.export import main as export
from jaxga.runs.warm_start import WarmStart, _subsample

SPACE = SearchSpace(
    rate=LogUniform(1e-3, 1.0), n=Integer(1, 500), kind=Categorical(("a", None, True)), size=Categorical((0.1, 7))
)
OBJECTIVE = Objective("value", "min")


def fitness(key, setting):
    return setting["n"] + setting["rate"] + setting["kind"]


def search(folder, **options):
    small = {"population_size": 6, "num_generations": 2, "algorithm": "ga", "key": 7, "report": False, "num_fresh": 1}
    return jaxga.minimize(fitness, SPACE, **{**small, "out": folder, **options})


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """A run of 48 members."""
    folder = tmp_path_factory.mktemp("runs") / "earlier"
    search(folder, algorithm="random_search", num_generations=8, key=0, report=True)
    return folder


def settings_of(history, names=SPACE.names):
    return [{name: row[name] for name in names} for row in history.rows()]


def first_generation(history):
    return [row for row in history.rows() if row["generation"] == 0]


def test_a_list_of_settings_is_the_first_generation(earlier, tmp_path):
    settings = settings_of(jaxga.load(earlier).history)[:3]
    rows = first_generation(search(tmp_path / "warm", warm_start=settings).history)
    assert [{name: row[name] for name in SPACE.names} for row in rows[:3]] == settings
    assert {row["species"] for row in rows} == {"founder"}


def test_settings_that_the_first_generation_does_not_hold_are_told(earlier, tmp_path, capfd):
    from jaxga.cli.run import main

    settings = settings_of(jaxga.load(earlier).history)[:9]
    told = "warm start: the first generation is the first 6 of its 9 settings; the others are not used"
    with pytest.warns(UserWarning, match=told):
        rows = first_generation(search(tmp_path / "warm", warm_start=settings).history)
    assert [{name: row[name] for name in SPACE.names} for row in rows] == settings[:6]
    numbers = [{f"n{i}": 7 for i in range(10)}] * 9
    (tmp_path / "list.json").write_text(json.dumps(numbers))
    small = ["--task", "guess", "--pop", "6", "--processes", "1", "--dry-run"]
    assert main([*small, "--warm-start", str(tmp_path / "list.json")]) == 0
    shown = capfd.readouterr()
    assert told in shown.err
    assert "6 settings to begin with" in shown.out


def test_every_source_of_the_same_evaluations_gives_the_same_warm_start(earlier, tmp_path):
    pytest.importorskip("optuna")
    url = f"sqlite:///{tmp_path / 'run.db'}"
    assert export([str(earlier), "--optuna", url]) == 0
    saved = jaxga.load(earlier)
    pairs = settings_of(saved.history, (*SPACE.names, "value"))
    (tmp_path / "list.json").write_text(json.dumps(pairs))
    (tmp_path / "open.csv").write_text((earlier / "history.csv").read_text().rstrip("\n"))
    sources = [saved, saved.history, pairs, tmp_path / "list.json", str(tmp_path / "list.json"), tmp_path / "open.csv"]
    sources += [earlier, str(earlier), earlier / "history.csv", earlier / "history.parquet", url]
    read = [WarmStart.read(source, SPACE, OBJECTIVE) for source in sources]
    assert len(read[0].genomes) == 48
    np.testing.assert_allclose(read[0].loss, saved.history.loss, rtol=1e-6)
    assert [SPACE.setting(genome)["n"] for genome in read[0].genomes] == saved.history.columns["n"].tolist()
    for source, found in zip(sources, read, strict=True):
        assert found.sha256 == read[0].sha256, source


def test_rows_of_a_history_have_its_other_columns(earlier):
    rows = list(jaxga.load(earlier).history.rows())
    assert "member" in rows[0]
    assert len(WarmStart.read(rows, SPACE, OBJECTIVE).genomes) == 48


def test_a_whole_number_that_was_rounded_is_the_nearest():
    settings = [{"rate": 0.1, "n": 2.9999999, "kind": "a", "size": 7}]
    (genome,) = WarmStart.read(settings, SPACE, OBJECTIVE).genomes
    assert SPACE.setting(genome)["n"] == 3


def test_values_are_losses_in_the_direction_of_the_new_run():
    pairs = [{"rate": 0.1, "n": 3, "kind": "a", "size": 7, "value": 2.5}]
    assert WarmStart.read(pairs, SPACE, Objective("value", "max")).loss.tolist() == [-2.5]


def test_known_values_are_not_evaluated_again(earlier, tmp_path):
    before = jaxga.load(earlier)
    result = search(tmp_path / "warm", warm_start=earlier)
    rows = first_generation(result.history)
    assert {row["species"] for row in rows} == {"child"}
    assert not any({name: row[name] for name in SPACE.names} in settings_of(before.history) for row in rows)
    # Children of the best members are better than settings drawn at random.
    assert np.median([row["value"] for row in rows]) < np.median(before.history.columns["value"])
    assert result.best_value <= before.best_value


def outcome(folder):
    result = json.loads((folder / "result.json").read_text())
    return (folder / "history.csv").read_bytes(), result["best"], result["best_value"], result["state_sha256"]


def test_a_resumed_run_has_its_warm_start_without_the_source(earlier, tmp_path):
    source = Path(shutil.copy(earlier / "history.csv", tmp_path / "history.csv"))
    search(tmp_path / "long", warm_start=source, num_generations=4)
    search(tmp_path / "short", warm_start=source)
    source.unlink()
    search(tmp_path / "short", num_generations=4, resume=True)
    assert outcome(tmp_path / "short") == outcome(tmp_path / "long")
    (tmp_path / "short" / "warm_start.json").write_text('{"genomes": [[0.5, 0.5, 0.5, 0.5]], "loss": null}')
    with pytest.raises(ValueError, match="warm_start"):
        search(tmp_path / "short", num_generations=5, resume=True)


def test_of_many_evaluations_the_best_half_and_an_even_part_of_the_others_are_taken():
    loss = np.random.default_rng(0).permutation(np.append(np.arange(5000.0), [np.nan] * 9))
    kept = _subsample(loss)
    taken = np.sort(loss[kept])
    assert kept.tolist() == sorted(kept.tolist())
    assert taken.size == 512
    assert taken[:256].tolist() == list(range(256))
    assert taken[-1] == 4999
    assert np.diff(taken[256:]).max() <= 20
    assert _subsample(np.array([2.0, np.inf, 1.0])).tolist() == [0, 2]


@pytest.mark.parametrize("objective", [Objective("value", "max"), Objective("loss", "min")])
def test_a_run_with_another_objective_is_refused_and_its_settings_are_not(earlier, objective):
    saved = jaxga.load(earlier)
    for source in (earlier, str(earlier), saved, saved.history):
        with pytest.raises(ValueError, match=f"to minimise the value, this one is to {objective.direction}imise the"):
            WarmStart.read(source, SPACE, objective)
    assert WarmStart.read(settings_of(saved.history), SPACE, objective).loss is None


GOOD = {"rate": 0.1, "n": 3, "kind": "a", "size": 7}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "warm start: a list of settings is needed"),
        ([3], "warm start: a list of settings is needed"),
        ([], "warm start: it has no setting"),
        ([{**GOOD, "value": 1.0}, GOOD], "all settings need a value or none, got 1 values of 2"),
        ([{"rate": 0.1}], "a setting has no 'n'; it has"),
        ([{**GOOD, "n": 900}], r"n: Integer: value must lie in \[1, 500\], got 900"),
        ([{**GOOD, "n": 2.5}], "n: Integer: value must be a whole number"),
        ([{**GOOD, "n": "x"}], "n: Integer: value must be a number, got 'x'"),
        ([{**GOOD, "n": True}], "n: Integer: value must be a finite number, got True"),
        ([{**GOOD, "kind": "b"}], "kind: Categorical: value must be one of"),
        (
            [{**GOOD, "sise": 7}],
            "a name in a setting must be one of rate, n, kind, size, value, got 'sise'; did you mean s",
        ),
        ([{**GOOD, "value": "low"}], "a value must be a number, got 'low'"),
        ([{**GOOD, "value": True}], "a value must be a number, got True"),
        ("nothing.csv", "warm start nothing.csv: it cannot be read: No such file"),
        ("nothing.xyz", "nothing.xyz: it must be a run's folder, a .csv, .parquet or .json file, or an Optuna URL"),
    ],
)
def test_a_source_that_does_not_fit(source, message):
    with pytest.raises(ValueError, match=message):
        WarmStart.read(source, SPACE, OBJECTIVE)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "it is no JSON"),
        ("a.json", "{}", "a list of settings is needed"),
        ("a.json", "[" * 100_000, "it is nested too deeply"),
        ("a.csv", "rate,n\n0.1,1\n", "it has no column 'value', it has"),
        ("a.csv", "rate,n,kind,size,value\n0.1,1\n", "line 2 has 2 cells, the first line has 5"),
        ("a.csv", "rate,n,kind,size,value\n0.1,1,a,7,\n", "a value must be a number, got ''"),
        ("a.csv", "rate,n,kind,size,value\n", "it has no setting"),
        ("a.parquet", "no", "it is no Parquet file"),
    ],
)
def test_a_file_that_does_not_fit(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=f"warm start {tmp_path / name}: {message}"):
        WarmStart.read(tmp_path / name, SPACE, OBJECTIVE)


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"is no run's folder: it has no config\.json"):
        WarmStart.read(tmp_path, SPACE, OBJECTIVE)


def test_a_warm_start_is_saved_completely_or_not_at_all(tmp_path, monkeypatch):
    warm = WarmStart(np.array([[0.25, 0.5]], np.float32), np.array([1.5], np.float32))
    warm.save(tmp_path / "warm_start.json")
    assert WarmStart.load(tmp_path / "warm_start.json").sha256 == warm.sha256
    assert WarmStart.load(tmp_path / "other.json") is None
    (tmp_path / "warm_start.json").unlink()

    def half(path, text, **options):
        path.write_bytes(text.encode()[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(OSError, match=r"warm_start\.json cannot be written: No space left on device"):
        warm.save(tmp_path / "warm_start.json")
    assert list(tmp_path.iterdir()) == []
