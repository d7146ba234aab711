"""Imports point one way, in every file of the package."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "jaxga"
# From the inside to the outside. A part is a folder or a file; a file that is named here is no part of its folder. A
# part imports those of earlier rows and of its own.
ORDER = [
    {"conditions", "distribution", "files", "precision", "text", "runtime"},
    {"space"},
    {"base", "checks", "programs", "schedules", "trainable"},
    {"batches", "operators", "surrogates"},
    {"algorithms"},
    {"adapters"},
    {"registry"},
    {"evaluate"},
    {"work", "chunks"},
    {"evolution"},
    {"cohorts", "lanes", "parts", "repeats"},
    {"runs.history"},  # the columns of a run, which a task's names must not repeat
    {"task"},
    {"host"},
    {"loop"},
    {"runs", "report.study"},
    {"report"},
    {"result"},
    {"runs.execution"},
    {"optimize"},
    {"many"},
    {"cli"},
    {"__init__", "__main__"},
]
RANK = {part: rank for rank, row in enumerate(ORDER) for part in row}
# What tasks may use beside the classes in the package itself.
PUBLIC = {"as_host_task", "in_batches", "run_defaults", "single_precision"}
PUBLIC |= {"base", "checks", "distribution", "space", "tasks", "text"}
OPTIONAL = {"gymnax", "evosax", "optuna", "matplotlib", "rich", "typer", "sklearn", "tensorflow_datasets", "tqdm"}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for name in node.names:
                yield f"{node.module}.{name.name}"


def module_of(path):
    """``a.b`` of jaxga/a/b.py, and ``a`` of jaxga/a/__init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


FILES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
FILES = {module: path for module, path in FILES.items() if module.partition(".")[0] != "tasks"}


def imported_modules(module):
    """The modules of the package that a file imports; a name of the package itself is ``__init__``."""
    for name in imports(FILES[module]):
        top, _, rest = name.partition(".")
        if top == "jaxga":
            while rest and rest not in FILES:
                rest = rest.rpartition(".")[0]
            yield rest or "__init__"


def part_of(module):
    return module if module in RANK else module.partition(".")[0]


@pytest.mark.parametrize("module", FILES)
def test_a_file_imports_what_lies_further_in(module):
    for other in imported_modules(module):
        assert RANK[part_of(other)] <= RANK[part_of(module)], f"{module} imports {other}"


@pytest.mark.parametrize("module", FILES)
def test_a_search_needs_no_optional_package(module):
    tops = {name.partition(".")[0] for name in imports(FILES[module])}
    assert not tops & {"tasks", "experiments", "tests"}
    if RANK[part_of(module)] <= RANK["loop"] and part_of(module) != "adapters":
        assert not tops & OPTIONAL


def test_no_two_files_import_each_other():
    graph = {module: set(imported_modules(module)) - {module} for module in FILES}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(FILES)


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "tasks").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_tasks_import_only_public_names(path):
    for name in imports(path):
        top, *rest = name.split(".")
        assert top != "experiments", name
        if top == "jaxga":
            assert rest[0][0].isupper() or rest[0] in PUBLIC, name
