"""Three ways to compute the convolutions of ``cnn``: ``NPROC=1 python benchmarks/training/convolution.py``.

CPU milliseconds of a training step of one member on one core, and of a member's share where four train side by side.
All ways train the same network with the same seeds on random images, in turn in one process.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxga.evaluate import train_members
from jaxga.runtime import compiler_options
from jaxga.tasks.cnn import Cnn, cnn
from jaxga.tasks.data import ImageData
from jaxga.tasks.products import convolution, dense_product

SHAPES = {"8x8 images": (8, 8), "28x28 images": (28, 28), "signals of 40": (40,)}


def products_of_shifts(x: Array, kernel: Array, *_: Any, **__: Any) -> Array:
    """A matrix product for each tap of the kernel, summed."""
    window = kernel.shape[:-2]
    padded = jnp.pad(x, [(0, 0), *(((size - 1) // 2, size // 2) for size in window), (0, 0)])
    shifted = [
        padded[:, *(slice(start, start + size) for start, size in zip(starts, x.shape[1:-1], strict=True))]
        for starts in np.ndindex(*window)
    ]
    taps = kernel.reshape(-1, *kernel.shape[-2:])
    return sum(dense_product("float32")(part, tap) for part, tap in zip(shifted, taps, strict=True))  # pyright: ignore[reportReturnType]


WAYS: dict[str, Callable[..., Array]] = {
    "XLA's convolution": lax.conv_general_dilated,
    "a product for each tap": products_of_shifts,
    "one product of windows": convolution("float32"),
}


def random_images(shape: tuple[int, ...]) -> ImageData:
    rng = np.random.default_rng(0)
    splits = []
    for n in (64, 10, 10):
        splits += [rng.normal(size=(n, int(np.prod(shape)))).astype(np.float32), np.arange(n, dtype=np.int32) % 10]
    images = ImageData("random", "drawn here", *splits)
    if len(shape) == 1:
        return images
    as_bytes = [split if split.ndim == 1 else np.clip(128 + 40 * split, 0, 255).astype(np.uint8) for split in splits]
    return ImageData("random", "drawn here", *as_bytes)


def program(task: Cnn, way: Callable[..., Array], num_members: int) -> Callable[[], Any]:
    keys = jax.random.split(jax.random.key(0), num_members)
    genomes = jax.random.uniform(jax.random.key(1), (num_members, task.space.size))
    train = jax.jit(partial(train_members, Cnn.evaluate), compiler_options=compiler_options())
    with mock.patch("jaxga.tasks.cnn.convolution", return_value=way):
        compiled = train.lower(task, keys, genomes).compile()
    return lambda: jax.block_until_ready(compiled(task, keys, genomes))


def main() -> None:
    """Print a table for each shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("| data | members | " + " | ".join(WAYS) + " |\n|---|---|" + "---|" * len(WAYS))
    for name, shape in SHAPES.items():
        task = cnn(random_images(shape), num_steps=options.steps)
        for num_members in (1, 4):
            programs = {way: program(task, WAYS[way], num_members) for way in WAYS}
            least = dict.fromkeys(WAYS, np.inf)
            for _ in range(options.rounds):
                for way, call in programs.items():
                    began = time.process_time()
                    call()
                    least[way] = min(least[way], time.process_time() - began)
            figures = " | ".join(f"{1000 * seconds / options.steps / num_members:.1f}" for seconds in least.values())
            print(f"| {name} | {num_members} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
