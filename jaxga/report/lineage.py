"""Population-based training: whose training each member took over, and the winner's settings part by part."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxga.runs.history import FINISHED, HEIR, History
from jaxga.text import show


class Lineage(NamedTuple):
    """The cohort of the winner: its scores, and from which score each went on.

    Attributes:
        rows: i64[N], of the history.
        before: i64[N], the row of the score before it in the same training; -1 for the first one.
        winner: i64[K], the rows of the winner's training, part by part; of the best one so far where none is finished.
    """

    rows: np.ndarray
    before: np.ndarray
    winner: np.ndarray


def lineage(history: History) -> Lineage | None:
    """The lineage that the history shows; None where no member took over another's training."""
    columns, loss = history.columns, history.loss
    is_heir = columns["species"] == HEIR
    if not is_heir.any():
        return None
    ended = columns["outcome"] == FINISHED
    if not np.isfinite(loss[ended]).any():
        ended = columns["trained"] == columns["trained"].max()
    last = int(np.argmin(np.where(ended, loss, np.inf)))
    place = {pair: row for row, pair in enumerate(zip(columns["generation"], columns["member"], strict=True))}

    def before(row: int) -> int:
        generation = columns["generation"][row] - 1
        own = place.get((generation, columns["member"][row]), -1)
        if own < 0 and is_heir[row]:
            own = place.get((generation, columns["parent_a"][row]), -1)
        return own

    winner = [last]
    while (earlier := before(winner[-1])) >= 0:
        winner.append(earlier)
    first = columns["generation"][winner[-1]]
    rows = np.flatnonzero((columns["generation"] >= first) & (columns["generation"] < first + history.num_parts))
    return Lineage(rows, np.array([before(int(row)) for row in rows]), np.array(winner[::-1]))


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
