"""One search in code: from its first generation, or a checkpoint, to its result."""

import contextlib
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxga import runtime
from jaxga.result import Result
from jaxga.runs.callbacks import CallbackError, Callbacks
from jaxga.runs.config import (
    LENGTH,
    WARM_START,
    check_config,
    check_identity,
    check_length,
    check_programs,
    identity,
    new_config,
    resumed_config,
)
from jaxga.runs.folder import RunFolder, Start, has_run, restart
from jaxga.runs.history import History
from jaxga.runs.model import Keep, kept_model, save_model
from jaxga.runs.progress import ProgressLine, plain_console
from jaxga.runs.recorder import Recorder
from jaxga.runs.saved import SavedRun, read_config
from jaxga.runs.session import Reached, Search, add_seconds, best_settings, follow, search_config, write_result
from jaxga.runs.stopping import ENOUGH, GO_ON, REPORT_SECONDS, Stop, StopState
from jaxga.runs.warm_start import WarmStart


class Execution:
    """A call of :func:`jaxga.optimize`; process 0 writes to its folder, where it has one."""

    def __init__(
        self,
        search: Search,
        rules: Stop,
        options: dict[str, Any],
        warm_start: Any,
        path: Path | None,
        resume: bool,
        report: bool,
        stack: contextlib.ExitStack,
    ) -> None:
        began = time.perf_counter()
        task, is_first = search.task, jax.process_index() == 0
        # Process 0 decides for all: it may write the configuration before another process looks for it.
        is_resumed = bool(runtime.agree(resume and path is not None and has_run(path)))
        if path is not None and is_first:
            stack.enter_context(RunFolder(path, is_new=not is_resumed))
        if path is not None and is_resumed:
            known = WarmStart.load(path / WARM_START)
            if known is None and warm_start is not None:
                raise ValueError(f"cannot resume {path}: that run began without a warm start")
        else:
            known = None if warm_start is None else WarmStart.read(warm_start, task.space, task.objective)
        if known is not None:
            search = search._replace(algorithm=known.applied_to(search.algorithm))
        start = Start(search.initial_state(), {}, ())
        about = {}
        if path is not None:
            about = identity({k: v for k, v in options.items() if k not in (*LENGTH, "chunk")}, task, known)
        if path is not None and is_resumed:
            check_config(path, read_config(path))
            check_length(path, options["generations"])
            for warning in check_identity(path, about, task):
                warnings.warn(warning, stacklevel=4)
            start = restart(path, start.state)
            runtime.agree(True)  # no process writes before all have read
        self.history = History(task.space, task.objective, search.num_replicates, search.num_parts)
        self._search, self._start, self._path = search, start, path
        self._generations = search.generations(start)
        if path is not None and is_resumed:
            for warning in check_programs(path, task, search.algorithm):
                warnings.warn(warning, stacklevel=4)
        report_seconds = REPORT_SECONDS if path and report else 0.0
        elapsed, chunk_size = lambda: time.perf_counter() - began, self._generations.chunk_size
        overhead = search.overhead(elapsed, report_seconds, chunk_size)
        self._stop = StopState(rules, task.objective, overhead, start.notes.get("stop"))
        self._recorder, self._has_report = None, report
        self._rules, self._num_asked = rules, options["generations"]
        if path is not None and is_first:
            config = (
                resumed_config(path, options, None)
                if is_resumed
                else new_config(path, options["task"], options, about, task, known, None, **search_config(search))
            )
            self._recorder = Recorder(path, config["run"], search, start, self._stop)
            stack.callback(self._recorder.close)  # it has cut off what is beyond the checkpoint
            if int(start.state.generation):
                self.history = SavedRun.read(path).history
            self._recorder.begin("resume" if is_resumed else "start")
        self._start_seconds = time.perf_counter() - began

    def follow(self, callbacks: Callbacks, progress: bool) -> tuple[Reached, str | None]:
        """Take the generations up to the end; gives where that is, and why it is early."""
        search, recorder = self._search, self._recorder
        consumers = [self._stop.write, lambda generation: self.history.append(generation.record)]
        consumers += [recorder.write] if recorder is not None else []
        with contextlib.ExitStack() as stack:
            if progress and jax.process_index() == 0:
                objective, num_done = search.task.objective, int(self._start.state.generation)
                trainings_each = None if search.layout is None else search.trainings_each
                about = (objective, search.num_generations, num_done, trainings_each)
                line = stack.enter_context(ProgressLine(plain_console(), *about))
                consumers.append(line.write)
            consumers.append(callbacks.write)
            try:
                reached = follow(
                    search,
                    self._start,
                    self._generations,
                    consumers,
                    lambda: ENOUGH if callbacks.reason or self._stop.ends() else GO_ON,
                )
            except CallbackError as error:
                if recorder is None:
                    raise
                recorder.finish()
                raise CallbackError(f"{error}; the run is saved in {self._path}") from error.__cause__
        if recorder is not None:
            recorder.finish()
        reason = callbacks.reason or self._stop.reason
        return reached, reason or self._rules.reason_of_end(reached.num_done, search.num_generations, self._num_asked)

    def finish(self, reached: Reached, reason: str | None, keep_model: Keep) -> Result:
        """Evaluate the winner under fresh seeds, write the result and the report."""
        search, path = self._search, self._path
        mark = time.perf_counter()
        chunk_size = self._generations.chunk_size
        fresh = search.evaluate_winner(reached.best_genome, chunk_size) if search.num_fresh else None
        trained = None if fresh is None else search.trained_winner(reached.state, fresh)
        model = None if trained is None else kept_model(trained, search.task.objective, keep_model)
        seconds = {"start": self._start_seconds, "compile": reached.compile_seconds, "generations": reached.seconds}
        seconds["winner on fresh seeds"] = time.perf_counter() - mark
        if path is not None and self._recorder is not None:
            mark = time.perf_counter()
            if model is not None:
                save_model(path, model)
            self._recorder.events.add("finished", generation=reached.num_done, reason=reason)
            result = write_result(path, search, reached, fresh, status="finished", reason=reason, seconds=seconds)
            if self._has_report:
                from jaxga.report.outputs import write_outputs

                write_outputs(path)
            add_seconds(path, result, "report", time.perf_counter() - mark)
        return Result(
            **best_settings(search.task.space, reached.best_genome),
            best_value=search.task.objective.sign * reached.best_loss,
            fresh_values=np.empty(0, np.float32) if fresh is None else np.asarray(fresh.value),
            history=self.history,
            state=reached.state,
            model=model,
            reason=reason,
            path=path,
        )
