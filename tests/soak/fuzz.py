"""Bad input of every kind, to every command and to the library: ``python tests/soak/fuzz.py``.

Each must be told in one line that begins with ``error: ``, with exit status 2, no traceback, and no file made or
changed; in the library by a ``ValueError`` of one line. Prints counts as JSON and each failure; ends with status 1
where there is one.
"""

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent.parent
TIME_LIMIT = 120
# Whatever is not refused by mistake ends soon.
RUN = "--processes 1 --quiet --no-report --generations 1 --out new"
GUESS = f"--task guess --algorithm random_search --pop 6 {RUN}"
MNIST = f"--task mnist --pop 6 {RUN}"


# Of messages that Python wrote for a programmer: whoever typed the input did not call that.
INTERNALS = ("zip()", "NoneType", "unexpected keyword", "out of range", "has no attribute", "not in list")
INTERNALS += ("positional argument", "not subscriptable", "not iterable", "not callable", "object is not", "__init__")


class Case(NamedTuple):
    """Attributes:
    command: run, export, report, compare or benchmark.
    arguments: of its command line; run in a folder with what :func:`write_inputs` writes.
    environment: of a process of its own; None for a call in this one.
    """

    command: str
    arguments: tuple[str, ...]
    environment: dict[str, str] | None = None

    @property
    def name(self) -> str:
        """What it is called in a report."""
        words = " ".join(word if len(word) < 60 else f"{word[:60]}..." for word in self.arguments)
        before = "".join(f"{k}={v} " for k, v in (self.environment or {}).items())
        return f"{before}{self.command} {words}".encode("unicode_escape").decode()


def split(command: str, text: str, *more: str) -> Case:
    return Case(command, (*text.split(), *more))


# --- what a folder has, for the command line to find fault with ---

SETTING = {f"n{i}": i for i in range(10)}
HEADER = ",".join([*SETTING, "value"])
ROW = ",".join(map(str, [*SETTING.values(), 1.5]))


def listed(**changed: Any) -> str:
    """A JSON list of one setting, with something changed."""
    return json.dumps([SETTING | changed])


def configured(**changed: Any) -> str:
    """A config.json with something changed."""
    whole = {"options": {"generations": 2}, "identity": {}, "objective": {"name": "value", "direction": "min"}}
    space = {name: {"kind": "Integer", "low": 0, "high": 99} for name in SETTING}
    return json.dumps(whole | {"space": space} | changed)


