"""A search in code is recorded, resumed, stopped and reported as one of the command line is."""

import dataclasses
import importlib.util
import json
import shutil
import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

import jaxga
from jaxga.optimize import _algorithm_name
from jaxga.registry import ALGORITHMS
from jaxga.runs.progress import is_live

SPACE = {"x": jaxga.Uniform(-1.0, 1.0), "n": jaxga.Integer(1, 4)}
SMALL = {"population_size": 6, "key": 3, "algorithm": "random_search", "report": False, "num_fresh": 2}


def noisy(key, setting):
    return setting["x"] ** 2 + setting["n"] + 0.1 * jax.random.normal(key)


def search(**options):
    return jaxga.minimize(noisy, SPACE, **{**SMALL, "num_generations": 4, **options})


def outcome(folder):
    result = json.loads((folder / "result.json").read_text())
    kept = {name: value for name, value in result.items() if name not in ("seconds", "status", "reason")}
    return (folder / "history.csv").read_bytes(), kept


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, search(out=folder)


def test_a_folder_changes_nothing_of_the_result(whole):
    folder, recorded = whole
    plain = search()
    assert recorded.path == folder
    assert plain.path is None
    assert recorded.best == plain.best
    assert recorded.best_value == plain.best_value
    np.testing.assert_array_equal(recorded.fresh_values, plain.fresh_values)
    for name, column in plain.history.columns.items():
        np.testing.assert_array_equal(recorded.history.columns[name], column)


def test_what_was_recorded_is_what_was_found(whole):
    folder, result = whole
    saved = jaxga.load(folder)
    assert saved.best == result.best
    assert saved.best_value == pytest.approx(result.best_value, rel=1e-6)
    np.testing.assert_allclose(saved.fresh_values, result.fresh_values)
    assert len(saved.history) == len(result.history) == 24


def test_the_parts_of_the_time_are_those_of_the_command_line(whole, half):
    parts = [list(json.loads((folder / "result.json").read_text())["seconds"]) for folder in (whole[0], half)]
    assert parts[0] == parts[1] == ["start", "compile", "generations", "winner on fresh seeds", "report"]


def test_stopped_and_resumed_it_has_the_same_bits(whole, tmp_path):
    folder = tmp_path / "run"
    first = search(out=folder, callbacks=[lambda g: int(g.record.generation) == 1])
    assert len(first.history) == 12
    assert "asked to end" in first.reason
    second = search(out=folder, resume=True)
    assert second.reason is None
    assert outcome(folder) == outcome(whole[0])
    assert len(second.history) == 24


def test_resume_begins_where_nothing_was_begun(whole, tmp_path):
    search(out=tmp_path / "run", resume=True)
    assert outcome(tmp_path / "run") == outcome(whole[0])


def test_a_finished_run_resumed_gives_its_result(whole, tmp_path):
    folder = shutil.copytree(whole[0], tmp_path / "run")
    again = search(out=folder, resume=True)
    assert again.best == whole[1].best
    assert outcome(folder) == outcome(whole[0])


def test_it_may_be_resumed_with_more_generations(whole, tmp_path):
    folder = tmp_path / "run"
    search(out=folder, num_generations=2)
    search(out=folder, resume=True, num_generations=4)
    assert outcome(folder) == outcome(whole[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": False}, "is not empty"),
        ({"key": 4}, "that run has seed 3 (now 4)"),
        ({"algorithm": "sobol_search"}, "that run has algorithm random_search (now sobol_search)"),
        ({"population_size": 7}, "that run has pop 6 (now 7)"),
        ({"num_replicates": 2}, "that run has replicates 1 (now 2)"),
        ({"seeds": "run"}, "that run has seeds own (now run)"),
        ({"num_generations": 3}, "generations may only be raised on resume"),
        ({"warm_start": [{"x": 0.0, "n": 1}]}, "that run began without a warm start"),
    ],
)
def test_another_search_is_refused_and_nothing_is_changed(whole, tmp_path, options, message):
    folder = shutil.copytree(whole[0], tmp_path / "run")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        search(**{"out": folder, "resume": True, **options})
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_another_space_is_refused(whole, tmp_path):
    folder = shutil.copytree(whole[0], tmp_path / "run")
    with pytest.raises(ValueError, match="that run has search space"):
        jaxga.minimize(
            noisy,
            {"x": jaxga.Uniform(-1.0, 2.0), "n": jaxga.Integer(1, 4)},
            **SMALL,
            num_generations=4,
            out=folder,
            resume=True,
        )


