"""Measure jaxga's speed on this machine: ``python experiments/benchmark.py --only mnist``."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The code of this checkout, even where another one is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.speed import plots, training
from experiments.speed.options import BenchmarkOptions
from experiments.speed.rows import Job, jobs, measure, measure_apart, sections
from experiments.speed.tables import complete, markdown
from jaxga.cli.arguments import MISTAKES, fail, parse
from jaxga.text import show


def main() -> int:
    """Run the command line; returns the exit status (2 for what the user can mend)."""
    try:
        parsed = parse(BenchmarkOptions, sys.argv[1:])
        if parsed is not None:
            _run(parsed.options)
    except MISTAKES as error:
        return fail(error)
    return 0


def _run(options: BenchmarkOptions) -> None:
    if options.row is not None:
        print(json.dumps(measure(options, Job(*json.loads(options.row)))))
        return
    wanted = sections(options)
    if options.profile is not None:
        task = next((name for name in wanted if name in ("mnist", "cartpole")), "mnist")
        training.profile(options, task, options.profile)
        print(f"trace of a generation of {task}: {options.profile}")
        return
    limits = measure_apart(options, Job("machine", "limits", "the machine"))[0]
    print(f"machine: {_summary(limits)}")
    rows, page = [], ""
    for section in wanted:
        for row in _measured(options, section):
            rows.append(row)
            print(f"{section}: {_summary(row)}", flush=True)
        complete(rows, limits)
        page = _write(options, rows, limits)  # after each section: a long run that is stopped keeps what it has
    print("\n" + page)


def _measured(options: BenchmarkOptions, section: str) -> Iterator[dict[str, Any]]:
    """The rows of a section; a sweep ends with the memory, or with the first generation that takes too long."""
    for job in jobs(options, section):
        try:
            rows = measure_apart(options, job)
        except ChildProcessError as error:
            if job.kind != "sweep":
                raise
            print(f"{section}: the sweep ends: {error}", file=sys.stderr)
            return
        yield from ({**row, "kind": job.kind, "is_sweep": job.kind == "sweep"} for row in rows)
        if job.kind == "sweep" and rows[0]["generation"] > options.seconds:
            return


def _summary(row: dict[str, Any]) -> str:
    figures = [f"{name} {show(value)}" for name, value in row.items() if isinstance(value, int | float)]
    return f"{row['label']}: {', '.join(figures)}"


def _write(options: BenchmarkOptions, rows: list[dict[str, Any]], limits: dict[str, Any]) -> str:
    from jaxga.runs.records import environment

    about = environment()
    text = markdown(rows, limits, about, " ".join(["python experiments/benchmark.py", *_public_arguments()]))
    if options.out is None:
        return text
    options.out.mkdir(parents=True, exist_ok=True)
    record = {"command": ["benchmark.py", *_public_arguments()], "machine": limits, "rows": rows, **about}
    (options.out / "benchmark.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (options.out / "benchmark.md").write_text(text, encoding="utf-8")
    plots.throughput(rows, options.out / "throughput.png")
    plots.roofline(rows, limits, options.out / "roofline.png")
    return text


def _public_arguments() -> list[str]:
    """The command line as it can be repeated elsewhere: folders are a matter of the machine."""
    arguments = sys.argv[1:]
    return ["DIR" if i and arguments[i - 1] in ("--data-dir", "--out") else word for i, word in enumerate(arguments)]


if __name__ == "__main__":
    sys.exit(main())
