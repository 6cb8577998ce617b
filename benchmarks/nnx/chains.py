"""A chain of small layers with a given number of variables, in the idiom of each contender.

``x = x @ kernel + bias``, four wide, for each of the layers: next to no arithmetic, so that what is
measured is what a call costs because the model has so many variables. Every contender offers the
same two calls, compiled: one forward pass, and one step of training with optax that keeps its
state between calls.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import flax.nnx
import jax
import jax.numpy as jnp
import optax

import linnet.nnx

WIDTH = 4
RATE = 1e-3

Call = Callable[[], Any]


class Calls(NamedTuple):
    """What is measured of a contender; each call returns what it computed."""

    forward: Call
    step: Call | None


def inputs() -> jax.Array:
    """What goes into the chain."""
    return jnp.linspace(-1.0, 1.0, WIDTH)


def _transformation() -> optax.GradientTransformation:
    return optax.sgd(RATE, momentum=0.9)


def _kernel(index: int) -> jax.Array:
    # a rotation of the features, so that a long chain neither grows nor dies
    return jnp.roll(jnp.eye(WIDTH), index, axis=0)


def _loss(y: jax.Array) -> jax.Array:
    return (y**2).mean()


# --- Linnet and Flax ------------------------------------------------------------------------


def _chain(nnx: Any, layers: int) -> Any:
    class Layer(nnx.Module):
        def __init__(self, index: int):
            self.kernel = nnx.Param(_kernel(index))
            self.bias = nnx.Param(jnp.full(WIDTH, 0.01))

        def __call__(self, x: jax.Array) -> jax.Array:
            return x @ self.kernel[...] + self.bias[...]

    class Chain(nnx.Module):
        def __init__(self):
            self.layers = nnx.List([Layer(index) for index in range(layers)])

        def __call__(self, x: jax.Array) -> jax.Array:
            for layer in self.layers:
                x = layer(x)
            return x

    return Chain()


def _modules(nnx: Any, layers: int, bind: str, **options: Any) -> Calls:
    x = inputs()
    model = _chain(nnx, layers)
    trained = _chain(nnx, layers)
    optimizer = nnx.Optimizer(trained, _transformation(), wrt=nnx.Param)

    def forward(model: Any, x: jax.Array) -> jax.Array:
        return model(x)

    def step(model: Any, optimizer: Any, x: jax.Array) -> jax.Array:
        value, grads = nnx.value_and_grad(lambda model: _loss(model(x)))(model)
        optimizer.update(model, grads)
        return value

    if bind == "jit_partial":
        run = nnx.jit_partial(forward, model, **options)
        return Calls(lambda: run(x), None)
    forward, step = nnx.jit(forward, **options), nnx.jit(step, **options)
    if bind == "cached_partial":
        run, train = (
            nnx.cached_partial(forward, model),
            nnx.cached_partial(step, trained, optimizer),
        )
        return Calls(lambda: run(x), lambda: train(x))
    train = None if options else lambda: step(trained, optimizer, x)
    return Calls(lambda: forward(model, x), train)


def _split(nnx: Any, layers: int) -> Calls:
    """``jax.jit`` on what ``nnx.split`` returns, as functional training loops have it."""
    x = inputs()
    model = _chain(nnx, layers)
    graphdef, state = nnx.split(model)
    optimizer = nnx.Optimizer(model, _transformation(), wrt=nnx.Param)
    train_def, train_state = nnx.split((model, optimizer))

    @jax.jit
    def forward(state: Any, x: jax.Array) -> jax.Array:
        return nnx.merge(graphdef, state)(x)

    @jax.jit
    def step(state: Any, x: jax.Array) -> tuple[jax.Array, Any]:
        model, optimizer = nnx.merge(train_def, state)
        value, grads = nnx.value_and_grad(lambda model: _loss(model(x)))(model)
        optimizer.update(model, grads)
        return value, nnx.state((model, optimizer))

    carried = [train_state]

    def train() -> jax.Array:
        value, carried[0] = step(carried[0], x)
        return value

    return Calls(lambda: forward(state, x), train)


# --- the others -----------------------------------------------------------------------------


def _equinox(layers: int) -> Calls:
    class Layer(eqx.Module):
        kernel: jax.Array
        bias: jax.Array

        def __call__(self, x: jax.Array) -> jax.Array:
            return x @ self.kernel + self.bias

    class Chain(eqx.Module):
        layers: list[Layer]

        def __call__(self, x: jax.Array) -> jax.Array:
            for layer in self.layers:
                x = layer(x)
            return x

    x = inputs()
    tx = _transformation()
    model = Chain([Layer(_kernel(index), jnp.full(WIDTH, 0.01)) for index in range(layers)])

    @eqx.filter_jit
    def forward(model: Chain, x: jax.Array) -> jax.Array:
        return model(x)

    @eqx.filter_jit
    def step(model: Chain, state: Any, x: jax.Array) -> tuple[jax.Array, Chain, Any]:
        value, grads = eqx.filter_value_and_grad(lambda model: _loss(model(x)))(model)
        updates, state = tx.update(grads, state, eqx.filter(model, eqx.is_array))
        return value, eqx.apply_updates(model, updates), state

    carried = [model, tx.init(eqx.filter(model, eqx.is_array))]

    def train() -> jax.Array:
        value, *carried[:] = step(*carried, x)
        return value

    return Calls(lambda: forward(model, x), train)


def _nested(layers: int) -> Calls:
    x = inputs()
    params = {
        "layers": [
            {"kernel": _kernel(index), "bias": jnp.full(WIDTH, 0.01)} for index in range(layers)
        ]
    }

    def chain(params: Any, x: jax.Array) -> jax.Array:
        for layer in params["layers"]:
            x = x @ layer["kernel"] + layer["bias"]
        return x

    return _handwritten(params, chain, x)


def _flat(layers: int) -> Calls:
    x = inputs()
    params = tuple(
        array for index in range(layers) for array in (_kernel(index), jnp.full(WIDTH, 0.01))
    )

    def chain(params: tuple[jax.Array, ...], x: jax.Array) -> jax.Array:
        for kernel, bias in zip(params[::2], params[1::2], strict=True):
            x = x @ kernel + bias
        return x

    return _handwritten(params, chain, x)


def _handwritten(params: Any, chain: Callable[[Any, jax.Array], jax.Array], x: jax.Array) -> Calls:
    tx = _transformation()
    forward = jax.jit(chain)

    @jax.jit
    def step(params: Any, state: Any, x: jax.Array) -> tuple[jax.Array, Any, Any]:
        value, grads = jax.value_and_grad(lambda params: _loss(chain(params, x)))(params)
        updates, state = tx.update(grads, state, params)
        return value, optax.apply_updates(params, updates), state

    carried = [params, tx.init(params)]

    def train() -> jax.Array:
        value, *carried[:] = step(*carried, x)
        return value

    return Calls(lambda: forward(params, x), train)


CONTENDERS: dict[str, Callable[[int], Calls]] = {
    "Linnet": lambda layers: _modules(linnet.nnx, layers, "jit"),
    "Flax": lambda layers: _modules(flax.nnx, layers, "jit"),
    "Flax, graph=False": lambda layers: _modules(flax.nnx, layers, "jit", graph=False),
    "Flax, cached_partial": lambda layers: _modules(flax.nnx, layers, "cached_partial"),
    "Flax, jit_partial": lambda layers: _modules(
        flax.nnx, layers, "jit_partial", graph_updates=False
    ),
    "Flax, jax.jit on state": lambda layers: _split(flax.nnx, layers),
    "Linnet, jax.jit on state": lambda layers: _split(linnet.nnx, layers),
    "Equinox": _equinox,
    "nested dict": _nested,
    "flat tuple": _flat,
}