def test_another_direction_is_refused(whole, tmp_path):
    folder = shutil.copytree(whole[0], tmp_path / "run")
    with pytest.raises(ValueError, match=r"objective \{.*'min'\} \(now \{.*'max'\}\)"):
        jaxga.maximize(noisy, SPACE, **SMALL, num_generations=4, out=folder, resume=True)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Steps:
    num_steps: int = dataclasses.field(metadata={"static": True})
    space, objective = jaxga.SearchSpace(SPACE), jaxga.Objective("loss")

    def evaluate(self, key, setting):
        return jaxga.Evaluation(setting["x"] * self.num_steps, {})


def test_a_task_that_holds_another_value_fixed_is_refused(tmp_path):
    options = {**SMALL, "out": tmp_path / "run", "num_generations": 2}
    jaxga.optimize(Steps(1), **options)
    with pytest.raises(ValueError, match=r"that run has fixed num_steps 1 \(now 100\)"):
        jaxga.optimize(Steps(100), **options, resume=True)
    jaxga.optimize(Steps(1), **options, resume=True)


def _model(space, **options):
    return jaxga.quadratic_ridge(space, **options)


def test_a_metric_of_the_objectives_name_is_not_its_value(tmp_path):
    @jaxga.as_task(SPACE, objective=jaxga.Objective("loss"))
    def task(key, setting):
        return setting["x"], {"loss": setting["x"] + 100.0}

    found = jaxga.optimize(task, **SMALL, out=tmp_path / "run", num_generations=1)
    saved = jaxga.load(tmp_path / "run")
    np.testing.assert_allclose(saved.fresh_values, found.fresh_values)
    np.testing.assert_allclose(saved.result["fresh"]["metric_loss"], found.fresh_values + 100.0, rtol=1e-6)


def test_a_metric_that_repeats_the_objective_is_told_once(tmp_path):
    @jaxga.as_task(SPACE, objective=jaxga.Objective("loss"))
    def task(key, setting):
        return setting["x"], {"loss": setting["x"], "more": 1.0}

    jaxga.optimize(task, **SMALL, out=tmp_path / "run", num_generations=1)
    assert list(jaxga.load(tmp_path / "run").result["fresh"]) == ["loss", "more"]


def test_numbers_and_keys_of_a_model_are_read_back_as_they_were(tmp_path):
    def fitness(key, setting):
        return setting["x"], {}, {"number": setting["x"], "key": key, "none": jnp.zeros((0, 3))}

    found = jaxga.minimize(fitness, SPACE, **SMALL, out=tmp_path / "run", num_generations=1)
    for model in (jaxga.load(tmp_path / "run").model, jaxga.load(tmp_path / "run").model_like(found.model)):
        assert (model["number"].shape, model["number"].item()) == ((), found.model["number"].item())
        np.testing.assert_array_equal(model["key"], jax.random.key_data(found.model["key"]))
        assert model["none"].shape == (0, 3)


def test_the_evaluations_allowed_are_a_reason_to_end():
    assert search(stop=jaxga.Stop(max_evaluations=23)).reason == "a further generation would exceed 23 evaluations"
    assert search(stop=jaxga.Stop(max_evaluations=24)).reason is None
    asked_to_end = search(stop=jaxga.Stop(max_evaluations=23), callbacks=[lambda generation: True])
    assert "asked to end" in asked_to_end.reason


def test_numbers_of_numpy_are_recorded_as_those_of_python(whole, tmp_path):
    rules = jaxga.Stop(target=np.float32(-9.0), patience=np.int64(9))
    sizes = {"population_size": np.int64(6), "num_generations": np.int32(4), "num_fresh": np.int64(2)}
    search(out=tmp_path / "run", key=np.uint32(3), stop=rules, generations_per_dispatch=np.int64(1), **sizes)
    assert outcome(tmp_path / "run") == outcome(whole[0])
    search(out=tmp_path / "run", resume=True)
    assert repr(jaxga.successive_halving(eta=np.int64(2), first_rung=np.float32(0.5))) == repr(
        jaxga.successive_halving(eta=2, first_rung=0.5)
    )


