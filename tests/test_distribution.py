"""The name to install by is the one of pyproject.toml, wherever it is written."""

import re
import tomllib
from pathlib import Path

from jaxga.distribution import NAME, installed_versions

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_name_is_that_of_the_project():
    assert PROJECT["name"] == NAME


def test_extras_name_no_other_project():
    own = [line for lines in PROJECT["optional-dependencies"].values() for line in lines if line.startswith("jaxga")]
    assert own
    assert all(line.startswith(f"{NAME}[") for line in own)


def test_no_text_tells_to_install_another_project():
    files = [path for part in ("jaxga", "tasks", "experiments", "docs") for path in (ROOT / part).rglob("*.*")]
    files += ROOT.glob("*.md")
    for path in files:
        if path.suffix in (".py", ".md"):
            for found in re.findall(r"pip install '?\"?(jaxga[^'\"]*)", path.read_text(encoding="utf-8")):
                assert found.startswith(f"{NAME}["), path


def test_versions_are_of_what_is_installed():
    assert set(installed_versions(["numpy", "no-such-package"])) == {"numpy"}
