"""Variables: cells with a value and metadata, read like their values."""

import copy
import pickle
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.nnx import assert_same
from linnet import nnx
from linnet.base import errors


def own(metadata):
    """Metadata without what Flax adds to every variable."""
    return {k: v for k, v in metadata.items() if k not in {"hijax", "ref", "eager_sharding"}}


READING = {
    "ellipsis": lambda v: v[...],
    "value": lambda v: v.value,
    "get_value": lambda v: v.get_value(),
    "raw": lambda v: v.get_raw_value(),
    "index": lambda v: v[0, 1],
    "get at index": lambda v: v.get_value(index=0),
    "slice": lambda v: v[:, 1:],
    "attribute": lambda v: (v.shape, v.ndim, str(v.dtype), v.size),
    "method": lambda v: (v.T, v.mean(), v.sum(axis=0)),
    "length": len,
    "items": lambda v: list(v),
    "contains": lambda v: 3.0 in v,
    "jnp": lambda v: jnp.sum(v),
    "numpy": lambda v: np.asarray(v),
    "array": lambda v: jnp.array(v),
    "add": lambda v: v + 1,
    "radd": lambda v: 1 + v,
    "sub": lambda v: (v - 1, 1 - v),
    "mul": lambda v: (v * 2, 2 * v),
    "div": lambda v: (v / 2, 2 / (v + 1), v // 2, 7 // (v + 1), v % 2, 7 % (v + 1)),
    "pow": lambda v: (v**2, 2**v),
    "matmul": lambda v: (v @ jnp.ones(3), jnp.ones(2) @ v),
    "unary": lambda v: (-v, +v, abs(v)),
    "two variables": lambda v: v + v,
    "missing": lambda v: v.no_such_thing,
    "hash": hash,
}


@pytest.mark.parametrize("name", READING)
def test_a_variable_is_read_like_its_value(name):
    """Attributes, operators and conversions give what they give on Flax."""

    def program(nnx):
        return READING[name](nnx.Param(jnp.arange(6.0).reshape(2, 3)))

    assert_same(program)


INTEGERS = {
    "bits": lambda v: (
        v & 1,
        v | 8,
        v ^ 1,
        v << 1,
        v >> 1,
        ~v,
        1 & v,
        1 | v,
        1 ^ v,
        1 << v,
        9 >> v,
    ),
    "conversions": lambda v: (int(v), float(v), complex(v), bool(v), [10, 20, 30, 40][v]),
    "round": lambda v: (round(v), v.__floor__() if hasattr(int, "__floor__") else 0),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_operators_of_numbers(name):
    """Variables of plain numbers have the operators of numbers."""
    assert_same(lambda nnx: INTEGERS[name](nnx.Variable(3)))


def _set(nnx, how):
    v = nnx.Param(jnp.zeros((2, 3)))
    how(v)
    return v[...]


SETTING = {
    "ellipsis": lambda v: v.__setitem__(..., jnp.ones((2, 3))),
    "ellipsis with a number": lambda v: v.__setitem__(..., 4.0),
    "index": lambda v: v.__setitem__(0, 5.0),
    "set_value": lambda v: v.set_value(jnp.ones(4)),
    "set at index": lambda v: v.set_value(3.0, index=(0, 1)),
    "raw": lambda v: v.set_raw_value(jnp.ones(1)),
    "value": lambda v: setattr(v, "value", jnp.ones(2)),
    "in place through ellipsis": lambda v: v.__setitem__(..., v[...] + 1),
    "copy_from": lambda v: v.copy_from(type(v)(jnp.ones(2), a=1)),
    "update_from_state": lambda v: v.update_from_state(type(v)(jnp.ones(2), a=1)),
    "a variable": lambda v: v.set_value(type(v)(jnp.ones(2))),
}


@pytest.mark.parametrize("name", SETTING)
def test_setting(name):
    """Every way to set a value leaves what it leaves on Flax."""
    assert_same(lambda nnx: _set(nnx, SETTING[name]))


OLD = {
    "float32": lambda: jnp.zeros((2, 3)),
    "bfloat16": lambda: jnp.zeros((2, 3), jnp.bfloat16),
    "a weak integer": lambda: jnp.array(0),
    "numpy": lambda: np.zeros((2, 3)),
}
NEW = {
    "float32": lambda: jnp.ones((2, 3)),
    "bfloat16": lambda: jnp.ones((2, 3), jnp.bfloat16),
    "integers": lambda: jnp.ones((2, 3), int),
    "numpy": lambda: np.ones((2, 3)),
    "a row": lambda: jnp.arange(3.0),
    "a scalar": lambda: jnp.array(2.5),
    "a number": lambda: 2.5,
    "a list": lambda: [1.0, 2.0, 3.0],
    "another shape": lambda: jnp.ones((4, 3)),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("new", NEW)
@pytest.mark.parametrize("old", OLD)
def test_setting_all_of_an_array(old, new, compiled):
    """An array that is set through `v[...]` keeps its shape and dtype, as one written to would."""

    def program(nnx):
        def change(v):
            v[...] = NEW[new]()

        v = nnx.Param(OLD[old]())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # JAX's, of a cast that loses something
            (nnx.jit(change) if compiled else change)(v)
        value = v.get_value()
        return value, type(value).__name__, getattr(value, "weak_type", None)

    assert_same(program)


def test_setting_does_not_write_to_the_array_given():
    """An array of numpy that a variable was made of stays as it was; Flax writes into it."""
    given = np.zeros(2)
    v = nnx.Param(given)
    v[...] = 1.0
    v[0] = 2.0
    assert given.tolist() == [0.0, 0.0]
    assert v[...].tolist() == [2.0, 1.0]


METADATA = {
    "given": lambda v: own(v.get_metadata()),
    "one": lambda v: (v.unit, v.get_metadata("unit"), v.has_metadata("unit")),
    "default": lambda v: v.get_metadata("nope", 3),
    "set keyword": lambda v: (v.set_metadata(a=1, b=2), own(v.get_metadata()))[1],
    "set pair": lambda v: (v.set_metadata("a", 1), own(v.get_metadata()))[1],
    "attribute": lambda v: setattr(v, "a", 5),
    "delete": lambda v: (v.del_metadata("unit"), own(v.get_metadata()))[1],
    "replace": lambda v: own(v.replace(a=1).get_metadata()),
    "replaced value": lambda v: v.replace(jnp.zeros(3))[...],
    "copy": lambda v: own(v.copy(a=2).get_metadata()),
    "sharding": lambda v: own(type(v)(1.0, sharding=("x",), eager_sharding=False).get_metadata()),
    "sharding names": lambda v: own(
        type(v)(1.0, sharding_names=("x",), eager_sharding=False).get_metadata()
    ),
    "set sharding": lambda v: (v.set_metadata(sharding=("x",)), own(v.get_metadata()))[1],
    "replaced sharding": lambda v: own(v.replace(sharding=("x",)).get_metadata()),
    "two shardings": lambda v: own(
        type(v)(1.0, out_sharding=("y",), sharding=("x",), eager_sharding=False).get_metadata()
    ),
    "an old name": lambda v: (
        v.set_metadata(out_sharding=("x",)),
        v.has_metadata("sharding"),
        v.get_metadata("sharding", None),
        v.sharding_names,
        v.get_metadata("sharding"),
    ),
    "delete an old name": lambda v: (
        v.set_metadata(out_sharding=("x",)),
        v.del_metadata("sharding"),
    ),
    "missing": lambda v: v.get_metadata("nope"),
    "delete missing": lambda v: v.del_metadata("nope"),
    "pytree": lambda v: own(jax.tree.map(lambda x: x, v).get_metadata()),
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata(name):
    """Metadata is set, read and carried along as on Flax."""
    assert_same(lambda nnx: METADATA[name](nnx.Param(jnp.ones(2), unit="m")))


def test_hooks():
    """Hooks run when a value is made, read and set; the raw value passes them by."""

    def program(nnx):
        v = nnx.Param(
            jnp.array(1.0),
            on_get_value=lambda v, x: x + 1,
            on_set_value=lambda v, x: x * 10,
            on_create_value=lambda v, x: x + 100,
        )
        made = v.get_raw_value(), v[...]
        v[...] = jnp.array(2.0)
        return made, v.get_raw_value(), v.get_value()

    assert_same(program)


def test_methods_of_subclasses_are_hooks():
    """Methods with the names of hooks run like hooks, unless others are given to the variable."""

    def program(nnx):
        seen = []

        class Plain(nnx.Param):
            def on_get_value(self, value):
                return value + 10

        class Noting(Plain):
            def on_get_value(self, value):
                return 3 * super().on_get_value(value)

            def on_set_value(self, value):
                return value * 2

            def on_create_value(self, value):
                return value + 0.5

            def on_add_axis(self, axis, name):
                seen.append((axis, name))

        class Model(nnx.Module):
            def __init__(self):
                self.w = Noting(jnp.ones(2))

        def step(model):
            model.w[...] = model.w[...] + 1
            return model.w[...]

        model = Model()
        first = (
            model.w[...],
            model.w.get_raw_value(),
            nnx.clone(model).w[...],
            Plain(jnp.ones(2))[...],
        )
        after = nnx.jit(step)(model), model.w.get_raw_value()
        given = Noting(jnp.ones(2), on_get_value=lambda v, x: x - 1)
        model.w.add_axis(0, "a")
        gradient = nnx.grad(lambda m: (m.w[...] ** 2).sum())(model)
        return first, after, given[...], seen, nnx.pure(nnx.state(gradient))

    assert_same(program)


def test_hooks_added_to_a_class_later():
    """A hook that a class gets later runs for the variables that are made from then on."""

    def program(nnx):
        class Late(nnx.Param):
            pass

        before = Late(jnp.ones(2))
        Late.on_get_value = lambda v, x: x + 10
        return before[...], Late(jnp.ones(2))[...]

    assert_same(program)


HOOKED = {
    "part": lambda v: v[1:],
    "item": lambda v: v.get_value(index=0),
    "set part": lambda v: v.__setitem__(0, 5.0),
    "set mask": lambda v: v.set_value(5.0, index=jnp.array([True, False, False])),
    "set all to a number": lambda v: v.__setitem__(..., 3.0),
    "set all": lambda v: v.__setitem__(..., jnp.ones(3)),
    "method": lambda v: (v.sum(), v.T, v.astype("bfloat16"), v.at[0].set(7)),
    "numpy": np.asarray,
    "function": jnp.sin,
    "items": lambda v: (list(v), 2.0 in v),
}


@pytest.mark.parametrize("name", HOOKED)
def test_what_hooks_see(name):
    """Hooks see the part that is read or set; attributes are those of the stored value."""

    def program(nnx):
        seen = []

        def read(_, value):
            seen.append(jnp.shape(value))
            return value + 1

        def write(_, value):
            seen.append(jnp.shape(value))
            return value * 2

        v = nnx.Param(jnp.arange(3.0), on_get_value=read, on_set_value=write)
        return HOOKED[name](v), v.get_raw_value(), seen

    assert_same(program)


def test_pure_values_of_hooked_variables():
    """Pure states hold what is stored, and updating with them runs no hook."""

    def program(nnx):
        hooks = {"on_get_value": lambda v, x: x + 1, "on_set_value": lambda v, x: x * 2}
        model = nnx.Dict(w=nnx.Param(jnp.ones(2), **hooks))
        pure = nnx.pure(nnx.state(model))
        nnx.update(model, pure)
        return pure, model.w.get_raw_value(), nnx.to_pure_dict(nnx.state(model))

    assert_same(program)


def test_subclasses_override_what_hooks_do():
    """A subclass may override create_value, get_value and set_value."""

    def program(nnx):
        class Doubled(nnx.Variable):
            def create_value(self, value):
                return value + 0.5

            def get_value(self, **index):
                return 2 * super().get_value(**index)

        v = Doubled(jnp.array(1.0))
        return v.get_raw_value(), v.get_value(), v[...]

    assert_same(program)


def test_with_metadata():
    """An initializer can say something about the variable that its value is put in."""

    def program(nnx):
        init = nnx.with_metadata(nnx.initializers.zeros_init(), unit="m", on_set_value=_minus)
        v = nnx.Param(init(jax.random.key(0), (2,)), more=1)
        v[...] = jnp.ones(2)
        return v[...], v.unit, v.more

    assert_same(program)


def _minus(variable, value):
    return -value


def test_pytrees_as_values():
    """The value may be a pytree; JAX sees its leaves below the key `value`."""

    def program(nnx):
        v = nnx.Variable({"a": jnp.ones(2), "b": 3})
        leaves = jax.tree_util.tree_leaves_with_path(v)
        return v["a"], [jax.tree_util.keystr(path) for path, _ in leaves]

    assert_same(program)


def test_kinds_by_name():
    """Types are found by name and names by type; new ones are made when allowed."""

    def program(nnx):
        class Mask(nnx.Variable):
            pass

        known = [
            nnx.variable_name_from_type(getattr(nnx, name))
            for name in ("Param", "BatchStat", "Cache", "Intermediate", "Perturbation")
        ]
        name = nnx.variable_name_from_type(Mask, allow_register=True)
        made = nnx.variable_type_from_name("things", allow_register=True)
        return known, name, made.__name__, nnx.variable_type_from_name("params").__name__

    assert_same(program)
    assert_same(lambda nnx: nnx.variable_type_from_name("nobody"))


def test_kinds_derive_as_on_flax():
    """The lineage of every type of variable is Flax's."""
    names = (
        *("Param", "BatchStat", "Cache", "Intermediate", "Perturbation", "LoRAParam"),
        *("RngState", "RngKey", "RngCount", "OptState", "OptArray", "OptVariable"),
    )
    assert_same(lambda nnx: {n: getattr(nnx, n).__mro__[1].__name__ for n in names})


def test_copies_and_pickles():
    """A copied or pickled variable has the value, the type and the metadata of the first."""
    v = nnx.Param(jnp.arange(3.0), unit="m")
    for other in (copy.copy(v), copy.deepcopy(v), pickle.loads(pickle.dumps(v))):
        assert other is not v
        assert type(other) is nnx.Param
        assert other.unit == "m"
        np.testing.assert_array_equal(other[...], v[...])


def test_operators_beyond_flax():
    """Operators that fail on Flax work too: all comparisons, divmod from the right, formats."""
    v = nnx.Variable(3)
    assert (v <= 3, v >= 4, v != 3, divmod(7, v), divmod(v, 2)) == (
        True,
        False,
        False,
        (2, 1),
        (1, 1),
    )
    assert f"{v:03d}" == "003"


# --- errors -------------------------------------------------------------------------------------


def test_in_place_operators_say_what_to_write():
    """`v += 1` would rebind the name; the error says which two forms work."""
    v = nnx.Param(jnp.ones(2))
    with pytest.raises(NotImplementedError, match=r"variable\[\.\.\.\] \+= x") as caught:
        v += 1
    assert "Param" in str(caught.value)


def test_setting_from_an_inner_level_names_the_place():
    """Setting a variable inside plain jax.jit, from outside, names its path."""
    model = nnx.Dict(layers=nnx.List([nnx.Dict(kernel=nnx.Param(jnp.ones(2)))]))

    @jax.jit
    def step(x):
        model.layers[0].kernel[...] = x
        return x

    with pytest.raises(errors.TraceContextError, match=r"model\.layers\[0\]\.kernel") as caught:
        step(jnp.ones(2))
    assert "nnx.jit" in str(caught.value)
    np.testing.assert_array_equal(model.layers[0].kernel[...], jnp.ones(2))


def test_metadata_that_is_not_there():
    """A mistyped entry is told with those that exist."""
    v = nnx.Param(1.0, unit="m")
    with pytest.raises(KeyError, match="'unit'"):
        v.get_metadata("units")
    with pytest.raises(KeyError, match="Did you mean 'unit'"):
        v.del_metadata("units")
    with pytest.raises(AttributeError, match="Did you mean 'unit'"):
        del v.units


def test_types_are_not_mixed():
    """copy_from and replace refuse another type."""
    assert_same(lambda nnx: nnx.Param(1.0).copy_from(nnx.BatchStat(2.0)))
    with pytest.raises(ValueError, match="BatchStat"):
        nnx.Param(1.0).replace(nnx.BatchStat(2.0))


def test_value_cannot_be_metadata():
    """A metadata entry may not be called `value`."""
    with pytest.raises(TypeError):
        nnx.Param(1.0, value=2.0)
    with pytest.raises(ValueError, match="cannot be metadata"):
        nnx.Param(1.0).set_metadata({"value": 2.0})


TRUTHS = {
    "one element": lambda: jnp.zeros(1),
    "several elements": lambda: jnp.zeros((2, 3)),
    "no elements": lambda: jnp.zeros((0, 3)),
    "numpy": lambda: np.zeros(2),
    "list": list,
}


@pytest.mark.parametrize("what", TRUTHS)
def test_a_variable_of_an_array_is_true_if_it_holds_anything(what):
    """So that ``if layer.bias:`` can be written, inside of compiled functions too."""

    def program(nnx):
        m = nnx.Dict(a=nnx.Param(TRUTHS[what]()))
        return bool(m.a), nnx.jit(lambda m: jnp.asarray(bool(m.a)))(m)

    assert_same(program)


def test_a_variable_of_a_number_is_as_true_as_the_number():
    """Flax raises here, as a number has no length."""
    assert [bool(nnx.Param(x)) for x in (0, 1, None, jnp.array(0.0), True)] == [0, 1, 0, 0, 1]


@pytest.mark.parametrize("name", ["scale", "own", "_own", "method", "half", "value", "__class__"])
def test_attributes_of_a_subclass(name):
    """Only what has a setter can be set on a variable; anything else would be lost by copies."""

    def program(nnx):
        class Scaled(nnx.Param):
            scale = 1.0

            def method(self):
                return 1

            @property
            def half(self):
                return self[...] / 2

            @half.setter
            def half(self, value):
                self[...] = 2 * value

        v = Scaled(jnp.ones(2))
        setattr(v, name, nnx.BatchStat if name == "__class__" else jnp.zeros(2))
        return type(v).__name__, v[...]

    assert_same(program)


def test_a_subclass_may_keep_its_value_elsewhere():
    """A property ``_value`` over the stored value works, and nothing recurs before it is set."""

    def program(nnx):
        class Kept(nnx.Variable):
            def __init__(self, value):
                early = hasattr(self, "anything"), hasattr(self, "_metadata_of_mine")
                assert early == (False, False)
                super().__init__(value)

            @property
            def _value(self):
                return self.get_raw_value()

            @_value.setter
            def _value(self, value):
                self.set_raw_value(value)

        v = Kept(jnp.ones(2))
        v._value = jnp.zeros(2)
        v[...] = v[...] + 3
        split = nnx.merge(*nnx.split(nnx.Dict(v=v)))
        doubled = nnx.jit(lambda m: m.v[...] * 2)(nnx.Dict(v=v))
        return v._value, v.get_value(), type(split.v).__name__, doubled, v._raw_value

    assert_same(program)


def test_a_subclass_may_override_how_values_are_set():
    """Its ``set_value`` and ``get_value`` are what the operators of indexing use."""

    def program(nnx):
        class Halved(nnx.Param):
            def get_value(self, **kwargs):
                return super().get_value(**kwargs) * 2

            def set_value(self, value, **kwargs):
                super().set_value(value / 2, **kwargs)

        v = Halved(jnp.ones(2))
        v[...] = jnp.full(2, 8.0)
        v.value = v.value + 1
        read = nnx.jit(lambda m: m.v[...] + m.v)(nnx.Dict(v=v))
        return v[...], v.get_raw_value(), v + 1, read

    assert_same(program)


def test_metadata_may_hold_arrays():
    """Setting one over another is no comparison of their elements."""

    def program(nnx):
        v = nnx.Param(jnp.ones(()), mask=np.array([1, 2]))
        v.set_metadata(mask=np.array([1, 3]))
        v.set_metadata(mask=np.array([1, 3]))
        return v.mask

    assert_same(program)


FILLINGS = {
    "the same": lambda: jnp.zeros(2),
    "another dtype": lambda: jnp.full(2, 3, jnp.int32),
    "bfloat16": lambda: jnp.full(2, 3, jnp.bfloat16),
    "a number": lambda: 3,
    "a scalar": lambda: jnp.array(3.0),
    "a list": lambda: [1.0, 2.0],
    "numpy": lambda: np.full(2, 3.0, np.float32),
    "another shape": lambda: jnp.zeros(3),
    "another rank": lambda: jnp.zeros((1, 3)),
    "none": lambda: None,
}
SETTERS = {
    "[...]": lambda v, x: v.__setitem__(..., x),
    "[0]": lambda v, x: v.__setitem__(0, x),
    "value": lambda v, x: setattr(v, "value", x),
    "set_value": lambda v, x: v.set_value(x),
}


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("how", SETTERS)
@pytest.mark.parametrize("old", ["jax", "numpy"])
@pytest.mark.parametrize("new", FILLINGS)
def test_filling_keeps_shape_and_dtype(old, new, how, traced):
    """``v[...] = x`` fills the array that is there; ``v.value = x`` puts another in its place."""
    if old == "numpy" and traced:
        old = "jax"  # inside of a compiled function all arrays are JAX's

    def program(nnx):
        made = jnp.ones(2) if old == "jax" else np.ones(2, np.float32)
        m = nnx.Dict(a=nnx.Param(made))

        def fill(m):
            SETTERS[how](m.a, FILLINGS[new]())

        (nnx.jit(fill) if traced else fill)(m)
        value = m.a.get_value()
        return type(value).__name__, value

    assert_same(program)


def test_what_does_not_fit_is_told():
    """With both shapes, and what to write to change the shape."""
    v = nnx.Param(jnp.ones(2))
    with pytest.raises(ValueError, match=r"A Param of shape \(2,\) was set at \[\.\.\.\].*\(3,\)"):
        v[...] = jnp.ones(3)
    with pytest.raises(ValueError, match=r"write `variable\.set_value"):
        v[0] = jnp.ones(3)
    assert v.shape == (2,)


@pytest.mark.parametrize("sort", ["hijax", "ref"])
def test_variables_of_another_sort_are_refused(sort):
    """Where one is made: nothing that was asked for is left out silently."""
    with pytest.raises(errors.VariableSortError, match=rf"Param\({sort}=True|{sort}=True\)"):
        nnx.Param(jnp.ones(2), **{sort: True})
    assert nnx.Param(jnp.ones(2), hijax=False, ref=False).get_metadata() == {}
