"""The transformer in Linen: one source for Linnet and Flax, which differ in the namespace."""

from types import ModuleType

import jax.numpy as jnp

from benchmarks.models.transformer import EPSILON, WIDENING, Contender, Sizes, Tree


def contender(nn: ModuleType, sizes: Sizes) -> Contender:
    """The model written with the given ``linen`` namespace."""

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x, mask):
            y = nn.LayerNorm(epsilon=EPSILON, name="attention_norm")(x)
            y = nn.MultiHeadDotProductAttention(
                num_heads=sizes.heads, deterministic=True, name="attention"
            )(y, mask=mask)
            x = x + y
            y = nn.LayerNorm(epsilon=EPSILON, name="mlp_norm")(x)
            y = nn.Dense(WIDENING * sizes.width, name="up")(y)
            y = nn.Dense(sizes.width, name="down")(nn.gelu(y))
            return x + y

    class Transformer(nn.Module):
        @nn.compact
        def __call__(self, ids):
            x = nn.Embed(sizes.vocabulary, sizes.width, name="embed")(ids)
            mask = nn.make_causal_mask(ids)
            for index in range(sizes.blocks):
                x = Block(name=f"block_{index}")(x, mask)
            x = nn.LayerNorm(epsilon=EPSILON, name="norm")(x)
            return nn.Dense(sizes.vocabulary, name="head")(x)

    model = Transformer()
    return Contender(adopt=adopt, apply=model.apply, init=model.init, lazy_init=model.lazy_init)


def adopt(common: Tree) -> Tree:
    """The common tree as Linen's variables."""

    def leaf(group: Tree) -> Tree:
        return {name: jnp.asarray(value) for name, value in group.items()}

    def block(group: Tree) -> Tree:
        projections = ("query", "key", "value", "out")
        return {
            "attention": {name: leaf(group[name]) for name in projections},
            **{name: leaf(part) for name, part in group.items() if name not in projections},
        }

    return {
        "params": {
            "embed": {"embedding": jnp.asarray(common["embed"])},
            **{f"block_{index}": block(group) for index, group in enumerate(common["blocks"])},
            "norm": leaf(common["norm"]),
            "head": leaf(common["head"]),
        }
    }
