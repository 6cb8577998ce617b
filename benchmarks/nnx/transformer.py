"""The transformer of the first table, made of the layers of NNX."""

from typing import Any

import jax

from benchmarks.models.transformer import EPSILON, WIDENING, Sizes


def transformer(nnx: Any, sizes: Sizes) -> Any:
    """The class of the model, on ``flax.nnx`` or ``linnet.nnx``; made with ``Model(rngs)``."""
    width = sizes.width

    class Block(nnx.Module):
        def __init__(self, rngs: Any):
            self.attention_norm = nnx.LayerNorm(width, epsilon=EPSILON, rngs=rngs)
            self.attention = nnx.MultiHeadAttention(sizes.heads, width, decode=False, rngs=rngs)
            self.mlp_norm = nnx.LayerNorm(width, epsilon=EPSILON, rngs=rngs)
            self.up = nnx.Linear(width, WIDENING * width, rngs=rngs)
            self.down = nnx.Linear(WIDENING * width, width, rngs=rngs)

        def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
            x = x + self.attention(self.attention_norm(x), mask=mask)
            return x + self.down(nnx.gelu(self.up(self.mlp_norm(x))))

    class Transformer(nnx.Module):
        def __init__(self, rngs: Any):
            self.embed = nnx.Embed(sizes.vocabulary, width, rngs=rngs)
            self.blocks = nnx.List([Block(rngs) for _ in range(sizes.blocks)])
            self.norm = nnx.LayerNorm(width, epsilon=EPSILON, rngs=rngs)
            self.head = nnx.Linear(width, sizes.vocabulary, rngs=rngs)

        def __call__(self, ids: jax.Array) -> jax.Array:
            x = self.embed(ids)
            mask = nnx.make_causal_mask(ids)
            for block in self.blocks:
                x = block(x, mask)
            return self.head(self.norm(x))

    return Transformer
