"""Adaptations of low rank: parameters, keys, outputs and gradients as in Flax."""

import jax
import jax.numpy as jnp
import pytest

from differential.compare import TOLERANCE
from differential.functions import draw
from differential.nnx import assert_same, assert_same_layer, variables_of
from linnet import nnx

X = draw(0, 2, 5, 3)
BF16 = {"dtype": jnp.bfloat16}


def drawn(key, shape, dtype):
    """Draw a map that is not zero."""
    return jax.random.normal(key, shape, dtype)


def halved(args, **kwargs):
    """Stand in the place of ``promote_dtype``."""
    del kwargs
    return tuple(x.astype(jnp.float32) / 2 for x in args)


LORA = {
    "plain": {},
    "drawn": {"b_initializer": drawn},
    "bfloat16": {"b_initializer": drawn, **BF16},
    "bfloat16 parameters": {"b_initializer": drawn, "param_dtype": jnp.bfloat16},
    "metadata": {"a_metadata": {"a": 1}, "b_metadata": {"b": 2}},
    "promote_dtype": {"b_initializer": drawn, "promote_dtype": halved},
}


def tolerance_of(settings):
    """Return the tolerance of the narrowest dtype at work."""
    return TOLERANCE["bfloat16"] if jnp.bfloat16 in settings.values() else 1e-5


@pytest.mark.parametrize("settings", LORA.values(), ids=LORA)
def test_lora(settings):
    """``LoRA`` is made, computes and is differentiated as in Flax."""
    assert_same_layer(
        lambda nnx, rngs: nnx.LoRA(3, 2, 4, rngs=rngs, **settings),
        X,
        tolerance=tolerance_of(settings),
    )


def test_base_modules():
    """What a base module or function makes is adapted, with its keyword arguments."""
    assert_same_layer(
        lambda nnx, rngs: nnx.LoRA(
            3, 2, 4, base_module=nnx.Linear(3, 4, rngs=rngs), b_initializer=drawn, rngs=rngs
        ),
        X,
        call=lambda layer, x: layer(x, out_sharding=None),
    )
    assert_same(lambda nnx: nnx.LoRA(3, 2, 3, base_module=jnp.sin, rngs=nnx.Rngs(0))(X))


LINEAR = {
    "plain": {},
    "drawn": {"b_initializer": drawn},
    "no bias": {"b_initializer": drawn, "use_bias": False},
    "bfloat16 adaptation": {"b_initializer": drawn, "lora_dtype": jnp.bfloat16},
    "bfloat16": {"b_initializer": drawn, **BF16},
    "promote_dtype": {"b_initializer": drawn, "lora_promote_dtype": halved},
}


@pytest.mark.parametrize("settings", LINEAR.values(), ids=LINEAR)
def test_lora_linear(settings):
    """``LoRALinear`` is made, computes and is differentiated as in Flax."""
    assert_same_layer(
        lambda nnx, rngs: nnx.LoRALinear(3, 4, lora_rank=2, rngs=rngs, **settings),
        X,
        tolerance=tolerance_of(settings),
    )


def test_types_of_parameters():
    """Parameters of an adaptation are found by their type, which may be one's own."""

    def program(nnx):
        class Own(nnx.Variable):
            pass

        layer = nnx.LoRALinear(3, 4, lora_rank=2, rngs=nnx.Rngs(0))
        own = nnx.LoRA(3, 2, 4, lora_param_type=Own, rngs=nnx.Rngs(0))
        found = [
            ["/".join(path) for path, _ in nnx.to_flat_state(nnx.state(node, kind))]
            for node, kind in ((layer, nnx.LoRAParam), (own, Own), (own, nnx.Param))
        ]
        return found, issubclass(nnx.LoRAParam, nnx.Param), variables_of(nnx, own)

    assert_same(program, drawn=True)


def test_mistakes():
    """A base module that cannot be called, and inputs of other features, are told."""
    assert_same(lambda nnx: nnx.LoRA(3, 2, 4, base_module=3, rngs=nnx.Rngs(0))(X))
    assert_same(lambda nnx: nnx.LoRA(4, 2, 4, rngs=nnx.Rngs(0))(X))
    with pytest.raises(ValueError, match="base_module=3"):
        nnx.LoRA(3, 2, 4, base_module=3, rngs=nnx.Rngs(0))(X)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"shape \(4, 2\)"):
        nnx.LoRA(4, 2, 4, rngs=nnx.Rngs(0))(X)
