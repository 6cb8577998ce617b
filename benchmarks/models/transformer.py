"""The model that all contenders compute, and what a contender is.

A decoder of pre-norm blocks over token ids::

    x = embed[tokens]
    for each block:
        x = x + attention(layer_norm(x), causal)
        x = x + down(gelu(up(layer_norm(x))))
    logits = head(layer_norm(x))

Attention has four projections (query, key, value, out) with biases; ``up`` widens four times;
gelu is the tanh approximation; the ε of every normalisation is 1e-6. The width is modest, so
that what a library adds to each call is seen beside the arithmetic.

One tree of NumPy arrays, ``parameters(sizes)``, is the source of everyone's parameters: each
contender adopts it into the form its library wants. No two arrays in it are alike and none is
at an initializer's resting place (ones, zeros), so that one put in the wrong place shows in the
outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

EPSILON = 1e-6
WIDENING = 4

Tree = Any


@dataclass(frozen=True)
class Sizes:
    """How large the model and its input are."""

    blocks: int = 24
    width: int = 64
    heads: int = 4
    vocabulary: int = 128
    batch: int = 2
    length: int = 16

    @property
    def head_width(self) -> int:
        return self.width // self.heads


@dataclass(frozen=True)
class Contender:
    """One library's model of the given sizes.

    ``adopt`` turns the common tree into this library's parameters; ``apply`` computes logits
    from those and token ids; ``init`` makes fresh parameters from a key and token ids;
    ``lazy_init``, where the library has it, does so from the shape of the token ids alone.
    """

    adopt: Callable[[Tree], Tree]
    apply: Callable[[Tree, jax.Array], jax.Array]
    init: Callable[[jax.Array, jax.Array], Tree]
    lazy_init: Callable[[jax.Array, jax.ShapeDtypeStruct], Tree] | None = None


def parameters(sizes: Sizes, seed: int = 0) -> Tree:
    """The common tree of parameters, as NumPy arrays."""
    draw = np.random.default_rng(seed)
    width, heads, head_width = sizes.width, sizes.heads, sizes.head_width

    def array(*shape: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
        return (shift + scale * draw.standard_normal(shape)).astype(np.float32)

    def dense(inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Tree:
        kernel = array(*inputs, *outputs, scale=np.prod(inputs) ** -0.5)
        return {"kernel": kernel, "bias": array(*outputs, scale=0.1)}

    def norm() -> Tree:
        return {"scale": array(width, scale=0.1, shift=1.0), "bias": array(width, scale=0.1)}

    def block() -> Tree:
        return {
            "attention_norm": norm(),
            "query": dense((width,), (heads, head_width)),
            "key": dense((width,), (heads, head_width)),
            "value": dense((width,), (heads, head_width)),
            "out": dense((heads, head_width), (width,)),
            "mlp_norm": norm(),
            "up": dense((width,), (WIDENING * width,)),
            "down": dense((WIDENING * width,), (width,)),
        }

    return {
        "embed": array(sizes.vocabulary, width),
        "blocks": [block() for _ in range(sizes.blocks)],
        "norm": norm(),
        "head": dense((width,), (sizes.vocabulary,)),
    }


def tokens(sizes: Sizes, seed: int = 1) -> jax.Array:
    """Token ids of shape (batch, length)."""
    draw = np.random.default_rng(seed)
    return jnp.asarray(
        draw.integers(sizes.vocabulary, size=(sizes.batch, sizes.length), dtype=np.int32)
    )


def training_step(contender: Contender) -> Callable[[Tree, jax.Array], tuple[jax.Array, Tree]]:
    """Loss of predicting each next token, with its gradient; not yet compiled.

    A new function each time, so that JAX knows nothing of it when it is traced.
    """

    def loss(params: Tree, ids: jax.Array) -> jax.Array:
        scores = jax.nn.log_softmax(contender.apply(params, ids)[:, :-1])
        return -jnp.take_along_axis(scores, ids[:, 1:, None], axis=-1).mean()

    return jax.value_and_grad(loss)
