"""What is printed while a run goes on."""

from jaxga.runs.progress import plain_console


def test_names_are_printed_as_they_are(capsys):
    plain_console().print("task.py:B: [red]a[/] :fire:")
    assert capsys.readouterr().out == "task.py:B: [red]a[/] :fire:\n"
