"""Affine maps: along the last axis, along any axes, and along those an einsum names."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.lax import dot_general as default_dot_general

from linnet.base.errors import ShapeMismatchError
from linnet.base.typing import Array, DotGeneral, Dtype, PrecisionLike, PromoteDtype
from linnet.ops import dtypes
from linnet.ops.axes import as_tuple, from_front
from linnet.ops.op import op


@op(
    static=["dtype", "precision", "preferred_element_type", "out_sharding"],
    hooks={"dot_general": default_dot_general, "promote_dtype": None},
    made_of=["lax.dot_general"],
    promotes=3,
)
def dense(
    inputs: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    dtype: Dtype | None = None,
    precision: PrecisionLike = None,
    preferred_element_type: Dtype | None = None,
    out_sharding: Any = None,
    dot_general: DotGeneral | None = None,
    promote_dtype: PromoteDtype | None = None,
) -> Array:
    """Multiply the last axis by a matrix and add a vector.

    ``outputs[..., j] = sum_i inputs[..., i] * kernel[i, j] + bias[j]``

    Shapes:
        inputs: ``(..., in_features)``; kernel: ``(in_features, features)``; bias: ``(features,)``.

    Args:
        inputs: what to map.
        kernel: the matrix.
        bias: the vector, or ``None`` for a linear map.
        dtype: dtype of the computation; ``None`` promotes from the arguments.
        precision: as in ``jax.lax.dot_general``.
        preferred_element_type: as in ``jax.lax.dot_general``.
        out_sharding: as in ``jax.lax.dot_general``.
        dot_general: hook in the place of ``jax.lax.dot_general``.
        promote_dtype: hook in the place of ``linnet.ops.dtypes.promote_dtype``.

    Returns:
        Array of shape ``(..., features)``.

    >>> dense(jnp.ones((2, 3)), jnp.ones((3, 4)), jnp.ones(4)).tolist()
    [[4.0, 4.0, 4.0, 4.0], [4.0, 4.0, 4.0, 4.0]]
    """
    inputs, kernel, bias = (promote_dtype or dtypes.promote_dtype)(
        inputs, kernel, bias, dtype=dtype
    )
    return _contract(
        inputs,
        kernel,
        bias,
        axis=(-1,),
        batch_dims=(),
        settings=_settings(precision, preferred_element_type, out_sharding),
        dot_general=dot_general,
    )


@op(
    static=["axis", "batch_dims", "dtype", "precision", "preferred_element_type", "out_sharding"],
    hooks={"dot_general": default_dot_general, "promote_dtype": None},
    made_of=["lax.dot_general"],
    promotes=3,
)
def dense_general(
    inputs: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    axis: int | tuple[int, ...] = -1,
    batch_dims: tuple[int, ...] = (),
    dtype: Dtype | None = None,
    precision: PrecisionLike = None,
    preferred_element_type: Dtype | None = None,
    out_sharding: Any = None,
    dot_general: DotGeneral | None = None,
    promote_dtype: PromoteDtype | None = None,
) -> Array:
    """Contract any axes of the inputs with the kernel, each batch entry with its own kernel.

    Shapes:
        inputs: any; kernel: ``(*batch, *contracted, *features)``; bias: ``(*batch, *features)``,
        where ``batch`` and ``contracted`` are the sizes of the inputs' axes ``batch_dims`` and
        ``axis``.

    Args:
        inputs: what to map.
        kernel: the map.
        bias: what to add, or ``None``.
        axis: the axes of the inputs to contract; the kernel has them in the order of the inputs.
        batch_dims: the leading axes of the inputs over which the kernel varies.
        dtype: dtype of the computation; ``None`` promotes from the arguments.
        precision: as in ``jax.lax.dot_general``.
        preferred_element_type: as in ``jax.lax.dot_general``.
        out_sharding: as in ``jax.lax.dot_general``.
        dot_general: hook in the place of ``jax.lax.dot_general``.
        promote_dtype: hook in the place of ``linnet.ops.dtypes.promote_dtype``.

    Returns:
        Array of shape ``(*batch, *rest, *features)``, ``rest`` being the other axes of the inputs.

    >>> dense_general(jnp.ones((2, 3, 4)), jnp.ones((3, 4, 5, 6)), axis=(1, 2)).shape
    (2, 5, 6)
    """
    inputs, kernel, bias = (promote_dtype or dtypes.promote_dtype)(
        inputs, kernel, bias, dtype=dtype
    )
    return _contract(
        inputs,
        kernel,
        bias,
        axis=as_tuple(axis),
        batch_dims=batch_dims,
        settings=_settings(precision, preferred_element_type, out_sharding),
        dot_general=dot_general,
    )


def _settings(
    precision: PrecisionLike, preferred_element_type: Dtype | None, out_sharding: Any
) -> dict[str, Any]:
    """Return how ``dot_general`` is to work; a hook need not know what nobody asked for."""
    given: dict[str, Any] = {"precision": precision}
    if preferred_element_type is not None:
        given["preferred_element_type"] = preferred_element_type
    if out_sharding is not None:
        given["out_sharding"] = out_sharding
    return given


def _contract(
    inputs: Array,
    kernel: Array,
    bias: Array | None,
    *,
    axis: tuple[int, ...],
    batch_dims: tuple[int, ...],
    settings: dict[str, Any],
    dot_general: DotGeneral | None,
) -> Array:
    """Do what ``dense_general`` says, the dtypes already equal."""
    rank = inputs.ndim
    axis, batch = tuple(sorted(from_front(axis, rank))), from_front(batch_dims, rank)
    _check_contraction(inputs.shape, kernel.shape, axis, batch)
    trailing = axis == tuple(range(rank - len(axis), rank))
    # what stands in the place of JAX's product is to see the axes that the user gave
    hooked = dot_general is not None or lax.dot_general is not default_dot_general
    # a reshape of axes that carry an explicit sharding may be ambiguous
    explicit = "out_sharding" in settings or jax.sharding.get_abstract_mesh().explicit_axes
    if trailing and not batch and not hooked and not explicit:
        return _multiply(inputs, kernel, bias, len(axis), settings)
    contracted = tuple(range(len(batch), len(batch) + len(axis)))
    out = (dot_general or lax.dot_general)(
        inputs, kernel, ((axis, contracted), (batch, batch)), **settings
    )  # (*batch, *rest, *features)
    if bias is None:
        return out
    rest = (1,) * (out.ndim - bias.ndim)
    split = len(batch)
    return out + jnp.reshape(bias, bias.shape[:split] + rest + bias.shape[split:])


def _check_contraction(
    inputs: tuple[int, ...], kernel: tuple[int, ...], axis: tuple[int, ...], batch: tuple[int, ...]
) -> None:
    """Check that inputs and kernel have the same sizes along the axes they share.

    Raises:
        ShapeMismatchError: they do not.
    """
    shared = (*batch, *axis)
    wanted, given = kernel[: len(shared)], tuple(inputs[place] for place in shared)
    if wanted != given:
        raise ShapeMismatchError(
            f"Inputs of shape {inputs} have {given} along their axes {shared}, where the kernel, "
            f"of shape {kernel}, has {wanted}. The layer was made for {wanted} features there: "
            f"give it those, or make it for {given}."
        )


def _multiply(
    inputs: Array, kernel: Array, bias: Array | None, contracted: int, settings: dict[str, Any]
) -> Array:
    """Contract the last axes of the inputs with the first of the kernel, as one matrix product.

    With axes of several dimensions XLA keeps more intermediate values in memory, and fuses less.
    """
    rest, features = inputs.shape[: inputs.ndim - contracted], kernel.shape[contracted:]
    size = math.prod(kernel.shape[:contracted])
    flat = jnp.reshape(inputs, (*rest, size))
    matrix = jnp.reshape(kernel, (size, math.prod(features)))
    out = lax.dot_general(
        flat, matrix, (((flat.ndim - 1,), (0,)), ((), ())), **settings
    )  # (*rest, prod(features))
    if bias is not None:
        out = out + jnp.reshape(bias, (1,) * len(rest) + (math.prod(features),))
    return jnp.reshape(out, (*rest, *features))


def check_einsum(equation: str) -> str:
    """Return an equation of two operands without its spaces.

    Raises:
        ValueError: it has no ``->``, or another number of operands.

    >>> check_einsum("bi, io -> bo")
    'bi,io->bo'
    """
    equation = equation.replace(" ", "")
    if "->" not in equation:
        raise ValueError(
            f"The einsum equation {equation!r} leaves its output implicit, so the shape of the "
            "bias cannot be told from it. Name the output: '...i,io->...o'."
        )
    if equation.count(",") != 1:
        raise ValueError(
            f"The einsum equation {equation!r} has {equation.count(',') + 1} operand(s); the layer "
            "multiplies two, its input and its kernel: write exactly one comma, '...i,io->...o'."
        )
    return equation


def einsum_bias_shapes(
    equation: str, input_rank: int, kernel_shape: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Tell the shape of an einsum layer's bias, and how it broadcasts against the output.

    The bias varies along those axes of the kernel that reach the output.

    Args:
        equation: as ``check_einsum`` returns it.
        input_rank: how many axes the input has.
        kernel_shape: the shape of the kernel.

    Returns:
        The bias' own shape, and that shape with ones for the other axes of the output.

    >>> einsum_bias_shapes("a...c,cde->ea...d", 3, (4, 5, 6))
    ((6, 5), (6, 1, 1, 5))
    """
    operands, result = equation.split("->")
    of_input, of_kernel = operands.split(",")
    spans = [
        rank - len(names.replace("...", "")) if "..." in names else 0
        for names, rank in ((of_input, input_rank), (of_kernel, len(kernel_shape)))
    ]
    sizes = dict(zip(_name_ellipsis(of_kernel, spans[1]), kernel_shape, strict=False))
    names = _name_ellipsis(result, max(spans))
    broadcast = tuple(sizes.get(name, 1) for name in names)
    return tuple(sizes[name] for name in names if name in sizes), broadcast


