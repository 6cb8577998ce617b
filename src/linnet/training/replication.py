"""Data for many devices: copied to each, split among them, and gathered again.

Programs written for ``jax.pmap`` put one more axis in front of every array, as long as there are
devices. Here are the two ways to get it, ``replicate`` (the same value for each) and ``shard`` (a
part of the batch for each), and what goes with them: batches moved to the devices ahead of time,
batches that do not divide evenly, metrics brought back. The rest are functions that such programs
take along: evaluation by shape, a scan over several axes, one-hot vectors.
"""

import functools
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from linnet.base import jaxcompat
from linnet.base.typing import Array, PRNGKey

_AXIS = "_device_put_sharded"

Devices = Sequence[Any] | None


def replicate(tree: Any, devices: Devices = None, axis_name: str = _AXIS) -> Any:
    """Copies every array to each device.

    Args:
        tree: a pytree of arrays and numbers.
        devices: the devices, by default those that ``jax.pmap`` uses.
        axis_name: name of the mesh axis that the new axis lies along.

    Returns:
        The tree, its arrays with a new leading axis, one entry for each device.

    >>> jax.tree.map(jnp.shape, replicate({"w": np.ones((2, 3))}, jax.local_devices()[:1]))
    {'w': (1, 2, 3)}
    """
    sharding = _split_over(devices, axis_name)
    count = sharding.mesh.size

    def copied(x: Any) -> Array:
        x = jnp.asarray(x)
        return jax.device_put(jnp.broadcast_to(x[None], (count, *x.shape)), sharding)

    return jax.tree.map(copied, tree)


def unreplicate(tree: Any) -> Any:
    """Returns the first device's copy of every array: what ``replicate`` was given.

    Args:
        tree: a pytree of arrays with a leading axis of devices.
    """

    def first(x: Any) -> Any:
        if isinstance(x, jax.Array) and jaxcompat.trace_of(x) is None:
            shard = min(x.addressable_shards, key=lambda shard: shard.index[0].start or 0)
            if shard.data.shape[1:] == x.shape[1:]:
                return shard.data[0]  # what lies on one device needs no other
        return x[0]

    return jax.tree.map(first, tree)


def prefetch_to_device(
    iterator: Iterable[Any], size: int, devices: Devices = None, axis_name: str = _AXIS
) -> Iterator[Any]:
    """Moves batches to the devices before they are asked for.

    Args:
        iterator: yields pytrees of arrays whose leading axis is split among the devices.
        size: how many batches to keep on the devices; two let copying and computing overlap.
        devices: the devices, by default those that ``jax.pmap`` uses.
        axis_name: name of the mesh axis that the leading axis lies along.

    Yields:
        The batches, on the devices.

    Raises:
        ValueError: ``size`` is less than one, so that nothing would ever be yielded.

    >>> [x.tolist() for x in prefetch_to_device([np.ones(1)], 2, jax.local_devices()[:1])]
    [[1.0]]
    """
    if size < 1:
        raise ValueError(
            f"prefetch_to_device was asked to keep size={size} batches on the devices; with none "
            "there it would yield none. Write size=2."
        )
    return _prefetched(iter(iterator), size, _split_over(devices, axis_name))


def _prefetched(batches: Iterator[Any], size: int, sharding: NamedSharding) -> Iterator[Any]:
    moved = (
        jax.tree.map(lambda x: jax.device_put(x, sharding), batch)  # returns before it has copied
        for batch in batches
    )
    queue = deque(islice(moved, size))
    while queue:
        yield queue.popleft()
        queue.extend(islice(moved, 1))


