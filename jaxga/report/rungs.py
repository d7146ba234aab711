"""What the rungs of a schedule did: who went on, how well a rung ranks, and what stopping cost."""

from typing import NamedTuple

import numpy as np

from jaxga.base import Outcome
from jaxga.report.ranking import rank_correlation
from jaxga.runs.history import FINISHED, History

_WENT_ON, _HALTED = (outcome.name.lower() for outcome in (Outcome.WENT_ON, Outcome.HALTED))


class Rung(NamedTuple):
    """One rung (the last is the end of the training).

    Attributes:
        share: of a whole training.
        num_scored: members scored there.
        num_halted: of these, those that others took the lane of.
        correlation: Spearman's rank correlation of the value there and at the end, over the members trained to the
            end that were scored there; NaN for fewer than three.
        num_compared: how many these are.
    """

    share: float
    num_scored: int
    num_halted: int
    correlation: float
    num_compared: int


class Audit(NamedTuple):
    """What halting would have done to the members that were trained to the end whatever their scores.

    Attributes:
        num_members: how many were trained so.
        num_kept: of these, those whose score at the first rung is as good as that of some member which went on there
            in the same generation.
        best, best_kept: the best loss at the end of all of them, and of those kept; NaN where there is none.
    """

    num_members: int
    num_kept: int
    best: float
    best_kept: float


def rungs(history: History) -> list[Rung]:
    """The rungs in the order of the training; empty for a run without a schedule."""
    columns = history.columns
    if "outcome" not in columns:
        return []
    trained, outcome, loss = columns["trained"], columns["outcome"], history.loss
    ends = {m: loss[i] for i, m in enumerate(columns["member"]) if outcome[i] == FINISHED}
    found = []
    for share in np.unique(trained):
        here = trained == share
        members = [(loss[i], ends[columns["member"][i]]) for i in np.flatnonzero(here) if columns["member"][i] in ends]
        halted, (there, end) = int((outcome[here] == _HALTED).sum()), np.array(members).reshape(-1, 2).T
        found.append(Rung(float(share), int(here.sum()), halted, rank_correlation(there, end), len(members)))
    return found


def audit(history: History, bracket: int) -> Audit | None:
    """What the members of this bracket show, none of which is halted; None where none has finished."""
    columns, loss = history.columns, history.loss
    outcome, generation = columns["outcome"], columns["generation"]
    is_audited, is_first = columns["bracket"] == bracket, columns["trained"] == columns["trained"].min()
    ends = {columns["member"][i]: loss[i] for i in np.flatnonzero(is_audited & (outcome == FINISHED))}
    if not ends:
        return None
    kept = []
    for i in np.flatnonzero(is_audited & is_first):
        beside = is_first & ~is_audited & (generation == generation[i]) & (outcome == _WENT_ON)
        if columns["member"][i] in ends and beside.any() and loss[i] <= loss[beside].max():
            kept.append(ends[columns["member"][i]])
    return Audit(len(ends), len(kept), min(ends.values()), min(kept, default=np.nan))
