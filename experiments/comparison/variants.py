"""``invasive_ga`` with one part changed, to see what the part is worth."""

from collections.abc import Callable
from typing import Any

# By name: the options at a population of so many members.
ABLATION: dict[str, Callable[[int], dict[str, Any]]] = {
    "one_invader": lambda size: {"num_invaders": 1},
    "quarter_invaders": lambda size: {"num_invaders": max(1, size // 4)},
    "all_invaders": lambda size: {"num_invaders": size},
    "no_litters": lambda size: {"litter_size": 1},
    "large_litters": lambda size: {"litter_size": 16},
    "small_sample": lambda size: {"num_candidates": 256},
    "dense_sample": lambda size: {"num_candidates": 4096},
    "no_models": lambda size: {"num_invaders": 0},
}


def variant_options(variant: str, size: int) -> dict[str, Any]:
    """The options of a surrogate's name or of an entry of ``ABLATION``; none for ``""``."""
    if not variant:
        return {}
    return ABLATION[variant](size) if variant in ABLATION else {"surrogate": variant}
