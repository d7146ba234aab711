"""``python paired.py BEFORE AFTER [OLD=NEW]``: how often a search after a change beats one before it, as JSON.

Both files are by measure.py; they may be the same one, with OLD and NEW two of its methods. A win rate compares every
seed with every seed of the same problem, a tie being half a win; the interval is a bootstrap over the problems (95 %).
``same_seed`` compares equal seeds alone. ``log10_regret`` is the difference of the medians, after less before.
"""

import json
import sys

import numpy as np

PAIRS = (("invasive_ga", "invasive_ga"), ("classic_ga", "ga"), ("ga", "invasive_ga:no_models"))


def finals(path):
    """The final regrets by budget, problem and method, and the class of each problem."""
    found, classes = {}, {}
    with open(path) as file:
        for row in map(json.loads, file):
            final = np.array(row["curves"])[:, -1]
            key = row["budget"], row["problem"], row["method"]
            classes[row["problem"]] = row.get("group", "") + (", noisy" if row.get("noisy") else "")
            found[key] = np.maximum(final, 1e-6) if row["knows_optimum"] else final
    return found, classes


def compare(before, after, classes, budget, old, new):
    """The figures of one method, or None where no problem was run by both."""
    problems = [p for b, p, m in before if b == budget and m == old and (b, p, new) in after]
    if not problems:
        return None
    rows = []
    for problem in problems:
        x, y = before[budget, problem, old], after[budget, problem, new]
        gap = np.log10(np.maximum([np.median(y), np.median(x)], 1e-6))
        rows.append(
            [
                np.mean(y[:, None] < x) + 0.5 * np.mean(y[:, None] == x),
                np.mean(y < x) + 0.5 * np.mean(y == x),
                gap[0] - gap[1],
            ]
        )
    table = np.array(rows)
    places = np.random.default_rng(0).integers(0, len(table), (10_000, len(table)))
    low, high = np.percentile(table[places].mean(1), (2.5, 97.5), axis=0)
    figures = {
        name: [round(float(v[i]), 3) for v in (table.mean(0), low, high)]
        for i, name in enumerate(("win_rate", "same_seed", "log10_regret"))
    }
    wins = {problem: round(float(row[0]), 3) for problem, row in zip(problems, rows, strict=True)}
    by_class = {}
    for problem, row in zip(problems, rows, strict=True):
        by_class.setdefault(classes[problem], []).append(row[0])
    by_class = {name: [round(float(np.mean(rates)), 3), len(rates)] for name, rates in sorted(by_class.items())}
    return {
        "before": old,
        "after": new,
        "num_problems": len(problems),
        **figures,
        "win_rate_and_problems_by_class": by_class,
        "win_rate_by_problem": wins,
    }


if __name__ == "__main__":
    (before, classes), (after, _) = map(finals, sys.argv[1:3])
    pairs = [tuple(word.split("=")) for word in sys.argv[3:]] or PAIRS
    budgets = sorted({budget for budget, *_ in after}, key=len)
    found = {b: [c for old, new in pairs if (c := compare(before, after, classes, b, old, new))] for b in budgets}
    print(json.dumps(found, indent=1))
