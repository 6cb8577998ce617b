"""What happens in a call of a function that ``nnx.jit`` compiled.

A call takes the values out of the objects among its arguments, hands them to a compiled function as
flat lists, each in the place of its object, and sets what the function changed. What is compiled is
remembered under the structure of the objects, so a call pays for what its arguments are now, not
for finding out what they are: the layout of a model is remembered until the model changes
(``nnx/graph/layout.py``), the compiled function under the layout's structure, and the variables to set
under the outcome of its trace. A call in the steady state gathers values, calls, and sets values.

Values of variables that the function did not change do not come out of it, so XLA copies nothing;
those of donated arguments all come out, since the memory they came in is gone.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from linnet.base.jaxcompat import current_trace
from linnet.lift.engine import Changes, Group, Plan, Pure
from linnet.nnx.graph.layout import Layout, joint_layout
from linnet.nnx.objects.nodes import is_node as is_object
from linnet.nnx.objects.variable import Variable
from linnet.nnx.transforms.arguments import Home, Stand, Within, put_objects, take_objects
from linnet.nnx.transforms.axes import StateSharding, filters_of
from linnet.nnx.transforms.publish import Outcome, publish
from linnet.nnx.transforms.store import ObjectStructure, places_of

_MISSING: Any = object()
_set_raw = Variable.__dict__["_value"].__set__

# type → whether its values are objects of NNX (True), never hold any (False), or may (None)
_roles: dict[type, bool | None] = {
    **dict.fromkeys((int, float, complex, bool, str, type(None), np.ndarray), False),
    **dict.fromkeys((list, tuple, dict), None),
}


def _role(value: Any) -> bool | None:
    cls = type(value)
    role = _roles.get(cls, _MISSING)
    if role is _MISSING:
        role = None
        if is_object(value):
            role = True
        elif jax.tree_util.all_leaves([value]):
            role = False
        _roles[cls] = role
    return role


class _Program:
    """What is compiled for one structure of the arguments.

    Attributes:
        compiled: the function of JAX.
        parts: for each root, and each group of its state, which values belong to it; ``None`` where
            one root has one group.
    """

    __slots__ = ("compiled", "is_simple", "parts")

    def __init__(self, compiled: Any, plan: Plan, places: tuple[int, ...]) -> None:
        self.compiled = compiled
        by_home: dict[Any, list[Any]] = {}
        for number, group in enumerate(plan.groups):
            if isinstance(group.picks, Within) and group.picks.home:
                mine = [i for i, place in enumerate(places) if place == number]
                by_home.setdefault(group.picks.home, []).append(_as_slice(mine))
        self.parts = list(map(tuple, by_home.values()))
        self.is_simple = len(self.parts) == 1 and len(self.parts[0]) == 1

    def values(self, layout: Layout) -> list[tuple[Any, ...]]:
        """Return the values of each root, by its groups."""
        values = layout.values()
        if self.is_simple:
            return [(values,)]
        return [
            tuple([values[p] if type(p) is slice else [values[i] for i in p] for p in root])
            for root in self.parts
        ]


def _as_slice(numbers: list[int]) -> Any:
    if numbers and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return slice(numbers[0], numbers[-1] + 1)
    return numbers or slice(0, 0)


class JitWrapped:
    """A compiled function of objects; made by :func:`jit`.

    ``trace``, ``lower`` and ``eval_shape`` do what those of ``jax.jit`` do.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        options: dict[str, Any],
        in_shardings: Any,
        out_shardings: Any,
        static: frozenset[Any],
        donated: frozenset[Any],
    ) -> None:
        functools.update_wrapper(self, fun)
        self._fun = fun
        self._options = options
        self._in_shardings = in_shardings
        self._out_shardings = out_shardings
        self._static = static
        self._donated = donated
        self._programs: dict[Any, _Program] = {}
        self._without_objects: set[Any] = set()

    def __get__(self, obj: Any, objtype: Any = None) -> Any:
        return self if obj is None else functools.partial(self, obj)

    # --- a call ------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function, compiled for the structure of these arguments."""
        numbers: list[int] = []
        simple = True
        for number, arg in enumerate(args):
            role = _role(arg)
            if role:
                numbers.append(number)
            elif role is None and not self._is_plain(number, arg):
                simple = False
        for name, arg in kwargs.items():
            role = _role(arg)
            if role or (role is None and not self._is_plain(name, arg)):
                simple = False
        if not simple or not self._static.isdisjoint(numbers):
            return self._call_nested(args, kwargs)
        roots = tuple([args[number] for number in numbers])
        layout = joint_layout(roots) if roots else _EMPTY_LAYOUT
        key = (layout.graphdef, *numbers)
        program = self._programs.get(key)
        if program is None:
            homes = tuple(Home((number,)) for number in numbers)
            program = self._programs[key] = self._program(layout, roots, homes, flat=tuple(numbers))
        flat = list(args)
        for number, values in zip(numbers, program.values(layout), strict=True):
            flat[number] = values
        changes, result = program.compiled(*flat, **kwargs)
        return _published(roots, layout, changes, result)

    def _call_nested(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call with objects anywhere in the arguments."""
        roots, layout, program, flat, flat_kwargs = self._prepared(args, kwargs)
        changes, result = program.compiled(*flat, **flat_kwargs)
        return _published(roots, layout, changes, result)

    def _is_plain(self, name: int | str, arg: Any) -> bool:
        """Tell whether a pytree argument holds no objects."""
        if name in self._static:
            return True
        treedef = jax.tree.structure(arg)
        if treedef in self._without_objects:
            return True
        if any(map(is_object, jax.tree.leaves(arg, is_leaf=is_object))):
            return False
        self._without_objects.add(treedef)
        return True

    def _prepared(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Sort the arguments of a call: return what the compiled function is called with."""
        taken_args: list[Any] = []
        taken_kwargs: dict[str, Any] = {}
        roots: list[Any] = []
        homes: list[Home] = []
        for name, arg in (*enumerate(args), *kwargs.items()):
            if name in self._static:
                taken = arg
            else:
                taken, objects, paths = take_objects(arg, len(roots))
                roots += objects
                homes += [Home((name, *path)) for path in paths]
            if isinstance(name, int):
                taken_args.append(taken)
            else:
                taken_kwargs[name] = taken
        layout = joint_layout(tuple(roots)) if roots else _EMPTY_LAYOUT
        key = (layout.graphdef, tuple(homes), "nested")
        program = self._programs.get(key)
        if program is None:
            program = self._program(layout, tuple(roots), tuple(homes), flat=None)
            self._programs[key] = program
        values = program.values(layout)
        # the values of the roots in an argument stand beside it, so that it keeps its number
        by_name: dict[Any, list[Any]] = {}
        for home, of_root in zip(homes, values, strict=True):
            by_name.setdefault(home[0], []).append(of_root)
        flat = [
            arg if number in self._static else (arg, by_name.get(number, []))
            for number, arg in enumerate(taken_args)
        ]
        flat_kwargs = {
            name: arg if name in self._static else (arg, by_name.get(name, []))
            for name, arg in taken_kwargs.items()
        }
        return tuple(roots), layout, program, flat, flat_kwargs

    # --- what is compiled --------------------------------------------------------------------

    def _plan(self, homes: tuple[Home, ...]) -> Plan:
        """Return a plan with a group for each root, or for each filter of its shardings."""
        groups: list[Group] = []
        for home in homes:
            whole = home[0] in self._donated
            for picks, sharding in filters_of(_at(self._in_shardings, home[0])):
                groups.append(Group(Within(home, picks), sharding, whole=whole))
        for picks, sharding in filters_of(_state_sharding(self._out_shardings)):
            groups.append(Group(Within((), picks), sharding))
        return Plan(tuple(groups), "nnx.jit")

    def _program(
        self, layout: Layout, roots: tuple[Any, ...], homes: tuple[Home, ...], flat: Any
    ) -> _Program:
        plan = self._plan(homes)
        places = places_of(layout, roots, homes, plan)
        structure = ObjectStructure(layout.graphdef, homes, places)
        pure = Pure(self._fun, structure, plan)
        run = _flat_run(pure, flat) if flat is not None else _nested_run(pure, homes, self._static)
        functools.update_wrapper(run, self._fun)
        # the wrapped function's own signature would be taken for that of the flat one
        del run.__wrapped__
        options = dict(self._options)
        if self._in_shardings is not None:
            options["in_shardings"] = self._in_specs(plan, homes, flat)
        if self._in_shardings is not None or self._out_shardings is not None:
            placements = [group.placement for group in plan.groups]
            result = self._out_shardings
            result = None if isinstance(result, StateSharding) else result
            options["out_shardings"] = (Changes(tuple(placements), _Any()), result)
        return _Program(jax.jit(run, **options), plan, places)

    def _in_specs(self, plan: Plan, homes: tuple[Home, ...], flat: Any) -> Any:
        shardings = self._in_shardings
        if not isinstance(shardings, tuple | list):
            return None if isinstance(shardings, StateSharding) else shardings
        given = list(shardings)
        for number, home in enumerate(homes):
            ours = tuple(
                group.placement
                for group in plan.groups
                if isinstance(group.picks, Within) and group.picks.home == home
            )
            if flat is not None:
                given[home[0]] = ours
            else:
                given[home[0]] = (None, [ours])
            del number
        return tuple(None if isinstance(each, StateSharding) else each for each in given)

    # --- what jax.jit offers besides calls ---------------------------------------------------

    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Return what a call would return, with ``jax.ShapeDtypeStruct`` in place of arrays."""
        from linnet.nnx.transforms.eval_shape import eval_shape

        static = {n: arg for n, arg in enumerate(args) if n in self._static}
        fun = with_static(self._fun, static)
        rest = [arg for n, arg in enumerate(args) if n not in static]
        return eval_shape(fun, *rest, **kwargs)

    def trace(self, *args: Any, **kwargs: Any) -> "Traced":
        """Trace the function for these arguments."""
        _, _, program, flat, flat_kwargs = self._prepared(args, kwargs)
        return Traced(self, program.compiled.trace(*flat, **flat_kwargs))

    def lower(self, *args: Any, **kwargs: Any) -> "Lowered":
        """Lower the function for these arguments to what XLA compiles."""
        return self.trace(*args, **kwargs).lower()

    def __repr__(self) -> str:
        return f"nnx.jit({self._fun!r})"


class _Any:
    """Equal to every description of changes, for a prefix of their treedef."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class _Stage:
    """A stage between a function and its compiled form; all that JAX's own has can be asked."""

    def __init__(self, owner: JitWrapped, stage: Any) -> None:
        self._owner = owner
        self._stage = stage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)


