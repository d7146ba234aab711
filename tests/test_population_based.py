"""Population-based training: who takes over from whom, and the winner's settings trained again from nothing."""

import json
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxga
from jaxga import Evaluation, Objective, SearchSpace, Uniform
from jaxga.cli.export import main as export
from jaxga.cli.replay import main as replay
from jaxga.evaluate import part_by_part
from jaxga.evolution import fresh_key
from jaxga.loop import evaluate_fresh
from jaxga.report.lineage import by_part, lineage
from jaxga.runs.history import has_own_value
from jaxga.runs.warm_start import WarmStart
from jaxga.schedules import Cohort, plan_layout, population_based
from tests.command_line import main
from tests.descent import TASK, Descent
from tests.test_lanes import assert_equal, search, with_one_and_two_processes

LANES, PARTS = 12, TASK.num_parts


def trained(task=TASK, **options):
    return search(task, **{"schedule": "population_based", "population_size": LANES, "num_generations": 12} | options)


@pytest.fixture(scope="module")
def found():
    return trained()


def rows_of(history, generation):
    return [row for row in history.rows() if row["generation"] == generation]


def trainings(history, generation):
    """The rows of each training that was in a lane in this generation, from its first part on."""
    found, rows = [], [[row] for row in rows_of(history, generation)]
    for chain in rows:
        while chain[0]["generation"] % PARTS:
            before = {row["member"]: row for row in rows_of(history, chain[0]["generation"] - 1)}
            chain.insert(0, before.get(chain[0]["member"]) or before[chain[0]["parent_a"]])
        found.append(chain)
    return found


def is_repetition(chain, num_lanes=LANES):
    """Whether it is the training of a survivor, in its own lane: others may have taken it over."""
    return chain[0]["species"] == "survivor" and len({row["member"] % num_lanes for row in chain}) == 1


def settings_of(chain):
    return [{name: row[name] for name in TASK.space.names} for row in chain]


def test_a_training_goes_on_from_the_score_of_its_own_or_of_its_parent(found):
    num_heirs = 0
    for generation in range(3 * PARTS):
        part = generation % PARTS
        before = {row["member"]: row for row in rows_of(found.history, generation - 1)}
        for row in rows_of(found.history, generation):
            assert row["trained"] == (part + 1) / PARTS
            if part == 0:
                assert row["member"] // LANES == generation
                assert row["species"] == "founder" or (row["species"] == "survivor" and generation)
                continue
            is_heir = row["member"] not in before
            assert (row["species"] == "heir") or not is_heir
            came_from = before[row["parent_a"] if is_heir else row["member"]]
            assert is_heir or came_from["outcome"] in ("went_on", "failed")
            there = came_from["value"]
            if is_heir:
                num_heirs += 1
                assert row["member"] // LANES == generation
                assert row["parent_b"] in (-1, *before)
            if np.isfinite([there, row["value"]]).all():  # Descent adds noise of 0.01
                expected = there + row["rate"] * (row["floor"] - there) / (part + 1)
                assert row["value"] == pytest.approx(expected, abs=0.06)
    assert num_heirs > 20


