"""Searches beside grids of scikit-learn's models."""
