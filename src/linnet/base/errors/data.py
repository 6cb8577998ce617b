"""Errors about what goes in and out: state dicts, bytes, gradients, the alias."""

from collections.abc import Sequence

from linnet.base.errors.words import LinnetError, listing

_STATE_DICT_ADVICE = (
    "Make the target with the code that made what was saved (`to_state_dict(target)` shows the "
    "keys it needs); or rename, add or drop keys of the state dict, `msgpack_restore(data)`, "
    "before `from_state_dict(target, state)`."
)


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

    def __init__(
        self,
        missing: Sequence[str],
        unknown: Sequence[str],
        what: str = "apply_gradients",
        cure: str = "`jax.grad(loss_fn)(state.params)`",
    ) -> None:
        super().__init__(
            f"{what} was given gradients of another structure than the parameters. Without "
            f"a gradient: {listing(missing)}; without a parameter: {listing(unknown)}. "
            f"Differentiate with respect to the parameters that are trained: {cure}."
        )


class ShapeMismatchError(LinnetError, TypeError, ValueError):
    """Arrays were given to an operation that do not fit each other."""


def trained_collections(names: Sequence[str], others: Sequence[str]) -> str:
    """Word the warning that an optimizer was given all variables in place of the parameters."""
    fields = "".join(f", {name}=variables[{name!r}]" for name in others)
    return (
        f"TrainState.create was given the collections {listing(names)} as params=, so the "
        f"optimizer trains {listing(others)} like parameters. Pass the parameters alone, and the "
        "rest to a subclass of TrainState with fields for it: `create(apply_fn=model.apply, "
        f'params=variables["params"], tx=tx{fields})`.'
    )


def trained_kinds(paths: Sequence[str]) -> str:
    """Word the warning that an optimizer of NNX trains what is not meant to be trained."""
    return (
        f"nnx.Optimizer is to train variables that no gradient improves: {listing(paths)}. "
        "Statistics, streams and caches would be moved like weights. Train the parameters, "
        "nnx.Optimizer(model, tx, wrt=nnx.Param), and take the gradient with respect to them."
    )


class SerializationError(LinnetError, ValueError):
    """A value cannot be turned into a state dict or bytes, or those cannot be read."""


class UnserializableTypeError(SerializationError, TypeError):
    """A value is of a type that has no place in a state dict or in bytes."""


class StateDictMismatchError(SerializationError):
    """A state dict does not have the structure of the target it was to be restored into."""

    def __init__(self, target: str, misfits: Sequence[str]) -> None:
        self.misfits = tuple(misfits)
        super().__init__(f"{misfit_text(target, misfits)}{_STATE_DICT_ADVICE}")


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
