"""A training state for functional loops: structure, parameters, optimizer state, in one pytree."""

from typing import Any, Self

import jax
import jax.numpy as jnp

from linnet.base.optional import check_transformation, require
from linnet.nnx.graph.graphdef import CallProxy
from linnet.tree import struct


class TrainState(struct.PyTreeNode):
    """The structure and parameters of a model with an optimizer's state, as a pytree.

    Attributes:
        graphdef: the structure of the model.
        params: its parameters.
        opt_state: the optimizer's state.
        step: how many updates were made.
        tx: the transformation of optax.

    Example:
    >>> import jax.numpy as jnp, optax
    >>> from linnet import nnx
    >>> graphdef, params = nnx.split(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    >>> train = nnx.TrainState.create(graphdef, params=params, tx=optax.sgd(0.1))
    >>> y, _ = train.apply("params")(jnp.ones((1, 2)))
    >>> y.shape
    (1, 3)
    """

    graphdef: Any
    params: Any
    opt_state: Any
    step: jax.Array
    tx: Any = struct.field(pytree_node=False)

    @classmethod
    def create(cls, graphdef: Any, *, params: Any, tx: Any, step: int = 0, **kwargs: Any) -> Self:
        """Make a state at the start of training.

        Args:
            graphdef: the structure of the model.
            params: its parameters.
            tx: a transformation of optax.
            step: how many updates were made.
            **kwargs: the fields of a subclass.
        """
        form = "nnx.TrainState.create(graphdef, params=params, tx=optax.adam(1e-3))"
        check_transformation(tx, form)
        return cls(
            graphdef=graphdef,
            params=params,
            opt_state=tx.init(params),
            step=jnp.asarray(step),
            tx=tx,
            **kwargs,
        )

    def apply(self, state: Any, *states: Any) -> CallProxy:
        """Call the model, or a method of it, on states, or fields given by name.

        Returns:
            What can be called, or asked for methods; a call returns the result and
            ``(graphdef, state)``.
        """
        found = tuple(getattr(self, s) if isinstance(s, str) else s for s in (state, *states))
        return CallProxy(self.graphdef, found)

    def apply_gradients(self, grads: Any, **kwargs: Any) -> Self:
        """Return the state after an update with these gradients; ``kwargs`` replace fields."""
        optax = require("optax", for_="nnx.TrainState")
        updates, opt_state = self.tx.update(grads, self.opt_state, self.params)
        params = optax.apply_updates(self.params, updates)
        return self.replace(step=self.step + 1, params=params, opt_state=opt_state, **kwargs)
