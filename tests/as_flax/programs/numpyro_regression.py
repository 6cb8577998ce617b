"""numpyro: a regression whose mean is a network, inferred with SVI, through Linen and NNX."""

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from flax import linen as nn, nnx
from numpyro.contrib.module import flax_module, nnx_module, random_flax_module
from numpyro.infer import SVI, Trace_ELBO, autoguide
from recording import record

x = jnp.linspace(-1.0, 1.0, 24)[:, None]
y = jnp.sin(4 * x) + 0.1 * jax.random.normal(jax.random.key(2), x.shape)


class LinenNet(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.tanh(nn.Dense(8)(x))
        x = nn.BatchNorm(use_running_average=False)(x)
        return nn.Dense(1)(x)


class NNXNet(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(1, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)
        self.out = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, x):
        return self.out(self.drop(self.norm(nnx.tanh(self.hidden(x)))))


def linen_model(x, y=None):
    net = flax_module("net", LinenNet(), mutable=["batch_stats"], input_shape=(1, 1))
    numpyro.sample("y", dist.Normal(net(x), 0.1), obs=y)


def bayesian_model(x, y=None):
    net = random_flax_module("net", nn.Dense(1), dist.Normal(0.0, 1.0), input_shape=(1, 1))
    numpyro.sample("y", dist.Normal(net(x), 0.1), obs=y)


network = NNXNet(nnx.Rngs(0))


def nnx_model(x, y=None):
    net = nnx_module("net", network)
    numpyro.sample("y", dist.Normal(net(x), 0.1), obs=y)


def infer(model, guide, steps):
    svi = SVI(model, guide, numpyro.optim.Adam(0.01), Trace_ELBO())
    result = svi.run(jax.random.key(5), steps, x, y, progress_bar=False)
    return svi.get_params(svi.init(jax.random.key(5), x, y)), (result.params, result.losses)


runs = {
    "linen": infer(linen_model, lambda x, y=None: None, 20),
    "nnx": infer(nnx_model, lambda x, y=None: None, 20),
    "bayesian": infer(bayesian_model, autoguide.AutoNormal(bayesian_model), 20),
}
record({k: v[0] for k, v in runs.items()}, {k: v[1] for k, v in runs.items()})
