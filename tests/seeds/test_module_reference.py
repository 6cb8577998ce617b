"""The reference page of `linen.Module`: its sentences and examples, one by one.

Numbers that the page prints are compared with ours; what it leaves open is compared with Flax.
"""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import linnet.linen as nn
from differential.compare import compare
from differential.linen import assert_same, shapes
from linnet.base import errors

KEY = jax.random.key(0)


@pytest.fixture
def numbers_of_the_page():
    """The page was printed when JAX drew its numbers in the older of the two ways it knows."""
    with jax.threefry_partitionable(False):
        yield


# --- Module --------------------------------------------------------------------------------------


class TwoLayers(nn.Module):
    """The page's first example."""

    features: tuple[int, ...] = (16, 4)

    def setup(self):
        self.dense1 = nn.Dense(self.features[0])
        self.dense2 = nn.Dense(self.features[1])

    def __call__(self, x):
        return self.dense2(nn.relu(self.dense1(x)))


def test_modules_are_dataclasses():
    """All modules are dataclasses, with `__init__` made from their fields."""
    assert dataclasses.is_dataclass(TwoLayers)
    assert TwoLayers().features == (16, 4)
    assert TwoLayers((2, 3)).features == (2, 3)
    assert TwoLayers(features=(2, 3)) == TwoLayers((2, 3))


def test_submodules_are_attributes_assigned_in_setup():
    """Assigned in `setup`, they form a tree named after the attributes."""
    variables = TwoLayers().init(KEY, jnp.ones((1, 3)))
    assert shapes(variables) == {
        "params": {
            "dense1": {"bias": (16,), "kernel": (3, 16)},
            "dense2": {"bias": (4,), "kernel": (16, 4)},
        }
    }


def test_any_method_may_be_the_forward_pass():
    """No method is special-cased; instances are called as functions through `__call__`."""

    class Codec(nn.Module):
        def setup(self):
            self.dense = nn.Dense(2)

        def encode(self, x):
            return self.dense(x)

        def __call__(self, x):
            return -self.encode(x)

    x = jnp.ones((1, 3))
    variables = Codec().init(KEY, x)
    np.testing.assert_array_equal(
        Codec().apply(variables, x), -Codec().apply(variables, x, method="encode")
    )


