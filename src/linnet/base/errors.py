"""Every error that Linnet raises on purpose, in one tree under :class:`LinnetError`.

A message answers three questions, in this order: what was done, with which values; why that cannot
work; which line to write instead. A class here builds its own message from the facts of the case,
so that one mistake reads the same wherever it is made, and tests hold each message to its three
answers. Paths are written as they lie in the variables: ``/encoder/layers_3/mlp``.

Where Flax has an error for the mistake, the class bears Flax's name, and code that catches it by
name goes on working. Two rules follow from that: names here are not ours to tidy, and a class that
Flax raises as a plain ``ValueError``, ``TypeError`` or ``AttributeError`` inherits from that too.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any


class LinnetError(Exception):
    """The root of Linnet's errors."""


class LinnetWarning(UserWarning):
    """The root of Linnet's warnings: what runs, but hardly as it was meant."""


# --- words that several messages share ---------------------------------------------------------


def path_text(path: Sequence[Any]) -> str:
    """Write a path as it is read: ``/encoder/layers_3``, the root as ``/``.

    >>> path_text(("encoder", "layers_3"))
    '/encoder/layers_3'
    """
    return "/" + "/".join(str(key) for key in path)


def place(path: Sequence[Any] | str, owner: str | None = None) -> str:
    """Name a module by its path and, where it is known, its class: ``/mlp/Dense_0 (Dense)``."""
    text = path if isinstance(path, str) else path_text(path)
    return f"{text} ({owner})" if owner else text


def listing(names: Iterable[Any], nothing: str = "none") -> str:
    """Write names as a list to be read: ``'a', 'b'``, or ``nothing`` when there are none."""
    return ", ".join(repr(name) for name in names) or nothing


def near(name: str, names: Iterable[str]) -> str:
    """Suggest the likeliest of ``names`` for a mistyped one, as a sentence or the empty string.

    >>> near("kernal", ["bias", "kernel"])
    " Did you mean 'kernel'?"
    """
    match = _closest(name, names)
    return f" Did you mean {match!r}?" if match else ""


def misspelt(name: str, names: Iterable[str]) -> str:
    """Point to the one of ``names`` that was likely meant to be ``name``, as a sentence.

    >>> misspelt("dropout", ["params", "dropuot"])
    " Is 'dropuot' a misspelling of it?"
    """
    match = _closest(name, names)
    return f" Is {match!r} a misspelling of it?" if match else ""


def _closest(name: str, names: Iterable[str]) -> str | None:
    import difflib  # only once something is wrong

    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=0.65)), None)


# --- variables and collections ------------------------------------------------------------------


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


# --- streams ------------------------------------------------------------------------------------


class InvalidRngError(LinnetError, ValueError):
    """A random key was asked for from a stream that has none, or a key is not a key."""


# --- filters ------------------------------------------------------------------------------------


class InvalidFilterError(LinnetError, TypeError):
    """A value stands where a filter of collections is expected."""

    def __init__(self, filter_like: Any) -> None:
        super().__init__(
            f"{filter_like!r} (a {type(filter_like).__name__}) is not a filter of collections. "
            "Write True (all), False (none), a name, a list or set of names, or DenyList(names)."
        )


# --- names and structure of modules -------------------------------------------------------------


class NameInUseError(LinnetError, ValueError):
    """Two things of one module have one name."""

    def __init__(
        self,
        key_type: str,
        value: str,
        module_name: str,
        *,
        path: Sequence[Any] | None = None,
        taken_by: str | None = None,
    ) -> None:
        where = module_name if path is None else place(path, module_name)
        by = f" by {taken_by}" if taken_by else ""
        super().__init__(
            f"Could not create {key_type} {value!r} in module {where}: the name is taken{by}. "
            "Names of submodules and of the variables of one collection are unique within a "
            f"module; give one of the two another name, or use the first one again instead of "
            f"creating it a second time."
        )


