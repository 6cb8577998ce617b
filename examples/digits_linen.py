"""The network of ``digits.py`` in Linen, and how it is trained.

A module describes a network and owns no arrays: ``init`` makes its variables, ``apply`` computes
with them, and what a call changes comes back beside its result. Training is a pure function from a
state to the next one, compiled by ``jax.jit``. ``digits_nnx.py`` is the same in NNX.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

import linnet.linen as nn

# --- The model ------------------------------------------------------------------------------------


class ConvNet(nn.Module):
    """Two convolutions and two dense layers.

    A module is a dataclass: its fields configure it, and one instance can be applied to many sets
    of variables. Layers made in a ``@nn.compact`` method need no names of their own; their
    variables are found under ``Conv_0``, ``BatchNorm_0`` and so on.
    """

    channels: Sequence[int] = (32, 64)
    hidden: int = 128
    dropout: float = 0.3

    @nn.compact
    def __call__(self, x, *, train: bool):
        # A collection of our own. A variable is created when the model is initialised; after that
        # it changes only where `apply` is told that its collection is mutable.
        seen = self.variable("buffers", "examples_seen", lambda: jnp.zeros((), jnp.int32))
        if train and not self.is_initializing():
            seen.value = seen.value + x.shape[0]

        for channels in self.channels:
            x = nn.Conv(channels, kernel_size=(3, 3))(x)
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
            x = nn.relu(x)
        x = nn.max_pool(x, window_shape=(2, 2), strides=(2, 2))
        x = x.reshape(x.shape[0], -1)  # [batch, 4 · 4 · channels]
        x = nn.relu(nn.Dense(self.hidden)(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(10)(x)


# --- One step of training -------------------------------------------------------------------------

# Everything that training changes, in one tree: what is saved is what is trained.
State = dict[str, Any]


def initial_state(model: nn.Module, optimizer: optax.GradientTransformation, seed: int) -> State:
    """Returns the state before the first step."""
    init_key, dropout_key = jax.random.split(jax.random.key(seed))
    variables = model.init(init_key, jnp.zeros((1, 8, 8, 1)), train=False)
    # `init` returns every collection. The optimizer is given the parameters and nothing else; the
    # others, batch statistics and buffers, are updated by the model itself.
    params = variables.pop("params")
    return {
        "params": params,
        "collections": variables,
        "optimizer": optimizer.init(params),
        "dropout": dropout_key,
        "step": jnp.zeros((), jnp.int32),
    }


def make_train_step(model: nn.Module, optimizer: optax.GradientTransformation) -> Callable:
    """Returns the compiled step: from a state and a batch to the next state, loss and accuracy."""

    @jax.jit
    def train_step(state: State, images: jax.Array, digits: jax.Array):
        key = jax.random.fold_in(state["dropout"], state["step"])  # another one in each step

        def loss_of(params):
            # `mutable` names the collections that may change; they come back beside the output.
            # `rngs` gives the stream of random numbers that Dropout draws from.
            logits, collections = model.apply(
                {"params": params, **state["collections"]},
                images,
                train=True,
                rngs={"dropout": key},
                mutable=["batch_stats", "buffers"],
            )
            loss = optax.softmax_cross_entropy_with_integer_labels(logits, digits).mean()
            return loss, (logits, collections)

        (loss, (logits, collections)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            state["params"]
        )
        updates, moments = optimizer.update(gradients, state["optimizer"], state["params"])
        after = {
            "params": optax.apply_updates(state["params"], updates),
            "collections": collections,
            "optimizer": moments,
            "dropout": state["dropout"],
            "step": state["step"] + 1,
        }
        return after, loss, jnp.mean(logits.argmax(-1) == digits)

    return train_step


def make_read(model: nn.Module) -> Callable:
    """Returns the compiled reader: from a state and images to the digits it sees in them."""

    @jax.jit
    def read(state: State, images: jax.Array):
        # Nothing is mutable here, so the output comes back alone; nothing is random, so no rngs.
        variables = {"params": state["params"], **state["collections"]}
        return model.apply(variables, images, train=False).argmax(-1)

    return read


# --- What the loop sees ---------------------------------------------------------------------------


class Trainer:
    """A model in training. Its functions are pure, so it is the trainer that holds the state."""

    def __init__(self, optimizer: optax.GradientTransformation, seed: int):
        self.model = ConvNet()
        self.state = initial_state(self.model, optimizer, seed)
        self._train_step = make_train_step(self.model, optimizer)
        self._read = make_read(self.model)

    def table(self, images, **options) -> str:
        """Describes the model, layer by layer."""
        return self.model.tabulate(jax.random.key(0), images, train=False, **options)

    def step(self, images, digits) -> tuple[jax.Array, jax.Array]:
        """Learns from a batch; returns its loss and accuracy."""
        self.state, loss, right = self._train_step(self.state, images, digits)
        return loss, right

    def read(self, images) -> jax.Array:
        """Returns the digits that it sees in images."""
        return self._read(self.state, images)

    @property
    def examples_seen(self) -> int:
        """How many examples it has learnt from."""
        return int(self.state["collections"]["buffers"]["examples_seen"])
