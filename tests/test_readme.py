"""The README's Python examples run as they stand."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_examples_of_all_three_ways():
    text = "\n".join(EXAMPLES)
    assert all(call in text for call in ("jaxga.minimize(", "jaxga.optimize(", "algorithm.tell("))


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(example):
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