def test_the_worst_give_up_and_the_best_are_taken_over(found):
    num_best = LANES // 4
    for generation in range(3 * PARTS):
        rows, after = rows_of(found.history, generation), rows_of(found.history, generation + 1)
        heirs = [row for row in after if row["member"] // LANES == generation + 1 and row["species"] == "heir"]
        # A repetition goes on with its own training, as another member, and never gives up.
        heirs = [row for row in heirs if row["parent_a"] % LANES != row["member"] % LANES]
        again = {chain[-1]["member"] for chain in trainings(found.history, generation) if is_repetition(chain)}
        if generation % PARTS == PARTS - 1:
            assert {row["outcome"] for row in rows} <= {"finished", "failed"}
            assert not heirs
            continue
        good = sorted(row["value"] for row in rows if row["outcome"] != "failed")
        may_go = sorted(row["value"] for row in rows if row["outcome"] != "failed" and row["member"] not in again)
        replaced = [row["value"] for row in rows if row["outcome"] == "replaced"]
        num_failed = LANES - len(again) - len(may_go)
        assert len(heirs) == max(num_best, num_failed)
        assert len(replaced) == max(num_best - num_failed, 0)
        assert sorted(replaced) == may_go[len(may_go) - len(replaced) :]
        donors = {row["parent_a"] for row in heirs}
        assert {row["value"] for row in rows if row["member"] in donors} <= set(good[:num_best])
        assert len(donors) > 1


def test_the_best_settings_are_trained_again_and_the_winner_is_the_best_by_all_their_trainings(several):
    known, excess, num_failed = [], [], 0
    for end in range(PARTS - 1, 6 * PARTS, PARTS):
        chains = trainings(several.result.history, end)
        again = [chain for chain in chains if is_repetition(chain, several.num_lanes)]
        entries = {entry["member"]: entry for entry in known}
        num_failed += len(known) - len(again)
        known = []  # a setting whose training failed is given up
        for chain in again:
            known.append(entry := entries[chain[0]["parent_a"]])
            assert settings_of(chain) == entry["settings"]
            excess.append(chain[-1]["value"] - entry["losses"][0])
            entry["losses"].append(chain[-1]["value"])
            entry["member"] = chain[-1]["member"]
        for chain in chains:
            if chain not in again and np.isfinite(chain[-1]["value"]):
                losses = [chain[-1]["value"]]
                known.append({"settings": settings_of(chain), "member": chain[-1]["member"], "losses": losses})
        shift = max(np.mean(excess), 0.0) if excess else 0.0
        for entry in known:
            entry["believed"] = (sum(entry["losses"]) + shift) / len(entry["losses"])
        known = sorted(known, key=lambda entry: entry["believed"])[: several.num_repeats]
    assert len(excess) + num_failed == 5 * several.num_repeats
    assert (num_failed > 0) == several.may_fail
    assert len(known[0]["losses"]) > 1
    assert several.result.best_value == pytest.approx(known[0]["believed"], rel=1e-5)
    for told, seen in zip(several.result.best_by_part, known[0]["settings"], strict=True):
        assert told == pytest.approx(seen, rel=1e-6)
    assert several.result.best == several.result.best_by_part[-1]
    # The model is that of the newest training: Descent's model is its score.
    assert several.result.model == pytest.approx(known[0]["losses"][-1])


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Unlucky(Descent):
    """Of ten trainings three fail, whatever their setting."""

    def init(self, key, setting):
        fails = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.3)
        return jnp.where(fails, jnp.nan, super().init(key, setting))


class Several(NamedTuple):
    result: jaxga.Result
    num_lanes: int
    num_repeats: int
    may_fail: bool


@pytest.fixture(scope="module", params=[(LANES, 1, False), (48, 6, False), (48, 6, True)])
def several(request):
    """Six cohorts of so many lanes, of which so many repeat; whether trainings may fail by chance."""
    num_lanes, num_repeats, may_fail = request.param
    cohort = plan_layout(population_based(), PARTS, num_lanes)
    assert isinstance(cohort, Cohort)
    assert cohort.num_repeats == num_repeats
    options = {"population_size": num_lanes, "num_generations": 6 * PARTS}
    return Several(trained(_Unlucky() if may_fail else TASK, **options), *request.param)


