"""`init`, `apply`, `bind`, `lazy_init` and their function forms, however they are called."""

import gc
import weakref

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import linnet.linen
from differential.compare import compare
from differential.linen import FLAX, assert_same, shapes
from differential.programs import outcome
from linnet.base import errors
from linnet.base.config import config
from linnet.tree.frozen_dict import FrozenDict, freeze
from versions import NEWEST

KEY = jax.random.key(0)
X = jnp.ones((2, 3))


def net(nn):
    """A model with parameters, statistics, a stream, intermediates and several methods."""

    class Net(nn.Module):
        def setup(self):
            self.enc = nn.Dense(3)
            self.norm = nn.BatchNorm(momentum=0.5)
            self.drop = nn.Dropout(0.5)

        def encode(self, x, scale=1.0):
            return self.enc(x) * scale

        def __call__(self, x, train=True):
            x = self.norm(self.encode(x), use_running_average=not train)
            self.sow("intermediates", "h", x)
            return self.drop(x, deterministic=not train)

    return Net()


def forms(nn):
    """Every form of `method=`, by name."""
    model = net(nn)
    return {
        "name": "encode",
        "function": type(model).encode,
        "bound": model.encode,
        "bound elsewhere": net(nn).encode,
        "lambda": lambda m, x, **kw: m.encode(x, **kw) + 1,
        "call": "__call__",
        "builtin": "clone",
        "absent": "encod",
        "number": 3,
        "partial": __import__("functools").partial(type(model).encode, scale=2.0),
        "class": type(model),
    }


@pytest.mark.parametrize("form", [f for f in forms(linnet.linen) if f not in {"builtin", "class"}])
@pytest.mark.parametrize("call", ["init", "apply"])
def test_forms_of_method(form, call):
    """A name, a function, a bound method or anything that takes the module; else an error."""

    def program(nn):
        model, method = net(nn), forms(nn)[form]
        rngs = {"params": KEY, "dropout": jax.random.key(1)}
        if call == "init":
            return model.init(rngs, X, method=method)
        variables = model.init(rngs, X)
        return model.apply(variables, X, method=method, rngs=rngs, mutable=["batch_stats"])

    assert_same(program)


@pytest.mark.parametrize(
    "rngs",
    [
        KEY,
        jax.random.PRNGKey(0),
        {"params": KEY},
        {"params": KEY, "dropout": jax.random.key(1)},
        {"dropout": KEY},
        {},
        None,
        X,
        3,
        {"params": 3},
        {"params": X},
        jax.random.split(KEY, 2),
        {3: KEY},
        [KEY],
    ],
    ids=str,
)
@pytest.mark.parametrize("call", ["init", "apply"])
def test_forms_of_rngs(rngs, call):
    """A key or keys by stream; anything else is an error."""

    def program(nn):
        model = net(nn)
        if call == "init":
            return model.init(rngs, X, train=False)
        variables = model.init(KEY, X)
        return model.apply(variables, X, rngs=rngs, mutable=["batch_stats"])

    # what is no key at all Flax meets deep inside, with whatever error arises there
    loose = isinstance(rngs, int | list) or rngs is X or (isinstance(rngs, dict) and 3 in rngs)
    if loose:
        with pytest.raises(errors.InvalidRngError, match=r"Write `model\.(init|apply)"):
            program(linnet.linen)
    else:
        assert_same(program)


