"""The transformer in Equinox: modules for one token or one sequence, mapped over the rest."""

import equinox as eqx
import jax
import jax.numpy as jnp

from benchmarks.models.transformer import EPSILON, WIDENING, Contender, Sizes, Tree


class Block(eqx.Module):
    attention_norm: eqx.nn.LayerNorm
    attention: eqx.nn.MultiheadAttention
    mlp_norm: eqx.nn.LayerNorm
    up: eqx.nn.Linear
    down: eqx.nn.Linear

    def __init__(self, sizes: Sizes, key: jax.Array):
        attention_key, up_key, down_key = jax.random.split(key, 3)
        width = sizes.width
        self.attention_norm = eqx.nn.LayerNorm(width, eps=EPSILON)
        self.attention = eqx.nn.MultiheadAttention(
            sizes.heads,
            width,
            use_query_bias=True,
            use_key_bias=True,
            use_value_bias=True,
            use_output_bias=True,
            key=attention_key,
        )
        self.mlp_norm = eqx.nn.LayerNorm(width, eps=EPSILON)
        self.up = eqx.nn.Linear(width, WIDENING * width, key=up_key)
        self.down = eqx.nn.Linear(WIDENING * width, width, key=down_key)

    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        y = jax.vmap(self.attention_norm)(x)
        x = x + self.attention(y, y, y, mask=mask)
        y = jax.vmap(self.up)(jax.vmap(self.mlp_norm)(x))
        return x + jax.vmap(self.down)(jax.nn.gelu(y))


class Transformer(eqx.Module):
    embed: eqx.nn.Embedding
    blocks: list[Block]
    norm: eqx.nn.LayerNorm
    head: eqx.nn.Linear

    def __init__(self, sizes: Sizes, key: jax.Array):
        embed_key, head_key, *keys = jax.random.split(key, 2 + sizes.blocks)
        self.embed = eqx.nn.Embedding(sizes.vocabulary, sizes.width, key=embed_key)
        self.blocks = [Block(sizes, block_key) for block_key in keys]
        self.norm = eqx.nn.LayerNorm(sizes.width, eps=EPSILON)
        self.head = eqx.nn.Linear(sizes.width, sizes.vocabulary, key=head_key)

    def __call__(self, ids: jax.Array) -> jax.Array:
        x = jax.vmap(self.embed)(ids)
        mask = jnp.tril(jnp.ones((len(ids), len(ids)), bool))
        for block in self.blocks:
            x = block(x, mask)
        return jax.vmap(self.head)(jax.vmap(self.norm)(x))


def build(sizes: Sizes) -> Contender:
    """The model on ``equinox``; its arrays are the parameters, the rest is closed over."""
    skeleton = eqx.filter_eval_shape(Transformer, sizes, jax.random.key(0))
    static = eqx.filter(skeleton, _is_array, inverse=True)

    def apply(params: Tree, ids: jax.Array) -> jax.Array:
        return jax.vmap(eqx.combine(params, static))(ids)

    return Contender(
        adopt=lambda common: eqx.filter(adopt(skeleton, common), _is_array),
        apply=apply,
        init=lambda key, _ids: eqx.filter(Transformer(sizes, key), _is_array),
    )


def _is_array(leaf: object) -> bool:
    return isinstance(leaf, jax.Array | jax.ShapeDtypeStruct)


def adopt(skeleton: Transformer, common: Tree) -> Transformer:
    """The skeleton with the common tree's arrays; kernels are (outputs, inputs) here."""

    def norm(layer: eqx.nn.LayerNorm, group: Tree) -> eqx.nn.LayerNorm:
        arrays = jnp.asarray(group["scale"]), jnp.asarray(group["bias"])
        return eqx.tree_at(lambda at: (at.weight, at.bias), layer, arrays)

    def dense(layer: eqx.nn.Linear, group: Tree) -> eqx.nn.Linear:
        bias = group["bias"].reshape(-1)
        weight = group["kernel"].reshape(-1, bias.size).T  # (outputs, inputs)
        arrays = jnp.asarray(weight), jnp.asarray(bias)
        return eqx.tree_at(lambda at: (at.weight, at.bias), layer, arrays)

    def attention(layer: eqx.nn.MultiheadAttention, group: Tree) -> eqx.nn.MultiheadAttention:
        return eqx.tree_at(
            lambda at: (at.query_proj, at.key_proj, at.value_proj, at.output_proj),
            layer,
            (
                dense(layer.query_proj, group["query"]),
                dense(layer.key_proj, group["key"]),
                dense(layer.value_proj, group["value"]),
                dense(layer.output_proj, group["out"]),
            ),
        )

    def block(layer: Block, group: Tree) -> Block:
        return eqx.tree_at(
            lambda at: (at.attention_norm, at.attention, at.mlp_norm, at.up, at.down),
            layer,
            (
                norm(layer.attention_norm, group["attention_norm"]),
                attention(layer.attention, group),
                norm(layer.mlp_norm, group["mlp_norm"]),
                dense(layer.up, group["up"]),
                dense(layer.down, group["down"]),
            ),
        )

    return eqx.tree_at(
        lambda at: (at.embed.weight, at.blocks, at.norm, at.head),
        skeleton,
        (
            jnp.asarray(common["embed"]),
            [block(*pair) for pair in zip(skeleton.blocks, common["blocks"], strict=True)],
            norm(skeleton.norm, common["norm"]),
            dense(skeleton.head, common["head"]),
        ),
    )
