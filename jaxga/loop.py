"""The host loop: one compiled generation after another, and everything that is not on the device."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxga import cohorts, evolution, lanes
from jaxga.base import Algorithm, Evaluation, Task
from jaxga.checks import MAX_MEMBERS, check_count, check_size
from jaxga.chunks import Chunks, ChunkSize, check_chunk_size, plan_chunk
from jaxga.evaluate import Seeds, part_by_part, train_members
from jaxga.evolution import Record, State
from jaxga.programs import compile_ahead, compiled, kept_program
from jaxga.runtime import compiler_options, replicate
from jaxga.schedules import AnyLayout, Cohort
from jaxga.task import check_task
from jaxga.text import shorten
from jaxga.trainable import Trainable

MAX_SEED = 2**32 - 1


class AllMembersFailed(RuntimeError):
    """No member evaluated so far has a finite value."""


class Generation(NamedTuple):
    """One generation as the host sees it.

    Attributes:
        record: what left the device, as numpy arrays.
        state: the run's state after it, None inside a dispatch of several generations.
        seconds: wall-clock time from the previous generation to this one; those of one program share its time equally.
        compile_seconds: of these, what compiling took; not 0 in the first generation only.
        chunk_size: trainings side by side on a device at most, None for all.
    """

    record: Record
    state: State | None
    seconds: float
    compile_seconds: float
    chunk_size: int | None = None


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
    seeds: Seeds = "own",
    chunk_size: ChunkSize = "auto",
    mesh: Mesh | None = None,
    generations_per_dispatch: int = 1,
    state: State | None = None,
    layout: AnyLayout | None = None,
) -> Generations:
    """Evolve, yielding each generation; the next one is dispatched before the last is yielded.

    Args:
        task: what scores a setting.
        algorithm: what proposes settings.
        key: the root key of the run, or its seed.
        num_generations: the total number; with ``state``, those already done are counted in.
        num_replicates: R, trainings per member, each under another seed.
        seeds: who trains under the same R seeds (initial weights, minibatches, environments; for a task that draws
            them from its key alone). ``"own"``: nobody. ``"generation"``: all members of a generation, so that their
            differences come from their settings alone; the next generation has other seeds. ``"run"``: all members
            of all generations; the objective is then a deterministic function of the setting. An algorithm that
            estimates noise finds none, and the search may prefer settings that suit these R seeds alone; the value
            of the winner under fresh seeds (:func:`evaluate_fresh`) shows it.
        chunk_size: trainings side by side on a device at most, None for all; ``"auto"`` as in
            :func:`jaxga.chunks.plan_chunk`. It is halved, with a warning, where the memory does not suffice.
        mesh: devices to share the trainings among, as :func:`jaxga.runtime.population_mesh` gives.
        generations_per_dispatch: generations in one run of the compiled program; it changes no bit of any of them.
        state: where to go on from, as a :class:`Generation` holds it; None to start anew.
        layout: the lanes of a schedule, as :func:`jaxga.schedules.plan_layout` gives; None trains each member from the
            beginning to the end in one generation. In lanes a generation is one part of each training.

    Raises:
        ValueError: before anything is compiled, where an argument is out of its range.
        AllMembersFailed: once every member of the first generations has failed.
        MemoryError: one training, or the chunk that was asked for, does not fit the device.
    """
    check_sizes(algorithm, num_generations, num_replicates, chunk_size)
    check_layout(task, algorithm, layout)
    check_count("generations_per_dispatch", generations_per_dispatch, 1)
    root_key = as_key(key)
    if mesh is not None and not (isinstance(mesh, Mesh) and mesh.axis_names == ("pop",)):
        raise ValueError(f"mesh must have the one axis 'pop', as runtime.population_mesh() gives, got {mesh!r}")
    if state is not None:
        like = partial(initial_state, task, algorithm, layout=layout, num_replicates=num_replicates)
        _check_state(state, jax.eval_shape(like, root_key))
    check_task(task)
    if state is None:
        state = initial_state(task, algorithm, root_key, layout=layout, num_replicates=num_replicates)
    chunks = Chunks(plan_chunk(chunk_size, task), num_members(algorithm, layout) * num_replicates, mesh)
    program_of = partial(generations_program, task, algorithm, layout, num_replicates, seeds, mesh)
    generations = _generations(
        task, root_key, num_generations, state, generations_per_dispatch, program_of, chunks, mesh
    )
    return Generations(generations, chunks)


def initial_state(
    task: Task, algorithm: Algorithm, key: Array, *, layout: AnyLayout | None, num_replicates: int
) -> State:
    """The state before the first generation of the run whose root key is ``key``.

    Raises ``ValueError`` where the algorithm was made for another search space than the task's.
    """
    if algorithm.space not in (None, task.space):
        made_for, given = (shorten(repr(dict(space.items)), 200) for space in (algorithm.space, task.space))
        raise ValueError(f"algorithm must be made for the task's search space {given}, got one for {made_for}")
    if layout is None:
        return evolution.init(algorithm, key)
    assert isinstance(task, Trainable)
    if isinstance(layout, Cohort):
        return cohorts.init(task, algorithm, layout, num_replicates, key)
    return lanes.init(task, algorithm, layout, num_replicates, key)


def num_members(algorithm: Algorithm, layout: AnyLayout | None) -> int:
    """How many members are trained in one generation."""
    return algorithm.population_size if layout is None else layout.num_lanes


def check_layout(task: Task, algorithm: Algorithm, layout: AnyLayout | None) -> None:
    """Raise ``ValueError`` unless the task can be trained in parts, and the algorithm learns from them."""
    if layout is None:
        return
    name = layout.schedule.name
    lanes.check_trainable(task, name)
    lanes.check_revises(algorithm, name)
    assert isinstance(task, Trainable)
    if (task.num_parts, algorithm.population_size) != (layout.num_parts, layout.num_new):
        raise ValueError(
            f"layout must be of {task.num_parts} parts and {algorithm.population_size} new members a generation, "
            f"as task and algorithm have, got {layout.num_parts} and {layout.num_new}"
        )


def check_sizes(algorithm: Any, num_generations: Any, num_replicates: Any, chunk_size: Any) -> None:
    """Raise ``ValueError`` unless ``algorithm`` is one and the numbers are in their ranges; see :func:`run`."""
    if not isinstance(algorithm, Algorithm):
        raise ValueError(f"algorithm must be an Algorithm, got {algorithm!r}")
    check_count("num_generations", num_generations, 1, MAX_MEMBERS // algorithm.population_size)
    check_size("num_replicates", num_replicates, 1)
    check_chunk_size(chunk_size)


def _check_state(state: Any, like: State) -> None:
    shapes = [[(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in jax.tree.leaves(tree)] for tree in (state, like)]
    if jax.tree.structure(state) != jax.tree.structure(like) or shapes[0] != shapes[1]:
        raise ValueError("state must be the state of a Generation of this algorithm on this space, got another one")


def _generations(
    task: Task,
    root_key: Array,
    num_generations: int,
    current: State,
    generations_per_dispatch: int,
    program_of: Callable[[int, int | None], Any],
    chunks: Chunks,
    mesh: Mesh | None,
) -> Iterator[Generation]:
    last = time.perf_counter()
    done = int(current.generation)
    end = jnp.int32(num_generations)
    if mesh is not None:
        # One sharding for what comes in and what goes out, or the second generation compiles again.
        root_key, current, task, end = replicate((root_key, current, task, end), mesh)
    program: Any = None
    compile_seconds = 0.0

    def dispatch(state: State, done: int) -> tuple[State, Record, int]:
        nonlocal program, compile_seconds
        length = min(generations_per_dispatch, num_generations - done)
        arguments = (root_key, state, task, end)
        if program is None:  # the first dispatch is the longest
            began = time.perf_counter()
            program = chunks.compile(lambda size: compiled(program_of(length, size), *arguments))
            compile_seconds += time.perf_counter() - began
        return *program(*arguments), length

    # A CPU runs a program with collectives inside its dispatch: what is done would wait for what comes next.
    is_blocking = mesh is not None and jax.default_backend() == "cpu"
    pending, is_unproven = None, done == 0
    while done < num_generations:
        try:
            following, stacked, length = pending or dispatch(current, done)
            is_ahead = done + length < num_generations and not is_blocking
            pending = dispatch(following, done + length) if is_ahead else None
            records: Record = jax.device_get(stacked)
        except jax.errors.JaxRuntimeError as error:
            chunks.halve(error)
            program = pending = None
            continue
        if is_unproven:
            is_unproven = _check_members(records, done, length, task)
        current, done = following, done + length
        fields, structure = jax.tree.flatten(records)
        # The rows beyond those of this dispatch are empty.
        now = time.perf_counter()
        seconds, last = (now - last - compile_seconds) / length, now
        for i, row in zip(range(length), zip(*fields, strict=True), strict=False):
            record, is_last = structure.unflatten(row), i == length - 1
            yield Generation(
                record, current if is_last else None, seconds + compile_seconds, compile_seconds, chunks.size
            )
            compile_seconds = 0.0


def _check_members(records: Record, done: int, length: int, task: Task) -> bool:
    """Whether none of these generations has a score; ``AllMembersFailed`` where all of the first ones failed."""
    scored = np.ones_like(records.loss, bool) if records.rungs is None else records.rungs.number >= 0
    which = np.flatnonzero(scored[:length].any(axis=1))
    if which.size and not np.isfinite(records.loss[which[0]][scored[which[0]]]).any():
        raise AllMembersFailed(
            f"every one of the {scored[which[0]].sum()} members of generation {done + which[0] + 1} failed: "
            f"no value of the objective {task.objective.name!r} is finite"
        )
    return not which.size


@kept_program
def generations_program(
    algorithm: Algorithm,
    layout: AnyLayout | None,
    num_replicates: int,
    seeds: Seeds,
    mesh: Mesh | None,
    max_generations: int,
    chunk_size: int | None,
) -> Any:
    """The jitted :func:`jaxga.evolution.advance`."""
    step = make_step(algorithm, layout, num_replicates=num_replicates, seeds=seeds, chunk_size=chunk_size, mesh=mesh)
    sharding: dict[str, Any] = {} if mesh is None else {"out_shardings": NamedSharding(mesh, PartitionSpec())}
    return jax.jit(evolution.advance(step, max_generations), compiler_options=compiler_options(), **sharding)


def make_step(algorithm: Algorithm, layout: AnyLayout | None, **options: Any) -> evolution.Step:
    """The step of :func:`evolution.make_step`, or under a schedule that of its lanes."""
    if layout is None:
        return evolution.make_step(algorithm, **options)
    if isinstance(layout, Cohort):
        return cohorts.make_step(algorithm, layout, **options)
    return lanes.make_step(algorithm, layout, **options)


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
    chunk_size: ChunkSize = "auto",
    mesh: Mesh | None = None,
) -> Evaluation:
    """Evaluate one setting under seeds that no generation of the run with this root key used.

    Uses the task's ``test`` where it has one: on data that the search never saw. ``genome`` is f32[D], or f32[K, D] for
    a training whose setting differs from part to part (population-based training).

    Returns:
        An :class:`Evaluation` with a first axis of length ``num_seeds`` throughout, the trained models included.
    """
    check_chunk_size(chunk_size)
    chunks = Chunks(plan_chunk(chunk_size, task, winner_method(task)), num_seeds, mesh)
    return chunks.run(partial(fresh_program, task, num_seeds, mesh), *_fresh_arguments(task, genome, key, mesh))


def prepare_fresh(
    task: Task,
    genome: np.ndarray,
    *,
    key: Array | int,
    num_seeds: int,
    chunk_size: int | None,
    mesh: Mesh | None = None,
) -> None:
    """Compile the program of :func:`evaluate_fresh` in a thread, while generations run; in all processes.

    ``genome`` is any of the winner's shape.
    """
    compile_ahead(fresh_program(task, num_seeds, mesh, chunk_size), *_fresh_arguments(task, genome, key, mesh))


def _fresh_arguments(task: Task, genome: np.ndarray, key: Array | int, mesh: Mesh | None) -> tuple[Any, ...]:
    arguments = (task, evolution.fresh_key(as_key(key)), jnp.asarray(genome))
    return arguments if mesh is None else replicate(arguments, mesh)


@kept_program
def fresh_program(num_seeds: int, mesh: Mesh | None, chunk_size: int | None) -> Any:
    """``(task, key, genome f32[D] or f32[K, D]) -> Evaluation`` under ``num_seeds`` seeds."""
    evaluate = partial(evaluate_seeds, num_seeds=num_seeds, chunk_size=chunk_size, mesh=mesh)
    return jax.jit(evaluate, compiler_options=compiler_options())


def winner_method(task: Task) -> Callable[..., Evaluation]:
    """How the winner is evaluated: the task's ``test``, or its ``evaluate``."""
    return getattr(type(task), "test", type(task).evaluate)


def evaluate_seeds(
    task: Task, key: Array, genome: Array, *, num_seeds: int, chunk_size: int | None, mesh: Mesh | None
) -> Evaluation:
    """One genome of :func:`evaluate_fresh` under the seeds ``fold_in(key, 0)``, ``fold_in(key, 1)``, ...; pure JAX."""
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(num_seeds))
    genomes = jnp.broadcast_to(genome, (num_seeds, *genome.shape))
    method = winner_method(task) if genome.ndim == 1 else part_by_part(winner_method(task))
    return train_members(method, task, keys, genomes, chunk_size=chunk_size, mesh=mesh, keep_model=True)
