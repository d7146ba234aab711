"""How a value is written for a person: in a table, in an error."""

import difflib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

# A longer value is cut here: its beginning says what it is.
_MAX_VALUE = 60


def show(value: Any) -> str:
    """A setting or figure with four significant digits, as a person writes it."""
    if isinstance(value, float | np.floating):
        return "-" if math.isnan(value) else f"{value:.4g}"
    return str(value)


def unfinished(trained: float) -> str:
    """What to say of a value where no training ended: the longest got the share ``trained``. Empty where it is 1."""
    return "" if trained == 1 else f"no training ended: after {100 * trained:.0f} % of one at most"


def show_trained(value: float, trained: float) -> str:
    """A value, and in brackets what :func:`unfinished` says of it."""
    note = unfinished(trained)
    return f"{show(value)} ({note})" if note else show(value)


def show_bytes(number: float) -> str:
    """A number of bytes with three significant digits.

    >>> show_bytes(3 * 2**29)
    '1.5 GiB'
    """
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    power = min(int(math.log2(max(number, 1)) // 10), len(units) - 1)
    return f"{number / 1024**power:.3g} {units[power]}"


def shorten(text: str, size: int = _MAX_VALUE) -> str:
    """The text, or its first ``size`` characters and three dots."""
    return text if len(text) <= size else f"{text[:size]}..."


def check_choice(option: str, given: str, allowed: Iterable[str]) -> None:
    """Raise ``ValueError`` unless ``given`` is among the allowed; it names the one that was probably meant."""
    allowed = list(allowed)
    if given not in allowed:
        given = str(given)  # in code it may be of another type
        lower = {name.lower(): name for name in allowed}
        close = difflib.get_close_matches(given.lower(), lower, n=1)
        hint = f"; did you mean {lower[close[0]]}?" if close else ""
        raise ValueError(f"{option} must be one of {', '.join(allowed)}, got {shorten(given)!r}{hint}")
