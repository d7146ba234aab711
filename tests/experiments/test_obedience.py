"""A run does what it is told: go on where it can and refuse where it cannot, end on a signal, keep to its time."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import jaxga
from jaxga import Generation, Objective
from jaxga.base import Best, Offspring
from jaxga.cli import run as command_line
from jaxga.cli.options import Options
from jaxga.cli.resume import resume_command, shown_program
from jaxga.cli.run import main
from jaxga.evolution import Record
from jaxga.runs.folder import RunFolder
from jaxga.runs.stopping import Overhead, Stop, StopState

ROOT = Path(__file__).parent.parent.parent
RUN = ROOT / "experiments" / "run.py"
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
        step.write_text("")


@pytest.mark.parametrize("harm", [remove, empty, make_a_file, damage_all])
@pytest.mark.parametrize("killed", [False, True])
def test_what_was_recorded_is_not_begun_anew(copy, harm, killed, capfd):
    harm(copy / "checkpoints")
    if killed:
        (copy / "result.json").unlink()
    is_refused(copy, capfd, "there is no checkpoint to go on from")


def test_the_checkpoints_of_orbax_are_refused_with_their_format(copy, capfd):
    for path in (copy / "checkpoints").iterdir():
        path.unlink()
        (path.with_suffix("") / "state").mkdir(parents=True)
    is_refused(copy, capfd, "there is no checkpoint to go on from", "it has the Orbax format of jaxga 0.1")


def test_killed_before_the_first_generation_was_saved_it_goes_on(finished, copy):
    """The rows are written first; the state before them is saved before that."""
    for generation in (1, 2):
        (copy / "checkpoints" / f"{generation}.npz").unlink()
    (copy / "result.json").unlink()
    assert resume(copy) == 0
    assert outcome(copy) == outcome(finished)


def test_a_damaged_first_state_without_rows_is_a_fresh_start(finished, copy):
    for generation in (1, 2):
        (copy / "checkpoints" / f"{generation}.npz").unlink()
    (copy / "checkpoints" / "0.npz").write_text("")
    for name in ("history.csv", "events.jsonl", "result.json"):
        (copy / name).unlink()
    assert resume(copy) == 0
    assert outcome(copy) == outcome(finished)


# --- signals ---


@pytest.fixture
def start():
    """Starts Python with these arguments; what still runs when the test ends is killed."""
    started = []
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests that were started under nohup would hand on that it is ignored

    def begin(*arguments, prefix=()):
        command = [*prefix, sys.executable, *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, **pipes))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate(timeout=60)


# A compiled program does not return to Python; so does this sleep of the C library, restarted by itself.
BUSY = """
import ctypes, signal, sys
from jaxga.runs import interrupt as signals
signals._GRACE = 1.0
with signals.Interrupt("python run.py --resume 'my run'") as interrupt:
    {}
    print("ready", flush=True)
    while True:
        ctypes.CDLL(None).sleep(60)
"""


@pytest.mark.parametrize(
    ("before", "numbers", "status", "message"),
    [
        ("", [signal.SIGTERM], 143, "the last checkpoint stands; go on with: python run.py --resume 'my run'"),
        ("", [signal.SIGHUP], 129, "the last checkpoint stands"),
        ("", [signal.SIGINT, signal.SIGTERM], 143, "the last checkpoint stands"),
        ("", [signal.SIGUSR1, signal.SIGTERM], 138, "SIGUSR1: this generation is saved, then the run leaves"),
        ("", [signal.SIGTERM, signal.SIGINT, signal.SIGINT], 130, "go on with: python run.py --resume 'my run'"),
        ("interrupt.saved()", [signal.SIGTERM], 143, "go on with"),
        ("interrupt.saved()", [signal.SIGINT], 130, "go on with"),
    ],
)
def test_a_signal_ends_a_process_that_is_inside_a_program(start, before, numbers, status, message):
    process = start("-c", BUSY.format(before))
    assert process.stdout.readline() == "ready\n"
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.2)
    _, err = process.communicate(timeout=20)
    assert process.returncode == status
    assert message in err
    assert "Traceback" not in err


def test_beside_a_progress_bar_the_bars_owner_prints(start):
    """A line written past it would leave the bar on the screen for ever."""
    code = BUSY.format("").replace(
        "resume 'my run'\")", "resume 'my run'\", show=lambda line: print(line, flush=True))"
    )
    process = start("-c", code)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "Ctrl-C: this generation is finished and saved; once more leaves at once\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert "SIGTERM: this generation is saved" in out
    assert "Ctrl-C" not in err


def test_a_run_under_nohup_outlives_its_terminal(start):
    process = start("-c", BUSY.format(""), prefix=["nohup"])
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    time.sleep(1.5)
    assert process.poll() is None


def processes_of(folder):
    """The processes with this folder on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize(
    ("number", "status", "num_processes"), [(signal.SIGTERM, 143, 2), (signal.SIGUSR1, 138, 1), (signal.SIGHUP, 129, 1)]
)
def test_told_to_leave_it_saves_and_leaves(start, tmp_path, number, status, num_processes, wait_for_generations):
    folder = tmp_path / "run"
    options = [*SMALL[:-1], "--generations", 100_000, "--out", folder, "--processes", num_processes]
    process = start(RUN, *options)
    wait_for_generations(process, folder)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert err.count("\n") == 2
    assert f"{number.name}: this generation is saved" in err
    assert out.splitlines()[-1].startswith(f"go on with: python {RUN} --resume {folder}")
    assert ("--processes 2" in out.splitlines()[-1]) == (num_processes == 2)
    assert not (folder / "result.json").exists()
    deadline = time.monotonic() + 20
    while processes_of(folder):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    num_done = (folder / "history.csv").read_bytes().count(b"\n") // 6
    assert max(int(path.stem) for path in (folder / "checkpoints").iterdir()) == num_done