class AssignSubModuleError(LinnetError):
    """A submodule was created where a module may not create one."""

    def __init__(self, cls: str, *, parent: str = "", method: str = "") -> None:
        inside = f" inside {parent}{f'.{method}' if method else ''}" if parent else ""
        decorated = f"`{method}`" if method else "the method"
        super().__init__(
            f"Submodule {cls} was created{inside}, in a method that is neither `setup` nor "
            f"decorated with `@nn.compact`, so it would have no name and no parameters. Decorate "
            f"{decorated} with `@nn.compact`, create the submodule in `setup` as `self.x = "
            f"{cls}(...)`, or pass `parent=None` to make a module that belongs to nobody."
        )


class VariableOutsideSetupError(LinnetError, ValueError):
    """A variable or parameter was declared outside ``setup`` and compact methods."""

    def __init__(self, what: str, name: str, path: Sequence[Any], owner: str) -> None:
        super().__init__(
            f"{place(path, owner)} declares {what} {name!r} in a method that is neither `setup` "
            f"nor decorated with `@nn.compact`. Decorate the method with `@nn.compact`, or "
            f"declare it in `setup` and use `self.{name}` here. To read or write an existing "
            f"variable, use `self.get_variable` and `self.put_variable`."
        )


class MultipleMethodsCompactError(LinnetError):
    """Two compact methods of one module give one name to two things."""

    def __init__(
        self, cls: str = "", first: str = "", second: str = "", name: str = "", path: str = "/"
    ) -> None:
        super().__init__(
            f"Compact methods `{first}` and `{second}` of {place(path, cls)} both create {name!r}: "
            f"each numbers its submodules from zero, so the two would silently share parameters. "
            f"Keep `@nn.compact` on one method and create what the others need in `setup`; or "
            f"give the submodules explicit names, `nn.Dense(..., name={first + '_dense'!r})`."
        )


class SetAttributeFrozenModuleError(LinnetError, AttributeError):
    """An attribute of a bound module was set outside ``setup``."""

    def __init__(
        self,
        module_cls: str,
        attr_name: str,
        attr_val: Any,
        *,
        path: Sequence[Any] | None = None,
        method: str = "",
    ) -> None:
        where = module_cls if path is None else place(path, module_cls)
        inside = f" in `{method}`" if method else ""
        super().__init__(
            f"{where}: set self.{attr_name} = {_short(attr_val)}{inside}, but a module is frozen "
            "outside `setup`: it may be cloned or traced at any time, and what is put on it would "
            "be lost. Keep it in a local variable; for state that lives from call to call, write "
            f"`v = self.variable('state', {attr_name!r}, init_fn); v.value = ...`; to expose a "
            f"value, `self.sow('intermediates', {attr_name!r}, value)`."
        )


class SetAttributeInModuleSetupError(LinnetError, AttributeError):
    """A constructor argument was overwritten in ``setup``."""

    def __init__(
        self, module_cls: str = "", attr_name: str = "", *, path: Sequence[Any] = ()
    ) -> None:
        super().__init__(
            f"{place(path, module_cls)}: `setup` sets self.{attr_name}, which is an argument of "
            f"the constructor; those are frozen once the module exists. Use another name, such as "
            f"self._{attr_name}, or compute it in `__post_init__` before "
            "`super().__post_init__()`."
        )


class IncorrectPostInitOverrideError(LinnetError):
    """A subclass overrode ``__post_init__`` without calling the one of ``Module``."""

    def __init__(self, module_cls: str = "") -> None:
        super().__init__(
            f"{module_cls or 'A module'} overrides `__post_init__` without calling "
            "`super().__post_init__()`, so it has no place in its parent. Add that call as the "
            "method's last line."
        )


class ReservedModuleAttributeError(LinnetError):
    """A subclass declares a field that every module has already."""

    def __init__(self, annotations: Any) -> None:
        super().__init__(
            f"The fields `parent` and `name` belong to every module and cannot be declared anew: "
            f"{annotations}. Choose another name for the field."
        )


class MissingAttributeError(LinnetError, AttributeError):
    """An attribute was read that a module does not have.

    ``hasattr`` and ``getattr`` with a default raise it too, only to drop it. So the search for a
    near name waits until the message is asked for.
    """

    def __init__(
        self, module_cls: str, attr_name: str, known: Callable[[], Iterable[str]], hint: str = ""
    ) -> None:
        super().__init__(module_cls, attr_name)
        self._known = known
        self._hint = hint

    def __str__(self) -> str:
        module_cls, attr_name = self.args
        suggestion = near(attr_name, self._known())
        return f"{module_cls!r} object has no attribute {attr_name!r}.{suggestion}{self._hint}"


