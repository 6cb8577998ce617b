"""The names of ``flax.training``: its modules."""

from linnet.as_flax.modules import common_utils as common_utils
from linnet.training import train_state as train_state
