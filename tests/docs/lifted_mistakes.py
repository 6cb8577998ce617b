"""The likeliest mistakes with the transformations of Linen, beside :mod:`tests.docs.mistakes`."""

from tests.docs.mistakes import Mistake

PREAMBLE = """
import jax, jax.numpy as jnp

class Step(nn.Module):
    @nn.compact
    def __call__(self, carry, x):
        carry = nn.tanh(nn.Dense(4, name="dense")(carry) + x)
        return carry, carry

key = jax.random.key(0)
x = jnp.ones((5, 4))
carry = jnp.zeros(4)
"""

MISTAKES = [
    Mistake(
        "Forgetting how the parameters cross",
        "nn.scan(Step, split_rngs={'params': False})().init(key, carry, x)",
        ("/dense (Dense)", "nn.scan", "variable_broadcast"),
    ),
    Mistake(
        "Forgetting how the streams cross",
        "nn.scan(Step, variable_broadcast='params')().init(key, carry, x)",
        ("'params'", "split_rngs"),
    ),
    Mistake(
        "Broadcasting parameters that are drawn anew in each step",
        """
Loop = nn.scan(Step, variable_broadcast='params', split_rngs={'params': True})
Loop().init(key, carry, x)
""",
        ("nn.scan", "split_rngs={'params': False}"),
    ),
    Mistake(
        "Returning no output from the body of a scan",
        """
class Body(nn.Module):
    @nn.compact
    def __call__(self, carry, x):
        return carry + x

nn.scan(Body)().init(key, carry, x)
""",
        ("nn.scan", "return carry, None"),
    ),
    Mistake(
        "Changing the shape of the carry",
        """
class Body(nn.Module):
    @nn.compact
    def __call__(self, carry, x):
        return jnp.concatenate([carry, x]), None

nn.scan(Body)().init(key, carry, x)
""",
        ("float32[4]", "float32[8]", "Return a carry like the first one"),
    ),
    Mistake(
        "Scanning over inputs of different lengths",
        """
class Body(nn.Module):
    @nn.compact
    def __call__(self, carry, x, y):
        return carry + x + y, None

nn.scan(Body)().init(key, carry, x, x[:3])
""",
        ("5", "3", "nn.scan"),
    ),
    Mistake(
        "Mapping parameters that were made for another size",
        """
Stack = nn.vmap(nn.Dense, variable_axes={'params': 0}, split_rngs={'params': True})
variables = Stack(3).init(key, x)
Stack(3).apply(variables, x[:2])
""",
        ("5", "2", "nn.vmap"),
    ),
    Mistake(
        "Mapping nothing",
        "nn.vmap(nn.Dense, in_axes=None, split_rngs={'params': True})(3).init(key, x)",
        ("nn.vmap", "axis_size=..."),
    ),
    Mistake(
        "Transforming a module in place of its class",
        "nn.jit(nn.Dense(3))",
        ("nn.jit(Dense)(...)",),
    ),
    Mistake(
        "Calling a transformed function without a module",
        """
class Model(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.remat(lambda module, x: nn.Dense(3)(x))(x)

Model().init(key, x)
""",
        ("nn.remat", "(self, ...)`"),
    ),
    Mistake(
        "Returning a module from a transformed function",
        """
class Model(nn.Module):
    @nn.compact
    def __call__(self, x):
        layer = nn.jit(lambda module: nn.Dense(3))(self)
        return layer(x)

Model().init(key, x)
""",
        ("create the module outside",),
    ),
]
