"""``TrainState``: parameters, their optimizer, its state and the number of steps, in one pytree.

An optimizer is for parameters only. ``TrainState.create`` warns when it is given all collections,
because the optimizer would then train running averages as well; other collections belong in fields
of a subclass, which ``apply_gradients`` replaces.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, Self, cast

import jax
from jax.tree_util import keystr, tree_leaves_with_path

from linnet.base.errors import GradientStructureError, LinnetWarning, trained_collections
from linnet.base.optional import check_transformation, require
from linnet.base.typing import Array
from linnet.tree import struct

OVERWRITE_WITH_GRADIENT = "_overwrite_with_gradient"
"""The collection whose gradient is its new value (the scales of fp8 are kept so)."""

_PARAMS = "params"


class TrainState(struct.PyTreeNode):
    """The state of a training run with one optax optimizer.

    Subclass it to carry more, such as ``batch_stats``.

    Attributes:
        step: how many gradients have been applied.
        apply_fn: usually ``model.apply``.
        params: the parameters, ``variables["params"]``; or a dictionary of them under ``"params"``
            and of what is overwritten by its gradient under ``OVERWRITE_WITH_GRADIENT``.
        tx: the optax optimizer.
        opt_state: its state.

    >>> import jax.numpy as jnp, optax
    >>> state = TrainState.create(apply_fn=None, params={"w": jnp.ones(2)}, tx=optax.sgd(0.5))
    >>> state = state.apply_gradients(grads={"w": jnp.ones(2)})
    >>> state.step, state.params["w"].tolist()
    (1, [0.5, 0.5])
    """

    step: int | Array
    apply_fn: Callable[..., Any] = struct.field(pytree_node=False)
    params: Any = struct.field(pytree_node=True)
    tx: Any = struct.field(pytree_node=False)
    opt_state: Any = struct.field(pytree_node=True)

    @classmethod
    def create(cls, *, apply_fn: Any, params: Any, tx: Any, **kwargs: Any) -> Self:
        """Returns the state before the first step, with the optimizer's state initialised.

        Warns if ``params`` holds other collections beside the parameters.

        Args:
            apply_fn: usually ``model.apply``.
            params: the parameters.
            tx: an optax optimizer.
            **kwargs: the other fields of a subclass.
        """
        check_transformation(tx, "TrainState.create(apply_fn=..., params=..., tx=optax.adam(1e-3))")
        others = _other_collections(params)
        if others:
            warnings.warn(trained_collections(list(params), others), LinnetWarning, stacklevel=2)
        fields: dict[str, Any] = {"step": 0, "apply_fn": apply_fn, "params": params, "tx": tx}
        return cls(**fields, opt_state=tx.init(_trained(params)), **kwargs)

    def apply_gradients(self, *, grads: Any, **kwargs: Any) -> Self:
        """Returns the state after one step of the optimizer.

        Args:
            grads: gradients, in the structure of ``params``.
            **kwargs: other fields to replace, such as ``batch_stats``.

        Raises:
            GradientStructureError: the gradients have another structure than the parameters.
        """
        optax = require("optax", for_="TrainState.apply_gradients")
        trained, gradients = _trained(self.params), _trained(grads)
        try:
            updates, opt_state = self.tx.update(gradients, self.opt_state, trained)
            params = optax.apply_updates(trained, updates)
        except (TypeError, ValueError) as error:
            if jax.tree.structure(gradients) == jax.tree.structure(trained):
                raise
            missing, unknown = _differences(trained, gradients)
            raise GradientStructureError(missing, unknown) from error
        if _is_overwritten(grads):
            overwritten = {OVERWRITE_WITH_GRADIENT: grads[OVERWRITE_WITH_GRADIENT]}
            params = {**self.params, _PARAMS: params, **overwritten}
        return self.replace(step=self.step + 1, params=params, opt_state=opt_state, **kwargs)


def _trained(tree: Any) -> Any:
    """Returns what the optimizer sees of parameters or of gradients."""
    return tree[_PARAMS] if _is_overwritten(tree) else tree


def _is_overwritten(tree: Any) -> bool:
    return isinstance(tree, Mapping) and OVERWRITE_WITH_GRADIENT in tree


def _other_collections(params: Any) -> list[str]:
    """Names the collections beside the parameters that the optimizer is about to train."""
    if not isinstance(params, Mapping) or _is_overwritten(params):
        return []
    collections = cast("Mapping[str, Any]", params)
    if not isinstance(collections.get(_PARAMS), Mapping):
        return []
    return [name for name in collections if name != _PARAMS]


def _differences(params: Any, grads: Any) -> tuple[list[str], list[str]]:
    """Lists the parameters without a gradient, and the gradients without a parameter."""
    ours, theirs = (
        {keystr(path) for path, _ in tree_leaves_with_path(tree)} for tree in (params, grads)
    )
    return sorted(ours - theirs), sorted(theirs - ours)
