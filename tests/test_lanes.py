"""Trainings in lanes: the same as whole ones, the right members dropped, resumable to the bit."""

import json
import math
import re
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

import jaxga
from jaxga import Evaluation, Uniform, evolution, lanes
from jaxga.base import Measured, Outcome
from jaxga.cli.export import main as export
from jaxga.parts import Parts
from jaxga.report.rungs import audit, rungs
from jaxga.runs.history import read_csv
from jaxga.runs.tracking import scalars
from jaxga.runs.warm_start import WarmStart
from jaxga.schedules import plan_layout, successive_halving
from tests.command_line import main, outcome, start
from tests.descent import TASK, Descent

GENERATIONS = 12


def search(task=TASK, **options):
    options = {"population_size": 24, "num_generations": GENERATIONS, "algorithm": "random_search"} | options
    return jaxga.optimize(task, **{"key": 5, "num_fresh": 2, "schedule": "successive_halving"} | options)


@pytest.fixture(scope="module")
def halved():
    return search()


def assert_equal(a, b, rtol=0.0):
    assert list(a.columns) == list(b.columns)
    for name, column in a.columns.items():
        if column.dtype == np.float32:
            np.testing.assert_allclose(column, b.columns[name], rtol=rtol)
        else:
            np.testing.assert_array_equal(column, b.columns[name])


@pytest.mark.parametrize("num_replicates", [1, 3])
@pytest.mark.parametrize("seeds", ["own", "generation", "run"])
def test_a_training_in_a_lane_is_a_whole_one(num_replicates, seeds):
    found = search(schedule="pipelined", num_replicates=num_replicates, seeds=seeds, num_generations=6).history
    ends = {row["member"]: row["value"] for row in found.whole.rows()}
    failed = {row["member"] for row in found.rows() if row["outcome"] == "failed"}
    assert set(ends) == set(range(6 * 3)) - failed
    rows = {row["member"]: row for row in found.rows()}
    for member, value in ends.items():
        generation, place = divmod(member, 6)
        key = jax.random.split(jax.random.fold_in(jax.random.key(5), generation + 1), 4)[1]
        key = evolution.shared_key(jax.random.key(5)) if seeds == "run" else key
        key = jax.random.fold_in(key, place if seeds == "own" else 0)
        setting = {name: jnp.float32(rows[member][name]) for name in TASK.space.names}
        values = [TASK.evaluate(jax.random.fold_in(key, r), setting).value for r in range(num_replicates)]
        np.testing.assert_allclose(value, np.mean(values), rtol=1e-5)


def test_those_go_on_that_are_best(halved):
    columns = halved.history.columns
    layout = plan_layout(successive_halving(), TASK.num_parts, 24)
    num_cohorts = 0
    for bracket in range(len(layout.brackets)):
        for end in layout.brackets[bracket].ends[:-1]:
            for generation in range(GENERATIONS):
                rows = columns["trained"] == np.float32(end / TASK.num_parts)
                rows &= (columns["generation"] == generation) & (columns["bracket"] == bracket)
                value = columns["value"][rows]
                going_on = columns["outcome"][rows] == "went_on"
                failed = columns["outcome"][rows] == "failed"
                np.testing.assert_array_equal(failed, np.isnan(value))
                num_places = layout.brackets[bracket].num_going_on(end)
                assert going_on.sum() == min(num_places, (~failed).sum())
                if going_on.any() and (columns["outcome"][rows] == "halted").any():
                    num_cohorts += 1
                    assert value[going_on].max() <= value[columns["outcome"][rows] == "halted"].min()
    assert num_cohorts > 5


def test_a_member_has_a_row_at_each_rung_up_to_its_end(halved):
    shares, whole = {}, halved.history.whole
    for row in halved.history.rows():
        shares.setdefault(row["member"], []).append((row["trained"], row["outcome"]))
    for seen in shares.values():
        assert [share for share, _ in seen] == [0.25, 0.5, 1.0][: len(seen)]
        assert all(outcome == "went_on" for _, outcome in seen[:-1])
    assert len(whole) == sum(seen[-1][1] == "finished" for seen in shares.values()) > 0
    assert set(whole.columns["trained"]) == {1.0}
    assert halved.best_value == pytest.approx(whole.columns["value"].min())
    assert {row["member"] for row in halved.population} <= set(whole.columns["member"])


