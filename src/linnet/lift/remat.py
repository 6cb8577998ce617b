"""``jax.checkpoint`` of pure functions of state: a gradient computes again, and keeps nothing."""

from typing import Any

import jax

from linnet.lift.engine import Changes, Groups, Plan, PureFunction, Run


def run(**options: Any) -> Run:
    """Return what runs a pure function so.

    Args:
        **options: for ``jax.checkpoint``.
    """

    def call(pure: PureFunction, plan: Plan, groups: Groups, arguments: Any) -> tuple[Changes, Any]:
        return jax.checkpoint(pure, **options)(groups, arguments)

    return call
