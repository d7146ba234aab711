"""From an empty folder, with only the wheel: a user's own Flax model is run, killed, resumed, reported and loaded."""

import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# The example of the documentation: a network of Flax, its training, what is searched.
_PAGE = ROOT / "docs" / "models" / "command.md"
OWN = re.search(r"```python\n(# own\.py\n.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds the installed wheel and nothing else of the project."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder / "dist"), str(ROOT)], check=True
    )
    [wheel] = (folder / "dist").glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel)], check=True)
    return folder / "site"


@pytest.fixture
def jaxga(installed, tmp_path):
    """Runs ``jaxga`` or Python code in an empty folder, with the wheel's package before any other."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}

    def start(*words):
        command = [str(installed / "bin" / "jaxga"), *words] if words[0] != "-c" else list(words)
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def call(*words):
        process = start(*words)
        out = process.communicate(timeout=240)[0]
        assert process.returncode == 0, out
        return out

    call.start = start
    return call


def test_the_wheel_has_the_tasks_and_no_name_of_others(installed):
    assert (installed / "jaxga" / "tasks" / "ppo" / "task.py").exists()
    assert not (installed / "tasks").exists()
    assert not (installed / "experiments").exists()


def test_the_wheel_from_the_sdist_is_the_same(installed, tmp_path):
    """What a checkout builds, where jaxga/tasks is a link, and what an unpacked sdist builds, where it is a folder."""

    def build(target, source):
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", tmp_path], cwd=source, check=True
        )

    def contents(wheel):
        with zipfile.ZipFile(wheel) as archive:
            return {file.filename: file.CRC for file in archive.infolist()}

    build("sdist", ROOT)
    [sdist] = tmp_path.glob("*.tar.gz")
    shutil.unpack_archive(sdist, tmp_path / "unpacked")
    [source] = (tmp_path / "unpacked").iterdir()
    assert not (source / "tasks").exists()
    build("wheel", source)
    [from_sdist], [from_checkout] = tmp_path.glob("*.whl"), (installed.parent / "dist").glob("*.whl")
    assert contents(from_sdist) == contents(from_checkout)


def test_the_wheel_registers_the_tasks(installed):
    [distribution] = importlib.metadata.distributions(path=[str(installed)])
    names = {entry.name for entry in distribution.entry_points if entry.group == "jaxga.tasks"}
    assert names == {
        "adaboost",
        "cartpole",
        "cnn",
        "guess",
        "knn",
        "mnist",
        "neuroevolution",
        "ppo",
        "random_forest",
        "svm",
    }


def test_a_task_that_ships_runs_from_the_wheel(jaxga, installed):
    out = jaxga("run", "--task", "guess", "--pop", "8", "--generations", "2", "--out", "run", "--no-report")
    assert "Winner" in out
    where = jaxga("-c", "import jaxga.tasks.mnist; print(jaxga.tasks.mnist.__file__)")
    assert where.startswith(str(installed))


def test_ones_own_model_from_start_to_end(jaxga, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    arguments = ["run", "--task", "own.py:task", "--pop", "16", "--processes", "1", "--out"]
    killed = jaxga.start(*arguments, "killed", "--generations", "2000")
    history = tmp_path / "killed" / "history.csv"
    deadline = time.monotonic() + 120
    while not (history.exists() and history.read_bytes().count(b"\n") > 3 * 16):
        assert time.monotonic() < deadline
        assert killed.poll() is None, killed.stdout.read()
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = max(int(path.stem) for path in (tmp_path / "killed" / "checkpoints").glob("[0-9]*.npz"))
    total = str(done + 2)

    # A kill leaves the length of the run as it was asked for: go on with fewer by a limit of evaluations.
    jaxga("run", "--resume", "killed", "--max-evaluations", str(16 * int(total)))
    jaxga(*arguments, "straight", "--generations", total, "--no-report")
    assert (tmp_path / "killed" / "history.csv").read_bytes() != b""
    rows = [(tmp_path / name / "history.csv").read_text().split("\n", 1)[1] for name in ("killed", "straight")]
    assert rows[0] == rows[1]
    assert (tmp_path / "killed" / "report.html").exists()
    shutil.rmtree(tmp_path / "straight")
    jaxga("report", "killed")

    loaded = jaxga(
        "-c", "import jaxga, json; run = jaxga.load('killed'); print(json.dumps([run.best, run.best_value]))"
    )
    best, value = json.loads(loaded.strip().splitlines()[-1])
    assert list(best) == ["lr"]
    code = """
        import jax.numpy as jnp, jaxga
        from flax import linen as nn
        model = jaxga.load("killed").model
        print(float(nn.Dense(1).apply(model, jnp.array([[1.0]]))[0, 0]))
    """
    assert float(jaxga("-c", textwrap.dedent(code))) == pytest.approx(2.0, abs=max(1e-2, 10 * value**0.5))


def test_the_same_in_code(jaxga, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    code = """
        import os, jax.numpy as jnp, jaxga
        from own import net, task

        def search(**options):
            return jaxga.optimize(task, population_size=16, num_generations=4, out="run", **options)

        class Killed(BaseException): pass

        def kill(generation):
            if int(generation.record.generation) == 1:
                raise Killed
        try:
            search(callbacks=[kill])
        except Killed:
            pass
        result = search(resume=True)
        saved = jaxga.load("run")
        assert saved.best == result.best and os.path.exists("run/report.html")
        print(float(net.apply(saved.model, jnp.array([[1.0]]))[0, 0]))
    """
    assert float(jaxga("-c", textwrap.dedent(code)).splitlines()[-1]) == pytest.approx(2.0, abs=0.1)