def test_chunks_change_nothing_but_the_rounding(halved):
    assert_equal(search(chunk_size=5).history, halved.history, rtol=1e-5)


@pytest.mark.parametrize("chunk_size", [1, 3, 5, 12])
def test_a_chunk_bounds_the_replicates_of_a_lane_too(chunk_size):
    task, genomes = Descent(), jnp.linspace(0.0, 0.8, 12).reshape(6, 2)

    def trained(chunk_size):
        parts = Parts(8, "own", chunk_size, None)
        keys = parts.keys(jax.random.key(0), jax.random.key(1), 6)

        def scores(genomes):
            carry = parts.begin(task, keys, genomes)
            carry = parts.advance(task, keys, carry, genomes, jnp.zeros(6, jnp.int32))
            return parts.score(task, keys, carry, genomes)

        return scores

    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), trained(chunk_size)(genomes), trained(None)(genomes))
    drawn = re.findall(r"f32\[([\d,]*)\] = erf_inv", str(jax.make_jaxpr(trained(chunk_size))(genomes)))
    assert drawn
    assert all(math.prod(map(int, shape.split(","))) <= chunk_size for shape in drawn)


def test_dispatches_change_nothing(halved):
    assert_equal(search(generations_per_dispatch=5).history, halved.history)


def test_a_search_that_goes_on_is_one_in_one_go(halved, tmp_path):
    search(num_generations=7, out=tmp_path / "run", report=False)  # in mid-rung
    resumed = search(out=tmp_path / "run", resume=True, report=False)
    assert_equal(resumed.history, halved.history)
    assert resumed.fresh_value == halved.fresh_value
    again = np.concatenate([block["value"] for block in read_csv(tmp_path / "run" / "history.csv", TASK.space)])
    np.testing.assert_array_equal(again, halved.history.columns["value"])
    with pytest.raises(ValueError, match=r"cannot resume .* schedule"):
        search(out=tmp_path / "run", resume=True, schedule="pipelined")


@pytest.mark.parametrize("schedule", ["whole", "successive_halving", "population_based"])
def test_an_evaluation_is_one_whole_training_under_every_schedule(schedule, tmp_path):
    parts = 1 if schedule == "whole" else TASK.num_parts
    options = {"population_size": 12, "num_replicates": 2, "num_fresh": 0, "num_generations": 9, "report": False}
    for name, most, generations in (("long", 24 * 5 / parts, 5), ("short", 24 * 5 / parts - 1, 4)):
        stop = jaxga.Stop(max_evaluations=int(most))
        found = search(schedule=schedule, out=tmp_path / name, stop=stop, **options)
        assert found.state.generation == generations
        assert json.loads((tmp_path / name / "result.json").read_text())["evaluations"] == 24 * generations / parts


@pytest.mark.parametrize("schedule", ["successive_halving", "population_based"])
def test_a_run_too_short_to_end_a_training_says_so(schedule, tmp_path, capfd):
    note = "no training ended: after 50 % of one at most"
    found = search(schedule=schedule, num_generations=2, out=tmp_path / "short", progress=True)
    assert "best" not in capfd.readouterr().out
    assert found.trained == json.loads((tmp_path / "short" / "result.json").read_text())["trained"] == 0.5
    assert note in repr(found)
    assert note in found._repr_html_()
    page = (tmp_path / "short" / "report.html").read_text()
    assert f"<b>0</b><strong>trained to the end</strong><span>{note}" in page
    assert "of the winner, after 50 % of a training at most" in page
    whole = search(schedule=schedule, num_generations=5, out=tmp_path / "short", resume=True, progress=True)
    assert capfd.readouterr().out.count("best") == 2
    assert whole.trained == json.loads((tmp_path / "short" / "result.json").read_text())["trained"] == 1
    assert note not in repr(whole)
    assert note not in (tmp_path / "short" / "report.html").read_text()


def test_many_searches_in_one_program_are_the_same(halved):
    options = {"population_size": 24, "num_generations": GENERATIONS, "algorithm": "random_search", "num_fresh": 2}
    _, found = jaxga.optimize_many(TASK, keys=[4, 5], schedule="successive_halving", searches_at_once=2, **options)
    for name in ("value", "member", "outcome"):
        np.testing.assert_array_equal(found.history.columns[name], halved.history.columns[name])


