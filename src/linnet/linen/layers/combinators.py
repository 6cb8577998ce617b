"""Modules made of modules."""

from collections.abc import Callable, Sequence
from typing import Any

from linnet.linen.modules.module import Module, compact


class Sequential(Module):
    """Call layers one after the other.

    What a layer returns is what the next is called with: a tuple is spread over its arguments, a
    dictionary over its keyword arguments.

    Attributes:
        layers: modules or functions.

    >>> import jax, jax.numpy as jnp, linnet.linen as nn
    >>> model = nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(2)])
    >>> list(model.init(jax.random.key(0), jnp.ones((1, 3)))["params"])
    ['layers_0', 'layers_2']
    """

    layers: Sequence[Callable[..., Any]]

    def __post_init__(self) -> None:
        if not isinstance(self.layers, Sequence):
            raise ValueError(
                f"Sequential was given a {type(self.layers).__name__}, but its layers are a "
                f"sequence. Write Sequential([{type(self.layers).__name__}(...), ...])."
            )
        super().__post_init__()

    @compact
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the first layer with these arguments, each other with what the last returned.

        Raises:
            ValueError: there are no layers.
        """
        if not self.layers:
            raise ValueError(
                f"Sequential {self.name or ''} has no layers, so it has no output. Give it at "
                "least one: Sequential([lambda x: x])."
            )
        outputs = self.layers[0](*args, **kwargs)
        for layer in self.layers[1:]:
            if isinstance(outputs, tuple):
                outputs = layer(*outputs)
            elif isinstance(outputs, dict):
                outputs = layer(**outputs)
            else:
                outputs = layer(outputs)
        return outputs