HISTORIES = ("missing", "empty", "words", "torn", "cells", "bytes")
FILES: dict[str, str | bytes] = {
    "null.json": "null",
    "nulls.json": "[null]",
    "word.json": '"word"',
    "number.json": "3",
    "object.json": "{}",
    "empty_list.json": "[]",
    "numbers.json": "[1, 2]",
    "lists.json": "[[1, 2]]",
    "half.json": "[{",
    "empty.json": "",
    "bytes.json": b"\xff\xfe\x00\x01",
    "deep.json": "[" * 100_000,
    "deep_object.json": '[{"n0":' * 50_000,
    "missing_name.json": '[{"n0": 1}]',
    "null_gene.json": listed(n3=None),
    "list_gene.json": listed(n3=[1]),
    "object_gene.json": listed(n3={"a": 1}),
    "bool_gene.json": listed(n3=True),
    "word_gene.json": listed(n3="many"),
    "digits_gene.json": listed(n3=10**400),
    "digits_value.json": listed(value=10**400),
    "more_digits.json": '[{"n0": ' + "9" * 5000 + "}]",
    "float_digits.json": '[{"n0": 1e999}]',
    "infinite_gene.json": listed(n3=float("inf")),
    "nan_gene.json": listed(n3=float("nan")),
    "below.json": listed(n3=-1),
    "above.json": listed(n3=100),
    "null_value.json": listed(value=None),
    "list_value.json": listed(value=[1.0]),
    "bool_value.json": listed(value=True),
    "word_value.json": listed(value="low"),
    "some_values.json": json.dumps([SETTING | {"value": 1.0}, SETTING]),
    "all_failed.json": listed(value=float("nan")),
    "brackets.json": listed(n3="[/red]"),
    "empty.csv": "",
    "head.csv": HEADER + "\n",
    "short.csv": f"{HEADER}\n{ROW}\n1,2\n",
    "long.csv": f"{HEADER}\n{ROW},7\n",
    "nul.csv": f"{HEADER}\n{ROW}\n\0{ROW}\n",
    "field.csv": f"{HEADER},note\n{ROW},{'x' * 200_000}\n",
    "no_value.csv": f"{','.join(SETTING)}\n0,1,2,3,4,5,6,7,8,9\n",
    "word_value.csv": f"{HEADER}\n{ROW.replace('1.5', 'low')}\n",
    "empty_value.csv": f"{HEADER}\n{ROW.replace('1.5', '')}\n",
    "word_gene.csv": f"{HEADER}\nx{ROW}\n",
    "nan_gene.csv": f"{HEADER}\nnan{ROW[1:]}\n",
    "missing_name.csv": f"n0,value\n{ROW.split(',')[0]},1\n",
    "latin.csv": f"{HEADER}\n{ROW}\n".encode() + b"\xe9,\xff\n",
    "binary.csv": bytes(range(1, 256)) * 20,
    "prose.csv": "once upon a time\nthere was a table\n",
    "empty.parquet": "",
    "words.parquet": HEADER,
    "magic.parquet": b"PAR1" + b"\0" * 40 + b"PAR1",
    "plain": "a file",
    "[red] plain.txt": "a file",
    "empty.db": "",
    "junk.db": b"no database" * 500,
    "full/mine.txt": "mine",
    "config_null/config.json": "null",
    "config_list/config.json": "[]",
    "config_empty/config.json": "{}",
    "config_half/config.json": '{"options": {',
    "config_deep/config.json": "[" * 100_000,
    "config_bytes/config.json": b"\xff\xff",
    "config_unknown/config.json": configured(options={"colour": "red"}),
    "config_types/config.json": configured(options={"pop": "x", "generations": 2}),
    "config_nulls/config.json": configured(options={"task": None, "generations": 2}),
    "config_no_space/config.json": json.dumps({"options": {"generations": 2}, "identity": {}}),
    "config_space/config.json": configured(space={"n0": {"kind": "Uniform"}}),
    "config_kind/config.json": configured(space={"n0": {"kind": "Vague", "low": 0}}),
    "config_dimension/config.json": configured(space={"n0": None}),
    "config_objective/config.json": configured(objective={"colour": "red"}),
    "history_empty/history.csv": "",
    "history_words/history.csv": "words\n",
    "history_torn/history.csv": "run,generation,member\nguess\n",
    "history_cells/history.csv": f"run,generation,member,{HEADER}\nguess,0,x,{ROW}\n",
    "history_bytes/history.csv": bytes(range(1, 256)) * 20,
    "idx_words/train-images-idx3-ubyte": "words",
    "idx_words/train-labels-idx1-ubyte": "words",
    "idx_words/t10k-images-idx3-ubyte": "words",
    "idx_words/t10k-labels-idx1-ubyte": "words",
    "idx_gzip/train-images-idx3-ubyte.gz": b"\x1f\x8b" + b"\0" * 30,
    "idx_gzip/train-labels-idx1-ubyte.gz": b"",
    "idx_gzip/t10k-images-idx3-ubyte.gz": b"",
    "idx_gzip/t10k-labels-idx1-ubyte.gz": b"",
    "idx_huge/train-images-idx3-ubyte": bytes([0, 0, 8, 3]) + b"\xff" * 12,
    "idx_huge/train-labels-idx1-ubyte": bytes([0, 0, 8, 1]) + b"\xff" * 4,
    "idx_huge/t10k-images-idx3-ubyte": b"",
    "idx_huge/t10k-labels-idx1-ubyte": b"",
    "idx_some/train-images-idx3-ubyte": b"",
}


