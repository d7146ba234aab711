"""Imports point one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What each part of the library may import of it; "experiments" and "tasks" import from outside.
ALLOWED = {
    "space": set(),
    "base": {"space"},
    "distribution": set(),
    "runtime": set(),
    "precision": set(),
    "checks": {"space"},
    "operators": {"base", "checks", "precision", "space", "operators"},
    "surrogates": {"base", "precision", "space", "surrogates"},
    "algorithms": {"base", "checks", "precision", "space", "operators", "surrogates", "algorithms", "adapters"},
    "adapters": {"algorithms", "base", "checks", "distribution", "precision", "space"},
    "evaluate": {"base", "space"},
    "evolution": {"base", "evaluate"},
    "history": {"base", "space", "evolution"},
    "task": {"base", "evaluate", "history", "space"},
    "run": {"algorithms", "base", "checks", "evaluate", "evolution", "history", "runtime", "space", "task"},
    "checkpoint": {"base", "distribution", "evolution"},
    "saved": {"base", "history", "space"},
}
# What tasks may use beside the classes in the package itself.
PUBLIC = {"base", "checks", "distribution", "run_defaults", "single_precision", "space", "tasks", "text"}
OPTIONAL = {"gymnax", "evosax", "optuna", "matplotlib", "rich", "typer", "sklearn", "tensorflow_datasets", "tqdm"}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for name in node.names:
                yield f"{node.module}.{name.name}"


def library_files():
    return sorted(path for path in (ROOT / "jaxga").rglob("*.py") if path.parent.name != "adapters")


@pytest.mark.parametrize("path", library_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_imports_inwards_only(path):
    part = path.relative_to(ROOT / "jaxga").parts[0].removesuffix(".py")
    for name in imports(path):
        top, *rest = name.split(".")
        assert top not in {"tasks", "experiments", "tests"}, name
        assert top not in OPTIONAL, name
        if top == "jaxga" and part in ALLOWED:
            assert rest[0] in ALLOWED[part], f"{part} imports {name}"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "jaxga" / "tasks").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_tasks_import_only_public_names(path):
    for name in imports(path):
        top, *rest = name.split(".")
        assert top != "experiments", name
        if top == "jaxga":
            assert rest[0][0].isupper() or rest[0] in PUBLIC, name
