"""Folders of runs, written by the writers of a run, and what their reports say."""

import html
import json
import re
from dataclasses import asdict

import jax.numpy as jnp
import numpy as np

from jaxga import Categorical, Integer, LogInteger, LogUniform, Objective, SearchSpace, Uniform
from jaxga.base import Best, Offspring, Species
from jaxga.evolution import Record
from jaxga.loop import Generation
from jaxga.report.page import write_report
from jaxga.runs import records
from jaxga.runs.saved import SavedRun

ALL_KINDS = {
    "rate": LogUniform(1e-5, 1.0),
    "momentum": Uniform(0.0, 0.99),
    "width": LogInteger(8, 512),
    "depth": Integer(1, 4),
    "kind": Categorical(("adam", "sgd", "None", True)),
    "size": Categorical((128, 256.5)),
}
HOSTILE = "</script><b>$\\frac{x}$ & " + "so_long_a_name_" * 12
TWO = {"x": Uniform(0.0, 1.0), "rate": LogUniform(1e-4, 1.0)}


def write_run(
    path, space=TWO, *, objective=("loss", "min"), pop=8, generations=4, value=None, bred=None,
    replicates=1, noise=0.0, species=None, predicted=None, estimates=None, killed=False, lost_events=0, metrics=None,
    task="guess", **options,
):  # fmt: skip
    """A run's folder by the writers of a run; ``value(rng, generation, genomes)`` and so on give what it recorded."""
    space, objective = SearchSpace(space), Objective(*objective)
    rng = np.random.default_rng(0)
    path.mkdir(exist_ok=True)
    history = records.HistoryFile(records.Log(path / "history.csv"), "run", space, objective, replicates)
    events = records.Events(records.Log(path / "events.jsonl"), objective)
    least, genomes = np.inf, np.zeros((pop, space.size))
    for g in range(generations):
        genomes = np.asarray(space.snap(jnp.asarray(rng.random((pop, space.size)), jnp.float32)))
        genomes = bred(g, genomes) if bred else genomes
        values = value(rng, g, genomes) if value else genomes[:, 0] + 0.5**g
        values = np.asarray(values, np.float32)
        loss = np.where(np.isfinite(values), np.float32(objective.sign) * values, np.inf).astype(np.float32)
        least = min(least, float(loss.min()))
        best = least if estimates is None else objective.sign * estimates(g)
        kinds = species(g) if species else [Species.CHILD if g else Species.FOUNDER] * pop
        expected = predicted(rng, g, values) if predicted and g else np.full(pop, np.nan)
        offspring = Offspring(genomes, np.array(kinds), np.full((pop, 2), -1), objective.sign * expected)
        extra = metrics(rng, g, pop) if metrics else {}
        failed = int((~np.isfinite(loss)).sum())
        variance = np.full(pop, noise**2 / replicates)
        record = Record(np.int32(g), offspring, loss, variance, extra, failed, Best(genomes[0], best))
        history.write(Generation(record, None, 1.0, 0.25))
        if g < generations - lost_events:
            events.write(Generation(record, None, 1.0, 0.25))
    about = {"task": task, "algorithm": "invasive_ga", "pop": pop, "generations": generations, "seed": 3}
    config = {
        "run": "run", "created": "2026-01-01T00:00:00+00:00", "command": ["run.py", "--task", task],
        "options": about | {"replicates": replicates}, "identity": about, "task_arguments": options, "data": {},
        "python": "3.11.0", "versions": {"jax": "0.10.2"}, "platform": "Linux-x", "processor": "A processor",
        "cores": 2, "devices": ["cpu"], "git_commit": "abcdef", "space": space.to_dict(),
        "objective": asdict(objective), "constants": {"num_steps": 1234, "hidden_size": 77},
    }  # fmt: skip
    (path / "config.json").write_text(json.dumps(config))
    if not killed:
        fresh = {objective.name: [float(objective.sign * best)] * 4, "test_accuracy": [0.5, 0.5, 0.5, 0.7]}
        result = {"status": "finished", "reason": None, "best": space.setting(genomes[0])}
        result |= {"best_value": float(objective.sign * best), "fresh": fresh, "seconds": {"start": 1.0}}
        (path / "result.json").write_text(json.dumps(result))
    return path


