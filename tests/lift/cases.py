"""The two stores behind one small interface, so that one suite can test what the engine guarantees.

A test writes a function of *handles*. A handle stands for a module with a dictionary of variables:
it reads one, writes one, makes one, and draws keys. A *case* owns a store of some kind, runs such a
function under a transformation of its façade, and shows the variables afterwards.
"""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp

import linnet.linen as nn
from linnet import nnx
from linnet.state.metadata import AxisMetadata

CARRY = "carry"


class Handle(Protocol):
    """A module as the functions of the suite see it."""

    def get(self, name: str) -> Any: ...
    def set(self, name: str, value: Any) -> None: ...
    def make(self, name: str, value: Any) -> None: ...
    def key(self) -> Any: ...
    def names(self, name: str) -> tuple[Any, ...]: ...


class Case(Protocol):
    """A store of some kind.

    ``run`` calls ``function(handle, x)`` under a transformation. For ``vmap`` and ``scan``,
    ``axis`` is where the variables lie: an axis, None for shared, ``CARRY``; ``split`` says whether
    keys are split. The function of a scan takes and returns no carry but the variables. With
    ``twice`` it is given two handles to one module. What ``names`` says becomes metadata of the
    axes of variables. A variable that is reached from another level is called ``known_as`` in the
    error: its path, where the store knows it.
    """

    known_as: str

    def __init__(self, variables: dict[str, Any], names: dict[str, tuple[Any, ...]]) -> None: ...
    def run(self, transform: str, function: Any, x: Any, **how: Any) -> Any: ...
    def variables(self) -> dict[str, Any]: ...
    def names(self, name: str) -> tuple[Any, ...]: ...
    def reach_out(self, name: str) -> None: ...


# --- Linen -----------------------------------------------------------------------------------


@dataclasses.dataclass
class LinenHandle:
    """A bound module."""

    module: Any

    def get(self, name):
        value = self.module.get_variable("state", name)
        return value.unbox() if isinstance(value, AxisMetadata) else value

    def set(self, name, value):
        old = self.module.get_variable("state", name)
        boxed = old.replace_boxed(value) if isinstance(old, AxisMetadata) else value
        self.module.put_variable("state", name, boxed)

    def make(self, name, value):
        self.module.variable("state", name, lambda: value)

    def key(self):
        return self.module.make_rng("noise")

    def names(self, name):
        return self.module.get_variable("state", name).names


class Holder(nn.Module):
    """A module that holds variables and runs what it is told."""

    @nn.compact
    def __call__(self, run):
        return run(self)


class LinenCase:
    """Variables of a scope tree."""

    known_as = "'total'"

    def __init__(self, variables, names=None):
        self.tree = {
            name: nn.Partitioned(value, (names or {})[name]) if name in (names or {}) else value
            for name, value in variables.items()
        }

    def run(self, transform, function, x, axis=0, split=True, twice=False):
        def body(module, *args):
            *modules, x = args
            handles = [LinenHandle(each) for each in (module, *modules)]
            return function(*handles, x)

        lifted, more = self._lifted(transform, body, axis, split, twice)

        def outer(module):
            handles = [module, *([module] if twice else [])]
            result = lifted(*handles, *more, x)
            return result[1] if transform == "scan" else result

        result, changed = Holder().apply(
            {"state": self.tree}, outer, rngs={"noise": jax.random.key(0)}, mutable=True
        )
        self.tree = changed["state"]
        return result

    def _lifted(self, transform, body, axis, split, twice):
        params = {"metadata_params": {nn.PARTITION_NAME: "axis"}}
        axes = {"in_axes": (None, 0)} if twice else {}
        streams = {"split_rngs": {"noise": split}}
        if transform == "vmap":
            return nn.vmap(body, {"state": axis}, **streams, **axes, **params), ()
        if transform == "scan":
            where = {
                CARRY: {"variable_carry": "state"},
                None: {"variable_broadcast": "state"},
            }.get(axis, {"variable_axes": {"state": axis}})
            scanned = nn.scan(lambda m, c, x: (c, body(m, x)), **where, **streams, **params)
            return scanned, (None,)
        return {"jit": _kept(nn.jit, body), "remat": nn.remat(body)}[transform], ()

    def variables(self):
        return jax.tree.map(lambda v: v, nn.unbox(self.tree))

    def names(self, name):
        return self.tree[name].names

    def reach_out(self, name):
        def outer(module):
            handle = LinenHandle(module)
            jax.jit(lambda x: handle.set(name, x))(jnp.ones(()))

        Holder().apply({"state": self.tree}, outer, mutable=True)


# --- NNX -------------------------------------------------------------------------------------


@dataclasses.dataclass
class NNXHandle:
    """An object."""

    object: Any

    def get(self, name):
        return getattr(self.object, name)[...]

    def set(self, name, value):
        getattr(self.object, name)[...] = value

    def make(self, name, value):
        setattr(self.object, name, nnx.Variable(value))

    def key(self):
        return self.object.rngs.noise()

    def names(self, name):
        return getattr(self.object, name).out_sharding


class Object(nnx.Module):
    """An object that holds variables."""


class NNXCase:
    """Variables of objects among the arguments."""

    known_as = "Variable"  # one that is no argument has no path

    def __init__(self, variables, names=None):
        self.object = Object()
        for name, value in variables.items():
            metadata = {}
            if name in (names or {}):
                metadata = {"out_sharding": names[name], "eager_sharding": False}
            setattr(self.object, name, nnx.Variable(value, **metadata))
        self.object.rngs = nnx.Rngs(noise=0)

    def run(self, transform, function, x, axis=0, split=True, twice=False):
        def body(*args):
            *objects, x = args
            return function(*map(NNXHandle, objects), x)

        count = 2 if twice else 1
        lifted = self._lifted(transform, body, axis, split, count)
        run = lifted
        if split and transform in {"vmap", "scan"}:
            run = nnx.split_rngs(splits=x.shape[0])(lifted)
        return run(*[self.object] * count, x)

    def _lifted(self, transform, body, axis, split, count):
        keys = 0 if split else None
        metadata = {"transform_metadata": {nnx.PARTITION_NAME: "axis"}}
        if transform == "vmap":
            state = nnx.StateAxes({nnx.RngState: keys, ...: axis})
            return nnx.vmap(body, in_axes=(*[state] * count, 0), **metadata)
        if transform == "scan":
            axis = {CARRY: nnx.Carry, None: None}.get(axis, axis)
            state = nnx.StateAxes({nnx.RngState: keys, ...: axis})
            return nnx.scan(body, in_axes=(*[state] * count, 0), out_axes=0, **metadata)
        return {"jit": _kept(nnx.jit, body), "remat": nnx.remat(body)}[transform]

    def variables(self):
        found = {k: v for k, v in vars(self.object).items() if isinstance(v, nnx.Variable)}
        return {name: variable[...] for name, variable in found.items()}

    def names(self, name):
        return getattr(self.object, name).out_sharding

    def reach_out(self, name):
        jax.jit(lambda x: NNXHandle(self.object).set(name, x))(jnp.ones(()))


def _kept(transform, body):
    """Transform a function once for all calls, as a program does that defines it once."""
    function = body.__closure__[0].cell_contents
    known = vars(function).setdefault("lifted", {})
    if transform not in known:
        known[transform] = transform(body)
    return known[transform]


CASES = {"linen": LinenCase, "nnx": NNXCase}

__all__ = ["CARRY", "CASES", "Case", "Handle"]