@pytest.mark.parametrize(
    "mutable",
    [
        False,
        True,
        "batch_stats",
        "params",
        ["batch_stats", "intermediates"],
        ("intermediates",),
        {"batch_stats"},
        frozenset({"params", "batch_stats"}),
        [],
        (),
        "deny",
        "deny two",
        3,
        None,
        {"batch_stats": True},
    ],
    # a set is written in another order in each process
    ids=lambda form: f"set {sorted(form)}" if isinstance(form, set | frozenset) else str(form),
)
@pytest.mark.parametrize("call", ["init", "apply"])
@pytest.mark.parametrize("train", [False, True])
def test_forms_of_mutable(mutable, call, train):
    """What may be written, what is returned, in which order, and what is no filter."""

    def program(nn):
        denied = {"deny": nn.DenyList("params"), "deny two": nn.DenyList(["params", "batch_stats"])}
        form = denied.get(mutable, mutable) if isinstance(mutable, str) else mutable
        model, rngs = net(nn), {"params": KEY, "dropout": KEY}
        if call == "init":
            return model.init(rngs, X, train, mutable=form)
        return model.apply(model.init(rngs, X), X, train, rngs=rngs, mutable=form)

    assert_same(program)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        None,
        3,
        "params",
        X,
        {"params": 3},
        {"params": None},
        {"params": {}},
        {3: {}},
        {"params": {"params": {}}},
        {"params": {"params": {"kernel": X}}},
        {"kernel": X},
        {"params": {"kernel": X}},
        {"params": {"kernel": jnp.ones((3, 3)), "bias": jnp.ones(3), "extra": 1}},
        {"params": {"kernel": np.ones((3, 3), np.float32), "bias": np.ones(3, np.float32)}},
        {"params": {"kernel": [[1.0] * 3] * 3, "bias": [1.0] * 3}},
        {"params": {"kernel": jnp.ones((3, 3), jnp.bfloat16), "bias": jnp.ones(3)}},
    ],
    ids=lambda v: str(v)[:40],
)
def test_forms_of_variables(variables):
    """Collections of dictionaries of anything array-like; else an error of Flax's class."""
    assert_same(lambda nn: nn.Dense(3).apply(variables, X))


def test_a_submodule_of_setup_may_be_the_method():
    """`method="enc"` calls the submodule, which Flax does not find by name."""
    model = net(linnet.linen)
    variables = model.init(KEY, X, method="enc")
    assert shapes(variables) == {"params": {"enc": {"bias": (3,), "kernel": (3, 3)}}}
    assert model.apply(variables, X, method="enc").shape == (2, 3)


def test_variables_in_a_list():
    """What is no dictionary is refused by the class of error that other types are."""
    with pytest.raises(errors.ApplyScopeInvalidVariablesTypeError, match=r"\[1\]"):
        linnet.linen.Dense(3).apply([1], X)


def test_frozen_variables():
    """`FrozenDict` goes in wherever a dictionary does."""

    def program(nn):
        frozen = freeze if nn is linnet.linen else flax.core.freeze
        model = net(nn)
        variables = model.init({"params": KEY, "dropout": KEY}, X)
        rngs = {"dropout": KEY}
        y, updates = model.apply(frozen(variables), X, rngs=rngs, mutable=["batch_stats"])
        return y, updates, type(updates).__name__

    assert_same(program)


def test_return_frozendict():
    """With the flag, variables come back frozen."""

    def program(nn):
        flags = config if nn is linnet.linen else flax.config
        model = net(nn)
        with flags.temp_flip_flag("return_frozendict", True):
            variables = model.init(KEY, X, train=False)
            _, updates = model.apply(variables, X, train=False, mutable=["batch_stats"])
            lazy = nn.Dense(3).lazy_init(KEY, X)
        return [type(tree).__name__ for tree in (variables, updates, lazy)]

    assert assert_same(program) == ["FrozenDict"] * 3
    assert issubclass(FrozenDict, object)


@pytest.mark.parametrize(
    "capture",
    [
        True,
        False,
        lambda module, name: name == "encode",
        lambda module, name: module.name == "enc",
        lambda module, name: True,
        None,
    ],
    ids=["true", "false", "encode", "enc", "all", "none"],
)
@pytest.mark.parametrize("call", ["init", "apply", "apply without mutable"])
def test_capture_intermediates(capture, call):
    """The results of calls are stored beside what was sown, in order."""

    def program(nn):
        model, rngs = net(nn), {"params": KEY, "dropout": KEY}
        if call == "init":
            return model.init(rngs, X, capture_intermediates=capture)
        mutable = ["batch_stats", "intermediates"] if call == "apply" else ["batch_stats"]
        return model.apply(
            model.init(rngs, X), X, rngs=rngs, mutable=mutable, capture_intermediates=capture
        )

    assert_same(program)