def test_compact_defines_submodules_where_they_are_used():
    """The same network, co-located with its use."""

    class Compact(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(4, name="dense2")(nn.relu(nn.Dense(16, name="dense1")(x)))

    x = jnp.ones((1, 3))
    compare(Compact().init(KEY, x), TwoLayers().init(KEY, x), tolerance=1e-6)


def test_setattr_names_lists_and_other_pytrees():
    """Lists and general pytrees are supported, with names made from their keys."""

    class Nested(nn.Module):
        def setup(self):
            self.submodules = [nn.Dense(1), {"a": nn.Dense(2), "b": (nn.Dense(3),)}]

        def __call__(self, x):
            return (
                self.submodules[0](x),
                self.submodules[1]["a"](x),
                self.submodules[1]["b"][0](x),
            )

    params = Nested().init(KEY, jnp.ones((1, 2)))["params"]
    assert list(params) == ["submodules_0", "submodules_1_a", "submodules_1_b_0"]


# --- apply ---------------------------------------------------------------------------------------


class Transformer(nn.Module):
    """The page's example of a method other than `__call__`."""

    def encode(self, x):
        return 2 * x


def test_method_may_be_a_function_a_bound_method_a_name_or_any_function():
    """All four spellings run the same method."""
    x = jnp.ones((16, 9))
    model = Transformer()
    variables = model.init(KEY, x, method=Transformer.encode)
    assert variables == {}

    def other_fn(instance, x):
        return instance.encode(x)

    for method in (Transformer.encode, model.encode, "encode", other_fn):
        np.testing.assert_array_equal(model.apply(variables, x, method=method), 2 * x)


class Noisy(nn.Module):
    """The page's example of streams in `apply`."""

    @nn.compact
    def __call__(self, x, add_noise=False):
        x = nn.relu(nn.Dense(16)(x))
        if add_noise:
            x = x + jax.random.normal(self.make_rng("noise"), x.shape)
        return nn.Dense(1)(x)


def test_streams_of_apply_and_their_fallback_on_params():
    """A stream uses its own key, and without one that of `params`; a key alone is for `params`."""
    x = jnp.ones((1, 7))
    rngs = {"params": jax.random.key(0), "noise": jax.random.key(1)}
    variables = Noisy().init(rngs, x)

    def out(rngs):
        return Noisy().apply(variables, x, add_noise=True, rngs=rngs)

    out0 = out(rngs)
    out1 = out({**rngs, "noise": jax.random.key(0)})
    assert not np.allclose(out0, out1)
    out2 = out({"params": jax.random.key(0)})
    np.testing.assert_allclose(out1, out2)
    np.testing.assert_allclose(out2, out(jax.random.key(0)))
    without = Noisy().apply(variables, x)
    assert not np.allclose(without, out2)


class Everything(nn.Module):
    """Reads and writes two collections, for the forms of `mutable`."""

    @nn.compact
    def __call__(self, x):
        for col in ("a", "b"):
            v = self.variable(col, "v", lambda: jnp.zeros(()))
            if self.is_mutable_collection(col) and not self.is_initializing():
                v.value = v.value + 1
        return x


@pytest.mark.parametrize(
    ("mutable", "returned"),
    [
        (True, {"a", "b"}),
        ("a", {"a"}),
        (["a"], {"a"}),
        (("a", "b"), {"a", "b"}),
        ({"b"}, {"b"}),
        (nn.DenyList("a"), {"b"}),
        (nn.DenyList(["a", "c"]), {"b"}),
        (nn.DenyList(nn.DenyList("a")), {"a"}),
    ],
)
def test_forms_of_mutable(mutable, returned):
    """Bool: all or none; str: one; list: several. What is mutable comes back as a dictionary."""
    variables = Everything().init(KEY, 1.0)
    out, state = Everything().apply(variables, 1.0, mutable=mutable)
    assert out == 1.0
    assert set(state) == returned
    assert all(state[col]["v"] == 1 for col in returned)


def test_without_mutable_collections_only_the_output_is_returned():
    """`mutable=False` returns the output alone; an empty list does too, as in Flax."""
    variables = Everything().init(KEY, 1.0)
    assert Everything().apply(variables, 1.0) == 1.0
    assert Everything().apply(variables, 1.0, mutable=False) == 1.0

    def program(nn):
        class Same(nn.Module):
            def __call__(self, x):
                return x

        return Same().apply({}, 1.0, mutable=[])

    assert_same(program)


def test_capture_intermediates_stores_calls_or_what_a_filter_picks():
    """By default the results of `__call__`; a function of module and method name may choose."""

    def program(nn):
        class Net(nn.Module):
            def setup(self):
                self.dense = nn.Dense(2)

            def features(self, x):
                return self.dense(x)

            def __call__(self, x):
                return nn.relu(self.features(x))

        x = jnp.ones((1, 3))
        variables = Net().init(KEY, x)
        captures = (
            True,
            False,
            lambda module, method: method == "features",
            lambda module, method: isinstance(module, nn.Dense),
        )
        return [
            Net().apply(variables, x, capture_intermediates=capture, mutable="intermediates")
            for capture in captures
        ]

    results = assert_same(program)
    assert set(results[0][1]["intermediates"]) == {"dense", "__call__"}
    assert set(results[2][1]["intermediates"]) == {"features"}


# --- bind and unbind -----------------------------------------------------------------------------


class AutoEncoder(nn.Module):
    """The page's example of an interactive instance."""

    def setup(self):
        self.encoder = nn.Dense(3)
        self.decoder = nn.Dense(5)

    def __call__(self, x):
        return self.decoder(self.encoder(x))


def test_bind_makes_an_interactive_instance():
    """Submodules of the bound copy can be called; together they are the model."""
    x = jnp.ones((16, 9))
    ae = AutoEncoder()
    variables = ae.init(KEY, x)
    model = ae.bind(variables)
    np.testing.assert_array_equal(model.decoder(model.encoder(x)), ae.apply(variables, x))
    assert ae.scope is None
    assert type(model) is AutoEncoder


def test_bind_takes_streams_and_mutable_collections():
    """A bound instance draws keys and changes its variables in place."""
    bound = Everything().bind(Everything().init(KEY, 1.0), mutable=["a"], rngs={"noise": KEY})
    bound(1.0)
    bound(1.0)
    assert bound.variables["a"]["v"] == 2
    assert bound.has_rng("noise")


def test_unbind_extracts_a_submodule_with_its_variables():
    """The page's example: the encoder of an autoencoder, and its part of the variables."""

    class Encoder(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(256)(x)

    class Decoder(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(784)(x)

    class Both(nn.Module):
        def setup(self):
            self.encoder = Encoder()
            self.decoder = Decoder()

        def __call__(self, x):
            return self.decoder(self.encoder(x))

    x = jnp.ones((1, 784))
    module = Both()
    variables = module.init(KEY, x)
    encoder, encoder_vars = module.bind(variables).encoder.unbind()
    assert encoder.scope is None
    assert encoder.name is None
    assert shapes(encoder_vars) == {"params": {"Dense_0": {"bias": (256,), "kernel": (784, 256)}}}
    np.testing.assert_array_equal(encoder.apply(encoder_vars, x), module.bind(variables).encoder(x))


# --- copy, get_variable, has_rng, has_variable ---------------------------------------------------


def test_copy_takes_the_running_module_as_parent_and_a_new_automatic_name():
    """A copy is a new submodule; attributes may be updated."""

    def program(nn):
        class Model(nn.Module):
            @nn.compact
            def __call__(self, x):
                first = nn.Dense(2)
                second = first.copy(features=3)
                named = first.copy(name="last")
                return named(second(first(x))), [first.name, second.name, named.name]

        return Model().init_with_output(KEY, jnp.ones((1, 2)))

    (_, names), _ = assert_same(program, drawn=True)
    assert names == ["Dense_0", "Dense_1", "last"]
    assert nn.Dense(2, name="x").copy().name is None


def test_reading_variables_and_streams():
    """`get_variable` has a default, `has_variable` and `has_rng` tell what there is."""

    class Model(nn.Module):
        def setup(self):
            self.v = self.variable("stats", "mean", lambda: 2.0)

        def __call__(self):
            return (
                self.get_variable("stats", "mean"),
                self.get_variable("stats", "var"),
                self.get_variable("none", "var", 7),
                self.has_variable("stats", "mean"),
                self.has_variable("stats", "var"),
                self.has_rng("params"),
                self.has_rng("dropout"),
            )

    expected = (2.0, None, 7, True, False, True, False)
    assert Model().init_with_output(KEY)[0] == expected


# --- init ----------------------------------------------------------------------------------------


class Page(nn.Module):
    """The page's example of `init`, with BatchNorm."""

    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(16)(x)
        x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.Dense(1)(nn.relu(x))


def test_init_takes_a_key_and_the_arguments_of_the_call():
    """It returns a dictionary of the variables."""
    variables = Page().init(KEY, jnp.empty((1, 7)), train=False)
    assert set(variables) == {"params", "batch_stats"}
    assert type(variables) is dict


class OtherCollection(nn.Module):
    """The page's example of a variable drawn from a stream of its own."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(16)(x))
        other_variable = self.variable(
            "other_collection",
            "other_variable",
            lambda x: jax.random.normal(self.make_rng("other_rng"), x.shape),
            x,
        )
        return nn.Dense(1)(x + other_variable.value)


def test_streams_of_init_and_their_fallback_on_params():
    """Parameters depend on the `params` key alone; the other variable on its stream's key."""
    x = jnp.ones((1, 7))
    rngs = {"params": jax.random.key(0), "other_rng": jax.random.key(1)}
    init = OtherCollection().init
    variables0 = init(rngs, x)
    variables1 = init({**rngs, "other_rng": jax.random.key(0)}, x)
    compare(variables0["params"], variables1["params"], tolerance=1e-6)
    other = [v["other_collection"]["other_variable"] for v in (variables0, variables1)]
    assert not np.allclose(*other)
    variables2 = init({"params": jax.random.key(0)}, x)
    compare(variables1, variables2, tolerance=1e-6)
    compare(variables2, init(jax.random.key(0), x), tolerance=1e-6)


def test_init_under_jit_gives_the_same_variables():
    """Jitting `init` uses only the shapes of the arguments."""
    module = nn.Dense(1)
    x = jnp.ones((1, 7))
    in_order = jax.tree.map(jnp.asarray, module.init(KEY, x))  # keys sorted, as JAX returns them
    compare(jax.jit(module.init)(KEY, x), in_order, tolerance=1e-6)


def test_init_takes_the_arguments_of_apply():
    """`method`, `mutable` and `capture_intermediates` are available; intermediates stay out."""

    class Sowing(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.sow("intermediates", "x", x)
            return nn.Dense(2)(x)

        def other(self, x):
            return x

    x = jnp.ones((1, 3))
    assert set(Sowing().init(KEY, x)) == {"params"}
    assert set(Sowing().init(KEY, x, mutable=["params", "intermediates"])) == {
        "params",
        "intermediates",
    }
    assert set(Sowing().init(KEY, x, capture_intermediates=True)) == {"params", "intermediates"}
    assert Sowing().init(KEY, x, method="other") == {}
    assert Sowing().init(KEY, x, mutable=["intermediates", "params"]) != {}


def test_init_with_output_returns_both():
    """It returns `(output, variables)`."""
    x = jnp.ones((1, 3))
    y, variables = nn.Dense(2).init_with_output(KEY, x)
    np.testing.assert_array_equal(y, nn.Dense(2).apply(variables, x))


def test_is_initializing_and_is_mutable_collection():
    """True under `init` and `nn.init`, false under `apply` whatever is mutable."""

    class Ask(nn.Module):
        def __call__(self):
            return self.is_initializing(), self.is_mutable_collection("a")

    assert Ask().init_with_output(KEY)[0] == (True, True)
    assert nn.init_with_output(Ask.__call__, Ask())(KEY)[0] == (True, True)
    assert Ask().apply({}) == (False, False)
    assert Ask().apply({}, mutable=["a"])[0] == (False, True)


# --- lazy_init -----------------------------------------------------------------------------------


def test_lazy_init_needs_shapes_only():
    """It gives what `init` gives, from a `ShapeDtypeStruct`."""
    model = nn.Dense(features=256)
    lazy = model.lazy_init(KEY, jax.ShapeDtypeStruct((1, 128), jnp.float32))
    compare(lazy, model.init(KEY, jnp.ones((1, 128))), tolerance=1e-6)


def test_lazy_init_mixes_concrete_and_abstract_arguments():
    """A concrete value is needed where it decides which variables there are."""

    class Switch(nn.Module):
        @nn.compact
        def __call__(self, x, deep):
            return nn.Dense(2)(nn.Dense(3)(x)) if deep else nn.Dense(2)(x)

    x = jax.ShapeDtypeStruct((1, 4), jnp.float32)
    assert set(Switch().lazy_init(KEY, x, deep=True)["params"]) == {"Dense_0", "Dense_1"}
    assert set(Switch().lazy_init(KEY, x, deep=False)["params"]) == {"Dense_0"}


# --- make_rng, module_paths, param ---------------------------------------------------------------


def test_make_rng_falls_back_on_params_and_never_repeats():
    """The page's example, and a new key from every call."""

    class Named(nn.Module):
        stream: str

        def __call__(self):
            return self.make_rng(self.stream)

    params_out, _ = Named("params").init_with_output({"params": KEY})
    other_out, _ = Named("other").init_with_output({"params": KEY})
    assert params_out == other_out

    class Twice(nn.Module):
        def __call__(self):
            return self.make_rng("a"), self.make_rng("a")

    one, two = Twice().apply({}, rngs={"a": KEY})
    assert one != two
    assert Twice().apply({}, rngs={"a": KEY})[0] == one


def test_module_paths_lists_the_modules_used():
    """The page's example."""

    class Foo(nn.Module):
        @nn.compact
        def __call__(self, x):
            h = nn.Dense(4)(x)
            return nn.Dense(2)(h)

    modules = Foo().module_paths(KEY, jnp.ones((16, 9)))
    assert {p: type(m).__name__ for p, m in modules.items()} == {
        "": "Foo",
        "Dense_0": "Dense",
        "Dense_1": "Dense",
    }
    assert all(m.scope is None for m in modules.values())


def test_param_passes_the_key_and_variable_does_not():
    """The page's examples of `param` and `variable`."""

    class WithParam(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Dense(4)(x)
            mean = self.param("mean", nn.initializers.lecun_normal(), x.shape)
            return x * mean

    class WithVariable(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Dense(4)(x)
            key = self.make_rng("stats")
            mean = self.variable("stats", "mean", nn.initializers.lecun_normal(), key, x.shape)
            return x * mean.value

    rngs = {"params": jax.random.key(0), "stats": jax.random.key(1)}
    x = jnp.ones((2, 3))
    dense = {"bias": (4,), "kernel": (3, 4)}
    assert shapes(WithParam().init(rngs, x)) == {"params": {"Dense_0": dense, "mean": (2, 4)}}
    assert shapes(WithVariable().init(rngs, x)) == {
        "params": {"Dense_0": dense},
        "stats": {"mean": (2, 4)},
    }


def test_a_variable_without_init_fn_must_exist():
    """With `init_fn=None` it is an error if the variable does not exist."""

    class Read(nn.Module):
        @nn.compact
        def __call__(self):
            return self.variable("stats", "mean").value

    assert Read().apply({"stats": {"mean": 3.0}}) == 3.0
    with pytest.raises(errors.ScopeCollectionNotFound):
        Read().apply({})
    with pytest.raises(errors.ScopeVariableNotFoundError):
        Read().apply({"stats": {"var": 3.0}})


# --- perturb -------------------------------------------------------------------------------------


class Perturbed(nn.Module):
    """The page's example of `perturb`."""

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(3)(x)
        x = self.perturb("dense3", x)
        return nn.Dense(2)(x)


def _perturbed_loss(variables):
    x, y = jnp.ones((2, 9)), jnp.ones((2, 2))
    return jnp.square(Perturbed().apply(variables, x) - y).mean()


@pytest.mark.usefixtures("numbers_of_the_page")
def test_perturb_gives_the_gradient_of_an_intermediate():
    """The numbers that the page prints."""
    variables = Perturbed().init(KEY, jnp.ones((2, 9)))
    grads = jax.grad(_perturbed_loss)(variables)
    np.testing.assert_allclose(
        grads["perturbations"]["dense3"],
        [[-1.456924, -0.44332537, 0.02422847]] * 2,
        rtol=1e-5,
    )


@pytest.mark.usefixtures("numbers_of_the_page")
def test_perturb_without_its_collection_does_nothing():
    """The page's numbers, with the perturbations and without them."""
    x = jnp.ones((2, 9))
    variables = Perturbed().init(KEY, x)
    for given in (variables, {"params": variables["params"]}):
        np.testing.assert_allclose(
            Perturbed().apply(given, x), [[-1.0980128, -0.67961735]] * 2, rtol=1e-5
        )
    grads = jax.grad(_perturbed_loss)({"params": variables["params"]})
    assert "perturbations" not in grads


# --- put_variable, setup -------------------------------------------------------------------------


def test_put_variable_updates_what_is_mutable():
    """And is an error otherwise."""

    class Put(nn.Module):
        def __call__(self):
            self.put_variable("a", "v", 3.0)

    assert Put().apply({"a": {"v": 1.0}}, mutable=["a"]) == (None, {"a": {"v": 3.0}})
    with pytest.raises(errors.ModifyScopeVariableError):
        Put().apply({"a": {"v": 1.0}})


def test_setup_runs_once_lazily():
    """Not when the module is made; once when it is bound and used, by method or attribute."""
    runs = []

    class Counting(nn.Module):
        def setup(self):
            runs.append(self.name)
            self.value = 5

        def __call__(self):
            return self.value

    model = Counting()
    assert runs == []
    bound = model.bind({})
    assert runs == []
    assert bound.value == 5
    bound()
    bound()
    assert runs == [None]


def test_setup_of_a_submodule_runs_when_it_is_first_used():
    """In `setup` of the parent it has no name yet; after assignment its attributes are there."""
    order = []

    class Inner(nn.Module):
        def setup(self):
            order.append("inner")
            self.width = 3

        def __call__(self, x):
            return x

    class Outer(nn.Module):
        def setup(self):
            submodule = Inner()
            assert submodule.name is None
            assert submodule.scope is None
            self.conv1 = submodule
            assert submodule.name == "conv1"
            order.append("assigned")
            assert self.conv1.width == 3

        def __call__(self, x):
            return self.conv1(x)

    Outer().init(KEY, 1.0)
    assert order == ["assigned", "inner"]


def test_setup_runs_for_a_module_made_in_a_compact_method():
    """Before its first method, or the first read of an attribute."""

    class Inner(nn.Module):
        def setup(self):
            self.dense = nn.Dense(2)

        def __call__(self, x):
            return self.dense(x)

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x):
            inner = Inner()
            assert isinstance(inner.dense, nn.Dense)
            return inner(x)

    assert shapes(Outer().init(KEY, jnp.ones((1, 3)))) == {
        "params": {"Inner_0": {"dense": {"bias": (2,), "kernel": (3, 2)}}}
    }


# --- sow -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("numbers_of_the_page")
def test_sow_appends_to_a_tuple():
    """The numbers that the page prints; a no-op that returns False when not mutable."""
    stored = []

    class Foo(nn.Module):
        @nn.compact
        def __call__(self, x):
            h = nn.Dense(4)(x)
            stored.append(self.sow("intermediates", "h", h))
            return nn.Dense(2)(h)

    x = jnp.ones((16, 9))
    variables = Foo().init(KEY, x)
    _, state = Foo().apply(variables, x, mutable=["intermediates"])
    assert stored == [False, True]
    (h,) = state["intermediates"]["h"]
    np.testing.assert_allclose(h, [[-1.503171, 0.7377704, -0.59388214, -1.0079019]] * 16, rtol=1e-5)


def test_sow_with_init_and_reduce():
    """The page's second example: a sum of what is sown."""

    class Foo2(nn.Module):
        @nn.compact
        def __call__(self, x):
            for value in (x, x * 2):
                self.sow(
                    "intermediates", "h", value, init_fn=lambda: 0, reduce_fn=lambda a, b: a + b
                )
            return x

    x = jnp.ones((1, 1))
    _, state = Foo2().apply({}, x, mutable=["intermediates"])
    assert state["intermediates"]["h"] == jnp.array([[3.0]])


# --- tabulate ------------------------------------------------------------------------------------


class Tabulated(nn.Module):
    """The page's example of `tabulate`."""

    @nn.compact
    def __call__(self, x):
        h = nn.Dense(4)(x)
        return nn.Dense(2)(h)


def table_cells(text):
    """Read a drawn table back: for each row between rules, its cells, line by line."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    rows, current = [], []
    for line in text.splitlines():
        if line[:1] in "├└┡┏":
            if current:
                rows.append([" ".join(filter(None, cells)) for cells in zip(*current, strict=True)])
            current = []
        elif line[:1] in "│┃":
            current.append([cell.strip() for cell in re.split("[│┃]", line)[1:-1]])
    return rows


def test_tabulate_prints_the_table_of_the_page():
    """Paths, modules, shapes, FLOPs forward and backward, variables, totals."""
    text = Tabulated().tabulate(
        KEY,
        jnp.ones((16, 9)),
        compute_flops=True,
        compute_vjp_flops=True,
        console_kwargs={"width": 120, "force_terminal": False},
    )
    assert table_cells(text) == [
        ["path", "module", "inputs", "outputs", "flops", "vjp_flops", "params"],
        ["", "Tabulated", "float32[16,9]", "float32[16,2]", "1504", "4460", ""],
        [
            "Dense_0",
            "Dense",
            "float32[16,9]",
            "float32[16,4]",
            "1216",
            "3620",
            "bias: float32[4] kernel: float32[9,4] 40 (160 B)",
        ],
        [
            "Dense_1",
            "Dense",
            "float32[16,4]",
            "float32[16,2]",
            "288",
            "840",
            "bias: float32[2] kernel: float32[4,2] 10 (40 B)",
        ],
        ["", "", "", "", "", "Total", "50 (200 B)"],
    ]
    assert "Tabulated Summary" in text
    assert "Total Parameters: 50 (200 B)" in text


# --- variables, nn.apply, nn.init ----------------------------------------------------------------


class EncodeDecode(nn.Module):
    """A model with two methods, for the functions that take a function of it."""

    def setup(self):
        self.dense = nn.Dense(3)

    def encode(self, x):
        return self.dense(x)

    def decode(self, z):
        return z * 2


def _roundtrip(model, x):
    return model.decode(model.encode(x))


def test_apply_init_and_init_with_output_of_a_function():
    """They compose with `jax.jit`, and agree with one another."""
    x = jnp.ones((1, 3))
    foo = EncodeDecode()
    variables = jax.jit(nn.init(_roundtrip, foo))(KEY, x)
    y = jax.jit(nn.apply(_roundtrip, foo))(variables, x)
    y2, variables2 = jax.jit(nn.init_with_output(_roundtrip, foo))(KEY, x)
    compare(variables, variables2, tolerance=1e-6)
    np.testing.assert_allclose(y, y2, rtol=1e-6)
    assert set(variables["params"]) == {"dense"}
    out, state = nn.apply(_roundtrip, foo, mutable="params")(variables, x)
    assert out.shape == (1, 3)
    assert set(state) == {"params"}


def test_variables_of_a_module():
    """The variables of the module itself, `{collection: {...}}`."""

    class Inner(nn.Module):
        @nn.compact
        def __call__(self, x):
            y = nn.Dense(2)(x)
            return shapes(dict(self.variables)), y

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x):
            return Inner()(x)[0]

    seen, _ = Outer().init_with_output(KEY, jnp.ones((1, 3)))
    assert seen == {"params": {"Dense_0": {"bias": (2,), "kernel": (3, 2)}}}


# --- intercept_methods ---------------------------------------------------------------------------


class Passing(nn.Module):
    """The page's example of a method that is intercepted."""

    def __call__(self, x):
        return x


def _logging(name, log, *, skip=False):
    def interceptor(next_fun, args, kwargs, context):
        log.append(name)
        run = context.orig_method if skip else next_fun
        return run(*args, **kwargs)

    return interceptor


def test_interceptors_run_in_order_and_may_skip_the_rest():
    """The page's three examples."""
    log = []
    with nn.intercept_methods(_logging("1", log)):
        Passing()(jnp.ones([1]))
    assert log == ["1"]
    log.clear()
    with nn.intercept_methods(_logging("1", log)), nn.intercept_methods(_logging("2", log)):
        Passing()(jnp.ones([1]))
    assert log == ["1", "2"]
    log.clear()
    with (
        nn.intercept_methods(_logging("3", log, skip=True)),
        nn.intercept_methods(_logging("1", log)),
        nn.intercept_methods(_logging("2", log)),
    ):
        Passing()(jnp.ones([1]))
    assert log == ["3"]


def test_interceptors_may_change_arguments_and_results():
    """Or not call the method at all."""

    def doubled(next_fun, args, kwargs, context):
        assert context.method_name == "__call__"
        assert isinstance(context.module, Passing)
        return 2 * next_fun(args[0] + 1, **kwargs)

    with nn.intercept_methods(doubled):
        assert Passing()(3) == 8
    with nn.intercept_methods(lambda next_fun, args, kwargs, context: "instead"):
        assert Passing()(3) == "instead"
    assert Passing()(3) == 3


def test_what_is_not_intercepted():
    """Methods marked `nowrap`, Python's own, fields and descriptors."""

    class Model(nn.Module):
        fn: object = len

        @nn.nowrap
        def helper(self):
            return 1

        @property
        def prop(self):
            return 2

        @staticmethod
        def static():
            return 3

        @classmethod
        def of_class(cls):
            return 4

        def method(self):
            return 5

    seen = []

    def watch(next_fun, args, kwargs, context):
        seen.append(context.method_name)
        return next_fun(*args, **kwargs)

    with nn.intercept_methods(watch):
        model = Model()
        repr(model)
        hash(model)
        assert model == Model()
        assert [model.fn([]), model.helper(), model.prop, model.static(), model.of_class()] == [
            0,
            1,
            2,
            3,
            4,
        ]
        assert seen == []
        model.method()
    assert seen == ["method"]
