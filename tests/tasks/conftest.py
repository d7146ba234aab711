"""The real MNIST, for the tests that need it."""

import os
from pathlib import Path

import pytest

# Read before any test changes the environment.
_FOLDER = os.environ.get("JAXGA_DATA_DIR")


@pytest.fixture
def real_mnist() -> Path:
    """The folder named by ``JAXGA_DATA_DIR``; without this variable the test is skipped."""
    if not _FOLDER:
        pytest.skip("no real MNIST: JAXGA_DATA_DIR is not set")
    return Path(_FOLDER)
