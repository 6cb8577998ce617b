"""``nnx.scan``: functions of objects in steps, as ``jax.lax.scan``."""

_KINDS = {
    Carry: Group(Everything(), looping.carried, whole=True),
    None: Group(Everything(), broadcast, leaves=False),
}


def scan(
    f: Any = _MISSING,
    *,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    _split_transpose: bool = False,
    in_axes: Any = (Carry, 0),
    out_axes: Any = (Carry, 0),
    transform_metadata: Mapping[str, Any] | None = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """Run a function in steps, each given what the one before carried over, as ``jax.lax.scan``.

    Args:
        f: the function of one step.
        length: how many steps, where no argument has an axis.
        reverse: as for ``jax.lax.scan``.
        unroll: as for ``jax.lax.scan``.
        _split_transpose: as for ``jax.lax.scan``.
        in_axes: for each argument the axis along which it is read, ``None`` for what is the same in
            all steps, or ``nnx.Carry`` for the one that is carried; for objects an
            ``nnx.StateAxes`` of these.
        out_axes: likewise for the result.
        transform_metadata: ``{nnx.PARTITION_NAME: name}`` names the axis of steps in the
            ``out_sharding`` of variables.
        graph: taken for Flax's sake.
        graph_updates: taken for Flax's sake.

    Returns:
        A function that runs all steps.

    Raises:
        CarryStructureError: a step carries over something else than it was given.

    Example: three layers made at once, and applied one after the other.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> @nnx.split_rngs(splits=3)
    ... @nnx.vmap
    ... def make(rngs):
    ...     return nnx.Linear(2, 2, rngs=rngs)
    >>> @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
    ... def apply(layer, x):
    ...     return layer(x)
    >>> apply(make(nnx.Rngs(0)), jnp.ones(2)).shape
    (2,)
    """
    metadata = transform_metadata or {}
    options: dict[str, Any] = {
        "length": length,
        "reverse": reverse,
        "unroll": unroll,
        "_split_transpose": _split_transpose,
    }
    if f is _MISSING:
        return functools.partial(
            scan,
            **options,
            in_axes=in_axes,
            out_axes=out_axes,
            transform_metadata=metadata,
            graph=graph,
            graph_updates=graph_updates,
        )
    f = unbound(f, "scan")
    inputs, outputs = _Sides.of(in_axes), _Sides.of(out_axes)
    if inputs.carry is None and outputs.carry is not None:
        raise ValueError(
            f"nnx.scan has a Carry in out_axes={out_axes!r}, but none in in_axes={in_axes!r}: what "
            "is carried over has to start somewhere. Say nnx.Carry in both, or in neither."
        )

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return _scan(f, args, kwargs, inputs, outputs, metadata, options)

    return wrapper


class _Sides:
    """The axes of arguments, or of a result: which of them is the carry, and those of the others.

    Attributes:
        axes: one for each; all alike if there is just one.
        carry: the number of the carry; -1 if it is all there is, ``None`` if there is none.
    """

    def __init__(self, axes: Any, carry: int | None) -> None:
        self.axes = axes
        self.carry = carry

    @classmethod
    def of(cls, axes: Any) -> "_Sides":
        """Read axes.

        Raises:
            ValueError: there are several carries.
        """
        if axes is Carry:
            return cls(axes, -1)
        if not isinstance(axes, list | tuple):
            return cls(axes, None)
        carries = [number for number, axis in enumerate(axes) if axis is Carry]
        if len(carries) > 1:
            raise ValueError(
                f"nnx.scan was given {len(carries)} carries, {tuple(axes)!r}; there is one. Carry "
                "a tuple of what has to be carried."
            )
        return cls(tuple(axes), carries[0] if carries else None)

    def split(self, values: Any) -> tuple[Any, Any]:
        """Return the carry and the others."""
        if self.carry is None:
            return (), values
        if self.carry == -1:
            return values, ()
        others = [v for n, v in enumerate(values) if n != self.carry]
        return values[self.carry], tuple(others)

    def join(self, carry: Any, others: Any) -> Any:
        """Put carry and others together; undoes :meth:`split`."""
        if self.carry is None:
            return others
        if self.carry == -1:
            return carry
        joined = list(others)
        joined.insert(self.carry, carry)
        return tuple(joined)

    def others(self) -> Any:
        """Return the axes of the others, as JAX is told."""
        if self.carry == -1:
            return ()
        axes = self.axes if self.carry is None else self.split(self.axes)[1]
        return _for_jax(axes, broadcast)


def _scan(
    f: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    inputs: _Sides,
    outputs: _Sides,
    metadata: Mapping[str, Any],
    options: dict[str, Any],
) -> Any:
    positional = _per_argument(inputs.axes, len(args), "nnx.scan")
    inputs = _Sides.of(positional)
    groups = [
        group
        for number, axes in enumerate(positional)
        for group in _placed((number,), axes, metadata, _KINDS)
    ]
    groups += _placed((RESULT,), outputs.axes, metadata, _KINDS)
    plan = Plan((*groups, Group(InKeywords(), broadcast, leaves=False)), "nnx.scan")
    store = ObjectStore()
    taken = store.snapshot(plan, args, kwargs)
    pure = Pure(f, taken.structure, plan)
    taken_args, taken_kwargs = taken.arguments
    first, xs = inputs.split(taken_args)

    def step(groups: Any, arguments: Any) -> Any:
        carry, others = arguments
        changes, result = pure(groups, (inputs.join(carry, others), taken_kwargs))
        if isinstance(outputs.axes, tuple) and (
            not isinstance(result, tuple) or len(result) != len(outputs.axes)
        ):
            raise ValueError(
                f"A step of nnx.scan has to return {len(outputs.axes)} values, as out_axes says, "
                f"but returned a {type(result).__name__}."
            )
        carried, ys = outputs.split(result)
        return changes, (first if outputs.carry is None else carried, ys)

    loop = looping.Loop.over(step, plan, taken.groups, first, xs, inputs.others(), outputs.others())
    constants: list[Any] = []
    if any(axis is broadcast for axis in jax.tree.leaves(outputs.others())):
        _, constants = looping.run_once(loop)
    changes, (carry, ys) = looping.scan(loop, constants, **options)
    return store.publish(changes, outputs.join(carry, ys))
