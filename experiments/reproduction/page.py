"""What is written: a picture, its numbers and its section for each figure, and the page of all sections."""

import csv
import textwrap
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from experiments.reproduction.figures import FIGURES
from experiments.reproduction.section import Data, Section
from jaxga.report.plots import save
from jaxga.runs.draft import draft
from jaxga.runs.records import environment

_PACKAGES = ("jaxga", "jax", "jaxlib", "flax", "optax", "numpy", "gymnax")
# Of a picture: a third of the size of all colours, and no visible difference.
_NUM_COLOURS = 128
_HEAD = """# The original's figures, measured anew

The original is the slide deck "Evolving Hyperparameters: Learning Enhanced Model Training". Its curves are not
available as numbers: each section says what the slides show, how that is read as a claim, and whether it holds here.
`python experiments/reproduce.py` makes this page.

All methods get the same number of evaluations. GA: `ga`, 4 parents, 1 mutation. Invasive GA: `invasive_ga`, the
same, half of each generation being invaders (fewer with noise). Grid: the smallest full grid with at least
as many points as evaluations, taken in order, so that its curve says nothing before its end (10 genes have
1,024 points, of which the first are taken). Search *i* of every method has the same key, and its winner is
trained again under the same fresh seeds; these values are compared, because the best value that a search has
met is optimistic where there is noise. "It wins 60 % [50, 70]": the share of paired searches with the better
winner, a tie being half a win, and the 95 % bootstrap interval over the searches. "Better" and "worse": the
interval leaves 50 % out, and an exact sign test has p < 0.05. Intervals are not corrected for the number of
comparisons. Speed compares the means of the curves of the best value so far. Curves: the median over the
searches with a band from the first to the third quartile. Winners: the median, the quartiles (thick), the 5th
and 95th percentiles (thin); in tables the median and, where a section says nothing else, the quartiles.
"""
_QUICK = """
**This page is a test of the program (`--quick`), with 3 tiny searches a method: its figures mean nothing.**
"""


def write_figure(folder: Path, name: str, data: Data) -> None:
    """PNG, SVG, CSV and the section of one figure into ``folder``/reproduction."""
    section, out = FIGURES[name].draw(data), folder / "reproduction"
    write_picture(out / name, section)
    with draft(out / f"{name}.md") as made:
        made.write_text(_section(name, section, data), encoding="utf-8")


def write_picture(stem: Path, section: Section) -> None:
    """PNG, SVG and CSV of one figure; ``stem`` is their path without the suffix."""
    save(section.picture, stem)
    picture, numbers = (stem.with_name(f"{stem.name}.{suffix}") for suffix in ("png", "csv"))
    with Image.open(picture) as image, draft(picture) as made:
        image.convert("RGB").quantize(_NUM_COLOURS).save(made, optimize=True)
    with draft(numbers) as made, made.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(section.rows[0]))
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in section.rows)


def write_page(folder: Path, is_quick: bool) -> Path:
    """``folder``/reproduction.md, of all sections that were made there."""
    parts = [folder / "reproduction" / f"{name}.md" for name in FIGURES]
    sections = [part.read_text(encoding="utf-8") for part in parts if part.exists()]
    path = folder / "reproduction.md"
    with draft(path) as made:
        made.write_text("\n".join([_HEAD + _QUICK * is_quick, *sections]), encoding="utf-8")
    return path


def machine() -> str:
    """Today's date, the machine and the versions, as a page names them."""
    about = environment()
    versions = ", ".join(f"{p} {about['versions'][p]}" for p in _PACKAGES if p in about["versions"])
    cores = "1 core" if about["cores"] == 1 else f"{about['cores']} cores"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    return f"{today}, {cores} of {about['processor']}, Python {about['python']}, {versions}"


def _section(name: str, section: Section, data: Data) -> str:
    setups = {setup: data.setup(setup) for setup, _ in FIGURES[name].wanted(data.is_quick)}
    details = dict.fromkeys(setup.details for setup in setups.values())
    command = f"python experiments/reproduce.py {name}{' --quick' * data.is_quick}"
    return "\n".join(
        wrapped(line)
        for line in [
            f"## {FIGURES[name].title}",
            "",
            f"**The original.** {FIGURES[name].claim}",
            "",
            f"![{FIGURES[name].title}](reproduction/{name}.png)",
            "",
            "**Found.**",
            "",
            *section.found,
            "",
            f"`{command}`; [its numbers](reproduction/{name}.csv); {'; '.join(details)}. {machine()}.",
            "",
        ]
    )


def wrapped(line: str) -> str:
    """A paragraph or an entry of a list in lines; a table's row and a picture as they are."""
    if line.startswith(("|", "!", "#")):
        return line
    indent = "  " if line.startswith("-") else ""
    return textwrap.fill(line, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