def _name_ellipsis(names: str, span: int) -> str:
    """Write an ellipsis out, from the right as it broadcasts, in letters no user writes."""
    return names.replace("...", "".join(chr(0x10000 + place) for place in range(span, 0, -1)))


@op(
    static=["equation", "dtype", "precision", "preferred_element_type", "out_sharding"],
    hooks={"einsum": jnp.einsum, "promote_dtype": None},
    made_of=["numpy.einsum"],
    promotes=3,
)
def einsum(
    inputs: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    equation: str,
    dtype: Dtype | None = None,
    precision: PrecisionLike = None,
    preferred_element_type: Dtype | None = None,
    out_sharding: Any = None,
    einsum: Callable[..., Array] | None = None,
    promote_dtype: PromoteDtype | None = None,
) -> Array:
    """Contract the inputs with the kernel as an einsum equation says, and add a bias.

    Shapes:
        inputs and kernel: as the equation's two operands; bias: as ``einsum_bias_shapes`` says.

    Args:
        inputs: the first operand.
        kernel: the second operand.
        bias: what to add, or ``None``.
        equation: as ``check_einsum`` returns it.
        dtype: dtype of the computation; ``None`` promotes from the arguments.
        precision: as in ``jax.numpy.einsum``.
        preferred_element_type: as in ``jax.numpy.einsum``.
        out_sharding: as in ``jax.numpy.einsum``.
        einsum: hook in the place of ``jax.numpy.einsum``.
        promote_dtype: hook in the place of ``linnet.ops.dtypes.promote_dtype``.

    Returns:
        Array as the equation's output.

    >>> einsum(jnp.ones((2, 3)), jnp.ones((3, 4)), equation="bi,io->ob").shape
    (4, 2)
    """
    inputs, kernel, bias = (promote_dtype or dtypes.promote_dtype)(
        inputs, kernel, bias, dtype=dtype
    )
    out = (einsum or jnp.einsum)(
        equation,
        inputs,
        kernel,
        precision=precision,
        preferred_element_type=preferred_element_type,
        **({} if out_sharding is None else {"out_sharding": out_sharding}),
    )
    if bias is None:
        return out
    _, broadcast = einsum_bias_shapes(equation, inputs.ndim, kernel.shape)
    return out + jnp.reshape(bias, broadcast)


