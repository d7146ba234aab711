"""The rows as a Markdown page."""

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
# Figure -> (heading, its unit in the table, format).
_FIGURES: dict[str, tuple[str, float, str]] = {
    "pop": ("members", 1.0, ",d"),
    "searches": ("searches", 1.0, "d"),
    "ask_tell": ("ask + tell, ms", 1e3, ".3g"),
    "generation": ("s a generation", 1.0, ".3g"),
    "members_per_second": ("members/s", 1.0, ".3g"),
    "env_steps_per_second": ("env-steps/s", 1.0, ".3g"),
    "generations_per_second": ("generations/s, one a dispatch", 1.0, ".3g"),
    "generations_per_second_100": ("generations/s, 100 a dispatch", 1.0, ".3g"),
    "flops_per_second": ("GFLOP/s", 1e-9, ",.0f"),
    "of_peak": ("of the product's peak", 100.0, ".0f%"),
    "of_bandwidth": ("of the memory's bandwidth", 100.0, ".0f%"),
    "compile": ("compile, s", 1.0, ".1f"),
    "compile_cached": ("compile cached, s", 1.0, ".1f"),
    "peak_memory": ("peak memory, GiB", 2**-30, ".2f"),
    "first_call": ("first call, s", 1.0, ".2f"),
    "searches_per_second": ("searches/s, then", 1.0, ".3g"),
    "efficiency": ("efficiency", 1.0, ".2f"),
}
_TITLES = {
    "engine": "Algorithms alone, 10 genes",
    "mnist": "MNIST: generations of `invasive_ga`",
    "cartpole": "PPO on CartPole: generations of `invasive_ga`",
    "many": "Whole searches of 8 members x 10 generations, 10 genes",
    "scaling": "MNIST, a fixed population per process",
    "memory": "Memory, all processes together",
}


def complete(rows: Sequence[Row], limits: Row) -> None:
    """Add what follows from the measured figures: rates as fractions of the machine's, and efficiencies.

    The efficiency of n processes with n times the members is the time of one process over theirs.
    """
    for row in rows:
        if "flops" in row:
            row["flops_per_second"] = row["flops"] / row["generation"]
            row["of_peak"] = row["flops_per_second"] / limits["float32_flops"]
            row["of_bandwidth"] = row["num_bytes"] / row["generation"] / limits["bandwidth"]
    weak = [row for row in rows if row["section"] == "scaling"]
    for row in weak:
        row["efficiency"] = weak[0]["generation"] / row["generation"]


def knee(rows: Sequence[Row]) -> Row | None:
    """Of a sweep the smallest population that reaches nine tenths of the best members/s; None for no rows."""
    best = max((row["members_per_second"] for row in rows), default=0.0)
    return next((row for row in rows if row["members_per_second"] >= 0.9 * best), None)


def markdown(rows: Sequence[Row], limits: Row, about: dict[str, Any], command: str) -> str:
    """The whole page: the machine, then a table a section."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    lines = [
        "# Speed",
        "",
        f"`{command}`",
        "",
        f"{about['cores']} cores, {about['processor']}; {', '.join(sorted(set(about['devices'])))}; "
        f"Python {about['python']}, {versions}.",
        "",
        f"The machine in the same run: float32 products of 2048 x 2048 {1e-9 * limits['float32_flops']:,.0f} GFLOP/s "
        f"(numpy {1e-9 * limits['numpy_flops']:,.0f}; bfloat16 with a float32 result "
        f"{1e-9 * limits['bfloat16_flops']:,.0f}), memory {1e-9 * limits['bandwidth']:,.0f} GB/s. Fractions are of the "
        "float32 product and of this bandwidth. FLOPs and bytes are those of the matrix products of the whole "
        "evaluation (training, curves, validation); bytes count every operand and result once a product, so that a "
        "fraction above 100 % means that caches hold them.",
    ]
    for section in dict.fromkeys(row["section"] for row in rows):
        own = [row for row in rows if row["section"] == section]
        lines += ["", f"## {_TITLES[section]}", "", *_table(own)]
        sweep = knee([row for row in own if row.get("is_sweep")])
        if sweep:
            lines += ["", f"Nine tenths of the best throughput from {sweep['pop']:,} members on."]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Row]) -> list[str]:
    shown = [name for name in _FIGURES if any(row.get(name) is not None for row in rows)]
    lines = ["| row | " + " | ".join(_FIGURES[name][0] for name in shown) + " |", "|---|" + "---:|" * len(shown)]
    body = [" | ".join([row["label"], *(_cell(name, row.get(name)) for name in shown)]) for row in rows]
    return lines + [f"| {cells} |" for cells in body]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    _, unit, form = _FIGURES[name]
    if form.endswith("%"):
        return f"{unit * value:{form[:-1]}} %"
    if form == ".3g":  # three digits without an exponent
        return f"{float(f'{unit * value:.3g}'):,.10g}"
    return f"{value:{form}}" if form.endswith("d") else f"{unit * value:{form}}"
