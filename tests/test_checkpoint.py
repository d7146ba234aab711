"""Checkpoints: a state is restored to the last bit; a file that was damaged is named and not used."""

import os
import shutil
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxga import evolution, invasive_ga
from jaxga.algorithms.warm import warm_start
from jaxga.runs.checkpoint import CheckpointError, Checkpoints, digest, restore
from jaxga.space import SearchSpace, Uniform

STATE = {
    "key": jax.random.key(3),
    "x": jnp.array([1.5, jnp.nan, jnp.inf]),
    "n": jnp.int32(7),
    "none": jnp.zeros((0, 2)),
    "flag": jnp.array(True),
    "half": jnp.array([0.1, 3.0], jnp.bfloat16),
    "file": {"about": jnp.float32(0.5)},  # names that np.savez or the file itself uses
}


@pytest.fixture
def saved(tmp_path):
    with Checkpoints(tmp_path / "c") as checkpoints:
        for generation in range(1, 6):
            checkpoints.save(generation, STATE | {"n": jnp.int32(generation)}, {"g": generation}, wait=True)
    return tmp_path / "c"


def test_what_comes_back_is_what_was_saved(saved):
    found = restore(saved, like=jax.eval_shape(lambda: STATE))
    assert found.notes == {"g": 5}
    assert found.unusable == ()
    assert digest(found.state) == digest(STATE | {"n": jnp.int32(5)})
    assert digest(found.state) != digest(STATE)
    assert jax.random.key_data(found.state["key"]).tolist() == jax.random.key_data(STATE["key"]).tolist()


def test_an_algorithms_state_comes_back(tmp_path):
    algorithm = warm_start(invasive_ga(SearchSpace(x=Uniform(0, 1)), population_size=4), jnp.ones((1, 1)))
    state = evolution.init(algorithm, jax.random.key(0))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, {}, wait=True)
    found = restore(tmp_path, like=state)
    assert jax.tree.structure(found.state) == jax.tree.structure(state)
    assert digest(found.state) == digest(state)


def test_the_last_three_are_kept(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["3.npz", "4.npz", "5.npz"]


def altered(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def assert_the_one_before_is_used(folder, reason):
    found = restore(folder, like=STATE)
    assert found.notes == {"g": 4}
    assert int(found.state["n"]) == 4
    [line] = found.unusable
    assert line.startswith("checkpoint 5 is not usable: damaged (")
    assert reason in line


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.9])
def test_a_truncated_checkpoint_is_named_and_the_one_before_used(saved, part):
    path = saved / "5.npz"
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert_the_one_before_is_used(saved, "")


def test_a_directory_in_the_place_of_a_checkpoint_is_named(saved):
    (saved / "5.npz").unlink()
    (saved / "5.npz").mkdir()
    assert_the_one_before_is_used(saved, "directory")


def test_an_altered_byte_never_changes_what_is_restored(saved):
    """A zip file has bytes without a meaning, such as the time: the checkpoint is named, or its content is right."""
    path, expected = saved / "5.npz", digest(STATE | {"n": jnp.int32(5)})
    content, num_named = path.read_bytes(), 0
    for place in range(0, len(content), 17):
        path.write_bytes(altered(content, place))
        found = restore(saved, like=STATE)
        assert found.notes == {"g": 4} or (found.notes == {"g": 5} and digest(found.state) == expected)
        num_named += len(found.unusable)
    assert num_named > len(content) / 17 / 2


@pytest.mark.parametrize("name", ["about", "state|x", "state|half"])
def test_content_that_zip_takes_for_whole_is_checked_by_the_digest(saved, name):
    with np.load(saved / "5.npz") as file:
        content = dict(file)
    changed = content[name].copy()
    if name == "about":
        changed = np.frombuffer(changed.tobytes().replace(b'"g": 5', b'"g": 9'), np.uint8)
    else:
        changed.view(np.uint8)[-1] ^= 1
    np.savez(saved / "5.npz", **content | {name: changed})
    assert_the_one_before_is_used(saved, "digest")