@op(static=["dtype"], hooks=["promote_dtype"], promotes=3)
def low_rank(
    inputs: Array,
    a: Array,
    b: Array,
    base: Array | None = None,
    *,
    dtype: Dtype | None = None,
    promote_dtype: PromoteDtype | None = None,
) -> Array:
    """Map the last axis through few dimensions, and add that to what another map made.

    ``outputs = inputs @ a @ b + base`` (Hu et al. 2021, arXiv:2106.09685)

    Shapes:
        inputs: ``(..., in_features)``; a: ``(in_features, rank)``; b: ``(rank, features)``; base:
        ``(..., features)``.

    Args:
        inputs: what to map.
        a: the map to few dimensions.
        b: the map from there.
        base: what to add, or ``None``.
        dtype: dtype of the two products; ``None`` promotes from inputs, ``a`` and ``b``.
        promote_dtype: hook in the place of ``linnet.ops.dtypes.promote_dtype``.

    Returns:
        Array of shape ``(..., features)``.

    >>> low_rank(jnp.ones((2, 3)), jnp.ones((3, 1)), jnp.ones((1, 4)), jnp.ones((2, 4))).tolist()
    [[4.0, 4.0, 4.0, 4.0], [4.0, 4.0, 4.0, 4.0]]
    """
    inputs, a, b = (promote_dtype or dtypes.promote_dtype)(inputs, a, b, dtype=dtype)
    _check_contraction(inputs.shape, a.shape, (inputs.ndim - 1,), ())
    outputs = inputs @ a @ b
    return outputs if base is None else outputs + base
