"""Bad input: a sample of ``tests/soak/fuzz.py``, the same way, and what is refused or shown for a reason of its own."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

import jaxga
from jaxga.base import Best, Evaluation, Objective
from jaxga.cli import screen
from jaxga.cli.arguments import fail
from jaxga.cli.run import main
from jaxga.runs.progress import ProgressLine
from jaxga.runs.records import constants
from jaxga.text import check_choice

pytest.importorskip("optuna")

sys.path.insert(0, str(Path(__file__).parent.parent / "soak"))
import fuzz

GUESS = fuzz.GUESS.split()
# One of every 24, and all that once ended in a traceback, created a file or passed for something else.
_KNOWN = (
    "null.json",
    "lists.json",
    "digits",
    "deep",
    "bool_gene",
    "short.csv",
    "nul.csv",
    "field.csv",
    "sqlite:///missing.db",
    "sqlite:///other.db",
    "sqlite:///up.db",
    "nonsense://",
    f"--seed={2**32}",
    f"--seed={2**64}",
    f"--pop={10**20}",
    "--processes 100000",
    "--coordinator=nonsense",
    "--search full",
    "config_types",
    "~nobody",
    "export done --optuna nonsense",
    "history_torn",
)
CASES = [case for case in fuzz.command_line() if case.environment is None]
SAMPLE = [case for i, case in enumerate(CASES) if i % 24 == 0 or any(word in case.name for word in _KNOWN)]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    fuzz.write_inputs(folder)
    return folder


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: case.name)
def test_it_is_told_in_one_line_and_nothing_is_written(case, inputs):
    assert fuzz.check(case, inputs) == []


@pytest.mark.parametrize("option", ["chunk", "pop", "processes"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "x", "", "none", f"{10**20}"])
def test_a_chunk_a_population_and_a_number_of_processes_are_whole_numbers(option, value, tmp_path, capfd):
    assert main([*GUESS, f"--{option}={value}", "--out", str(tmp_path / "run")]) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert option in line
    assert value in line
    assert not (tmp_path / "run").exists()


LIBRARY = fuzz.library()


@pytest.mark.parametrize(
    "name",
    [
        "SearchSpace(3)",
        "SearchSpace([...])",
        "encode of a number",
        f"num_replicates={10**20}",
        f"invasive_ga(archive_size={10**20})",
        "encode of 5.4",
        "key=2**32",
        "algorithm='nonsense'",
    ],
)
def test_the_library_tells_it_in_one_line(name):
    assert fuzz.check_call(LIBRARY[name]) == []


def test_the_check_finds_a_traceback_a_file_and_a_second_line(inputs, monkeypatch):
    def bad():
        print("error: one\nerror: two", file=sys.stderr)
        Path("left").write_text("")
        raise KeyError("x")

    monkeypatch.setattr("jaxga.cli.report.main", bad)
    problems = " ".join(fuzz.check(fuzz.Case("report", ("x",)), inputs))
    (inputs / "left").unlink()
    for found in ("status 1", "a traceback", "lines on stderr", "changed ['left']"):
        assert found in problems


@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
def test_a_device_that_is_not_there(platform, inputs):
    import jax

    if platform in {device.platform for device in jax.devices()} or jax.default_backend() == "gpu":
        pytest.skip("the device is there")
    assert fuzz.check(fuzz.Case("run", tuple(GUESS), {"JAX_PLATFORMS": platform}), inputs) == []


def test_a_fraction_is_no_whole_number_in_a_warm_start(tmp_path, capfd):
    source = tmp_path / "half.json"
    source.write_text(fuzz.listed(n3=5.4))
    arguments = [*GUESS[:-1], str(tmp_path / "new"), "--warm-start", str(source)]
    assert main(arguments) == 2
    message = f"error: warm start {source}: n3: Integer: value must be a whole number, got 5.4\n"
    assert capfd.readouterr().err == message


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["--popp", "3"], "--pop"),
        (["--task", "gess"], "did you mean guess?"),
        (["--task", "guess", "--algorithm", "invasiv_ga"], "did you mean invasive_ga?"),
        (["--task", "guess", "--surrogate", "gausian_process"], "did you mean gaussian_process?"),
        (["--task", "guess", "--algorithm", "ga", "--selection", "turnament"], "did you mean tournament?"),
        (["--task", "ppo", "--env", "cartpole"], "did you mean CartPole-v1?"),
    ],
)
def test_a_misspelt_word_is_told_the_nearest_one(arguments, meant, tmp_path, capfd):
    assert main(["--processes", "1", "--out", str(tmp_path / "new"), *arguments]) == 2
    assert meant in capfd.readouterr().err


def test_a_word_unlike_any_has_no_hint():
    with pytest.raises(ValueError, match=r"must be one of one, two, got 'xyzzy'$"):
        check_choice("--number", "xyzzy", ["one", "two"])


def test_the_last_value_of_an_option_is_the_one_that_is_shown(capfd):
    assert main(["--pop", "6", "--pop=many"]) == 2
    assert "got 'many'" in capfd.readouterr().err


def test_a_mistake_of_ours_is_no_mistake_of_the_users():
    with pytest.raises(RuntimeError, match="ours"):
        fail(RuntimeError("ours"))
    assert fail(RuntimeError("RESOURCE_EXHAUSTED: out of memory")) == 2


# --- what is shown ---


def plan(capfd, *arguments):
    assert main([*arguments, "--dry-run"]) == 0
    return capfd.readouterr().out


def test_a_dry_run_tells_the_processes_and_starts_none(capfd, monkeypatch):
    monkeypatch.setattr("jaxga.runtime.start_workers", lambda *_: pytest.fail("a process was started"))
    assert "2: as --processes says" in plan(capfd, "--task", "guess", "--processes", "2")
    assert "1: more would not make this task faster" in plan(capfd, "--task", "guess")
    cluster = ["--coordinator", "host:1234", "--num-processes", "5", "--process-id", "0"]
    assert "5: as --coordinator joins them" in plan(capfd, "--task", "guess", *cluster)
    assert "as many as the cluster has: as --coordinator" in plan(capfd, "--task", "guess", "--coordinator", "auto")


def test_a_dry_run_of_a_resume_tells_where_it_goes_on(inputs, capfd):
    before = fuzz.snapshot(inputs / "done")
    more = plan(capfd, "--resume", str(inputs / "done"), "--processes", "1", "--generations", "5")
    assert "from generation 3; 2 of 5 generations are done" in more
    ended = plan(capfd, "--resume", str(inputs / "done"), "--processes", "1")
    assert "only the winner and the report are left" in ended
    assert fuzz.snapshot(inputs / "done") == before


def test_the_plan_has_the_operators_and_the_environment(capfd):
    shown = plan(capfd, *["--task", "guess", "--algorithm", "ga", "--selection", "rank", "--crossover", "sbx"])
    assert "selection rank" in shown
    assert "crossover sbx" in shown
    pytest.importorskip("gymnax")
    shown = plan(capfd, *["--task", "ppo", "--env", "Acrobot-v1", "--metric", "area", "--processes", "1"])
    assert "Acrobot-v1" in shown
    assert "metric area" in shown


def test_brackets_in_names_are_shown_and_gone_on_from(tmp_path, capfd):
    folder = tmp_path / "a [red] run [/]"
    arguments = [word for word in GUESS[:-1] if word != "--quiet"]
    source = tmp_path / "[bold].json"
    source.write_text(fuzz.listed())
    assert main([*arguments, str(folder), "--warm-start", str(source)]) == 0
    assert f"Written {folder}:" in capfd.readouterr().out
    again = ["--resume", str(folder), "--processes", "1", "--no-report"]
    assert main([*again, "--generations", "2"]) == 0
    shown = capfd.readouterr().out
    assert f"Written {folder}:" in shown
    assert "1 of 2 generations are done" in shown
    assert main([*again, "--seed", "7"]) == 2
    assert f"cannot resume {folder}: that run has" in capfd.readouterr().err


def test_brackets_in_a_table_are_shown_as_they_are(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    folder = Path("[red]")
    folder.mkdir()
    for split in ("train", "t10k"):
        head = bytes([0, 0, 8])
        (folder / f"{split}-images-idx3-ubyte").write_bytes(
            head + bytes([3, 0, 0, 0, 12, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(12 * 28 * 28)
        )
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(head + bytes([1, 0, 0, 0, 12]) + bytes(12))
    assert "the IDX files in [red]" in plan(capfd, "--task", "mnist", "--data-dir", "[red]", "--processes", "1")


def generation(number, seconds, compile_seconds=0.0, has_state=True):
    record = SimpleNamespace(
        generation=number, loss=np.array([1.0, 2.0]), num_failed=0, best=Best(np.zeros(1), 0.5), trained=1.0
    )
    return SimpleNamespace(
        record=record, seconds=seconds, compile_seconds=compile_seconds, state={} if has_state else None
    )


def lines(generations):
    with open("/dev/null", "w") as nowhere:
        console = Console(file=nowhere, record=True, width=200, markup=False, highlight=False)
        line = ProgressLine(console, Objective("loss", "min"), 10)
        for one in generations:
            line.write(one)
        return console.export_text().splitlines()


def test_the_unit_of_the_speed_stays():
    shown = lines([generation(0, 12.0, 10.0), generation(1, 0.1), *(generation(i, 0.1) for i in range(2, 6))])
    assert all("s a generation" in line for line in shown)
    shown = lines([generation(0, 10.5, 10.0), *(generation(i, 9.0) for i in range(1, 4))])
    assert all("generations/s" in line for line in shown)


def test_the_speed_of_a_program_of_several_generations_is_theirs_together():
    shown = lines([generation(i, 6.0 if i % 3 == 0 else 0.0, has_state=i % 3 == 2) for i in range(6)])
    assert not any("generation  " in line or " s a generation" in line for line in shown[:2])
    assert all("2 s a generation  1 members/s" in line for line in shown[2:])
    assert "0:00:08 left" in shown[5]


def test_only_test_figures_are_of_test_data():
    with open("/dev/null", "w") as nowhere:
        console = Console(file=nowhere, record=True, width=100, markup=False)
        seeds = np.array([0.1, 0.2])
        fresh = Evaluation(seeds, {"validation_accuracy": seeds, "test_accuracy": seeds})
        screen.print_winner(console, Objective("loss", "min"), [{"x": 1}], 0.1, fresh, has_test=True)
        shown = console.export_text().splitlines()
    assert [line.split("  ")[0] for line in shown if "test data" in line] == ["test accuracy"]


def test_a_terminal_breaks_lines_between_words():
    with open("/dev/null", "w") as nowhere:
        console = Console(file=nowhere, record=True, width=40, markup=False, force_terminal=True)
        screen.say(console, "some words and then " + "a/very/long/path" * 4)
        shown = [line.rstrip() for line in console.export_text().splitlines()]
    assert shown == ["some words and then", "a/very/long/path" * 4]


def test_what_is_searched_is_not_shown_as_held_fixed():
    @dataclass
    class Task:
        space: jaxga.SearchSpace = field(default_factory=lambda: jaxga.SearchSpace(width=jaxga.Integer(1, 8)))
        width: int = 8
        depth: int = 2

    assert constants(Task()) == {"depth": 2}
