"""Optimizers: the transformations of optax as objects that keep their state.

Optax is functional: ``init`` makes a state, ``update`` turns gradients, state and parameters into
updates and a new state. An :class:`Optimizer` is such a transformation together with its state, in
variables of its own kind: ``OptVariable`` for what there is one of for each parameter, with the
parameter's metadata, ``OptArray`` for the rest, and ``OptState`` for the count of steps.
"""

import warnings
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp

from linnet.base import errors
from linnet.base.optional import check_transformation, require
from linnet.base.typing import MISSING
from linnet.nnx.graph.split import GraphState, state
from linnet.nnx.graph.states import State, items_of
from linnet.nnx.graph.update import update
from linnet.nnx.graph.views import as_pure
from linnet.nnx.objects.kinds import BatchStat, Cache, Intermediate, Param
from linnet.nnx.objects.pytree import Pytree
from linnet.nnx.objects.sharding import placed
from linnet.nnx.objects.variable import Variable, is_variable
from linnet.nnx.random.streams import RngState
from linnet.state.filters import Filter
from linnet.state.partitioning import global_mesh_defined

M = TypeVar("M")


class OptState(Variable[Any]):
    """A part of an optimizer's state."""


class OptArray(OptState):
    """A part of an optimizer's state that belongs to no one parameter, such as a count."""


class OptVariable(OptState):
    """A part of an optimizer's state that belongs to one parameter, such as a moment."""


def _warn_of_statistics(trained: Any) -> None:
    """Warn if variables are to be trained that layers keep for themselves."""
    kept = [
        f"{errors.path_text(path)} ({type(variable).__name__})"
        for path, variable in items_of(trained)
        if isinstance(variable, BatchStat | Cache | Intermediate | RngState)
    ]
    if kept:
        warnings.warn(errors.trained_kinds(kept), errors.LinnetWarning, stacklevel=3)


def to_opt_state(tree: Any) -> Any:
    """Put the leaves of a state of optax into variables.

    One that belongs to a parameter is laid out as that is, or as its ``optimizer_sharding=`` says.

    >>> import jax.numpy as jnp
    >>> to_opt_state({"count": jnp.zeros(2)})["count"].shape
    (2,)
    """

    def convert(leaf: Any) -> Any:
        if isinstance(leaf, Variable):
            metadata, value = leaf.get_metadata(), leaf.get_value()
            asked = "optimizer_sharding" in metadata
            if asked:
                metadata["out_sharding"] = metadata.pop("optimizer_sharding")
            if asked or metadata.get("mesh") or global_mesh_defined():
                value = placed(metadata, value, "OptVariable")
            return OptVariable.from_metadata(value, metadata)
        return OptArray(leaf)

    return jax.tree.map(convert, tree, is_leaf=is_variable)


class Optimizer(Pytree, Generic[M]):
    """A transformation of gradients with its state.

    Args:
        model: the model to be trained.
        tx: a transformation of optax.
        wrt: which of the model's variables are trained, usually ``nnx.Param``.
        graph: taken for Flax's sake.

    Attributes:
        step: how many updates were made, a variable.
        opt_state: the state of ``tx``, in variables.

    Example:
    >>> import jax.numpy as jnp, optax
    >>> from linnet import nnx
    >>> model = nnx.Dict(w=nnx.Param(jnp.array(3.0)))
    >>> optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    >>> grads = nnx.grad(lambda model: model.w[...] ** 2)(model)
    >>> updates = optimizer.update(model, grads)
    >>> print(f"{model.w[...]:.2f}", optimizer.step[...])
    2.40 1
    """

    def __init__(
        self, model: M, tx: Any, *, wrt: Filter = MISSING, graph: bool | None = None
    ) -> None:
        require("optax", for_="nnx.Optimizer")
        if wrt is MISSING:
            raise TypeError(
                "nnx.Optimizer was not told what to train: its argument wrt is missing. Write "
                "nnx.Optimizer(model, tx, wrt=nnx.Param)."
            )
        check_transformation(tx, "nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)")
        self.graph = graph
        self.step = OptState(jnp.array(0, dtype=jnp.uint32))
        self.tx = tx
        trained = state(model, wrt)
        _warn_of_statistics(trained)
        self.opt_state = to_opt_state(tx.init(trained))
        self.wrt = wrt

    def update(self, model: M, grads: Any = MISSING, /, **kwargs: Any) -> Any:
        """Update the model, and the optimizer's own state.

        Args:
            model: the model.
            grads: the gradients, as ``nnx.grad`` returns them in any mode: a state, or a model.
            **kwargs: what the transformation takes besides, such as ``value=`` and ``grad=``.

        Returns:
            What was added to the parameters.

        Raises:
            GradientStructureError: the gradients are not those of the parameters: all differences
                are listed.
        """
        if grads is MISSING:
            raise TypeError(
                "Optimizer.update was called with one argument; it takes the model and the "
                "gradients: optimizer.update(model, grads). An optimizer that holds its model is "
                "nnx.ModelAndOptimizer."
            )
        optax = require("optax", for_="nnx.Optimizer")
        params = as_pure(state(model, self.wrt))
        pure_grads = self._pure(grads)
        kwargs = {name: self._pure(value) for name, value in kwargs.items()}
        _check(params, pure_grads)
        before = jax.tree.map(lambda v: v.get_raw_value(), self.opt_state, is_leaf=is_variable)
        updates, after = self.tx.update(pure_grads, before, params, **kwargs)
        update(model, optax.apply_updates(params, updates))
        jax.tree.map(lambda v, x: v.set_raw_value(x), self.opt_state, after, is_leaf=is_variable)
        self.step[...] += 1
        return updates

    def _pure(self, gradients: Any) -> Any:
        """Return the values of gradients, or of other arguments; of a model those it trains."""
        if isinstance(gradients, Pytree | GraphState):
            gradients = state(gradients, self.wrt)
        return as_pure(gradients)


def _check(params: Any, grads: Any) -> None:
    """Raise unless gradients have the paths and shapes of the parameters."""
    if not isinstance(grads, State):
        return
    have, given = dict(items_of(params)), dict(items_of(grads))
    lost = [errors.path_text(path) for path in have if path not in given]
    more = [errors.path_text(path) for path in given if path not in have]
    more += [
        f"{errors.path_text(path)} of shape {given[path].shape}, which has shape {value.shape}"
        for path, value in have.items()
        if path in given and getattr(given[path], "shape", value.shape) != value.shape
    ]
    if lost or more:
        raise errors.GradientStructureError(
            lost, more, what="Optimizer.update", cure="`nnx.grad(loss_fn)(model)`"
        )


class ModelAndOptimizer(Optimizer[M]):
    """An optimizer that holds its model.

    Args:
        model: the model to be trained.
        tx: a transformation of optax.
        wrt: which of the model's variables are trained.
    """

    def __init__(self, model: M, tx: Any, *, wrt: Filter = Param) -> None:
        super().__init__(model, tx, wrt=wrt)
        self.model = model

    def update(self, grads: Any, /, **kwargs: Any) -> Any:  # type: ignore[override]
        """Update the model and the optimizer's state; see :meth:`Optimizer.update`."""
        return super().update(self.model, grads, **kwargs)
