"""Thin consumers of a run for TensorBoard, Weights & Biases and MLflow; each imports its own package."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jaxga.base import Objective
from jaxga.loop import Generation

# Rows of TensorBoard's table of hyperparameters: each costs a file.
_MAX_ROWS = 32


class Tracker(Protocol):
    """What is told of every generation, and of the end."""

    def write(self, generation: Generation) -> None: ...

    def finish(self, best: dict[str, Any], figures: dict[str, float]) -> None: ...


def scalars(generation: Generation, objective: Objective) -> dict[str, float]:
    """A generation as figures by name; under a schedule the means are of the members trained to the end."""
    record = generation.record
    is_whole = record.is_whole
    value = objective.sign * record.loss[is_whole & np.isfinite(record.loss)].astype(float)
    found = {
        "best": objective.sign * float(record.best.loss),
        "failed": float(record.num_failed),
        "members_per_second": int(is_whole.sum()) / max(1e-9, generation.seconds - generation.compile_seconds),
    }
    if value.size:
        found |= {"mean": float(value.mean()), "median": float(np.median(value))}
    for name, metric in record.metrics.items():
        metric = np.asarray(metric, float)[is_whole]
        if metric.ndim == 1 and np.isfinite(metric).any():
            found[f"metrics/{name}"] = float(metric[np.isfinite(metric)].mean())
    return found


class TensorBoard:
    """Scalars by generation, and the best members in the table of hyperparameters."""

    def __init__(self, path: Path, name: str, config: dict[str, Any], objective: Objective, space: Any) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(path / "tensorboard"))
        self._objective, self._space = objective, space
        self._best: list[tuple[float, np.ndarray]] = []

    def write(self, generation: Generation) -> None:
        step = int(generation.record.generation) + 1
        for name, value in scalars(generation, self._objective).items():
            self._writer.add_scalar(name, value, step)
        record = generation.record
        kept = record.is_whole
        rows = zip(record.loss[kept].tolist(), np.asarray(record.offspring.genomes)[kept], strict=True)
        self._best = sorted(self._best + [row for row in rows if np.isfinite(row[0])], key=lambda row: row[0])[
            :_MAX_ROWS
        ]

    def finish(self, best: dict[str, Any], figures: dict[str, float]) -> None:
        for i, (loss, genome) in enumerate(self._best):
            setting = {k: str(v) if v is None else v for k, v in self._space.setting(genome).items()}
            self._writer.add_hparams(setting, {"hparam/value": self._objective.sign * loss}, name=f"members/{i}")
        self._writer.close()


class WandB:
    """A run of Weights & Biases; ``WANDB_MODE=offline`` keeps it in the folder."""

    def __init__(self, path: Path, name: str, config: dict[str, Any], objective: Objective, space: Any) -> None:
        import wandb  # pyright: ignore[reportMissingImports]

        self._run = wandb.init(project="jaxga", name=name, dir=str(path), config=config)
        self._objective = objective

    def write(self, generation: Generation) -> None:
        self._run.log(scalars(generation, self._objective), step=int(generation.record.generation) + 1)

    def finish(self, best: dict[str, Any], figures: dict[str, float]) -> None:
        self._run.summary.update({f"best/{k}": v for k, v in best.items()} | figures)
        self._run.finish()


class MLflow:
    """A run of MLflow, where ``MLFLOW_TRACKING_URI`` says."""

    def __init__(self, path: Path, name: str, config: dict[str, Any], objective: Objective, space: Any) -> None:
        import mlflow  # pyright: ignore[reportMissingImports]

        self._mlflow = mlflow
        mlflow.set_experiment("jaxga")
        mlflow.start_run(run_name=name)
        mlflow.log_params({k: v for k, v in config.items() if v is not None})
        self._objective = objective

    def write(self, generation: Generation) -> None:
        step = int(generation.record.generation) + 1
        self._mlflow.log_metrics(scalars(generation, self._objective), step=step)

    def finish(self, best: dict[str, Any], figures: dict[str, float]) -> None:
        self._mlflow.log_params({f"best.{k}": v for k, v in best.items()})
        self._mlflow.log_metrics({k.replace(" ", "_"): v for k, v in figures.items()})
        self._mlflow.end_run()


def _started(make: Callable[..., Tracker]) -> Callable[..., Tracker]:
    """``make``, and whatever its service has against a start (no account, no such server) as an ``OSError``."""

    def start(*about: Any) -> Tracker:
        try:
            return make(*about)
        except Exception as error:  # another package's, of any kind
            raise ConnectionError(f"{make.__name__} cannot be started: {type(error).__name__}: {error}") from None

    return start


TRACKERS: dict[str, tuple[str, Callable[..., Tracker]]] = {
    "tensorboard": ("tensorboardX", _started(TensorBoard)),
    "wandb": ("wandb", _started(WandB)),
    "mlflow": ("mlflow", _started(MLflow)),
}
