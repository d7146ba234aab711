"""``python large.py OUT BUDGETS PROBLEMS``: ../search/operators/measure.py on a few problems with five seeds."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "search" / "operators"))
import measure  # pyright: ignore[reportMissingImports]

measure.NUM_SEEDS = 5
select = measure.select
measure.select = lambda half: [problem for problem in select(half) if problem.name in sys.argv[3].split(",")]

if __name__ == "__main__":
    measure.main(Path(sys.argv[1]), ["invasive_ga"], sys.argv[2].split(","))
