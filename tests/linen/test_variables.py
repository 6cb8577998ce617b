"""Declaring, reading, writing, sowing and perturbing variables, and drawing keys."""

import jax
import jax.numpy as jnp
import pytest

import linnet.linen
from differential.linen import assert_same, shapes
from linnet.base import errors

KEY = jax.random.key(0)
X = jnp.ones((2, 3))
STATE = {"state": {"v": jnp.full((2,), 4.0), "nested": {"w": jnp.ones(())}}}


def compact(nn, body):
    """Make a module whose compact `__call__` is `body`."""
    return type("Outer", (nn.Module,), {"__call__": nn.compact(body)})()


# --- declaring --------------------------------------------------------------------------------


@pytest.mark.parametrize("mutable", [False, "state", ["other"], True, ("state", "other"), []])
@pytest.mark.parametrize("given", [{}, {"state": {}}, {"state": {"w": 1.0}}, STATE])
@pytest.mark.parametrize("write", [False, True])
def test_declaring_a_variable(mutable, given, write):
    """It is read, made, or refused, depending on what was passed and what is mutable."""

    def program(nn):
        def body(self):
            v = self.variable("state", "v", lambda n: jnp.zeros(n), 2)
            if write:
                v.value = v.value + 1
            return v.value, v.is_mutable(), self.is_mutable_collection("state")

        return compact(nn, body).apply(given, mutable=mutable)

    assert_same(program)


@pytest.mark.parametrize("given", [{}, {"params": {}}, {"params": {"p": jnp.ones(2)}}])
@pytest.mark.parametrize("mutable", [False, ["params"]])
@pytest.mark.parametrize("shape", [(2,), (3,)])
def test_declaring_a_parameter(given, mutable, shape):
    """It must exist with its initializer's shape, or be made where `params` is mutable."""

    def program(nn):
        def body(self):
            return self.param("p", nn.initializers.normal(), shape)

        return compact(nn, body).apply(given, mutable=mutable, rngs=KEY)

    assert_same(program)


@pytest.mark.parametrize(
    "init_fn",
    [
        lambda key, shape: {"a": jnp.zeros(shape), "b": [jnp.ones(())]},
        lambda key, shape: (jax.random.normal(key, shape), jnp.int32(3)),
        lambda key, shape: 3.0,
        lambda key, shape: None,
        lambda key, shape=(), scale=1.0: jnp.full(shape, scale),
    ],
)
def test_parameters_may_be_any_pytree(init_fn):
    """What the initializer returns is the value; a key and the arguments are handed to it."""

    def program(nn):
        def body(self):
            return self.param("p", init_fn, (2,))

        model = compact(nn, body)
        made = model.init(KEY)
        return made, model.apply(made)

    assert_same(program)


def test_arguments_of_initializers():
    """Keyword arguments reach the initializers of parameters and variables."""

    def program(nn):
        def body(self):
            def scaled(key, shape, scale=1.0):
                return jnp.full(shape, scale)

            p = self.param("p", scaled, (2,), scale=3.0)
            v = self.variable("state", "v", lambda shape, fill: jnp.full(shape, fill), (2,), fill=5)
            return p + v.value

        return compact(nn, body).init_with_output(KEY)

    assert_same(program)


def test_an_initializer_draws_its_own_keys():
    """`make_rng` inside an initializer of a variable counts as one at its place."""

    def program(nn):
        def body(self):
            v = self.variable("state", "noise", lambda: jax.random.key_data(self.make_rng("noise")))
            p = self.param("p", lambda key: jax.random.key_data(key))
            return v.value, p, jax.random.key_data(self.make_rng("noise"))

        rngs = {"params": KEY, "noise": jax.random.key(5)}
        return compact(nn, body).init_with_output(rngs)

    assert_same(program)


def test_a_value_of_the_wrong_kind_where_a_parameter_is_read():
    """Parameters that are numbers or NumPy arrays are taken as they are."""

    def program(nn):
        def body(self):
            return self.param("p", nn.initializers.ones, ())

        model = compact(nn, body)
        return model.apply({"params": {"p": 3}}), model.apply({"params": {"p": jnp.ones(())}})

    assert_same(program)


@pytest.mark.parametrize("name", ["param", "variable"])
def test_declaring_in_a_plain_method(name):
    """Neither `setup` nor compact: refused."""

    def program(nn):
        class Outer(nn.Module):
            def __call__(self):
                if name == "param":
                    return self.param("p", nn.initializers.ones, ())
                return self.variable("state", "v", lambda: 1).value

        return Outer().init(KEY)

    assert_same(program)


def test_variable_without_init_fn():
    """It must exist."""

    def program(nn):
        def body(self):
            return self.variable("state", "v").value

        model = compact(nn, body)
        return model.apply(STATE), model.apply({"state": {}}, mutable=True)

    assert_same(program)


