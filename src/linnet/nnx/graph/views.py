"""Views: copies of a model that share its variables and differ in some attributes.

``with_…`` return a copy that shares the arrays, ``as_…`` another representation. None of them
changes the model they are given.
"""

import dataclasses
import inspect
from typing import Any, TypeVar

import jax

from linnet.base import errors
from linnet.base.errors import listing, near
from linnet.nnx.graph.definitions import VariableDef
from linnet.nnx.graph.graphdef import rebuild
from linnet.nnx.graph.layout import layout_of
from linnet.nnx.graph.split import clone
from linnet.nnx.objects.module import assign_attributes, iter_modules, not_found
from linnet.nnx.objects.sharding import sharding_of
from linnet.nnx.objects.variable import Variable, is_variable
from linnet.state.filters import Filter, to_predicate
from linnet.tree.leaves import struct_of

A = TypeVar("A")


def view(
    node: A,
    /,
    *,
    only: Filter = ...,
    raise_if_not_found: bool = True,
    graph: bool | None = None,
    **kwargs: Any,
) -> A:
    """Return a model that shares the variables of another and is set up differently.

    The method ``set_view`` of every module in it is called with those of the arguments that it
    takes: ``deterministic`` of dropout and attention, ``use_running_average`` of batch
    normalisation, ``decode`` of attention. One with ``**kwargs`` takes all.

    Args:
        node: the model.
        only: only modules that this filter matches.
        raise_if_not_found: whether an argument that no module takes is an error.
        graph: taken for Flax's sake.
        **kwargs: the arguments.

    Raises:
        ValueError: no module takes one of the arguments.

    >>> from linnet import nnx
    >>> model = nnx.Sequential(nnx.Dropout(0.5, rngs=nnx.Rngs(0)))
    >>> nnx.view(model, deterministic=True).layers[0].deterministic
    True
    >>> model.layers[0].deterministic
    False
    """
    made = clone(node, variables=False)
    picks = to_predicate(only)
    unused = set(kwargs)
    for path, module in iter_modules(made):
        set_view = getattr(module, "set_view", None)
        if set_view is None or not picks(path, module):
            continue
        known = view_parameters(type(module))
        taken = {name: x for name, x in kwargs.items() if name in known or None in known}
        if taken:
            set_view(**taken)
            unused -= set(taken)
    if unused and raise_if_not_found:
        known = {name for _, m in iter_modules(made) for name in view_parameters(type(m)) if name}
        raise ValueError(
            f"Unused keys found in nnx.view: {listing(sorted(unused))}; no module of "
            f"{type(node).__name__} takes them in its method set_view. Known are "
            f"{listing(sorted(known))}.{''.join(near(name, known) for name in sorted(unused))}"
        )
    return made


def view_parameters(cls: Any) -> dict[str | None, inspect.Parameter]:
    """Return the arguments that the method ``set_view`` of a class takes, ``None`` for any."""
    if not hasattr(cls, "set_view"):
        return {}
    _, *parameters = inspect.signature(cls.set_view).parameters.values()
    return {
        None if each.kind is each.VAR_KEYWORD else each.name: each
        for each in parameters
        if each.kind is not each.VAR_POSITIONAL
    }


def view_info(node: Any, /, *, only: Filter = ..., graph: bool | None = None) -> str:
    """Return a text that says which arguments :func:`view` takes for a model.

    Args:
        node: the model.
        only: only modules that this filter matches.
        graph: taken for Flax's sake.
    """
    picks = to_predicate(only)
    classes = {type(m).__qualname__: type(m) for path, m in iter_modules(node) if picks(path, m)}
    lines: list[str] = []
    for name in sorted(classes):
        function = getattr(classes[name], "set_view", None)
        if function is None:
            continue
        lines.append(f"{name}:")
        if not function.__doc__:
            lines.append(f"  set_view{inspect.signature(function)}")
            continue
        described = _described_arguments(function.__doc__)
        for argument, parameter in view_parameters(classes[name]).items():
            if argument is not None:
                lines.append(f"  {_signature(parameter)}")
                lines += [f"    {line}" for line in described.get(argument, [])]
    return "\n".join(lines)


def _signature(parameter: inspect.Parameter) -> str:
    kind, default = parameter.annotation, parameter.default
    text = parameter.name
    if kind is not parameter.empty:
        text += f": {kind.__name__ if isinstance(kind, type) else kind}"
    return text if default is parameter.empty else f"{text} = {default!r}"