def mixed(num_invaders, num_children):
    return lambda g: (
        [Species.INVADER] * num_invaders + [Species.CHILD] * num_children if g else [0] * (num_invaders + num_children)
    )


def noisy(path, **options):
    """One setting that is lucky at first, with 0.1; then it has 1.0, and the search believes 2, 1.5, 1.25."""
    value = lambda rng, g, x: np.append(0.1 if g == 0 else 1.0, 3 + rng.random(7))  # noqa: E731
    bred = lambda g, genomes: np.vstack([np.full_like(genomes[:1], 0.25), genomes[1:]])  # noqa: E731
    return write_run(path, value=value, bred=bred, estimates=lambda g: [2.0, 1.5, 1.25][g], generations=3, **options)


def only_in(g, values):
    """Values of generation ``g``; the first gene in the others."""
    return lambda rng, generation, genomes: values if generation == g else genomes[:, 0]


MATRIX = {
    "plain": {},
    "killed": {"killed": True},
    "killed between the rows and the event": {"killed": True, "lost_events": 1},
    "killed in the first generation": {"killed": True, "generations": 1, "lost_events": 1},
    "a generation that failed": {"value": only_in(2, [np.nan] * 8)},
    "the first that failed": {"value": only_in(0, [np.nan] * 8)},
    "all that failed": {"value": lambda *_: [np.nan] * 8, "killed": True},
    "one gene": {"space": {"x": Uniform(0.0, 1.0)}},
    "one category": {"space": {"kind": Categorical(("a", "b"))}},
    "all kinds": {"space": ALL_KINDS, "pop": 20},
    "ten genes": {"space": {f"g{i}": Uniform(-1.0, 1.0) for i in range(10)}, "pop": 20},
    "twenty genes": {"space": {f"g{i}": LogUniform(1e-3, 1.0) for i in range(20)}, "pop": 20},
    "one generation": {"generations": 1},
    "many generations": {"generations": 60, "pop": 4},
    "two members": {"pop": 2},
    "one member": {"pop": 1, "generations": 3},
    "maximised": {"objective": ("return", "max"), "value": lambda rng, g, x: 10.0 ** (3 * x[:, 0])},
    "maximised below 0": {"objective": ("return", "max"), "value": lambda rng, g, x: -500 * x[:, 0]},
    "huge": {"value": lambda rng, g, x: 3e38 * (x[:, 0] - 0.5)},
    "from tiny to huge": {"value": lambda rng, g, x: 10.0 ** (70 * x[:, 0] - 35)},
    "all equal": {"value": lambda rng, g, x: np.full(len(x), 7.0), "pop": 20},
    "all zero": {"value": lambda rng, g, x: np.zeros(len(x)), "pop": 20},
    "noise": {"replicates": 3, "noise": 0.5, "estimates": lambda g: 0.6 - 0.1 * g, "predicted": lambda rng, g, v: v},
    "noise that hides all": {"replicates": 2, "noise": 1e3, "predicted": lambda rng, g, v: rng.random(len(v))},
    "a constant prediction": {"predicted": lambda rng, g, v: np.ones(len(v))},
    "a narrow range": {"space": {"rate": LogUniform(0.21, 0.22), "x": Uniform(0.0, 1.0)}},
    "hostile names": {
        "space": {HOSTILE: Uniform(0.0, 1.0), f"{HOSTILE}2": Categorical(("$a$", "<i>b" * 20))},
        "objective": (HOSTILE, "min"),
        "pop": 20,
    },
    "curves": {
        "metrics": lambda rng, g, n: {"a_curve": rng.random((n, 5)), "<i>": np.full((n, 3), np.nan), "m": np.ones(n)}
    },
}


def read(path):
    """A run and its history."""
    run = SavedRun.read(path)
    return run, run.history


def page(path):
    """The text of the report that is written for the run in ``path``."""
    write_report(*read(path))
    return (path / "report.html").read_text()


def prose(text):
    """What a person reads: the head, the paragraphs and the tables."""
    return html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r"<(script|style)\b.*?</\1>", " ", text, flags=re.S)))


def says(path):
    return re.sub(r"\s+", " ", prose(page(path)))