# --- reading and writing ----------------------------------------------------------------------


def test_reading_what_is_there_and_what_is_not():
    """`get_variable` has a default; `has_variable` and `variables` only look."""

    def program(nn):
        def body(self):
            inner = compact(nn, lambda self: shapes(dict(self.variables)))
            return (
                self.get_variable("state", "v"),
                self.get_variable("state", "absent", 7),
                self.get_variable("absent", "v") is None,
                self.get_variable("state", "nested"),
                self.has_variable("state", "v"),
                self.has_variable("state", "absent"),
                self.has_variable("absent", "v"),
                self.has_rng("params"),
                self.has_rng("dropout"),
                shapes(dict(self.variables)),
                inner,
            )[:-1]

        return compact(nn, body).apply(STATE, rngs={"dropout": KEY})

    assert_same(program)


@pytest.mark.parametrize("mutable", [False, "state", True])
@pytest.mark.parametrize("col", ["state", "fresh"])
def test_putting_variables(mutable, col):
    """`put_variable` writes what is mutable, whether it exists or not."""

    def program(nn):
        def body(self):
            self.put_variable(col, "v", 3.0)
            self.put_variable(col, "w", {"deep": 4})
            return self.get_variable(col, "v"), self.get_variable(col, "w")

        return compact(nn, body).apply(STATE, mutable=mutable)

    assert_same(program)


def test_what_was_passed_in_is_never_changed():
    """A mutable collection is copied before it is written."""
    nn = linnet.linen
    state = {"state": {"v": jnp.zeros(2), "nested": {"w": 1.0}}}

    def body(self):
        self.variable("state", "v").value += 1
        self.put_variable("state", "nested", {"w": 2.0})

    _, changed = compact(nn, body).apply(state, mutable=True)
    assert state["state"]["nested"] == {"w": 1.0}
    assert float(state["state"]["v"][0]) == 0.0
    assert changed["state"]["nested"] == {"w": 2.0}


def test_mutable_collections_come_back_whole():
    """What was passed and not touched is returned too; what was asked for and absent is not."""

    def program(nn):
        def body(self):
            self.put_variable("made", "x", 1)

        given = {"state": {"v": 1.0}, "other": {"u": 2.0}, "params": {}}
        model = compact(nn, body)
        return [
            model.apply(given, mutable=mutable)[1]
            for mutable in (True, ["made", "state"], ["made", "never"], nn.DenyList("state"))
        ]

    assert_same(program)


def test_variable_handles_see_each_others_writes():
    """Two handles of one variable are one variable; so are a parent's and a child's calls."""

    def program(nn):
        class Inner(nn.Module):
            @nn.compact
            def __call__(self):
                v = self.variable("state", "n", lambda: 0)
                v.value = v.value + 1
                return v.value, self.get_variable("state", "n")

        def body(self):
            inner = Inner()
            return inner(), inner(), self.variables["state"]["Inner_0"]["n"]

        return compact(nn, body).apply({}, mutable="state")

    assert_same(program)


# --- sow --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mutable", [False, "intermediates", ["state"], True])
def test_sow(mutable):
    """It stores where it may, appends on each call, and says whether it did."""

    def program(nn):
        class Inner(nn.Module):
            def __call__(self, x):
                return self.sow("intermediates", "h", x)

        def body(self, x):
            inner = Inner()
            done = inner(x), inner(2 * x)
            done += (self.sow("state", "last", 3, reduce_fn=lambda a, b: b),)
            done += (self.sow("state", "sum", x, reduce_fn=jnp.add, init_fn=lambda: 0.0),)
            done += (self.sow("state", "sum", x, reduce_fn=jnp.add, init_fn=lambda: 0.0),)
            return done

        return compact(nn, body).apply({}, X, mutable=mutable)

    assert_same(program)


def test_sow_in_init_and_over_calls():
    """`init` leaves intermediates out; passed in again they grow."""

    def program(nn):
        def body(self, x):
            self.sow("intermediates", "h", x.sum())
            return x

        model = compact(nn, body)
        _, first = model.apply({}, X, mutable="intermediates")
        _, second = model.apply(first, X, mutable="intermediates")
        return model.init(KEY, X), first, second

    assert_same(program)


# --- perturb ----------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", [1, 2])
def test_perturb(calls):
    """Gradients with respect to an intermediate value, also where one name is used twice."""

    def program(nn):
        def body(self, x):
            x = nn.Dense(3)(x)
            for _ in range(calls):
                x = self.perturb("h", x)
            return jnp.sum(x**2)

        model = compact(nn, body)
        variables = model.init(KEY, X)
        plain = model.apply({"params": variables["params"]}, X)
        grads = jax.grad(lambda v: model.apply(v, X))(variables)
        return variables, plain, grads

    assert_same(program)


