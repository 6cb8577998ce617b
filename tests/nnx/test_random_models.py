"""Two hundred generated models: keys, masks, parameters, outputs, gradients, and training steps.

A recipe is a nested list of blocks, drawn from a seed. Both libraries build the model of it; what
they draw is compared bit for bit, parameters to the two units in the last place by which Flax's own
eager and compiled draws differ. Outputs, gradients and training start from equal parameters.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from differential.compare import compare
from differential.functions import draw, weighed
from differential.nnx import FLAX, LINNET, variables_of

SHAPE = (2, 4, 8)  # of the inputs of every block
EPSILON = 1e-2  # so that a feature that hardly varies does not magnify the rounding of others

ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "softplus")


def _recipe_of_block(rng, depth):
    """Draw one block: its kind, and what it is made with."""
    kinds = [
        *("linear", "general", "einsum", "conv", "conv_transpose", "lora", "layer", "rms", "batch"),
        *("group", "instance", "dropout", "attention", "prelu", "activation"),
    ]
    if depth < 2:
        kinds += ["residual", "residual", "shared"]
    kind = str(rng.choice(kinds))
    flag = bool(rng.integers(2))
    match kind:
        case "linear" | "general" | "lora" | "layer" | "instance" | "batch":
            return kind, flag
        case "conv" | "conv_transpose":
            return kind, int(rng.integers(1, 4)), flag
        case "group":
            return kind, int(rng.choice([1, 2, 4]))
        case "dropout":
            return kind, float(rng.choice([0.1, 0.5, 0.9])), flag
        case "attention":
            return kind, int(rng.choice([1, 2])), flag, float(rng.choice([0.0, 0.3]))
        case "activation":
            return kind, str(rng.choice(ACTIVATIONS))
        case "residual" | "shared":
            return kind, _recipe_of_model(rng, depth + 1, low=1, high=3)
    return (kind,)


def _recipe_of_model(rng, depth, low, high):
    return [_recipe_of_block(rng, depth) for _ in range(int(rng.integers(low, high)))]


def recipe(seed):
    """Draw the recipe of one model."""
    return _recipe_of_model(np.random.default_rng(seed), 0, low=2, high=7)


def build(nnx, blocks, rngs):
    """Build a chain of blocks."""

    class Chain(nnx.Module):
        def __init__(self, blocks):
            self.blocks = nnx.List([make(block) for block in blocks])

        def __call__(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    class Residual(Chain):
        def __call__(self, x):
            return x + super().__call__(x)

    class Twice(nnx.Module):
        def __init__(self, blocks):
            self.first = Chain(blocks)
            self.second = self.first

        def __call__(self, x):
            return self.second(self.first(x))

    class Function(nnx.Module):
        def __init__(self, name):
            self.name = name

        def __call__(self, x):
            return getattr(nnx, self.name)(x)

    def make(block):
        match block:
            case "linear", bias:
                return nnx.Linear(8, 8, use_bias=bias, rngs=rngs)
            case "general", bias:
                return nnx.LinearGeneral((4, 8), (4, 8), axis=(1, 2), use_bias=bias, rngs=rngs)
            case ("einsum",):
                return nnx.Einsum("...a,ab->...b", (8, 8), (8,), rngs=rngs)
            case "conv", size, flag:
                padding = "CAUSAL" if flag else "SAME"
                return nnx.Conv(8, 8, (size,), padding=padding, use_bias=flag, rngs=rngs)
            case "conv_transpose", size, flag:
                return nnx.ConvTranspose(8, 8, (size,), use_bias=flag, rngs=rngs)
            case "lora", drawn:
                init = nnx.initializers.lecun_normal() if drawn else nnx.initializers.zeros_init()
                return nnx.LoRALinear(8, 8, lora_rank=2, b_initializer=init, rngs=rngs)
            case "layer", bias:
                return nnx.LayerNorm(8, epsilon=EPSILON, use_bias=bias, rngs=rngs)
            case ("rms",):
                return nnx.RMSNorm(8, epsilon=EPSILON, rngs=rngs)
            case "batch", scale:
                return nnx.BatchNorm(8, epsilon=EPSILON, use_scale=scale, rngs=rngs)
            case "group", groups:
                return nnx.GroupNorm(8, groups, epsilon=EPSILON, rngs=rngs)
            case "instance", bias:
                return nnx.InstanceNorm(8, epsilon=EPSILON, use_bias=bias, rngs=rngs)
            case "dropout", rate, shared:
                return nnx.Dropout(rate, broadcast_dims=(1,) if shared else (), rngs=rngs)
            case "attention", heads, few, rate:
                return nnx.MultiHeadAttention(
                    2 * heads,
                    8,
                    num_kv_heads=heads if few else None,
                    dropout_rate=rate,
                    deterministic=False,
                    decode=False,
                    rngs=rngs,
                )
            case ("prelu",):
                return nnx.PReLU()
            case "activation", name:
                return Function(name)
            case "residual", inner:
                return Residual(inner)
            case "shared", inner:
                return Twice(inner)
        raise AssertionError(block)

    return Chain(blocks)


def model(nnx, seed):
    """Build the model of a seed."""
    return build(nnx, recipe(seed), nnx.Rngs(seed, dropout=seed + 1))


def give(ours, theirs):
    """Check that two models hold the same, and give ours the parameters of theirs."""
    held = [variables_of(nnx, node) for nnx, node in ((LINNET, ours), (FLAX, theirs))]
    compare(*held, tolerance=0.0, drawn=True)
    for path, variable in LINNET.to_flat_state(LINNET.state(ours, LINNET.Param)):
        variable.set_value(held[1]["/".join(map(str, path))]["value"])


def run(nnx, model, x):
    """Call a model twice and differentiate it."""
    outputs = [model(x), model(2 * x)]
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params, x):
        copy = nnx.merge(graphdef, params, rest, copy=True)
        out = copy(x)
        return weighed(out), (out, nnx.state(copy, nnx.BatchStat))

    (by_params, by_x), (out, statistics) = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, x)
    return {
        "outputs": [*outputs, out],
        "statistics": _flat(nnx, statistics),
        "gradients": _flat(nnx, by_params),
        "gradient": by_x,
        "variables": variables_of(nnx, model),
    }


def _flat(nnx, state):
    return {
        "/".join(map(str, path)): variable.get_value()
        for path, variable in nnx.to_flat_state(state)
    }


def compare_results(ours, theirs):
    """Compare what two models did.

    A gradient that should vanish, as that of a bias before a normalisation or of the keys of an
    attention, is what remains of larger ones; it is measured by a tenth of the largest.
    """
    names = ("gradients", "gradient")
    largest = max(float(jnp.abs(x).max()) for x in jax.tree.leaves([theirs[n] for n in names]))
    for name, value in theirs.items():
        floor = largest / 10 if name in names else 0.01
        compare(ours[name], value, name, tolerance=1e-5, drawn=False, floor=floor)


def real(variables):
    """Return the variables that hold real numbers."""
    return [
        held for held in variables.values() if jnp.issubdtype(held["value"].dtype, jnp.floating)
    ]


@pytest.mark.parametrize("group", range(20))
def test_generated_models(group):
    """Ten models hold the same keys and parameters, and compute and are differentiated alike."""
    for seed in range(10 * group, 10 * group + 10):
        ours, theirs = model(LINNET, seed), model(FLAX, seed)
        give(ours, theirs)
        x = draw(seed, *SHAPE)
        results = run(LINNET, ours, x), run(FLAX, theirs, x)
        try:
            compare_results(*results)
        except AssertionError as error:
            error.add_note(f"model {seed}: {recipe(seed)}")
            raise


@pytest.mark.parametrize("seed", range(0, 200, 17))
def test_ten_training_steps(seed):
    """Ten steps of AdamW, each with its dropout and statistics, lead to the same place.

    A step divides by the size of the gradient plus ``eps``. A gradient that should vanish may
    differ by a millionth of the largest (`compare_results`), and ten steps of 0.01 multiply that
    by ten at most.
    """

    def train(nnx, model):
        optimizer = nnx.Optimizer(model, optax.adamw(1e-2, eps=1e-2), wrt=nnx.Param)

        @nnx.jit
        def step(model, optimizer, x):
            def loss(model):
                return jnp.mean((model(x) - jnp.roll(x, 1, axis=-1)) ** 2)

            value, gradients = nnx.value_and_grad(loss)(model)
            optimizer.update(model, gradients)
            return value

        losses = [step(model, optimizer, draw(seed + number, *SHAPE)) for number in range(10)]
        return losses, variables_of(nnx, model)

    ours, theirs = model(LINNET, seed), model(FLAX, seed)
    give(ours, theirs)
    results = train(LINNET, ours), train(FLAX, theirs)
    largest = max(float(jnp.abs(held["value"]).max()) for held in real(results[1][1]))
    compare(*results, tolerance=1e-5, drawn=False, floor=largest)
