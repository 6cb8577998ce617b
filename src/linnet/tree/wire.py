"""How far a msgpack value extends, found from its headers alone.

A header may promise any number of items, and a reader that makes room for them before it has seen
them lets a few bytes take all memory, the more so when such headers are nested. So the headers are
walked first, one after the other without recursion, and what they promise *together* is held
against the bytes that are left: an item takes a byte at least.
"""

from linnet.base.errors import SerializationError

# Header byte -> how many bytes follow, for values of fixed size.
_FIXED = {
    **dict.fromkeys((0xC0, 0xC2, 0xC3), 0),  # nothing, false, true
    **{0xCA + power: 4 * 2**power for power in range(2)},  # floats
    **{0xCC + power: 2**power for power in range(4)},  # unsigned integers
    **{0xD0 + power: 2**power for power in range(4)},  # signed integers
    **{0xD4 + power: 1 + 2**power for power in range(5)},  # extensions, with their code
}

# Header byte -> how many bytes tell the length; then as many bytes follow.
_COUNTED = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}  # and one more, the code

# Header byte -> how many bytes tell the number of entries, and how many items an entry is.
_CONTAINERS = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def check_extent(data: bytes) -> None:
    """Checks that bytes are one whole msgpack value and nothing more.

    Args:
        data: the bytes.

    Raises:
        SerializationError: they end too early, go on after the value, or have an unknown header.
    """
    at, awaited, size = 0, 1, len(data)
    while awaited:
        if at + awaited > size:
            raise _truncated(size, at + awaited)
        length, items = _header(data, at)
        at += length
        awaited += items - 1
    if at > size:
        raise _truncated(size, at)
    if at < size:
        raise SerializationError(
            f"the value ends after {at} of {size} bytes: something was appended to it, or the "
            "bytes are not msgpack; pass what `to_bytes` returned and nothing more"
        )


def _header(data: bytes, at: int) -> tuple[int, int]:
    """Returns how many bytes a value takes, items not counted, and how many items it promises."""
    head = data[at]
    if head < 0x80 or head >= 0xE0:  # small integers
        return 1, 0
    if head < 0x90:
        return 1, 2 * (head & 0x0F)
    if head < 0xA0:
        return 1, head & 0x0F
    if head < 0xC0:
        return 1 + (head & 0x1F), 0
    if head in _FIXED:
        return 1 + _FIXED[head], 0
    if head in _COUNTED:
        width = _COUNTED[head]
        return 1 + width + _number(data, at, width), 0
    if head in _EXTENSIONS:
        width = _EXTENSIONS[head]
        return 2 + width + _number(data, at, width), 0
    if head in _CONTAINERS:
        width, each = _CONTAINERS[head]
        return 1 + width, each * _number(data, at, width)
    raise SerializationError(
        f"byte {at} of {len(data)} is {head:#x}, which begins no msgpack value: the bytes are "
        "damaged, or are something else; write them again with `to_bytes(tree)`"
    )


def _number(data: bytes, at: int, width: int) -> int:
    if at + 1 + width > len(data):
        raise _truncated(len(data), at + 1 + width)
    return int.from_bytes(data[at + 1 : at + 1 + width], "big")


def _truncated(size: int, needed: int) -> SerializationError:
    return SerializationError(
        f"the bytes end after {size}, but at least {needed} are promised: they were cut off, by "
        "an interrupted write or download for example, or are not msgpack; read the file as a "
        "whole, or write it again with `to_bytes(tree)`"
    )
