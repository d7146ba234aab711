"""The parts of ``experiments/compare.py``: problems, methods, statistics and the report."""