def test_function_forms():
    """`nn.apply`, `nn.init` and `nn.init_with_output` make functions of functions."""

    def program(nn):
        model, rngs = net(nn), {"params": KEY, "dropout": KEY}

        def twice(module, x, scale=1.0):
            return module.encode(module(x)) * scale

        out, variables = nn.init_with_output(twice, model)(rngs, X, scale=2.0)
        only = nn.init(twice, model, mutable="params")(rngs, X)
        plain = nn.apply(twice, model, mutable=["batch_stats"])(variables, X, rngs=rngs)
        seen = nn.apply(
            lambda m, x: m(x, train=False), model, mutable=True, capture_intermediates=True
        )(variables, X)
        return out, variables, only, plain, seen

    assert_same(program)


def test_jit_of_init_and_apply():
    """Both are pure functions: jitted they give the same."""

    def program(nn):
        model = net(nn)
        variables = jax.jit(model.init, static_argnames="train")(KEY, X, train=False)
        step = jax.jit(
            lambda v, x: model.apply(v, x, rngs={"dropout": KEY}, mutable=["batch_stats"])
        )
        abstract = jax.eval_shape(lambda key: model.init(key, X), KEY)
        return variables, step(variables, X), shapes(abstract)

    assert_same(program)


def test_keyword_inputs_and_positional_mixes():
    """Arguments of the call go by position or by name."""

    def program(nn):
        model = net(nn)
        variables = model.init(KEY, x=X, train=False)
        return [
            model.apply(variables, X, False),
            model.apply(variables, x=X, train=False),
            model.apply(variables, X, train=False),
            model.apply(variables, X, scale=3.0, method="encode"),
        ]

    assert_same(program)


@pytest.mark.parametrize("by", ["name", "function"])
def test_arguments_called_as_things_inside_are(by):
    """A method may have an argument of any name."""

    def program(nn):
        class Outer(nn.Module):
            def pick(self, bound=1, fn=2, store=3, module=4, fun=5, args=6):
                return bound, fn, store, module, fun, args

        method = "pick" if by == "name" else Outer.pick
        return Outer().apply({}, bound=7, fn=8, store=9, module=10, fun=11, args=12, method=method)

    assert_same(program)


def test_unknown_keywords_of_the_call():
    """An argument that the method does not take is Python's error."""
    assert_same(lambda nn: net(nn).init(KEY, X, training=False))
    assert_same(lambda nn: net(nn).init(KEY))


def test_rng_for_rngs():
    """`rng=` is told from an argument of the method."""
    with pytest.raises(TypeError, match=r"rngs=\{'dropout': key\}"):
        linnet.linen.Dense(3).apply({}, X, rng=KEY)

    class TakesRng(linnet.linen.Module):
        def __call__(self, rng):
            return rng

    assert TakesRng().apply({}, rng=5) == 5


@pytest.mark.parametrize("method", ["init", "apply", "bind", "lazy_init", "init_with_output"])
def test_calls_on_the_class(method):
    """`Model.init(key, x)` without an instance says so."""
    cls = linnet.linen.Dense
    with pytest.raises(errors.InvalidInstanceModuleError, match=rf"\.{method}"):
        getattr(cls, method)(KEY, X)


# --- bind -------------------------------------------------------------------------------------


def test_bind_and_unbind():
    """A bound copy is used interactively; its parts come out with their variables."""

    def program(nn):
        model = net(nn)
        variables = model.init(KEY, X)
        bound = model.bind(variables, rngs={"dropout": KEY}, mutable=["batch_stats"])
        outs = bound.encode(X), bound(X), bound(X), bound.enc(X)
        enc, enc_variables = bound.enc.unbind()
        whole, all_variables = bound.unbind()
        return (
            outs,
            bound.variables["batch_stats"],
            enc.apply(enc_variables, X),
            enc.name,
            enc.scope is None,
            shapes(all_variables),
            whole == model,
        )

    assert_same(program)


def test_bound_modules_under_jax():
    """A bound module reads its variables inside any transformation."""

    def program(nn):
        class Outer(nn.Module):
            def setup(self):
                self.dense = nn.Dense(3)

            def __call__(self, x):
                return self.dense(x)

        model = Outer()
        bound = model.bind(model.init(KEY, X))
        return (
            jax.jit(lambda x: bound(x))(X),
            jax.grad(lambda x: bound(x).sum())(X),
            jax.vmap(bound)(X),
        )

    assert_same(program)


