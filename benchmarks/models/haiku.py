"""The transformer in dm-haiku."""

import haiku as hk
import jax
import jax.numpy as jnp

from benchmarks.models.transformer import EPSILON, WIDENING, Contender, Sizes, Tree


def layer_norm(name: str) -> hk.LayerNorm:
    return hk.LayerNorm(axis=-1, create_scale=True, create_offset=True, eps=EPSILON, name=name)


class Block(hk.Module):
    def __init__(self, sizes: Sizes, name: str):
        super().__init__(name=name)
        self.sizes = sizes

    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        width = self.sizes.width
        y = layer_norm("attention_norm")(x)
        y = hk.MultiHeadAttention(
            num_heads=self.sizes.heads,
            key_size=self.sizes.head_width,
            model_size=width,
            w_init=hk.initializers.VarianceScaling(),
            name="attention",
        )(y, y, y, mask=mask)
        x = x + y
        y = hk.Linear(WIDENING * width, name="up")(layer_norm("mlp_norm")(x))
        return x + hk.Linear(width, name="down")(jax.nn.gelu(y))


def build(sizes: Sizes) -> Contender:
    """The model on ``haiku``."""

    def transformer(ids: jax.Array) -> jax.Array:
        x = hk.Embed(sizes.vocabulary, sizes.width, name="embed")(ids)
        mask = jnp.tril(jnp.ones((1, 1, ids.shape[1], ids.shape[1]), bool))
        for index in range(sizes.blocks):
            x = Block(sizes, name=f"block_{index}")(x, mask)
        return hk.Linear(sizes.vocabulary, name="head")(layer_norm("norm")(x))

    model = hk.without_apply_rng(hk.transform(transformer))
    return Contender(adopt=adopt, apply=model.apply, init=model.init)


def adopt(common: Tree) -> Tree:
    """The common tree as Haiku's: a flat dictionary of modules, kernels of two axes."""

    def norm(group: Tree) -> Tree:
        return {"scale": jnp.asarray(group["scale"]), "offset": jnp.asarray(group["bias"])}

    def dense(group: Tree, outputs: int) -> Tree:
        bias = group["bias"].reshape(-1)
        kernel = group["kernel"].reshape(-1, outputs)  # (inputs, outputs)
        return {"w": jnp.asarray(kernel), "b": jnp.asarray(bias)}

    params = {
        "embed": {"embeddings": jnp.asarray(common["embed"])},
        "norm": norm(common["norm"]),
        "head": dense(common["head"], common["head"]["bias"].size),
    }
    for index, group in enumerate(common["blocks"]):
        at = f"block_{index}"
        for name in ("attention_norm", "mlp_norm"):
            params[f"{at}/{name}"] = norm(group[name])
        for name, path in {
            "query": "attention/query",
            "key": "attention/key",
            "value": "attention/value",
            "out": "attention/linear",
            "up": "up",
            "down": "down",
        }.items():
            params[f"{at}/{path}"] = dense(group[name], group[name]["bias"].size)
    return params
