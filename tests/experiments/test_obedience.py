"""A run does what it is told: go on where it can and refuse where it cannot, end on a signal, keep to its time."""

import json
import shutil

import pytest

from experiments import recorder
from experiments.run import main

pytest.importorskip("orbax.checkpoint")
SMALL = ["--task", "guess", "--algorithm", "random_search", "--pop", "6", "--processes", "1", "--no-report", "--quiet"]


def run(folder, *arguments):
    return main([*SMALL, "--generations", "2", "--out", str(folder), *arguments])


def resume(folder, *arguments):
    return main(["--resume", str(folder), "--quiet", "--no-report", "--processes", "1", *arguments])


def contents(folder):
    """Every file's bytes by its path, all but the lock."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def outcome(folder):
    result = json.loads((folder / "result.json").read_text())
    kept = {name: value for name, value in result.items() if name not in ("seconds", "status", "reason")}
    return (folder / "history.csv").read_bytes(), kept


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert run(folder) == 0
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def is_refused(folder, capfd, *messages):
    """Refused in one line, and nothing changed."""
    before = contents(folder)
    capfd.readouterr()
    assert resume(folder) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert all(message in err for message in messages), err
    assert contents(folder) == before


# --- checkpoints that are not there ---


def remove(path):
    shutil.rmtree(path)


def empty(path):
    shutil.rmtree(path)
    path.mkdir()


def make_a_file(path):
    shutil.rmtree(path)
    path.write_text("")


def damage_all(path):
    for step in path.iterdir():
        (step / "about" / "metadata").write_text("")


@pytest.mark.parametrize("harm", [remove, empty, make_a_file, damage_all])
@pytest.mark.parametrize("killed", [False, True])
def test_what_was_recorded_is_not_begun_anew(copy, harm, killed, capfd):
    harm(copy / "checkpoints")
    if killed:
        (copy / "result.json").unlink()
    is_refused(copy, capfd, "there is no checkpoint to go on from")


def test_a_run_without_orbax_is_not_begun_anew(tmp_path, monkeypatch, capfd):
    def missing(*_, **__):
        raise ImportError

    monkeypatch.setattr(recorder, "Checkpoints", missing)
    assert run(tmp_path / "run") == 0
    monkeypatch.undo()
    assert not (tmp_path / "run" / "checkpoints").exists()
    is_refused(tmp_path / "run", capfd, "there is no checkpoint to go on from")


def test_killed_before_the_first_generation_was_saved_it_goes_on(finished, copy):
    """The rows are written first; the state before them is saved before that."""
    for generation in (1, 2):
        shutil.rmtree(copy / "checkpoints" / str(generation))
    (copy / "result.json").unlink()
    assert resume(copy) == 0
    assert outcome(copy) == outcome(finished)


def test_a_damaged_first_state_without_rows_is_a_fresh_start(finished, copy):
    for generation in (1, 2):
        shutil.rmtree(copy / "checkpoints" / str(generation))
    (copy / "checkpoints" / "0" / "about" / "metadata").write_text("")
    for name in ("history.csv", "events.jsonl", "result.json"):
        (copy / name).unlink()
    assert resume(copy) == 0
    assert outcome(copy) == outcome(finished)
