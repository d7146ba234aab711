"""``python -m jaxga`` is the command ``jaxga``."""

from jaxga.cli.main import main

main()