def write_inputs(folder: Path, with_run: bool = True) -> None:
    """Everything that the cases name."""
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    for name in HISTORIES:
        (folder / f"history_{name}").mkdir(exist_ok=True)
        (folder / f"history_{name}" / "config.json").write_text(configured())
        (folder / f"history_{name}" / "events.jsonl").touch()
    (folder / "folder.csv").mkdir()
    (folder / "bare").mkdir()
    os.mkfifo(folder / "pipe.json")
    (folder / "missing_columns.parquet").write_bytes(_parquet({"n0": [1], "value": [1.0]}))
    (folder / "null_value.parquet").write_bytes(_parquet({**{n: [v] for n, v in SETTING.items()}, "value": [None]}))
    whole = _parquet({**{n: [v] for n, v in SETTING.items()}, "value": [1.0]})
    (folder / "torn.parquet").write_bytes(whole[: len(whole) // 2])
    with sqlite3.connect(folder / "other.db") as database:
        database.execute("create table notes (line text)")
    _write_studies(folder)
    if with_run:
        options = f"{GUESS} --generations 2 --out {folder / 'done'}"
        assert importlib.import_module("jaxga.cli.run").main(options.split()) == 0


def _parquet(columns: dict[str, list[Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


def _write_studies(folder: Path) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    genes = {name: optuna.distributions.IntDistribution(0, 99) for name in SETTING}

    def add(file: str, name: str, directions: list[str], params: dict[str, Any], values: list[float] | None) -> None:
        study = optuna.create_study(study_name=name, directions=directions, storage=f"sqlite:///{folder / file}")
        if values is not None:
            used = {gene: genes.get(gene, optuna.distributions.IntDistribution(0, 9)) for gene in params}
            study.add_trial(optuna.create_trial(params=params, distributions=used, values=values))

    add("two.db", "one", ["minimize"], SETTING, [1.0])
    add("two.db", "[red]", ["minimize"], SETTING, [1.0])
    add("up.db", "up", ["maximize"], SETTING, [1.0])
    add("both.db", "both", ["minimize", "minimize"], SETTING, [1.0, 2.0])
    add("fresh.db", "fresh", ["minimize"], SETTING, None)
    add("elsewhere.db", "elsewhere", ["minimize"], {"x": 1}, [1.0])


# --- the command line ---


def command_line() -> Iterator[Case]:
    """All cases."""
    yield from option_cases()
    yield from name_cases()
    yield from path_cases()
    yield from warm_start_cases()
    yield from data_cases()
    yield from other_command_cases()
    yield from process_cases()


COUNTS = ("pop", "generations", "parents", "mutations", "replicates", "fresh", "chunk", "dispatch", "patience")
NO_COUNTS = ("0", "-1", "1.5", "many", "", "1e3", "0x10", str(10**20), "9" * 5000)


def option_cases() -> Iterator[Case]:
    """Numbers and flags."""
    for option in COUNTS:
        method = "ga" if option in ("parents", "mutations") else "random_search"
        begin = f"--task guess --algorithm {method} --pop 6 {RUN}"
        for value in NO_COUNTS:
            yield split("run", begin, f"--{option}={value}")
    for value in ("-1", "x", "", "1.5", str(2**32), str(2**64), str(2**200)):
        yield split("run", GUESS, f"--seed={value}")
    for value in ("-1", "x", str(10**20), "7"):
        yield split("run", f"--task guess --algorithm invasive_ga --pop 6 {RUN} --invaders={value}")
    for value in ("0", "x", "-5", str(10**20)):
        yield split("run", f"{MNIST} --steps={value}")
    for option, values in {
        "target": ("x", "", "nan", "inf", "1e400"),
        "max-seconds": ("x", "0", "-1", "nan", "inf", "1e400"),
        "max-evaluations": ("x", "0", "5", "-3", str(10**20)),
    }.items():
        for value in values:
            yield split("run", f"{GUESS} --{option}={value}")
    for text in ("--processes 0", "--processes -1", "--processes two", "--processes 1.5", "--processes 100000"):
        yield split("run", f"{GUESS} {text}")
    yield split("run", f"{GUESS} --processes {10**30}")
    yield split("run", GUESS, "--processes", "\u00b2")
    for text in (
        "--popp 3",
        "--nonsense",
        "-x",
        "extra",
        "extra words [red]",
        "--quiet=3",
        "--dry-run=no",
        "--task",
        "--pop 200000 --replicates 100",
        "--pop 100000 --generations 2000000",
        "--pop 200000000",
        "--parents 3",
        "--surrogate mlp",
        "--invaders 2",
        "--steps 3",
        "--env CartPole-v1 --metric area",
        "--data-dir bare",
        "--dataset fashion_mnist",
        "--search full",
        "--metric area",
        "--wandb",
        "--mlflow",
        "--resume done",
    ):
        yield split("run", f"{GUESS} {text}")
    for text in ("--pop 1", "--pop 6 --parents 6", "--pop 6 --mutations 0", "--pop 6 --selection rank"):
        yield split("run", f"--task guess --algorithm ga {RUN} {text}")


def name_cases() -> Iterator[Case]:
    """Words that must be one of some, misspelt and strange."""
    for option in ("task", "algorithm", "surrogate", "selection", "crossover", "mutation", "survival", "search"):
        for value in ("nonsense", "", "[red]", "[/]", "a\nb", "GA", "guess ", "\udcff", "x" * 5000):
            yield split("run", GUESS, f"--{option}={value}")
    for value in ("Chess-v0", "cartpole-v1", "[red]", ""):
        yield split("run", f"--task ppo --pop 4 {RUN}", f"--env={value}")
    for option, value in (("dataset", "cifar"), ("metric", "returns")):
        yield split("run", f"--task mnist {RUN} --{option} {value}")


def path_cases() -> Iterator[Case]:
    """Folders to write and to go on with."""
    begin = GUESS.replace("--out new", "")
    for value in ("plain", "plain/run", "full", ".", "", "x" * 300, "a\0b", "/proc/run", "/dev/null", "done"):
        yield split("run", begin, f"--out={value}")
    yield split("run", begin, "--out=[red] plain.txt")
    yield split("run", begin, "--out=\udcff")
    for name in ("missing", "plain", "bare", "full", "", "[red]", "a\0b", "x" * 300, "/dev/null"):
        yield split("run", "--quiet --processes 1", f"--resume={name}")
    for kind in ("null", "list", "empty", "half", "deep", "bytes", "unknown", "types", "nulls", "no_space"):
        yield split("run", f"--quiet --processes 1 --resume config_{kind}")
    for text in ("--seed 5", "--pop 9", "--algorithm ga", "--generations 1", "--out elsewhere", "--task mnist"):
        yield split("run", f"--quiet --processes 1 --resume done {text}")
    yield split("run", "--quiet --processes 1 --resume done --warm-start null.json")


def warm_start_cases() -> Iterator[Case]:
    """Files and storages to begin from."""
    kinds = (".json", ".csv", ".parquet")
    files = [name for name in FILES if name.endswith(kinds) and "/" not in name]
    files += ["missing_columns.parquet", "null_value.parquet", "torn.parquet", "folder.csv", "pipe.json", "plain"]
    files += [
        "missing.csv",
        "missing.json",
        "missing.parquet",
        "",
        ".json",
        "[red].csv",
        "a\0b.csv",
        "x" * 300 + ".csv",
    ]
    urls = ["nonsense://x", "://", "sqlite://", "sqlite:///", "sqlite:///missing.db", "sqlite:////no/such/x.db"]
    urls += ["sqlite:///junk.db", "sqlite:///empty.db", "sqlite:///other.db", "sqlite:///bare", "sqlite:///a\0b.db"]
    urls += ["sqlite:///two.db", "sqlite:///two.db#three", "sqlite:///two.db#[red", "sqlite:///up.db"]
    urls += ["sqlite:///both.db", "sqlite:///fresh.db", "sqlite:///elsewhere.db", "sqlite:///missing.db?mode=x"]
    urls += ["redis://localhost", "mysql://u:p@localhost/x", "postgresql://localhost:99999/x", "http://localhost/x"]
    urls += ["mysql+pymysql://[::1/x", "sqlite+aiosqlite:///two.db", "sqlite:///two.db?timeout=soon", "[/red]://x"]
    urls += ["sqlite:///file:missing.db?uri=true&mode=ro", "sqlite:///:memory:", "file:///etc/passwd"]
    for source in (*files, *urls):
        yield split("run", GUESS, f"--warm-start={source}")


def data_cases() -> Iterator[Case]:
    """Folders of images."""
    for folder in ("missing", "plain", "bare", "idx_words", "idx_gzip", "idx_huge", "idx_some", "~nobody/x", "[red]"):
        yield split("run", MNIST, f"--data-dir={folder}")
    for folder in ("a\0b", "x" * 300, ""):
        yield split("run", MNIST, f"--data-dir={folder}")


def other_command_cases() -> Iterator[Case]:
    """export, report, compare, benchmark."""
    done = "done --optuna"
    for text in ("", "done", "--nonsense", "missing --optuna sqlite:///o.db", "plain --optuna sqlite:///o.db"):
        yield split("export", text)
    for text in (
        "bare --optuna sqlite:///o.db",
        "done more --optuna sqlite:///o.db",
        f"{done} nonsense",
        f"{done} x://y",
    ):
        yield split("export", text)
    for url in ("sqlite://", "sqlite:///", "sqlite:////no/such/o.db", "sqlite:///junk.db", "sqlite:///bare", "[/red]"):
        yield split("export", f"{done} {url}")
    yield split("export", f"{done}=")
    yield split("export", f"{done} sqlite:///two.db --name one")
    yield split("export", f"{done} sqlite:///two.db --name [red]")
    kinds = ("null", "list", "empty", "half", "deep", "bytes", "no_space", "space", "kind", "dimension", "objective")
    for folder in (*(f"config_{kind}" for kind in kinds), *(f"history_{name}" for name in HISTORIES)):
        yield split("export", f"{folder} --optuna sqlite:///o.db")
        yield split("report", folder)
    for text in ("", "missing", "plain", "bare", "full", "--nonsense", "done more", "[red]", "-x"):
        yield split("report", text)
    yield split("report", "", "a\0b")
    out = "--quick --out compared"
    for text in (
        "--nonsense",
        "extra",
        "--budgets x",
        "--budgets 8",
        "--budgets 0x3",
        "--budgets 8x10,",
        "--budgets -1x3",
    ):
        yield split("compare", f"{text} --out compared")
    yield split("compare", f"--out compared --budgets 8x{10**20}")
    yield split("compare", f"--out compared --budgets {10**9}x10")
    for text in ("--methods nonsense", "--methods=", "--methods invasive_ga:nonsense", "--methods ga:mlp", "--seeds 0"):
        yield split("compare", f"{out} {text}")
    for text in ("--seeds x", f"--seeds {10**20}", "--peer-seeds 0", "--peer-minutes -1", "--methods [red]"):
        yield split("compare", f"{out} {text}")
    for text in ("--problems nonsense", "--problems=", "--problems [/]", "--problems all,all"):
        yield split("compare", f"{text} --out compared")
    yield split("compare", "--quick --methods random_search --out plain")
    yield split("compare", "--quick --methods random_search --out plain/x")
    for text in (
        "--nonsense",
        "--task chess",
        "--pop 1",
        "--rows nonsense",
        "--rows=",
        "--rows matmul,sb",
        "--steps 0",
    ):
        yield split("benchmark", text)


def process_cases() -> Iterator[Case]:
    """What needs a process of its own: JAX starts once."""
    guess = (*GUESS.split(),)
    for platform in ("cuda", "nonsense", "tpu", "cpu,nonsense", "[red]"):
        yield Case("run", guess, {"JAX_PLATFORMS": platform})
    yield Case("run", ("--task", "mnist", "--out", "new", "--quiet"), {"JAX_PLATFORMS": "nonsense"})
    yield Case("run", ("--task", "guess", "--dry-run"), {"JAX_PLATFORMS": "nonsense"})
    methods = ("--quick", "--methods", "random_search", "--out", "compared")
    yield Case("compare", methods, {"JAX_PLATFORMS": "nonsense"})
    yield Case("benchmark", ("--rows", "sequential"), {"JAX_PLATFORMS": "nonsense"})
    yield Case("run", ("--task", "mnist", "--out", "new"), {"JAXGA_DATA_DIR": "~nobody/x"})
    yield Case(
        "run", ("--task", "ppo", "--env", "Chess-v0", "--out", "new", "--processes", "2"), {"JAX_PLATFORMS": "cpu"}
    )
    for text in ("nonsense", ":1", "localhost:", "localhost:0", "localhost:99999", "localhost:x", "", "[red]", "a b:c"):
        yield split("run", GUESS, f"--coordinator={text}", "--num-processes=1", "--process-id=0")
    for text in ("--coordinator localhost:4000", "--process-id 0", "--num-processes 2", "--num-processes 0"):
        yield split("run", f"{GUESS} {text}")
    yield split("run", f"{GUESS} --coordinator localhost:4000 --num-processes 2 --process-id 2")
    yield split("run", f"{GUESS} --coordinator localhost:4000 --num-processes {10**20} --process-id 1")
    yield split("run", f"{GUESS} --coordinator auto --num-processes 2 --process-id 1")
    yield Case("run", (*guess, "--coordinator", "auto"), {})


class _TooLong(BaseException):
    """The time limit; no ``Exception``, for nobody to catch."""


def check(case: Case, folder: Path) -> list[str]:
    """What is wrong with how a command takes the case; run with ``folder`` as the working directory."""
    before = snapshot(folder)
    began = time.monotonic()
    with contextlib.chdir(folder):
        status, err = _call(case) if case.environment is None else _start(case)
    problems = []
    lines = err.splitlines()
    if status != 2:
        problems.append(f"status {status}")
    if "Traceback" in err:
        problems.append("a traceback")
    problems += [f"Python's words: {words}" for words in INTERNALS if words in err]
    if len(lines) != 1 or not lines[0].startswith("error: ") or len(lines[0]) < 10:
        problems.append(f"{len(lines)} lines on stderr")
    if snapshot(folder) != before:
        changed = {name for name, _ in set(before.items()) ^ set(snapshot(folder).items())}
        problems.append(f"changed {sorted(changed)}")
    if problems:
        problems.append(err[-400:])
    elif time.monotonic() - began > TIME_LIMIT / 2:
        problems.append(f"{time.monotonic() - began:.0f} s")
    return problems


def snapshot(folder: Path) -> dict[str, str]:
    """Every path beneath, with what is in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
        found[str(path.relative_to(folder))] = content
    return found


def _call(case: Case) -> tuple[int, str]:
    """Status and standard error of a command in this process."""

    def stop(number: int, frame: Any) -> None:
        raise _TooLong

    package = "experiments" if case.command == "compare" else "jaxga.cli"
    main = importlib.import_module(f"{package}.{case.command}").main
    argv, sys.argv = sys.argv, [f"experiments/{case.command}.py", *case.arguments]
    handler = signal.signal(signal.SIGALRM, stop)
    signal.alarm(TIME_LIMIT)
    with captured() as text:
        try:
            status = main()
        except SystemExit as ending:
            status = ending.code
        except (Exception, _TooLong):
            traceback.print_exc()
            status = 1
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, handler)
            sys.argv = argv
    return status, text()


@contextlib.contextmanager
def captured() -> Iterator[Callable[[], str]]:
    """Whatever is written to standard error, by Python or beneath it; standard output is thrown away."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as file, open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(file.fileno(), 2)
        stderr = open(os.dup(file.fileno()), "w", errors="backslashreplace")  # noqa: SIM115 - closed below
        try:
            with contextlib.redirect_stderr(stderr), contextlib.redirect_stdout(nowhere):
                yield lambda: content
        finally:
            stderr.close()
            for target, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, target)
                os.close(copy)
            file.seek(0)
            content = file.read().decode(errors="replace")


def _start(case: Case) -> tuple[int, str]:
    """Status and standard error of a command in a process of its own."""
    program = [str(ROOT / "experiments" / "compare.py")] if case.command == "compare" else ["-m", "jaxga", case.command]
    command = [sys.executable, *program, *case.arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(case.environment or {})}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
    return done.returncode, done.stderr


# --- the library ---


def library() -> dict[str, Callable[[], Any]]:
    """Calls with wrong arguments, by what they are called in a report; each must raise a ``ValueError`` of one line."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    import jaxga
    from jaxga import Categorical, Integer, LogInteger, LogUniform, Objective, SearchSpace, Uniform

    space = SearchSpace(lr=Uniform(0.0, 1.0), n=Integer(1, 9))
    key = jax.random.key(0)

    def fitness(key: Any, setting: dict[str, Any]) -> Any:
        return setting["lr"] + setting["n"]

    def search(fitness: Any = fitness, space: Any = space, **changed: Any) -> Any:
        sizes = {"population_size": 4, "num_generations": 1} | changed
        return jaxga.minimize(fitness, space, **sizes)

    def returns(value: Any) -> Callable[..., Any]:
        return lambda key, setting: value

    def tell(losses: Any, num_genomes: int = 8) -> None:
        algorithm = jaxga.invasive_ga(space, population_size=8)
        offspring, state = algorithm.ask(key, algorithm.init(key))
        genomes = offspring.genomes
        algorithm.tell(key, state, genomes[:num_genomes], losses)

    def steps(key: Any, setting: dict[str, Any]) -> Any:
        return sum(setting["lr"] for _ in range(setting["n"]))

    calls: dict[str, Callable[[], Any]] = {
        "algorithm='nonsense'": lambda: search(algorithm="nonsense"),
        "algorithm=3": lambda: search(algorithm=3),
        "key=None": lambda: search(key=None),
        "key=0.5": lambda: search(key=0.5),
        "key=-1": lambda: search(key=-1),
        "key=2**32": lambda: search(key=2**32),
        "key='0'": lambda: search(key="0"),
        "key of two": lambda: search(key=jax.random.split(key, 2)),
        "optimize(function)": lambda: jaxga.optimize(fitness),  # pyright: ignore[reportArgumentType]
        "optimize(None)": lambda: jaxga.optimize(None),  # pyright: ignore[reportArgumentType]
        "minimize(space, fitness)": lambda: jaxga.minimize(space, fitness),  # pyright: ignore[reportArgumentType]
        "minimize(None, space)": lambda: search(None),
        "minimize(fitness, None)": lambda: search(space=None),
        "a fitness that gives None": lambda: search(returns(None)),
        "a fitness that gives three": lambda: search(returns((1.0, {}, 2))),
        "a fitness that gives a dict": lambda: search(returns({"loss": 1.0})),
        "a fitness that gives a word": lambda: search(returns("low")),
        "a fitness that gives [3]": lambda: search(returns(jnp.zeros(3))),
        "a fitness that gives a list": lambda: search(returns([1.0, 2.0])),
        "a fitness that gives a complex": lambda: search(returns(1j)),
        "metrics that are no dict": lambda: search(returns((1.0, 2.0))),
        "setting['l']": lambda: search(lambda key, setting: setting["l"]),
        "if on a setting": lambda: search(lambda key, setting: 1.0 if setting["lr"] > 0.5 else 0.0),
        "float() of a setting": lambda: search(lambda key, setting: float(setting["lr"])),
        "int() of a setting": lambda: search(lambda key, setting: int(setting["n"])),
        "range() of a setting": lambda: search(steps),
        "numpy of a setting": lambda: search(lambda key, setting: np.sin(np.asarray(setting["lr"]))),
        "an index by a setting": lambda: search(lambda key, setting: [1.0, 2.0][setting["n"]]),
        "Objective('loss', 'down')": lambda: Objective("loss", "down"),  # pyright: ignore[reportArgumentType]
        "SearchSpace()": lambda: SearchSpace(),
        "SearchSpace(x=3)": lambda: SearchSpace(x=3),  # pyright: ignore[reportArgumentType]
        "SearchSpace(3)": lambda: SearchSpace(3),  # pyright: ignore[reportArgumentType]
        "SearchSpace([...])": lambda: SearchSpace([("x", Uniform(0, 1))]),  # pyright: ignore[reportArgumentType]
        "SearchSpace({3: ...})": lambda: SearchSpace({3: Uniform(0, 1)}),  # pyright: ignore[reportArgumentType]
        "a space with 'value'": lambda: search(lambda k, s: s["value"], SearchSpace(value=Uniform(0, 1))),
        "encode of a part": lambda: space.encode({"lr": 0.5}),
        "encode of 5.4": lambda: space.encode({"lr": 0.5, "n": 5.4}),
        "encode of 10**400": lambda: space.encode({"lr": 0.5, "n": 10**400}),
        "encode of None": lambda: space.encode({"lr": None, "n": 5}),
        "encode of a list": lambda: space.encode({"lr": [0.5], "n": 5}),
        "encode of True": lambda: space.encode({"lr": 0.5, "n": True}),
        "encode of a number": lambda: space.encode(3),  # pyright: ignore[reportArgumentType]
        "settings of [3]": lambda: space.settings(np.zeros(3)),
        "setting of words": lambda: space.setting(["a", "b"]),
        "tell 5 of 8": lambda: tell(np.zeros(5, np.float32)),
        "tell a number": lambda: tell(1.0),
        "tell None": lambda: tell(None),
        "tell words": lambda: tell(["a"] * 8),
        "tell [8, 2]": lambda: tell(np.zeros((8, 2), np.float32)),
        "tell of 5 genomes": lambda: tell(np.zeros(8, np.float32), 5),
        "load of nothing": lambda: jaxga.load("/no/such/folder"),
        "a pop that contradicts the Algorithm": lambda: search(
            algorithm=jaxga.invasive_ga(space, population_size=8), population_size=16
        ),
        "an Algorithm of another space": lambda: search(
            algorithm=jaxga.random_search(SearchSpace(x=Uniform(0, 1)), population_size=4)
        ),
    }
    dimensions: dict[str, Callable[[], Any]] = {
        "Categorical([nan, 1])": lambda: Categorical([float("nan"), 1]),
        "Categorical([inf, 1])": lambda: Categorical([float("inf"), 1]),
        "Categorical([1e39, 1])": lambda: Categorical([1e39, 1]),
        "Categorical([2**40, 1])": lambda: Categorical([2**40, 1]),
        "Categorical([1])": lambda: Categorical([1]),
        "Categorical([])": lambda: Categorical([]),
        "Categorical('ab')": lambda: Categorical("ab"),
        "Categorical([1, 1])": lambda: Categorical([1, 1]),
        "Categorical([[1], [2]])": lambda: Categorical([[1], [2]]),
        "Categorical(None)": lambda: Categorical(None),  # pyright: ignore[reportArgumentType]
        "LogUniform(1e-300, 1)": lambda: LogUniform(1e-300, 1),
        "LogUniform(0, 1)": lambda: LogUniform(0, 1),
        "LogUniform(-1, 1)": lambda: LogUniform(-1, 1),
        "Uniform(1, 0)": lambda: Uniform(1, 0),
        "Uniform(1, 1)": lambda: Uniform(1, 1),
        "Uniform(0, 'x')": lambda: Uniform(0, "x"),  # pyright: ignore[reportArgumentType]
        "Uniform(None, 1)": lambda: Uniform(None, 1),  # pyright: ignore[reportArgumentType]
        "Uniform(0, nan)": lambda: Uniform(0, float("nan")),
        "Uniform(0, 10**400)": lambda: Uniform(0, 10**400),
        "Integer(0.5, 3)": lambda: Integer(0.5, 3),  # pyright: ignore[reportArgumentType]
        "Integer(0, 2**40)": lambda: Integer(0, 2**40),
        "Integer(3, 1)": lambda: Integer(3, 1),
        "Integer(True, 3)": lambda: Integer(True, 3),
        "LogInteger(0, 3)": lambda: LogInteger(0, 3),
        "LogInteger(1, 10**9)": lambda: LogInteger(1, 10**9),
    }
    counts = {
        "population_size": ("8", 8.0, True, 0, -1, 10**20),
        "num_generations": (0, -1, 2.5, "3", None, 10**20),
        "num_replicates": (0, -1, 1.5, "2", 10**20),
        "num_fresh": (-1, 1.5, "2"),
        "chunk_size": (0, -1, 1.5, "2"),
        "generations_per_dispatch": (0, -1, 1.5, "2"),
    }
    for argument, values in counts.items():
        for value in values:
            calls[f"{argument}={value!r}"] = lambda a=argument, v=value: search(**{a: v})
    factories = {
        "invasive_ga": {
            "archive_size": (4, "x", 10**20),
            "num_parents": (0, 8, 2.5, "x"),
            "num_mutations": (0, 1.5, "x"),
            "surrogate": ("x", 3, ""),
            "noisy": ("yes", 1.5),
            "num_invaders": (-1, 9, "x", 2.5),
            "num_candidates": (1, "x", 10**20),
            "litter_size": (0, "x"),
        },
        "ga": {
            "selection": ("x", 3),
            "crossover": ("x", 3),
            "mutation": ("x", None),
            "survival": ("x", 3),
            "crossover_rate": (2, -0.1, "x", float("nan")),
            "num_parents": (0, 9, "x"),
            "num_mutations": (0,),
        },
        "random_search": {"population_size": (0, "x", 2.5, None, True, 10**20)},
        "grid_search": {"num_levels": (1, "x", 10**9)},
    }
    for factory, arguments in factories.items():
        for argument, values in arguments.items():
            for value in values:
                name = f"{factory}({argument}={value!r})"
                given = {"population_size": 8, argument: value}
                calls[name] = lambda f=factory, g=given: jaxga.ALGORITHMS[f](space, **g)
        calls[f"{factory}(None)"] = lambda f=factory: jaxga.ALGORITHMS[f](None, population_size=8)
    return dimensions | calls


def good() -> dict[str, Callable[[], Any]]:
    """What must be accepted."""
    import jaxga

    dimensions = {"x": jaxga.Uniform(0.0, 1.0)}

    def search(space: Any, **changed: Any) -> Any:
        return jaxga.minimize(
            lambda key, s: s["x"], space, population_size=4, num_generations=1, num_fresh=0, **changed
        )

    return {
        "algorithm='invasive_ga'": lambda: search(jaxga.SearchSpace(dimensions), algorithm="invasive_ga"),
        "a dict as space": lambda: search(dimensions),
        "key=2**32 - 1": lambda: search(jaxga.SearchSpace(dimensions), key=2**32 - 1),
    }


def check_call(call: Callable[[], Any], is_good: bool = False) -> list[str]:
    """What is wrong with how the library takes a call."""

    def stop(number: int, frame: Any) -> None:
        raise _TooLong

    handler = signal.signal(signal.SIGALRM, stop)
    signal.alarm(TIME_LIMIT)
    try:
        call()
        return [] if is_good else ["accepted"]
    except ValueError as error:
        text = str(error)
        if is_good:
            return [f"refused: {text[:300]}"]
        return (
            [] if text and "\n" not in text and len(text) < 2000 else [f"{text.count(chr(10)) + 1} lines: {text[:300]}"]
        )
    except (Exception, _TooLong) as error:
        return [f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]]
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--part", choices=["commands", "library", "all"], default="all")
    given = parser.parse_args()
    failures: dict[str, list[str]] = {}
    counts = {"commands": 0, "library": 0, "good": 0}
    if given.part != "library":
        with tempfile.TemporaryDirectory() as scratch:
            write_inputs(Path(scratch))
            for case in command_line():
                if given.only in case.name:
                    counts["commands"] += 1
                    if problems := check(case, Path(scratch)):
                        failures[case.name] = problems
                        print(json.dumps({case.name: problems}), flush=True)
    if given.part != "commands":
        for part, calls in (("library", library()), ("good", good())):
            for name, call in calls.items():
                if given.only in name:
                    counts[part] += 1
                    if problems := check_call(call, is_good=part == "good"):
                        failures[f"{part}: {name}"] = problems
                        print(json.dumps({f"{part}: {name}": problems}), flush=True)
    print(json.dumps({"inputs": counts, "failures": len(failures)}, indent=2))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
