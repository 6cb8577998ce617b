"""The network of ``language_model.py``: a decoder as in LLaMA, in NNX, and how it writes.

LLaMA (Touvron et al. 2023, arXiv:2302.13971) is a stack of blocks of attention and feed-forward
layers with root-mean-square norms before them, rotary positions, grouped queries, gated
feed-forward layers, and here an embedding that also reads the answer.

The model is one and the same in training and in writing. When it writes it is given a
:class:`Memory` for each block, an object with variables of its own, which the call extends.
"""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from linnet import nnx

# --- The model ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Config:
    """How large the model is."""

    context: int = 128  # characters that it is trained to look back on
    width: int = 128
    layers: int = 4
    heads: int = 4  # of queries
    kv_heads: int = 2  # of keys and values; each serves heads / kv_heads heads of queries
    hidden: int = 352  # about 8/3 of the width, as a gated layer has three matrices for two
    dropout: float = 0.1  # of what a layer adds; LLaMA has none, and so much text that none is due


class Memory(nnx.Module):
    """The keys and values that one layer has computed, so that none is computed twice."""

    def __init__(self, config: Config, batch: int, length: int):
        shape = (batch, length, config.kv_heads, config.width // config.heads)
        self.keys = nnx.Cache(jnp.zeros(shape))
        self.values = nnx.Cache(jnp.zeros(shape))
        self.filled = nnx.Cache(jnp.zeros((), jnp.int32))

    def extend(self, keys: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Adds keys and values, [batch, added, heads, depth]; returns all, with room at the end."""
        start = (0, self.filled[...], 0, 0)
        self.keys[...] = jax.lax.dynamic_update_slice(self.keys[...], keys, start)
        self.values[...] = jax.lax.dynamic_update_slice(self.values[...], values, start)
        self.filled[...] += keys.shape[1]
        return self.keys[...], self.values[...]


def rotate(x: jax.Array, positions: jax.Array) -> jax.Array:
    """Turns pairs of features by angles in proportion to their positions.

    The product of a query and a key then depends on how far apart they are, and not on where (Su et
    al. 2021, arXiv:2104.09864). ``x`` is [batch, length, heads, depth], ``positions`` [length].
    """
    half = x.shape[-1] // 2
    angles = positions[:, None, None] * 1e4 ** (-jnp.arange(half) / half)  # [length, 1, half]
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    left, right = jnp.split(x, 2, axis=-1)  # [batch, length, heads, half] each
    return jnp.concatenate([left * cos - right * sin, right * cos + left * sin], axis=-1)


class Attention(nnx.Module):
    """Causal attention with rotary positions and grouped queries."""

    def __init__(self, config: Config, *, rngs: nnx.Rngs):
        width, depth = config.width, config.width // config.heads
        options = {"use_bias": False, "rngs": rngs}
        self.query = nnx.LinearGeneral(width, (config.heads, depth), **options)
        self.key = nnx.LinearGeneral(width, (config.kv_heads, depth), **options)
        self.value = nnx.LinearGeneral(width, (config.kv_heads, depth), **options)
        self.out = nnx.LinearGeneral((config.heads, depth), width, axis=(-2, -1), **options)

    def __call__(self, x: jax.Array, memory: Memory | None = None) -> jax.Array:
        start = 0 if memory is None else memory.filled[...]
        positions = start + jnp.arange(x.shape[1])  # [length]
        query, key = rotate(self.query(x), positions), rotate(self.key(x), positions)
        value = self.value(x)
        if memory is not None:
            key, value = memory.extend(key, value)
        # No query sees what comes after it, nor the room that is left in the memory.
        mask = jnp.arange(key.shape[1]) <= positions[:, None]  # [length of x, length of keys]
        return self.out(nnx.dot_product_attention(query, key, value, mask=mask))


class FeedForward(nnx.Module):
    """Two layers, of which the first is gated (SwiGLU; Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, config: Config, *, rngs: nnx.Rngs):
        self.gate = nnx.Linear(config.width, config.hidden, use_bias=False, rngs=rngs)
        self.up = nnx.Linear(config.width, config.hidden, use_bias=False, rngs=rngs)
        self.down = nnx.Linear(config.hidden, config.width, use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.down(nnx.silu(self.gate(x)) * self.up(x))


class Block(nnx.Module):
    """Attention and a feed-forward network, each added to what went in."""

    def __init__(self, config: Config, *, rngs: nnx.Rngs):
        self.attention_norm = nnx.RMSNorm(config.width, rngs=rngs)
        self.attention = Attention(config, rngs=rngs)
        self.feed_forward_norm = nnx.RMSNorm(config.width, rngs=rngs)
        self.feed_forward = FeedForward(config, rngs=rngs)
        self.dropout = nnx.Dropout(config.dropout, rngs=rngs)

    def __call__(self, x: jax.Array, memory: Memory | None = None) -> jax.Array:
        x = x + self.dropout(self.attention(self.attention_norm(x), memory))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class LanguageModel(nnx.Module):
    """A decoder: from tokens to the logits of the token that follows each."""

    def __init__(self, config: Config, tokens: int, *, rngs: nnx.Rngs):
        self.config = config
        self.embed = nnx.Embed(tokens, config.width, rngs=rngs)
        self.blocks = nnx.List([Block(config, rngs=rngs) for _ in range(config.layers)])
        self.norm = nnx.RMSNorm(config.width, rngs=rngs)

    def memories(self, batch: int, length: int) -> nnx.List:
        """Returns an empty memory for each block."""
        return nnx.List([Memory(self.config, batch, length) for _ in self.blocks])

    def __call__(self, tokens: jax.Array, memories: nnx.List | None = None) -> jax.Array:
        """Returns logits [batch, length, alphabet] for tokens [batch, length].

        With memories, which are extended, the tokens follow those that the memories hold.
        """
        x = self.embed(tokens)
        for block, memory in zip(self.blocks, memories or [None] * len(self.blocks), strict=True):
            x = block(x, memory)
        return self.embed.attend(self.norm(x))


# --- The sampler ----------------------------------------------------------------------------------


@nnx.jit(static_argnames="top_k")
def draw(
    model: LanguageModel,
    memories: nnx.List,
    rngs: nnx.Rngs,
    tokens: jax.Array,
    *,
    temperature: float,
    top_k: int,
) -> jax.Array:
    """Reads tokens [1, length] into the memories, and draws the one that follows, [1, 1].

    What it changes in its arguments, memories and streams, is changed when it returns.
    """
    logits, choices = jax.lax.top_k(model(tokens, memories)[:, -1], top_k)  # [1, top_k]
    chosen = jax.random.categorical(rngs.sample(), logits / temperature)[:, None]  # [1, 1]
    return jnp.take_along_axis(choices, chosen, axis=1)


def write(
    model: LanguageModel,
    prompt: np.ndarray,
    rngs: nnx.Rngs,
    *,
    temperature: float = 0.7,
    top_k: int = 20,
) -> Iterator[int]:
    """Yields the tokens that follow a prompt, without end.

    When the memories are full, the later half of the context is read again into empty ones.

    Args:
        model: the model, in a view that does not drop out.
        prompt: at least one token, [length].
        rngs: a stream ``sample`` to draw with.
        temperature: the logits are divided by it; lower is more predictable.
        top_k: among how many of the likeliest tokens to draw.
    """
    context = model.config.context
    text = list(prompt)
    while True:
        memories = model.memories(1, context)
        tokens = jnp.array([text[-context // 2 :]])  # [1, read]
        for _ in range(context - tokens.shape[1] + 1):
            tokens = draw(model, memories, rngs, tokens, temperature=temperature, top_k=top_k)
            text.append(int(tokens[0, 0]))
            yield text[-1]
