"""Layers that multiply: parameters, keys, outputs and gradients as in Flax."""

import jax
import jax.numpy as jnp
import pytest

from differential.compare import TOLERANCE
from differential.functions import draw
from differential.nnx import assert_same, assert_same_layer, variables_of
from linnet import nnx
from linnet.base import errors
from versions import NEWEST

X = draw(0, 2, 5, 3)
BF16 = {"dtype": jnp.bfloat16}
LOW = TOLERANCE["bfloat16"]


def scaled(*args, **kwargs):
    """Stand in the place of ``dot_general``, with any keyword arguments."""
    return 2 * jax.lax.dot_general(*args, **kwargs)


def halved(args, **kwargs):
    """Stand in the place of ``promote_dtype``."""
    del kwargs
    return tuple(None if x is None else x.astype(jnp.float32) / 2 for x in args)


LINEAR = {
    "plain": ({}, X),
    "no bias": ({"use_bias": False}, X),
    "vector": ({}, X[0, 0]),
    "bfloat16": (BF16, X),
    "bfloat16 parameters": ({"param_dtype": jnp.bfloat16}, X),
    "bfloat16 inputs": ({}, X.astype(jnp.bfloat16)),
    "integers": ({}, jnp.arange(6).reshape(2, 3)),
    "precision": ({"precision": "highest"}, X),
    "element type": ({**BF16, "preferred_element_type": jnp.float32}, X),
    "dot_general": ({"dot_general": scaled}, X),
    "promote_dtype": ({"promote_dtype": halved}, X),
    "metadata": ({"kernel_metadata": {"a": 1}, "bias_metadata": {"tag": "b"}}, X),
}


def tolerance_of(settings, *inputs):
    """Return the tolerance of the narrowest dtype at work."""
    found = [settings.get("dtype"), settings.get("param_dtype"), *(x.dtype for x in inputs)]
    return LOW if any(dtype == jnp.bfloat16 for dtype in found) else 1e-5


@pytest.mark.parametrize(("settings", "x"), LINEAR.values(), ids=LINEAR)
def test_linear(settings, x):
    """``Linear`` is made, computes and is differentiated as in Flax."""
    assert_same_layer(
        lambda nnx, rngs: nnx.Linear(3, 4, rngs=rngs, **settings),
        x,
        tolerance=tolerance_of(settings, x),
    )


def test_initializers():
    """Initializers of one's own are called with the key, shape and dtype of Flax."""

    def init(key, shape, dtype):
        return jax.random.uniform(key, shape, dtype) + 1

    assert_same_layer(
        lambda nnx, rngs: nnx.Linear(3, 4, kernel_init=init, bias_init=init, rngs=rngs), X
    )
    assert_same_layer(
        lambda nnx, rngs: nnx.LinearGeneral(
            (5, 3), (2, 2), axis=(-2, -1), kernel_init=init, bias_init=init, rngs=rngs
        ),
        X,
    )


def test_metadata_of_initializers():
    """Metadata that an initializer attaches comes to the parameter, reshaped ones included."""

    def program(nnx):
        init = nnx.with_metadata(nnx.initializers.normal(), colour="red")
        rngs = nnx.Rngs(0)
        layers = [
            nnx.Linear(3, 4, kernel_init=init, kernel_metadata={"size": 2}, rngs=rngs),
            nnx.LinearGeneral(3, (2, 2), kernel_init=init, bias_init=init, rngs=rngs),
        ]
        return [variables_of(nnx, layer) for layer in layers]

    assert_same(program, drawn=True)


GENERAL = {
    "last": (3, 4, {}, X),
    "several": ((5, 3), (4, 2), {"axis": (1, -1)}, X),
    "first": (2, (4, 2), {"axis": 0}, X),
    "order of axes": ((3, 5), 4, {"axis": (-1, 1)}, draw(1, 2, 3, 5)),
    "no bias": (3, (4, 2), {"use_bias": False}, X),
    "batch": (3, (4, 2), {"batch_axis": {0: 2}}, X),
    "two batches": (3, 4, {"batch_axis": {0: 2, 1: 5}}, X),
    "bfloat16": (3, (4, 2), BF16, X),
    "dot_general": (3, (4, 2), {"dot_general": scaled}, X),
    "dot_general_cls": (3, (4, 2), {"dot_general_cls": lambda: scaled}, X),
    "promote_dtype": (3, (4, 2), {"promote_dtype": halved}, X),
    "element type": (3, 4, {**BF16, "preferred_element_type": jnp.float32}, X),
}


