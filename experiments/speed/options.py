"""What a benchmark is asked to measure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from typer import Option

SECTIONS = ("engine", "mnist", "cartpole", "many", "scaling", "memory")
_STEPS = {"mnist": 100, "cartpole": 10_240}


@dataclass(frozen=True)
class BenchmarkOptions:
    """Measure how fast jaxga is, what it could be on this machine, and other packages beside it.

    engine: algorithms without a training, beside other packages' (where these are installed). mnist, cartpole: whole
    generations over the population size, and what they are to be compared with. many: whole searches in one program.
    scaling: a fixed population per process. memory: large populations of short trainings.

    Every row is measured in a fresh process, one after another, so that their ratios can be trusted. Prints a table;
    --out also writes benchmark.json, benchmark.md, throughput.png and roofline.png.
    """

    only: Annotated[str, Option(help="Sections to measure, with commas between, or all.")] = "all"
    pop: Annotated[int, Option(min=2, help="Members per generation where a row has one population size.")] = 64
    max_pop: Annotated[int, Option(min=2, help="The largest population of the sweeps, which double.")] = 16_384
    seconds: Annotated[float, Option(min=0.1, help="A sweep ends where a generation takes longer than this.")] = 20.0
    steps: Annotated[
        int | None, Option(min=1, show_default="100 (mnist), 10240 (cartpole)", help="Training steps a member.")
    ] = None
    generations: Annotated[int, Option(min=1, help="Generations timed, after the first; the median counts.")] = 3
    sequential: Annotated[int, Option(min=1, help="Members trained one after another, for comparison.")] = 4
    searches: Annotated[int, Option(min=1, help="many: the number of searches.")] = 24
    data_dir: Annotated[Path | None, Option(help="mnist: folder of the four IDX files.")] = None
    backend: Annotated[
        Literal["auto", "cpu", "gpu"], Option(help="Rows as for this backend: a CPU has a process for each core.")
    ] = "auto"
    out: Annotated[Path | None, Option(help="Folder for the table, the figures and their numbers.")] = None
    profile: Annotated[
        Path | None, Option(help="Folder for a trace of one generation of mnist or cartpole instead of a table.")
    ] = None
    row: Annotated[str | None, Option(hidden=True)] = None
    processes: Annotated[str, Option(hidden=True)] = "1"
    coordinator: Annotated[str | None, Option(hidden=True)] = None
    num_processes: Annotated[int | None, Option(hidden=True)] = None
    process_id: Annotated[int | None, Option(hidden=True)] = None

    def steps_of(self, task: str) -> int:
        """Training steps of a member of ``mnist`` or ``cartpole``."""
        return self.steps or _STEPS[task]
