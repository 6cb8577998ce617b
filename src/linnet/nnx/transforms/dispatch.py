"""What happens in a call of a function that ``nnx.jit`` compiled.

A call with objects anywhere in its arguments goes through the engine, like that of every other
transformation (``JitWrapped._carried``). Where objects are arguments themselves, the usual case, a
call takes a short path: it takes the values out of the objects, hands them to a compiled function
as flat lists, each in the place of its object, and sets what the function changed. What is compiled
is remembered under the structure of the objects, so a call pays for what its arguments are now, not
for finding out what they are: the layout of a model is remembered until the model changes
(``graph/layout.py``), the compiled function under the layout's structure, and the variables to
set under the outcome of its trace. A call in the steady state gathers values, calls, and sets
values.

Values of variables that the function did not change do not come out of it, so XLA copies nothing;
those of donated arguments all come out, since the memory they came in is gone.
"""

import functools
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from linnet.base.jaxcompat import current_trace, is_tracing
from linnet.base.typing import MISSING, is_of_a_library
from linnet.lift import jit as lift
from linnet.lift.arguments import Names, hide_static
from linnet.lift.engine import Changes, Group, Plan, Pure
from linnet.nnx.graph.layout import Layout, joint_layout
from linnet.nnx.objects import sown
from linnet.nnx.objects.attributes import is_tree
from linnet.nnx.objects.nodes import is_node
from linnet.nnx.objects.variable import Variable
from linnet.nnx.transforms import captured
from linnet.nnx.transforms.arguments import Home, Stand, Within, put_objects
from linnet.nnx.transforms.axes import filters_of, is_by_filter
from linnet.nnx.transforms.eval_shape import shapes_of
from linnet.nnx.transforms.publish import Outcome, publish
from linnet.nnx.transforms.store import ObjectStore, ObjectStructure, places_of

_set_raw = Variable.__dict__["_raw_value"].__set__

# type → whether its values are objects of NNX (True), never hold any (False), or may (None). Of
# classes of users only those that JAX knows are remembered, as in `objects/attributes.py`
_roles: dict[type, bool | None] = {
    **dict.fromkeys((int, float, complex, bool, str, type(None), np.ndarray), False),
    **dict.fromkeys((list, tuple, dict), None),
}


def _role(value: Any) -> bool | None:
    cls = type(value)
    role: Any = _roles.get(cls, MISSING)
    if role is MISSING:
        if is_node(value):
            return True
        role = None if is_tree(value) else False
        if role is None or is_of_a_library(cls):
            _roles[cls] = role
    return role


def _scanned(arg: Any) -> bool | None:
    """Tell whether a list, tuple or dictionary holds no objects, if one can see that.

    Objects are not taken apart, as they may refer to each other.
    """
    cls = type(arg)
    if cls is not dict and cls is not list and cls is not tuple:
        return None
    plain: bool | None = True
    for item in arg.values() if cls is dict else arg:
        role = _role(item)
        inner = not role if role is not None else _scanned(item)
        if inner is False:
            return False
        if inner is None:
            plain = None
    return plain


class _Program:
    """What is compiled for one structure of the arguments.

    Attributes:
        compiled: the function of JAX.
        parts: for each root, and each group of its state, which values belong to it.
        asked: the sharding asked for each cell, if one is for any.
    """

    __slots__ = ("asked", "compiled", "is_simple", "parts")

    def __init__(
        self, compiled: Any, plan: Plan, places: tuple[int, ...], numbers: tuple[int, ...]
    ) -> None:
        self.compiled = compiled
        by_number: dict[int, list[Any]] = {number: [] for number in numbers}
        for number, group in enumerate(plan.groups):
            for argument in _home(group):
                mine = [i for i, place in enumerate(places) if place == number]
                by_number[argument].append(_as_slice(mine))
        self.parts = list(map(tuple, by_number.values()))
        self.asked = _asked(plan, places)
        self.is_simple = len(self.parts) == 1 and len(self.parts[0]) == 1

    def values(self, layout: Layout) -> list[tuple[Any, ...]]:
        """Return the values of each root, by its groups."""
        if self.asked:
            _lay_out(layout, self.asked)
        values = layout.values()
        if self.is_simple:
            return [(values,)]
        return [
            tuple([values[p] if type(p) is slice else [values[i] for i in p] for p in root])
            for root in self.parts
        ]


