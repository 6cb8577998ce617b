"""Whole models on a mesh: the partition specs and shardings of their states."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
from jax.sharding import NamedSharding, PartitionSpec

from linnet.nnx.graph.split import split
from linnet.nnx.graph.views import (
    abstract_with_sharding as abstract_with_sharding,
    as_abstract as as_abstract,
)
from linnet.nnx.objects import sharding as by_variable
from linnet.nnx.objects.kinds import with_metadata
from linnet.nnx.objects.sharding import sharding_of, spec_of
from linnet.nnx.objects.variable import Variable, is_variable
from linnet.nnx.transforms.eval_shape import eval_shape as eval_shape
from linnet.state.partitioning import PARTITION_NAME as PARTITION_NAME
from linnet.tree.leaves import struct_of

A = TypeVar("A")


def get_partition_spec(tree: A) -> A:
    """Return a state with the partition specs of its variables in the places of their values.

    >>> from linnet import nnx
    >>> nnx.get_partition_spec(nnx.State({"a": nnx.Param(1.0)})).a[...]
    P()
    """

    def spec(leaf: Any) -> Any:
        if isinstance(leaf, Variable):
            return leaf.replace(spec_of(leaf.get_metadata()))
        return PartitionSpec() if hasattr(leaf, "shape") else None

    return jax.tree.map(spec, tree, is_leaf=is_variable)


def get_named_sharding(tree: A, mesh: Any) -> A:
    """Return a state with the shardings of its variables on a mesh in the places of their values.

    Args:
        tree: a state, or a pytree of variables.
        mesh: the mesh.
    """
    specs = get_partition_spec(tree)
    return jax.tree.map(
        lambda spec: NamedSharding(mesh, spec),
        specs,
        is_leaf=lambda x: isinstance(x, PartitionSpec),
    )


def add_axis(tree: A, index: int, transform_metadata: Mapping[Any, Any]) -> A:
    """Say in the metadata of the variables in a tree that their values got an axis.

    Args:
        tree: a state, or a pytree of variables; these are changed.
        index: where the axis is.
        transform_metadata: what it is called, as for ``nnx.vmap``.

    Raises:
        ValueError: the axis has no ``nnx.PARTITION_NAME``.
    """
    return _each_told(by_variable.add_axis, tree, index, transform_metadata)


def remove_axis(tree: A, index: int, transform_metadata: Mapping[Any, Any]) -> A:
    """Say in the metadata of variables that their values lost an axis; undoes :func:`add_axis`.

    Raises:
        ValueError: the axis has no ``nnx.PARTITION_NAME``, or another one.
    """
    return _each_told(by_variable.remove_axis, tree, index, transform_metadata)


def _each_told(tell: Callable[..., None], tree: A, index: int, names: Mapping[Any, Any]) -> A:
    if PARTITION_NAME not in names:
        raise ValueError(
            f"An axis was described by transform_metadata={dict(names)!r}, which does not say what "
            "it is called on a mesh. Add nnx.PARTITION_NAME: name, or None for no axis of the mesh."
        )

    def told(leaf: Any) -> Any:
        if isinstance(leaf, Variable):
            tell(leaf, index, names)
        return leaf

    return jax.tree.map(told, tree, is_leaf=is_variable)


def get_abstract_model(
    init_fn: Callable[[], Any], mesh: Any, *, graph: bool | None = None
) -> tuple[Any, Any]:
    """Return the structure of a model that is not made, and its state with shapes and shardings.

    Args:
        init_fn: makes the model.
        mesh: the mesh that it is to lie on.
        graph: taken for Flax's sake.
    """
    with jax.set_mesh(mesh):
        graphdef, state = split(eval_shape(init_fn))

    def with_sharding(leaf: Any) -> Any:
        if not isinstance(leaf, Variable):
            return leaf
        sharding = sharding_of(leaf.get_metadata(), mesh)
        return leaf.replace(struct_of(leaf.get_raw_value(), sharding))

    return graphdef, jax.tree.map(with_sharding, state, is_leaf=is_variable)


def with_partitioning(
    initializer: Callable[..., Any],
    sharding: tuple[Any, ...],
    mesh: Any = None,
    **metadata: Any,
) -> Callable[..., Any]:
    """Have the variable that an initializer's value is put in be laid out over a mesh.

    Args:
        initializer: a function that returns a value.
        sharding: a name or ``None`` for each axis of it.
        mesh: the mesh; by default the current one.
        **metadata: further metadata for the variable.
    """
    return with_metadata(initializer, out_sharding=sharding, mesh=mesh, **metadata)
