"""`nn.vjp`, beside Flax's."""

import jax.numpy as jnp
import pytest
from tests.linen.transforms.probes import RNGS, X, everything

import linnet.linen as nn
from differential.linen import assert_same


@pytest.mark.parametrize("has_aux", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("of", ["params", "state", True, False, ["params", "state"]])
def test_cotangents(of, count, has_aux):
    """Outputs, cotangents of collections and arguments, updates and draws are those of Flax."""

    def program(nn):
        class Layer(nn.Module):
            @nn.compact
            def __call__(self, *xs):
                gain = self.variable("state", "gain", jnp.ones, ())
                y = sum([nn.Dense(2, name="dense")(x) for x in xs], jnp.ones(2)) * gain.value
                y = nn.Dropout(0.5, deterministic=False)(y)
                gain.value = gain.value + 1
                return (y, {"mean": y.mean()}) if has_aux else y

        class Model(nn.Module):
            @nn.compact
            def __call__(self, x):
                inner = Layer(name="layer")
                y, pull_back, *aux = nn.vjp(
                    lambda layer, *xs: layer(*xs), inner, *[x] * count, has_aux=has_aux,
                    vjp_variables=of,
                )  # fmt: skip
                return y, pull_back(jnp.ones_like(y)), aux

        return everything(Model(), X)

    assert_same(program)


def test_of_the_module_itself():
    """Cotangents of the parameters of submodules lie below the module, with its own."""

    def program(nn):
        class Model(nn.Module):
            @nn.compact
            def __call__(self, x):
                inner = nn.Dense(3)
                inner(x)
                scale = self.param("scale", nn.initializers.ones, ())
                y, pull_back = nn.vjp(lambda _, x: inner(x) * scale, self, x)
                return pull_back(jnp.ones_like(y))

        return everything(Model(), X)

    assert_same(program)


def test_filters():
    """What `variables` and `rngs` leave out does not exist inside."""

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            def f(module, x):
                assert not module.has_rng("dropout")
                assert not module.is_mutable_collection("state")
                return x

            return nn.vjp(f, self, x, variables=False, rngs="params")[1](x)

    Model().apply({}, X, rngs=RNGS, mutable=["state"])
