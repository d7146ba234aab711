"""How many processes ``--processes auto`` starts, on a faked machine, and which a resume has."""

from typing import NamedTuple

import pytest

from jaxga import runtime
from jaxga.cli.options import Options
from jaxga.cli.resume import resumed_options
from jaxga.cli.run import main
from jaxga.cli.start import plan_processes
from jaxga.task import RunDefaults


class Asked(NamedTuple):
    """The options that the number of processes depends on."""

    pop: int | None = 64
    replicates: int | None = 1
    chunk: str = "auto"
    processes: str = "auto"
    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


GIB = 2**30


@pytest.mark.parametrize(
    ("asked", "cores", "memory", "expected"),
    [
        (Asked(), 2, 8 * GIB, (2, "one a core")),
        (Asked(pop=24), 64, 256 * GIB, (24, "one a training")),
        (Asked(pop=8, replicates=3), 64, 256 * GIB, (24, "one a training")),
        (Asked(pop=64, chunk="8"), 64, 256 * GIB, (8, "one a chunk of members")),
        (Asked(pop=None, replicates=None), 64, 256 * GIB, (30, "one a training")),
        (Asked(pop=100), 64, 256 * GIB, (50, "2 trainings each")),
        (Asked(pop=1000, chunk="10"), 64, 256 * GIB, (50, "2 chunks each")),
        (Asked(pop=1000), 64, 10 * GIB, (10, "1 GiB each in 10 GiB of memory")),
        (Asked(pop=1000), 64, GIB // 2, (1, "1 GiB each in 512 MiB of memory")),
        (Asked(pop=1), 64, 256 * GIB, (1, "one a training")),
        (Asked(processes="3"), 64, GIB, (3, "as --processes says")),
        (Asked(coordinator="a:1", num_processes=5, process_id=0), 64, GIB, (5, "as --coordinator joins them")),
        (Asked(coordinator="auto"), 64, GIB, (0, "as --coordinator joins them")),
    ],
)
def test_no_more_processes_than_work_cores_and_memory(asked, cores, memory, expected, monkeypatch):
    monkeypatch.setattr(runtime, "num_cores", lambda: cores)
    monkeypatch.setattr(runtime, "available_memory", lambda: memory)
    monkeypatch.setattr(runtime, "runs_on_cpu", lambda: True)
    assert plan_processes(asked, RunDefaults(population_size=10, num_replicates=3)) == expected


def test_one_process_for_accelerators_and_for_light_tasks(monkeypatch):
    monkeypatch.setattr(runtime, "num_cores", lambda: 64)
    assert plan_processes(Asked(), RunDefaults(is_heavy=False)).number == 1
    monkeypatch.setattr(runtime, "runs_on_cpu", lambda: False)
    assert plan_processes(Asked(), RunDefaults()) == (1, "it uses all accelerators")


def test_the_plan_says_how_many_processes_and_why(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(runtime, "num_cores", lambda: 64)
    monkeypatch.setattr(runtime, "available_memory", lambda: 256 * GIB)
    module = tmp_path / "quick.py"
    module.write_text("""
import jaxga
from jaxga.base import Objective
from jaxga.task import FunctionTask
task = lambda: FunctionTask(lambda key, s: s["x"], jaxga.SearchSpace(x=jaxga.Uniform(0.0, 1.0)), Objective())
""")
    assert main(["--task", f"{module}:task", "--pop", "24", "--algorithm", "random_search", "--dry-run"]) == 0
    assert "24: one a training" in capsys.readouterr().out


def test_a_resume_has_the_chunk_and_the_processes_of_the_run(half):
    given = Options(resume=half, processes="2", chunk="3")
    assert resumed_options(given, {"resume"}).processes == "1"
    assert resumed_options(given, {"resume"}).chunk == "auto"
    named = resumed_options(given, {"resume", "processes", "chunk"})
    assert (named.processes, named.chunk) == ("2", "3")