def test_the_report_shows_the_trainings_of_the_winner(several):
    history, settings = several.result.history, several.result.best_by_part
    line = lineage(history, settings)
    assert line is not None
    shown = [{n: history.columns[n][row] for n in TASK.space.names} for row in line.winner]
    for told, seen in zip(settings, shown, strict=True):
        assert told == pytest.approx(seen, rel=1e-6)
    columns = history.columns
    first = int(columns["generation"][line.winner[0]])
    assert set(columns["generation"][line.rows]) == set(range(first, first + PARTS))
    lane = columns["member"] % several.num_lanes
    took_over = (line.before >= 0) & (lane[line.before] != lane[line.rows])
    assert (line.took_over == took_over).all()
    assert line.took_over.sum() > PARTS
    goes_on_as_another = (line.before >= 0) & (columns["member"][line.before] != columns["member"][line.rows])
    assert several.num_repeats == 1 or (goes_on_as_another & ~took_over).any()
    assert lineage(history, [{"rate": 0.123, "floor": 0.456}] * PARTS) is None


def test_before_a_training_is_finished_the_best_so_far_stands_in():
    early = trained(num_generations=2)
    last = [row for row in early.history.rows() if row["generation"] == 1 and row["outcome"] != "failed"]
    assert early.best_value == min(row["value"] for row in last)
    assert early.best_by_part[1] == early.best_by_part[2] == early.best_by_part[3] == early.best


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Moving(jaxga.Trainable):
    """The best x differs from part to part, and the loss rises with each."""

    space, objective, num_parts = SearchSpace(x=Uniform(0.0, 1.0)), Objective("loss"), 4

    def init(self, key, setting):
        return jnp.float32(0.0)

    def advance(self, key, carry, setting, part):
        return carry + 0.1 + jnp.square(setting["x"] - part / 3)

    def score(self, key, carry, setting):
        return Evaluation(carry, {}, carry)


@pytest.mark.parametrize("num_generations", [3, 4, 8])
def test_the_winners_settings_are_those_it_was_trained_with(num_generations):
    options = {"population_size": 64, "num_generations": num_generations, "algorithm": "random_search"}
    found = jaxga.optimize(_Moving(), schedule="population_based", key=1, **options)
    x = np.array([setting["x"] for setting in found.best_by_part])
    assert len(set(x)) > 1
    num_trained = min(num_generations, PARTS)
    worth = 0.1 * num_trained + np.sum((x - np.arange(4) / 3)[:num_trained] ** 2)
    assert found.best_value == pytest.approx(worth, rel=1e-5)
    assert found.best_value == found.history.loss[found.history.columns["trained"] == num_trained / PARTS].min()
    if num_trained == PARTS:  # no setting that stays does better than 0.1 a part and the variance of the targets
        assert worth < 0.4 + np.sum((np.arange(4) / 3 - 0.5) ** 2)
        np.testing.assert_allclose(found.fresh_values, worth, rtol=1e-5)


@pytest.mark.usefixtures("quick_programs")
@pytest.mark.parametrize("schedule", ["population_based", "successive_halving"])
def test_a_loss_that_grows_with_the_training_ends_no_run_too_early(schedule):
    run = partial(jaxga.optimize, _Moving(), schedule=schedule, population_size=12, num_generations=8, num_fresh=0)
    assert run(stop=jaxga.Stop(target=0.39)).reason is None  # whole trainings have at least 0.4
    stopped = run(stop=jaxga.Stop(patience=2))
    assert stopped.reason is None or stopped.state.generation >= PARTS + 2


def test_the_same_setting_in_all_parts_is_a_plain_training():
    key, setting = jax.random.key(3), {"rate": jnp.float32(0.3), "floor": jnp.float32(0.2)}
    same = {name: jnp.full(PARTS, value) for name, value in setting.items()}
    along = part_by_part(type(TASK).evaluate)
    assert along(TASK, key, same).value == TASK.evaluate(key, setting).value
    floors = [0.2, 0.8, 0.1, 0.4]

    def by_hand(key):
        carry = TASK.begun(key, setting)
        for part in range(PARTS):
            carry = TASK.advanced(key, carry, {"rate": 0.3, "floor": floors[part]}, part)
        return float(carry)

    changed = {**same, "floor": jnp.array(floors)}
    assert along(TASK, key, changed).value == pytest.approx(by_hand(key), rel=1e-6)
    genomes = np.stack([TASK.space.encode({"rate": 0.3, "floor": floor}) for floor in floors])
    fresh = evaluate_fresh(TASK, genomes, key=0, num_seeds=2)
    keys = [jax.random.fold_in(fresh_key(jax.random.key(0)), i) for i in range(2)]
    np.testing.assert_allclose(fresh.value, [by_hand(key) for key in keys], rtol=1e-5)