def test_a_function_among_the_options_of_an_algorithm_has_the_same_name_in_another_process():
    crossover = jaxga.operators.crossover.uniform(jaxga.SearchSpace(SPACE))
    for algorithm in (partial(jaxga.invasive_ga, surrogate=_model), partial(jaxga.ga, crossover=crossover)):
        assert "at 0x" in repr(algorithm)
        assert "0x" not in _algorithm_name(algorithm)
    assert _algorithm_name(partial(jaxga.invasive_ga, surrogate=_model)) == "invasive_ga(surrogate=<function _model>)"


def test_an_algorithm_of_any_callables_has_a_name():
    method = jaxga.ga(jaxga.SearchSpace(SPACE), population_size=4)
    assert _algorithm_name(method._replace(ask=partial(method.ask), name="")) == "partial"


def test_an_algorithm_in_hand_has_the_name_of_its_factory():
    space = jaxga.SearchSpace(SPACE)
    for name in (
        "invasive_ga",
        "ga",
        "truncation_ga",
        "random_search",
        "sobol_search",
        "latin_hypercube",
        "grid_search",
    ):
        assert _algorithm_name(ALGORITHMS[name](space, population_size=4)) == name


def test_a_run_of_the_command_line_is_resumed_there(whole, capfd):
    from jaxga.cli.run import main

    assert main(["--resume", str(whole[0]), "--quiet"]) == 2
    assert "that run was started in code; go on there with resume=True" in capfd.readouterr().err


def test_resume_needs_a_folder():
    with pytest.raises(ValueError, match="resume needs out"):
        search(resume=True)


def test_rules_end_a_run():
    assert len(search(stop=jaxga.Stop(max_evaluations=13)).history) == 12
    reached = search(stop=jaxga.Stop(target=100.0))
    assert len(reached.history) == 6
    assert reached.reason == "the target 100 is reached"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"target": float("nan")}, "target must be a finite number, got nan"),
        ({"max_seconds": 0}, "max_seconds must be above 0 and finite, got 0"),
        ({"patience": 0}, "patience must be a whole number of at least 1, got 0"),
        ({"max_evaluations": 1.5}, "max_evaluations must be a whole number of at least 1, got 1.5"),
    ],
)
def test_a_rule_out_of_its_range(rules, message):
    with pytest.raises(ValueError, match=message):
        jaxga.Stop(**rules)


def test_fewer_evaluations_than_a_generation():
    with pytest.raises(ValueError, match="must be at least the 6 whole trainings that a generation is worth, got 5"):
        search(stop=jaxga.Stop(max_evaluations=5))


def test_a_callback_sees_every_generation():
    seen = []
    result = search(callbacks=[lambda generation: seen.append(float(generation.record.best.loss))])
    assert len(seen) == 4
    assert seen[-1] == pytest.approx(result.best_value)


def test_a_callback_that_fails_loses_nothing(whole, tmp_path):
    folder = tmp_path / "run"

    def fails(generation):
        if int(generation.record.generation) == 1:
            raise KeyError("loss")

    with pytest.raises(ValueError, match=r"fails after generation 2 failed: KeyError: 'loss'; the run is saved in"):
        search(out=folder, callbacks=[fails])
    assert len(jaxga.SavedRun.read(folder).history) == 12
    search(out=folder, resume=True)
    assert outcome(folder) == outcome(whole[0])


@pytest.mark.parametrize("callbacks", [3, "abc", [3], lambda generation: None])
def test_callbacks_are_a_list_of_functions(callbacks):
    with pytest.raises(ValueError, match="callback"):
        search(callbacks=callbacks)


def test_a_callback_answers_with_a_bool():
    with pytest.raises(ValueError, match="must return True, False or None, got 7"):
        search(callbacks=[lambda generation: 7])


def with_model(key, setting):
    weight = setting["x"] + jax.random.normal(key)
    return weight**2, {}, {"layer": {"weight": weight[None]}, "steps": [jnp.arange(2)]}