@pytest.mark.parametrize(("ins", "outs", "settings", "x"), GENERAL.values(), ids=GENERAL)
def test_linear_general(ins, outs, settings, x):
    """``LinearGeneral`` is made, computes and is differentiated as in Flax."""
    assert_same_layer(
        lambda nnx, rngs: nnx.LinearGeneral(ins, outs, rngs=rngs, **settings),
        x,
        tolerance=tolerance_of(settings, x),
    )


EINSUM = {
    "bias": ("nta,hab->nthb", (8, 3, 4), (8, 4), {}),
    "no bias": ("nta,hab->nthb", (8, 3, 4), None, {}),
    "ellipsis": ("...a,ab->...b", (3, 4), (4,), {}),
    "spaces": ("nta, ab -> ntb", (3, 4), (4,), {}),
    "bfloat16": ("nta,ab->ntb", (3, 4), (4,), BF16),
    "promote_dtype": ("nta,ab->ntb", (3, 4), (4,), {"promote_dtype": halved}),
}


@pytest.mark.parametrize(("equation", "kernel", "bias", "settings"), EINSUM.values(), ids=EINSUM)
def test_einsum(equation, kernel, bias, settings):
    """``Einsum`` is made, computes and is differentiated as in Flax."""
    assert_same_layer(
        lambda nnx, rngs: nnx.Einsum(equation, kernel, bias, rngs=rngs, **settings),
        X,
        tolerance=tolerance_of(settings, X),
    )


def test_einsum_hook_and_equation_of_the_call():
    """Another einsum takes the place of JAX's, and the call may bring an equation."""

    def einsum(*args, **kwargs):
        return 2 * jnp.einsum(*args, **kwargs)

    assert_same_layer(
        lambda nnx, rngs: nnx.Einsum("nta,ab->ntb", (3, 4), rngs=rngs, einsum_op=einsum), X
    )
    assert_same_layer(
        lambda nnx, rngs: nnx.Einsum("nta,ab->ntb", (3, 4), rngs=rngs),
        X,
        call=lambda layer, x: layer(x, "nta,ab->nb"),
    )


IDS = jnp.array([[1, 4], [0, -1]])
EMBED = {
    "plain": (5, {}),
    "one": (1, {}),
    "bfloat16": (5, BF16),
    "bfloat16 parameters": (5, {"param_dtype": jnp.bfloat16}),
    "metadata": (5, {"embedding_metadata": {"a": 1}}),
    "promote_dtype": (5, {"promote_dtype": halved}),
}


@pytest.mark.parametrize(("rows", "settings"), EMBED.values(), ids=EMBED)
def test_embed(rows, settings):
    """``Embed`` looks up and scores as in Flax."""
    tolerance = tolerance_of(settings)
    make = lambda nnx, rngs: nnx.Embed(rows, 3, rngs=rngs, **settings)
    assert_same_layer(make, IDS, tolerance=tolerance)
    assert_same_layer(make, X, tolerance=tolerance, call=lambda layer, query: layer.attend(query))


