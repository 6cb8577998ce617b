"""Rotary embedding against its formula; tests/nnx/layers/test_rotary.py compares with Flax."""

import jax.numpy as jnp
import numpy as np
import pytest

from differential.functions import draw
from linnet.ops.rotary import rotary_embedding, rotary_tables, rotate


def turned(x, positions, theta):
    """Turn vectors by complex numbers, in double precision."""
    size = x.shape[-1]
    x = np.asarray(x, np.float64)
    points = x[..., : size // 2] + 1j * x[..., size // 2 :]
    angles = np.asarray(positions)[..., None] / theta ** (np.arange(0, size, 2) / size)
    points = points * np.exp(1j * angles)
    return np.concatenate([points.real, points.imag], axis=-1)


POSITIONS = {
    "counted": None,
    "given": jnp.array([4, 0, 2]),
    "of each batch": jnp.array([[0, 1, 2], [7, 8, 9]]),
    "broadcast": jnp.array([[3, 4, 5]]),
    "between": jnp.array([0.5, 1.5, 2.25]),
}


@pytest.mark.parametrize("theta", [10000.0, 500.0])
@pytest.mark.parametrize("positions", POSITIONS.values(), ids=POSITIONS)
def test_formula(positions, theta):
    """Each pair of numbers is turned, as a complex number, by the angle of its position."""
    x = draw(0, 2, 3, 8)
    expected = turned(x, jnp.arange(3) if positions is None else positions, theta)
    np.testing.assert_allclose(
        rotary_embedding(x, positions, theta=theta), expected, rtol=1e-5, atol=1e-5
    )


def test_tables():
    """Tables made beforehand turn vectors as the angles computed on the spot do."""
    x = draw(1, 2, 5, 6)
    tables = rotary_tables(length=5, size=6)
    np.testing.assert_array_equal(rotate(x, *tables), rotary_embedding(x))


def test_products_depend_on_the_distance():
    """Moving two vectors by one distance leaves their product as it was."""
    query, key = draw(2, 1, 8), draw(3, 1, 8)

    def product(shift):
        at = [rotary_embedding(v, jnp.array([p + shift])) for v, p in ((query, 5), (key, 2))]
        return jnp.vdot(*at)

    np.testing.assert_allclose(product(0), product(40), rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_vectors_come_out_wide(dtype):
    """The angles are exact where the vectors are not, so the result is float32."""
    x = draw(4, 3, 8, dtype=dtype)
    outputs = rotary_embedding(x)
    assert outputs.dtype == jnp.float32
    np.testing.assert_allclose(outputs, turned(x, jnp.arange(3), 1e4), rtol=1e-5, atol=1e-5)


def test_odd_sizes_are_refused():
    """The message says the size and what an even one is for."""
    with pytest.raises(ValueError, match=r"size 5.*positive and even"):
        rotary_embedding(jnp.ones((2, 5)))