@pytest.mark.usefixtures("quick_programs")
@pytest.mark.parametrize("schedule", ["hyperband", "pipelined"])
def test_the_invasive_species_learns_from_parts(schedule):
    found = search(algorithm="invasive_ga", schedule=schedule, population_size=40, num_generations=16)
    best = found.history.columns
    rate, floor = found.best["rate"], found.best["floor"]
    # The loss at the end falls with the floor and with the rate, from 1.5 and down to 0.
    assert floor < 0.3, (rate, floor)
    invaders = best["species"] == "invader"
    assert np.isfinite(best["predicted"][invaders]).all()
    assert np.isfinite(found.history.loss[invaders]).any()


def test_a_later_score_takes_the_place_of_an_earlier_one():
    method = jaxga.invasive_ga(TASK.space, population_size=4, archive_size=16, least_share=0.25, num_invaders=0)
    key, genomes = jax.random.key(0), jnp.linspace(0, 1, 8).reshape(4, 2)

    def revised(state, number, share, loss):
        measured = Measured(genomes, jnp.array(number), jnp.full(4, share), jnp.array(loss), jnp.zeros(4))
        return method.revise(key, state, measured)[0]

    state = revised(method.init(key), [0, 1, 2, -1], 0.25, [4.0, 3.0, 2.0, 0.0])
    assert sorted(state.archive.number.tolist())[-4:] == [-1, 0, 1, 2]
    assert int(state.archive.valid.sum()) == 3
    state = revised(state, [0, -1, 2, -1], 1.0, [1.0, 0.0, jnp.inf, 0.0])
    columns = (state.archive.number, state.archive.share, state.archive.loss)
    rows = {int(number): (float(share), float(loss)) for number, share, loss in zip(*columns, strict=True)}
    assert rows[0] == (1.0, 1.0)
    assert rows[1] == (0.25, 3.0)
    assert rows[2] == (1.0, np.inf)


def test_correlations_are_spearmans_drawn_to_a_half():
    rng = np.random.default_rng(0)
    end = rng.normal(size=40)
    losses = np.stack([end + rng.normal(size=40), np.round(end, 0), end], axis=1).astype(np.float32)
    finished = jnp.asarray(np.concatenate([losses, np.full((24, 3), np.nan, np.float32)]))
    expected = [(40 * spearmanr(losses[:, i], end).statistic + 4) / 48 for i in range(3)]
    np.testing.assert_allclose(lanes.correlations(finished), expected, rtol=1e-4)
    np.testing.assert_allclose(lanes.correlations(jnp.full((4, 2), jnp.nan)), 0.5)


def test_the_report_counts_what_the_history_shows(halved):
    found = rungs(halved.history)
    columns = halved.history.columns
    assert [rung.share for rung in found] == [0.25, 0.5, 1.0]
    assert sum(rung.num_scored for rung in found) == len(halved.history)
    assert sum(rung.num_halted for rung in found) == (columns["outcome"] == "halted").sum()
    whole = set(halved.history.whole.columns["member"])
    pairs = [
        [row["value"] for row in halved.history.rows() if row["member"] == m and row["trained"] in (0.5, 1.0)]
        for m in whole
    ]
    assert found[1].correlation == pytest.approx(spearmanr(*np.transpose(pairs)).statistic)
    found = audit(halved.history, 1)
    audited = (columns["bracket"] == 1) & (columns["outcome"] == "finished")
    assert (found.num_members, found.best) == (audited.sum(), pytest.approx(columns["value"][audited].min()))
    assert found.num_kept <= found.num_members


def test_the_command_line_resumes_to_the_same_bytes(tmp_path, capfd):
    small = "--task tests.descent:TASK --pop 16 --schedule successive_halving --algorithm random_search"
    options = [*small.split(), "--processes", "1", "--fresh", "1", "--quiet"]
    assert main([*options, "--generations", "12", "--out", str(tmp_path / "whole")]) == 0
    assert main([*options, "--no-report", "--generations", "5", "--out", str(tmp_path / "half")]) == 0
    more = ["--resume", str(tmp_path / "half"), "--processes", "1", "--quiet", "--no-report", "--generations", "12"]
    assert main(more) == 0
    assert outcome(tmp_path / "half") == outcome(tmp_path / "whole")
    page = (tmp_path / "whole" / "report.html").read_text()
    assert "What the schedule did" in page
    assert "median of the first generation" not in page
    assert main([*more, "--schedule", "pipelined"]) == 2
    assert "--schedule successive_halving (now pipelined)" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--task guess --schedule pipelined", "needs a jaxga.Trainable"),
        ("--task mnist --dataset digits --pop 64 --algorithm ga --schedule pipelined", "that learns from unfinished"),
        ("--task mnist --dataset digits --pop 5 --schedule successive_halving", "needs at least"),
        ("--task mnist --eta 3", "--eta does not apply to --schedule whole"),
        ("--task mnist --schedule hyperband --first-rung 2", "--first-rung must lie in"),
        ("--task mnist --schedule halving", "--schedule must be one of whole, successive_halving"),
    ],
)
def test_a_schedule_that_does_not_fit_is_one_line(words, error, tmp_path, capfd):
    assert main([*words.split(), "--processes", "1", "--out", str(tmp_path / "run")]) == 2
    told = capfd.readouterr().err.strip()
    assert error in told
    assert "\n" not in told
    assert not (tmp_path / "run").exists()


