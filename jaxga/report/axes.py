"""Axes: whether one is logarithmic, its ends and ticks, and names short enough for it."""

import math

import numpy as np

from jaxga.space import Dimension


def spans_decades(values: np.ndarray, direction: str = "max") -> bool:
    """Whether an axis of these values should be logarithmic: all are above 0, and they span enough decades.

    A logarithmic axis gives more room to low values. For a minimised objective the best values are low, so that one
    decade is enough; for others two are needed.
    """
    values = values[np.isfinite(values)].astype(float)
    return bool(values.size) and values.min() > 0 and values.max() > (10 if direction == "min" else 100) * values.min()


def whole_range(dimension: Dimension) -> tuple[float, float]:
    """The ends of an axis that shows the whole range of a hyperparameter, with a margin."""
    low, high = float(dimension.low), float(dimension.high)
    if dimension.is_log:
        low, high = math.log10(low), math.log10(high)
    margin = 0.5 if dimension.labels else 0.03 * (high - low) or 0.5
    low, high = low - margin, high + margin
    return (10.0**low, 10.0**high) if dimension.is_log else (low, high)


def log_ticks(values: np.ndarray, most: int = 8) -> tuple[list[float], list[str]]:
    """At most ``most`` ticks between the least and the greatest value, and their texts.

    Ticks at 1, 2 and 5 of each decade where these are few enough, else at each decade, every second decade, and so on.
    """
    finite = values[np.isfinite(values)].astype(float)
    low, high = float(finite.min()), float(finite.max())
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks: list[tuple[int, int]] = []
    for mantissas, step in [((1, 2, 5), 1), *(((1,), step) for step in range(1, last - first + 1))]:
        ticks = [(m, decade) for decade in range(first, last + 1, step) for m in mantissas]
        # A bound that float32 rounded keeps its tick.
        ticks = [(m, d) for m, d in ticks if low * (1 - 1e-5) <= m * 10.0**d <= high * (1 + 1e-5)]
        if len(ticks) <= most:
            break
    if len(ticks) < 2:
        return [low, high], [f"{low:.4g}", f"{high:.4g}"]
    return [m * 10.0**d for m, d in ticks], [_power(m, d) for m, d in ticks]


def _power(mantissa: int, decade: int) -> str:
    if -5 < decade < 6:
        return f"{mantissa * 10.0**decade:,.{max(0, -decade)}f}"
    power = "10" + str(decade).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if mantissa == 1 else f"{mantissa}·{power}"


def shortened(text: str, width: int = 32) -> str:
    """The text, or its beginning and end with "…" between, of ``width`` characters."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"
