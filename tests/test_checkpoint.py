"""Checkpoints: what is saved comes back to the last bit, and what was changed on the disk is told and passed over."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from jaxga import evolution, invasive_ga
from jaxga.algorithms.warm import warm_start
from jaxga.runs.checkpoint import CheckpointError, Checkpoints, digest, restore
from jaxga.space import SearchSpace, Uniform

pytest.importorskip("orbax.checkpoint")
STATE = {
    "key": jax.random.key(3),
    "x": jnp.array([1.5, jnp.nan, jnp.inf]),
    "n": jnp.int32(7),
    "none": jnp.zeros((0, 2)),
    "flag": jnp.array(True),
}


@pytest.fixture
def saved(tmp_path):
    with Checkpoints(tmp_path / "c") as checkpoints:
        for generation in range(1, 6):
            assert checkpoints.save(generation, STATE | {"n": jnp.int32(generation)}, {"g": generation}, wait=True)
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
    assert sorted(path.name for path in saved.iterdir()) == ["3", "4", "5"]


@pytest.mark.parametrize("damage", ["altered", "truncated", "removed"])
@pytest.mark.parametrize("what", ["about/metadata", "state/manifest.ocdbt", "state/d/*"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(saved, damage, what):
    [path, *_] = sorted((saved / "5").glob(what))
    content = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        half = len(content) // 2
        changed = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        path.write_bytes(content[:half] if damage == "truncated" else changed)
    found = restore(saved, like=STATE)
    assert found.notes == {"g": 4}
    assert int(found.state["n"]) == 4
    [line] = found.unusable
    assert line.startswith("checkpoint 5 is not usable: damaged (")


def test_orbax_prints_no_traceback_of_a_damaged_checkpoint(saved):
    for path in (saved / "5").glob("state/d/*"):
        path.unlink()
    code = "import sys, jax.numpy as jnp; from tests.test_checkpoint import STATE, restore\n"
    code += "print(restore(sys.argv[1], like=STATE).notes)"
    root = Path(__file__).parent.parent
    command = [sys.executable, "-c", code, str(saved)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=100)
    assert done.stdout == "{'g': 4}\n"
    assert done.stderr == ""


def test_a_changed_note_is_found(saved):
    path = saved / "5" / "about" / "metadata"
    path.write_text(path.read_text().replace('"g": 5', '"g": 9').replace('"g":5', '"g":9'))
    found = restore(saved, like=STATE)
    assert found.notes == {"g": 4}
    assert "digest" in found.unusable[0]


def test_every_one_damaged(saved):
    for path in saved.glob("*/about/metadata"):
        path.write_text("")
    found = restore(saved, like=STATE)
    assert found.state is None
    assert len(found.unusable) == 3


def test_the_caller_may_refuse(saved):
    found = restore(saved, like=STATE, refuse=lambda notes: "too new" if notes["g"] > 3 else None)
    assert found.notes == {"g": 3}
    assert found.unusable == tuple(f"checkpoint {g} is not usable: too new" for g in (5, 4))


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (STATE | {"n": jnp.float32(0)}, "n is int32[]"),
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
    with Checkpoints(saved, after=3) as checkpoints:
        assert [path.name for path in saved.iterdir()] == ["3"]
        assert checkpoints.save(4, STATE, {"g": "new"}, wait=True)
    assert restore(saved, like=STATE).notes == {"g": "new"}


def test_a_folder_that_went_is_an_error_of_one_line(tmp_path):
    import shutil

    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(1, STATE, {}, wait=True)
    shutil.rmtree(tmp_path / "c")
    with pytest.raises(CheckpointError, match="the folder is gone"):
        checkpoints.save(2, STATE, {})
