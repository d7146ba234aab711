"""Each output of a run is written completely or not at all."""

import shutil
import subprocess
import sys

import pytest

from jaxga.cli.report import main
from jaxga.report import write_outputs
from jaxga.runs import saved
from jaxga.runs.draft import draft
from tests.report.example_runs import write_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("finished"))


OUTPUTS = ["history.parquet", "report.html", "convergence.png", "convergence.svg", "search_space.png"]


@pytest.mark.parametrize("name", OUTPUTS)
def test_on_a_full_disk_an_output_stays_as_it_was_and_is_named(finished, tmp_path, name):
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / name).write_text("from before")
    (folder / f".{name}").symlink_to("/dev/full")  # where the draft is written: every write of it fails
    with pytest.raises(OSError, match="No space left") as caught:
        write_outputs(folder)
    assert caught.value.errno == 28
    assert caught.value.strerror == f"{folder / name} cannot be written: No space left on device"
    assert (folder / name).read_text() == "from before"
    assert not [file for file in folder.iterdir() if file.name.startswith(".")]


def test_on_a_full_disk_the_command_says_one_line(finished, tmp_path, capfd):
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / ".history.parquet").symlink_to("/dev/full")
    assert main([str(folder)]) == 2
    why = f"{folder / 'history.parquet'} cannot be written: No space left on device"
    assert capfd.readouterr().err == f"error: {why}\n"
    assert {file.name for file in folder.iterdir()} == {file.name for file in finished.iterdir()}


def test_what_fails_halfway_leaves_nothing(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("from before")

    def write():
        with draft(path) as made:
            made.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("file.txt", "from before")]


def test_the_history_is_parsed_once(finished, tmp_path, monkeypatch):
    folder = shutil.copytree(finished, tmp_path / "run")
    parsed = []
    read_csv = saved.read_csv
    monkeypatch.setattr(saved, "read_csv", lambda *about: parsed.append(about) or read_csv(*about))
    write_outputs(folder)
    assert len(parsed) == 1


def test_preload_imports_the_large_packages_and_pandas_is_not_needed(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    code = f"""
import pathlib, sys
from jaxga.report import preload, write_outputs

def packages():
    return {{name.split(".")[0] for name in sys.modules}}

preload()
before = packages()
write_outputs(pathlib.Path({str(folder)!r}))
assert {{"matplotlib", "plotly", "pyarrow"}} <= before
assert "pandas" not in packages()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
