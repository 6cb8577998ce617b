"""The transformer in plain ``jnp`` calls on a dictionary of parameters.

None of its functions is jitted by itself, which is how most are written, and which costs more
than the time to trace. Differentiated as one piece, ``layer_norm`` and its neighbours are fused by
XLA for the CPU so that much is computed several times over: at 24 blocks, ``jax.jit`` around that
one function made the training step compile fifteen times sooner and run in half the time.
"""

import math

import jax
import jax.numpy as jnp

from benchmarks.models.transformer import EPSILON, WIDENING, Contender, Sizes, Tree


def layer_norm(params: Tree, x: jax.Array) -> jax.Array:
    mean = x.mean(-1, keepdims=True)
    variance = x.var(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + EPSILON) * params["scale"] + params["bias"]


def dense(params: Tree, x: jax.Array) -> jax.Array:
    return x @ params["kernel"] + params["bias"]


def attention(params: Tree, x: jax.Array, mask: jax.Array) -> jax.Array:
    def project(name: str) -> jax.Array:
        kernel, bias = params[name]["kernel"], params[name]["bias"]
        return jnp.einsum("btd,dhk->bthk", x, kernel) + bias

    query, key, value = project("query"), project("key"), project("value")
    scores = jnp.einsum("bqhk,bshk->bhqs", query, key) / jnp.sqrt(query.shape[-1])
    scores = jnp.where(mask, scores, jnp.finfo(scores.dtype).min)
    mixed = jnp.einsum("bhqs,bshk->bqhk", jax.nn.softmax(scores), value)
    return jnp.einsum("bqhk,hkd->bqd", mixed, params["out"]["kernel"]) + params["out"]["bias"]


def block(params: Tree, x: jax.Array, mask: jax.Array) -> jax.Array:
    x = x + attention(params, layer_norm(params["attention_norm"], x), mask)
    y = jax.nn.gelu(dense(params["up"], layer_norm(params["mlp_norm"], x)))
    return x + dense(params["down"], y)


def apply(params: Tree, ids: jax.Array) -> jax.Array:
    x = params["embed"][ids]
    mask = jnp.tril(jnp.ones((ids.shape[1], ids.shape[1]), bool))
    for group in params["blocks"]:
        x = block(group, x, mask)
    return dense(params["head"], layer_norm(params["norm"], x))


def init(sizes: Sizes, key: jax.Array) -> Tree:
    """Fresh parameters: truncated normals scaled by the inputs, zero biases."""
    width, heads, head_width = sizes.width, sizes.heads, sizes.head_width
    keys = iter(jax.random.split(key, 2 + 6 * sizes.blocks))

    def dense(inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Tree:
        flat = (math.prod(inputs), math.prod(outputs))
        kernel = jax.nn.initializers.lecun_normal()(next(keys), flat)
        return {"kernel": kernel.reshape(inputs + outputs), "bias": jnp.zeros(outputs)}

    def norm() -> Tree:
        return {"scale": jnp.ones(width), "bias": jnp.zeros(width)}

    def one_block() -> Tree:
        return {
            "attention_norm": norm(),
            **{name: dense((width,), (heads, head_width)) for name in ("query", "key", "value")},
            "out": dense((heads, head_width), (width,)),
            "mlp_norm": norm(),
            "up": dense((width,), (WIDENING * width,)),
            "down": dense((WIDENING * width,), (width,)),
        }

    return {
        "embed": jax.random.normal(next(keys), (sizes.vocabulary, width)) * width**-0.5,
        "blocks": [one_block() for _ in range(sizes.blocks)],
        "norm": norm(),
        "head": dense((width,), (sizes.vocabulary,)),
    }


def build(sizes: Sizes) -> Contender:
    """The model on functions alone."""
    return Contender(
        adopt=lambda common: jax.tree.map(jnp.asarray, common),
        apply=apply,
        init=lambda key, _ids: init(sizes, key),
    )
