"""What ``experiments/benchmark.py`` measures, each section in a module of its own."""
