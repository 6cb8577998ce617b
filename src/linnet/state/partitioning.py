"""Which axis of a value goes along which axis of the device mesh.

``Partitioned`` is the box that says it: one name of a mesh axis, or ``None``, for each axis of the
value. Where a mesh is known, the box's own or the one that ``jax.set_mesh`` made current, reading
the value constrains it to that sharding. ``get_partition_spec`` and ``get_sharding`` read the same
from a whole tree, for the ``in_shardings`` and ``out_shardings`` of ``jax.jit``.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeAlias, TypeVar

import jax
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec, Sharding

from linnet.base.errors import PartitioningUnspecifiedError
from linnet.base.jaxcompat import is_tracing
from linnet.state.metadata import AxisMetadata, is_axis_metadata
from linnet.tree import struct

A = TypeVar("A")

AxisNames: TypeAlias = tuple[str | None, ...]

# The key under which a transform's metadata_params name the axis that it adds or removes.
PARTITION_NAME = "partition_name"


class Partitioned(struct.PyTreeNode, AxisMetadata[A]):
    """A value with the name of a mesh axis, or ``None``, for each of its axes.

    Args:
        value: the value; any pytree of arrays.
        names: the names, axis by axis; fewer than there are axes leave the rest unpartitioned.
        mesh: the mesh to lay the value out on; without it the current one, if any.

    >>> box = Partitioned(jax.ShapeDtypeStruct((4, 8), "float32"), names=(None, "model"))
    >>> box.get_partition_spec()
    P(None, 'model')
    >>> box.add_axis(0, {PARTITION_NAME: "layers"}).names
    ('layers', None, 'model')
    """

    value: Any
    names: AxisNames = struct.field(pytree_node=False)
    mesh: Mesh | None = struct.field(pytree_node=False, default=None)

    def unbox(self, apply_constraint: bool = True) -> A:
        """Returns the value, constrained to its sharding where a mesh is known.

        Args:
            apply_constraint: whether to constrain it at all.
        """
        if apply_constraint and (self.mesh is not None or global_mesh_defined()):
            return constrain(self.value, self.get_partition_spec(), self.mesh)
        return self.value

    def replace_boxed(self, val: Any) -> "Partitioned[Any]":
        """Returns a box of the same names and mesh around another value."""
        return self.replace(value=val)

    def add_axis(self, index: int, params: Mapping[Any, Any]) -> Self:
        """Returns the box with the name of one more axis.

        Args:
            index: where the axis is. A negative one counts from the end of the names as they
                are, as ``list.insert`` counts.
            params: holds the name under ``PARTITION_NAME``.

        Raises:
            PartitioningUnspecifiedError: ``params`` does not hold it.
        """
        name = self._axis_name(params)
        names = list(self.names)
        names.extend([None] * (index - len(names)))
        names.insert(index, name)
        return self.replace(names=tuple(names))

    def remove_axis(self, index: int, params: Mapping[Any, Any]) -> Self:
        """Returns the box without the name of an axis.

        Args:
            index: where the axis was.
            params: holds its name under ``PARTITION_NAME``.

        Raises:
            PartitioningUnspecifiedError: ``params`` does not hold it.
            ValueError: the axis has another name, or there is no such axis.
        """
        name = self._axis_name(params)
        names = list(self.names)
        found = names.pop(index) if -len(names) <= index < len(names) else "no axis"
        if found != name:
            raise ValueError(
                f"the axis {name!r} was to be removed at index {index}, but the axes of this "
                f"{type(self).__name__} are {self.names!r} and there stands {found!r}; give the "
                f"transform the axis and the metadata_params={{nn.PARTITION_NAME: ...}} that it "
                f"was added with"
            )
        return self.replace(names=tuple(names))

    def get_partition_spec(self) -> PartitionSpec:
        """Returns the names as JAX's partition spec."""
        return PartitionSpec(*self.names)

    def get_sharding(self, mesh: Mesh) -> Sharding:
        """Returns the sharding of the value on a mesh.

        Args:
            mesh: a mesh that has the axes named.
        """
        return NamedSharding(mesh, self.get_partition_spec())

    def to_nnx_metadata(self) -> dict[str, Any]:
        """Returns the fields as the metadata of an ``nnx.Variable``."""
        fields = dict(vars(self))
        fields["out_sharding"] = fields.pop("names")
        return fields

    @classmethod
    def from_nnx_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Returns a box made from the metadata of an ``nnx.Variable``; undoes the above.

        Args:
            metadata: the metadata; what is no field of the box is left out.
        """
        fields = {**metadata, "names": metadata["out_sharding"]}
        return cls(**{name: fields[name] for name in cls.__dataclass_fields__ if name in fields})

    def _axis_name(self, params: Mapping[Any, Any]) -> str | None:
        if PARTITION_NAME not in params:
            raise PartitioningUnspecifiedError(self)
        return params[PARTITION_NAME]


def with_partitioning(
    fn: Callable[..., Any], names: AxisNames, mesh: Mesh | None = None
) -> Callable[..., Partitioned[Any]]:
    """Returns an initializer whose values are boxed with the names of their axes.

    Args:
        fn: the initializer.
        names: the name of a mesh axis, or ``None``, for each axis.
        mesh: the mesh to lay the values out on; without it the current one, if any.

    >>> init = with_partitioning(jax.nn.initializers.zeros, (None, "model"))
    >>> init(jax.random.key(0), (4, 8)).names
    (None, 'model')
    """

    @functools.wraps(fn)
    def boxed(*args: Any, **kwargs: Any) -> Partitioned[Any]:
        return Partitioned(fn(*args, **kwargs), names, mesh=mesh)

    return boxed


def get_partition_spec(tree: Any) -> Any:
    """Returns a tree of partition specs, one in the place of each box and each leaf.

    Args:
        tree: a pytree that may hold boxes. An array without a box gets the empty spec, which
            replicates it; a leaf that is no array gets ``None``.
    """
    return jax.tree.map(_spec_of, tree, is_leaf=is_axis_metadata)


def get_sharding(tree: Any, mesh: Mesh) -> Any:
    """Returns a tree of shardings, one in the place of each box and each leaf.

    Args:
        tree: a pytree that may hold boxes. An array without a box is replicated; a leaf that is
            no array gets ``None``.
        mesh: a mesh that has the axes named.
    """

    def sharding_of(leaf: Any) -> Any:
        if isinstance(leaf, Partitioned):
            return leaf.get_sharding(mesh)
        spec = _spec_of(leaf)
        return None if spec is None else NamedSharding(mesh, spec)

    return jax.tree.map(sharding_of, tree, is_leaf=is_axis_metadata)


def get_global_mesh() -> AbstractMesh | Mesh | None:
    """Returns the mesh that ``jax.set_mesh`` made current, or ``None``."""
    mesh = jax.sharding.get_abstract_mesh()
    return None if mesh.empty else mesh


def global_mesh_defined() -> bool:
    """Says whether ``jax.set_mesh`` made a mesh current."""
    return not jax.sharding.get_abstract_mesh().empty


def constrain(x: Any, where: Any, mesh: Mesh | None = None) -> Any:
    """Returns a value constrained to a sharding.

    Args:
        x: a pytree of arrays.
        where: a partition spec, for each of them, or a sharding or format of JAX.
        mesh: the mesh of a partition spec; without it the current one.
    """
    if isinstance(where, PartitionSpec):
        if mesh is None and not is_tracing():
            # Outside a trace the current mesh has devices, and a value not on them moves there.
            mesh = jax.sharding.get_mesh()
        where = where if mesh is None else NamedSharding(mesh, where)
    elif not isinstance(where, NamedSharding) and not is_tracing():
        return jax.device_put(x, where)  # the one device, or format
    types = getattr(where, "mesh", jax.sharding.get_abstract_mesh()).axis_types
    if types and all(each is AxisType.Explicit for each in types):
        # There a constraint only asserts what is part of the type.
        return jax.sharding.reshard(x, where)
    return jax.lax.with_sharding_constraint(x, where)


def _spec_of(leaf: Any) -> PartitionSpec | None:
    if isinstance(leaf, Partitioned):
        return leaf.get_partition_spec()
    return PartitionSpec() if hasattr(leaf, "shape") else None
