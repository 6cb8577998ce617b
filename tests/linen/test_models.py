"""Whole models of the kinds that people write: the same trees, outputs, gradients and steps."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

from differential.linen import assert_same

KEY = jax.random.key(0)


def resnet(nn):
    """Residual blocks of convolutions, with a module class passed in as a partial."""
    conv = partial(nn.Conv, use_bias=False)

    class Block(nn.Module):
        filters: int
        norm: Any
        strides: tuple = (1, 1)

        @nn.compact
        def __call__(self, x):
            y = nn.relu(self.norm()(conv(self.filters, (3, 3), self.strides)(x)))
            y = self.norm(scale_init=nn.initializers.zeros)(conv(self.filters, (3, 3))(y))
            if x.shape != y.shape:
                x = conv(self.filters, (1, 1), self.strides, name="projection")(x)
                x = self.norm(name="norm_projection")(x)
            return nn.relu(x + y)

    class ResNet(nn.Module):
        @nn.compact
        def __call__(self, x, train=True):
            norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9)
            x = nn.relu(norm(name="norm_stem")(conv(4, (3, 3), name="stem")(x)))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
            for i, filters in enumerate((4, 8)):
                x = Block(filters, norm, strides=(2, 2) if i else (1, 1))(x)
            return nn.Dense(3, dtype=jnp.float32)(x.mean((1, 2)))

    return ResNet()


def unet(nn):
    """Down, up and across, with lists of modules made in setup."""

    class UNet(nn.Module):
        widths: tuple = (4, 8)

        def setup(self):
            self.down = [nn.Conv(w, (3, 3), strides=2) for w in self.widths]
            self.up = [nn.ConvTranspose(w, (3, 3), strides=(2, 2)) for w in self.widths[::-1]]
            self.norms = {"in": nn.GroupNorm(2), "out": nn.LayerNorm()}
            self.head = nn.Conv(1, (1, 1))

        def __call__(self, x, train=True):
            skips = []
            for conv in self.down:
                x = nn.silu(conv(x))
                skips.append(x)
            x = self.norms["in"](x)
            for conv, skip in zip(self.up, skips[::-1], strict=True):
                x = nn.silu(conv(jnp.concatenate([x, skip], -1)))
            return self.head(self.norms["out"](x))

    return UNet()


def vae(nn):
    """Two submodules, a stream of its own, several methods."""

    class VAE(nn.Module):
        latents: int = 3

        def setup(self):
            self.encoder = nn.Sequential([nn.Dense(8), nn.tanh, nn.Dense(2 * self.latents)])
            self.decoder = nn.Sequential([nn.Dense(8), nn.tanh, nn.Dense(16)])

        def encode(self, x):
            return jnp.split(self.encoder(x), 2, -1)

        def __call__(self, x, train=True):
            x = x.reshape(x.shape[0], -1)
            mean, logvar = self.encode(x)
            noise = jax.random.normal(self.make_rng("latent"), mean.shape)
            self.sow("losses", "kl", (mean**2 + jnp.exp(logvar) - logvar).sum())
            return self.decoder(mean + jnp.exp(logvar / 2) * noise)

    return VAE()


def vit(nn):
    """Patches, a class token, learnt positions, attention with dropout."""

    class Encoder(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            y = nn.LayerNorm()(x)
            y = nn.MultiHeadDotProductAttention(2, dropout_rate=0.1, deterministic=not train)(y)
            x = x + nn.Dropout(0.1)(y, deterministic=not train)
            y = nn.Dense(16)(nn.LayerNorm()(x))
            return x + nn.Dense(x.shape[-1])(nn.gelu(y))

    class ViT(nn.Module):
        @nn.compact
        def __call__(self, x, train=True):
            x = nn.Conv(8, (4, 4), strides=(4, 4), padding="VALID", name="patches")(x)
            x = x.reshape(x.shape[0], -1, 8)
            token = self.param("token", nn.initializers.zeros, (1, 1, 8))
            x = jnp.concatenate([jnp.tile(token, (x.shape[0], 1, 1)), x], 1)
            x = x + self.param("positions", nn.initializers.normal(0.02), (1, x.shape[1], 8))
            for i in range(2):
                x = Encoder(name=f"encoder_{i}")(x, train)
            return nn.Dense(3)(nn.LayerNorm()(x)[:, 0])

    return ViT()


MODELS = {"resnet": resnet, "unet": unet, "vae": vae, "vit": vit}
STREAMS = {"params": KEY, "dropout": jax.random.key(1), "latent": jax.random.key(2)}
IMAGES = jax.random.normal(jax.random.key(3), (2, 8, 8, 3))


def mutable_of(variables):
    """Return the collections that a training step updates."""
    return [col for col in (*variables, "losses") if col != "params"]


@pytest.mark.parametrize("name", MODELS)
def test_initial_variables(name):
    """Keys in order, shapes and values, under jit and abstractly."""

    def program(nn):
        variables = jax.jit(partial(MODELS[name](nn).init, train=False))(STREAMS, IMAGES)
        shapes = jax.eval_shape(partial(MODELS[name](nn).init, train=False), STREAMS, IMAGES)
        return variables, jax.tree.map(lambda leaf: leaf.shape, shapes)

    assert_same(program, drawn=True)


@pytest.mark.parametrize("name", MODELS)
def test_three_training_steps(name):
    """Losses, parameters and collections, with optax under jit, to 1e-4: errors add up."""

    def program(nn):
        model, optimizer = MODELS[name](nn), optax.sgd(0.1, momentum=0.9)
        variables = dict(jax.jit(partial(model.init, train=False))(STREAMS, IMAGES))
        params = variables.pop("params")

        @jax.jit
        def step(params, state, moments, key):
            def loss_of(params):
                out, updates = model.apply(
                    {"params": params, **state},
                    IMAGES,
                    train=True,
                    rngs={"dropout": key, "latent": key},
                    mutable=mutable_of(state),
                )
                return jnp.mean((out - 0.5) ** 2), updates

            (loss, updates), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
            changes, moments = optimizer.update(grads, moments, params)
            kept = {col: updates[col] for col in state if col in updates}
            return optax.apply_updates(params, changes), kept, moments, loss

        state = {col: tree for col, tree in variables.items() if col != "losses"}
        moments, losses = optimizer.init(params), []
        for i in range(3):
            params, state, moments, loss = step(params, state, moments, jax.random.key(i))
            losses.append(loss)
        return losses, params, state

    assert_same(program, tolerance=1e-4)


def test_decoding_token_by_token():
    """A transformer with a cache says the same as without, and the same as Flax's."""

    def program(nn):
        class Decoder(nn.Module):
            decode: bool = False

            @nn.compact
            def __call__(self, tokens):
                x = nn.Embed(7, 8, name="embed")(tokens)
                mask = None if self.decode else nn.make_causal_mask(tokens)
                attention = nn.MultiHeadDotProductAttention(2, decode=self.decode, name="attention")
                x = x + attention(nn.LayerNorm(name="norm")(x), mask=mask)
                return nn.Dense(7, name="head")(x)

        tokens = jnp.array([[1, 4, 2, 6]])
        params = Decoder().init(KEY, tokens)["params"]
        whole = Decoder().apply({"params": params}, tokens)
        cache = Decoder(decode=True).init(KEY, tokens)["cache"]
        outs = []
        for i in range(tokens.shape[1]):
            out, changed = Decoder(decode=True).apply(
                {"params": params, "cache": cache}, tokens[:, i : i + 1], mutable=["cache"]
            )
            cache = changed["cache"]
            outs.append(out)
        return whole, jnp.concatenate(outs, 1), cache

    whole, stepwise, cache = assert_same(program)
    assert jnp.allclose(whole, stepwise, atol=1e-5)
    assert cache["attention"]["cache_index"] == 4


def test_a_siamese_network_shares_one_tower():
    """One description in two places has one set of parameters."""

    def program(nn):
        class Siamese(nn.Module):
            left: nn.Module
            right: nn.Module

            def __call__(self, x, y):
                return jnp.abs(self.left(x) - self.right(y)).sum()

        tower = nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(2)])
        x = jnp.ones((1, 3))
        return Siamese(tower, tower).init_with_output(KEY, x, 2 * x)

    _, variables = assert_same(program, drawn=True)
    assert list(variables["params"]) == ["left"]
