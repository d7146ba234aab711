"""Where the real MNIST is, for the tests that want it."""

import os
from pathlib import Path

import pytest

# Read before any test changes the environment.
_NAMED = os.environ.get("JAXGA_DATA_DIR")
_BESIDE = Path(__file__).parents[3] / "shared" / "data" / "mnist"


@pytest.fixture
def real_mnist() -> Path:
    """The folder named by ``JAXGA_DATA_DIR``, or ``shared/data/mnist`` beside the checkout."""
    folder = Path(_NAMED) if _NAMED else _BESIDE
    if not folder.is_dir():
        pytest.skip(f"no real MNIST: JAXGA_DATA_DIR is not set and there is no {_BESIDE}")
    return folder
