"""TensorBoard, W&B and MLflow: every generation and member."""

import pytest

import jaxga
from jaxga.cli.run import main
from tests.command_line import SMALL, events


def test_tensorboard_has_every_generation(tmp_path):
    pytest.importorskip("tensorboardX")
    folder = tmp_path / "run"
    assert main([*SMALL, "--generations", "3", "--out", str(folder), "--tensorboard"]) == 0
    from tensorboardX.event_file_writer import EventFileWriter  # noqa: F401
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c  # noqa: F401

    best = {}
    for path in (folder / "tensorboard").glob("events*"):
        data = path.read_bytes()
        while data:
            size = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + size])
            for value in event.summary.value:
                if value.tag == "best":
                    best[event.step] = value.simple_value
            data = data[16 + size :]
    assert best == pytest.approx({e["generation"] + 1: e["best"] for e in events(folder)})
    assert len(list((folder / "tensorboard" / "members").iterdir())) == 18


def tracked(folder, option, capfd):
    """A run with ``--option``, whose package has the same name; skips where that is not installed."""
    status = main([*SMALL, "--generations", "2", "--out", str(folder), f"--{option}"])
    try:
        __import__(option)
    except ImportError:
        assert status == 2
        assert f"--{option} needs the package {option}" in capfd.readouterr().err
        pytest.skip(f"{option} is not installed: only its absence was tested")
    assert status == 0


def test_wandb_offline(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracked(tmp_path / "run", "wandb", capfd)
    [log] = (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")
    content = log.read_bytes()
    assert all(word in content for word in (b"members_per_second", b"best_value", b"fresh/mean distance"))


def test_mlflow_in_a_local_file(tmp_path, monkeypatch, capfd):
    url = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    monkeypatch.chdir(tmp_path)
    tracked(tmp_path / "run", "mlflow", capfd)
    from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]

    client = MlflowClient(url)
    [experiment] = [e.experiment_id for e in client.search_experiments() if e.name == "jaxga"]
    [run] = client.search_runs([experiment])
    best = {metric.step - 1: metric.value for metric in client.get_metric_history(run.info.run_id, "best")}
    assert best == pytest.approx({event["generation"]: event["best"] for event in events(tmp_path / "run")})
    assert run.info.status == "FINISHED"
    assert {k: float(v) for k, v in run.data.params.items() if k.startswith("best.")} == {
        f"best.{k}": v for k, v in jaxga.load(tmp_path / "run").best.items()
    }