class Traced(_Stage):
    """A function traced for certain arguments."""

    def lower(self, **options: Any) -> "Lowered":
        """Lower it to what XLA compiles."""
        return Lowered(self._owner, self._stage.lower(**options))


class Lowered(_Stage):
    """A function lowered for certain arguments."""

    def compile(self, *args: Any, **kwargs: Any) -> "Compiled":
        """Compile it."""
        return Compiled(self._owner, self._stage.compile(*args, **kwargs))


class Compiled(_Stage):
    """A function compiled for certain arguments; it is called like the function itself."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function for arguments like those it was compiled for."""
        roots, layout, _, flat, flat_kwargs = self._owner._prepared(args, kwargs)
        static = self._owner._static
        flat = [arg for number, arg in enumerate(flat) if number not in static]
        named = {name: arg for name, arg in flat_kwargs.items() if name not in static}
        changes, result = self._stage(*flat, **named)
        return _published(roots, layout, changes, result)


# --- values in and out -----------------------------------------------------------------------


_EMPTY_LAYOUT = Layout(())


def _flat_run(pure: Pure, numbers: tuple[int, ...]) -> Any:
    """Return the pure function in the form in which objects are arguments of their own."""

    def run(*args: Any, **kwargs: Any) -> Any:
        arguments = list(args)
        groups: list[Any] = []
        for stand, number in enumerate(numbers):
            groups.extend(args[number])
            arguments[number] = Stand(stand)
        groups += [[]] * (len(pure.plan.groups) - len(groups))
        return pure(tuple(groups), (tuple(arguments), kwargs))

    return run


