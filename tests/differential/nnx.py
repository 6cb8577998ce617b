"""NNX under Flax and under Linnet: programs, and what of a model is compared."""

from collections.abc import Mapping
from typing import Any

import flax.nnx
import jax
import jax.numpy as jnp

import linnet.nnx
from differential import programs
from differential.functions import weighed

FLAX = flax.nnx
LINNET = linnet.nnx
LIBRARIES = (FLAX, LINNET)

# what Flax notes of how a variable is stored, which is one way in Linnet
_STORAGE = {"hijax", "ref", "eager_sharding"}


def assert_same(program: Any, **how: Any) -> Any:
    """Check that a program does the same under both libraries; see `programs.assert_same`."""
    return programs.assert_same(program, libraries=LIBRARIES, **how)


def plain(value: Any) -> Any:
    """Write a value of metadata or an attribute as both libraries would."""
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return dict(value) if hasattr(value, "unfreeze") else value


def variables_of(nnx: Any, node: Any) -> dict[str, Any]:
    """Return for each path of a model the type, the metadata and the value of the variable."""
    return {
        "/".join(map(str, path)): {
            "type": type(variable).__name__,
            "metadata": {
                name: plain(value)
                for name, value in sorted(variable.get_metadata().items())
                if name not in _STORAGE
            },
            "value": jnp.asarray(variable.get_value()),
        }
        for path, variable in nnx.to_flat_state(nnx.state(node))
    }


def attributes_of(nnx: Any, layer: Any) -> list[Any]:
    """Return the attributes of a layer in order, the static ones with their values."""
    return [
        (
            name,
            type(value).__name__ if isinstance(value, nnx.Variable | nnx.Pytree) else plain(value),
        )
        for name, value in vars(layer).items()
        if not name.startswith("_")
    ]


def gradients_of(nnx: Any, model: Any, loss: Any, *inputs: Any) -> Any:
    """Differentiate ``loss(model, *inputs)`` by the parameters and the inputs that are real.

    Returns:
        The gradients by path, and those of the inputs.
    """
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    real = [place for place, x in enumerate(inputs) if jnp.issubdtype(x.dtype, jnp.floating)]

    def pure(params: Any, *chosen: Any) -> Any:
        given = list(inputs)
        for place, value in zip(real, chosen, strict=True):
            given[place] = value
        return loss(nnx.merge(graphdef, params, rest, copy=True), *given)

    places = tuple(range(len(real) + 1))
    found, *of_inputs = jax.jit(jax.grad(pure, argnums=places))(
        params, *(inputs[place] for place in real)
    )
    by_path = {
        "/".join(map(str, path)): variable.get_value()
        for path, variable in nnx.to_flat_state(found)
    }
    return by_path, list(of_inputs)


def assert_same_layer(
    make: Any,
    *inputs: Any,
    tolerance: float = 1e-5,
    compute: bool = True,
    grad: bool = True,
    floors: Mapping[str, float] = {},
    call: Any = None,
) -> None:
    """Check that a layer is made, computes, updates itself and is differentiated as in Flax.

    Args:
        make: a function ``(nnx, rngs) -> layer``.
        *inputs: what the layer is called with.
        tolerance: of outputs and gradients, relative.
        compute: whether to compare outputs and gradients, not only what the layer holds.
        grad: whether to compare gradients.
        floors: by path what a vanishing gradient is measured by, where it is not by 0.01.
        call: a function ``(layer, *inputs) -> outputs``; by default the call of the layer.
    """
    call = call or (lambda layer, *inputs: layer(*inputs))

    def made(nnx: Any) -> Any:
        rngs = nnx.Rngs(0, dropout=1)
        layer = make(nnx, rngs)
        return variables_of(nnx, layer), attributes_of(nnx, layer), variables_of(nnx, rngs)

    def called(nnx: Any) -> Any:
        layer = make(nnx, nnx.Rngs(0, dropout=1))
        outputs = call(layer, *inputs)
        return outputs, variables_of(nnx, layer)

    def differentiated(nnx: Any) -> Any:
        layer = make(nnx, nnx.Rngs(0, dropout=1))
        return gradients_of(nnx, layer, lambda *args: weighed(call(*args)), *inputs)

    assert_same(made, drawn=True)
    if compute:
        assert_same(called, tolerance=tolerance)
    if compute and grad:
        assert_same(differentiated, tolerance=tolerance, floors=floors)
