"""The host loop: one compiled generation after another, and everything that is not on the device."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxga import evolution
from jaxga.base import Algorithm, Evaluation, Task
from jaxga.checks import MAX_MEMBERS, check_count, check_size
from jaxga.chunks import Chunks, ChunkSize, check_chunk_size, plan_chunk
from jaxga.evaluate import train_members
from jaxga.evolution import Record, State
from jaxga.runtime import compiler_options, replicate
from jaxga.task import check_task

MAX_SEED = 2**32 - 1


class AllMembersFailed(RuntimeError):
    """No member evaluated so far has a finite value."""


class Generation(NamedTuple):
    """One generation as the host sees it.

    Attributes:
        record: what left the device, as numpy arrays.
        state: the run's state after it, None inside a dispatch of several generations.
        seconds: wall-clock time from the previous generation to this one.
        compile_seconds: of these, what compiling took; not 0 in the first generation only.
        chunk_size: trainings side by side on a device at most, None for all.
    """

    record: Record
    state: State | None
    seconds: float
    compile_seconds: float
    chunk_size: int | None


class Generations(Iterator[Generation]):
    """The generations of a run; ``chunk_size`` is of the next one."""

    def __init__(self, generations: Iterator[Generation], chunks: Chunks) -> None:
        self._generations, self._chunks = generations, chunks

    def __next__(self) -> Generation:
        return next(self._generations)

    @property
    def chunk_size(self) -> int | None:
        """Trainings side by side on a device at most: planned, and halved where the memory did not suffice."""
        return self._chunks.size


def run(
    task: Task,
    algorithm: Algorithm,
    *,
    key: Array | int = 0,
    num_generations: int,
    num_replicates: int = 1,
    chunk_size: ChunkSize = "auto",
    mesh: Mesh | None = None,
    generations_per_dispatch: int = 1,
    state: State | None = None,
) -> Generations:
    """Evolve, yielding each generation; the next one is dispatched before the last is yielded.

    Args:
        task: what scores a setting.
        algorithm: what proposes settings.
        key: the root key of the run, or its seed.
        num_generations: the total number; with ``state``, those already done are counted in.
        num_replicates: trainings per member, each under a seed of its own.
        chunk_size: trainings side by side on a device at most, None for all; ``"auto"`` as in
            :func:`jaxga.chunks.plan_chunk`. It is halved, with a warning, where the memory does not suffice.
        mesh: devices to share the trainings among, as :func:`jaxga.runtime.population_mesh` gives.
        generations_per_dispatch: generations in one run of the compiled program; it changes no bit of any of them.
        state: where to go on from, as a :class:`Generation` holds it; None to start anew.

    Raises:
        ValueError: before anything is compiled, where an argument is out of its range.
        AllMembersFailed: once every member of the first generations has failed.
        MemoryError: one training, or the chunk that was asked for, does not fit the device.
    """
    if not isinstance(algorithm, Algorithm):
        raise ValueError(f"algorithm must be an Algorithm, got {algorithm!r}")
    check_count("num_generations", num_generations, 1, MAX_MEMBERS // algorithm.population_size)
    check_size("num_replicates", num_replicates, 1)
    check_count("generations_per_dispatch", generations_per_dispatch, 1)
    check_chunk_size(chunk_size)
    root_key = as_key(key)
    if mesh is not None and not (isinstance(mesh, Mesh) and mesh.axis_names == ("pop",)):
        raise ValueError(f"mesh must have the one axis 'pop', as runtime.population_mesh() gives, got {mesh!r}")
    if state is not None:
        _check_state(state, jax.eval_shape(partial(evolution.init, algorithm), root_key))
    check_task(task)
    chunks = Chunks(plan_chunk(chunk_size, task), algorithm.population_size * num_replicates, mesh)
    make_step = partial(evolution.make_step, algorithm, num_replicates=num_replicates, mesh=mesh)
    generations = _generations(
        task, algorithm, root_key, num_generations, state, generations_per_dispatch, make_step, chunks, mesh
    )
    return Generations(generations, chunks)


def _check_state(state: Any, like: State) -> None:
    shapes = [[(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in jax.tree.leaves(tree)] for tree in (state, like)]
    if jax.tree.structure(state) != jax.tree.structure(like) or shapes[0] != shapes[1]:
        raise ValueError("state must be the state of a Generation of this algorithm on this space, got another one")


def _generations(
    task: Task,
    algorithm: Algorithm,
    root_key: Array,
    num_generations: int,
    state: State | None,
    generations_per_dispatch: int,
    make_step: Callable[..., evolution.Step],
    chunks: Chunks,
    mesh: Mesh | None,
) -> Iterator[Generation]:
    last = time.perf_counter()
    current = evolution.init(algorithm, root_key) if state is None else state
    done = int(current.generation)
    end = jnp.int32(num_generations)
    jit: Callable[..., Any] = partial(jax.jit, compiler_options=compiler_options())
    if mesh is not None:
        # One sharding for what comes in and what goes out, or the second generation compiles again.
        root_key, current, task, end = replicate((root_key, current, task, end), mesh)
        jit = partial(jit, out_shardings=NamedSharding(mesh, PartitionSpec()))
    program: Any = None
    compile_seconds = 0.0

    def dispatch(state: State, done: int) -> tuple[State, Record, int]:
        nonlocal program, compile_seconds
        length = min(generations_per_dispatch, num_generations - done)
        arguments = (root_key, state, task, end)
        if program is None:  # the first dispatch is the longest
            began = time.perf_counter()

            def build(chunk_size: int | None) -> Any:
                return jit(evolution.advance(make_step(chunk_size=chunk_size), length)).lower(*arguments).compile()

            program = chunks.compile(build)
            compile_seconds += time.perf_counter() - began
        return *program(*arguments), length

    any_finite = done > 0
    # A CPU runs a program with collectives inside its dispatch: what is done would wait for what comes next.
    is_blocking = mesh is not None and jax.default_backend() == "cpu"
    pending = None
    while done < num_generations:
        try:
            following, stacked, length = pending or dispatch(current, done)
            is_ahead = done + length < num_generations and not is_blocking
            pending = dispatch(following, done + length) if is_ahead else None
            records = jax.device_get(stacked)
        except jax.errors.JaxRuntimeError as error:
            chunks.halve(error)
            program = pending = None
            continue
        current, done = following, done + length
        for i in range(length):
            record: Record = jax.tree.map(lambda x, i=i: x[i], records)
            any_finite |= bool(np.isfinite(record.loss).any())
            if not any_finite:
                raise AllMembersFailed(
                    f"every one of the {record.loss.size} members of generation {int(record.generation) + 1} failed: "
                    f"no value of the objective {task.objective.name!r} is finite"
                )
            now = time.perf_counter()
            is_last = i == length - 1
            yield Generation(record, current if is_last else None, now - last, compile_seconds, chunks.size)
            last, compile_seconds = now, 0.0


def as_key(key: Any) -> Array:
    """A seed in [0, 2^32 - 1] or a threefry key (typed or raw) as a typed key.

    Keys are threefry's whatever JAX's default is: under ``rbg`` a vmapped draw gives other numbers than a draw alone,
    so a result would depend on the chunk size. Raises ``ValueError`` for anything else.
    """
    if isinstance(key, int | np.integer):
        if not isinstance(key, bool) and 0 <= key <= MAX_SEED:
            return jax.random.key(np.uint32(key), impl="threefry2x32")
    elif isinstance(key, Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.shape == () and jax.random.key_impl(key) == "threefry2x32":
            return key
    elif isinstance(key, Array | np.ndarray) and key.shape == (2,) and key.dtype == np.uint32:
        return jax.random.wrap_key_data(jnp.asarray(key), impl="threefry2x32")
    given = f"a key of type {key.dtype}{list(key.shape)}" if isinstance(key, Array) else repr(key)
    raise ValueError(f"key must be a seed in [0, {MAX_SEED}] or one threefry2x32 key of jax.random, got {given}")


def evaluate_fresh(
    task: Task,
    genome: np.ndarray,
    *,
    key: Array | int,
    num_seeds: int,
    chunk_size: ChunkSize = "auto",
    mesh: Mesh | None = None,
) -> Evaluation:
    """Evaluate one setting under seeds that no generation of the run with this root key used.

    Uses the task's ``test`` where it has one: on data that the search never saw.

    Returns:
        An :class:`Evaluation` with a first axis of length ``num_seeds`` throughout, the trained models included.
    """
    check_chunk_size(chunk_size)
    method = getattr(type(task), "test", type(task).evaluate)
    chunks = Chunks(plan_chunk(chunk_size, task, method), num_seeds, mesh)
    arguments = (task, evolution.fresh_key(as_key(key)), jnp.asarray(genome))
    if mesh is not None:
        arguments = replicate(arguments, mesh)

    def build(chunk_size: int | None) -> Any:
        def evaluate_all(task: Task, key: Array, genome: Array) -> Evaluation:
            keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(num_seeds))
            genomes = jnp.broadcast_to(genome, (num_seeds, *genome.shape))
            return train_members(method, task, keys, genomes, chunk_size=chunk_size, mesh=mesh, keep_model=True)

        return jax.jit(evaluate_all, compiler_options=compiler_options()).lower(*arguments).compile()

    while True:
        program = chunks.compile(build)
        try:
            return jax.device_get(program(*arguments))
        except jax.errors.JaxRuntimeError as error:
            chunks.halve(error)
