"""Stop rules: when a run ends before its last generation."""

import json

import numpy as np
import pytest

from jaxga.base import Best, Objective, Offspring, Outcome
from jaxga.cli.run import main
from jaxga.evolution import Record, Rungs
from jaxga.loop import Generation
from jaxga.runs.stopping import Overhead, Stop, StopState
from tests.command_line import SMALL, events, outcome, resume


def generation(number, best_loss, whole_loss=None):
    """Two members; with ``whole_loss`` under a schedule, where the first ends its training with it (not if NaN)."""
    offspring, loss, rungs = Offspring(np.zeros((2, 1)), *[np.zeros(2)] * 3), np.zeros(2), None
    if whole_loss is not None:
        ends = not np.isnan(whole_loss)
        loss = np.array([whole_loss if ends else 0.0, 0.0])
        outcome = np.array([Outcome.FINISHED if ends else Outcome.WENT_ON, Outcome.WENT_ON])
        rungs = Rungs(np.arange(2), np.ones(2), outcome, np.zeros(2), np.float32(0.5))
    record = Record(number, offspring, loss, np.zeros(2), {}, 0, Best(np.zeros(1), best_loss), rungs)
    return Generation(record, record, 1.0, 0.0)


@pytest.mark.parametrize(
    ("rules", "direction", "best_losses", "stops_after"),
    [
        (Stop(target=2.0), "min", [4.0, 2.1, 2.0, 1.0], 3),
        (Stop(target=2.0), "max", [-1.0, -1.9, -2.0, -3.0], 3),
        (Stop(target=0.9), "max", [-0.8, float(np.float32(-0.9)), -1.0], 2),  # float32 has no number that is 0.9
        (Stop(target=0.7), "min", [0.8, float(np.float32(0.7)), 0.1], 2),
        (Stop(target=-1e300), "max", [np.inf, 4.0], 2),
        (Stop(patience=2), "min", [4.0, 3.0, 3.0, 2.0, 2.0, 2.0, 1.0], 6),
        (Stop(patience=1), "min", [4.0, 4.0, 3.0], 2),
        (Stop(patience=2), "min", [np.inf, np.inf, np.inf], 2),
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


@pytest.mark.parametrize(
    ("rules", "best_losses", "whole_losses", "stops_after"),
    [
        (Stop(target=2.0), [1.0, 1.0, 3.0, 2.0], [np.nan, np.nan, 3.0, 2.0], 4),
        (
            Stop(target=2.0),
            [1.0, 1.0, 2.5, 1.9],
            [3.0, 3.0, 1.5, np.nan],
            4,
        ),  # by noise a member is better than believed
        (Stop(patience=2), [1.0, 2.0, 3.0, 4.0, 3.9, 3.9, 3.9], [*[np.nan] * 3, 4.0, 3.9, np.nan, np.nan], 7),
        (Stop(patience=2), [1.0, 1.0, 1.0, 1.0, 1.0], [5.0, 4.0, 3.0, 2.0, 2.0], None),
    ],
)
@pytest.mark.parametrize("is_resumed", [False, True])
def test_under_a_schedule_whole_trainings_alone_reach_a_value(
    rules, best_losses, whole_losses, stops_after, is_resumed
):
    state, stopped = StopState(rules, Objective("value"), Overhead(elapsed=lambda: 0.0)), None
    for i, losses in enumerate(zip(best_losses, whole_losses, strict=True)):
        if is_resumed:
            state = StopState(rules, Objective("value"), Overhead(lambda: 0.0), json.loads(json.dumps(state.notes)))
        state.write(generation(i, *losses))
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
    result = json.loads((folder / "result.json").read_text())
    assert result["evaluations"] == generations * 6
    assert result["reason"] == f"a further generation would exceed {limit} evaluations"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--max-evaluations", "5"],
            "--max-evaluations must be at least the 6 whole trainings that a generation is worth",
        ),
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
