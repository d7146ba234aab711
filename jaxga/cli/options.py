"""The options of ``jaxga run``: each one is declared once, with its help and what it is for."""

import contextlib
import dataclasses
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from typer import Option

from jaxga import runtime
from jaxga.base import Algorithm, Task
from jaxga.checks import MAX_MEMBERS, MAX_POPULATION
from jaxga.cli.task_factories import registered
from jaxga.distribution import install_hint
from jaxga.evaluate import Seeds
from jaxga.lanes import check_revises, plan_lanes
from jaxga.loop import MAX_SEED
from jaxga.optimize import make_algorithm
from jaxga.registry import ALGORITHMS, CROSSOVERS, MUTATIONS, SELECTIONS, SURROGATES, SURVIVALS
from jaxga.runs.config import LENGTH
from jaxga.runs.model import Keep
from jaxga.runs.stopping import Stop
from jaxga.runs.tracking import TRACKERS
from jaxga.schedules import NAMES, SCHEDULES, WHOLE, AnyLayout, Schedule
from jaxga.space import SearchSpace
from jaxga.task import RunDefaults
from jaxga.text import check_choice, shorten


class Use(NamedTuple):
    """What an option is for; by default it is a part of the run, which a resume has to match.

    Attributes:
        task: the parameter of the task's factory that it sets.
        algorithm: the parameter of the algorithm's factory that it sets; the plan shows it.
        schedule: the parameter of the schedule's factory that it sets.
        choices: the words that it allows.
        most: its largest value.
        outside: whether it changes no figure of the run: where the run computes, what it writes and shows.
    """

    task: str | None = None
    algorithm: str | None = None
    schedule: str | None = None
    choices: Callable[[], Iterable[str]] | None = None
    most: int = MAX_MEMBERS
    outside: bool = False


_SEARCH, _TRAINING, _RUN, _STOP = "Search", "Training", "Run", "Stop early"
_TASK_DEFAULT, _OWN = "the task's own", "the algorithm's own"


