"""Kinds: what a variable is for.

Linen says it by the name of a collection (``"batch_stats"``), NNX by the type of a variable
(``nnx.BatchStat``). One registry holds the pairs, so that state can pass from one façade to the
other and so that a message can say what a collection holds. A kind may be known by its name before
a type is registered for it: collections that users invent are such kinds.
"""

import builtins
import dataclasses

from linnet.base.errors import KindError, listing, near


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of variable.

    Attributes:
        name: the name of the Linen collection.
        holds: what variables of this kind hold, as a noun phrase for messages.
        type: the NNX variable type, once one is registered.
    """

    name: str
    holds: str = ""
    type: builtins.type | None = None


_kinds: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("params", "trainable parameters"),
        Kind("batch_stats", "running statistics of normalisation layers"),
        Kind("cache", "keys and values kept for autoregressive decoding"),
        Kind("intermediates", "values captured during a call"),
        Kind("perturbations", "zeros added to values to find their gradients"),
    )
}


def register_kind(name: str, type_: type, *, overwrite: bool = False) -> None:
    """Pair a collection name with a variable type.

    Raises:
        KindError: the name or the type is paired already, and ``overwrite`` is not set.
    """
    known = _kinds.get(name, Kind(name))
    if not overwrite:
        if known.type is not None and known.type is not type_:
            raise KindError(
                f"Kind {name!r} is registered for {known.type.__name__}; it cannot stand for "
                f"{type_.__name__} too. Choose another name, or pass overwrite=True."
            )
        twin = next((k.name for k in _kinds.values() if k.type is type_), name)
        if twin != name:
            raise KindError(
                f"{type_.__name__} is registered as kind {twin!r}; it cannot be {name!r} too. "
                "Make a subclass for the second kind, or pass overwrite=True."
            )
    for other in [k for k in _kinds.values() if k.type is type_ and k.name != name]:
        _kinds[other.name] = dataclasses.replace(other, type=None)
    _kinds[name] = dataclasses.replace(known, type=type_)


def kind_named(name: str) -> Kind:
    """Return the kind of this name; a bare one for a collection nobody registered."""
    return _kinds.get(name, Kind(name))


def type_of_kind(name: str) -> type:
    """Return the variable type registered under a name.

    Raises:
        KindError: no type is registered under it.
    """
    found = kind_named(name).type
    if found is None:
        known = [kind.name for kind in _kinds.values() if kind.type is not None]
        raise KindError(
            f"No variable type is registered for kind {name!r}; registered are "
            f"{listing(known)}.{near(name, known)} Register one with register_kind({name!r}, Type)."
        )
    return found


def name_of_type(type_: type) -> str:
    """Return the name under which a variable type is registered.

    Raises:
        KindError: the type is not registered.
    """
    for kind in _kinds.values():
        if kind.type is type_:
            return kind.name
    raise KindError(
        f"{type_.__name__} is not registered as a kind of variable. Register it with "
        f"register_kind('{type_.__name__.lower()}', {type_.__name__})."
    )
