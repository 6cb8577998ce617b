"""Bytes, beside Flax's; and bytes from anywhere, which give a value or a named error."""

import copy
import tracemalloc

import flax.core
import flax.serialization as reference
import flax.struct
import jax
import jax.numpy as jnp
import ml_dtypes
import msgpack
import numpy as np
import optax
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

import linnet.linen as nn
from linnet.base.errors import SerializationError, StateDictMismatchError, UnserializableTypeError
from linnet.tree import serialization as ours, struct
from linnet.tree.frozen_dict import FrozenDict

DTYPES = [
    *("bool", "int8", "uint16", "int32", "uint64", "float16", "float32", "float64"),
    *("complex64", "complex128", "longdouble", "datetime64[s]", "timedelta64[ms]"),
    *("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4"),
]


def same(left, right):
    """Says whether two restored trees are equal: types, dtypes, shapes and bits."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, np.ndarray | np.generic):
        return (
            left.dtype == right.dtype
            and left.shape == right.shape
            and left.tobytes() == right.tobytes()
        )
    return left == right or left != left


def agrees(tree):
    """Asserts that both libraries write the same bytes, and read them as the same tree."""
    data = ours.msgpack_serialize(tree)
    assert data == reference.msgpack_serialize(tree)
    in_order = ours.msgpack_serialize(tree, in_place=True)
    assert in_order == reference.msgpack_serialize(copy.deepcopy(tree), in_place=True)
    assert same(ours.msgpack_restore(data), reference.msgpack_restore(data))


VALUES = [
    *(None, True, 0, -1, 127, 128, -32, -33, 2**64 - 1, -(2**63), 1.5, float("nan"), 1 + 2j),
    *("", "x" * 31, "y" * 300, "é" * 70000, b"", b"z" * 300, bytearray(b"q")),
    *([], {}, list(range(20)), {str(i): i for i in range(20)}, list(range(70000))),
    *(
        {2: 1, 1.5: 3, 1: 2},
        {b"k": 1, b"a": 2},
        {"b": {"d": 1, "c": 2}, "a": 3},
        [{"a": [[1]]}, [2]],
    ),
    *(np.float32(3), np.int64(2), np.bool_(1), np.complex64(1j), np.float64(1)),
    *(ml_dtypes.bfloat16(2), np.datetime64(1, "s")),
    *(np.array(3.0), np.zeros((2, 0)), np.arange(6).reshape(2, 3).T, np.arange(10)[::2]),
    *({"a": jnp.ones((2, 3), jnp.bfloat16), "b": [jnp.arange(3)]}, jnp.float32(2)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{value!r:.20}")
def test_bytes_are_flaxs(value):
    """Every value is written as the bytes that Flax writes, and read as Flax reads it."""
    agrees(value)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 1, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_are_flaxs(dtype, shape):
    """Arrays of every dtype of numbers and their scalars are written and read as Flax does."""
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    agrees({"array": array})
    if not shape:
        agrees([array[()]])


@settings(deadline=None, max_examples=60)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats()
        | st.text(max_size=5)
        | st.binary(max_size=5)
        | hnp.arrays(st.sampled_from(["f4", "i8", "?"]), hnp.array_shapes(max_side=3)),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
    )
)
def test_generated_trees_are_flaxs(tree):
    """Trees of any shape are written and read as Flax does."""
    agrees(tree)


@pytest.mark.parametrize("limit", [1, 4, 7, 8, 23, 24, 25])
def test_large_arrays_are_split_as_flax_splits_them(limit, monkeypatch):
    """Above the limit an array is split, on it and below it is not, and it is put together."""
    monkeypatch.setattr(ours, "MAX_CHUNK_SIZE", limit)
    monkeypatch.setattr(reference, "MAX_CHUNK_SIZE", limit)
    array = np.arange(6, dtype=np.float32).reshape(2, 3)  # 24 bytes
    for tree in (
        array,
        {"a": jnp.asarray(array), "b": {"c": array.T}},
        [array, {"d": array}],
        {"l": [array]},
        {"scalar": np.float64(1), "none": np.zeros((0, 3)), "zero": np.array(3.0)},
    ):
        data = ours.msgpack_serialize(tree)
        assert data == reference.msgpack_serialize(tree)
        assert ours.to_bytes(tree) == reference.to_bytes(tree)
        assert same(ours.msgpack_restore(data), reference.msgpack_restore(data))
    assert (b"__msgpack_chunked_array__" in ours.msgpack_serialize(array)) == (limit < 24)


def test_limit_is_flaxs():
    """Arrays are split above the same size as in Flax."""
    assert ours.MAX_CHUNK_SIZE == reference.MAX_CHUNK_SIZE


def training(m, frozen):
    """Makes a state of training with either library: a struct, parameters and an optimizer."""

    @m.dataclass
    class State:
        step: int
        params: object
        opt_state: object
        name: str = m.field(pytree_node=False, default="run")

    params = frozen({"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3, jnp.bfloat16)}})
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    return State(3, params, tx.init(params))


def test_training_state_crosses_both_ways():
    """A state of training has Flax's bytes, and each library reads what the other wrote."""
    mine, theirs = training(struct, FrozenDict), training(flax.struct, flax.core.FrozenDict)
    data = ours.to_bytes(mine)
    assert data == reference.to_bytes(theirs)
    restored = ours.from_bytes(jax.tree.map(jnp.zeros_like, mine), data)
    assert jax.tree.structure(restored) == jax.tree.structure(mine)
    assert all(map(np.array_equal, jax.tree.leaves(restored), jax.tree.leaves(mine)))
    assert reference.from_bytes(theirs, data).step == 3


