"""Drawing numbers from a source of keys: ``rngs.normal((2, 3))``, ``rngs.lecun_normal()((2, 3))``.

Whatever hands out a key when called can draw. The functions of ``jax.random`` and the families of
initializers become methods of it, each made here from its name: the key, their first argument, is
left out, for it is the source's own.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax

from linnet.base.typing import Array, PRNGKey
from linnet.ops import initializers

_DISTRIBUTIONS = (
    *("ball", "bernoulli", "beta", "binomial", "bits", "categorical", "cauchy", "chisquare"),
    *("choice", "dirichlet", "double_sided_maxwell", "exponential", "f", "gamma"),
    *("generalized_normal", "geometric", "gumbel", "laplace", "loggamma", "logistic"),
    *("lognormal", "maxwell", "multinomial", "multivariate_normal", "normal", "orthogonal"),
    *("pareto", "permutation", "poisson", "rademacher", "randint", "rayleigh", "t"),
    *("triangular", "truncated_normal", "uniform", "wald", "weibull_min"),
)
_INITIALIZERS = (
    *("delta_orthogonal", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform"),
    *("kaiming_normal", "kaiming_uniform", "lecun_normal", "lecun_uniform", "variance_scaling"),
    *("xavier_normal", "xavier_uniform"),
)


class KeySource:
    """Something that hands out a new random key each time it is called, and draws with it."""

    __slots__ = ()

    def __call__(self) -> PRNGKey:
        """Return the next key."""
        raise NotImplementedError

    if TYPE_CHECKING:  # the methods made below

        def __getattr__(self, name: str) -> Any: ...


def _distribution(name: str) -> Callable[..., Any]:
    """Make the method that draws from one distribution."""
    function = getattr(jax.random, name)

    def method(self: KeySource, *args: Any, **kwargs: Any) -> Any:
        return function(self(), *args, **kwargs)

    method.__doc__ = (
        f"Draw with ``jax.random.{name}`` and the next key; the arguments are those after the key."
    )
    # the key of the function is in the place of self
    setattr(method, "__signature__", inspect.signature(function))  # noqa: B010
    return method


def _initializer(name: str) -> Callable[..., Any]:
    """Make the method that returns one initializer without its key."""
    family = getattr(initializers, name)

    def method(self: KeySource, *args: Any, **kwargs: Any) -> Callable[..., Array]:
        init_fn = family(*args, **kwargs)

        def keyless(*shape_and_dtype: Any, **named: Any) -> Array:
            return init_fn(self(), *shape_and_dtype, **named)

        return keyless

    method.__doc__ = (
        f"Return the initializer ``{name}`` with keys from here: a function ``(shape, dtype)``."
    )
    return method


for _make, _names in ((_distribution, _DISTRIBUTIONS), (_initializer, _INITIALIZERS)):
    for _name in _names:
        _method = _make(_name)
        _method.__name__, _method.__qualname__ = _name, f"KeySource.{_name}"
        setattr(KeySource, _name, _method)