def _nested_run(pure: Pure, homes: tuple[Home, ...], static: frozenset[Any]) -> Any:
    """Return the pure function in the form in which values stand beside each argument."""

    def run(*args: Any, **kwargs: Any) -> Any:
        beside: dict[Any, Any] = {}
        plain: list[Any] = []
        named: dict[str, Any] = {}
        for name, arg in (*enumerate(args), *kwargs.items()):
            rest = arg
            if name not in static:
                rest, values = arg
                beside[name] = iter(values)
            if isinstance(name, int):
                plain.append(rest)
            else:
                named[name] = rest
        groups: list[Any] = []
        for home in homes:
            groups.extend(next(beside[home[0]]))
        groups += [[]] * (len(pure.plan.groups) - len(groups))
        return pure(tuple(groups), (tuple(plain), named))

    return run


def _published(roots: tuple[Any, ...], layout: Layout, changes: Changes, result: Any) -> Any:
    """Set what a call changed; return its result."""
    outcome: Any = changes.description
    if outcome.graphdef is not None:
        return publish(roots, layout, outcome, changes.groups, result)
    # by identity: JAX hands out the same outcome as long as it uses the same program
    known = layout.notes.get(id(outcome))
    if known is None or known[0] is not outcome:
        known = layout.notes[id(outcome)] = (outcome, *_quick_cells(layout, outcome))
    _, level, by_group = known
    if level is not current_trace():
        return publish(roots, layout, outcome, changes.groups, result)
    for cells, values in zip(by_group, changes.groups, strict=True):
        for cell, value in zip(cells, values, strict=True):
            _set_raw(cell, value)
    return put_objects(result, roots) if outcome.returns_objects else result


def _quick_cells(layout: Layout, outcome: Outcome) -> tuple[Any, Any]:
    """Return the variables to set, by group, if nothing has to be checked at a certain level."""
    cells = [[layout.cells[number] for number in numbers] for numbers in outcome.handed]
    flat = [cell for group in cells for cell in group]
    plain = all(isinstance(cell, Variable) and cell._lost is None for cell in flat)
    levels = {id(cell._level): cell._level for cell in flat} if plain else {}
    if not flat:
        return current_trace(), cells
    return (next(iter(levels.values())) if len(levels) == 1 else None), cells


def _at(shardings: Any, name: Any) -> Any:
    if isinstance(shardings, tuple | list):
        return shardings[name] if isinstance(name, int) else None
    return shardings


def _state_sharding(shardings: Any) -> Any:
    return shardings if isinstance(shardings, StateSharding) else None


def with_static(fun: Callable[..., Any], static: dict[int, Any]) -> Callable[..., Any]:
    """Return a function of the other arguments, with those at some places bound."""
    if not static:
        return fun

    @functools.wraps(fun)
    def bound(*args: Any, **kwargs: Any) -> Any:
        rest = iter(args)
        count = len(args) + len(static)
        full = [static[n] if n in static else next(rest) for n in range(count)]
        return fun(*full, **kwargs)

    return bound