def _described_arguments(doc: str) -> dict[str, list[str]]:
    """Return what a docstring says of each argument, line by line."""
    lines = iter(inspect.cleandoc(doc).splitlines())
    for line in lines:
        if line.strip() in {"Args:", "Arguments:"}:
            break
    found: dict[str, list[str]] = {}
    current: list[str] = []
    margin = None
    for line in filter(str.strip, lines):
        indent = len(line) - len(line.lstrip())
        if not indent:
            break
        margin = indent if margin is None else margin
        name, colon, text = line.strip().partition(":")
        if indent == margin and colon:
            current = found[name.partition(" ")[0]] = [text.strip()]
        else:
            current.append(line.strip())
    return found


def with_attributes(
    node: A,
    /,
    *,
    only: Filter = ...,
    raise_if_not_found: bool = True,
    graph: bool | None = None,
    **attributes: Any,
) -> A:
    """Return a model that shares the variables of another and has other attributes.

    Args:
        node: the model.
        only: only modules that this filter matches.
        raise_if_not_found: whether an attribute that no module has is an error.
        graph: taken for Flax's sake.
        **attributes: names and values; they are set in every module that has them.

    Raises:
        ValueError: no module has one of the attributes.
    """
    made = clone(node, variables=False)
    missing = assign_attributes(made, only, attributes)
    if missing and raise_if_not_found:
        raise ValueError(not_found("with_attributes", node, missing))
    return made


def with_vars(
    node: A,
    /,
    *,
    hijax: bool | None = None,
    ref: bool | None = None,
    mutable: bool | None = None,
    only: Filter = ...,
    allow_duplicates: bool = False,
) -> A:
    """Return a copy of a model with variables of its own, which share the arrays.

    Args:
        node: the model.
        hijax: must not be true: variables are Python objects here.
        ref: must not be true.
        mutable: taken for Flax's sake.
        only: give it new variables only where this filter matches.
        allow_duplicates: taken for Flax's sake: what is shared stays shared.

    Raises:
        NotImplementedError: variables of another sort are asked for.
    """
    if hijax or ref:
        raise errors.VariableSortError("with_vars", hijax, ref)
    picks = to_predicate(only)
    layout = layout_of(node)
    leaves = [
        leaf.copy() if isinstance(leaf, Variable) and picks(path, leaf) else leaf
        for path, leaf in zip(layout.paths, layout.leaves(), strict=True)
    ]
    made, _ = rebuild(layout.graphdef, leaves)
    return made


@dataclasses.dataclass(frozen=True)
class VarDefaults:
    """Of what sort variables are made: Python objects, here."""

    hijax: bool = False
    ref: bool = False

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass


def var_defaults(*, hijax: bool | None = None, ref: bool | None = None) -> VarDefaults:
    """Return of what sort variables are made, or say it.

    Args:
        hijax: must not be true: variables are Python objects here.
        ref: must not be true.

    Raises:
        NotImplementedError: another sort is asked for.
    """
    if hijax or ref:
        raise errors.VariableSortError("var_defaults", hijax, ref)
    return VarDefaults()


def as_pure(tree: A) -> A:
    """Return a model or state with values, past all hooks, in the places of variables.

    >>> from linnet import nnx
    >>> nnx.as_pure(nnx.State({"a": nnx.Param(1.0)})).a
    1.0
    """

    def stored(leaf: Any) -> Any:
        return leaf.get_raw_value() if isinstance(leaf, Variable) else leaf

    return jax.tree.map(stored, tree, is_leaf=is_variable)


def as_abstract(tree: A, graph: bool | None = None) -> A:
    """Return a model or state with shapes and dtypes in the places of arrays.

    Variables with ``out_sharding`` get structs with the sharding it means on the present mesh.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> nnx.as_abstract(nnx.Param(jnp.ones(2)))[...]
    ShapeDtypeStruct(shape=(2,), dtype=float32)
    """
    layout = layout_of(tree)

    def abstract(definition: VariableDef, leaf: Any) -> Any:
        sharding = sharding_of(leaf.get_metadata())
        value = jax.tree.map(lambda x: struct_of(x, sharding), leaf.get_raw_value())
        return type(leaf).from_metadata(value, leaf.get_metadata())

    leaves = [x if isinstance(x, Variable) else struct_of(x) for x in layout.leaves()]
    made, _ = rebuild(layout.graphdef, leaves, abstract)
    return made


# the names they had before
pure, vars_as, abstract_with_sharding = as_pure, with_vars, as_abstract
