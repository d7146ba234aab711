"""Disks that are full, read-only or gone: one line, and what was recorded stays."""

import contextlib
import csv
import os
import subprocess

import pytest

from jaxga.cli.run import main
from jaxga.runs import records
from tests.command_line import SMALL, resume, start


def test_a_full_disk_ends_a_run_in_one_line(tmp_path, monkeypatch, capfd):
    folder, real = tmp_path / "run", os.write

    def write(file, data):
        if os.readlink(f"/proc/self/fd/{file}").endswith("history.csv") and os.fstat(file).st_size > 1000:
            real(file, bytes(data)[:10])
            raise OSError(28, "No space left on device")
        return real(file, data)

    monkeypatch.setattr(records.os, "write", write)
    assert main([*SMALL, "--generations", "100", "--out", str(folder)]) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("error: /")
    assert "history.csv cannot be written: No space left on device; the run ends here" in err
    with open(folder / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) % 6 == 0
    assert rows
    assert all(row["num_correct"] for row in rows)
    monkeypatch.undo()
    assert resume(folder) == 0


@pytest.fixture
def disk(tmp_path):
    """A disk of 2 MB of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)], capture_output=True).returncode:
        pytest.skip("a disk cannot be mounted here (that takes root)")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(path):
    """Write until the disk is full."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass


def test_a_disk_that_runs_full_and_one_that_is_read_only(disk, wait_for_generations):
    folder = disk / "run"
    process = start(*SMALL, "--generations", "100000", "--out", str(folder))
    wait_for_generations(process, folder)
    fill(disk / "filler")
    _, err = process.communicate(timeout=100)
    assert process.returncode == 2
    assert err.count("\n") == 1
    assert "cannot be written" in err
    assert "No space left on device" in err
    with open(folder / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) % 6 == 0
    assert len(rows) >= 18
    assert all(row["num_correct"] for row in rows)
    (disk / "filler").unlink()

    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for arguments in (["--resume", str(folder)], [*SMALL, "--out", str(disk / "new")]):
        process = start(*arguments, "--processes", "1")
        _, err = process.communicate(timeout=100)
        assert process.returncode == 2
        assert err.count("\n") == 1
        assert "cannot be written: Read-only file system" in err
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert resume(folder, "--max-evaluations", str(len(rows) + 6)) == 0


def test_a_folder_that_goes_away_ends_a_run_in_one_line(tmp_path, wait_for_generations):
    folder = tmp_path / "run"
    process = start(*SMALL, "--generations", "100000", "--out", str(folder))
    wait_for_generations(process, folder)
    folder.rename(tmp_path / "moved")
    _, err = process.communicate(timeout=100)
    assert process.returncode == 2
    assert err.count("\n") == 1
    assert "cannot be written" in err
    content = (tmp_path / "moved" / "history.csv").read_bytes()
    assert content.endswith(b"\n")
