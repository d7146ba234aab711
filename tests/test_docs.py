"""What the README and the pages of docs/ show: their examples run as they stand, their links lead somewhere."""

import ast
import importlib
import importlib.util
import inspect
import json
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import jax
import pytest

from jaxga.cli import export, replay, report, run
from jaxga.cli.arguments import parse

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", *DOCS]
_FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Too large for the tests: a block that imports one of them is compiled and not run where it is not installed.
_TOO_LARGE = ("torch",)
_COMPARES_BITS = ("docs/internals/keys.md",)
_TOO_LONG = "# Takes a minute: the tests do not run it."
# A run of a task that a page defines, at a size for a test; the last one of an option given twice counts. JAX has begun
# in this process, so that it cannot be joined by others. A halving of 8 parts needs 9 lanes.
_ALONE = ["--processes", "1"]
_SMALL = ["--pop", "9", "--generations", "2", "--no-report"]
# Whose names the reference has to show.
_PUBLIC = ["jaxga", "jaxga.algorithms", "jaxga.operators", "jaxga.surrogates", "jaxga.runtime"]
_PUBLIC += [f"jaxga.adapters.{name}" for name in ("evosax", "optuna", "sklearn")]
_COMMANDS = {"run": run, "report": report, "replay": replay, "export": export}


class Block(NamedTuple):
    """A fenced block of a page: its language, its text, and the line that it begins at."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(m[1], m[2], text.count("\n", 0, m.start()) + 1) for m in _FENCE.finditer(text)]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def with_examples(*languages: str) -> list[Path]:
    return [page for page in PAGES if any(block.language in languages for block in blocks(page))]


@pytest.mark.parametrize("page", with_examples("python"), ids=name_of)
def test_the_examples_of_a_page_run_one_after_another(page, tmp_path, monkeypatch, capsys, request):
    """In an empty folder. A block that begins with ``# own.py`` is that file; one followed by an error raises it."""
    jax.config.update(
        "jax_numpy_rank_promotion", "allow"
    )  # as in a reader's process; conftest.py sets it for each test
    if name_of(page) not in _COMPARES_BITS:  # compiled as the tests' own programs, quickly
        request.getfixturevalue("quick_programs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    shown = blocks(page)
    for block, following in zip(shown, [*shown[1:], Block("", "", 0)], strict=True):
        error = following.text if following.language == "text" and is_error(following.text) else None
        if block.language == "python":
            run_python(page, block, names, error)
        elif block.language == "bash":
            for line in commands(block):
                run_command(line, error, capsys)


def is_error(text: str) -> bool:
    return re.match(r"[\w.]*(error|Error|AllMembersFailed): ", text) is not None


def matches(shown: str, raised: str) -> bool:
    """Whether an error is the one that a page shows, ``...`` standing for any text and a line break for a space."""
    parts = [re.escape(" ".join(part.split())) for part in shown.split("...")]
    return re.fullmatch(r".*?".join(part.replace(r"\ ", r"\s*") for part in parts), raised, re.DOTALL) is not None


def run_python(page, block, names, error):
    code = compile("\n" * block.line + block.text, str(page), "exec")
    if block.text.startswith(_TOO_LONG):
        return
    if any(f"import {package}" in block.text and importlib.util.find_spec(package) is None for package in _TOO_LARGE):
        return
    if file := re.match(r"# (\w+\.py)\n", block.text):
        Path(file[1]).write_text(block.text, encoding="utf-8")
    if error is None:
        exec(code, names)
        return
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the page says which
        exec(code, names)
    raised = f"{type(caught.value).__name__}: {' '.join(str(caught.value).split())}"
    assert matches(error, raised), raised


def commands(block: Block) -> list[str]:
    """The lines of a block in bash, those joined that end with a backslash."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def run_command(line, error, capsys):
    """Run a ``jaxga`` command whose files this page has made; of any other one read the options."""
    words = shlex.split(line, comments=True)
    if words[:1] != ["jaxga"] or words[1] not in _COMMANDS:
        return
    command, given = _COMMANDS[words[1]], words[2:]
    named = [word.partition(":")[0] for word in given]
    if error is None and not any(Path(name).exists() for name in named if name not in (".", "..")):
        parse_only(command, given)
        return
    more = _ALONE if command is run else []
    if any(name.endswith(".py") for name in named) and error is None:
        more = [*more, *_SMALL]
    capsys.readouterr()
    status = command.main([*given, *more])
    printed = capsys.readouterr().err
    if error is None:
        assert status == 0, printed
    else:
        assert status == 2
        assert matches(error, " ".join(printed.split())), printed


def parse_only(command, given):
    if not any("$" in word or word == "..." for word in given):
        parse(command.Options, given)


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "benchmarks").rglob("*.md"))], ids=name_of
)
def test_a_link_of_a_page_leads_to_a_file(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)", text) + re.findall(r'(?:src|href)="([^"#]+)"', text)
    missing = [target for target in targets if ":" not in target and not (page.parent / target).exists()]
    assert not missing


def test_an_error_that_no_example_raises_is_a_text_of_the_code():
    """Of the page of errors; between ``...`` each part is in one string of the code."""
    page = ROOT / "docs" / "errors.md"
    code = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "jaxga").rglob("*.py")]
    nodes = (node for tree in code for node in ast.walk(tree))
    strings = "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    shown = [block.text for block in blocks(page) if block.language == "text" and not is_error(block.text)]
    parts = [part.strip() for text in shown for line in text.splitlines() for part in line.split("...")]
    missing = [part for part in parts if len(part) > 3 and part not in strings]
    assert len(parts) > 10
    assert not missing


def test_the_reference_has_every_public_name():
    """By itself, under its name in the package, or with the module that it is defined in."""
    pages = (ROOT / "docs" / "reference").glob("*.md")
    shown = {name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)}
    for module in sorted(set(_PUBLIC) - shown):
        package = importlib.import_module(module)
        for name in package.__all__:
            own = getattr(package, name)
            own = getattr(own, "__name__", "") if inspect.ismodule(own) else getattr(own, "__module__", "")
            assert shown & {f"{module}.{name}", f"jaxga.{name}", own, f"{own}.{name}"}, f"{module}.{name}"


@pytest.mark.parametrize("notebook", sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")), ids=name_of)
def test_a_notebook_is_stored_without_outputs(notebook):
    """The build of the site executes it."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert any(cell["cell_type"] == "code" for cell in cells)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.slow  # 30 CPU seconds of compiling
def test_the_figure_of_a_generation_is_drawn(tmp_path):
    script = importlib.util.spec_from_file_location("generation", ROOT / "docs" / "internals" / "generation.py")
    module = importlib.util.module_from_spec(script)
    script.loader.exec_module(module)
    module.main(tmp_path / "generation.png")
    assert (tmp_path / "generation.png").read_bytes().startswith(b"\x89PNG")