WRONG = {
    "linear": lambda nnx: nnx.Linear(4, 2, rngs=nnx.Rngs(0))(X),
    "general": lambda nnx: nnx.LinearGeneral((5, 4), 2, axis=(1, 2), rngs=nnx.Rngs(0))(X),
    "lengths": lambda nnx: nnx.LinearGeneral((2, 3), 2, axis=-1, rngs=nnx.Rngs(0)),
    "batch gap": lambda nnx: nnx.LinearGeneral(3, 2, batch_axis={1: 7}, rngs=nnx.Rngs(0)),
    "batch negative": lambda nnx: nnx.LinearGeneral(3, 2, batch_axis={-3: 7}, rngs=nnx.Rngs(0)),
    "implicit": lambda nnx: nnx.Einsum("ab,bc", (3, 2), rngs=nnx.Rngs(0)),
    "three operands": lambda nnx: nnx.Einsum("ab,bc,c->a", (3, 2), rngs=nnx.Rngs(0)),
    "no indices": lambda nnx: nnx.Embed(3, 2, rngs=nnx.Rngs(0))(X),
    "no rngs": lambda nnx: nnx.Linear(3, 2),
    "rngs of None": lambda nnx: nnx.Linear(3, 2, rngs=None),
    "a seed": lambda nnx: nnx.Linear(3, 2, rngs=0),
    "a key": lambda nnx: nnx.Linear(3, 2, rngs=jax.random.key(0)),
    "a stream": lambda nnx: nnx.Linear(3, 2, rngs=nnx.RngStream(0, tag="params")),
    "another stream": lambda nnx: nnx.Linear(3, 2, rngs=nnx.Rngs(dropout=0)),
}


@pytest.mark.parametrize("program", WRONG.values(), ids=WRONG)
def test_mistakes_are_errors_of_the_same_class(program):
    """What Flax refuses is refused, by a class that is caught as Flax's is."""
    assert_same(program)


MESSAGES = {
    "features": (
        lambda: nnx.Linear(4, 2, rngs=nnx.Rngs(0))(X),
        errors.ShapeMismatchError,
        r"shape \(2, 5, 3\).*shape \(4, 2\)",
    ),
    "missing": (lambda: nnx.Linear(3, 2), TypeError, r"no rngs.*nnx.Rngs\(0\)"),
    "misspelt": (
        lambda: nnx.Linear(3, 2, rng=nnx.Rngs(0)),  # type: ignore[call-arg]
        TypeError,
        r"given rng, .*rngs=rngs",
    ),
    "a seed": (
        lambda: nnx.Linear(3, 2, rngs=0),  # type: ignore[arg-type]
        errors.MissingStreamsError,
        r"rngs=0 \(int\).*nnx.Rngs\(0\)",
    ),
    "another stream": (
        lambda: nnx.Linear(3, 2, rngs=nnx.Rngs(param=0)),
        errors.UnknownStreamError,
        r"Did you mean 'param'\?",
    ),
}


@pytest.mark.parametrize(("program", "kind", "words"), MESSAGES.values(), ids=MESSAGES)
def test_mistakes_are_told(program, kind, words):
    """A message says what was given, why that cannot work, and what to write."""
    with pytest.raises(kind, match=words):
        program()


def test_a_subclass_may_bring_its_own_streams():
    """A subclass whose constructor takes no ``rngs`` is not asked for them."""

    class Own(nnx.Linear):
        def __init__(self, features):
            super().__init__(features, features, rngs=nnx.Rngs(0))

    assert Own(3)(X).shape == X.shape


def test_constructors_have_the_signatures_of_flax():
    """Names, kinds and order of the constructors' parameters are Flax's, and so are the calls'."""
    import inspect

    import flax.nnx

    layers = [
        *("Linear", "LinearGeneral", "Einsum", "Embed", "Conv", "ConvTranspose", "BatchNorm"),
        *("LayerNorm", "RMSNorm", "GroupNorm", "InstanceNorm", "Dropout", "MultiHeadAttention"),
        *("LoRA", "LoRALinear", "PReLU", *(["RoPE"] if NEWEST else [])),
    ]
    for name in layers:
        ours, theirs = getattr(nnx, name), getattr(flax.nnx, name)
        for method in ("__init__", "__call__", "set_view", "attend", "init_cache"):
            if not hasattr(theirs, method):
                continue
            shapes = [
                [
                    (parameter.name, parameter.kind, parameter.default is inspect.Parameter.empty)
                    for parameter in inspect.signature(getattr(layer, method)).parameters.values()
                ]
                for layer in (ours, theirs)
            ]
            if (name, method) == ("MultiHeadAttention", "__call__") and not NEWEST:
                shapes[0] = [shape for shape in shapes[0] if shape[0] != "input_positions"]
            assert shapes[0] == shapes[1], (name, method)
