"""The program that hangs XLA's CPU client on few cores, as a user would write it: one training, vmapped.

Scans over small matrix products, batched over members, chunked: a rollout with an actor and a critic, then
minibatch updates of both. Run by ``test_runtime.py`` in fresh processes, with no environment variable set.
"""

import sys

if "--bare" not in sys.argv:  # "--bare": without jaxga, to see the hang
    import jaxga  # noqa: F401

import jax
import jax.numpy as jnp
from jax import lax

NUM_MEMBERS, CHUNK, NUM_ENVS, ROLLOUT, NUM_UPDATES = 32, 8, 4, 128, 20


def network(params, x):
    return jnp.tanh(jnp.tanh(x @ params[0]) @ params[1]) @ params[2]


def init(key, num_outputs):
    keys = jax.random.split(key, 3)
    shapes = ((4, 64), (64, 64), (64, num_outputs))
    return [jax.random.normal(k, shape) / shape[0] ** 0.5 for k, shape in zip(keys, shapes, strict=True)]


def loss(params, batch):
    x, y = batch
    return -jnp.mean(jax.nn.log_softmax(network(params[0], x)) * y) + jnp.mean(network(params[1], x) ** 2)


def train(seed):
    key_actor, key_critic, key_x, key_loop = jax.random.split(jax.random.key(seed), 4)
    params = (init(key_actor, 2), init(key_critic, 1))

    def act(carry, key):
        params, x = carry
        action = jax.random.categorical(key, network(params[0], x))
        value = network(params[1], x)
        x = jnp.tanh(x + 0.1 * (action[:, None] - 0.5) + 0.01 * value)
        return (params, x), (x, jax.nn.one_hot(action, 2))

    def update(carry, key):
        params, x = carry
        key_act, *key_epochs = jax.random.split(key, 5)
        (_, x), batch = lax.scan(act, (params, x), jax.random.split(key_act, ROLLOUT))
        batch = jax.tree.map(lambda b: b.reshape(NUM_ENVS * ROLLOUT, -1), batch)

        def epoch(params, key):
            order = jax.random.permutation(key, NUM_ENVS * ROLLOUT)
            minibatches = jax.tree.map(lambda b: b[order].reshape(4, -1, b.shape[-1]), batch)

            def step(params, minibatch):
                gradient = jax.grad(loss)(params, minibatch)
                return jax.tree.map(lambda p, g: p - 0.01 * g, params, gradient), None

            return lax.scan(step, params, minibatches)[0], None

        params, _ = lax.scan(epoch, params, jnp.stack(key_epochs))
        return (params, x), None

    x = jax.random.normal(key_x, (NUM_ENVS, 4))
    (params, _), _ = lax.scan(update, (params, x), jax.random.split(key_loop, NUM_UPDATES))
    return network(params[0], x).mean()


if __name__ == "__main__":
    values = jax.jit(lambda seeds: lax.map(train, seeds, batch_size=CHUNK))(jnp.arange(NUM_MEMBERS))
    print("finished", bool(jnp.isfinite(values).all()))
