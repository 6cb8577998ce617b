"""Errors about modules: their names, their structure, and whether they are bound."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from linnet.base.errors.words import LinnetError, near, place, short


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
            f"{where}: set self.{attr_name} = {short(attr_val)}{inside}, but a module is frozen "
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
        if len(self.args) == 1:  # made again of its message
            return str(self.args[0])
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
