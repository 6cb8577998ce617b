"""The names of ``flax.training``: its modules."""

from linnet.as_flax.modules import common_utils
from linnet.training import train_state

__all__ = ["common_utils", "train_state"]
