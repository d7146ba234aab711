"""The command line: what it writes, that processes change nothing, and one clear line for every mistake."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SMALL = ["--task", "guess", "--algorithm", "random_search", "--pop", "6", "--generations", "3"]


def start(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAXGA_OFFLINE": "1"}
    command = [sys.executable, str(ROOT / "experiments" / "run.py"), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **pipes, **options)


def run(*arguments):
    process = start(*arguments)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    status, out, err = run(*SMALL, "--out", folder)
    assert status == 0, err
    return folder, out


def rows(folder):
    with open(folder / "history.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_writes_what_it_says(finished):
    folder, out = finished
    for name in ("config.json", "history.csv", "convergence.png", "search_space.png"):
        assert (folder / name).stat().st_size > 0
        assert name in out
    assert (folder / "convergence.png").read_bytes().startswith(b"\x89PNG")
    assert len(rows(folder)) == 18
    config = json.loads((folder / "config.json").read_text())
    assert config["options"]["pop"] == 6
    assert config["options"]["seed"] == 0
    assert {"jax", "numpy"} <= set(config["versions"])


def test_the_screen_shows_the_best_of_the_history(finished):
    folder, out = finished
    best = min(float(row["value"]) for row in rows(folder))
    assert f"best {best:.4g}" in out.split("generation 3/3")[1]
    assert f"{best:.4g}" in out.split("Figures")[1]


def test_several_processes_give_the_same_members(finished, tmp_path):
    status, out, err = run(*SMALL, "--out", tmp_path / "two", "--processes", 2)
    assert status == 0, err
    assert "2: as --processes says" in out
    assert rows(tmp_path / "two") == rows(finished[0])


def test_a_worker_that_dies_is_named_and_nothing_is_lost(tmp_path):
    process = start(*SMALL[:-1], 100_000, "--out", tmp_path / "run", "--processes", 2)
    history = tmp_path / "run" / "history.csv"
    deadline = time.monotonic() + 150
    while not (history.exists() and history.read_text().count("\n") > 20):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    [worker] = [pid for pid, line in commands() if "--process-id 1" in line and str(tmp_path) in line]
    os.kill(worker, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "process 1 of 2 was ended by SIGKILL" in err
    assert len(rows(tmp_path / "run")) >= 18


def test_no_worker_outlives_process_0(tmp_path):
    process = start(*SMALL[:-1], 100_000, "--out", tmp_path / "run", "--processes", 2)
    deadline = time.monotonic() + 150
    while not (tmp_path / "run" / "history.csv").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.kill()
    process.communicate(timeout=60)
    while any(str(tmp_path) in line for _, line in commands()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_reader_that_goes_ends_the_run_at_once(tmp_path):
    process = start(*SMALL, "--out", tmp_path / "run", "--processes", 2)
    process.stdout.close()
    assert process.wait(timeout=100) == 1
    while any(str(tmp_path) in line for _, line in commands()):
        time.sleep(0.1)


def test_what_all_processes_find_wrong_is_said_once(tmp_path):
    status, _, err = run("--task", "ppo", "--env", "Chess-v0", "--out", tmp_path / "run", "--processes", 2)
    assert status == 2
    assert "env must be one of" in err
    assert err.count("\n") == 1


def commands():
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            yield int(folder.name), (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "chess"], "--task must be one of"),
        (["--algorithm", "magic"], "--algorithm must be one of"),
        (["--task", "guess", "--pop", "4", "--parents", "4"], "--parents must be below --pop: got 4, --pop=4"),
        (["--task", "guess", "--pop", "1"], "error: --pop must be a whole number of at least 2, got 1"),
        (["--task", "cartpole", "--steps", "1"], "ppo: --steps must be at least"),
        (["--pop", "-3"], "--pop"),
        (["--pop", "many"], "--pop"),
        (["--generations", "0"], "--generations"),
        (["--algorithm", "random_search", "--invaders", "3"], "--invaders does not apply to --algorithm random_search"),
        (["--task", "guess", "--steps", "3"], "--steps does not apply to --task guess"),
        (["--task", "guess", "--surrogate", "oracle"], "surrogate must be one of"),
        (["--task", "mnist", "--data-dir", "/nowhere"], "/nowhere"),
        (["--task", "ppo", "--env", "Chess-v0"], "error: --env must be one of CartPole-v1"),
        (["--task", "guess", "--processes", "0"], "--processes must be auto or a number of at least 1, got '0'"),
        (["--task", "guess", "--process-id", "0"], "go together"),
        (["--nonsense"], "No such option"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments, message, tmp_path, capfd):
    from jaxga.cli.run import main

    assert main(["--out", str(tmp_path / "new"), "--processes", "1", *arguments]) == 2
    err = capfd.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_folder_in_use_is_left_alone(tmp_path, capfd):
    from jaxga.cli.run import main

    (tmp_path / "precious.txt").write_text("mine")
    assert main([*SMALL, "--out", str(tmp_path)]) == 2
    assert "is not empty" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_folder_that_cannot_be_made(tmp_path, capfd):
    from jaxga.cli.run import main

    (tmp_path / "file").write_text("")
    assert main([*SMALL, "--out", str(tmp_path / "file" / "run")]) == 2
    assert "cannot be written" in capfd.readouterr().err


def test_dry_run_writes_nothing(tmp_path, capfd):
    from jaxga.cli.run import main

    assert main([*SMALL, "--out", str(tmp_path / "run"), "--dry-run"]) == 0
    assert "6 members x 3 generations" in capfd.readouterr().out
    assert not (tmp_path / "run").exists()


def test_a_dry_run_refuses_the_folder_that_the_run_would_refuse(tmp_path, capfd):
    from jaxga.cli.run import main

    (tmp_path / "precious.txt").write_text("mine")
    for folder, message in ((tmp_path, "is not empty"), (tmp_path / "precious.txt", "cannot be written")):
        assert main([*SMALL, "--out", str(folder), "--dry-run"]) == 2
        assert message in capfd.readouterr().err


def test_killed_with_two_processes_and_resumed_with_two_and_with_one(tmp_path):
    """On another number of processes the genomes are the same, and the values up to rounding."""
    options = ["--task", "guess", "--algorithm", "ga", "--pop", "6", "--quiet", "--no-report"]
    status, _, err = run(*options, "--generations", 60, "--out", tmp_path / "whole", "--processes", 1)
    assert status == 0, err
    folder = tmp_path / "killed"
    process = start(*options, "--generations", 60, "--out", folder, "--processes", 2)
    kill_after(process, folder, 6 * 3)
    kill_after(start("--resume", folder, "--quiet", "--processes", 2), folder, 6 * 12)
    status, _, err = run("--resume", folder, "--quiet", "--no-report", "--processes", 1)
    assert status == 0, err
    expected, got = rows(tmp_path / "whole"), rows(folder)
    assert len(got) == len(expected) == 360
    for one, other in zip(expected, got, strict=True):
        assert float(other.pop("value")) == pytest.approx(float(one.pop("value")), rel=1e-5)
        assert one == other
    winners = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "killed")]
    assert winners[0]["best"] == winners[1]["best"]
    assert winners[0]["state_sha256"] == winners[1]["state_sha256"]


def kill_after(process, folder, num_members):
    """SIGKILL once the history has so many members; they have to come before the run ends."""
    history = folder / "history.csv"
    deadline = time.monotonic() + 150
    while not (history.exists() and history.read_bytes().count(b"\n") > num_members):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=60)
    while any(str(folder) in line for _, line in commands()):  # its workers end with it
        assert time.monotonic() < deadline
        time.sleep(0.1)
