"""Resume, stop rules, records, report and exports, through the command line."""

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import jaxga
from jaxga.base import Best, Objective, Offspring
from jaxga.cli.run import main
from jaxga.evolution import Record
from jaxga.loop import Generation
from jaxga.runs import folder, records
from jaxga.runs.stopping import Command, Rules, Watch

ROOT = Path(__file__).parent.parent.parent
SMALL = ["--task", "guess", "--algorithm", "random_search", "--pop", "6", "--processes", "1", "--no-report", "--quiet"]
DRAWN = [option for option in SMALL if option != "--no-report"]


def outcome(folder):
    result = json.loads((folder / "result.json").read_text())
    kept = {name: value for name, value in result.items() if name not in ("seconds", "status", "reason")}
    return (folder / "history.csv").read_bytes(), kept


def events(folder, kind="generation"):
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == kind]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert main([*DRAWN, "--generations", "8", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def half(tmp_path):
    folder = tmp_path / "half"
    assert main([*SMALL, "--generations", "4", "--out", str(folder)]) == 0
    return folder


def resume(folder, *arguments):
    return main(["--resume", str(folder), "--quiet", "--no-report", "--processes", "1", *arguments])


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
        (lambda c: c["identity"].update(data="abc"), 2, "data abc (now None)"),
        (lambda c: c["identity"].update(jaxga="0.0.1"), 2, "jaxga 0.0.1 (now"),
        (lambda c: c["versions"].update(jax="0.1"), 0, "jax was 0.1, is now"),
        (lambda c: c.update(devices=["TPU"]), 0, "devices was ['TPU'], is now"),
        (lambda c: c["options"].update(magic=3), 2, "options that this version has not: ['magic']"),
    ],
)
def test_other_data_is_refused_and_other_versions_are_told(half, change, status, message, capfd):
    config = folder.read_config(half)
    change(config)
    folder.save_config(half, config)
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

    lock = Lock(half, "--resume")
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


# --- stop rules ---


def generation(number, best_loss, seconds=1.0):
    offspring = Offspring(np.zeros((2, 1)), *[np.zeros(2)] * 3)
    record = Record(number, offspring, np.zeros(2), np.zeros(2), {}, 0, Best(np.zeros(1), best_loss))
    return Generation(record, record, seconds, 0.0)


@pytest.mark.parametrize(
    ("rules", "direction", "best_losses", "stops_after"),
    [
        (Rules(target=2.0), "min", [4.0, 2.1, 2.0, 1.0], 3),
        (Rules(target=2.0), "max", [-1.0, -1.9, -2.0, -3.0], 3),
        (Rules(patience=2), "min", [4.0, 3.0, 3.0, 2.0, 2.0, 2.0, 1.0], 6),
        (Rules(patience=1), "min", [4.0, 4.0, 3.0], 2),
        (Rules(max_seconds=3.5), "min", [4.0, 3.0, 2.0, 1.0], 3),
        (Rules(max_seconds=3.0), "min", [4.0, 3.0, 2.0, 1.0], 3),
        (Rules(max_seconds=2.9), "min", [4.0, 3.0, 2.0, 1.0], 2),
        (Rules(max_seconds=0.1), "min", [4.0, 3.0, 2.0, 1.0], 1),
        (Rules(), "min", [4.0, 4.0, 4.0], None),
    ],
)
@pytest.mark.parametrize("is_resumed", [False, True])
def test_rules_end_a_run_exactly(rules, direction, best_losses, stops_after, is_resumed):
    objective, now = Objective("value", direction), [0.0]
    command = Command(elapsed=lambda: now[0])
    watch, stopped = Watch(rules, objective, command), None
    assert not watch.ends()
    for i, best_loss in enumerate(best_losses):
        if is_resumed:
            now[0] = 0.0
            watch = Watch(rules, objective, command, json.loads(json.dumps(watch.notes)))
        now[0] += 1.0
        watch.write(generation(i, best_loss))
        if watch.ends() and stopped is None:
            stopped = i + 1
    assert stopped == stops_after


