"""Every field of every layer, given everything that people write for it, under both libraries.

The fields are read from the layers themselves. For each there is a list of values, by the name of
the field: numbers of Python, NumPy and JAX, dtypes in each spelling, lists and tuples, initializers
that are functions, partials or hold arrays, callables.
"""

import dataclasses
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from differential.compare import Raised, compare
from differential.layers import CASES
from differential.programs import outcome
from linnet import linen, nnx
from linnet.nnx.layers.layer import Layer


def numbers(number):
    """Return a real number in each of the types that programs have it in."""
    of_numpy = [np.float32(number), np.float64(number), np.array(number, np.float32)]
    return [number, *of_numpy, jnp.float32(number), jnp.array(number)]


def sizes(size):
    """Return a size in each of the types that programs have it in."""
    return [size, np.int32(size), np.int64(size)]


def axes(axis):
    """Return one axis in each of its spellings."""
    return [axis, (axis,), [axis], np.int32(axis), (np.int64(axis),)]


FLAGS = [True, False, np.bool_(False), 0]
DTYPES = [None, jnp.bfloat16, "bfloat16", np.dtype("float32"), np.float32, "float32", jnp.float16]
INITIALIZERS = [
    lambda nn: nn.initializers.ones,
    lambda nn: nn.initializers.zeros_init(),
    lambda nn: nn.initializers.constant(np.float32(2.0)),
    lambda nn: nn.initializers.constant(jnp.array(2.0)),
    lambda nn: nn.initializers.normal(jnp.sqrt(2.0)),
    lambda nn: nn.initializers.normal(stddev=np.float64(0.1)),
    lambda nn: nn.initializers.uniform(np.array(0.5)),
    lambda nn: nn.initializers.truncated_normal(jnp.float32(0.1)),
    lambda nn: functools.partial(jax.random.uniform, minval=-1.0),
    lambda nn: functools.partial(nn.initializers.uniform(), out_sharding=None),
    lambda nn: jax.nn.initializers.normal(1.0),
    lambda nn: jax.random.normal,
    lambda nn: lambda key, shape, dtype=jnp.float32: jnp.full(shape, 0.5, dtype),
]
KERNELS = [
    *INITIALIZERS,
    lambda nn: nn.initializers.variance_scaling(jnp.float32(1.0), "fan_in", "normal"),
    lambda nn: nn.initializers.variance_scaling(np.float32(2), "fan_avg", "uniform", [-2], (-1,)),
    lambda nn: nn.initializers.he_normal(in_axis=(-2,)),
]
PRODUCTS = [
    lax.dot_general,
    lambda *args, **how: 2 * lax.dot_general(*args, **how),
    functools.partial(lax.dot_general),
]
CONVOLUTIONS = [
    lax.conv_general_dilated,
    lambda *args, **how: 2 * lax.conv_general_dilated(*args, **how),
]
SPATIAL = [1, 2, (2,), [2], np.int32(2), None]
PADDINGS = ["SAME", "VALID", "CIRCULAR", 1, [1], (1,), ((1, 0),), [(0, 1)], [[0, 1]], np.int64(1)]

VALUES = {
    "features": sizes(4),
    "out_features": sizes(4),
    "in_features": sizes(4),
    "num_features": sizes(4),
    "num_embeddings": sizes(5),
    "num_heads": sizes(2),
    "num_groups": sizes(2),
    "lora_rank": sizes(2),
    "qkv_features": [None, *sizes(4)],
    "in_kv_features": [None, *sizes(4)],
    "num_kv_heads": [None, *sizes(1)],
    "group_size": [None],
    "feature_group_count": sizes(2),
    "shape": [(4, 2), [4, 2], np.array([4, 2])],
    "kernel_shape": [(4, 2), [4, 2], np.array([4, 2])],
    "bias_shape": [None, 2, (2,), [2]],
    "einsum_str": ["...i,io->...o", " abi, io -> abo"],
    "kernel_size": [2, (2,), [2], np.int32(2), (np.int64(2),)],
    "strides": SPATIAL,
    "input_dilation": SPATIAL,
    "kernel_dilation": SPATIAL,
    "padding": PADDINGS,
    "axis": axes(-1),
    "reduction_axes": axes(-1),
    "feature_axes": axes(-1),
    "batch_dims": [(), []],
    "batch_axis": [{}],
    "broadcast_dims": [(), [0], (0,), (np.int64(0),)],
    "axis_index_groups": [None],
    "axis_name": [None],
    "epsilon": [*numbers(1e-2), 1],
    "momentum": [*numbers(0.5), 1, 0],
    "rate": [*numbers(0.5), 0, 1, 0.0],
    "dropout_rate": [0, np.float32(0.0), jnp.float32(0.0)],
    "negative_slope_init": [*numbers(0.25), 1],
    "precision": [None, "highest", lax.Precision.HIGH, ("high", "highest"), "float32"],
    "preferred_element_type": [None, jnp.float32, "float32", np.dtype("float32")],
    "mask": [None],
    "dot_general": [None, *PRODUCTS],
    "qkv_dot_general": PRODUCTS,
    "out_dot_general": PRODUCTS,
    "dot_general_cls": [None, lambda: lax.dot_general],
    "qkv_dot_general_cls": [None, lambda: lax.dot_general],
    "out_dot_general_cls": [None, lambda: lax.dot_general],
    "conv_general_dilated": CONVOLUTIONS,
    "conv_general_dilated_cls": [None, lambda: lax.conv_general_dilated],
    "einsum_op": [jnp.einsum, lambda *args, **how: 2 * jnp.einsum(*args, **how)],
    "qk_attn_weights_einsum_cls": [None],
    "attn_weights_value_einsum_cls": [None],
    "rng_collection": ["dropout"],
    "rngs": [],
    "attention_fn": [
        lambda nn: functools.partial(nn.dot_product_attention, broadcast_dropout=False)
    ],
    "decode": [False],
    "deterministic": FLAGS,
    "use_running_average": FLAGS,
    "base_module": [None],
    "lora_param_type": [],
    **{name: [{}] for name in ("kernel_metadata", "bias_metadata", "scale_metadata")},
}
OF_LIBRARY = {"attention_fn"}  # whose values are functions of the namespace
SUFFIXES = {
    "promote_dtype": [lambda *args, **how: args[0] if isinstance(args[0], tuple) else args],
    "param_dtype": DTYPES,
    "dtype": [*DTYPES, "int32"],
    "metadata": [{}, {"unit": "m"}],
    "init": INITIALIZERS,
    "initializer": INITIALIZERS,
}
# what the layers are called on, made of an array of NumPy
INPUTS = {
    "numpy": lambda x: x,
    "jax": jnp.asarray,
    "lists": lambda x: x.tolist(),
    "a wider dtype": lambda x: x.astype(np.dtype(f"{x.dtype.kind}8")),
    "whole numbers": lambda x: jnp.asarray(x, jnp.int16),
    "booleans": lambda x: x > 0,
    "bfloat16": lambda x: jnp.asarray(x, jnp.bfloat16) if x.dtype.kind == "f" else x,
    "one example": lambda x: x[0],
}