def test_nothing_pickled_is_loaded(saved):
    np.savez(saved / "5.npz", about=np.array([{"format": 2}], object))
    assert_the_one_before_is_used(saved, "allow_pickle=False")


def test_every_one_damaged(saved):
    for path in saved.iterdir():
        path.write_bytes(b"")
    found = restore(saved, like=STATE)
    assert found.state is None
    assert len(found.unusable) == 3


def test_a_checkpoint_of_orbax_is_named_with_its_format(tmp_path):
    (tmp_path / "5" / "state").mkdir(parents=True)
    found = restore(tmp_path, like=STATE)
    assert found.state is None
    [line] = found.unusable
    assert line.startswith("checkpoint 5 is not usable: it has the Orbax format")


def test_the_caller_may_refuse(saved):
    found = restore(saved, like=STATE, refuse=lambda notes: "too new" if notes["g"] > 3 else None)
    assert found.notes == {"g": 3}
    assert found.unusable == tuple(f"checkpoint {g} is not usable: too new" for g in (5, 4))


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (STATE | {"n": jnp.float32(0)}, "n is int32[]"),
        (STATE | {"key": jax.random.split(STATE["key"])}, "key is uint32[2]"),
        (STATE | {"more": jnp.float32(0)}, "it has no more"),
        ({k: v for k, v in STATE.items() if k != "x"}, "it has a x"),
    ],
)
def test_another_algorithms_checkpoint_is_told(saved, like, message):
    found = restore(saved, like=like)
    assert found.state is None
    assert message in found.unusable[0]


def test_no_folder_is_no_checkpoint(tmp_path):
    assert restore(tmp_path / "nowhere", like=STATE) == (None, {}, ())


def test_newer_ones_go_when_a_run_goes_on_from_an_older(saved):
    (saved / ".4.npz").write_bytes(b"of a run that was killed")
    with Checkpoints(saved, after=3) as checkpoints:
        assert [path.name for path in saved.iterdir()] == ["3.npz"]
        checkpoints.save(4, STATE, {"g": "new"}, wait=True)
    assert restore(saved, like=STATE).notes == {"g": "new"}


def test_a_save_does_not_wait_and_has_the_notes_of_its_moment(tmp_path, monkeypatch):
    go, notes, savez = threading.Event(), {"g": 1}, np.savez
    monkeypatch.setattr(np, "savez", lambda *args, **arrays: go.wait(60) and savez(*args, **arrays))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, STATE, notes)
        notes["g"] = 2
        assert restore(tmp_path, like=STATE).state is None
        go.set()
    assert restore(tmp_path, like=STATE).notes == {"g": 1}


@pytest.mark.parametrize("next_call", ["save", "close"])
def test_an_error_of_the_background_is_raised_by_the_next_call(tmp_path, next_call):
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(1, STATE, {}, wait=True)
    shutil.rmtree(tmp_path / "c")
    checkpoints.save(2, STATE, {})
    with pytest.raises(CheckpointError, match=r"checkpoint .*2\.npz cannot be written: No such file or directory"):
        checkpoints.save(3, STATE, {}) if next_call == "save" else checkpoints.close()


@pytest.mark.parametrize(("owner", "step"), [(os, "fsync"), (Path, "replace")])
def test_a_failed_save_leaves_the_ones_before(saved, monkeypatch, owner, step):
    def full(*args):
        raise OSError(28, os.strerror(28))

    with Checkpoints(saved, after=5) as checkpoints:
        monkeypatch.setattr(owner, step, full)
        with pytest.raises(CheckpointError, match="No space left on device"):
            checkpoints.save(6, STATE, {}, wait=True)
    assert sorted(path.name for path in saved.iterdir()) == ["3.npz", "4.npz", "5.npz"]
    assert restore(saved, like=STATE).notes == {"g": 5}


def test_a_file_in_the_place_of_the_folder_is_an_error_of_one_line(tmp_path):
    (tmp_path / "c").write_text("")
    with pytest.raises(CheckpointError, match=r"checkpoints .*c cannot be written: File exists"):
        Checkpoints(tmp_path / "c")