def test_the_target_ends_a_run_and_its_history(whole, tmp_path):
    best = [event["best"] for event in events(whole)]
    number = next(i for i, b in enumerate(best) if b < best[0])
    folder = tmp_path / "target"
    target = ["--target", str(best[number])]
    assert main([*SMALL, "--generations", "8", "--out", str(folder), *target]) == 0
    assert len(events(folder)) == number + 1
    assert outcome(whole)[0].startswith(outcome(folder)[0])
    assert json.loads((folder / "result.json").read_text())["reason"].startswith("the target")
    assert resume(folder) == 0
    assert len(events(folder)) == number + 1


@pytest.mark.parametrize(("limit", "generations"), [(6, 1), (17, 2), (18, 3)])
def test_no_more_evaluations_than_allowed(tmp_path, limit, generations):
    folder = tmp_path / "run"
    assert main([*SMALL, "--generations", "4", "--out", str(folder), "--max-evaluations", str(limit)]) == 0
    assert json.loads((folder / "result.json").read_text())["evaluations"] == generations * 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-evaluations", "5"], "--max-evaluations must be at least one generation's 6, got 5"),
        (["--target", "nan"], "--target must be a finite number"),
        (["--max-seconds", "0"], "--max-seconds must be above 0"),
        (["--patience", "0"], "--patience"),
        (["--warm-start", "nothing.csv"], "warm start nothing.csv: it cannot be read"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, message, capfd):
    assert main([*SMALL, "--out", str(tmp_path / "new"), *arguments]) == 2
    err = capfd.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "new").exists()


# --- signals and broken disks ---


def start(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "experiments" / "run.py"), *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **pipes, **options)


def test_ctrl_c_finishes_the_generation_saves_and_reports(tmp_path, wait_for_generations):
    folder = tmp_path / "run"
    process = start(*SMALL[:-1], "--generations", "100000", "--out", str(folder))
    wait_for_generations(process, folder)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "this generation is finished and saved" in err
    assert "Traceback" not in err
    assert "Winner" in out
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "interrupted"
    assert (folder / "history.csv").read_bytes().count(b"\n") == 6 * result["generations"] + 1
    assert str(result["generations"]) in [path.stem for path in (folder / "checkpoints").iterdir()]


def test_a_second_ctrl_c_leaves_at_once(tmp_path):
    folder = tmp_path / "run"
    code = (
        "import sys, time, ctypes\nfrom jaxga.runs.stopping import Interrupt\n"
        "with Interrupt('run.py --resume DIR'):\n    print('ready', flush=True)\n    ctypes.CDLL(None).sleep(60)\n"
    )
    # A compiled program does not return to Python; so does this sleep of the C library, restarted by itself.
    code = code.replace("ctypes.CDLL(None).sleep(60)", "[ctypes.CDLL(None).sleep(60) for _ in range(9)]")
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == 130
    assert not folder.exists()


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


def test_killed_and_resumed_it_is_the_same(tmp_path):
    sys.path.insert(0, str(ROOT / "tests" / "soak"))
    from kill import soak

    options = [*SMALL, "--generations", "40"]
    result = soak(3, options, 0, tmp_path, log=lambda *_, **__: None)
    assert result["kills"] == 3
    assert result["differences"] == result["lost"] == 0


# --- records ---


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


# --- report and exports ---


