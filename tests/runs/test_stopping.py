"""Stop rules: when a run ends before its last generation."""

import json

import numpy as np
import pytest

from jaxga.base import Best, Objective, Offspring
from jaxga.cli.run import main
from jaxga.evolution import Record
from jaxga.loop import Generation
from jaxga.runs.stopping import Overhead, Stop, StopState
from tests.command_line import SMALL, events, outcome, resume


def generation(number, best_loss, seconds=1.0):
    offspring = Offspring(np.zeros((2, 1)), *[np.zeros(2)] * 3)
    record = Record(number, offspring, np.zeros(2), np.zeros(2), {}, 0, Best(np.zeros(1), best_loss))
    return Generation(record, record, seconds, 0.0)


@pytest.mark.parametrize(
    ("rules", "direction", "best_losses", "stops_after"),
    [
        (Stop(target=2.0), "min", [4.0, 2.1, 2.0, 1.0], 3),
        (Stop(target=2.0), "max", [-1.0, -1.9, -2.0, -3.0], 3),
        (Stop(patience=2), "min", [4.0, 3.0, 3.0, 2.0, 2.0, 2.0, 1.0], 6),
        (Stop(patience=1), "min", [4.0, 4.0, 3.0], 2),
        (Stop(max_seconds=3.5), "min", [4.0, 3.0, 2.0, 1.0], 3),
        (Stop(max_seconds=3.0), "min", [4.0, 3.0, 2.0, 1.0], 3),
        (Stop(max_seconds=2.9), "min", [4.0, 3.0, 2.0, 1.0], 2),
        (Stop(max_seconds=0.1), "min", [4.0, 3.0, 2.0, 1.0], 1),
        (Stop(), "min", [4.0, 4.0, 4.0], None),
    ],
)
@pytest.mark.parametrize("is_resumed", [False, True])
def test_rules_end_a_run_exactly(rules, direction, best_losses, stops_after, is_resumed):
    objective, now = Objective("value", direction), [0.0]
    overhead = Overhead(elapsed=lambda: now[0])
    state, stopped = StopState(rules, objective, overhead), None
    assert not state.ends()
    for i, best_loss in enumerate(best_losses):
        if is_resumed:
            now[0] = 0.0
            state = StopState(rules, objective, overhead, json.loads(json.dumps(state.notes)))
        now[0] += 1.0
        state.write(generation(i, best_loss))
        if state.ends() and stopped is None:
            stopped = i + 1
    assert stopped == stops_after


def test_the_target_ends_a_run_and_its_history(whole, tmp_path):
    best = [event["best"] for event in events(whole)]
    number = next(i for i, b in enumerate(best) if b < best[0])
    folder = tmp_path / "target"
    target = ["--target", str(best[number])]
    assert main([*SMALL, "--generations", "8", "--out", str(folder), *target]) == 0
    assert len(events(folder)) == number + 1
    assert outcome(whole)[0].startswith(outcome(folder)[0])
    assert json.loads((folder / "result.json").read_text())["reason"].startswith("the target")
    assert resume(folder) == 0
    assert len(events(folder)) == number + 1


@pytest.mark.parametrize(("limit", "generations"), [(6, 1), (17, 2), (18, 3)])
def test_no_more_evaluations_than_allowed(tmp_path, limit, generations):
    folder = tmp_path / "run"
    assert main([*SMALL, "--generations", "4", "--out", str(folder), "--max-evaluations", str(limit)]) == 0
    assert json.loads((folder / "result.json").read_text())["evaluations"] == generations * 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-evaluations", "5"], "--max-evaluations must be at least one generation's 6, got 5"),
        (["--target", "nan"], "--target must be a finite number"),
        (["--max-seconds", "0"], "--max-seconds must be above 0"),
        (["--patience", "0"], "--patience"),
        (["--warm-start", "nothing.csv"], "warm start nothing.csv: it cannot be read"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, message, capfd):
    assert main([*SMALL, "--out", str(tmp_path / "new"), *arguments]) == 2
    err = capfd.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "new").exists()
