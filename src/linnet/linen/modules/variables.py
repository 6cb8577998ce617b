"""What a module does with its variables and its random keys.

A module reads and writes through its scope. Inside ``setup`` and compact methods it may declare
variables, each name once; elsewhere it may only read and write those that exist.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from linnet.base import errors
from linnet.base.typing import PRNGKey
from linnet.linen.modules.scope import Scope, Variable
from linnet.linen.modules.structure import ModuleStructure, reserve

T = TypeVar("T")


class ModuleVariables(ModuleStructure):
    """The part of ``Module`` that declares, reads and writes variables, and draws keys."""

    # --- variables ------------------------------------------------------------------------------

    def param(
        self,
        name: str,
        init_fn: Callable[..., T],
        *init_args: Any,
        unbox: bool = True,
        **init_kwargs: Any,
    ) -> T:
        """Declare a parameter, a variable of collection ``params``, and return its value.

        Args:
            name: its name in this module.
            init_fn: makes the initial value: ``init_fn(key, *init_args, **init_kwargs)``, with a
                key from stream ``params``. Called only if the parameter does not exist.
            *init_args: what ``init_fn`` is given after the key, usually the shape and the dtype.
            unbox: return the value without axis metadata.
            **init_kwargs: more for ``init_fn``.

        Returns:
            The value.

        Raises:
            VariableOutsideSetupError: called neither in ``setup`` nor in a compact method.
            NameInUseError: the name is taken.
            ScopeParamNotFoundError: ``apply`` was not given this parameter.
            ScopeParamShapeError: ``apply`` was given it with another shape.

        >>> import jax, jax.numpy as jnp, linnet.linen as nn
        >>> class Scale(nn.Module):
        ...     @nn.compact
        ...     def __call__(self, x):
        ...         return x * self.param("scale", nn.initializers.ones, (x.shape[-1],))
        >>> Scale().init(jax.random.key(0), jnp.ones((2, 3)))["params"]["scale"].shape
        (3,)
        """
        scope = self._declare(name, "params", "param")
        return scope.param(name, init_fn, *init_args, unbox=unbox, **init_kwargs)

    def variable(
        self,
        col: str,
        name: str,
        init_fn: Callable[..., T] | None = None,
        *init_args: Any,
        unbox: bool = True,
        **init_kwargs: Any,
    ) -> Variable[T]:
        """Declare a variable of any collection and return it, to be read and written by ``.value``.

        Args:
            col: the collection; any name, such as ``batch_stats``, ``cache`` or one of your own.
            name: its name in this module.
            init_fn: makes the initial value: ``init_fn(*init_args, **init_kwargs)``. Called only if
                the variable does not exist. Unlike in ``param`` no key is passed; draw one with
                ``self.make_rng``.
            *init_args: what ``init_fn`` is given.
            unbox: read the value without axis metadata.
            **init_kwargs: more for ``init_fn``.

        Returns:
            The variable.

        Raises:
            VariableOutsideSetupError: called neither in ``setup`` nor in a compact method.
            NameInUseError: the name is taken in this collection.
            ScopeVariableNotFoundError: it does not exist and its collection is not mutable.

        >>> import jax, jax.numpy as jnp, linnet.linen as nn
        >>> class Counter(nn.Module):
        ...     @nn.compact
        ...     def __call__(self):
        ...         count = self.variable("counts", "calls", lambda: 0)
        ...         if not self.is_initializing():
        ...             count.value += 1
        ...         return count.value
        >>> variables = Counter().init(jax.random.key(0))
        >>> Counter().apply(variables, mutable=["counts"])
        (1, {'counts': {'calls': 1}})
        """
        scope = self._declare(name, col, "variable")
        return scope.variable(col, name, init_fn, *init_args, unbox=unbox, **init_kwargs)

    def _declare(self, name: str, col: str, what: str) -> Scope:
        """Check that a variable may be declared here, use up its name, and return the scope."""
        scope, state = self.scope, self._state
        if scope is None:
            raise errors.UnboundModuleError(type(self).__name__, f"declaring {what} {name!r}")
        if not (state.in_setup or state.in_compact):
            raise errors.VariableOutsideSetupError(what, name, scope.path, type(self).__name__)
        reserve(self, name, col, what)
        return scope

    def get_variable(self, col: str, name: str, default: Any = None) -> Any:
        """Return the value of a variable of this module, or ``default`` if there is none."""
        return scope_of(self, f"variable {name!r}").get_variable(col, name, default)

    def put_variable(self, col: str, name: str, value: Any) -> None:
        """Write a variable of this module.

        Raises:
            ModifyScopeVariableError: its collection is not mutable in this call.
        """
        scope_of(self, f"variable {name!r}").put_variable(col, name, value)

    def has_variable(self, col: str, name: str) -> bool:
        """Tell whether this module has a variable of a name in a collection."""
        return scope_of(self, f"variable {name!r}").has_variable(col, name)

    def is_mutable_collection(self, col: str) -> bool:
        """Tell whether a collection may be written in this call."""
        return scope_of(self, f"collection {col!r}").is_mutable_collection(col)

    @property
    def variables(self) -> Mapping[str, Mapping[str, Any]]:
        """The variables of this module and its submodules, ``{collection: {...}}``; read only."""
        return scope_of(self, "the variables").variables()

    def is_initializing(self) -> bool:
        """Tell whether this is a call of ``init``; write state only if it is not."""
        return scope_of(self, "the state").store.initializing

    # --- random keys ----------------------------------------------------------------------------

    def make_rng(self, name: str = "params") -> PRNGKey:
        """Draw a new random key from a stream.

        Each call gives another key, determined by the key passed for the stream, the path of this
        module, and how many keys it drew before. A stream for which no key was passed draws from
        stream ``params``.

        Raises:
            InvalidRngError: no key was passed for the stream, nor one for ``params``.
        """
        return scope_of(self, f"a key of stream {name!r}").make_rng(name)

    def has_rng(self, name: str) -> bool:
        """Tell whether a key was passed for a stream."""
        return scope_of(self, f"stream {name!r}").has_rng(name)

    # --- watching values ------------------------------------------------------------------------

    def sow(
        self,
        col: str,
        name: str,
        value: Any,
        reduce_fn: Callable[[Any, Any], Any] = lambda xs, x: (*xs, x),
        init_fn: Callable[[], Any] = lambda: (),
    ) -> bool:
        """Store a value in a collection, without passing a container through every call.

        Does nothing if the collection is not mutable in this call.

        Args:
            col: the collection, often ``intermediates``.
            name: the name of the variable.
            value: the value.
            reduce_fn: combines what is stored with the value; by default appends to a tuple.
            init_fn: makes what the first value is combined with; by default an empty tuple.

        Returns:
            Whether the value was stored.

        >>> import jax, jax.numpy as jnp, linnet.linen as nn
        >>> class Model(nn.Module):
        ...     @nn.compact
        ...     def __call__(self, x):
        ...         self.sow("intermediates", "mean", float(x.mean()))
        ...         return x
        >>> Model().apply({}, jnp.ones(2), mutable=["intermediates"])[1]
        {'intermediates': {'mean': (1.0,)}}
        """
        scope = scope_of(self, f"variable {name!r}")
        if not scope.is_mutable_collection(col):
            return False
        if not scope.has_variable(col, name):
            reserve(self, name, col, "sown variable")
            stored = init_fn()
        else:
            stored = scope.get_variable(col, name)
        scope.put_variable(col, name, reduce_fn(stored, value))
        return True

    def perturb(self, name: str, value: T, collection: str = "perturbations") -> T:
        """Add a variable that is zero to a value, to find the gradient with respect to the value.

        The derivative of a loss with respect to that variable is the derivative with respect to
        ``value``. Without the collection among the variables, nothing is added.

        Args:
            name: the name of the variable.
            value: the value.
            collection: its collection.

        Returns:
            The value, perturbed.

        Raises:
            ValueError: the collection was passed, but not this variable.

        >>> import jax, jax.numpy as jnp, linnet.linen as nn
        >>> class Model(nn.Module):
        ...     @nn.compact
        ...     def __call__(self, x):
        ...         return self.perturb("doubled", 2 * x) ** 2
        >>> variables = Model().init(jax.random.key(0), 3.0)
        >>> grads = jax.grad(lambda v: Model().apply(v, 3.0))(variables)
        >>> float(grads["perturbations"]["doubled"])
        12.0
        """
        scope = scope_of(self, f"variable {name!r}")
        if scope.is_mutable_collection(collection):
            if not scope.has_variable(collection, name):
                scope.put_variable(collection, name, jax.tree.map(jnp.zeros_like, value))
        elif scope.is_collection_empty(collection) and collection not in scope.store.given:
            return value
        elif not scope.has_variable(collection, name):
            raise ValueError(
                f"{errors.place(scope.path, scope.owner)} perturbs {name!r}, but collection "
                f"{collection!r} was passed without that variable. Pass the collection as `init` "
                "made it, or leave it out to switch perturbations off."
            )
        zeros = scope.get_variable(collection, name)
        return jax.tree.map(jnp.add, value, zeros)


def scope_of(module: ModuleStructure, what: str) -> Scope:
    """Return the scope of a bound module.

    Raises:
        UnboundModuleError: the module is not bound; the message says what was asked for.
    """
    scope = module.scope
    if scope is None:
        raise errors.UnboundModuleError(type(module).__name__, f"asked for {what}")
    return scope