@dataclass(frozen=True)
class Options:
    """Evolve a task's hyperparameters: a genetic algorithm joined by invasive species.

    Trains a whole population at once and breeds the next one. Writes a folder with the run's configuration, its
    history, its trained model, figures and a report.
    """

    task: Annotated[
        str,
        Option(
            help=f"What to train: {', '.join(registered())}; or your own, as package.module:factory or "
            "path/to/file.py:factory."
        ),
    ] = "mnist"
    set: Annotated[
        list[str] | None,
        Option(
            rich_help_panel=_TRAINING,
            metavar="NAME=VALUE",
            show_default=False,
            help="An argument of the task's factory; may be repeated.",
        ),
    ] = None

    algorithm: Annotated[
        str | None,
        Option(
            rich_help_panel=_SEARCH,
            show_default=f"{_TASK_DEFAULT}, else {RunDefaults.algorithm}",
            help=f"What breeds: {', '.join(ALGORITHMS)}.",
        ),
        Use(choices=lambda: ALGORITHMS),
    ] = None
    pop: Annotated[
        int | None,
        Option(
            min=1,
            rich_help_panel=_SEARCH,
            show_default=_TASK_DEFAULT,
            help="Members per generation; under a schedule the lanes, each with a member in training.",
        ),
        Use(most=MAX_POPULATION),
    ] = None
    generations: Annotated[
        int | None,
        Option(
            min=1,
            rich_help_panel=_SEARCH,
            show_default=_TASK_DEFAULT,
            help="Generations in all; under a schedule each is one part of every training.",
        ),
    ] = None
    schedule: Annotated[
        str,
        Option(
            rich_help_panel=_SEARCH,
            help=f"How much of its training a member gets: {', '.join(NAMES)}.",
        ),
        Use(choices=lambda: NAMES),
    ] = WHOLE
    eta: Annotated[
        int | None,
        Option(
            min=2,
            rich_help_panel=_SEARCH,
            show_default="2; 4 for population_based",
            help="Halvings: at a rung the best 1 / eta of a cohort go on; population_based: as many lanes give up.",
        ),
        Use(schedule="eta"),
    ] = None
    first_rung: Annotated[
        float | None,
        Option(
            rich_help_panel=_SEARCH,
            show_default=f"{_TASK_DEFAULT}, else one part",
            help="Halvings, population_based: the share of a training after which a member may lose its lane first.",
        ),
        Use(schedule="first_rung"),
    ] = None
    parents: Annotated[
        int | None,
        Option(min=1, rich_help_panel=_SEARCH, show_default=_OWN, help="Best members that breed."),
        Use(algorithm="num_parents"),
    ] = None
    mutations: Annotated[
        int | None,
        Option(min=1, rich_help_panel=_SEARCH, show_default=_OWN, help="Genes changed in a mutated child."),
        Use(algorithm="num_mutations"),
    ] = None
    invaders: Annotated[
        int | None,
        Option(
            min=0,
            rich_help_panel=_SEARCH,
            show_default="half of --pop",
            help="Children per generation that the surrogate chooses; 0 is the standard genetic algorithm.",
        ),
        Use(algorithm="num_invaders"),
    ] = None
    surrogate: Annotated[
        str | None,
        Option(rich_help_panel=_SEARCH, show_default=_OWN, help=f"Model of the loss: {', '.join(SURROGATES)}."),
        Use(algorithm="surrogate", choices=lambda: SURROGATES),
    ] = None
    selection: Annotated[
        str | None,
        Option(rich_help_panel=_SEARCH, show_default=_OWN, help=f"ga: {', '.join(SELECTIONS)}."),
        Use(algorithm="selection", choices=lambda: SELECTIONS),
    ] = None
    crossover: Annotated[
        str | None,
        Option(rich_help_panel=_SEARCH, show_default=_OWN, help=f"ga: {', '.join(CROSSOVERS)}."),
        Use(algorithm="crossover", choices=lambda: CROSSOVERS),
    ] = None
    mutation: Annotated[
        str | None,
        Option(rich_help_panel=_SEARCH, show_default=_OWN, help=f"ga: {', '.join(MUTATIONS)}."),
        Use(algorithm="mutation", choices=lambda: MUTATIONS),
    ] = None
    survival: Annotated[
        str | None,
        Option(rich_help_panel=_SEARCH, show_default=_OWN, help=f"ga: {', '.join(SURVIVALS)}."),
        Use(algorithm="survival", choices=lambda: SURVIVALS),
    ] = None
    search: Annotated[
        str | None,
        Option(
            rich_help_panel=_SEARCH,
            show_default=_TASK_DEFAULT,
            help="mnist, cartpole, ppo: which hyperparameters; default (the original's two) or full (all of them).",
        ),
        Use(task="search"),
    ] = None
    seed: Annotated[
        int, Option(min=0, rich_help_panel=_SEARCH, help="The same seed gives the same run."), Use(most=MAX_SEED)
    ] = 0
    warm_start: Annotated[
        str | None,
        Option(
            rich_help_panel=_SEARCH,
            show_default=False,
            metavar="SOURCE",
            help="Begin with the settings of a run's folder or history, a .json list or an Optuna URL.",
        ),
    ] = None

    replicates: Annotated[
        int | None,
        Option(
            min=1, rich_help_panel=_TRAINING, show_default=_TASK_DEFAULT, help="Seeds per member; their mean counts."
        ),
        Use(most=MAX_POPULATION),
    ] = None
    seeds: Annotated[
        Seeds,
        Option(
            rich_help_panel=_TRAINING,
            help="Each member's own, or the same for all members of a generation or of the whole run.",
        ),
    ] = "own"
    fresh: Annotated[
        int | None,
        Option(
            min=1,
            rich_help_panel=_TRAINING,
            show_default=_TASK_DEFAULT,
            help="Fresh seeds under which the winner is trained again at the end.",
        ),
        Use(most=MAX_POPULATION),
    ] = None
    steps: Annotated[
        int | None,
        Option(
            min=1,
            rich_help_panel=_TRAINING,
            show_default=_TASK_DEFAULT,
            help="mnist, cnn, cartpole, ppo: training steps of a member.",
        ),
        Use(task="num_steps"),
    ] = None
    dataset: Annotated[
        str | None,
        Option(
            rich_help_panel=_TRAINING,
            show_default=_TASK_DEFAULT,
            help="mnist, cnn: mnist, fashion_mnist, digits or mnist1d; svm, knn, adaboost, random_forest: digits, "
            "breast_cancer, wine, diabetes or the path of a CSV file.",
        ),
        Use(task="dataset"),
    ] = None
    data_dir: Annotated[
        Path | None,
        Option(
            rich_help_panel=_TRAINING,
            show_default="JAXGA_DATA_DIR, else a download, else embedded 8x8 digits",
            help="mnist, cnn: folder of the four IDX files, gzipped or not.",
        ),
        Use(task="data_dir", outside=True),  # the data's own SHA-256 is compared
    ] = None
    target_column: Annotated[
        str | None,
        Option(rich_help_panel=_TRAINING, help="svm, knn, adaboost, random_forest: of a CSV file, what to predict."),
        Use(task="target_column"),
    ] = None
    precision: Annotated[
        str | None,
        Option(
            rich_help_panel=_TRAINING,
            show_default="float32",
            help="mnist, cnn: float32 or bfloat16 matrix products (with float32 sums).",
        ),
        Use(task="precision"),
    ] = None
    env: Annotated[
        str | None,
        Option(rich_help_panel=_TRAINING, show_default="CartPole-v1", help="ppo, neuroevolution: gymnax environment."),
        Use(task="env"),
    ] = None
    metric: Annotated[
        str | None,
        Option(
            rich_help_panel=_TRAINING,
            show_default="return",
            help="cartpole, ppo: return (mean return after training) or area (under the learning curve).",
        ),
        Use(task="metric"),
    ] = None

    out: Annotated[
        Path | None,
        Option(rich_help_panel=_RUN, show_default="runs/TASK-DATE", help="Folder to write; new or empty."),
        Use(outside=True),
    ] = None
    resume: Annotated[
        Path | None,
        Option(
            rich_help_panel=_RUN,
            show_default=False,
            metavar="DIR",
            help="Go on with the run in DIR; its options hold, --generations may be raised.",
        ),
        Use(outside=True),
    ] = None
    model: Annotated[
        Keep,
        Option(
            rich_help_panel=_RUN, help="Trained models to keep: that of the best fresh seed, those of all, or none."
        ),
        Use(outside=True),
    ] = "best"
    chunk: Annotated[
        str,
        Option(
            rich_help_panel=_RUN,
            help="Members trained side by side on a device: at most this number, or auto (what suits task and memory).",
        ),
        Use(outside=True),  # a resume takes the recorded one
    ] = "auto"
    dispatch: Annotated[int, Option(min=1, rich_help_panel=_RUN, help="Generations per compiled program.")] = 1
    processes: Annotated[
        str,
        Option(
            rich_help_panel=_RUN,
            help="Processes on this machine: a number, or auto (at most one a core, one a chunk of members, and what "
            "memory holds; 1 on a GPU).",
        ),
        Use(outside=True),
    ] = "auto"
    coordinator: Annotated[
        str | None,
        Option(
            rich_help_panel=_RUN,
            show_default=False,
            help="HOST:PORT of process 0 of a run on several hosts, or auto under SLURM, Kubernetes or Open MPI.",
        ),
        Use(outside=True),
    ] = None
    num_processes: Annotated[
        int | None,
        Option(min=1, rich_help_panel=_RUN, show_default=False, help="With --coordinator: how many."),
        Use(outside=True),
    ] = None
    process_id: Annotated[
        int | None,
        Option(min=0, rich_help_panel=_RUN, show_default=False, help="With --coordinator: which, from 0."),
        Use(outside=True),
    ] = None
    target: Annotated[
        float | None, Option(rich_help_panel=_STOP, show_default=False, help="A best value that is good enough.")
    ] = None
    patience: Annotated[
        int | None,
        Option(
            min=1,
            rich_help_panel=_STOP,
            show_default=False,
            help="Generations (under a schedule parts of a training) in a row without a better value.",
        ),
    ] = None
    max_seconds: Annotated[
        float | None,
        Option(
            min=0,
            rich_help_panel=_STOP,
            show_default=False,
            help="Seconds of the whole command with its report: no generation begins that would end too late.",
        ),
    ] = None
    max_evaluations: Annotated[
        int | None,
        Option(
            min=1,
            rich_help_panel=_STOP,
            show_default=False,
            help="Whole trainings, never more: members x replicates, under a schedule lanes x replicates / parts.",
        ),
    ] = None
    no_report: Annotated[
        bool,
        Option("--no-report", rich_help_panel=_RUN, help="Leave out figures, report.html and history.parquet."),
        Use(outside=True),
    ] = False
    tensorboard: Annotated[
        bool, Option("--tensorboard", rich_help_panel=_RUN, help="Write DIR/tensorboard."), Use(outside=True)
    ] = False
    wandb: Annotated[
        bool, Option("--wandb", rich_help_panel=_RUN, help="Log to Weights & Biases."), Use(outside=True)
    ] = False
    mlflow: Annotated[bool, Option("--mlflow", rich_help_panel=_RUN, help="Log to MLflow."), Use(outside=True)] = False
    quiet: Annotated[bool, Option("--quiet", rich_help_panel=_RUN, help="Print errors only."), Use(outside=True)] = (
        False
    )
    dry_run: Annotated[
        bool, Option("--dry-run", rich_help_panel=_RUN, help="Show what would run, and stop."), Use(outside=True)
    ] = False

    def check(self) -> None:
        """Raise ``ValueError`` for an unknown word, a number out of its range, or options that contradict."""
        for name, use in USES.items():
            option, value = flag(name), getattr(self, name)
            if use.choices is not None and value is not None:
                check_choice(option, value, use.choices())
            if isinstance(value, int) and value > use.most:
                raise ValueError(f"{option} must be at most {use.most:,}, got {shorten(str(value))}")
        if self.algorithm is not None:
            self._check_breeding(self.algorithm)
        _ = self.chosen_schedule
        for path in (self.out, self.resume):
            if not _is_utf8(str(path)):  # the report and the trackers take no other
                raise ValueError(f"a folder must have a name in UTF-8, got {str(path)!r}")
        for name, (package, _) in TRACKERS.items():
            if getattr(self, name) and importlib.util.find_spec(package) is None:
                raise ValueError(f"{flag(name)} needs the package {package}: {install_hint(name)}")
        self._check_processes()
        _ = self.stop

    def _check_breeding(self, algorithm: str) -> None:
        accepted = inspect.signature(ALGORITHMS[algorithm]).parameters
        for name, use in USES.items():
            if use.algorithm is not None and getattr(self, name) is not None and use.algorithm not in accepted:
                raise ValueError(f"{flag(name)} does not apply to --algorithm {algorithm}")

    @property
    def chosen_schedule(self) -> Schedule | None:
        """What ``--schedule`` and its options say; None for whole trainings."""
        given = {str(use.schedule): getattr(self, name) for name, use in USES.items() if use.schedule is not None}
        given = {parameter: value for parameter, value in given.items() if value is not None}
        factory: Any = SCHEDULES.get(self.schedule)
        accepted = inspect.signature(factory).parameters if factory is not None else ()
        for parameter in given:
            if parameter not in accepted:
                raise ValueError(f"{flag(parameter)} does not apply to --schedule {self.schedule}")
        with named_as_options():
            return None if factory is None else factory(**given)

    def layout(self, task: Task) -> AnyLayout | None:
        """The lanes of ``--pop`` under the schedule; None for whole trainings. Of options :meth:`with_defaults`."""
        schedule = self.chosen_schedule
        if schedule is None:
            return None
        with named_as_options():
            return plan_lanes(task, schedule, self.sizes[0])

    def with_defaults(self, defaults: RunDefaults, num_parts: int = 1) -> "Options":
        """The same options with the task's own algorithm and sizes where none are given.

        Args:
            defaults: the task's.
            num_parts: how many generations take as long as one of whole trainings.

        Raises ``ValueError`` where they are too large or do not fit the algorithm.
        """
        check_choice("run_defaults: algorithm", defaults.algorithm, ALGORITHMS)
        own = {
            "algorithm": defaults.algorithm,
            "pop": defaults.population_size,
            "generations": defaults.num_generations * num_parts,
            "replicates": defaults.num_replicates,
            "fresh": defaults.num_fresh,
        }
        filled = dataclasses.replace(self, **{k: v for k, v in own.items() if getattr(self, k) is None})
        filled._check_breeding(str(filled.algorithm))
        pop, replicates, generations = filled.sizes
        if pop * replicates > _MAX_TRAININGS:
            what = f"{pop:,} x {replicates:,}"
            raise ValueError(f"--pop x --replicates must be at most {_MAX_TRAININGS:,} a generation, got {what}")
        if pop * generations > MAX_MEMBERS:
            what = f"{pop:,} x {generations:,}"
            raise ValueError(f"--pop x --generations must be at most {MAX_MEMBERS:,} members, got {what}")
        return filled

    def _check_processes(self) -> None:
        for name in ("chunk", "processes"):
            value = getattr(self, name)
            if value != "auto" and not _is_whole(value):
                raise ValueError(f"{flag(name)} must be auto or a number of at least 1, got {shorten(value)!r}")
        most = _MAX_PROCESSES_A_CORE * runtime.num_cores()
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

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Members a generation, replicates a member, generations; of options :meth:`with_defaults`."""
        assert self.pop is not None
        assert self.replicates is not None
        assert self.generations is not None
        return self.pop, self.replicates, self.generations

    def num_generations(self, trainings_each: float) -> int:
        """How many there will be at most, each worth so many trainings; of options :meth:`with_defaults`."""
        with named_as_options():
            return self.stop.num_generations(self.sizes[2], trainings_each)

    @property
    def stop(self) -> Stop:
        """The rules that end the run early."""
        with named_as_options():
            return Stop(self.target, self.patience, self.max_seconds, self.max_evaluations)

    @property
    def chunk_size(self) -> int | Literal["auto"]:
        """``--chunk`` as the library takes it."""
        return "auto" if self.chunk == "auto" else int(self.chunk)

    @property
    def task_options(self) -> dict[str, tuple[str, Any]]:
        """Parameter of the task's factory -> the option that sets it, and its value; of the options given."""
        given = {use.task: (flag(name), getattr(self, name)) for name, use in USES.items() if use.task is not None}
        return {parameter: pair for parameter, pair in given.items() if pair[1] is not None}

    @property
    def breeding(self) -> dict[str, Any]:
        """The options given that are the algorithm's, by their own names."""
        names = [name for name, use in USES.items() if use.algorithm is not None]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def make_algorithm(self, space: SearchSpace, layout: AnyLayout | None) -> Algorithm:
        """The algorithm on this space, for the lanes of a schedule; of options :meth:`with_defaults`."""
        arguments = {str(USES[name].algorithm): value for name, value in self.breeding.items()}
        factory = partial(ALGORITHMS[str(self.algorithm)], **arguments)
        flags = {str(USES[name].algorithm): flag(name) for name in self.breeding}
        if layout is None:
            with with_flags({"population_size": "--pop", **flags}):
                return make_algorithm(factory, space, self.pop)
        with with_flags(flags):
            algorithm = make_algorithm(factory, space, layout.num_new, layout.first_share)
        with named_as_options():
            check_revises(algorithm, self.schedule)
        return algorithm

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for config.json."""
        return {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(self).items()}

    def identity(self) -> dict[str, Any]:
        """The options that the figures of the run are a function of, as plain values."""
        return {k: v for k, v in self.as_dict().items() if k not in LENGTH and not USES[k].outside}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Options":
        """Inverse of :meth:`as_dict`; ``ValueError`` where a value has not its option's type."""
        kinds, values = get_type_hints(cls), {}
        for name, value in plain.items():
            values[name] = Path(value) if isinstance(value, str) and kinds[name] == Path | None else value
            if not _is_a(values[name], kinds[name]):
                raise ValueError(f"config.json: {flag(name)} cannot be {shorten(repr(value))}")
        return cls(**values)


