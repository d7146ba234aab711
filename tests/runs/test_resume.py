"""Resume: the same bits as a run that was not stopped, or one line that says why not."""

import json
import shutil
import sys

import pytest

from jaxga.cli.run import main
from jaxga.runs import config as config_file
from jaxga.runs import records
from tests.command_line import ROOT, SMALL, events, outcome, resume


def test_more_generations_are_the_same_as_all_at_once(whole, half):
    assert resume(half, "--generations", "8") == 0
    assert outcome(half) == outcome(whole)
    assert [event["generation"] for event in events(half)] == list(range(8))
    assert json.loads((half / "config.json").read_text())["options"]["generations"] == 8


def test_a_finished_run_resumed_does_only_the_end(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "copy")
    (folder / "result.json").unlink()
    assert resume(folder) == 0
    assert outcome(folder) == outcome(whole)


def test_what_was_written_after_the_checkpoint_is_cut_off(whole, half):
    for name in ("history.csv", "events.jsonl"):
        with open(half / name, "a") as file:
            file.write('guess,9,99,torn "ro')
    assert resume(half, "--generations", "8") == 0
    assert outcome(half) == outcome(whole)


def test_nothing_recorded_yet_is_a_fresh_start(whole, tmp_path):
    folder = tmp_path / "compile"
    folder.mkdir()
    shutil.copy(whole / "config.json", folder)
    assert resume(folder) == 0
    assert outcome(folder) == outcome(whole)


def test_a_damaged_checkpoint_is_named_and_the_previous_used(whole, half, capfd):
    steps = sorted(int(path.stem) for path in (half / "checkpoints").iterdir())
    (half / "checkpoints" / f"{steps[-1]}.npz").write_text("{")
    assert main(["--resume", str(half), "--generations", "8", "--processes", "1", "--no-report"]) == 0
    assert f"checkpoint {steps[-1]} is not usable" in capfd.readouterr().out
    assert outcome(half) == outcome(whole)


def test_a_changed_history_is_not_gone_on_from(half, capfd):
    path = half / "history.csv"
    path.write_bytes(path.read_bytes().replace(b"founder", b"invader", 1))
    assert resume(half, "--generations", "8") == 2
    assert "history.csv is not what it was" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "5"], "--seed 0 (now 5)"),
        (["--seeds", "run"], "--seeds own (now run)"),
        (["--pop", "9"], "--pop 6 (now 9)"),
        (["--algorithm", "ga"], "--algorithm random_search (now ga)"),
        (["--generations", "3"], "--generations may only be raised on resume"),
        (["--out", "elsewhere"], "--out does not go with --resume"),
    ],
)
def test_what_would_change_the_result_is_refused(half, arguments, message, capfd):
    before = outcome(half)
    assert resume(half, *arguments) == 2
    err = capfd.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert outcome(half) == before


def test_the_same_option_named_again_is_no_change(whole):
    assert resume(whole, "--seed", "0", "--pop", "6") == 0


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        (lambda c: c["identity"].update(data="abc"), 2, "data abc (now "),
        (lambda c: c["identity"].update(jaxga="0.0.1"), 2, "jaxga 0.0.1 (now"),
        (lambda c: c["versions"].update(jax="0.1"), 0, "jax was 0.1, is now"),
        (lambda c: c.update(devices=["TPU"]), 0, "devices was ['TPU'], is now"),
        (lambda c: c["options"].update(magic=3), 2, "options that this version has not: ['magic']"),
    ],
)
def test_other_data_is_refused_and_other_versions_are_told(half, change, status, message, capfd):
    config = config_file.read_config(half)
    change(config)
    config_file.save_config(half, config)
    assert main(["--resume", str(half), "--processes", "1", "--no-report"]) == status
    captured = capfd.readouterr()
    assert message in captured.out + captured.err


@pytest.mark.parametrize("content", [None, "", "[]", '{"options": 3}'])
def test_a_folder_without_a_configuration(tmp_path, content, capfd):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert resume(tmp_path) == 2
    assert capfd.readouterr().err.count("\n") == 1


def test_a_second_process_on_a_folder_is_refused(half, capfd):
    from jaxga.runs.folder import Lock

    lock = Lock(half)
    assert resume(half) == 2
    assert "is in use by another run (process " in capfd.readouterr().err
    lock.release()
    assert resume(half) == 0


def test_every_generation_ends_in_a_checkpoint(tmp_path, monkeypatch):
    from jaxga.runs.checkpoint import Checkpoints

    saved, save = [], Checkpoints.save

    def spy(self, generation, *arguments, **options):
        saved.append(generation)
        save(self, generation, *arguments, **options)

    monkeypatch.setattr(Checkpoints, "save", spy)
    for dispatch, expected in ((1, [1, 2, 3, 4, 5, 6, 7, 8]), (3, [3, 6, 8])):
        saved.clear()
        folder = str(tmp_path / str(dispatch))
        assert main([*SMALL, "--generations", "8", "--dispatch", str(dispatch), "--out", folder]) == 0
        assert saved == [0, *expected]


def test_a_mistake_of_ours_shows_where_it_is(tmp_path, monkeypatch):
    """Only what the user can mend is told in one line."""
    monkeypatch.setattr(records.HistoryFile, "write", lambda *_: int("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        main([*SMALL, "--generations", "2", "--out", str(tmp_path / "run")])


@pytest.mark.slow
def test_killed_and_resumed_it_is_the_same(tmp_path):
    """A short form of ``tests/soak/kill.py``; test_run.py and test_wheel.py kill a run once in every suite."""
    sys.path.insert(0, str(ROOT / "tests" / "soak"))
    from kill import soak

    options = [*SMALL, "--generations", "40"]
    result = soak(3, options, 0, tmp_path, log=lambda *_, **__: None)
    assert result["kills"] == 3
    assert result["differences"] == result["lost"] == 0
