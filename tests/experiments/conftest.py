"""What several tests of the command line wait for."""

import time

import pytest


@pytest.fixture
def wait_for_generations():
    """``wait(process, folder, number=3)``: until so many generations of 6 members are recorded."""

    def wait(process, folder, number=3):
        deadline = time.monotonic() + 100
        path = folder / "history.csv"
        while not (path.exists() and path.read_bytes().count(b"\n") > 6 * number):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)

    return wait
