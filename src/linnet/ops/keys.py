"""Random keys that are drawn by folding a number into another key.

A parameter is drawn with a key made from a stream's base key and a number that says where in the
model it is. For most parameters that key is used once, by an initializer that could as well make
it itself, inside the compiled function that draws; and a bias of zeros needs no key at all. So the
pair is handed on as a :class:`DeferredKey`, to initializers that know of it.
"""

from typing import Any, NamedTuple

import jax

from linnet.base.typing import PRNGKey

fold_in = jax.jit(jax.random.fold_in)


class DeferredKey(NamedTuple):
    """A key not drawn yet.

    Attributes:
        base: the key to fold into.
        number: what to fold in, a uint32.
    """

    base: PRNGKey
    number: Any

    def draw(self) -> PRNGKey:
        """Return the key."""
        return fold_in(self.base, self.number)


def takes_deferred_key(init_fn: Any) -> bool:
    """Tell whether an initializer may be given a :class:`DeferredKey` for its key."""
    return getattr(init_fn, "takes_deferred_key", False)


def drawn_key(key: PRNGKey | DeferredKey) -> PRNGKey:
    """Return a key, drawn now if it was not."""
    return key.draw() if isinstance(key, DeferredKey) else key