def test_variables_of_a_model_cross():
    """What Flax saved of a model's variables, a model of Linnet is restored from."""
    model = nn.Dense(2)
    variables = model.init(jax.random.key(0), jnp.ones((1, 3)))
    data = reference.to_bytes(jax.tree.map(np.asarray, variables))
    restored = ours.from_bytes(model.init(jax.random.key(1), jnp.ones((1, 3))), data)
    inputs = jnp.ones((4, 3))
    np.testing.assert_array_equal(model.apply(restored, inputs), model.apply(variables, inputs))


def test_keys_without_an_order_keep_their_own():
    """A dict with keys of several types is written in its order; Flax refuses to sort it."""
    tree = {"b": 1, None: 2, 3: 4}
    assert list(ours.msgpack_restore(ours.msgpack_serialize(tree))) == ["b", None, 3]
    with pytest.raises(ValueError, match="sorting"):
        reference.msgpack_serialize(tree)


def test_in_place_leaves_the_tree_alone():
    """A tree may be changed where `in_place` is set; it is not, and the bytes are the same."""
    tree = {"a": jnp.arange(3)}
    assert ours.msgpack_serialize(tree, in_place=True) == ours.msgpack_serialize(tree)
    assert isinstance(tree["a"], jax.Array)


def test_byte_order_is_the_machines():
    """An array of the other byte order keeps its values; in Flax it loses them."""
    restored = ours.msgpack_restore(ours.msgpack_serialize(np.arange(3, dtype=">i4")))
    np.testing.assert_array_equal(restored, [0, 1, 2])
    assert restored.dtype == np.int32


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_random_keys(impl, shape, monkeypatch):
    """Typed random keys, which Flax cannot write, keep implementation, shape and words."""
    keys = jax.random.key(7, impl=impl)
    keys = jax.random.split(keys, shape) if shape else keys
    for limit in (ours.MAX_CHUNK_SIZE, 8):
        monkeypatch.setattr(ours, "MAX_CHUNK_SIZE", limit)
        restored = ours.from_bytes(
            {"rng": keys, "l": [keys]}, ours.to_bytes({"rng": keys, "l": [keys]})
        )
        for found in (restored["rng"], restored["l"][0]):
            assert found.dtype == keys.dtype
            np.testing.assert_array_equal(jax.random.key_data(found), jax.random.key_data(keys))
    with pytest.raises(TypeError):
        reference.to_bytes({"rng": keys})


def test_flax_reads_a_random_key_as_its_parts():
    """Flax reads a written random key as the dict of its parts."""
    data = ours.to_bytes({"rng": jax.random.key(0)})
    parts = reference.msgpack_restore(data)["rng"]
    assert parts["__linnet_prng_key__"] == "threefry2x32"
    np.testing.assert_array_equal(parts["data"], jax.random.key_data(jax.random.key(0)))


# --- what cannot be written ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"a": [(1, 2)]}, "./a/0 is a tuple"),
        (FrozenDict(a=1), "the tree is a FrozenDict"),
        ({"a": {1, 2}}, "./a is a set"),
        ({"a": object()}, "./a is a object"),
        ({"a": {(1, 2): 3}}, r"./a is a dict with the key \(1, 2\)"),
        ({"a": np.array(["x"])}, "./a is an array of <U1"),
        ({"a": np.array([None])}, "./a is an array of object"),
        ({"a": np.zeros(1, [("x", int)])}, "./a is an array of"),
        ({"a": np.ma.ones(2)}, "MaskedArray"),
    ],
)
def test_other_types_are_refused(tree, told):
    """A value that cannot be written, or not read again, is refused with its path."""
    with pytest.raises(UnserializableTypeError, match=told):
        ours.msgpack_serialize(tree)
    assert issubclass(UnserializableTypeError, TypeError)


