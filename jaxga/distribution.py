"""The name under which jaxga is installed: ``jaxga`` is another project's on the public package index."""

import importlib.metadata
from collections.abc import Iterable

NAME = "jaxga-evolution"


def install_hint(extra: str) -> str:
    """The command that installs an optional part, for an error text.

    >>> install_hint("wandb")
    "pip install 'jaxga-evolution[wandb]'"
    """
    return f"pip install '{NAME}[{extra}]'"


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those that are installed, by the names given; ``jaxga`` is jaxga itself."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(NAME if package == "jaxga" else package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