def test_perturb_with_other_perturbations():
    """The collection without this variable is an error."""

    def program(nn):
        def body(self, x):
            return self.perturb("h", x)

        return compact(nn, body).apply({"perturbations": {"other": X}}, X)

    assert_same(program)


def test_perturb_pytrees_and_other_collections():
    """Any pytree may be perturbed, in a collection of one's choice."""

    def program(nn):
        def body(self, x):
            return self.perturb("h", x, collection="mine")

        return compact(nn, body).init_with_output(KEY, X)

    assert_same(program)


# --- streams ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rngs",
    [KEY, {"a": KEY}, {"a": KEY, "params": jax.random.key(1)}, {"params": KEY}, {}, None],
    ids=["key", "a", "both", "params", "empty", "none"],
)
def test_keys_bit_for_bit(rngs):
    """Every key that can be drawn is Flax's: by stream, path, count and fallback."""

    def program(nn):
        class Leaf(nn.Module):
            def __call__(self):
                return (
                    self.make_rng("a"),
                    self.make_rng("params"),
                    self.make_rng(),
                    self.make_rng("a"),
                )

        class Inner(nn.Module):
            @nn.compact
            def __call__(self):
                return Leaf()(), Leaf()(), self.make_rng("a")

        class Outer(nn.Module):
            def setup(self):
                self.s = [Inner(), {"k": Leaf()}]

            @nn.compact
            def __call__(self):
                inner = Inner()
                return inner(), inner(), self.s[0](), self.s[1]["k"](), self.make_rng("a")

        return Outer().apply({}, rngs=rngs)

    assert_same(program)


def test_keys_with_the_separator_of_paths():
    """`flax_fix_rng_separator` sets a byte between the names of a path."""

    def program(nn):
        flags = linnet.base.config.config if nn is linnet.linen else __import__("flax").config

        class Leaf(nn.Module):
            def __call__(self):
                return self.make_rng("a"), self.make_rng("a")

        def body(self):
            return Leaf()(), Leaf(name="ünï")()

        with flags.temp_flip_flag("fix_rng_separator", True):
            return compact(nn, body).apply({}, rngs={"a": KEY})

    assert_same(program)


@pytest.mark.parametrize("n", [255, 256, 257])
def test_many_keys_of_one_module(n):
    """The count may need more than one byte."""

    def program(nn):
        def body(self):
            for _ in range(n):
                key = self.make_rng("a")
            return key

        return compact(nn, body).apply({}, rngs={"a": KEY})

    assert_same(program)


def test_old_style_keys():
    """Raw uint32 keys work as typed ones do."""

    def program(nn):
        def body(self):
            return self.make_rng("a"), self.param("p", nn.initializers.normal(), (2,))

        return compact(nn, body).init_with_output(jax.random.PRNGKey(3))

    assert_same(program)


# --- metadata ---------------------------------------------------------------------------------


def test_boxed_parameters():
    """Partitioned values are unboxed where they are read, unless asked for as they are."""

    def program(nn):
        def body(self):
            init = nn.with_partitioning(nn.initializers.ones, ("a", None))
            p = self.param("p", init, (2, 3))
            q = self.param("q", init, (2, 3), unbox=False)
            v = self.variable("state", "v", init, None, (2, 3))
            v.value = v.value + 1
            w = self.variable("state", "w", init, None, (2, 3), unbox=False)
            return p, q, v.value, w.value

        model = compact(nn, body)
        out, variables = model.init_with_output(KEY)
        return out, variables, model.apply(nn.unbox(variables), mutable="state")[0][0]

    assert_same(program)


def test_shape_errors_name_the_place():
    """A parameter of another shape is named by path, with both shapes."""

    def body(self):
        return self.param("p", linnet.linen.initializers.ones, (3,))

    with pytest.raises(errors.ScopeParamShapeError, match=r"/ \(Outer\).*'p'.*\(2,\).*\(3,\)"):
        compact(linnet.linen, body).apply({"params": {"p": jnp.ones(2)}})


def test_a_module_may_write_the_dictionary_of_its_submodule():
    """The submodule reads what was written in its place."""

    def program(nn):
        class Inner(nn.Module):
            @nn.compact
            def __call__(self):
                return self.variable("state", "v", lambda: jnp.zeros(())).value

        class Outer(nn.Module):
            def setup(self):
                self.inner = Inner()

            def __call__(self):
                before = self.inner()
                self.put_variable("state", "inner", {"v": 7 * jnp.ones(())})
                return before, self.inner()

        return Outer().apply({"state": {"inner": {"v": jnp.ones(())}}}, mutable=["state"])

    (before, after), _ = assert_same(program)
    assert (before, after) == (1.0, 7.0)
