"""The lanes that a schedule has, before anything is trained in them."""

import re

import numpy as np
import pytest

from jaxga.schedules import (
    NAMES,
    Bracket,
    as_schedule,
    hyperband,
    layout_of,
    pipelined,
    plan_layout,
    successive_halving,
)

SCHEDULES = [
    successive_halving(),
    successive_halving(eta=3),
    successive_halving(eta=4, first_rung=0.3),
    hyperband(),
    hyperband(eta=3, first_rung=0.25),
    pipelined(),
]


@pytest.mark.parametrize("num_parts", [3, 8, 10])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: f"{schedule.name}-{schedule.eta}")
def test_no_lane_is_idle_and_no_member_is_lost(schedule, num_parts):
    for num_lanes in range(1, 150, 7):
        try:
            layout = plan_layout(schedule, num_parts, num_lanes)
        except ValueError as error:
            least = int(re.search(r"at least (\d+) lanes", str(error)).group(1))
            assert least > num_lanes
            assert plan_layout(schedule, num_parts, least).num_lanes <= least
            with pytest.raises(ValueError, match="lanes"):
                plan_layout(schedule, num_parts, least - 1)
            continue
        assert num_lanes - layout.num_lanes < num_parts * len(layout.brackets)
        assert len(layout.ages) == layout.num_lanes
        for bracket in layout.brackets:
            steps = np.flatnonzero(np.diff(bracket.widths)) + 1  # a cohort shrinks at a rung alone
            assert set(steps) <= set(bracket.ends[:-1])
            assert (np.diff(bracket.widths) <= 0).all()
            assert min(bracket.widths) >= 1
            assert bracket.ends[-1] == len(bracket.widths) == num_parts


def test_a_halving_halves_and_a_tenth_of_the_lanes_is_audited():
    halving, audited = plan_layout(successive_halving(), 8, 64).brackets
    assert halving.ends == audited.ends == (1, 2, 4, 8)
    assert halving.widths == (23, 11, 5, 5, 3, 3, 3, 3)
    assert audited.widths == (1,) * 8
    assert len(plan_layout(successive_halving(), 8, 16).brackets) == 1


def test_the_first_rung_is_the_schedules_or_the_tasks_in_whole_parts():
    assert plan_layout(successive_halving(first_rung=0.25), 8, 40, 0.5).ends == (2, 4, 8)
    assert plan_layout(successive_halving(), 8, 40, 0.3).ends == (3, 8)


def test_a_rung_is_left_out_where_little_training_is_left():
    assert plan_layout(successive_halving(), 10, 64).ends == (1, 2, 4, 10)
    assert plan_layout(successive_halving(eta=4), 8, 64).ends == (1, 4, 8)
    assert plan_layout(successive_halving(eta=4), 7, 64).ends == (1, 7)
    assert plan_layout(successive_halving(first_rung=0.9), 10, 64).ends == (9, 10)


def test_the_brackets_of_hyperband_begin_at_each_rung():
    layout = plan_layout(hyperband(), 8, 64)
    assert [bracket.ends for bracket in layout.brackets] == [(1, 2, 4, 8), (2, 4, 8), (4, 8), (8,)]


def test_scored_lanes_are_those_of_the_age():
    layout = plan_layout(successive_halving(), 8, 64)
    for _, age, lanes in layout.scored:
        assert (layout.ages[lanes] == age - 1).all()
    assert layout.num_scored == sum(23 // 2**k for k in range(3)) + 3 + 4


@pytest.mark.parametrize("num_lanes", [20, 64, 200])
def test_the_lanes_of_an_algorithm_follow_from_its_population(num_lanes):
    layout = plan_layout(successive_halving(), 8, num_lanes)
    assert layout_of(successive_halving(), 8, layout.num_new).num_new == layout.num_new


def test_the_lanes_of_an_algorithm_are_as_few_as_can_be():
    for schedule, num_parts in ((successive_halving(), 8), (successive_halving(eta=4), 20), (hyperband(), 8)):
        planned = [plan_layout(schedule, num_parts, num_lanes) for num_lanes in range(64, 130)]
        for layout in planned:
            fewest = next(p.num_lanes for p in planned if p.num_new == layout.num_new)
            assert layout_of(schedule, num_parts, layout.num_new).num_lanes <= fewest


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: successive_halving(eta=1), "eta must be a whole number of at least 2, got 1"),
        (lambda: hyperband(first_rung=1.0), "first_rung must lie in (0, 1), got 1.0"),
        (lambda: plan_layout(pipelined(), 8, 15), "pipelined needs at least 16 lanes for this task, got 15"),
        (lambda: plan_layout(successive_halving(first_rung=0.9), 8, 64), "at most 7 of the 8 parts of a training"),
        (lambda: plan_layout(pipelined(), 1, 64), "needs a task of at least 2 parts, got num_parts=1"),
        (lambda: as_schedule("halving"), "schedule must be one of whole, successive_halving"),
        (lambda: as_schedule(3), "schedule must be one of"),
        (lambda: Bracket((4, 2, 2), (2, 3)), "widths may only fall, at the ends (2, 3), to 1 at least, got (4, 2, 2)"),
        (lambda: Bracket((2, 4), (1, 2)), "widths may only fall"),
        (lambda: Bracket((2, 0), (1, 2)), "to 1 at least"),
        (lambda: Bracket((2, 2), (2, 1)), "ends must rise to the 2 widths' end, got (2, 1)"),
        (lambda: Bracket((2, 2), (1,)), "ends must rise to the 2 widths' end"),
    ],
)
def test_what_cannot_be_is_said(make, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make()


def test_every_name_is_a_schedule():
    assert [as_schedule(name).name for name in NAMES[1:]] == list(NAMES[1:])
    assert as_schedule("whole") is None