# --- --max-seconds ---


def generation(number, seconds, compile_seconds=0.0, is_last_of_dispatch=True):
    offspring = Offspring(np.zeros((2, 1)), *[np.zeros(2)] * 3)
    record = Record(number, offspring, np.zeros(2), np.zeros(2), {}, 0, Best(np.zeros(1), 1.0))
    return Generation(record, record if is_last_of_dispatch else None, seconds, compile_seconds)


def stop_state(max_seconds, now, notes=None, **overhead):
    return StopState(Stop(max_seconds=max_seconds), Objective("value"), Overhead(lambda: now[0], **overhead), notes)


@pytest.mark.parametrize(
    ("overhead", "needed"),  # after the first generation: 20 seconds have passed, 8 of them compiling, 2 in it
    [
        ({}, 20 + 2 + 4),  # the winner's program takes half the time to compile
        ({"report": 15.0}, 20 + 2 + 4 + 15),
        ({"winner": 1.5}, 20 + 2 + 4 + 3),
        ({"num_ahead": 1}, 20 + 2 + 4 + 2),
    ],
)
def test_no_generation_is_started_that_leaves_no_time_for_the_end(overhead, needed):
    for max_seconds, ends in ((needed, False), (needed - 0.1, True)):
        now = [0.0]
        stop = stop_state(max_seconds, now, **overhead)
        assert not stop.ends()  # the first one cannot be estimated
        now[0] = 20.0
        stop.write(generation(0, 10.0, 8.0))
        assert stop.ends() == ends
        assert bool(stop.reason) == ends


def test_generations_that_one_program_gives_end_together():
    now = [0.0]
    stop = stop_state(25.0, now)
    for number, seconds in enumerate((9.0, 0.5, 0.5, 9.0, 0.5, 0.5)):
        now[0] += seconds
        stop.write(generation(number, seconds, is_last_of_dispatch=number % 3 == 2))
        assert stop.ends() == (number == 5)  # 20 seconds, and 10 for the next three


def test_seconds_before_a_resume_count_and_so_does_its_compile():
    now = [20.0]
    stop = stop_state(100.0, now)
    stop.write(generation(0, 10.0, 8.0))
    for max_seconds, ends in ((20 + 5 + 2 + 8 + 4, False), (20 + 5 + 2 + 8 + 3.9, True)):
        now[0] = 5.0
        assert stop_state(max_seconds, now, json.loads(json.dumps(stop.notes))).ends() == ends


def test_the_report_is_kept_in_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(command_line, "REPORT_SECONDS", 2000.0)
    monkeypatch.setattr(command_line, "write_outputs", lambda path: None)
    for name, arguments, num_done in (("with", SMALL[:-2], 1), ("without", SMALL[:-1], 4)):
        options = [*arguments, "--quiet", "--generations", "4", "--max-seconds", "1000", "--out", str(tmp_path / name)]
        assert main(options) == 0
        result = json.loads((tmp_path / name / "result.json").read_text())
        assert result["generations"] == num_done
        assert (result["reason"] is None) == (num_done == 4)


