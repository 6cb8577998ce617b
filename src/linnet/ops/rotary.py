"""Rotary position embedding: vectors turned by angles that grow with their position.

The two halves of a vector are the coordinates of points in planes, ``(x[i], x[i + size / 2])``, and
plane ``i`` is turned by ``position / theta**(2 * i / size)``. The product of two vectors then
depends on how far apart their positions are and not on where they stand (Su et al. 2021,
arXiv:2104.09864). Sines and cosines are computed in float32, and a narrower vector comes out in
float32.
"""

import jax.numpy as jnp

from linnet.base.typing import Array, ArrayLike
from linnet.ops.op import op


def _check_size(size: int) -> None:
    if size <= 0 or size % 2:
        raise ValueError(
            f"A rotary embedding of vectors of size {size}: the numbers of a vector are turned in "
            "pairs, so its size must be positive and even. Choose an even size of a head, "
            "qkv_features / num_heads in attention."
        )


def _tables(positions: Array, size: int, theta: ArrayLike) -> tuple[Array, Array]:
    """Return sines and cosines, of positions (..., length) each (..., length, size / 2)."""
    _check_size(size)
    exponents = jnp.arange(0, size, 2, dtype=jnp.float32) / size
    angles = positions[..., None] / theta**exponents
    return jnp.sin(angles), jnp.cos(angles)


@op(static=["length", "size"])
def rotary_tables(*, length: int, size: int, theta: ArrayLike = 10000.0) -> tuple[Array, Array]:
    """Compute the sines and cosines that vectors at the positions 0, 1, 2 and so on are turned by.

    Args:
        length: how many positions there are.
        size: the size of a vector.
        theta: the base of the angles: the larger, the slower the last planes turn.

    Returns:
        Sines and cosines, each of shape ``(length, size / 2)`` and float32.

    Raises:
        ValueError: the size is odd or not positive.

    >>> sin, cos = rotary_tables(length=2, size=4)
    >>> sin.shape, sin[0].tolist(), cos[0].tolist()
    ((2, 2), [0.0, 0.0], [1.0, 1.0])
    """
    return _tables(jnp.arange(length), size, theta)


@op()
def rotate(inputs: Array, sin: Array, cos: Array) -> Array:
    """Turn the planes of vectors by angles given as sines and cosines.

    Shapes:
        inputs: ``(*batch, length, size)``; sin and cos: broadcast against ``(*batch, length, size /
        2)``.

    Args:
        inputs: the vectors.
        sin: the sines of the angles.
        cos: their cosines.

    Returns:
        Array of the shape of the inputs.

    >>> rotate(jnp.array([[3.0, 5.0]]), jnp.ones((1, 1)), jnp.zeros((1, 1))).tolist()
    [[-5.0, 3.0]]
    """
    first, second = jnp.split(inputs, 2, axis=-1)
    turned = (first * cos - second * sin, second * cos + first * sin)
    return jnp.concatenate(turned, axis=-1)


@op()
def rotary_embedding(
    inputs: Array, positions: Array | None = None, *, theta: ArrayLike = 10000.0
) -> Array:
    """Turn vectors by the angles of their positions.

    Shapes:
        inputs: ``(*batch, length, size)``; positions: broadcast against ``(*batch, length)``.

    Args:
        inputs: the vectors.
        positions: where they stand; ``None`` for 0, 1, 2 and so on.
        theta: the base of the angles: the larger, the slower the last planes turn.

    Returns:
        Array of the shape of the inputs.

    Raises:
        ValueError: the size is odd.

    >>> rotary_embedding(jnp.ones((2, 2)))[0].tolist()
    [1.0, 1.0]
    """
    if positions is None:
        positions = jnp.arange(inputs.shape[-2])
    return rotate(inputs, *_tables(positions, inputs.shape[-1], theta))


@op()
def heads_first(vectors: Array) -> Array:
    """Move the heads of attention away from between a sequence and its vectors.

    Shapes:
        vectors: ``(*batch, length, heads, depth)``; the result: ``(heads, *batch, length, depth)``.

    >>> heads_first(jnp.ones((1, 5, 2, 4))).shape
    (2, 1, 5, 4)
    """
    return jnp.moveaxis(vectors, -2, 0)


@op()
def heads_last(vectors: Array) -> Array:
    """Undo ``heads_first``.

    >>> heads_last(jnp.ones((2, 1, 5, 4))).shape
    (1, 5, 2, 4)
    """
    return jnp.moveaxis(vectors, 0, -2)
