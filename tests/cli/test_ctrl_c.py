"""Ctrl-C: once finishes the generation and reports, twice leaves at once."""

import json
import os
import signal
import subprocess
import sys
import time

from tests.command_line import ROOT, SMALL, start


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
        "import sys, time, ctypes\nfrom jaxga.runs.interrupt import Interrupt\n"
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