@pytest.mark.parametrize("keep", ["best", "all", "none"])
def test_the_winners_model_is_kept(tmp_path, keep):
    result = jaxga.minimize(
        with_model, SPACE, **{**SMALL, "num_fresh": 3}, num_generations=2, out=tmp_path / "run", keep_model=keep
    )
    saved = jaxga.load(tmp_path / "run")
    if keep == "none":
        assert result.model is None
        with pytest.raises(ValueError, match=r"has no model\.safetensors"):
            _ = saved.model
        return
    values = result.fresh_values if keep == "all" else result.fresh_values.min()
    for model in (result.model, saved.model):
        np.testing.assert_allclose(np.squeeze(model["layer"]["weight"]) ** 2, values, rtol=1e-6)
    restored = saved.model_like({"layer": {"weight": 0}, "steps": [0]})
    np.testing.assert_array_equal(restored["steps"][0], result.model["steps"][0])
    with pytest.raises(ValueError, match="has no array 'bias'"):
        saved.model_like({"bias": 0})
    saved.model_like({"steps": [jnp.zeros(2)]})
    with pytest.raises(ValueError, match=r"'steps/0' has the shape .*2,?\), like has \(5,\)"):
        saved.model_like({"steps": [jnp.zeros(5)]})


def test_a_run_without_fresh_seeds_is_recorded_and_loaded(tmp_path):
    result = search(num_fresh=0, num_generations=1, out=tmp_path / "run", report=True)
    saved = jaxga.load(tmp_path / "run")
    assert result.fresh_values.shape == saved.fresh_values.shape == (0,)
    assert saved.best == result.best
    assert (tmp_path / "run" / "report.html").exists()


def test_a_model_may_have_empty_arrays_and_train_in_chunks():
    def empty(key, setting):
        return setting["x"], {}, {"weight": jnp.zeros((0, 3)), "bias": setting["x"]}

    chunked = {**SMALL, "num_fresh": 4, "chunk_size": 2, "num_generations": 1}
    result = jaxga.minimize(empty, SPACE, **chunked, keep_model="all")
    assert result.model["weight"].shape == (4, 0, 3)
    assert result.model["bias"].shape == (4,)


def test_an_unknown_word_for_the_model():
    with pytest.raises(ValueError, match="keep_model must be one of best, all, none, got 'last'"):
        search(keep_model="last")


def test_a_warm_start_in_code(tmp_path):
    begun = search(warm_start=[{"x": 0.25, "n": 2}], out=tmp_path / "run")
    first = next(begun.history.rows())
    assert (first["x"], first["n"]) == (0.25, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = search(out=tmp_path / "run", resume=True)
    assert again.best == begun.best
    informed = search(warm_start=tmp_path / "run" / "history.csv")
    assert informed.best_value <= begun.best_value


def test_progress_is_one_line_a_generation_where_nothing_is_live(capfd):
    search(progress=True)
    lines = [line for line in capfd.readouterr().out.splitlines() if line]
    assert [line.split("  ")[0] for line in lines] == [f"generation {i}/4" for i in range(1, 5)]


@pytest.mark.parametrize("has_widgets", [False, True])
def test_progress_is_live_in_a_notebook_that_has_ipywidgets(monkeypatch, has_widgets):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if has_widgets else None)
    assert is_live(Console(force_jupyter=True)) is has_widgets


def test_nothing_is_printed_by_default(capfd):
    search()
    assert capfd.readouterr() == ("", "")


def test_the_signature_shows_every_option():
    import inspect

    shown = inspect.signature(jaxga.minimize).parameters
    assert list(shown)[:2] == ["fitness", "space"]
    assert list(shown)[2:] == list(inspect.signature(jaxga.optimize).parameters)[1:]
    assert shown["num_replicates"].default == 1


def test_a_result_in_a_notebook(whole):
    html = whole[1]._repr_html_()
    assert "<table" in html
    assert "fresh" in html


def test_a_result_has_pictures(whole):
    for kind in ("convergence", "search_space"):
        assert isinstance(whole[1].plot(kind), Figure)
    with pytest.raises(ValueError, match="plot must be one of"):
        whole[1].plot("loss")
