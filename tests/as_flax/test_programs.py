"""Programs that train a network print the same numbers on Flax and on Linnet.

Larger programs, of other people, are compared in `programs/`: `make alias-programs`.
"""

import subprocess
import sys

import flax
import pytest

LINEN = """
import jax, jax.numpy as jnp, optax, flax
import flax.linen as nn
from flax.core import freeze, unfreeze
from flax.training.train_state import TrainState
from flax.traverse_util import flatten_dict, path_aware_map

class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.relu(nn.Dense(8)(x))
        x = nn.Dropout(0.5, deterministic=not train)(x)
        return nn.Dense(1)(x)

net, x = Net(), jnp.linspace(-1.0, 1.0, 12).reshape(4, 3)
params = unfreeze(freeze(net.init(jax.random.key(0), x, False)))["params"]
labels = path_aware_map(lambda path, _: path[-1], params)
tx = optax.multi_transform({"kernel": optax.adam(1e-2), "bias": optax.sgd(1e-2)}, labels)
state = TrainState.create(apply_fn=net.apply, params=params, tx=tx)

@jax.jit
def step(state, key):
    def loss(params):
        y = state.apply_fn({"params": params}, x, True, rngs={"dropout": key})
        return jnp.mean((y - x[:, :1]) ** 2)
    value, grads = jax.value_and_grad(loss)(state.params)
    return state.apply_gradients(grads=grads), value

for i in range(5):
    state, value = step(state, jax.random.key(i))
print(flax.__version__, int(state.step), f"{value:.8f}")
for name, value in sorted(flatten_dict(state.params, sep="/").items()):
    print(name, value.shape, f"{jnp.sum(jnp.abs(value)):.8f}")
"""

NNX = """
import jax, jax.numpy as jnp, optax, flax.nnx
from flax import nnx
from flax.nnx.statelib import State
from flax.nnx.training.metrics import MultiMetric
from flax.traverse_util import flatten_dict

class Block(nnx.Module):
    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.linear = nnx.Linear(width, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)

    def __call__(self, x):
        return x + self.dropout(nnx.relu(self.norm(self.linear(x))))

class Net(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs):
        self.first = nnx.Linear(3, 8, rngs=rngs)
        self.blocks = nnx.List([Block(8, rngs=rngs) for _ in range(2)])
        self.last = nnx.Linear(8, 1, rngs=rngs)
        self.calls = nnx.Variable(jnp.array(0))

    def __call__(self, x):
        self.calls[...] += 1
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.last(x)

net, x = Net(rngs=nnx.Rngs(0, dropout=1)), jnp.linspace(-1.0, 1.0, 12).reshape(4, 3)
optimizer = nnx.Optimizer(net, optax.adam(1e-2), wrt=nnx.Param)
metrics = MultiMetric(loss=nnx.metrics.Average("loss"))

@nnx.jit
def step(net, optimizer, metrics):
    def loss_fn(net):
        return jnp.mean((net(x) - x[:, :1]) ** 2)
    loss, grads = nnx.value_and_grad(loss_fn)(net)
    optimizer.update(net, grads)
    metrics.update(loss=loss)

for _ in range(5):
    step(net, optimizer, metrics)
graphdef, params, rest = nnx.split(net, nnx.Param, ...)
assert isinstance(params, State)
copy = nnx.merge(graphdef, params, rest)
copy.eval()
print(flax.__version__, int(net.calls[...]), f"{metrics.compute()['loss']:.8f}")
print(" ".join(f"{value:.8f}" for value in copy(x).ravel()))
for name, value in sorted(flatten_dict(nnx.to_pure_dict(params)).items(), key=str):
    print(name, value.shape, f"{jnp.sum(jnp.abs(value)):.8f}")
"""


@pytest.mark.slow
@pytest.mark.parametrize("training", [LINEN, NNX], ids=["linen", "nnx"])
def test_same_program_same_numbers(training, tmp_path):
    """A training program prints the same numbers on Flax and on Linnet."""
    program = tmp_path / "train.py"
    program.write_text(training)
    on_flax, on_linnet = (
        subprocess.run(
            [sys.executable, *python, str(program)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        for python in ((), ("-m", "linnet.as_flax"))
    )
    assert on_linnet.returncode == on_flax.returncode == 0, on_linnet.stderr + on_flax.stderr
    ours, theirs = on_linnet.stdout.split(), on_flax.stdout.split()
    # under the alias it is always the newest Flax, whichever the tests have
    assert (ours.pop(0), theirs.pop(0)) == ("0.12.12", flax.__version__)
    assert ours[0] == theirs[0] == "5"
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        if "." in other:
            assert float(one) == pytest.approx(float(other), rel=1e-5)
        else:
            assert one == other
