"""Every layer of both module systems, small: what it is made with and called on, and what it does.

The tests of ``tests/layers`` go through this table: a layer that is missing here is missed by them.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from differential import linen, nnx

X = np.linspace(-1.0, 2.0, 24, dtype=np.float32).reshape(2, 3, 4)
IDS = np.array([[0, 2], [1, 4]], np.int32)
COLLECTIONS = ["batch_stats", "cache", "intermediates"]
SYSTEMS = {"linen": (linen.FLAX, linen.LINNET), "nnx": nnx.LIBRARIES}


@dataclasses.dataclass(frozen=True)
class Case:
    """One layer.

    Attributes:
        system: ``linen`` or ``nnx``.
        name: the name of the class.
        given: what it is made with.
        inputs: what it is called on.
        call: keyword arguments of the call.
        streams: whether the constructor takes ``rngs``.
    """

    system: str
    name: str
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    inputs: tuple[Any, ...] = (X,)
    call: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    streams: bool = True

    def __str__(self) -> str:
        return f"{self.system}-{self.name}"

    @property
    def libraries(self) -> tuple[Any, Any]:
        """The namespaces, Flax's first."""
        return SYSTEMS[self.system]

    def run(self, library: Any, *, jit: bool = False, cast: Any = None, **fields: Any) -> Any:
        """Make the layer and call it.

        Args:
            library: the namespace.
            jit: whether to make it and call it in ``jax.jit``.
            cast: dtype of the inputs that are real.
            **fields: more of what it is made with, or other.

        Returns:
            Its variables, what it returned, and what its variables became.
        """
        run = self._linen if self.system == "linen" else self._nnx
        inputs = self.inputs
        if cast is not None:
            inputs = [jnp.asarray(x, cast) if x.dtype.kind == "f" else x for x in inputs]

        def whole(*inputs: Any) -> Any:
            return run(library, {**self.given, **fields}, inputs)

        return jax.jit(whole)(*inputs) if jit else whole(*inputs)

    def _linen(self, library: Any, given: Mapping[str, Any], inputs: Any) -> Any:
        layer = getattr(library, self.name)(**given)
        variables = layer.init(linen.RNGS, *inputs, **self.call)
        called = layer.apply(variables, *inputs, **self.call, rngs=linen.RNGS, mutable=COLLECTIONS)
        return variables, *called

    def _nnx(self, library: Any, given: Mapping[str, Any], inputs: Any) -> Any:
        streams = {"rngs": library.Rngs(0, dropout=1)} if self.streams else {}
        layer = getattr(library, self.name)(**given, **streams)
        values = values_of(library, layer)
        return values, layer(*inputs, **self.call), values_of(library, layer)


def values_of(library: Any, layer: Any) -> dict[str, Any]:
    """Return the values of the variables of a layer of NNX, and arrays that stand by themselves."""
    return {
        "/".join(map(str, path)): getattr(leaf, "get_value", lambda leaf=leaf: leaf)()
        for path, leaf in library.to_flat_state(library.state(layer))
    }


CASES = [
    Case("linen", "Dense", {"features": 4}),
    Case("linen", "DenseGeneral", {"features": (2, 2), "axis": (1, -1)}),
    Case("linen", "Einsum", {"shape": (4, 2), "einsum_str": "...i,io->...o"}),
    Case("linen", "Embed", {"num_embeddings": 5, "features": 4}, (IDS,)),
    Case("linen", "Conv", {"features": 4, "kernel_size": (2,)}),
    Case("linen", "ConvLocal", {"features": 4, "kernel_size": (2,)}),
    Case("linen", "ConvTranspose", {"features": 4, "kernel_size": (2,)}),
    Case("linen", "BatchNorm", {"use_running_average": False}),
    Case("linen", "LayerNorm"),
    Case("linen", "RMSNorm"),
    Case("linen", "GroupNorm", {"num_groups": 2}),
    Case("linen", "InstanceNorm"),
    Case("linen", "PReLU"),
    Case("linen", "Dropout", {"rate": 0.5, "deterministic": False}),
    Case("linen", "MultiHeadDotProductAttention", {"num_heads": 2, "deterministic": True}),
    Case("linen", "SelfAttention", {"num_heads": 2, "deterministic": True}),
    Case("nnx", "Linear", {"in_features": 4, "out_features": 4}),
    Case("nnx", "LinearGeneral", {"in_features": (3, 4), "out_features": 4, "axis": (1, -1)}),
    Case(
        "nnx", "Einsum", {"einsum_str": "abi,io->abo", "kernel_shape": (4, 2), "bias_shape": (2,)}
    ),
    Case("nnx", "Embed", {"num_embeddings": 5, "features": 4}, (IDS,)),
    Case("nnx", "Conv", {"in_features": 4, "out_features": 4, "kernel_size": (2,)}),
    Case("nnx", "ConvTranspose", {"in_features": 4, "out_features": 4, "kernel_size": (2,)}),
    Case("nnx", "BatchNorm", {"num_features": 4}),
    Case("nnx", "LayerNorm", {"num_features": 4}),
    Case("nnx", "RMSNorm", {"num_features": 4}),
    Case("nnx", "GroupNorm", {"num_features": 4, "num_groups": 2}),
    Case("nnx", "InstanceNorm", {"num_features": 4}),
    Case("nnx", "PReLU", streams=False),
    Case("nnx", "Dropout", {"rate": 0.5}),
    Case("nnx", "LoRA", {"in_features": 4, "lora_rank": 2, "out_features": 4}),
    Case("nnx", "LoRALinear", {"in_features": 4, "lora_rank": 2, "out_features": 4}),
    Case("nnx", "MultiHeadAttention", {"num_heads": 2, "in_features": 4, "decode": False}),
]