def _home(group: Group) -> tuple[Any, ...]:
    """Return the argument that a group is for; ``()`` for what comes out."""
    picks: Any = group.picks
    return picks.home


def _asked(plan: Plan, places: tuple[int, ...]) -> list[Any]:
    """Return the sharding asked for each cell, or ``None``; an empty list if none is."""
    asked = [plan.groups[place].placement for place in places]
    asked = [each if isinstance(each, jax.sharding.Sharding) else None for each in asked]
    return asked if any(each is not None for each in asked) else []


def _lay_out(layout: Layout, asked: list[Any]) -> bool:
    """Lay the values of cells out as asked; tell whether any lay otherwise.

    JAX would do so for the call alone, and again in the next one.
    """
    if is_tracing():
        return False
    moved = [
        (cell, sharding)
        for cell, sharding in zip(layout.cells, asked, strict=True)
        if sharding is not None and any(lies != sharding for lies in _shardings_of(cell._raw_value))
    ]
    values = jax.device_put([cell._raw_value for cell, _ in moved], [where for _, where in moved])
    for (cell, _), value in zip(moved, values, strict=True):
        cell.set_raw_value(value)
    return bool(moved)


def _shardings_of(value: Any) -> list[Any]:
    """Return how the arrays of a value lie."""
    leaves = [value] if isinstance(value, jax.Array) else jax.tree.leaves(value)
    return [getattr(leaf, "sharding", None) for leaf in leaves]


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
        static: Names,
        donated: Names,
    ) -> None:
        self._fun = fun
        self._options = options
        self._in_shardings = in_shardings
        self._out_shardings = out_shardings
        self._static = static
        self._donated = donated
        self._programs: dict[Any, _Program] = {}
        self._carriers: dict[Any, tuple[Plan, Any]] = {}
        self._without_objects: set[Any] = set()

    def __get__(self, obj: Any, objtype: Any = None) -> Any:
        return self if obj is None else functools.partial(self, obj)

    # --- a call ------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function, compiled for the structure of these arguments."""
        numbers: list[int] = []
        short = True
        for number, arg in enumerate(args):
            role = _role(arg)
            if role:
                numbers.append(number)
            elif role is None and not self._is_plain(number, arg):
                short = False
        for name, arg in kwargs.items():
            role = _role(arg)
            if role or (role is None and not self._is_plain(name, arg)):
                short = False
        if not short or sown.running_captures.get() or not self._static.isdisjoint(numbers):
            return self._carried(args, kwargs)
        roots = tuple([args[number] for number in numbers])
        layout = joint_layout(roots)
        key = (layout.graphdef, *numbers)
        program = self._programs.get(key)
        if program is None:
            program = self._program(layout, roots, tuple(numbers), len(args))
            self._programs[key] = program
        flat = list(args)
        for number, values in zip(numbers, program.values(layout), strict=True):
            flat[number] = values
        changes, result = program.compiled(*flat, **kwargs)
        return _published(roots, layout, changes, result)

    def _is_plain(self, name: int | str, arg: Any) -> bool:
        """Tell whether a pytree argument holds no objects."""
        if name in self._static:
            return True
        known = _scanned(arg)
        if known is not None:
            return known
        leaves, treedef = jax.tree.flatten(arg)
        # an object that is no pytree is a leaf, so a treedef alone does not tell
        key = (treedef, frozenset(map(type, leaves)))
        if key in self._without_objects:
            return True
        if any(map(is_node, jax.tree.leaves(arg, is_leaf=is_node))):
            return False
        self._without_objects.add(key)
        return True

    def _carried(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call with objects anywhere in the arguments."""
        store, compiled, parts = self._prepared(args, kwargs, runs=True)
        return store.publish(*compiled(*parts))

    def _prepared(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], *, runs: bool = False
    ) -> tuple[Any, Any, Any]:
        """Return the store of a call, what is compiled, and what that is called with."""
        plan, compiled = self._carrier(len(args), tuple(kwargs))
        args, kwargs = hide_static("nnx.jit", args, kwargs, self._static)
        store = ObjectStore()
        taken = store.snapshot(plan, args, kwargs)
        asked = _asked(plan, store.structure.places) if runs else []
        if asked and _lay_out(store.layout, asked):
            taken = store.snapshot(plan, args, kwargs)
        pure = Pure(self._fun, taken.structure, plan)
        halves = lift.halves(plan, taken.groups, taken.arguments, self._donated)
        return store, compiled, (pure, *halves)

    # --- what is compiled --------------------------------------------------------------------

    def _plan(self, names: Iterable[Any]) -> Plan:
        """Return a plan with a group for each argument, or for each filter of its shardings."""
        groups: list[Group] = []
        for name in names:
            given = name in self._donated
            for picks, sharding in filters_of(self._sharding_of(name)):
                groups.append(Group(Within((name,), picks), sharding, whole=given, donated=given))
        out = self._out_shardings if is_by_filter(self._out_shardings) else None
        groups += [Group(Within((), picks), sharding) for picks, sharding in filters_of(out)]
        return Plan(tuple(groups), "nnx.jit")

    def _sharding_of(self, name: Any) -> Any:
        """Return what in_shardings has for an argument; it does not count the static ones."""
        given = self._in_shardings
        if not isinstance(given, tuple | list):
            return given
        if isinstance(name, str) or name in self._static:
            return None
        return given[name - sum(isinstance(n, int) and n < name for n in self._static)]

    def _plain_sharding(self, name: Any) -> Any:
        """Return the sharding of the arrays in an argument."""
        sharding = self._sharding_of(name)
        return None if is_by_filter(sharding) else sharding

    def _told(self, plan: Plan, entering: Any) -> dict[str, Any]:
        """Return the options for ``jax.jit``.

        Args:
            plan: how state crosses.
            entering: the shardings of what is compiled for it.
        """
        options = dict(self._options)
        if self._in_shardings is not None:
            options["in_shardings"] = entering
        if self._in_shardings is not None or self._out_shardings is not None:
            result = None if is_by_filter(self._out_shardings) else self._out_shardings
            options["out_shardings"] = (Changes(plan.placements(), _Any()), result)
        return options

    def _carrier(self, count: int, names: tuple[str, ...]) -> tuple[Plan, Any]:
        """Return the plan, and what is compiled, for calls with as many arguments."""
        key = (count, names)
        if key in self._carriers:
            return self._carriers[key]
        plan = self._plan((*range(count), *names))
        plan = captured.plan(plan.groups, plan.transform)
        specs = tuple(map(self._plain_sharding, range(count))), dict.fromkeys(names)
        entering = lift.halves(plan, plan.placements(), specs, self._donated)
        name = getattr(self._fun, "__name__", "run")
        made = plan, lift.compiler(name, **self._told(plan, entering))
        return self._carriers.setdefault(key, made)

    def _program(
        self, layout: Layout, roots: tuple[Any, ...], numbers: tuple[int, ...], count: int
    ) -> _Program:
        """Compile for the short path: the objects are some of the positional arguments."""
        plan = self._plan(numbers)
        homes = tuple(Home((number,)) for number in numbers)
        places = places_of(layout, roots, homes, plan)
        pure = Pure(self._fun, ObjectStructure(layout.graphdef, homes, places), plan)

        entering = tuple(
            tuple(group.placement for group in plan.groups if _home(group) == (number,))
            if number in numbers
            else self._plain_sharding(number)
            for number in range(count)
            if number not in self._static
        )
        told = self._told(plan, entering)
        chosen = {"static": self._static, "donated": self._donated}
        compiled = lift.flat_compiler(pure, self._fun, numbers, Stand, **chosen, **told)
        return _Program(compiled, plan, places, numbers)

    # --- what jax.jit offers besides calls ---------------------------------------------------

    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Return what a call would return, with ``jax.ShapeDtypeStruct`` in place of arrays."""
        return shapes_of(self._fun, *hide_static("nnx.jit", args, kwargs, self._static))

    def trace(self, *args: Any, **kwargs: Any) -> "Traced":
        """Trace the function for these arguments."""
        _, compiled, parts = self._prepared(args, kwargs)
        return Traced(self, compiled.trace(*parts))

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

    def __init__(self, owner: JitWrapped, stage: Any, bound: tuple[Any, ...] = ()) -> None:
        self._owner = owner
        self._stage = stage
        self._bound = bound

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)