def flag(name: str) -> str:
    """An option as the command line has it.

    >>> flag("max_seconds")
    '--max-seconds'
    """
    return f"--{name.replace('_', '-')}"


@contextlib.contextmanager
def named_as_options() -> Iterator[None]:
    """Write ``--max-seconds`` where a library error begins with ``max_seconds``."""
    try:
        yield
    except ValueError as error:
        name, _, rest = str(error).partition(" ")
        raise ValueError(f"{flag(name)} {rest}") from None


@contextlib.contextmanager
def with_flags(flags: Mapping[str, str]) -> Iterator[None]:
    """In the text of a library's error, write the option in place of the parameter that it sets.

    A name without ``_`` is replaced only at the beginning: elsewhere it may be an English word.

    >>> with with_flags({"num_parents": "--parents"}):
    ...     raise ValueError("num_parents must be at least 1")
    Traceback (most recent call last):
    ValueError: --parents must be at least 1
    """
    try:
        yield
    except ValueError as error:
        message = str(error)
        for parameter, option in flags.items():
            message = re.sub(rf"{'' if '_' in parameter else '^'}\b{parameter}\b", option, message)
        raise ValueError(message) from None


# What each option is for, by its name.
USES: dict[str, Use] = {
    name: next((part for part in get_args(kind) if isinstance(part, Use)), Use())
    for name, kind in get_type_hints(Options, include_extras=True).items()
}


def _is_a(value: Any, kind: Any) -> bool:
    """Whether the value is of an option's type, as the option's annotation has it."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is list:
        return isinstance(value, list) and all(_is_a(item, get_args(kind)[0]) for item in value)
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


# The keys of a generation's trainings are made side by side: 16 million take 0.1 GB.
_MAX_TRAININGS = 2**24
# More processes would only wait for one another; a test runs two on one core.
_MAX_PROCESSES_A_CORE = 4
_MAX_PORT = 65_535
