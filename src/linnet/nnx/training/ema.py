"""Exponential moving averages of parameters."""

from typing import Any, TypeVar

import jax

from linnet.base import errors
from linnet.nnx.graph.graphdef import rebuild
from linnet.nnx.graph.layout import layout_of
from linnet.nnx.graph.split import state
from linnet.nnx.graph.states import State, filter_state, items_of
from linnet.nnx.graph.update import update
from linnet.nnx.graph.views import as_pure
from linnet.nnx.objects.pytree import Pytree
from linnet.state.filters import Filter

A = TypeVar("A")


class EMA(Pytree):
    """An exponential moving average of the variables of a model.

    ``average = decay * average + (1 - decay) * value``

    Args:
        params: the model, or a state of it: where the average starts.
        decay: how much of the average is kept in an update.
        only: which variables are averaged.
        graph: taken for Flax's sake.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> model = nnx.Dict(w=nnx.Param(jnp.array(0.0)))
    >>> ema = nnx.EMA(model, decay=0.75)
    >>> model.w[...] = 4.0
    >>> ema.update(model)
    >>> print(ema.apply_to(model).w[...], model.w[...])
    1.0 4.0
    """

    def __init__(
        self, params: Any, decay: float, *, only: Filter = ..., graph: bool | None = None
    ) -> None:
        self.graph = graph
        self.decay = decay
        self.filter = only
        # variables of its own: those of the model go on changing
        self.params = jax.tree.map(lambda x: x, self._part(params))

    def _part(self, of: Any) -> Any:
        return filter_state(of, self.filter) if isinstance(of, State) else state(of, self.filter)

    def update(self, updates: Any) -> None:
        """Take the present values of the model, or of a state of it, into the average."""
        new = as_pure(self._part(updates))
        old = as_pure(self.params)
        mixed = jax.tree.map(lambda a, x: self.decay * a + (1 - self.decay) * x, old, new)
        update(self.params, mixed)

    def apply_to(self, model: A) -> A:
        """Return a model with the averages for variables: it follows later updates.

        What is not averaged it shares with the model.

        Raises:
            StateMismatchError: there are averages of what the model does not have.
        """
        layout = layout_of(model)
        alone = not isinstance(self.params, State)  # of a model that is a variable
        averages = {(): self.params} if alone else dict(items_of(self.params))
        unknown = [
            (path, "the model has no such path") for path in averages if path not in layout.paths
        ]
        if unknown:
            known = [errors.path_text(path) for path in layout.paths]
            raise errors.StateMismatchError(type(model).__name__, unknown, known)
        pairs = zip(layout.paths, layout.leaves(), strict=True)
        made, _ = rebuild(layout.graphdef, [averages.get(path, leaf) for path, leaf in pairs])
        return made