def test_large_integers_and_deep_trees_are_refused():
    """What msgpack has no room for is refused."""
    with pytest.raises(SerializationError, match=f"./a is the integer {2**70}"):
        ours.msgpack_serialize({"a": 2**70})
    deep = []
    for _ in range(2000):
        deep = [deep]
    itself = []
    itself.append(itself)
    for tree in (deep, itself, ["\ud800"]):
        with pytest.raises(SerializationError, match="cannot be written as msgpack"):
            ours.msgpack_serialize(tree)


def test_traced_arrays_are_refused():
    """Writing inside a transformation is told, with the path of the traced array."""
    with pytest.raises(UnserializableTypeError, match=r"\./a/0 is traced"):
        jax.jit(lambda x: ours.to_bytes({"a": [x]}) and x)(1.0)


# --- what cannot be read ------------------------------------------------------------------------


def extension(code, payload):
    """Writes an extension."""
    return msgpack.packb(msgpack.ExtType(code, msgpack.packb(payload)))


def chunked(**parts):
    """Writes a split array of two bytes, with some parts of it replaced."""
    chunk = msgpack.ExtType(1, msgpack.packb([[1], "int8", b"\1"]))
    whole = {"shape": {"0": 2}, "chunks": {"0": chunk, "1": chunk}}
    return msgpack.packb({"__msgpack_chunked_array__": True, **whole, **parts})


WRONG = {
    "nothing": (b"", "cut off"),
    "unknown header": (b"\xc1", "byte 0 of 1 is 0xc1"),
    "inner unknown header": (b"\x91\xc1", "byte 1 of 2"),
    "appended": (b"\x01\x02", "ends after 1 of 2"),
    "short list": (b"\x92\x01", "end after 2, but at least 3"),
    "short length": (b"\xdd\x00\x00", "cut off"),
    "short text": (b"\xa5abc", "end after 4, but at least 6"),
    "no unicode": (b"\xa1\xff", "not msgpack of a state dict"),
    "too deep": (b"\x91" * 2000 + b"\x01", "not msgpack of a state dict"),
    "list as key": (b"\x81\x90\x01", "unhashable"),
    "same key twice": (b"\x82\xa1a\x01\xa1a\x02", "of 2 keys only 1"),
    "unknown extension": (extension(5, 1), "extension 5"),
    "extension in extension": (extension(1, msgpack.ExtType(1, b"")), "inside another one"),
    "empty extension": (b"\xc7\x00\x01", "cut off"),
    "array of one part": (extension(1, 0), "not 3 parts"),
    "array too short": (extension(1, [[3], "int32", b"\0" * 8]), r"int32\[3\] does not take 8"),
    "array too long": (extension(1, [[1], "int32", b"\0" * 8]), "does not take 8"),
    "huge array": (extension(1, [[2**62, 2**62], "int32", b""]), "does not take 0"),
    "huge and empty": (extension(1, [[0, 2**62], "int32", b""]), "too big"),
    "many axes": (extension(1, [[1] * 1000, "int8", b"\0"]), "its shape is"),
    "negative axis": (extension(1, [[-1, -4], "int8", b"\0" * 4]), "its shape is"),
    "axis of text": (extension(1, [["3"], "int8", b"\0" * 3]), "its shape is"),
    "objects": (extension(1, [[1], "object", b"\0" * 8]), "'object'"),
    "records": (extension(1, [[1], "i4,O", b"\0" * 12]), "'i4,O'"),
    "unknown dtype": (extension(1, [[1], "int7", b"\0"]), "'int7'"),
    "bytes as text": (extension(1, [[1], b"\xff", b"\0"]), "ascii"),
    "complex of text": (extension(2, ["1", 2]), "a complex number"),
    "complex of three": (extension(2, [1, 2, 3]), "a complex number"),
    "scalar with axes": (extension(3, [[1], "int8", b"\0"]), r"a NumPy scalar .* shape \(1,\)"),
    "no chunks": (chunked(chunks={}), "flat arrays of one dtype"),
    "chunks are text": (chunked(chunks="ab"), "stands for a list"),
    "chunks of integers": (chunked(chunks={"0": 1}), "flat arrays of one dtype"),
    "chunks misnumbered": (chunked(chunks={"1": 1}), r"its parts are \['1'\]"),
    "chunks do not fit": (chunked(shape={"0": 3}), r"do not make shape \(3,\)"),
    "shape missing": (chunked(shape=None), "None stands for"),
    "key of an unknown kind": (
        msgpack.packb(
            {
                "__linnet_prng_key__": "os.system",
                "data": msgpack.ExtType(1, msgpack.packb([[2], "uint32", b"\0" * 8])),
            }
        ),
        "unrecognized PRNG",
    ),
    "key of other words": (
        msgpack.packb(
            {
                "__linnet_prng_key__": "threefry2x32",
                "data": msgpack.ExtType(1, msgpack.packb([[3], "uint32", b"\0" * 12])),
            }
        ),
        "invalid PRNG key data",
    ),
    "key without words": (msgpack.packb({"__linnet_prng_key__": "rbg"}), "a random key"),
    "key of text": (
        msgpack.packb({"__linnet_prng_key__": "rbg", "data": "x"}),
        "not an array of uint32",
    ),
}