def values_for(case, name):
    """Return the values for a field, each a function of the namespace."""
    if (case.name, name) == ("GroupNorm", "reduction_axes"):
        values = [None, (1, 2), [1, 2], (-2, -1), (np.int64(1), -1)]
    elif name in VALUES:
        values = VALUES[name]
    else:
        values = next((each for end, each in SUFFIXES.items() if name.endswith(end)), FLAGS)
    made = name in OF_LIBRARY or values is INITIALIZERS
    return [value if made else (lambda nn, value=value: value) for value in values]


def fields_of(case):
    """Return the fields that the layer has in both libraries."""
    ours, theirs = (
        inspect.signature(getattr(library, case.name).__init__).parameters
        for library in case.libraries
    )
    left_out = ("self", "name", "parent", "kwargs")
    return [name for name in ours if name in theirs and name not in left_out]


def tolerance_of(*results):
    """Return the tolerance of the narrowest dtype among results."""
    dtypes = {x.dtype for x in jax.tree.leaves(results) if hasattr(x, "dtype")}
    return 3e-2 if dtypes & {jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float16)} else 1e-5


def check(case, program, what):
    """Compare what a layer does with something; say whether Flax takes it."""
    theirs, ours = (outcome(program, library) for library in case.libraries)
    if isinstance(theirs, Raised):
        # we may take more; what we refuse too, we refuse with a like error
        if isinstance(ours, Raised):
            assert {theirs.name, "ValueError"} & set(ours.bases), (case, what, theirs, ours)
        return False
    compare(ours, theirs, f"{case}, {what}", tolerance=tolerance_of(ours, theirs))
    return True


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fields_take_what_they_take_on_flax(case, record_property):
    """Whatever Flax takes for a field of a layer is taken here, and gives the same numbers."""
    taken = [
        check(case, lambda nn, name=name, value=value: case.run(nn, **{name: value(nn)}), name)
        for name in fields_of(case)
        for value in values_for(case, name)
    ]
    record_property("cases", len(taken))
    print(f"{case}: {len(taken)} cases, of which Flax refuses {taken.count(False)}")
    assert sum(taken) > len(taken) / 2


@pytest.mark.parametrize("case", CASES, ids=str)
def test_inputs_are_what_they_may_be_on_flax(case, record_property):
    """Whatever Flax takes for the inputs of a layer is taken here, and gives the same numbers."""

    def called_on(make):
        inputs = tuple(map(make, case.inputs))
        return lambda nn: dataclasses.replace(case, inputs=inputs).run(nn)

    taken = [check(case, called_on(make), what) for what, make in INPUTS.items()]
    record_property("cases", len(taken))
    print(f"{case}: {len(taken)} cases, of which Flax refuses {taken.count(False)}")
    assert sum(taken) > len(taken) / 2


def test_how_many_cases_there_are():
    """The table is as long as it is said to be, and no layer of ours is missing from it."""
    fields = sum(len(values_for(case, name)) for case in CASES for name in fields_of(case))
    print(f"{fields} cases of fields, {len(CASES) * len(INPUTS)} of inputs")
    assert fields > 2000
    for system, module, base in (("linen", linen, linen.Module), ("nnx", nnx, Layer)):
        layers = {
            name
            for name, cls in vars(module).items()
            if isinstance(cls, type) and issubclass(cls, base) and ".layers." in cls.__module__
        }
        others = {"Sequential", "MultiHeadAttention", "RoPE"}
        assert layers - others <= {case.name for case in CASES if case.system == system}
