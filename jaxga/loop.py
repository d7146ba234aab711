"""The host loop: one compiled generation after another, and everything that is not on the device."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from jaxga.evaluate import train_members
from jaxga.evolution import Record, State
from jaxga.programs import compile_ahead, compiled, kept_program
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
    """

    record: Record
    state: State | None
    seconds: float
    compile_seconds: float


def run(
    task: Task,
    algorithm: Algorithm,
    *,
    key: Array | int = 0,
    num_generations: int,
    num_replicates: int = 1,
    chunk_size: int | None = None,
    mesh: Mesh | None = None,
    generations_per_dispatch: int = 1,
    state: State | None = None,
) -> Iterator[Generation]:
    """Evolve, yielding each generation; the next one is dispatched before the last is yielded.

    Args:
        task: what scores a setting.
        algorithm: what proposes settings.
        key: the root key of the run, or its seed.
        num_generations: the total number; with ``state``, those already done are counted in.
        num_replicates: trainings per member, each under a seed of its own.
        chunk_size: trainings side by side on a device, None for all.
        mesh: devices to share the trainings among, as :func:`jaxga.runtime.population_mesh` gives.
        generations_per_dispatch: generations in one run of the compiled program; it changes no bit of any of them.
        state: where to go on from, as a :class:`Generation` holds it; None to start anew.

    Raises:
        ValueError: before anything is compiled, where an argument is out of its range.
        AllMembersFailed: once every member of the first generations has failed.
        MemoryError: the trainings side by side do not fit the device.
    """
    check_sizes(algorithm, num_generations, num_replicates, chunk_size)
    check_count("generations_per_dispatch", generations_per_dispatch, 1)
    root_key = as_key(key)
    if mesh is not None and not (isinstance(mesh, Mesh) and mesh.axis_names == ("pop",)):
        raise ValueError(f"mesh must have the one axis 'pop', as runtime.population_mesh() gives, got {mesh!r}")
    if state is not None:
        _check_state(state, jax.eval_shape(partial(evolution.init, algorithm), root_key))
    check_task(task)
    return _generations(
        task,
        algorithm,
        root_key,
        num_generations,
        state,
        generations_per_dispatch,
        num_replicates,
        chunk_size,
        mesh,
    )


def check_sizes(algorithm: Any, num_generations: Any, num_replicates: Any, chunk_size: Any) -> None:
    """Raise ``ValueError`` unless ``algorithm`` is one and the numbers are in their ranges; see :func:`run`."""
    if not isinstance(algorithm, Algorithm):
        raise ValueError(f"algorithm must be an Algorithm, got {algorithm!r}")
    check_count("num_generations", num_generations, 1, MAX_MEMBERS // algorithm.population_size)
    check_size("num_replicates", num_replicates, 1)
    if chunk_size is not None:
        check_count("chunk_size", chunk_size, 1)


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
    num_replicates: int,
    chunk_size: int | None,
    mesh: Mesh | None,
) -> Iterator[Generation]:
    last = time.perf_counter()
    current = evolution.init(algorithm, root_key) if state is None else state
    first = done = int(current.generation)
    end = jnp.int32(num_generations)
    if mesh is not None:
        # One sharding for what comes in and what goes out, or the second generation compiles again.
        root_key, current, task, end = replicate((root_key, current, task, end), mesh)
    program: Any = None
    compile_seconds = 0.0

    def dispatch(state: State) -> tuple[State, Record, int] | None:
        nonlocal program, compile_seconds
        length = min(generations_per_dispatch, num_generations - done)
        if length <= 0:
            return None
        arguments = (root_key, state, task, end)
        if program is None:  # the first dispatch is the longest
            began = time.perf_counter()
            with memory_named():
                jitted = generations_program(task, algorithm, num_replicates, chunk_size, mesh, length)
                program = compiled(jitted, *arguments)
            compile_seconds = time.perf_counter() - began
        with memory_named():
            return *program(*arguments), length

    # A CPU runs a program with collectives inside its dispatch: what is done would wait for what comes next.
    is_blocking = mesh is not None and jax.default_backend() == "cpu"
    pending = dispatch(current)
    while pending is not None:
        current, stacked, length = pending
        pending, done_before = None, done
        done += length
        if not is_blocking:
            pending = dispatch(current)
        with memory_named():
            records: Record = jax.device_get(stacked)
        if first == done_before == 0 and not np.isfinite(records.loss[0]).any():
            raise AllMembersFailed(
                f"every one of the {records.loss[0].size} members of generation 1 failed: "
                f"no value of the objective {task.objective.name!r} is finite"
            )
        fields, structure = jax.tree.flatten(records)
        # The rows beyond those of this dispatch are empty.
        for i, row in zip(range(length), zip(*fields, strict=True), strict=False):
            now = time.perf_counter()
            record = structure.unflatten(row)
            yield Generation(record, current if i == length - 1 else None, now - last, compile_seconds)
            last, compile_seconds = now, 0.0
        if is_blocking:
            pending = dispatch(current)