class Traced(_Stage):
    """A function traced for certain arguments."""

    def lower(self, **options: Any) -> "Lowered":
        """Lower it to what XLA compiles."""
        return Lowered(self._owner, self._stage.lower(**options), self._bound)


class Lowered(_Stage):
    """A function lowered for certain arguments."""

    def compile(self, *args: Any, **kwargs: Any) -> "Compiled":
        """Compile it."""
        return Compiled(self._owner, self._stage.compile(*args, **kwargs), self._bound)


class Compiled(_Stage):
    """A function compiled for certain arguments; it is called like the function itself."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function for arguments like those it was compiled for."""
        args = (*self._bound, *args)
        store, _, (_, *halves) = self._owner._prepared(args, kwargs, runs=True)
        return store.publish(*self._stage(*halves))


class JitPartial(functools.partial):  # type: ignore[type-arg]
    """A compiled function with its first arguments bound; made by :func:`jit_partial`.

    ``trace``, ``lower`` and ``eval_shape`` take the other arguments, as a call does.
    """

    def trace(self, *args: Any, **kwargs: Any) -> Traced:
        """Trace the function for these arguments."""
        compiled: Any = self.func
        traced = compiled.trace(*self.args, *args, **kwargs)
        return Traced(compiled, traced._stage, self.args)

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """Lower the function for these arguments to what XLA compiles."""
        return self.trace(*args, **kwargs).lower()

    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Return what a call would return, with ``jax.ShapeDtypeStruct`` in place of arrays."""
        compiled: Any = self.func
        return compiled.eval_shape(*self.args, *args, **kwargs)


# --- values out ------------------------------------------------------------------------------


def _published(roots: tuple[Any, ...], layout: Layout, changes: Changes, result: Any) -> Any:
    """Set what a call changed; return its result."""
    outcome: Any = changes.description
    if outcome.graphdef is not None:
        return publish(roots, layout, outcome, changes.groups, result)
    # JAX hands out the same outcome as long as it uses the same program
    known = layout.notes.get(outcome.number)
    if known is None:
        _forget_dead(layout.notes)
        known = layout.notes[outcome.number] = (
            weakref.ref(outcome),
            *_quick_cells(layout, outcome),
        )
    _, level, picks = known
    if level is not current_trace():
        return publish(roots, layout, outcome, changes.groups, result)
    for number, pick in picks:
        for cell, value in zip(pick(), changes.groups[number], strict=True):
            _set_raw(cell, value)
    return put_objects(result, roots) if outcome.returns_objects else result


def _forget_dead(notes: dict[Any, Any]) -> None:
    """Forget the outcomes of programs that are gone."""
    for number in [key for key, note in notes.items() if type(key) is int and note[0]() is None]:
        del notes[number]


def _quick_cells(layout: Layout, outcome: Outcome) -> tuple[Any, list[Any]]:
    """Return the level at which nothing has to be checked, and what picks the cells to set.

    The cells of several objects are not noted: a note on one would keep the others alive.
    """
    handed = enumerate(outcome.handed)
    picks = [(number, layout.picker(cells)) for number, cells in handed if cells]
    flat = [cell for _, pick in picks for cell in pick()]
    plain = all(isinstance(cell, Variable) and cell._lost is None for cell in flat)
    levels = {id(cell._level): cell._level for cell in flat} if plain else {}
    if not flat:
        return current_trace(), picks
    return (next(iter(levels.values())) if len(levels) == 1 else None), picks
