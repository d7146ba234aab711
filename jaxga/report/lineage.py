"""Population-based training: whose training each member took over, and the winner's settings part by part."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxga.runs.history import FINISHED, HEIR, History, has_setting
from jaxga.text import show


class Lineage(NamedTuple):
    """The cohort of the winner: its scores, and from which score each went on.

    Attributes:
        rows: i64[N], of the history.
        before: i64[N], the row of the score before it in the same training; -1 for the first one.
        took_over: bool[N], whether that score was of another lane.
        winner: i64[K], the rows of the winner's best training, part by part.
    """

    rows: np.ndarray
    before: np.ndarray
    took_over: np.ndarray
    winner: np.ndarray


def lineage(history: History, settings: Sequence[dict[str, Any]] | None) -> Lineage | None:
    """The lineage of the trainings with the winner's ``settings`` of each part, or of the best one so far where None.

    None where no member took over another's training, or no training had these settings.
    """
    columns, loss = history.columns, history.loss
    is_heir = columns["species"] == HEIR
    if not is_heir.any():
        return None
    ended = columns["outcome"] == FINISHED
    if not np.isfinite(loss[ended]).any():
        ended = columns["trained"] == columns["trained"].max()
    place = {pair: row for row, pair in enumerate(zip(columns["generation"], columns["member"], strict=True))}

    def before(row: int) -> int:
        generation = columns["generation"][row] - 1
        own = place.get((generation, columns["member"][row]), -1)
        if own < 0 and is_heir[row]:
            own = place.get((generation, columns["parent_a"][row]), -1)
        return own

    def training(row: int) -> list[int]:
        rows = [row]
        while (earlier := before(rows[-1])) >= 0:
            rows.append(earlier)
        return rows[::-1]

    candidates = np.flatnonzero(ended & np.isfinite(loss))
    has = None if settings is None else [has_setting(columns, setting) for setting in settings]
    for row in candidates[np.argsort(loss[candidates], kind="stable")]:
        winner = training(int(row))
        if has is None or all(mask[part] for mask, part in zip(has, winner, strict=False)):
            break
    else:
        return None
    first = columns["generation"][winner[0]]
    rows = np.flatnonzero((columns["generation"] >= first) & (columns["generation"] < first + history.num_parts))
    earlier = np.array([before(int(row)) for row in rows])
    # A member's number says its lane. A repetition goes on in its own lane, as another member under its next setting.
    num_lanes = np.sum(columns["generation"] == columns["generation"].min())
    lane = columns["member"] % num_lanes
    return Lineage(rows, earlier, (earlier >= 0) & (lane[rows] != lane[earlier]), np.array(winner))


def by_part(settings: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The settings of the parts of a training in words: each hyperparameter, and where it changed.

    >>> by_part([{"x": 1, "y": 0.5}, {"x": 1, "y": 0.5}, {"x": 2}])
    {'x': '1; from part 3: 2', 'y': '0.5; from part 3: -'}
    """
    told = {}
    for name in dict.fromkeys(name for setting in settings for name in setting):
        values = [show(setting[name]) if name in setting else "-" for setting in settings]
        changes = [i for i in range(1, len(values)) if values[i] != values[i - 1]]
        told[name] = "; ".join([values[0], *(f"from part {i + 1}: {values[i]}" for i in changes)])
    return told
