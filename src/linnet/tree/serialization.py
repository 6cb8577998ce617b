"""Bytes: state dicts as msgpack, and back; ``to_bytes`` and ``from_bytes`` are inverse.

What msgpack has no type for travels as an *extension*: a number that says what it is, and a payload
that is msgpack again.

| code | value          | payload                               |
|------|----------------|---------------------------------------|
| 1    | array          | ``[shape, name of the dtype, bytes]`` |
| 2    | complex number | ``[real part, imaginary part]``       |
| 3    | NumPy scalar   | like an array of shape ``[]``         |

Two things are marked by a key of a dict. An array of more than ``MAX_CHUNK_SIZE`` bytes is split,
for msgpack counts bytes in 32 bits: ``{"__msgpack_chunked_array__": True, "shape": {"0": 2, ...},
"chunks": {"0": ..., ...}}``, the chunks being flat arrays. An array of random keys is written as
``{"__linnet_prng_key__": name of its implementation, "data": its words}``.

Reading trusts nothing. No byte leads to code being looked up or run; a dtype has to be one of
numbers; every length is held against the bytes that are there before anything of that length is
made, so the memory needed is a small multiple of what was passed. What fails, fails as
``SerializationError``.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from linnet.base.errors import SerializationError, UnserializableTypeError
from linnet.base.jaxcompat import trace_of
from linnet.tree.state_dict import (
    current_path as current_path,
    from_state_dict,
    is_serializable as is_serializable,
    register_serialization_state as register_serialization_state,
    to_state_dict,
)
from linnet.tree.wire import check_extent

MAX_CHUNK_SIZE = 2**30
"""How many bytes of an array are written in one piece."""

_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_CHUNKED = "__msgpack_chunked_array__"
_RANDOM_KEY = "__linnet_prng_key__"

# The dtypes that are numbers, those of ml_dtypes included. No other name reaches np.dtype, which
# understands a language of its own.
_NUMBERS = re.compile(
    r"bool|bfloat16|u?int\d{1,2}|float\d{1,3}(_\w{1,12})?|complex\d{2,3}"
    r"|(datetime|timedelta)64(\[\d{0,9}[A-Za-z]{1,2}\])?",
    re.ASCII,
)


def to_bytes(target: Any) -> bytes:
    """Returns the state of a tree as bytes.

    Args:
        target: the tree.

    Raises:
        SerializationError: something in it cannot be written.

    >>> from_bytes({"count": 0}, to_bytes({"count": 3}))
    {'count': 3}
    """
    return msgpack_serialize(to_state_dict(target), in_place=True)


def from_bytes(target: Any, encoded_bytes: bytes) -> Any:
    """Returns a copy of a tree with the leaves that were saved with ``to_bytes``.

    Args:
        target: a tree of the structure that was saved; ``None`` gives the state dict itself.
        encoded_bytes: the bytes; they need not be trusted.

    Raises:
        SerializationError: the bytes are damaged, or do not fit the target.
    """
    return from_state_dict(target, msgpack_restore(encoded_bytes))


def msgpack_serialize(pytree: Any, in_place: bool = False) -> bytes:
    """Returns a tree of dicts, lists, arrays and Python's simple types as bytes.

    Args:
        pytree: the tree.
        in_place: whether to write each dict in its own order. Otherwise its keys are sorted if they
            can be, as those of a pytree are. The tree itself is never changed, nor are arrays
            copied before their turn comes.

    Raises:
        UnserializableTypeError: something in it is of another type. The message has its path.
        SerializationError: something cannot be written, such as an integer of more than 64 bits.

    >>> msgpack_restore(msgpack_serialize({"loss": 0.5, "shape": [2, 3]}))
    {'loss': 0.5, 'shape': [2, 3]}
    """
    import msgpack

    try:
        packable = _packable(pytree if in_place else _sorted(pytree), (), split=True)
        return cast("bytes", msgpack.packb(packable, default=_extension, strict_types=True))
    except SerializationError:
        raise
    except (ValueError, OverflowError, RecursionError) as error:
        raise SerializationError(
            f"the tree cannot be written as msgpack: {error}. It may be nested more than 500 deep, "
            "contain itself, or hold a string that is not Unicode"
        ) from error


def msgpack_restore(encoded_pytree: bytes) -> Any:
    """Returns what ``msgpack_serialize`` wrote; arrays come back as NumPy's.

    Args:
        encoded_pytree: the bytes; they need not be trusted.

    Raises:
        SerializationError: they are truncated, too long, malformed, or not what was written.
    """
    if not isinstance(encoded_pytree, bytes | bytearray | memoryview):
        raise UnserializableTypeError(
            f"msgpack_restore was given {type(encoded_pytree).__name__}, but it reads bytes: pass "
            "pathlib.Path(file).read_bytes()"
        )
    return _unpacked(bytes(encoded_pytree), _value_of_extension, _value_of_pairs)


# --- writing ------------------------------------------------------------------------------------


def _packable(node: Any, path: tuple[Any, ...], *, split: bool) -> Any:
    """Checks a tree for what cannot be written, and brings arrays into a form that can.

    Args:
        node: the tree.
        path: where it is, for messages.
        split: whether large arrays are split. Below a list they are not: Flax would not join them.
    """
    kind = type(node)
    if kind is dict:
        for key in node:
            _check_key(key, path)
        items = node.items()
        return {key: _packable(child, (*path, key), split=split) for key, child in items}
    if kind is list:
        return [_packable(child, (*path, i), split=False) for i, child in enumerate(node)]
    if isinstance(node, jax.Array | np.ndarray | np.generic):
        return _packable_array(node, path, split=split)
    if kind is int and not -(2**63) <= node < 2**64:
        raise SerializationError(
            f"{_place(path)} is the integer {node}, but msgpack has 64 bits for one; write it as "
            "a string or as an array of smaller ones"
        )
    if kind not in (type(None), bool, int, float, complex, str, bytes, bytearray, memoryview):
        raise UnserializableTypeError(
            f"{_place(path)} is a {kind.__name__}, which msgpack has no type for. A tuple, a "
            "FrozenDict or a registered class is written with `to_bytes(tree)`, or as "
            "`msgpack_serialize(to_state_dict(tree))`; for any other class register functions with "
            "`register_serialization_state`, or leave it out"
        )
    return node


def _sorted(node: Any) -> Any:
    if type(node) is list:
        return [_sorted(child) for child in node]
    if type(node) is not dict:
        return node
    try:
        keys = sorted(node)
    except TypeError:  # keys of several types have no order but their own
        keys = list(node)
    return {key: _sorted(node[key]) for key in keys}


def _packable_array(array: Any, path: tuple[Any, ...], *, split: bool) -> Any:
    if trace_of(array) is not None:
        raise UnserializableTypeError(
            f"{_place(path)} is traced by a JAX transformation, {array}, so it has no bytes yet; "
            "return it from the transformed function and write it outside"
        )
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        name: Any = jax.random.key_impl(array)
        if not isinstance(name, str):
            raise UnserializableTypeError(
                f"{_place(path)} holds random keys of an implementation without a name, {name!r}, "
                "which could not be found again; write `jax.random.key_data(keys)`"
            )
        words = _packable_array(jax.random.key_data(array), path, split=split)
        return {_RANDOM_KEY: name, "data": words}
    if isinstance(array, np.ma.MaskedArray) or _dtype_of(array.dtype.name) is None:
        raise UnserializableTypeError(
            f"{_place(path)} is an array of {array.dtype} ({type(array).__name__}), but only "
            "arrays of numbers without a mask are written; write strings as a list of str, and "
            "records and masks as one array each"
        )
    if not split or isinstance(array, np.generic) or array.nbytes <= MAX_CHUNK_SIZE:
        return array
    flat = np.asarray(array).reshape(-1)  # [size]
    step = max(1, MAX_CHUNK_SIZE // flat.dtype.itemsize)
    chunks = [flat[start : start + step] for start in range(0, flat.size, step)]
    return {_CHUNKED: True, "shape": _numbered(array.shape), "chunks": _numbered(chunks)}


def _extension(value: Any) -> Any:
    """Writes one value that msgpack has no type for; msgpack calls it when it gets there."""
    import msgpack

    if isinstance(value, complex) and not isinstance(value, np.generic):
        return msgpack.ExtType(_COMPLEX, msgpack.packb((value.real, value.imag)))
    array = np.asarray(value)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)  # the name tells no byte order
    payload = msgpack.packb((array.shape, array.dtype.name, array.tobytes()))
    return msgpack.ExtType(_SCALAR if isinstance(value, np.generic) else _ARRAY, payload)


def _check_key(key: Any, path: tuple[Any, ...]) -> None:
    if type(key) not in (str, int, bool, float, bytes, type(None)):
        raise UnserializableTypeError(
            f"{_place(path)} is a dict with the key {key!r} ({type(key).__name__}), which cannot "
            "be written; use strings, or `to_bytes(tree)`, which makes strings of the keys"
        )


def _place(path: tuple[Any, ...]) -> str:
    return "/".join([".", *map(str, path)]) if path else "the tree"


def _numbered(items: Iterable[Any]) -> dict[str, Any]:
    return {str(index): item for index, item in enumerate(items)}


# --- reading ------------------------------------------------------------------------------------


def _unpacked(
    data: bytes,
    extension: Callable[[int, bytes], Any],
    pairs: Callable[[Iterable[tuple[Any, Any]]], Any] | None = None,
) -> Any:
    import msgpack

    check_extent(data)
    try:
        return msgpack.unpackb(
            data, ext_hook=extension, object_pairs_hook=pairs, strict_map_key=False
        )
    except SerializationError:
        raise
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise SerializationError(
            f"the {len(data)} bytes are not msgpack of a state dict "
            f"({str(error) or type(error).__name__}); they are damaged or something else: write "
            "them again with `to_bytes(tree)`"
        ) from error


def _value_of_extension(code: int, payload: bytes) -> Any:
    if code not in (_ARRAY, _COMPLEX, _SCALAR):
        raise _malformed(f"extension {code}", "only 1, 2 and 3 are known")
    parts: Any = _unpacked(payload, _no_extension)
    if code == _COMPLEX:
        match parts:
            case [int() | float() as real, int() | float() as imaginary]:
                return complex(real, imaginary)
            case _:
                raise _malformed("a complex number", f"its payload is {parts!r:.80}")
    array = _array(parts)
    if code == _ARRAY:
        return array
    if array.shape:
        raise _malformed("a NumPy scalar", f"it has shape {array.shape}")
    return array[()]


def _no_extension(code: int, _: bytes) -> Any:
    raise _malformed(f"extension {code}", "it stands inside another one")


def _array(parts: Any) -> np.ndarray[Any, Any]:
    match parts:
        case [list() as lengths, str() | bytes() as name, bytes() as data]:
            shape = _shape(cast("list[Any]", lengths))
        case _:
            raise _malformed("an array", f"its payload is {type(parts).__name__}, not 3 parts")
    dtype = _dtype_of(name if isinstance(name, str) else name.decode("ascii"))
    if dtype is None:
        raise _malformed("an array", f"its dtype is {name!r:.40}, which is no type of numbers")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise _malformed("an array", f"{dtype}{list(shape)} does not take {len(data)} bytes")
    return np.ndarray(shape, dtype, data)


def _shape(lengths: Iterable[Any]) -> tuple[int, ...]:
    shape = tuple(lengths)
    # The number of axes is NumPy's limit: a longer product would only take time.
    if len(shape) > 64 or not all(type(length) is int and length >= 0 for length in shape):
        raise _malformed("an array", f"its shape is {shape!r:.80}")
    return shape


def _dtype_of(name: str) -> np.dtype[Any] | None:
    """Returns the dtype of numbers that has a name, if one has."""
    if not _NUMBERS.fullmatch(name):
        return None
    try:
        return np.dtype(name)
    except TypeError:
        return None


def _value_of_pairs(given: Iterable[tuple[Any, Any]]) -> Any:
    pairs = list(given)  # msgpack written in Python, where it was not compiled, gives an iterator
    items = dict(pairs)
    if len(items) != len(pairs):
        raise _malformed("a dict", f"of {len(pairs)} keys only {len(items)} are different")
    if _CHUNKED in items:
        return _joined(items)
    if _RANDOM_KEY in items:
        return _random_key(items)
    return items


def _joined(items: Mapping[Any, Any]) -> np.ndarray[Any, Any]:
    """Puts the chunks of a large array together."""
    shape = _shape(_listed(items.get("shape")))
    chunks = _listed(items.get("chunks"))
    if not chunks or not all(
        isinstance(chunk, np.ndarray) and chunk.ndim == 1 and chunk.dtype == chunks[0].dtype
        for chunk in chunks
    ):
        raise _malformed("a split array", "its chunks are not flat arrays of one dtype")
    if math.prod(shape) != sum(chunk.size for chunk in chunks):
        sizes = [chunk.size for chunk in chunks]
        raise _malformed("a split array", f"chunks of {sizes!r:.80} do not make shape {shape}")
    return np.concatenate(chunks).reshape(shape)  # [size] -> shape


def _listed(numbered: Any) -> list[Any]:
    if not isinstance(numbered, dict):
        raise _malformed("a split array", f"{numbered!r:.40} stands for a list of parts")
    parts = cast("dict[Any, Any]", numbered)
    if set(parts) != {str(index) for index in range(len(parts))}:
        raise _malformed("a split array", f"its parts are {list(parts)!r:.80}")
    return [parts[str(index)] for index in range(len(parts))]


def _random_key(items: Mapping[Any, Any]) -> jax.Array:
    name, words = items[_RANDOM_KEY], items.get("data")
    if set(items) != {_RANDOM_KEY, "data"} or not isinstance(name, str):
        raise _malformed("a random key", f"its parts are {list(items)!r:.80}")
    if not isinstance(words, np.ndarray) or words.dtype != np.uint32:
        raise _malformed("a random key", "its words are not an array of uint32")
    return jax.random.wrap_key_data(
        jnp.asarray(words), impl=name
    )  # refuses unknown names and wrong shapes


def _malformed(what: str, why: str) -> SerializationError:
    return SerializationError(
        f"the bytes hold {what} that cannot be read: {why}. They are damaged, or were not written "
        "by `to_bytes` or `msgpack_serialize`; write them again"
    )
