"""The names of ``flax.nnx.pytreelib``: objects whose attributes JAX can see."""

from linnet.nnx import (
    Data as Data,
    Object as Object,
    Pytree as Pytree,
    Static as Static,
    check_pytree as check_pytree,
    data as data,
    dataclass as dataclass,
    has_data as has_data,
    is_data as is_data,
    register_data_type as register_data_type,
    static as static,
)