class DescriptorAttributeError(LinnetError):
    """A property of a module failed on an attribute that does not exist."""

    def __init__(self, module_cls: str = "", name: str = "", cause: str = "") -> None:
        super().__init__(
            f"Property `{name}` of {module_cls or 'a module'} reads an attribute that does not "
            f"exist: {cause}"
        )


class InvalidInstanceModuleError(LinnetError, TypeError):
    """A method was called on a module class instead of an instance of it."""

    def __init__(self, cls: str = "Module", method: str = "init") -> None:
        super().__init__(
            f"`{cls}.{method}` was called on the class. Make an instance first: "
            f"`{cls}(...).{method}(...)`."
        )


# --- bound and unbound modules ------------------------------------------------------------------


class UnboundModuleError(LinnetError, ValueError):
    """Something was asked of a module that holds no variables."""

    def __init__(self, cls: str, what: str) -> None:
        super().__init__(
            f"{what} of an unbound {cls}: a module made by its constructor holds no variables. "
            f"Work inside `model.apply(variables, ..., method=...)`, or interactively on "
            f"`model.bind(variables)`."
        )


class CallCompactUnboundModuleError(LinnetError):
    """A compact method was called on a module that holds no variables."""

    def __init__(self, cls: str = "", method: str = "__call__") -> None:
        call = "model(...)" if method == "__call__" else f"model.{method}(...)"
        extra = "" if method == "__call__" else f", method={method!r}"
        super().__init__(
            f"`{call}` was called on an unbound {cls or 'module'}: it holds no variables, and a "
            f"compact method needs them. Write `variables = model.init(key, ...)` and "
            f"`model.apply(variables, ...{extra})`; or `model.bind(variables)` to call it "
            f"directly. A module made inside another becomes part of it when it is created "
            "in `setup` or a compact method, not at import or with `parent=None`."
        )


class CallSetupUnboundModuleError(LinnetError):
    """``setup`` was called by hand on a module that holds no variables."""

    def __init__(self, cls: str = "") -> None:
        super().__init__(
            f"`setup` was called on an unbound {cls or 'module'}. It runs by itself, once, when "
            "the module is bound: call `model.init(...)`, `model.apply(...)` or "
            "`model.bind(variables)` instead."
        )


class CallUnbindOnUnboundModuleError(LinnetError):
    """``unbind`` was called on a module that is not bound."""

    def __init__(self, cls: str = "") -> None:
        super().__init__(
            f"`unbind` was called on an unbound {cls or 'module'}, which has no variables to give. "
            "Bind it first: `model.bind(variables).submodule.unbind()`."
        )


class CallShareScopeOnUnboundModuleError(LinnetError):
    """``share_scope`` was called with a module that is not bound."""

    def __init__(self, cls: str = "") -> None:
        super().__init__(
            f"`share_scope` was called with an unbound {cls or 'module'}: there is no scope to "
            "share yet. Call it in `setup`, after both modules belong to the model."
        )


class InvalidScopeError(LinnetError):
    """A module was used after the ``apply`` or ``init`` that it belonged to had ended."""

    def __init__(self, scope_name: str, *, owner: str | None = None) -> None:
        super().__init__(
            f"{place(scope_name, owner)} was used after the call of `apply` or `init` that it "
            "belongs to had ended; its variables are gone. Return values from `apply`, not "
            "modules; to keep a module at hand use `model.bind(variables)`."
        )


