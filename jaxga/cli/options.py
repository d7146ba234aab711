"""The command line of ``run.py``: its options, their help, and what they must satisfy."""

import dataclasses
import importlib.util
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from typer import Option

from jaxga import runtime
from jaxga.base import Algorithm
from jaxga.checks import MAX_MEMBERS, MAX_POPULATION
from jaxga.cli.catalogue import OPTIONS, TASKS, Entry
from jaxga.distribution import install_hint
from jaxga.loop import MAX_SEED
from jaxga.registry import ALGORITHMS, CROSSOVERS, MUTATIONS, SELECTIONS, SURROGATES, SURVIVALS
from jaxga.runs.stopping import Rules
from jaxga.runs.tracking import TRACKERS
from jaxga.space import SearchSpace
from jaxga.text import check_choice, shorten

_SEARCH, _TRAINING, _RUN, _STOP = "Search", "Training", "Run", "Stop early"
_TASK_DEFAULT = "the task's own"
_OWN = "the algorithm's own"


@dataclass(frozen=True)
class Options:
    """Evolve a task's hyperparameters: a genetic algorithm joined by invasive species.

    Trains a whole population at once and breeds the next one. Writes a folder with the run's configuration, its
    history, figures and a report.
    """

    task: Annotated[str, Option(help=f"What to train: {', '.join(TASKS)}.")] = "mnist"

    algorithm: Annotated[str, Option(rich_help_panel=_SEARCH, help=f"What breeds: {', '.join(ALGORITHMS)}.")] = (
        "invasive_ga"
    )
    pop: Annotated[
        int | None,
        Option(
            min=1,
            rich_help_panel=_SEARCH,
            show_default=_TASK_DEFAULT,
            help="Members per generation (the initial population).",
        ),
    ] = None
    generations: Annotated[
        int | None, Option(min=1, rich_help_panel=_SEARCH, show_default=_TASK_DEFAULT, help="Generations in all.")
    ] = None
    parents: Annotated[
        int | None,
        Option(
            min=1,
            rich_help_panel=_SEARCH,
            show_default=_OWN,
            help="Best members that breed; fewer than --pop.",
        ),
    ] = None
    mutations: Annotated[
        int | None,
        Option(min=1, rich_help_panel=_SEARCH, show_default=_OWN, help="Genes changed in a mutated child."),
    ] = None
    invaders: Annotated[
        int | None,
        Option(
            min=0,
            rich_help_panel=_SEARCH,
            show_default="half of --pop",
            help="Children per generation that the surrogate picks; 0 is the standard GA.",
        ),
    ] = None
    surrogate: Annotated[
        str | None,
        Option(rich_help_panel=_SEARCH, show_default=_OWN, help=f"Model of the loss: {', '.join(SURROGATES)}."),
    ] = None
    selection: Annotated[
        str | None,
        Option(rich_help_panel=_SEARCH, show_default=_OWN, help=f"ga: {', '.join(SELECTIONS)}."),
    ] = None
    crossover: Annotated[
        str | None,
        Option(rich_help_panel=_SEARCH, show_default=_OWN, help=f"ga: {', '.join(CROSSOVERS)}."),
    ] = None
    mutation: Annotated[
        str | None,
        Option(rich_help_panel=_SEARCH, show_default=_OWN, help=f"ga: {', '.join(MUTATIONS)}."),
    ] = None
    survival: Annotated[
        str | None,
        Option(rich_help_panel=_SEARCH, show_default=_OWN, help=f"ga: {', '.join(SURVIVALS)}."),
    ] = None
    search: Annotated[
        Literal["default", "full"],
        Option(rich_help_panel=_SEARCH, help="Which hyperparameters: the original's two, or all of the task's."),
    ] = "default"
    seed: Annotated[int, Option(min=0, rich_help_panel=_SEARCH, help="The same seed gives the same run.")] = 0

    replicates: Annotated[
        int | None,
        Option(
            min=1, rich_help_panel=_TRAINING, show_default=_TASK_DEFAULT, help="Seeds per member; their mean counts."
        ),
    ] = None
    fresh: Annotated[
        int | None,
        Option(
            min=1,
            rich_help_panel=_TRAINING,
            show_default=_TASK_DEFAULT,
            help="Fresh seeds under which the winner is trained again at the end.",
        ),
    ] = None
    steps: Annotated[
        int | None,
        Option(min=1, rich_help_panel=_TRAINING, show_default=_TASK_DEFAULT, help="Training steps a member."),
    ] = None
    dataset: Annotated[
        Literal["mnist", "fashion_mnist"], Option(rich_help_panel=_TRAINING, help="mnist: which images.")
    ] = "mnist"
    data_dir: Annotated[
        Path | None,
        Option(
            rich_help_panel=_TRAINING,
            show_default="JAXGA_DATA_DIR, else a download, else embedded 8x8 digits",
            help="mnist: folder of the four IDX files, gzipped or not.",
        ),
    ] = None
    env: Annotated[str, Option(rich_help_panel=_TRAINING, help="ppo: gymnax environment.")] = "CartPole-v1"
    metric: Annotated[
        Literal["return", "area"],
        Option(
            rich_help_panel=_TRAINING,
            help="cartpole, ppo: mean return after training, or area under the learning curve.",
        ),
    ] = "return"

    out: Annotated[
        Path | None,
        Option(rich_help_panel=_RUN, show_default="runs/TASK-DATE", help="Folder to write; new or empty."),
    ] = None
    resume: Annotated[
        Path | None,
        Option(
            rich_help_panel=_RUN,
            show_default=False,
            metavar="DIR",
            help="Go on with the run in DIR; its options hold, --generations may be raised.",
        ),
    ] = None
    chunk: Annotated[
        int | None,
        Option(
            min=1,
            rich_help_panel=_RUN,
            show_default="the task's own on a CPU, all on an accelerator",
            help="Members trained side by side on a device.",
        ),
    ] = None
    dispatch: Annotated[int, Option(min=1, rich_help_panel=_RUN, help="Generations per compiled program.")] = 1
    processes: Annotated[
        str,
        Option(rich_help_panel=_RUN, help="Processes on this machine: a number, or auto (one a core; 1 on a GPU)."),
    ] = "auto"
    coordinator: Annotated[
        str | None,
        Option(
            rich_help_panel=_RUN,
            show_default=False,
            help="HOST:PORT of process 0 of a run on several hosts, or auto under SLURM, Kubernetes or Open MPI.",
        ),
    ] = None
    num_processes: Annotated[
        int | None, Option(min=1, rich_help_panel=_RUN, show_default=False, help="With --coordinator: how many.")
    ] = None
    process_id: Annotated[
        int | None, Option(min=0, rich_help_panel=_RUN, show_default=False, help="With --coordinator: which, from 0.")
    ] = None
    target: Annotated[
        float | None, Option(rich_help_panel=_STOP, show_default=False, help="A best value that is good enough.")
    ] = None
    patience: Annotated[
        int | None,
        Option(min=1, rich_help_panel=_STOP, show_default=False, help="Generations in a row without a better value."),
    ] = None
    max_seconds: Annotated[
        float | None,
        Option(
            min=0,
            rich_help_panel=_STOP,
            show_default=False,
            help="Seconds of the whole command, the report counted: no generation begins that would end too late.",
        ),
    ] = None
    max_evaluations: Annotated[
        int | None,
        Option(min=1, rich_help_panel=_STOP, show_default=False, help="Trainings: members x replicates, never more."),
    ] = None
    warm_start: Annotated[
        str | None,
        Option(
            rich_help_panel=_SEARCH,
            show_default=False,
            metavar="FILE",
            help="Begin with what a history (.csv, .parquet), a .json list of settings or an Optuna URL knows.",
        ),
    ] = None
    no_report: Annotated[
        bool, Option("--no-report", rich_help_panel=_RUN, help="Leave out figures, report.html and history.parquet.")
    ] = False
    tensorboard: Annotated[bool, Option("--tensorboard", rich_help_panel=_RUN, help="Write DIR/tensorboard.")] = False
    wandb: Annotated[bool, Option("--wandb", rich_help_panel=_RUN, help="Log to Weights & Biases.")] = False
    mlflow: Annotated[bool, Option("--mlflow", rich_help_panel=_RUN, help="Log to MLflow.")] = False
    quiet: Annotated[bool, Option("--quiet", rich_help_panel=_RUN, help="Print errors only.")] = False
    dry_run: Annotated[bool, Option("--dry-run", rich_help_panel=_RUN, help="Show what would run, and stop.")] = False

    @property
    def entry(self) -> Entry:
        """The task's row of the catalogue."""
        return TASKS[self.task]

    def resolve(self) -> "Options":
        """The same options with the task's defaults filled in.

        Raises:
            ValueError: an unknown task or algorithm, options that contradict one another.
        """
        for option, allowed in _CHOICES.items():
            if (value := getattr(self, option)) is not None:
                check_choice(f"--{option}", value, allowed)
        entry, accepted = self.entry, inspect.signature(ALGORITHMS[self.algorithm]).parameters
        for option, parameter in _BREEDING.items():
            if getattr(self, option) is not None and parameter not in accepted:
                raise ValueError(f"--{option} does not apply to --algorithm {self.algorithm}")
        self._check_processes()
        for option in ("out", "resume"):
            if not _is_utf8(str(getattr(self, option))):  # what writes the checkpoints takes no other
                raise ValueError(f"--{option} must be a name in UTF-8, got {str(getattr(self, option))!r}")
        for field in dataclasses.fields(self):
            option, value = f"--{field.name.replace('_', '-')}", getattr(self, field.name)
            if value != field.default and self.task not in OPTIONS.get(field.name, (self.task,)):
                raise ValueError(f"{option} does not apply to --task {self.task}")
            most = _MOST.get(field.name, MAX_MEMBERS)
            if isinstance(value, int) and value > most:
                raise ValueError(f"{option} must be at most {most:,}, got {shorten(str(value))}")
        defaults = {
            "pop": entry.pop,
            "generations": entry.generations,
            "replicates": entry.replicates,
            "fresh": entry.fresh,
        }
        if self.target is not None and not math.isfinite(self.target):
            raise ValueError(f"--target must be a finite number, got {self.target}")
        if self.max_seconds is not None and not 0 < self.max_seconds < math.inf:
            raise ValueError(f"--max-seconds must be above 0 and finite, got {self.max_seconds}")
        for name, (package, _) in TRACKERS.items():
            if getattr(self, name) and importlib.util.find_spec(package) is None:
                raise ValueError(f"--{name} needs the package {package}: {install_hint(name)}")
        missing = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        resolved = dataclasses.replace(self, **missing)
        resolved._check_sizes()
        return resolved

    def _check_processes(self) -> None:
        most = _MAX_PROCESSES_A_CORE * runtime.num_cores()
        if self.processes != "auto" and not _is_whole(self.processes):
            raise ValueError(f"--processes must be auto or a number of at least 1, got {shorten(self.processes)!r}")
        if self.processes != "auto" and int(self.processes) > most:
            raise ValueError(
                f"--processes must be at most {most}, {_MAX_PROCESSES_A_CORE} a core, got {self.processes}"
            )
        if (self.num_processes is None) != (self.process_id is None):
            raise ValueError("--num-processes and --process-id go together")
        if self.num_processes is not None and self.coordinator in (None, "auto"):
            raise ValueError("--num-processes and --process-id need --coordinator HOST:PORT")
        if self.coordinator not in (None, "auto"):
            host, _, port = self.coordinator.rpartition(":")
            if not (host and _is_whole(port) and int(port) <= _MAX_PORT):
                allowed = f"HOST:PORT with a port from 1 to {_MAX_PORT}, or auto"
                raise ValueError(f"--coordinator must be {allowed}, got {shorten(self.coordinator)!r}")
            if self.num_processes is None:
                raise ValueError("--coordinator HOST:PORT needs --num-processes and --process-id")

    def _check_sizes(self) -> None:
        """Of resolved options: what is computed in a generation, and in all of them, can be counted."""
        assert self.generations is not None
        assert self.pop is not None
        assert self.replicates is not None
        if self.pop * self.replicates > _MAX_TRAININGS:
            what = f"{self.pop:,} x {self.replicates:,}"
            raise ValueError(f"--pop x --replicates must be at most {_MAX_TRAININGS:,} a generation, got {what}")
        if self.pop * self.generations > MAX_MEMBERS:
            what = f"{self.pop:,} x {self.generations:,}"
            raise ValueError(f"--pop x --generations must be at most {MAX_MEMBERS:,} members, got {what}")
        _ = self.num_generations

    @property
    def num_generations(self) -> int:
        """How many there will be at most; of resolved options."""
        assert self.generations is not None
        assert self.pop is not None
        assert self.replicates is not None
        return self.rules.num_generations(self.generations, self.pop * self.replicates)

    @property
    def rules(self) -> Rules:
        """The stop rules."""
        return Rules(self.target, self.patience, self.max_seconds, self.max_evaluations)

    def make_algorithm(self, space: SearchSpace) -> Algorithm:
        """The algorithm on this space; of resolved options."""
        factory: Callable[..., Algorithm] = ALGORITHMS[self.algorithm]
        given = {parameter: getattr(self, option) for option, parameter in _BREEDING.items()}
        return factory(space, population_size=self.pop, **{k: v for k, v in given.items() if v is not None})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for config.json."""
        return {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Options":
        """Inverse of :meth:`as_dict`; ``ValueError`` where a value is of another kind than its option."""
        kinds, values = get_type_hints(cls), {}
        for name, value in plain.items():
            values[name] = Path(value) if isinstance(value, str) and kinds[name] == Path | None else value
            if not _is_a(values[name], kinds[name]):
                raise ValueError(f"config.json: --{name.replace('_', '-')} cannot be {shorten(repr(value))}")
        return cls(**values)


def _is_a(value: Any, kind: Any) -> bool:
    """Whether the value is of an option's kind, as the option's annotation has it."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if isinstance(kind, UnionType):
        return any(_is_a(value, one) for one in get_args(kind))
    return isinstance(value, (int, float) if kind is float else kind) and (kind is bool or not isinstance(value, bool))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_whole(text: str) -> bool:
    """Whether the text is a whole number of at least 1, and of at most nine digits."""
    return text.isdecimal() and len(text) < 10 and int(text) >= 1


# Options that are one of some names.
_CHOICES = {
    "task": TASKS,
    "algorithm": ALGORITHMS,
    "surrogate": SURROGATES,
    "selection": SELECTIONS,
    "crossover": CROSSOVERS,
    "mutation": MUTATIONS,
    "survival": SURVIVALS,
}
# Keys of the trainings of a generation are made side by side: 16 million take 0.1 GB.
_MAX_TRAININGS = 2**24
_MOST = {"pop": MAX_POPULATION, "replicates": MAX_POPULATION, "fresh": MAX_POPULATION, "seed": MAX_SEED}
# More would only wait for one another; a test runs two on one core.
_MAX_PROCESSES_A_CORE = 4
_MAX_PORT = 65_535
# Command-line option -> parameter of an algorithm's factory.
_BREEDING = {
    "parents": "num_parents",
    "mutations": "num_mutations",
    "invaders": "num_invaders",
    "surrogate": "surrogate",
    "selection": "selection",
    "crossover": "crossover",
    "mutation": "mutation",
    "survival": "survival",
}