@kept_program
def generations_program(
    algorithm: Algorithm, num_replicates: int, chunk_size: int | None, mesh: Mesh | None, max_generations: int
) -> Any:
    """The jitted :func:`jaxga.evolution.advance`."""
    step = evolution.make_step(algorithm, num_replicates=num_replicates, chunk_size=chunk_size, mesh=mesh)
    sharding: dict[str, Any] = {} if mesh is None else {"out_shardings": NamedSharding(mesh, PartitionSpec())}
    return jax.jit(evolution.advance(step, max_generations), compiler_options=compiler_options(), **sharding)


@contextmanager
def memory_named() -> Iterator[None]:
    """Turn a device's "out of memory" into a ``MemoryError`` that names the remedy."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        first_line = str(error).strip().splitlines()[0]
        raise MemoryError(
            f"the trainings of a generation do not fit the device's memory: set chunk_size (--chunk), how many of them "
            f"run side by side ({first_line})"
        ) from error


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


def as_keys(keys: Any) -> Array:
    """S >= 1 seeds or keys, each as in :func:`as_key`, as typed keys key[S]; ``ValueError`` for anything else."""
    is_array = isinstance(keys, Array | np.ndarray)
    fits = isinstance(keys, Sequence) and not isinstance(keys, str)
    if is_array:
        fits = keys.ndim == (2 if keys.dtype == np.uint32 else 1)  # raw keys are u32[S, 2]
    if not fits or not len(keys):
        given = f"an array of type {keys.dtype} and shape {list(keys.shape)}" if is_array else repr(keys)
        raise ValueError(f"keys must be 1 or more seeds or threefry2x32 keys, in a list or an array [S], got {given}")
    if isinstance(keys, Array) and jnp.issubdtype(keys.dtype, jax.dtypes.prng_key):
        as_key(keys[0])  # of threefry
        return keys
    each = [as_key(key) for key in (np.asarray(keys) if is_array else keys)]
    data = np.stack([np.asarray(jax.random.key_data(key)) for key in each])
    return jax.random.wrap_key_data(jnp.asarray(data), impl="threefry2x32")


def evaluate_fresh(
    task: Task,
    genome: np.ndarray,
    *,
    key: Array | int,
    num_seeds: int,
    chunk_size: int | None = None,
    mesh: Mesh | None = None,
) -> Evaluation:
    """Evaluate one setting under seeds that no generation of the run with this root key used.

    Uses the task's ``test`` where it has one: on data that the search never saw.

    Returns:
        An :class:`Evaluation` with a first axis of length ``num_seeds`` throughout, the trained models included.
    """
    jitted = fresh_program(task, num_seeds, chunk_size, mesh)
    arguments = _fresh_arguments(task, genome, key, mesh)
    with memory_named():
        return jax.device_get(compiled(jitted, *arguments)(*arguments))


def prepare_fresh(
    task: Task, *, key: Array | int, num_seeds: int, chunk_size: int | None = None, mesh: Mesh | None = None
) -> None:
    """Compile the program of :func:`evaluate_fresh` in a thread, while generations run; in all processes."""
    genome = np.zeros(task.space.size, np.float32)
    compile_ahead(fresh_program(task, num_seeds, chunk_size, mesh), *_fresh_arguments(task, genome, key, mesh))


def _fresh_arguments(task: Task, genome: np.ndarray, key: Array | int, mesh: Mesh | None) -> tuple[Any, ...]:
    arguments = (task, evolution.fresh_key(as_key(key)), jnp.asarray(genome))
    return arguments if mesh is None else replicate(arguments, mesh)


@kept_program
def fresh_program(num_seeds: int, chunk_size: int | None, mesh: Mesh | None) -> Any:
    """``(task, key, genome f32[D]) -> Evaluation`` under ``num_seeds`` seeds."""
    evaluate = partial(evaluate_seeds, num_seeds=num_seeds, chunk_size=chunk_size, mesh=mesh)
    return jax.jit(evaluate, compiler_options=compiler_options())


def evaluate_seeds(
    task: Task, key: Array, genome: Array, *, num_seeds: int, chunk_size: int | None, mesh: Mesh | None
) -> Evaluation:
    """One genome f32[D] under the seeds ``fold_in(key, 0)``, ``fold_in(key, 1)``, ...; pure JAX."""
    method = getattr(type(task), "test", type(task).evaluate)
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(num_seeds))
    genomes = jnp.broadcast_to(genome, (num_seeds, *genome.shape))
    return train_members(method, task, keys, genomes, chunk_size=chunk_size, mesh=mesh, keep_model=True)