@pytest.mark.parametrize(("data", "told"), WRONG.values(), ids=WRONG)
def test_damaged_bytes_are_told(data, told):
    """Bytes that are no state dict are a named error that says what is wrong with them."""
    with pytest.raises(SerializationError, match=told):
        ours.msgpack_restore(data)


def test_not_bytes():
    """Anything but bytes is refused; what can be looked at as bytes is taken."""
    with pytest.raises(UnserializableTypeError, match="was given str"):
        ours.msgpack_restore("text")
    assert ours.msgpack_restore(memoryview(b"\x01")) == 1


def test_old_names_of_dtypes_as_bytes():
    """The name of a dtype may be bytes, as old writers left it."""
    data = extension(1, [[2], b"bfloat16", b"\x80?\x80?"])
    assert same(ours.msgpack_restore(data), reference.msgpack_restore(data))


def test_bytes_of_another_structure():
    """Sound bytes of another structure are told by what is missing and unknown."""
    with pytest.raises(StateDictMismatchError) as caught:
        ours.from_bytes([0, {"a": 1}], ours.to_bytes([1, {"b": 2}, 3]))
    assert len(caught.value.misfits) == 3


def readable(data):
    """Reads bytes: either there is a value, which can be looked at, or the named error."""
    try:
        value = ours.msgpack_restore(data)
    except SerializationError:
        return
    repr(value)


SOUND = ours.to_bytes(
    {
        "step": 3,
        "z": 1 + 2j,
        "params": {"kernel": np.ones((2, 3), np.float32), "bias": jnp.ones(2, jnp.bfloat16)},
        "scalar": np.float32(1),
        "list": [None, True, "text", b"bytes"],
        "rng": jax.random.key(0),
    }
)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=64))
def test_any_bytes(data):
    """Whatever the bytes, reading gives a value or the named error."""
    readable(data)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([SOUND, chunked()]),
    st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=4),
    st.integers(0, len(SOUND)),
)
def test_sound_bytes_with_damage(data, changes, kept):
    """Sound bytes, some of them changed and the end cut off, give a value or the named error."""
    damaged = bytearray(data)
    for place, byte in changes:
        damaged[place % len(damaged)] = byte
    readable(bytes(damaged))
    readable(bytes(damaged[:kept]))


parts = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.sampled_from(["float32", "datetime64[0s]", "timedelta64[999999999Y]", "bool", "rbg"])
    | st.sampled_from([b"", b"\0" * 4, b"\xff" * 8]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.builds(
            lambda code, x: msgpack.ExtType(code, msgpack.packb(x)), st.integers(0, 4), inner
        )
        | st.dictionaries(
            st.sampled_from(
                [
                    *("0", "1", "shape", "chunks", "data"),
                    *("__msgpack_chunked_array__", "__linnet_prng_key__"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(parts)
def test_confused_types(tree):
    """Sound msgpack whose parts are of the wrong types gives a value or the named error."""
    readable(msgpack.packb(tree))


@pytest.mark.parametrize("header", [b"\xdd", b"\xdf", b"\xc6", b"\xc9", b"\xdb"])
def test_memory_is_bounded(header):
    """Nested headers that promise much make no room for it."""
    size = 200_000
    data = (header + (size - 10).to_bytes(4, "big")) * 1000
    data += b"\0" * (size - len(data))
    tracemalloc.start()
    with pytest.raises(SerializationError):
        ours.msgpack_restore(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * size
