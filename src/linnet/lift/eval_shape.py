"""``jax.eval_shape`` of pure functions of state: what they would return, with shapes for arrays."""

from typing import Any

import jax

from linnet.lift.engine import Changes, Groups, Plan, PureFunction


def run(pure: PureFunction, plan: Plan, groups: Groups, arguments: Any) -> tuple[Changes, Any]:
    """Trace a pure function, and compute nothing; for ``engine.carry``."""
    return jax.eval_shape(pure, groups, arguments)