def test_the_report_is_one_file_without_the_network(whole):
    text = (whole / "report.html").read_text()
    for heading in ("Progress", "The winner", "Where members came from", "Each hyperparameter", "Time"):
        assert f"<h2>{heading}</h2>" in text
    without_library = re.sub(r"<script>.*?</script>", "", text, count=1, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", without_library)
    for name in ("convergence", "search_space"):
        assert (whole / f"{name}.svg").read_text().startswith("<?xml")


def test_the_report_of_a_run_that_was_killed(half, capsys):
    from jaxga.cli.report import main as report

    (half / "result.json").unlink()
    assert report([str(half)]) == 0
    assert "the run did not end" in (half / "report.html").read_text()


def test_the_report_of_nothing(tmp_path, capfd):
    from jaxga.cli.report import main as report

    assert report([str(tmp_path)]) == 2
    assert "it has no config.json" in capfd.readouterr().err


@pytest.mark.parametrize("width", [1280, 400])
def test_the_report_in_a_browser(whole, tmp_path, width):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium is installed (Debian: apt-get install chromium)")
    probe = (
        "<script>addEventListener('load', () => setTimeout(() => console.log('probe', "
        "document.querySelectorAll('.js-plotly-plot .main-svg').length, "
        "document.documentElement.scrollWidth <= innerWidth), 500))</script></body>"
    )
    page = tmp_path / "report.html"
    page.write_text((whole / "report.html").read_text().replace("</body>", probe))
    frame = tmp_path / "frame.html"
    frame.write_text(f"<iframe src='report.html' style='width:{width}px;height:2000px;border:0'></iframe>")
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --disable-quic"
    flags += " --enable-logging=stderr --virtual-time-budget=8000"
    command = [browser, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,2100"]
    done = subprocess.run(
        [*command, f"--screenshot={tmp_path / 'shot.png'}", frame.as_uri()], capture_output=True, text=True, timeout=120
    )
    lines = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert (tmp_path / "shot.png").stat().st_size > 10_000
    [line] = lines  # the probe's: nothing else was said on the console
    drawn, fits = re.search(r"probe (\d+) (true|false)", line).groups()
    assert int(drawn) >= 10
    assert fits == "true"


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


def test_tensorboard_has_every_generation(tmp_path):
    pytest.importorskip("tensorboardX")
    folder = tmp_path / "run"
    assert main([*SMALL, "--generations", "3", "--out", str(folder), "--tensorboard"]) == 0
    from tensorboardX.event_file_writer import EventFileWriter  # noqa: F401
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c  # noqa: F401

    best = {}
    for path in (folder / "tensorboard").glob("events*"):
        data = path.read_bytes()
        while data:
            size = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + size])
            for value in event.summary.value:
                if value.tag == "best":
                    best[event.step] = value.simple_value
            data = data[16 + size :]
    assert best == pytest.approx({e["generation"] + 1: e["best"] for e in events(folder)})
    assert len(list((folder / "tensorboard" / "members").iterdir())) == 18


def tracked(folder, option, capfd):
    """A run with ``--option``, whose package has the same name; skips where that is not installed."""
    status = main([*SMALL, "--generations", "2", "--out", str(folder), f"--{option}"])
    try:
        __import__(option)
    except ImportError:
        assert status == 2
        assert f"--{option} needs the package {option}" in capfd.readouterr().err
        pytest.skip(f"{option} is not installed: only its absence was tested")
    assert status == 0


def test_wandb_offline(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracked(tmp_path / "run", "wandb", capfd)
    [log] = (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")
    content = log.read_bytes()
    assert all(word in content for word in (b"members_per_second", b"best_value", b"fresh/mean distance"))


def test_mlflow_in_a_local_file(tmp_path, monkeypatch, capfd):
    url = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    monkeypatch.chdir(tmp_path)
    tracked(tmp_path / "run", "mlflow", capfd)
    from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]

    client = MlflowClient(url)
    [experiment] = [e.experiment_id for e in client.search_experiments() if e.name == "jaxga"]
    [run] = client.search_runs([experiment])
    best = {metric.step - 1: metric.value for metric in client.get_metric_history(run.info.run_id, "best")}
    assert best == pytest.approx({event["generation"]: event["best"] for event in events(tmp_path / "run")})
    assert run.info.status == "FINISHED"
    assert {k: float(v) for k, v in run.data.params.items() if k.startswith("best.")} == {
        f"best.{k}": v for k, v in jaxga.load(tmp_path / "run").best.items()
    }
