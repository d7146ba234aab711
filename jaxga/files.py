"""Modules made of a user's own files, ``path/to/file.py``."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

# Another name than the file's own, which may be that of a package.
_PREFIX = "jaxga_task_"


def load_file(path: Path) -> ModuleType:
    """Execute a file as a module, as ``python file.py`` does; modules beside it can be imported."""
    spec = importlib.util.spec_from_file_location(f"{_PREFIX}{path.stem}", path)
    assert spec is not None  # its name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a dataclass looks its module up there
    sys.path.insert(0, str(path.resolve().parent))
    spec.loader.exec_module(module)
    return module


def file_of(module_name: str) -> Path | None:
    """The file of a module that :func:`load_file` made; None for any other module."""
    return Path(str(sys.modules[module_name].__file__)).resolve() if module_name.startswith(_PREFIX) else None
