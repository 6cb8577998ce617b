"""Errors about variables, keys and filters: what is missing, misfits, or may not be written."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from linnet.base.errors.words import LinnetError, listing, misspelt, place


class MisfitError(LinnetError):
    """The variables passed to ``apply`` are not those of the model."""


class ScopeCollectionNotFound(MisfitError):  # noqa: N818
    """A variable was read from a collection that was not passed to ``apply``."""

    def __init__(
        self,
        col_name: str,
        var_name: str,
        scope_path: Sequence[Any] | str,
        *,
        owner: str | None = None,
        passed: Mapping[str, Any] | None = None,
        hint: str = "",
    ) -> None:
        have = "" if passed is None else f" The collections passed are: {listing(passed)}."
        super().__init__(
            f"{place(scope_path, owner)} reads variable {var_name!r} of collection {col_name!r}, "
            f"but that collection is empty or was not passed.{have} Pass what `init` returned: "
            f"`model.apply(variables, ...)` with variables = {{{col_name!r}: ..., ...}}"
            + (f"; {hint}." if hint else ".")
        )


class ScopeParamNotFoundError(MisfitError):
    """A parameter is missing from the parameters that were passed to ``apply``."""

    def __init__(
        self,
        param_name: str,
        scope_path: Sequence[Any] | str,
        *,
        owner: str | None = None,
        have: Collection[str] | None = None,
        hint: str = "",
    ) -> None:
        present = "" if have is None else f" What was passed for it holds: {listing(have)}."
        super().__init__(
            f"{place(scope_path, owner)} needs parameter {param_name!r}, which is not among the "
            f"parameters passed.{present} They come from another model or an older version of this "
            f"one; make them with `model.init(key, ...)`, or compare "
            f"`jax.tree.map(jnp.shape, variables)` with it." + (f" {hint}" if hint else "")
        )


class ScopeVariableNotFoundError(MisfitError):
    """A variable is missing from a collection that may not be changed, so it cannot be made."""

    def __init__(
        self,
        name: str,
        col: str,
        scope_path: Sequence[Any] | str,
        *,
        owner: str | None = None,
        have: Collection[str] | None = None,
    ) -> None:
        present = "" if have is None else f" It holds: {listing(have)}."
        super().__init__(
            f"{place(scope_path, owner)} needs variable {name!r} of collection {col!r}, which does "
            f"not exist there.{present}{misspelt(name, have or ())} A new variable is made only "
            f"while its collection is mutable: call `model.init(...)`, or "
            f"`model.apply(variables, ..., mutable=[{col!r}])`."
        )


class ScopeParamShapeError(MisfitError):
    """A parameter that was passed has another shape than its initializer would give it."""

    def __init__(
        self,
        param_name: str,
        scope_path: Sequence[Any] | str,
        value_shape: Sequence[int],
        init_shape: Sequence[int],
        *,
        owner: str | None = None,
    ) -> None:
        super().__init__(
            f"{place(scope_path, owner)}: parameter {param_name!r} was passed with shape "
            f"{tuple(value_shape)}, but with these inputs and attributes its initializer makes "
            f"shape {tuple(init_shape)}. Either the parameters belong to another configuration of "
            f"the model, or the inputs have other sizes than at `init`; make fitting parameters "
            f"with `model.init(key, inputs)`."
        )


class ModifyScopeVariableError(LinnetError):
    """A variable was written whose collection was not declared mutable."""

    def __init__(
        self,
        col: str,
        variable_name: str,
        scope_path: Sequence[Any] | str,
        *,
        owner: str | None = None,
        mutable: str | None = None,
    ) -> None:
        now = "" if mutable is None else f" (this call has mutable={mutable})"
        super().__init__(
            f"{place(scope_path, owner)} writes variable {variable_name!r} of collection {col!r}, "
            f"which is not mutable in this call{now}, so the update would be lost. Write "
            f"`y, updates = model.apply(variables, ..., mutable=[{col!r}])` and carry "
            f"`updates[{col!r}]` into the next call; in evaluation, keep the module from writing "
            f"(for example `use_running_average=True`)."
        )


class ApplyScopeInvalidVariablesTypeError(LinnetError, TypeError):
    """The variables passed are not a dictionary of collections."""

    def __init__(self, found: str = "", *, params_like: bool = False) -> None:
        what = f" Got {found}." if found else ""
        cure = (
            ' This looks like the parameters alone: write `model.apply({"params": params}, ...)`.'
            if params_like
            else ' Pass what `model.init` returned, {"params": {...}, ...}.'
        )
        super().__init__(
            "The first argument of apply must be a dictionary of collections, each a dictionary "
            f"with string keys.{what}{cure}"
        )


class ApplyScopeInvalidVariablesStructureError(LinnetError, ValueError):
    """The variables passed have one layer of ``params`` too many."""

    def __init__(self, variables: Any) -> None:
        super().__init__(
            'The variables passed to apply have "params" inside "params": '
            f'{{"params": {{{listing(variables["params"])}: ...}}}}. They were wrapped once too '
            'often: pass `variables`, not `{"params": variables}`.'
        )


class InvalidRngError(LinnetError, ValueError):
    """A random key was asked for from a stream that has none, or a key is not a key."""


class InvalidFilterError(LinnetError, TypeError):
    """A value stands where a filter of collections is expected."""

    def __init__(self, filter_like: Any) -> None:
        super().__init__(
            f"{filter_like!r} (a {type(filter_like).__name__}) is not a filter of collections. "
            "Write True (all), False (none), a name, a list or set of names, or DenyList(names)."
        )


class JaxTransformError(LinnetError):
    """State was changed inside a JAX transformation that does not know of it."""

    def __init__(self, what: str = "", path: Sequence[Any] = (), owner: str | None = None) -> None:
        super().__init__(
            f"{place(path, owner)} {what} inside a JAX transformation (jax.jit, jax.grad, "
            "jax.vmap, jax.lax.scan, jax.checkpoint ...) that was entered inside the module. The "
            "transformation does not carry the model's state, so a tracer would leak. Let the "
            "transformed function return the new value and write it to the variable outside; or "
            "apply the transformation around `model.apply`, where state goes in and comes out."
        )


class LazyInitError(LinnetError):
    """``lazy_init`` met a variable whose initial value depends on the inputs' values.

    Flax 0.12.8 raises it. Since 0.12.12 there is a value for that, and Linnet warns instead
    (``made_of_zeros``); the name remains for programs that catch it.
    """

    def __init__(self, partial_val: Any) -> None:
        super().__init__(
            f"lazy_init cannot compute a variable ({partial_val}): its initial value depends on "
            "the value of an input that was given only as a shape (jax.ShapeDtypeStruct). Pass "
            "that input as a concrete array, or use `init`."
        )


def made_of_zeros(paths: list[str]) -> str:
    """Word the warning that initial values depend on inputs that ``lazy_init`` has not got."""
    return (
        f"lazy_init made the initial value of {', '.join(paths)} as if the inputs that were given "
        "only as shapes (jax.ShapeDtypeStruct) held zeros, for it depends on their values. Pass "
        "such an input as a concrete array, or use `init`."
    )


class PartitioningUnspecifiedError(LinnetError):
    """A variable that was to be stacked or unstacked has no rule for the new axis."""

    def __init__(self, target: Any) -> None:
        super().__init__(
            f"Adding or removing an axis of {target!r} needs the name of that axis: pass "
            "`metadata_params={nn.PARTITION_NAME: 'axis'}` to the transformation, None for an "
            "axis that is not partitioned."
        )


class KindError(LinnetError, ValueError):
    """A kind of variable was registered twice, or asked for under a name nobody registered."""


def differentiated_state(col: str) -> str:
    """Word the warning that a collection which is not trained is differentiated."""
    return (
        f"Collection {col!r} is updated by this call of apply, and is differentiated at the same "
        "time. An optimizer that was given all variables would train it like a parameter. "
        'Differentiate with respect to `variables["params"]`, initialise the optimizer with '
        '`tx.init(variables["params"])`, and carry the other collections along: '
        f'`loss_fn(params, {col})` calls `model.apply({{"params": params, {col!r}: {col}}}, ...)`.'
    )
