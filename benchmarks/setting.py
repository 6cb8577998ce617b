"""Contenders of one size with the same parameters, and the check that they compute the same."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import jax
import jax.numpy as jnp

from benchmarks.models import build
from benchmarks.models.transformer import Contender, Sizes, Tree, parameters, tokens

TOLERANCE = 1e-4


class DisagreementError(Exception):
    """Contenders do not compute the same, so that their figures may not be compared."""


class Setting:
    """The contenders of one size, with their parameters, built when they are first needed."""

    def __init__(self, sizes: Sizes):
        self.sizes = sizes
        self._built: dict[str, tuple[Contender, Tree]] = {}

    @cached_property
    def common(self) -> Tree:
        return parameters(self.sizes)

    @cached_property
    def ids(self) -> jax.Array:
        return tokens(self.sizes)

    def contender(self, name: str) -> tuple[Contender, Tree]:
        """The named contender and its parameters."""
        if name not in self._built:
            contender = build(name, self.sizes)
            self._built[name] = (contender, contender.adopt(self.common))
        return self._built[name]


def compare(outputs: Mapping[str, Tree], what: str) -> None:
    """Refuses contenders whose outputs differ by more than rounding.

    Raises:
      DisagreementError: a contender's output is farther from the first one's than ``TOLERANCE``
        times the latter's greatest value.

    >>> compare({"a": jnp.ones(3), "b": jnp.zeros(3)}, "logits")
    Traceback (most recent call last):
    benchmarks.setting.DisagreementError: logits of b differ from those of a by 1 of 1 ...
    """
    (first, expected), *others = outputs.items()
    for name, output in others:
        for left, right in zip(jax.tree.leaves(expected), jax.tree.leaves(output), strict=True):
            distance, size = float(jnp.abs(left - right).max()), float(jnp.abs(left).max())
            if not distance <= TOLERANCE * size:
                raise DisagreementError(
                    f"{what} of {name} differ from those of {first} by {distance:.3g} of "
                    f"{size:.3g} at most, which is more than {TOLERANCE:g} of it; no figures are "
                    "printed of models that compute different things"
                )


def compare_outputs(setting: Setting, names: Sequence[str]) -> None:
    """Checks that all contenders compute the same logits from the common parameters."""
    outputs = {}
    for name in names:
        contender, params = setting.contender(name)
        outputs[name] = contender.apply(params, setting.ids)
    compare(outputs, "logits")
