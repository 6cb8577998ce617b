"""``Module``, the base class of Linen's modules, and the functions that work on modules.

This file is the public face: what a module can be asked. How a module gets its place in a model
stands in ``structure.py``, what it does with its variables in ``variables.py``, what a call
of a method does in ``methods.py``, where variables live in ``scope.py``, and how ``init`` and
``apply`` come about in ``functional.py``.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Self, TypeVar, dataclass_transform

from linnet.base import errors
from linnet.base.traceback import hide_internal_frames, user_facing
from linnet.base.typing import PRNGKey
from linnet.linen.modules import functional
from linnet.linen.modules.classes import facts_of, prepare_class
from linnet.linen.modules.context import UNSET, context as context
from linnet.linen.modules.describe import describe, describe_module
from linnet.linen.modules.functional import (
    INIT_COLLECTIONS,
    CaptureIntermediates,
    apply as apply,
    init as init,
    init_with_output as init_with_output,
)
from linnet.linen.modules.methods import (
    InterceptorContext as InterceptorContext,
    compact as compact,
    intercept_methods as intercept_methods,
    nowrap as nowrap,
)
from linnet.linen.modules.scope import Scope as Scope, Store as Store, Variable as Variable, thaw
from linnet.linen.modules.structure import ModuleStructure, share_scope as share_scope
from linnet.linen.modules.variables import ModuleVariables, scope_of
from linnet.state.collection_filters import CollectionFilter, DenyList as DenyList

M = TypeVar("M", bound="Module")
T = TypeVar("T")


@dataclass_transform(kw_only_default=False, field_specifiers=(dataclasses.field,))
class Module(ModuleVariables):
    """Base class of neural-network modules: a dataclass of configuration, with methods to compute.

    Annotated class attributes are fields, as in any dataclass; a subclass does not write
    ``__init__`` but, where there is something to prepare, ``setup``. Every module has two fields
    more, keyword-only: ``name``, its name in its parent, and ``parent``, the module it belongs to,
    by default the one whose method creates it.

    A module holds no arrays. ``init`` makes its variables, ``apply`` computes with them:

    >>> import jax, jax.numpy as jnp, linnet.linen as nn
    >>> class Classifier(nn.Module):
    ...     features: int
    ...     def setup(self):
    ...         self.hidden = nn.Dense(self.features)
    ...         self.head = nn.Dense(2)
    ...     def __call__(self, x):
    ...         return self.head(nn.relu(self.hidden(x)))
    >>> model = Classifier(features=8)
    >>> x = jnp.ones((4, 3))
    >>> variables = model.init(jax.random.key(0), x)
    >>> jax.tree.map(jnp.shape, variables["params"]["head"])
    {'bias': (2,), 'kernel': (8, 2)}
    >>> model.apply(variables, x).shape
    (4, 2)

    Submodules may instead be created where they are used, in a method decorated with
    :func:`compact`. Lists, tuples, dictionaries and other pytrees of modules are fine as fields and
    as attributes set in ``setup``.
    """

    def __init_subclass__(cls, *, kw_only: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        prepare_class(cls, kw_only=kw_only)

    # --- what subclasses write ---------------------------------------------------------------

    def setup(self) -> None:
        """Create submodules and variables; subclasses override it.

        It runs by itself, once for each bound module, before the first of its methods or the first
        read of an attribute that ``setup`` assigns.
        """

    setup._is_default = True  # type: ignore[attr-defined]

    # --- identity ----------------------------------------------------------------------------

    def __hash__(self) -> int:
        if self.scope is not None:
            raise TypeError(
                f"{type(self).__name__} at {self.scope.path_text} is bound, it holds variables, "
                "and so cannot be hashed; jax.jit hashes what it is called on. Write "
                "`jax.jit(lambda variables, x: model.apply(variables, x))`."
            )
        values = tuple(
            getattr(self, field.name) for field in dataclasses.fields(self) if field.compare
        )
        try:
            return hash((type(self), values))
        except TypeError as error:
            raise TypeError(
                f"{type(self).__name__} cannot be hashed: {error}. A module passed to jax.jit as "
                f"a static argument needs hashable fields; use tuples for lists.\n{self!r}"
            ) from error

    def __repr__(self) -> str:
        return describe_module(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return the description alone: a module leaves its variables behind when it is pickled."""
        own = self.clone(_deep_clone=True) if self.scope is not None else self
        return {k: v for k, v in own.__dict__.items() if k not in {"_state", "scope"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, parent=None)
        ModuleStructure.__post_init__(self)

    @property
    def path(self) -> tuple[str, ...]:
        """The names on the way from the root of the model to this module.

        Raises:
            UnboundModuleError: the module is not bound.

        >>> import jax, jax.numpy as jnp, linnet.linen as nn
        >>> class Outer(nn.Module):
        ...     @nn.compact
        ...     def __call__(self, x):
        ...         dense = nn.Dense(2)
        ...         print(dense.path)
        ...         return dense(x)
        >>> _ = Outer().init(jax.random.key(0), jnp.ones((1, 2)))
        ('Dense_0',)
        """
        return scope_of(self, "the path").path

    def copy(self, *, parent: Any = UNSET, name: str | None = None, **updates: Any) -> Self:
        """Create a copy of this module, a new submodule of the module that is running.

        Args:
            parent: the parent of the copy; by default the module whose method is running.
            name: the name of the copy; by default a new automatic one.
            **updates: fields to give other values.

        Returns:
            The copy.
        """
        return self.clone(parent=parent, name=name, _deep_clone=True, _reset_names=False, **updates)

    # --- from a module to a function ---------------------------------------------------------

    def apply(
        self,
        variables: Mapping[str, Any],
        *args: Any,
        rngs: PRNGKey | Mapping[str, PRNGKey] | None = None,
        method: Callable[..., Any] | str | None = None,
        mutable: CollectionFilter = False,
        capture_intermediates: CaptureIntermediates = False,
        **kwargs: Any,
    ) -> Any:
        """Compute with given variables.

        Args:
            variables: what ``init`` returned, ``{collection: {...}}``. It is not changed.
            *args: for the method.
            rngs: keys for the streams that the method draws from, ``{"dropout": key}``; a single
                key is for stream ``params``, on which all others fall back.
            method: what to run, ``__call__`` by default: a method, its name, or any function whose
                first argument is the module.
            mutable: the collections that may be written: a name, names, `DenyList`, True for all.
            capture_intermediates: store the result of every ``__call__``, or of the methods that a
                function ``(module, method_name) -> bool`` picks, in collection ``intermediates``,
                which is mutable then.
            **kwargs: for the method.

        Returns:
            What the method returns or, if any collection is mutable, that and the mutable
            collections as they are after the call.

        Raises:
            ApplyScopeInvalidVariablesTypeError: ``variables`` are not collections.
            InvalidRngError: the method draws from a stream without a key.
            ModifyScopeVariableError: the method writes a collection that is not mutable.
            ScopeParamNotFoundError, ScopeParamShapeError: the parameters do not fit the model.

        >>> import jax, jax.numpy as jnp, linnet.linen as nn
        >>> x = jnp.arange(6.0).reshape(3, 2)
        >>> norm = nn.BatchNorm(use_running_average=False)
        >>> variables = norm.init(jax.random.key(0), x)
        >>> y, updates = norm.apply(variables, x, mutable=["batch_stats"])
        >>> updates["batch_stats"]["mean"]
        Array([0.02, 0.03], dtype=float32)
        """
        try:
            _check_instance(self, "apply")
            fn = functional.unbound_method(self, method)
            _check_keywords(fn, kwargs, "apply")
            store = functional.store_for_apply(
                self, variables, rngs, mutable, capture_intermediates
            )
            result = functional.run(fn, self, store, args, kwargs)
            return functional.with_changes(result, store, mutable, capture_intermediates)
        except Exception as error:
            hide_internal_frames(error)
            raise

    @user_facing
    def init_with_output(
        self,
        rngs: PRNGKey | Mapping[str, PRNGKey],
        *args: Any,
        method: Callable[..., Any] | str | None = None,
        mutable: CollectionFilter = INIT_COLLECTIONS,
        capture_intermediates: CaptureIntermediates = False,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """Make the variables of this module, and return them with the output.

        Args:
            rngs: as for ``init``.
            *args: for the method.
            method: as for ``apply``.
            mutable: as for ``init``.
            capture_intermediates: as for ``apply``; makes ``intermediates`` mutable.
            **kwargs: for the method.

        Returns:
            ``(output, variables)``.
        """
        _check_instance(self, "init_with_output")
        store = functional.store_for_init(self, rngs, mutable, capture_intermediates)
        fn = functional.unbound_method(self, method)
        return functional.run(fn, self, store, args, kwargs), store.take()

    @user_facing
    def init(
        self,
        rngs: PRNGKey | Mapping[str, PRNGKey],
        *args: Any,
        method: Callable[..., Any] | str | None = None,
        mutable: CollectionFilter = INIT_COLLECTIONS,
        capture_intermediates: CaptureIntermediates = False,
        **kwargs: Any,
    ) -> Any:
        """Make the variables of this module, by calling it on inputs.

        Under ``jax.jit`` only the variables are computed, not the output.

        Args:
            rngs: a random key for stream ``params``, or a dictionary of keys by stream.
            *args: for the method; of the inputs only shapes and dtypes matter.
            method: as for ``apply``.
            mutable: which collections are made; all but ``intermediates`` by default.
            capture_intermediates: as for ``apply``; makes ``intermediates`` mutable.
            **kwargs: for the method.

        Returns:
            The variables, ``{collection: {...}}``.

        Raises:
            InvalidRngError: ``rngs`` are not keys, or one is missing.

        >>> import jax, jax.numpy as jnp, linnet.linen as nn
        >>> variables = nn.Dense(3).init(jax.random.key(0), jnp.ones((1, 2)))
        >>> jax.tree.map(jnp.shape, variables)
        {'params': {'bias': (3,), 'kernel': (2, 3)}}
        """
        _check_instance(self, "init")
        return self.init_with_output(
            rngs,
            *args,
            method=method,
            mutable=mutable,
            capture_intermediates=capture_intermediates,
            **kwargs,
        )[1]

    @user_facing
    def lazy_init(
        self,
        rngs: PRNGKey | Mapping[str, PRNGKey],
        *args: Any,
        method: Callable[..., Any] | str | None = None,
        mutable: CollectionFilter = INIT_COLLECTIONS,
        **kwargs: Any,
    ) -> Any:
        """Make the variables of this module without computing its output.

        Args:
            rngs: as for ``init``.
            *args: for the method: concrete values, or ``jax.ShapeDtypeStruct`` for inputs of which
                only shape and dtype matter.
            method: as for ``apply``.
            mutable: as for ``init``.
            **kwargs: for the method, likewise concrete or abstract.

        Returns:
            The variables, with the same values as from ``init``. A variable that depends on the
            value of an abstract input is made as if that held zeros, and is warned of.

        >>> import jax, jax.numpy as jnp, linnet.linen as nn
        >>> x = jax.ShapeDtypeStruct((1, 128), jnp.float32)
        >>> nn.Dense(256).lazy_init(jax.random.key(0), x)["params"]["kernel"].shape
        (128, 256)
        """
        _check_instance(self, "lazy_init")
        store = functional.store_for_init(self, rngs, mutable)
        fn = functional.unbound_method(self, method)
        functional.run_abstractly(fn, self, store, args, kwargs)
        return store.take()

    def bind(
        self,
        variables: Mapping[str, Any],
        *args: Any,
        rngs: PRNGKey | Mapping[str, PRNGKey] | None = None,
        mutable: CollectionFilter = False,
    ) -> Self:
        """Return a copy of this module that holds variables, for interactive use.

        Args:
            variables: as for ``apply``.
            *args: not used.
            rngs: as for ``apply``.
            mutable: as for ``apply``; read changed variables from ``bound.variables``.

        Returns:
            The bound copy; its methods and submodules can be used directly.

        >>> import jax, jax.numpy as jnp, linnet.linen as nn
        >>> model = nn.Sequential([nn.Dense(3), nn.Dense(2)])
        >>> variables = model.init(jax.random.key(0), jnp.ones((1, 4)))
        >>> model.bind(variables).layers[0](jnp.ones((1, 4))).shape
        (1, 3)
        """
        _check_instance(self, "bind")
        store = functional.store_for_apply(self, variables, rngs, mutable)
        return self.clone(parent=store.root)

    def unbind(self) -> tuple[Self, Mapping[str, Any]]:
        """Take a bound module apart: an unbound copy of it, and its variables.

        Raises:
            CallUnbindOnUnboundModuleError: the module is not bound.

        >>> import jax, jax.numpy as jnp, linnet.linen as nn
        >>> model = nn.Sequential([nn.Dense(3), nn.Dense(2)])
        >>> variables = model.init(jax.random.key(0), jnp.ones((1, 4)))
        >>> first, first_variables = model.bind(variables).layers[0].unbind()
        >>> first.apply(first_variables, jnp.ones((1, 4))).shape
        (1, 3)
        """
        if self.scope is None:
            raise errors.CallUnbindOnUnboundModuleError(type(self).__name__)
        variables = thaw(self.variables)
        return self.clone(name=None, _deep_clone=True, _reset_names=True), variables

    # --- looking at a model ------------------------------------------------------------------

    def module_paths(
        self,
        rngs: PRNGKey | Mapping[str, PRNGKey],
        *args: Any,
        show_repeated: bool = False,
        mutable: CollectionFilter = INIT_COLLECTIONS,
        **kwargs: Any,
    ) -> dict[str, "Module"]:
        """Return the modules that ``init`` would run, by path, without computing anything.

        Args:
            rngs: as for ``init``.
            *args: for ``__call__``.
            show_repeated: list a module again for each call after its first.
            mutable: as for ``init``.
            **kwargs: for ``__call__``.

        Returns:
            Path, ``"encoder/Dense_0"``, → unbound copy of the module; the root is at ``""``.

        >>> import jax, jax.numpy as jnp, linnet.linen as nn
        >>> model = nn.Sequential([nn.Dense(3), nn.relu])
        >>> list(model.module_paths(jax.random.key(0), jnp.ones((1, 4))))
        ['', 'layers_0']
        """
        from linnet.linen.modules import summary

        return summary.module_paths(
            self, rngs, args, kwargs, show_repeated=show_repeated, mutable=mutable
        )

    def tabulate(
        self,
        rngs: PRNGKey | Mapping[str, PRNGKey],
        *args: Any,
        depth: int | None = None,
        show_repeated: bool = False,
        mutable: CollectionFilter = INIT_COLLECTIONS,
        console_kwargs: Mapping[str, Any] | None = None,
        table_kwargs: Mapping[str, Any] = MappingProxyType({}),
        column_kwargs: Mapping[str, Any] = MappingProxyType({}),
        compute_flops: bool = False,
        compute_vjp_flops: bool = False,
        **kwargs: Any,
    ) -> str:
        """Return a table of the modules, with their inputs, outputs and variables.

        Nothing is computed: the model is traced with abstract values. Needs the package ``rich``.

        Args:
            rngs: as for ``init``.
            *args: for ``__call__``.
            depth: how many levels of submodules to show; a deeper one is counted in its ancestor.
            show_repeated: show each call of a module, not only its first.
            mutable: as for ``init``.
            console_kwargs: for ``rich.console.Console``; by default
                ``{"force_terminal": True, "force_jupyter": False}``.
            table_kwargs: for ``rich.table.Table``.
            column_kwargs: for its columns.
            compute_flops: add a column with the floating-point operations of each forward pass.
            compute_vjp_flops: add one with those of each forward and backward pass.
            **kwargs: for ``__call__``.

        Returns:
            The table as text.
        """
        from linnet.linen.modules import summary

        table_fn = summary.tabulate(
            self,
            rngs,
            depth=depth,
            show_repeated=show_repeated,
            mutable=mutable,
            console_kwargs=console_kwargs,
            table_kwargs=table_kwargs,
            column_kwargs=column_kwargs,
            compute_flops=compute_flops,
            compute_vjp_flops=compute_vjp_flops,
        )
        return table_fn(*args, **kwargs)


# what a subclass learns in `prepare_class`; the base class itself has nothing to prepare
Module._facts = facts_of(Module)


# --- functions on modules --------------------------------------------------------------------


def merge_param(name: str, a: T | None, b: T | None) -> T:
    """Return whichever of a constructor's and a call's value was given.

    Args:
        name: what the value is called, for the error.
        a: the value given to the constructor, or None.
        b: the value given to the call, or None.

    Raises:
        ValueError: neither was given, or both.

    >>> merge_param("train", None, True)
    True
    """
    if a is None and b is None:
        raise ValueError(
            f"{name!r} was given neither to the constructor nor to the call. Pass it to one of "
            f"them: `Module(..., {name}=...)` or `module(x, {name}=...)`."
        )
    if a is not None and b is not None:
        raise ValueError(
            f"{name!r} was given twice: {a!r} to the constructor and {b!r} to the call. Pass it "
            "to one of them only."
        )
    return b if a is None else a  # type: ignore[return-value]


def _check_instance(module: Any, method: str) -> None:
    if not isinstance(module, Module):
        raise errors.InvalidInstanceModuleError(method=method)


def _check_keywords(fn: Callable[..., Any], kwargs: dict[str, Any], call: str) -> None:
    """Catch ``rng=`` written for ``rngs=``, which would be handed on to the method."""
    if "rng" not in kwargs:
        return
    accepted = inspect.signature(fn).parameters
    if "rng" in accepted or any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
        return
    raise TypeError(
        f"{call} was given rng={describe(kwargs['rng'])}, which the method does not take. Keys are "
        f"passed as `rngs=`: `model.{call}(variables, ..., rngs={{'dropout': key}})`."
    )
