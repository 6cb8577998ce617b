"""Identities, beside Flax's."""

import copy
import pickle

import flax.ids as reference
import pytest

from linnet.base import ids as ours


@pytest.mark.parametrize("ids", [ours, reference], ids=["linnet", "flax"])
def test_identity(ids):
    """An identity equals itself, its number and its pickle; a copy is another one."""
    one, other = ids.uuid(), ids.uuid()
    assert one == one
    assert one != other
    assert one != one.id
    assert len({one, other, ids.FlaxId(one.id)}) == 2
    assert copy.copy(one) != one
    assert copy.deepcopy({"a": one})["a"] != one
    assert pickle.loads(pickle.dumps(one)) == one
    assert repr(one) == f"FlaxId({one.id})"
    assert isinstance(ids.uuid, ids.UUIDManager)