def test_a_command_counts_from_the_start_of_its_process():
    code = "import time; time.sleep(1)\nfrom jaxga.cli.start import process_seconds\nprint(process_seconds())"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True, timeout=100, check=True)  # fmt: skip
    assert 1 < float(done.stdout) < 100


# --- the folder and its configuration ---


@pytest.mark.parametrize("names", [[".lock"], [".lock", ".config.json"], [".lock", "warm_start.json", ".config.json"]])
def test_killed_before_its_configuration_a_folder_is_new(finished, tmp_path, names):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in names:
        (folder / name).write_text('{"half a')
    assert run(folder) == 0
    assert outcome(folder) == outcome(finished)
    assert not (folder / "warm_start.json").exists()


def test_a_folder_that_another_run_is_starting_in_is_left_alone(tmp_path, capfd):
    with RunFolder(tmp_path / "run", is_new=True):
        assert run(tmp_path / "run") == 2
        assert "is in use by another run" in capfd.readouterr().err
        assert (tmp_path / "run" / ".lock").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["options"].update(seed=5), "seed is 5 there and 0 in its identity"),
        (lambda c: c["identity"].update(pop=8), "pop is 6 there and 8 in its identity"),
        (lambda c: c["data"].update(sha256="abc"), "data is abc there and "),
        (lambda c: c["space"]["n3"].update(high=7), "search space is {"),
        (lambda c: c["options"].update(generations=9), "its identity does not tell where"),
        (lambda c: c.update(created="2020-01-01"), "its identity does not tell where"),
        (lambda c: c.pop("sha256"), "its identity does not tell where"),
    ],
)
def test_a_changed_configuration_is_told(copy, change, message, capfd):
    config = json.loads((copy / "config.json").read_text())
    change(config)
    (copy / "config.json").write_text(json.dumps(config))
    is_refused(copy, capfd, "config.json was changed or damaged after the run wrote it", message)
    assert jaxga.load(copy).config == config


@pytest.mark.parametrize("name", ["config.json", "history.csv", "events.jsonl", "result.json", ".lock"])
def test_a_directory_in_a_files_place(copy, name, capfd):
    (copy / name).unlink()
    (copy / name).mkdir()
    is_refused(copy, capfd, str(copy))


# --- what is shown ---


def test_the_result_is_shown_before_the_report_is_written(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(command_line, "write_outputs", lambda path: print("the report", flush=True))
    assert main([*SMALL[:-2], "--generations", "2", "--out", str(tmp_path / "run")]) == 0
    out = capfd.readouterr().out
    places = [out.index(text) for text in ("generation 2/2", "Winner", "Figures", "the report", "Time", "Written")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("called", "options", "command"),
    [
        ("experiments/run.py", {}, "python experiments/run.py --resume 'my run'"),
        (
            "/usr/bin/jaxga",
            {"processes": "2", "no_report": True},
            "jaxga run --resume 'my run' --processes 2 --no-report",
        ),
        ("run.py", {"seed": 3, "pop": 9, "out": Path("x"), "data_dir": Path("y")}, "python run.py --resume 'my run'"),
    ],
)
def test_the_command_that_goes_on(called, options, command, monkeypatch):
    monkeypatch.setattr(sys, "argv", [called])
    assert resume_command(shown_program("run"), Options(**options), Path("my run")) == command


def test_processes_that_slurm_starts(start, tmp_path, monkeypatch, wait_for_generations):
    """Each finds out which one it is by joining; a signal to all of them ends all of them."""
    folder = tmp_path / "run"
    slurm = {"JOB_ID": "41234", "STEP_NODELIST": "localhost", "NTASKS": "2", "STEP_NUM_NODES": "1"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    processes = []
    for number in range(2):
        monkeypatch.setenv("SLURM_PROCID", str(number))
        monkeypatch.setenv("SLURM_LOCALID", str(number))
        options = [*SMALL[:-4], "--no-report", "--generations", 100_000, "--out", folder, "--coordinator", "auto"]
        processes.append(start(RUN, *options))
    wait_for_generations(processes[0], folder)
    for process in processes:
        process.send_signal(signal.SIGTERM)
    (out, _), (other, _) = (process.communicate(timeout=60) for process in processes)
    assert [process.returncode for process in processes] == [143, 143]
    assert "go on with: python" in out
    assert other == ""