def test_the_algorithm_learns_from_trainings_of_one_setting():
    made, told = jaxga.random_search(TASK.space, population_size=LANES), []

    def revise(key, state, measured):
        jax.debug.callback(told.append, measured)
        return made.revise(key, state, measured)

    layout = plan_layout(population_based(), PARTS, LANES)
    generations = list(jaxga.run(TASK, made._replace(revise=revise), layout=layout, num_generations=8, key=5))
    jax.effects_barrier()
    rows = {}
    for generation in generations:
        record = generation.record
        for i, number in enumerate(record.rungs.number.tolist()):
            if record.offspring.species[i] != jaxga.Species.HEIR and number >= 0:
                rows[number] = (record.rungs.part[i] / PARTS, float(record.loss[i]))
    assert len(told) == 2
    for measured in told:
        for number, share, loss in zip(measured.number, measured.share, measured.loss, strict=True):
            assert rows[int(number)] == (share, loss)
    assert {float(share) for share in told[0].share} > {1.0}


@pytest.mark.usefixtures("quick_programs")
def test_the_next_cohort_is_bred_from_trainings_of_one_setting():
    bred = trained(algorithm=partial(jaxga.invasive_ga, num_invaders=0), num_generations=PARTS + 1).history
    first = {row["member"]: row for row in bred.rows() if row["generation"] < PARTS and row["species"] == "founder"}
    children = rows_of(bred, PARTS)
    assert len(children) == LANES
    assert [row["species"] for row in children] == ["survivor"] + ["child"] * (LANES - 1)
    parents = {row["parent_a"] for row in children[1:]} - {-1}
    assert len(parents) > 1
    assert parents <= set(first)
    assert all(np.isfinite(first[member]["value"]) for member in parents)


def test_chunks_dispatches_and_searches_side_by_side_change_nothing(found):
    assert_equal(trained(chunk_size=5).history, found.history, rtol=1e-5)
    assert_equal(trained(generations_per_dispatch=5).history, found.history)
    options = {"population_size": LANES, "num_generations": 12, "algorithm": "random_search", "num_fresh": 2}
    _, second = jaxga.optimize_many(TASK, keys=[4, 5], schedule="population_based", searches_at_once=2, **options)
    for name in ("value", "member", "outcome", "parent_a"):
        np.testing.assert_array_equal(second.history.columns[name], found.history.columns[name])
    assert second.best_by_part == found.best_by_part
    np.testing.assert_allclose(second.fresh_values, found.fresh_values, rtol=1e-5)


def test_a_search_that_goes_on_is_one_in_one_go(found, tmp_path):
    trained(num_generations=6, out=tmp_path / "run", report=False)  # in the middle of a training
    resumed = trained(out=tmp_path / "run", resume=True, report=False)
    assert_equal(resumed.history, found.history)
    assert (resumed.best_by_part, resumed.model) == (found.best_by_part, found.model)


@pytest.mark.parametrize("seeds", ["own", "generation", "run"])
def test_replicates_have_the_settings_of_their_lane(seeds):
    several = trained(num_replicates=3, seeds=seeds, num_generations=4)
    assert several.history.columns["spread"].max() > 0
    assert np.isfinite(several.fresh_values).all()


def test_an_heir_keeps_the_structure_of_what_it_took_over():
    shaped = _Shaped()
    columns = jaxga.optimize(
        shaped, schedule="population_based", population_size=16, num_generations=4, algorithm="random_search"
    ).history.columns
    floors = dict(zip(columns["member"], columns["floor"], strict=True))
    heirs = np.flatnonzero(columns["species"] == "heir")
    assert len(heirs) > 5
    for row in heirs:
        assert columns["floor"][row] == floors[columns["parent_a"][row]]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Shaped(Descent):
    structure = ("floor",)


