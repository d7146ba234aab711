"""Evolve the weights of policies with several methods: ``python experiments/neuroevolution.py [--quick]``."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

from typer import Option

# The code of this checkout, even where another one is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jaxga  # noqa: F401  (before JAX starts)
from experiments.weights import encodings, page, searches, throughput
from experiments.weights.searches import METHODS, PPO, Row, Setup
from jaxga.cli.arguments import MISTAKES, fail, parse
from jaxga.cli.start import use_compilation_cache
from jaxga.runs.records import environment
from jaxga.text import check_choice

PARTS = ("searches", "throughput", "encodings")
SETUPS = {
    setup.env: setup
    for setup in (
        Setup("CartPole-v1", 128, 20),
        Setup("Acrobot-v1", 128, 30),
        Setup("Pendulum-v1", 128, 100),
        Setup("Breakout-MinAtar", 256, 100, (32,)),
    )
}
_PLACES = {pair: place for place, pair in enumerate(product(SETUPS, (*METHODS, PPO)))}


@dataclass(frozen=True)
class Options:
    """Evolve the weights of policies without a gradient, and measure what it takes.

    searches: several methods with the same number of episodes, and PPO. throughput: frames a second
    beside evosax's own loop. encodings: genes or seeds of mutations. Prints a page; --out also writes it, with its
    numbers and a picture. Parts, and rows of searches, that are in DIR already and not measured now are kept.
    """

    only: Annotated[str, Option(help=f"Parts to measure, with commas between: {', '.join(PARTS)}.")] = ",".join(PARTS)
    env: Annotated[
        str | None,
        Option(
            show_default="all, with --quick CartPole-v1",
            help=f"searches: environments, with commas between: {', '.join(SETUPS)}.",
        ),
    ] = None
    methods: Annotated[str, Option(help="searches: with commas between.")] = ",".join((*METHODS, PPO))
    num_searches: Annotated[int, Option(min=2, help="searches: for each method, an even number.")] = 8
    quick: Annotated[bool, Option("--quick", help="Tiny, to test the program: its figures mean nothing.")] = False
    out: Annotated[Path | None, Option(metavar="DIR", help="Folder for the page, its numbers and the picture.")] = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for what the user can mend)."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        parsed = parse(Options, given)
        if parsed is not None:
            _run(parsed.options, given)
    except MISTAKES as error:
        return fail(error)
    return 0


def _run(options: Options, given: Sequence[str]) -> None:
    parts = _words("--only", options.only, PARTS)
    default = "CartPole-v1" if options.quick else ",".join(SETUPS)
    envs = _words("--env", default if options.env is None else options.env, SETUPS)
    methods = _words("--methods", options.methods, (*METHODS, PPO))
    if options.num_searches % 2:
        raise ValueError(f"--num-searches must be an even number, got {options.num_searches}")
    use_compilation_cache()
    about = _about(options, given)
    record = page.Record.read(options.out) if options.out is not None else page.Record()
    if "searches" in parts:
        record.searches = _kept(record.searches, envs, methods, about)
        for row in _searched(options, envs, methods):
            record.searches.rows.append(row)
            record.searches.rows.sort(key=lambda row: _PLACES.get((row.env, row.method), len(_PLACES)))
            if options.out is not None:  # a long run that is stopped keeps what it has
                record.write(options.out)
    sizes = (16, 2, 1, 1) if options.quick else (256, 5, 7)
    if "throughput" in parts:
        record.throughput = page.Part(about, throughput.measure(*sizes))
    if "encodings" in parts:
        lines = [(100, 3)] if options.quick else [(d, n) for d in (1_282, 12_931) for n in (10, 100, 1000)]
        record.encodings = page.Part(about, [c for line in lines for c in encodings.measure(*line, sizes[0])])
    print("\n" + page.markdown(record))
    if options.out is not None:
        record.write(options.out)


def _kept(part: page.Part | None, envs: Sequence[str], methods: Sequence[str], about: list[str]) -> page.Part:
    """The rows that are not measured now, with how they were; and how the others are."""
    rows = [row for row in part.rows if (row.env, row.method) not in product(envs, methods)] if part else []
    if part is None or not rows:
        return page.Part(about, [])
    return page.Part([*part.about, *(f"{', '.join(methods)} on {', '.join(envs)}: {line}" for line in about)], rows)


def _about(options: Options, given: Sequence[str]) -> list[str]:
    """How a part is measured, in words."""
    machine = environment()
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    command = " ".join(["python experiments/neuroevolution.py", *_public(given)])
    cores = f"{machine['cores']} core{'s' * (machine['cores'] != 1)}, {machine['processor']}"
    about = [f"command: `{command}`", f"machine: {cores}", f"versions: {versions}, Python {machine['python']}"]
    return [*about, "--quick: these figures mean nothing"] if options.quick else about


def _searched(options: Options, envs: Sequence[str], methods: Sequence[str]) -> Iterator[Row]:
    """The rows, each printed when it is there."""
    for env in envs:
        setup, num = SETUPS[env], options.num_searches
        if options.quick:
            setup, num = Setup(env, 8, 2, (4,), num_episodes=1, num_steps=20), 2
        for method in methods:
            if method == PPO:
                row = searches.train_ppo(env, num, 512 if options.quick else None)
            else:
                row = searches.evolve(setup, method, num)
            print(f"{env}, {method}: {sum(row.fresh) / len(row.fresh):.4g}, {row.seconds:.3g} s", flush=True)
            yield row


def _words(option: str, text: str, allowed: Iterable[str]) -> list[str]:
    words = text.split(",")
    for word in words:
        check_choice(option, word, allowed)
    return words


def _public(arguments: Sequence[str]) -> list[str]:
    """The command line as it can be repeated elsewhere: folders are a matter of the machine."""
    return ["DIR" if i and arguments[i - 1] == "--out" else word for i, word in enumerate(arguments)]


if __name__ == "__main__":
    sys.exit(main())