def test_in_code_it_is_a_value_error():
    plain = jaxga.as_task({"x": Uniform(0.0, 1.0)})(lambda key, setting: setting["x"])
    with pytest.raises(ValueError, match=r"schedule pipelined needs a jaxga\.Trainable"):
        jaxga.optimize(plain, schedule="pipelined")
    with pytest.raises(ValueError, match="needs an algorithm that learns from unfinished trainings"):
        search(algorithm="ga")
    with pytest.raises(jaxga.AllMembersFailed):
        jaxga.optimize(_Failing(), schedule="pipelined", population_size=8, algorithm="random_search")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Failing(Descent):
    def score(self, key, carry, setting):
        return Evaluation(jnp.nan * carry, {}, carry)


def test_outcomes_have_the_names_of_the_history():
    assert [o.name.lower() for o in Outcome] == ["went_on", "halted", "finished", "failed", "replaced"]


def test_only_whole_trainings_are_values_elsewhere(halved, tmp_path, capfd):
    folder = tmp_path / "run"
    search(out=folder, report=False)
    whole = halved.history.whole
    sources = [folder, folder / "history.csv", halved.history]
    for source in sources:
        known = WarmStart.read(source, TASK.space, TASK.objective)
        np.testing.assert_allclose(np.sort(known.loss), np.sort(whole.loss))
    with pytest.raises(ValueError, match="no setting with a value"):
        WarmStart.read(search(num_generations=2).history, TASK.space, TASK.objective)
    optuna = pytest.importorskip("optuna")
    assert export([str(folder), "--optuna", f"sqlite:///{tmp_path / 'run.db'}"]) == 0
    capfd.readouterr()
    trials = optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path / 'run.db'}").trials
    assert sorted(trial.value for trial in trials) == pytest.approx(np.sort(whole.columns["value"]))


def test_a_tracker_gets_means_of_whole_trainings():
    layout = plan_layout(successive_halving(), TASK.num_parts, 24)
    algorithm = jaxga.random_search(TASK.space, population_size=layout.num_new)
    for generation in jaxga.run(TASK, algorithm, layout=layout, num_generations=5, key=5):
        record, found = generation.record, scalars(generation, TASK.objective)
        whole = record.loss[(record.rungs.part == TASK.num_parts) & (record.rungs.number >= 0)]
        whole = whole[np.isfinite(whole)]
        assert ("mean" in found) == (whole.size > 0)
        if whole.size:
            assert found["mean"] == pytest.approx(whole.mean())
            assert found["metrics/twice"] == pytest.approx(2 * whole.mean(), rel=1e-5)
    assert whole.size


def test_two_processes_score_the_same_members(tmp_path):
    small = "--task tests.descent:TASK --pop 22 --schedule successive_halving --algorithm random_search"
    options = [*small.split(), "--generations", "6", "--fresh", "1", "--quiet", "--no-report"]
    # XLA once sharded the lanes among them and lost rows.
    one, two = with_one_and_two_processes(options, tmp_path, ("generation", "member", "trained"))
    assert one == two


def with_one_and_two_processes(options, folder, names):
    """Columns of the history of a run in this process, and of the same run in two others."""
    process = start(*options, "--processes", "2", "--out", str(folder / "2"))
    assert main([*options, "--processes", "1", "--out", str(folder / "1")]) == 0
    assert process.wait(timeout=200) == 0, process.communicate()
    histories = [jaxga.load(folder / number).history.columns for number in ("1", "2")]
    return [[columns[name].tolist() for name in names] for columns in histories]