def test_values_of_heirs_are_no_values_of_their_settings(found):
    columns = found.history.columns
    own = has_own_value(columns)
    assert own.sum() < (columns["outcome"] == "finished").sum()
    known = WarmStart.read(found.history, TASK.space, TASK.objective)
    values = columns["value"][own]
    np.testing.assert_allclose(np.sort(known.loss), np.sort(values[np.isfinite(values)]))


def test_the_command_line_trains_the_winner_again(tmp_path, capfd):
    small = "--task tests.descent:TESTED --pop 8 --schedule population_based --algorithm random_search"
    options = [*small.split(), "--processes", "1", "--fresh", "2", "--quiet"]
    assert main([*options, "--generations", "12", "--out", str(tmp_path / "whole")]) == 0
    page = (tmp_path / "whole" / "report.html").read_text()
    assert "After each part the worst 2 took over the trainings of the best 2" in page
    assert "Which hyperparameters matter" not in page
    capfd.readouterr()
    assert replay([str(tmp_path / "whole"), "--seeds", "3"]) == 0
    assert "3 fresh seeds" in capfd.readouterr().out
    told = json.loads((tmp_path / "whole" / "replay.json").read_text())
    result = json.loads((tmp_path / "whole" / "result.json").read_text())
    assert told["settings"] == result["best_by_part"]
    assert set(result["fresh"]) == {"loss", "twice", "tested"}
    for name, values in result["fresh"].items():
        np.testing.assert_allclose(told["values"][name][:2], values, rtol=1e-3)
    assert replay([str(tmp_path / "whole"), "--seeds", "0"]) == 2
    assert replay([str(tmp_path / "none")]) == 2
    errors = capfd.readouterr().err
    assert "--seeds must be a whole number of at least 1, got 0" in errors
    assert "is no run's folder" in errors


def test_an_export_says_that_the_winner_is_no_trial(tmp_path, capfd):
    pytest.importorskip("optuna")
    found = trained(key=2, out=tmp_path / "run", report=False)
    assert found.best_by_part[0] != found.best
    assert export([str(tmp_path / "run"), "--optuna", f"sqlite:///{tmp_path / 'run.db'}"]) == 0
    assert "its winner is no trial: its setting changed in its training" in capfd.readouterr().out


def test_a_run_in_code_is_not_replayed_by_the_command(tmp_path, capfd):
    trained(num_generations=4, out=tmp_path / "run", report=False)
    assert replay([str(tmp_path / "run")]) == 2
    assert "that run was started in code" in capfd.readouterr().err


def test_two_processes_score_the_same_members(tmp_path):
    small = "--task tests.descent:TASK --pop 9 --schedule population_based --algorithm random_search"
    options = [*small.split(), "--generations", "5", "--fresh", "1", "--quiet", "--no-report"]
    one, two = with_one_and_two_processes(options, tmp_path, ("generation", "member", "parent_a", "trained"))
    assert one == two


def test_the_layout_says_who_is_taken_over():
    layout = plan_layout(population_based(eta=3), 10, 20, 0.3)
    assert isinstance(layout, Cohort)
    assert (layout.first, layout.num_best, layout.num_new, layout.ends[-1]) == (3, 6, 20, 10)
    with pytest.raises(ValueError, match="population_based needs at least 4 lanes, got 3"):
        plan_layout(population_based(), 10, 3)
    with pytest.raises(ValueError, match="eta must be a whole number of at least 2, got 1"):
        population_based(eta=1)


def test_settings_by_part_are_told_in_words():
    assert by_part([{"x": 1}, {"x": 1}, {"x": 2}]) == {"x": "1; from part 3: 2"}