# --- lazy_init --------------------------------------------------------------------------------

ABSTRACT = jax.ShapeDtypeStruct((2, 3), jnp.float32)


def test_lazy_init_equals_init():
    """Given shapes alone the variables are those of `init`."""

    def program(nn):
        model = net(nn)
        lazy = model.lazy_init({"params": KEY, "dropout": KEY}, ABSTRACT)
        mixed = model.lazy_init(KEY, ABSTRACT, train=False, method="__call__")
        encoder = model.lazy_init(KEY, ABSTRACT, scale=2.0, method="encode", mutable="params")
        concrete = model.lazy_init({"params": KEY, "dropout": KEY}, X)
        # Flax hands the variables through JAX, which sorts the keys; ours come as from `init`
        return [jax.tree.map(jnp.asarray, v) for v in (lazy, mixed, encoder, concrete)]

    assert_same(program)


@pytest.mark.parametrize("concrete", [True, False])
def test_lazy_init_of_a_variable_that_depends_on_an_input(concrete):
    """It needs that input's value; of a shape it is made as if all were zeros, and that is told."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def __call__(self, x, y):
                self.variable("state", "mean", lambda: x.mean(0))
                return nn.Dense(3)(y)

        variables = Outer().lazy_init(KEY, X if concrete else ABSTRACT, ABSTRACT)
        return jax.tree.map(jnp.asarray, variables)

    if concrete:
        assert_same(program)
        return
    with pytest.warns(errors.LinnetWarning, match=r"value of /state/mean as if .* held zeros"):
        ours = program(linnet.linen)
    assert not ours["state"]["mean"].any()
    if NEWEST:  # Flax 0.12.8 raises a LazyInitError
        compare(ours, outcome(program, FLAX), tolerance=1e-5, drawn=True)


def test_lazy_init_of_unguarded_updates():
    """A counter that also counts in `init` counts once."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def __call__(self, x):
                count = self.variable("state", "count", lambda: jnp.zeros((), jnp.int32))
                count.value += 1
                last = self.variable("state", "ones", lambda: jnp.ones((3,)))
                last.value = last.value * 2
                return x

        return Outer().lazy_init(KEY, ABSTRACT)

    assert_same(program)


def test_lazy_init_names_the_variable():
    """The warning says which variables they are, and what to pass."""
    nn = linnet.linen

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.variable("state", "mean", lambda: x.mean(0) + 1)
            self.variable("state", "shape", lambda: jnp.zeros_like(x))
            self.variable("state", "inverse", lambda: 1 / jnp.exp(x))
            return x

    told = r"value of /state/mean, /state/inverse as if.*concrete array"
    with pytest.warns(errors.LinnetWarning, match=told):
        state = Outer().lazy_init(KEY, ABSTRACT)["state"]
    assert (state["mean"] == 1).all()
    assert (state["inverse"] == 1).all()


def test_the_arrays_of_a_call_are_let_go_when_it_ends():
    """Neither what was passed nor what was made waits for the garbage collector."""
    nn = linnet.linen
    model = nn.Sequential([nn.Dense(3), nn.BatchNorm(use_running_average=False)])
    x = jnp.ones((2, 3))
    variables = model.init(jax.random.key(0), x)
    gc.collect()
    gc.disable()
    try:
        passed = weakref.ref(variables["params"]["layers_0"]["kernel"])
        _, updates = model.apply(variables, x, mutable=["batch_stats"])
        changed = weakref.ref(updates["batch_stats"]["layers_1"]["mean"])
        del variables, updates
        assert passed() is None
        assert changed() is None
    finally:
        gc.enable()


def test_a_module_that_outlives_its_call_cannot_read_parameters():
    """The message says that the call has ended."""
    nn = linnet.linen
    kept = []

    class Leaky(nn.Module):
        def setup(self):
            self.dense = nn.Dense(2)

        def __call__(self, x):
            kept.append(self.dense)
            return self.dense(x)

    x = jnp.ones((1, 3))
    variables = Leaky().init(jax.random.key(0), x)
    Leaky().apply(variables, x)
    with pytest.raises(errors.InvalidScopeError, match=r"/dense .*had ended"):
        kept[-1](x)