def pad_shard_unpad(
    wrapped: Callable[..., Any],
    static_argnums: Sequence[int] = (0,),
    static_argnames: Sequence[str] = (),
    static_return: bool = False,
) -> Callable[..., Any]:
    """Lets a function over all devices take batches that do not divide among them.

    Arguments are padded with zeros and split as ``(devices, batch per device, ...)``; results are
    joined and the padding cut off. Both happen on the host.

    Args:
        wrapped: the function, for example a ``jax.pmap``.
        static_argnums: positions of arguments that are passed as they are; parameters are.
        static_argnames: names of arguments that are passed as they are.
        static_return: whether the result is returned as it is.

    Returns:
        The function, with one more keyword argument ``min_device_batch``: the least that a device
        gets, so that a last, smaller batch does not compile anew.

    Raises:
        ValueError: when it is called, if the arrays have no common leading size.
    """
    devices = jax.local_device_count()

    @functools.wraps(wrapped)
    def pad_shard_unpad_wrapper(*args: Any, min_device_batch: int | None = None, **kw: Any) -> Any:
        batched = [x for place, x in enumerate(args) if place not in static_argnums]
        batched += [x for name, x in kw.items() if name not in static_argnames]
        size = _common_size(batched)
        per_device = max(-(-size // devices), min_device_batch or 0)

        def pad(x: Any) -> Any:
            x = np.asarray(x)
            filled = np.zeros((devices * per_device, *x.shape[1:]), x.dtype)
            filled[:size] = x
            return filled.reshape(devices, per_device, *x.shape[1:])  # (devices, batch, ...)

        def unpad(x: Any) -> Any:
            x = np.asarray(x)
            return x.reshape(-1, *x.shape[2:])[:size]  # (size, ...)

        out = wrapped(
            *(
                x if place in static_argnums else jax.tree.map(pad, x)
                for place, x in enumerate(args)
            ),
            **{
                name: x if name in static_argnames else jax.tree.map(pad, x)
                for name, x in kw.items()
            },
        )
        return out if static_return else jax.tree.map(unpad, out)

    return pad_shard_unpad_wrapper


def partial_eval_by_shape(
    fn: Callable[..., Any], input_spec: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """Evaluates as much of a function as does not depend on the values of its inputs.

    Args:
        fn: the function, called as ``fn(*inputs, *args, **kwargs)``.
        input_spec: for each input its shape, or ``(shape, dtype)``; without a dtype, float32.
        *args: further arguments, with their values.
        **kwargs: keyword arguments, with their values.

    Returns:
        The outputs: with their values where these follow without the inputs, otherwise as
        ``jax.ShapeDtypeStruct``.

    >>> partial_eval_by_shape(lambda x: (x + 1, jnp.zeros(2)), [(3,)])
    (ShapeDtypeStruct(shape=(3,), dtype=float32), Array([0., 0.], dtype=float32))
    """
    inputs = [_described(spec) for spec in input_spec]
    closed, shapes = jax.make_jaxpr(
        lambda *inputs: fn(*inputs, *args, **kwargs),  # pyright: ignore[reportArgumentType]
        return_shape=True,
    )(*inputs)
    leaves = jaxcompat.evaluate_known(closed, len(inputs))
    return jax.tree.unflatten(jax.tree.structure(shapes), leaves)


def pmean(xs: Any, axis_name: str) -> Any:
    """Returns the mean over a mapped axis, as ``jax.lax.pmean``, which programs should call.

    Args:
        xs: a pytree of arrays.
        axis_name: name of the axis.
    """
    warnings.warn("write jax.lax.pmean(xs, axis_name)", DeprecationWarning, stacklevel=2)
    return lax.pmean(xs, axis_name)


def scan_in_dim(
    body_fn: Callable[..., Any],
    init: Any,
    xs: Any,
    axis: int | Sequence[int] = (0,),
    unroll: int | Sequence[int] = (1,),
    keepdims: bool = False,
) -> tuple[Any, Any]:
    """Scans over any axes of arrays, the last one given being the innermost loop.

    Args:
        body_fn: takes a carry and a slice, returns a carry and an output of the slice's rank.
        init: the first carry.
        xs: a pytree of arrays.
        axis: the axes to scan over.
        unroll: how many steps to unroll in each loop; where there are fewer numbers than axes,
            they belong to the innermost.
        keepdims: whether slices keep the axes that are scanned over, with length one.

    Returns:
        The last carry, and the outputs along the same axes.

    >>> double_and_add = lambda total, x: (total + x, 2 * x)
    >>> total, doubled = scan_in_dim(double_and_add, 0, jnp.arange(4).reshape(2, 2), axis=(0, 1))
    >>> total.item(), doubled.tolist()
    (6, [[0, 2], [4, 6]])
    """
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    unrolls = (unroll,) if isinstance(unroll, int) else tuple(unroll)
    unrolls = (1,) * (len(axes) - len(unrolls)) + unrolls
    front = tuple(range(len(axes)))

    def level(depth: int, carry: Any, xs: Any) -> tuple[Any, Any]:
        if depth == len(axes):
            slices = jax.tree.map(lambda x: jnp.expand_dims(x, axes), xs) if keepdims else xs
            carry, ys = body_fn(carry, slices)
            return carry, jax.tree.map(lambda y: y.squeeze(axes), ys) if keepdims else ys
        return lax.scan(
            lambda carry, x: level(depth + 1, carry, x), carry, xs, unroll=unrolls[depth]
        )

    # the axes to scan over stand in front, in the order of the loops, and are put back after
    moved = jax.tree.map(lambda x: jnp.moveaxis(x, axes, front), xs)
    carry, ys = level(0, init, moved)
    return carry, jax.tree.map(lambda y: jnp.moveaxis(y, front, axes), ys)


def shard(xs: Any) -> Any:
    """Splits the leading axis of every array among the local devices.

    Args:
        xs: a pytree of arrays whose leading sizes divide by the number of local devices.

    Returns:
        The tree, its arrays reshaped to ``(devices, size // devices, ...)``.

    Raises:
        ValueError: a size does not divide.
    """
    devices = jax.local_device_count()

    def split(x: Any) -> Any:
        if not x.ndim or x.shape[0] % devices:
            raise ValueError(
                f"shard cannot split an array of shape {x.shape} among {devices} local devices: "
                "its leading size must be a multiple of them. Choose such a batch size, or wrap "
                "the function with pad_shard_unpad."
            )
        return x.reshape(devices, -1, *x.shape[1:])  # (devices, size // devices, ...)

    return jax.tree.map(split, xs)


def shard_prng_key(prng_key: PRNGKey) -> PRNGKey:
    """Splits a random key into one for each local device.

    Args:
        prng_key: the key.
    """
    return jax.random.split(prng_key, jax.local_device_count())


def stack_forest(forest: Sequence[Any]) -> Any:
    """Makes one tree of many, each leaf the stack of their leaves.

    Args:
        forest: trees of the same structure, with arrays of the same shapes.

    >>> stack_forest([{"loss": 1.0}, {"loss": 2.0}])["loss"].tolist()
    [1.0, 2.0]
    """
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *forest)


def get_metrics(device_metrics: Sequence[Any]) -> Any:
    """Brings replicated metrics of several steps to the host, stacked over the steps.

    Args:
        device_metrics: for each step a pytree of arrays with a leading axis of devices.
    """
    return stack_forest(jax.device_get([unreplicate(metrics) for metrics in device_metrics]))


def onehot(labels: Array, num_classes: int, on_value: float = 1.0, off_value: float = 0.0) -> Array:
    """Returns float32 one-hot vectors along a new last axis.

    Args:
        labels: integers; those outside ``[0, num_classes)`` give no ``on_value``.
        num_classes: length of the vectors.
        on_value: the value at the label.
        off_value: the value elsewhere.

    >>> onehot(jnp.array([0, 2]), 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    hit = jnp.asarray(labels)[..., None] == jnp.arange(num_classes)  # (..., num_classes)
    return jnp.where(hit, on_value, off_value).astype(jnp.float32)


def _split_over(devices: Devices, axis_name: str) -> NamedSharding:
    chosen = jax.local_devices() if devices is None else devices
    return NamedSharding(Mesh(np.array(chosen), (axis_name,)), PartitionSpec(axis_name))


def _described(spec: Any) -> jax.ShapeDtypeStruct:
    described = len(spec) == 2 and isinstance(spec[0], Sequence)
    shape, dtype = spec if described else (spec, jnp.float32)
    return jax.ShapeDtypeStruct(tuple(shape), dtype)


def _common_size(trees: Sequence[Any]) -> int:
    shapes = [np.shape(x) for x in jax.tree.leaves(trees)]
    sizes = {shape[:1] for shape in shapes}
    if len(sizes) != 1 or () in sizes:
        raise ValueError(
            f"pad_shard_unpad was called with arrays of the shapes {shapes}, which have no common "
            "leading size to split. Name what is no batch in static_argnums or static_argnames."
        )
    return sizes.pop()[0]
