"""``python wasted.py DIR``: members of a run that are worse than the median founder, and the median of each generation.

Members bred in the first three generations do not count.
"""

import json
import sys
from pathlib import Path

import numpy as np

import jaxga

if __name__ == "__main__":
    run = jaxga.load(sys.argv[1])
    size = json.loads((Path(sys.argv[1]) / "config.json").read_text())["options"]["pop"]
    columns = run.history.columns
    loss = run.history.objective.sign * np.asarray(columns["value"], float).reshape(-1, size)
    species = np.asarray(columns["species"]).reshape(-1, size)[3:]
    is_worse = ~(loss[3:] <= np.nanmedian(loss[0]))  # a failed member too
    print(f"{is_worse.sum()} of {is_worse.size} later members are worse than the median founder: {is_worse.mean():.2%}")
    for kind in np.unique(species):
        print(f"  {kind}: {is_worse[species == kind].sum()} of {(species == kind).sum()}")
    print("medians:", *(f"{median:.4f}" for median in np.nanmedian(loss, axis=1)))
