"""The README's Python examples run as they stand."""

import re
from pathlib import Path

from jaxga.cli.run import main

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_examples_of_all_three_ways():
    text = "\n".join(EXAMPLES)
    assert all(call in text for call in ("jaxga.minimize(", "jaxga.optimize(", "algorithm.tell("))


def test_the_examples_run_one_after_another_as_they_stand(tmp_path, monkeypatch):
    """In an empty folder: an example may use what one before it made."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "readme"}
    for number, example in enumerate(EXAMPLES):
        if example.startswith("# own.py"):
            Path("own.py").write_text(example)
            assert len([line for line in example.splitlines() if line]) <= 15
            small = [
                "--pop",
                "8",
                "--generations",
                "2",
                "--processes",
                "1",
                "--out",
                "runs/own",
                "--quiet",
                "--no-report",
            ]
            assert main(["--task", "own.py:task", *small]) == 0
        exec(compile(example, f"README.md, example {number}", "exec"), names)
