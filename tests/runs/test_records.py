"""What a run records beside its history."""

from dataclasses import dataclass

from jaxga import Integer, SearchSpace
from jaxga.runs.records import constants, read_events


@dataclass(frozen=True)
class Task:
    space: SearchSpace
    hidden_size: int = 128
    num_steps: int = 300
    data_source: str = "mnist"


def test_the_hyperparameters_that_are_not_searched():
    assert constants(Task(SearchSpace(hidden_size=Integer(1, 128)))) == {"num_steps": 300}
    assert constants(Task(SearchSpace(depth=Integer(1, 4)))) == {"hidden_size": 128, "num_steps": 300}


def test_events_of_a_run_that_was_killed_while_it_wrote(tmp_path):
    (tmp_path / "events.jsonl").write_text('{"event": "start"}\n{"event": "gener')
    assert read_events(tmp_path / "events.jsonl") == [{"event": "start"}]
    assert read_events(tmp_path / "other.jsonl") == []
