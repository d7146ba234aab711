"""An extension of Griffe: doctests of docstrings become code, and roles such as :func:`jaxga.run` become links."""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|meth|mod|data):`([^`]+)`")


def as_markdown(text: str, module: str) -> str:
    """A docstring as Markdown."""
    lines: list[str] = []
    is_code = False
    for line in text.splitlines():
        starts = line.lstrip().startswith(">>>")
        if starts and not is_code:
            indent = line[: len(line) - len(line.lstrip())]
            lines += ["", f"{indent}```pycon"]
            is_code = True
        elif is_code and not line.strip():
            lines.append(f"{indent}```")
            is_code = False
        lines.append(line)
    if is_code:
        lines.append(f"{indent}```")

    def link(match: re.Match[str]) -> str:
        name = match[1]
        full = name if name.startswith("jaxga.") else f"{module}.{name}"
        return f'<autoref identifier="{full}" optional><code>{name}</code></autoref>'

    return _ROLE.sub(link, "\n".join(lines))


class Markdown(griffe.Extension):
    """Rewrites every docstring when it has been read."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Called by Griffe once for each module, class, function and attribute."""
        if obj.docstring is not None and not obj.is_alias:
            obj.docstring.value = as_markdown(obj.docstring.value, obj.module.path)
