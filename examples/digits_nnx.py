"""The network of ``digits.py`` in NNX, and how it is trained.

A module is an object that owns its variables, and calling it may change them. ``nnx.jit`` and
``nnx.value_and_grad`` are JAX's transformations for functions of such objects: what a step changes
in model and optimizer is changed when it returns. ``digits_linen.py`` is the same in Linen.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

from linnet import nnx

# --- The model ------------------------------------------------------------------------------------


class Buffer(nnx.Variable):
    """A kind of variable of our own: a number that is neither trained nor a batch statistic."""


class ConvNet(nnx.Module):
    """Two convolutions and two dense layers.

    A module is a Python object. Its layers are made with it, and so are told the size of what they
    will be given; ``rngs`` draws their first parameters. They are found under the names of the
    attributes: ``convs/0/kernel``, ``hidden/bias`` and so on.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64),
        hidden: int = 128,
        dropout: float = 0.3,
        *,
        rngs: nnx.Rngs,
    ):
        sizes = list(zip((1, *channels), channels, strict=False))
        self.convs = nnx.List([nnx.Conv(i, o, kernel_size=(3, 3), rngs=rngs) for i, o in sizes])
        self.norms = nnx.List([nnx.BatchNorm(o, momentum=0.9, rngs=rngs) for o in channels])
        self.hidden = nnx.Linear(4 * 4 * channels[-1], hidden, rngs=rngs)
        self.dropout = nnx.Dropout(dropout, rngs=rngs)
        self.out = nnx.Linear(hidden, 10, rngs=rngs)
        self.examples_seen = Buffer(jnp.zeros((), jnp.int32))

    def __call__(self, x):
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = nnx.relu(norm(conv(x)))
        x = nnx.max_pool(x, window_shape=(2, 2), strides=(2, 2))
        x = x.reshape(x.shape[0], -1)  # [batch, 4 · 4 · channels]
        x = nnx.relu(self.hidden(x))
        x = self.dropout(x)
        return self.out(x)


# --- One step of training -------------------------------------------------------------------------


def loss_of(model: ConvNet, images: jax.Array, digits: jax.Array):
    """Returns the loss, and the logits beside it; the model keeps what the call changes in it."""
    logits = model(images)
    return optax.softmax_cross_entropy_with_integer_labels(logits, digits).mean(), logits


@nnx.jit
def train_step(model: ConvNet, optimizer: nnx.Optimizer, images: jax.Array, digits: jax.Array):
    """Changes model and optimizer; returns loss and accuracy."""
    (loss, logits), gradients = nnx.value_and_grad(loss_of, has_aux=True)(model, images, digits)
    optimizer.update(model, gradients)
    model.examples_seen[...] += images.shape[0]
    return loss, jnp.mean(logits.argmax(-1) == digits)


@nnx.jit
def read(model: ConvNet, images: jax.Array):
    """Returns the digits that it sees in images."""
    return model(images).argmax(-1)


# --- What the loop sees ---------------------------------------------------------------------------


class Trainer:
    """A model in training, with its optimizer.

    There are two views of the model, which share all their variables: one drops out and takes the
    statistics of the batch, the other does neither.
    """

    def __init__(self, optimizer: optax.GradientTransformation, seed: int):
        model = ConvNet(rngs=nnx.Rngs(seed))
        self.model = nnx.view(model, deterministic=False, use_running_average=False)
        self.reader = nnx.view(model, deterministic=True, use_running_average=True)
        self.optimizer = nnx.Optimizer(self.model, optimizer, wrt=nnx.Param)

    def table(self, images, **options) -> str:
        """Describes the model, layer by layer."""
        return nnx.tabulate(self.reader, images, **options)

    def step(self, images, digits) -> tuple[jax.Array, jax.Array]:
        """Learns from a batch; returns its loss and accuracy."""
        return train_step(self.model, self.optimizer, images, digits)

    def read(self, images) -> jax.Array:
        """Returns the digits that it sees in images."""
        return read(self.reader, images)

    @property
    def state(self) -> nnx.State:
        """Everything that training changes: parameters, statistics, moments, random streams."""
        return nnx.state((self.model, self.optimizer))

    @state.setter
    def state(self, state: nnx.State) -> None:
        nnx.update((self.model, self.optimizer), state)

    @property
    def examples_seen(self) -> int:
        """How many examples it has learnt from."""
        return int(self.model.examples_seen[...])