class ApplyModuleInvalidMethodError(LinnetError, TypeError):
    """``method=`` is not something that can be called on a module."""

    def __init__(self, method: Any) -> None:
        super().__init__(
            f"method={method!r} cannot be applied to a module. Pass the name of a method as a "
            "string, a method of the class or an instance of it, or a function whose first "
            "argument is the module."
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
    """``lazy_init`` met a variable whose initial value depends on the inputs' values."""

    def __init__(self, partial_val: Any, *, path: str = "") -> None:
        which = f"variable {path} " if path else "a variable "
        super().__init__(
            f"lazy_init cannot compute {which}({partial_val}): its initial value depends on the "
            "value of an input that was given only as a shape (jax.ShapeDtypeStruct). Pass that "
            "input as a concrete array, or use `init`."
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


class FlaxAlreadyImportedError(LinnetError, ImportError):
    """``linnet.as_flax`` was installed after Flax itself had been imported."""

    def __init__(self, modules: Sequence[str]) -> None:
        more = f" and {len(modules) - 1} modules below it" if len(modules) > 1 else ""
        super().__init__(
            f"linnet.as_flax cannot take the place of Flax: {modules[0]!r}{more} was imported "
            "before, so parts of the program hold Flax's classes already. Call "
            "`linnet.as_flax.install()` before anything imports flax, or start the program with "
            "`python -m linnet.as_flax program.py`."
        )


class GradientStructureError(LinnetError, ValueError):
    """An optimizer was given gradients of another structure than the parameters."""

    def __init__(self, missing: Sequence[str], unknown: Sequence[str]) -> None:
        super().__init__(
            "apply_gradients was given gradients of another structure than the parameters. Without "
            f"a gradient: {listing(missing)}; without a parameter: {listing(unknown)}. "
            "Differentiate with respect to the parameters of the state: "
            "`jax.grad(loss_fn)(state.params)`."
        )


def trained_collections(names: Sequence[str], others: Sequence[str]) -> str:
    """Word the warning that an optimizer was given all variables in place of the parameters."""
    fields = "".join(f", {name}=variables[{name!r}]" for name in others)
    return (
        f"TrainState.create was given the collections {listing(names)} as params=, so the "
        f"optimizer trains {listing(others)} like parameters. Pass the parameters alone, and the "
        "rest to a subclass of TrainState with fields for it: `create(apply_fn=model.apply, "
        f'params=variables["params"], tx=tx{fields})`.'
    )


# --- state dicts and bytes ----------------------------------------------------------------------


class SerializationError(LinnetError, ValueError):
    """A value cannot be turned into a state dict or bytes, or those cannot be read."""


class UnserializableTypeError(SerializationError, TypeError):
    """A value is of a type that has no place in a state dict or in bytes."""


class StateDictMismatchError(SerializationError):
    """A state dict does not have the structure of the target it was to be restored into."""

    def __init__(self, target: str, misfits: Sequence[str]) -> None:
        self.misfits = tuple(misfits)
        super().__init__(f"{misfit_text(target, misfits)}{_STATE_DICT_ADVICE}")


_STATE_DICT_ADVICE = (
    "Make the target with the code that made what was saved (`to_state_dict(target)` shows the "
    "keys it needs); or rename, add or drop keys of the state dict, `msgpack_restore(data)`, "
    "before `from_state_dict(target, state)`."
)


def misfit_text(target: str, misfits: Sequence[str]) -> str:
    """Word in what places a state dict differs from its target."""
    places = "1 place" if len(misfits) == 1 else f"{len(misfits)} places"
    listed = "".join(f"\n  {misfit}" for misfit in misfits)
    return f"The state dict differs from the target, {target}, in {places}:{listed}\n"


def unread_state(target: str, misfits: Sequence[str]) -> str:
    """Word the warning that a state dict was restored although it differs from its target."""
    return (
        f"{misfit_text(target, misfits)}What the target does not have was left out, and what has "
        "another shape was taken as it is. If that is not meant, make the target with the code "
        "that made what was saved; if it is, drop those keys from the state dict first."
    )


def differentiated_state(col: str) -> str:
    """Word the warning that a collection which is not trained is differentiated."""
    return (
        f"Collection {col!r} is updated by this call of apply, and is differentiated at the same "
        "time. An optimizer that was given all variables would train it like a parameter. "
        'Differentiate with respect to `variables["params"]`, initialise the optimizer with '
        '`tx.init(variables["params"])`, and carry the other collections along: '
        f'`loss_fn(params, {col})` calls `model.apply({{"params": params, {col!r}: {col}}}, ...)`.'
    )


def _short(value: Any, limit: int = 60) -> str:
    """Write a value on one line, shortened; an array by its dtype and shape."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


FlaxError = LinnetError
