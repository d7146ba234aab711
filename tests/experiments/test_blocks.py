"""Blocks of arrays on the disk, and files that are none."""

import numpy as np
import pytest

from experiments.blocks import join_blocks
from experiments.comparison.cache import Cache


def test_blocks_are_joined(tmp_path):
    paths = [tmp_path / "0.npz", tmp_path / "1.npz"]
    for path, first in zip(paths, (0, 3), strict=True):
        np.savez(path, x=np.arange(first, first + 3), more=1)
    joined = join_blocks(paths, ["x"])
    assert list(joined) == ["x"]
    np.testing.assert_array_equal(joined["x"], np.arange(6))


def _other_arrays(path):
    np.savez(path, y=np.zeros(2))


def _one_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(2))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("text"),
        lambda path: path.write_bytes(b"PK\x03\x04torn"),
        _other_arrays,
        _one_array,
    ],
)
def test_a_file_of_another_program_is_one_clear_line(write, tmp_path):
    path = tmp_path / "0.npz"
    write(path)
    with pytest.raises(ValueError, match=r"0\.npz is not of this program") as error:
        join_blocks([path], ["x"])
    assert "\n" not in str(error.value)


def test_lines_of_another_program_are_passed_over(tmp_path):
    path = tmp_path / "peers.jsonl"
    path.write_bytes(b'\xff\n1\n[]\n{}\n{"job": {}, "run": {}}\n')
    assert Cache(path).runs == {}
