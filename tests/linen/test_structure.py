"""How modules get their names and their place: every case under Flax and under Linnet."""

import typing
from typing import Any, Generic, TypeVar

import flax.linen
import flax.struct
import jax
import jax.numpy as jnp
import pytest

import linnet.linen
from differential.linen import assert_same, shapes
from linnet.base import errors
from linnet.base.config import config

KEY = jax.random.key(0)
X = jnp.ones((2, 3))


def compact(nn, body, **fields):
    """Make a module whose compact `__call__` is `body`, with fields of any type."""
    attributes = {"__annotations__": dict.fromkeys(fields, Any), "__call__": nn.compact(body)}
    return type("Outer", (nn.Module,), attributes)(**fields)


def by_setup(nn, setup, call, **fields):
    """Make a module of a `setup` and a plain `__call__`, with fields of any type."""
    attributes = {"__annotations__": dict.fromkeys(fields, Any), "setup": setup, "__call__": call}
    return type("Outer", (nn.Module,), attributes)(**fields)


def tree(model, *args, **kwargs):
    """Initialise a model and return the shapes of its variables, keys in order."""
    return shapes(model.init(KEY, *(args or (X,)), **kwargs))


def leaf(nn, **kwargs):
    """Make the submodule that these tests are content with."""
    return nn.Dense(3, **kwargs)


# --- automatic and explicit names -------------------------------------------------------------


def test_automatic_names_count_by_class():
    """`Dense_0`, `Dense_1` are counted for each class alone, in order of creation."""

    def program(nn):
        class Twin(nn.Dense):
            pass

        def body(self, x):
            return leaf(nn)(Twin(3)(leaf(nn)(nn.LayerNorm()(Twin(3)(x)))))

        return tree(compact(nn, body))

    assert_same(program)


def test_names_are_counted_anew_in_each_call():
    """A compact method that runs twice meets its own submodules again."""

    def program(nn):
        class Block(nn.Module):
            @nn.compact
            def __call__(self, x):
                return leaf(nn)(leaf(nn)(x))

        def body(self, x):
            block = Block()
            return block(block(x)), block.path, Block().path

        return compact(nn, body).init_with_output(KEY, X)

    assert_same(program, drawn=False)


def test_names_are_numbered_in_order_of_creation_not_of_use():
    """The number is given when the constructor runs; variables come in order of use."""

    def program(nn):
        def body(self, x):
            first, second = leaf(nn), leaf(nn)
            y = second(x)
            return first(y), first.name, second.name

        return compact(nn, body).init_with_output(KEY, X)

    assert_same(program)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (None, "Dense_0"),
        ("Dense_0", None),
        ("Dense_1", None),
        ("a", "a"),
        ("a", "b"),
        ("", None),
        ("ünï/cødé", "x.y z"),
        ("setup", None),
        ("name", "parent"),
        ("__call__", "self"),
        ("x" * 300, None),
    ],
)
def test_automatic_and_explicit_names_share_one_namespace(first, second):
    """What an explicit name takes an automatic one cannot have, and the other way round."""

    def program(nn):
        def body(self, x):
            return leaf(nn, name=second)(leaf(nn, name=first)(x))

        return tree(compact(nn, body))

    assert_same(program)


def test_a_submodule_may_be_named_like_a_field():
    """Fields do not take names of submodules."""
    assert_same(lambda nn: tree(compact(nn, lambda self, x: leaf(nn, name="width")(x), width=3)))


DECLARATIONS = {
    "param": lambda self, name: self.param(name, lambda key: jnp.zeros(())),
    "variable": lambda self, name: self.variable("state", name, lambda: jnp.zeros(())),
    "other": lambda self, name: self.variable("other", name, lambda: jnp.zeros(())),
    "sow": lambda self, name: self.sow("state", name, 1),
    "put": lambda self, name: self.put_variable("state", name, 1),
    "perturb": lambda self, name: self.perturb(name, X, "state"),
    "module": lambda self, name: None,
}


@pytest.mark.parametrize("first", DECLARATIONS)
@pytest.mark.parametrize("second", DECLARATIONS)
def test_collisions_of_names(first, second):
    """Of any two declarations of one name, those that collide in Flax collide here."""

    def program(nn):
        def declare(self, what):
            if what == "module":
                return leaf(nn, name="same")(X) is None
            return DECLARATIONS[what](self, "same") and None

        def body(self, x):
            declare(self, first)
            declare(self, second)
            return x

        return compact(nn, body).init(KEY, X, mutable=True)

    assert_same(program)


@pytest.mark.parametrize("later", ["param", "module", "attribute"])
def test_names_of_setup_stay_taken(later):
    """What `setup` named cannot be named again by a compact method."""

    def program(nn):
        class Outer(nn.Module):
            def setup(self):
                self.same = leaf(nn)

            @nn.compact
            def __call__(self, x):
                x = self.same(x)
                if later == "param":
                    self.param("same", lambda key: 0.0)
                elif later == "module":
                    x = leaf(nn, name="same")(x)
                return x

        return tree(Outer())

    assert_same(program)


def test_setup_and_compact_in_one_module():
    """Attributes of `setup` stand beside what the compact method numbers."""

    def program(nn):
        class Outer(nn.Module):
            def setup(self):
                self.a = leaf(nn)
                self.w = self.param("w", nn.initializers.ones, ())

            @nn.compact
            def __call__(self, x):
                return leaf(nn)(self.a(x)) * self.w + self.param("z", nn.initializers.ones, ())

        return Outer().init_with_output(KEY, X)

    assert_same(program)


def test_a_compact_method_may_call_itself():
    """Inside a recursive call the numbering goes on, as the method is still running."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def __call__(self, x, n=2):
                y = leaf(nn)(x)
                return self(y, n - 1) if n else y

        return tree(Outer())

    assert_same(program)


def test_a_module_may_contain_its_own_class():
    """A class used inside itself nests."""

    def program(nn):
        class Nest(nn.Module):
            depth: int

            @nn.compact
            def __call__(self, x):
                return Nest(self.depth - 1)(x) if self.depth else leaf(nn)(x)

        return tree(Nest(3))

    assert_same(program)


@pytest.mark.parametrize("method", ["__call__", "first", "second"])
def test_two_compact_methods(method):
    """Two compact methods may stand in one class, as long as their names do not clash."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def first(self, x):
                return leaf(nn)(x)

            @nn.compact
            def second(self, x):
                return nn.LayerNorm()(x)

            def __call__(self, x):
                return x

        return tree(Outer(), method=method)

    assert_same(program)


def test_two_compact_methods_that_share_a_name():
    """Two methods that would silently share parameters are refused, and both are named."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def first(self, x):
                return leaf(nn)(x)

            @nn.compact
            def second(self, x):
                return leaf(nn)(x)

            def __call__(self, x):
                return self.second(self.first(x))

        return tree(Outer())

    assert list(program(flax.linen)["params"]) == ["Dense_0"]  # shared without a word
    with pytest.raises(errors.MultipleMethodsCompactError, match=r"`first` and `second`.*Dense_0"):
        program(linnet.linen)


# --- attributes of setup ----------------------------------------------------------------------


def test_attributes_name_submodules_through_containers():
    """Lists, tuples, dictionaries and their nestings name modules by attribute and key."""

    def program(nn):
        def setup(self):
            self.alone = leaf(nn)
            self.listed = [leaf(nn), (leaf(nn), [leaf(nn)])]
            self.keyed = {"b": leaf(nn), "a": [leaf(nn), 5], 3: leaf(nn)}

        def call(self, x):
            used = [self.alone, self.listed[0], self.listed[1][0], self.listed[1][1][0]]
            used += [self.keyed["b"], self.keyed["a"][0], self.keyed[3]]
            for module in used:
                x = module(x)
            kinds = [type(v).__name__ for v in (self.listed, self.listed[1], self.keyed)]
            return kinds, [module.name for module in used], self.keyed["a"][1]

        return by_setup(nn, setup, call).init_with_output(KEY, X)

    assert_same(program)


class Pair(typing.NamedTuple):
    """Two of anything."""

    left: Any
    right: Any


@flax.struct.dataclass
class Duo:
    """Two of anything, as a pytree with keys."""

    left: Any
    right: Any
    label: str = flax.struct.field(pytree_node=False, default="duo")


@pytest.mark.parametrize("container", [Pair, Duo])
@pytest.mark.parametrize("where", ["field", "setup"])
def test_modules_in_other_pytrees(container, where):
    """Named tuples and registered dataclasses name modules by their fields."""

    def program(nn):
        value = container(leaf(nn), [leaf(nn), 7])

        def setup(self):
            self.held = container(leaf(nn), [leaf(nn), 7]) if where == "setup" else self.given

        def call(self, x):
            held = self.held
            return held.right[0](held.left(x)), type(held).__name__, held.right[1]

        return by_setup(nn, setup, call, given=value).init_with_output(KEY, X)

    assert_same(program)


def test_one_module_under_two_attributes_is_one_module():
    """The first attribute gives the name."""

    def program(nn):
        def setup(self):
            self.a = leaf(nn)
            self.b = self.a
            self.c = [self.a, leaf(nn)]

        def call(self, x):
            return self.c[1](self.c[0](self.b(x))), self.b.name, self.b is self.a

        return by_setup(nn, setup, call).init_with_output(KEY, X)

    assert_same(program)


def test_a_name_given_in_setup_wins_over_the_attribute():
    """`self.a = Dense(name="b")` is called `b`."""

    def program(nn):
        def setup(self):
            self.a = leaf(nn, name="b")

        return tree(by_setup(nn, setup, lambda self, x: self.a(x)))

    assert_same(program)


def test_a_module_of_setup_never_assigned_never_appears():
    """A module used in `setup` only through a container of another module belongs there."""

    def program(nn):
        def setup(self):
            inner = leaf(nn)
            self.stack = nn.Sequential([inner, nn.Sequential([leaf(nn), jnp.tanh]), inner])

        return tree(by_setup(nn, setup, lambda self, x: self.stack(x)))

    assert_same(program)


def test_attributes_of_setup_may_be_anything():
    """Numbers, arrays, functions, sets and None pass through an assignment unharmed."""

    def program(nn):
        def setup(self):
            self.number, self.array, self.nothing = 5, jnp.arange(3), None
            self.names, self.fn, self.mixed = {"a", "b"}, jnp.tanh, [1, {"k": "v"}]
            self.kind = jnp.float32

        def call(self, x):
            return (
                self.number,
                self.array,
                self.nothing is None,
                sorted(self.names),
                self.fn is jnp.tanh,
                self.mixed[1]["k"],
                self.kind is jnp.float32,
            )

        return by_setup(nn, setup, call).init_with_output(KEY, X)

    assert_same(program)


def test_setup_may_overwrite_and_read_its_attributes():
    """An attribute assigned twice keeps the name of each assignment apart, or collides."""

    def program(nn):
        def setup(self):
            self.n = 1
            self.n = self.n + 1
            self.a = leaf(nn)
            self.a = leaf(nn)

        return tree(by_setup(nn, setup, lambda self, x: self.a(x) * self.n))

    assert_same(program)


def test_setup_may_delete_nothing_and_raise():
    """An exception of `setup` comes out as it is."""

    def program(nn):
        def setup(self):
            raise KeyError("broken")

        return tree(by_setup(nn, setup, lambda self, x: x))

    assert_same(program)


def test_attributes_set_in_setup_of_a_parent_class():
    """`super().setup()` adds its submodules first."""

    def program(nn):
        class Base(nn.Module):
            def setup(self):
                self.a = leaf(nn)

            def __call__(self, x):
                return self.a(x)

        class Child(Base):
            def setup(self):
                super().setup()
                self.b = leaf(nn)

            def __call__(self, x):
                return self.b(super().__call__(x))

        return tree(Child())

    assert_same(program)


# --- adoption of fields -----------------------------------------------------------------------


def chain(nn, *modules):
    """Make a module that holds others in a field and calls them in turn."""

    def body(self, x):
        for module in self.parts:
            x = module(x)
        return x

    return compact(nn, body, parts=modules)


def test_modules_in_a_field_are_named_after_it():
    """One alone bears the name of the field, several in a list are numbered."""
    assert_same(lambda nn: tree(chain(nn, leaf(nn), nn.LayerNorm(), leaf(nn))))
    assert_same(lambda nn: tree(compact(nn, lambda self, x: self.inner(x), inner=leaf(nn))))


def test_a_field_may_hold_a_dictionary_of_modules():
    """Keys are joined to the field's name."""

    def program(nn):
        def body(self, x):
            return self.by_key["b"](self.by_key["a"](x)), type(self.by_key).__name__

        return compact(nn, body, by_key={"b": leaf(nn), "a": leaf(nn)}).init_with_output(KEY, X)

    assert_same(program)


def test_one_description_in_two_fields_is_one_module():
    """A description that stands in two places is adopted once, under the first place."""

    def program(nn):
        shared = leaf(nn)
        inner = chain(nn, shared, leaf(nn))
        return tree(chain(nn, shared, inner, shared))

    assert_same(program)


@pytest.mark.parametrize("times", [1, 3])
def test_one_description_serves_several_models(times):
    """A description used by one model is still unbound, and serves the next."""

    def program(nn):
        shared = leaf(nn)
        trees = [tree(chain(nn, shared)) for _ in range(times)]
        return trees, shared.scope is None, shared.name, repr(shared.parent)

    assert_same(program)


def test_a_module_of_the_caller_in_a_field_stays_where_it_is():
    """A submodule passed to another module keeps its path in the module that made it."""

    def program(nn):
        def body(self, x):
            own = leaf(nn)
            outside = leaf(nn, parent=None)
            y = chain(nn, own, outside)(x)
            return chain(nn, own, chain(nn, outside, own))(y), own.path

        return compact(nn, body).init_with_output(KEY, X)

    assert_same(program)


def test_a_submodule_created_in_a_constructor_call_belongs_to_the_creator():
    """`Outer(inner=Dense())` in a compact method makes `Dense_0` beside `Outer_0`."""

    def program(nn):
        def body(self, x):
            return chain(nn, leaf(nn), leaf(nn, name="named"))(x)

        return tree(compact(nn, body))

    assert_same(program)


def test_a_submodule_created_in_setup_inside_a_constructor_call_is_adopted():
    """In `setup` the module that waits for a name gets it from the field that holds it."""

    def program(nn):
        def setup(self):
            self.chain = chain(nn, leaf(nn), leaf(nn, name="named"))

        return tree(by_setup(nn, setup, lambda self, x: self.chain(x)))

    assert_same(program)


@pytest.mark.parametrize("preserve", [False, True])
def test_preserve_adopted_names(preserve):
    """With the flag, a description in a field keeps the name it was given."""

    def program(nn):
        flags = config if nn is linnet.linen else __import__("flax").config
        with flags.temp_flip_flag("preserve_adopted_names", preserve):
            return tree(chain(nn, leaf(nn, name="mine"), leaf(nn)))

    assert_same(program)


def test_preserve_adopted_names_as_an_attribute_of_the_class():
    """A class may ask for it alone."""

    def program(nn):
        class Outer(nn.Module):
            preserve_adopted_names = True
            inner: nn.Module

            @nn.compact
            def __call__(self, x):
                return self.inner(x)

        return tree(Outer(leaf(nn, name="mine")))

    assert_same(program)


def test_fields_of_modules_that_were_cloned_and_copied():
    """Copies of one description are different modules."""

    def program(nn):
        one = leaf(nn)
        return tree(chain(nn, one, one.clone(), one.copy(), one.clone(name="kept")))

    assert_same(program)


def test_copy_inside_a_compact_method_is_a_new_submodule():
    """`copy` takes the running module as parent and a new automatic name."""

    def program(nn):
        def body(self, x):
            one = leaf(nn)
            return one.copy(name="two")(one.copy()(one(x)))

        return tree(compact(nn, body))

    assert_same(program)


def test_clone_of_a_bound_module_leaves_its_model_but_not_its_fields():
    """`clone` of a living module is a description again; its fields' modules stay bound."""

    def program(nn):
        def body(self, x):
            inner = chain(nn, leaf(nn), leaf(nn))
            free = inner.clone()
            return free.scope is None, [part.scope is None for part in free.parts], free.name

        return compact(nn, body).init_with_output(KEY, X)

    assert_same(program)


def test_a_clone_assigned_in_setup_shares_the_modules_in_its_fields():
    """The copy has a path of its own, and no second set of variables for what it was given."""

    def program(nn):
        def setup(self):
            self.one = chain(nn, leaf(nn), leaf(nn))
            self.two = self.one.clone()

        return tree(by_setup(nn, setup, lambda self, x: self.two(self.one(x))))

    assert_same(program)


def test_a_module_passed_to_a_call_can_be_used_there():
    """A module handed from parent to child as an argument keeps its path."""

    def program(nn):
        class User(nn.Module):
            @nn.compact
            def __call__(self, module, x):
                return leaf(nn)(module(x))

        def body(self, x):
            return User()(leaf(nn), x)

        return tree(compact(nn, body))

    assert_same(program)


def test_a_factory_in_a_field():
    """A class or a partial in a field makes submodules of whoever calls it."""

    def program(nn):
        import functools

        def body(self, x):
            return self.make()(self.make(name="two")(x))

        return tree(compact(nn, body, make=functools.partial(nn.Dense, 3)))

    assert_same(program)


# --- modules that come and go -----------------------------------------------------------------


def test_nested_init_and_apply_do_not_disturb_the_model_outside():
    """A model may initialise and apply others while it runs."""

    def program(nn):
        def body(self, x):
            free = leaf(nn, parent=None)
            variables = free.init(KEY, x)
            y = free.apply(variables, x)
            return y + leaf(nn)(y) + self.param("p", lambda key: jnp.ones(()))

        return compact(nn, body).init_with_output(KEY, X)

    assert_same(program)


@pytest.mark.parametrize("call", ["init", "apply"])
def test_nested_init_of_a_submodule_is_a_model_of_its_own(call):
    """`init` and `apply` of a bound submodule work on a copy with its own variables."""

    def program(nn):
        def body(self, x):
            inner = leaf(nn)
            variables = inner.init(KEY, x)
            return variables if call == "init" else inner.apply(variables, x)

        return compact(nn, body).init_with_output(KEY, X)

    assert_same(program)


def test_a_submodule_created_in_a_plain_method():
    """Neither `setup` nor compact: refused."""

    def program(nn):
        return tree(by_setup(nn, lambda self: None, lambda self, x: leaf(nn)(x)))

    assert_same(program)


def test_parent_must_be_a_module_a_scope_or_none():
    """Anything else as `parent` is an error."""
    assert_same(lambda nn: leaf(nn, parent=3))


def test_explicit_parent():
    """`parent=self` places a module as leaving it out does."""

    def program(nn):
        def body(self, x):
            return leaf(nn, parent=self)(leaf(nn, parent=self, name="two")(x))

        return tree(compact(nn, body))

    assert_same(program)


def test_deep_inheritance_and_mixins():
    """Methods and fields of mixins without `Module` take part as any class's do."""

    def program(nn):
        class Scaled:
            factor: float = 2.0

            def scaled(self, x):
                return x * self.factor

        class A(nn.Module):
            width: int = 3

            @nn.compact
            def __call__(self, x):
                return nn.Dense(self.width)(x)

        class B(A):
            @nn.compact
            def __call__(self, x):
                return nn.Dense(self.width)(super().__call__(x))

        class C(Scaled, B):
            @nn.compact
            def __call__(self, x):
                return self.scaled(nn.Dense(self.width)(super().__call__(x)))

        class D(C):
            pass

        return D().init_with_output(KEY, X)

    assert_same(program)


T = TypeVar("T")


def test_generic_modules():
    """A module class may be generic."""

    def program(nn):
        class Box(nn.Module, Generic[T]):
            value: T

            @nn.compact
            def __call__(self, x):
                return nn.Dense(self.value)(x)

        class IntBox(Box[int]):
            pass

        return tree(Box[int](3)), tree(IntBox(3)), type(Box[int](3)).__name__

    assert_same(program)


# --- share_scope ------------------------------------------------------------------------------


def sharing(nn, inner):
    """Make a module that shares its scope with the one in its field."""

    class Sharing(nn.Module):
        inner: Any

        def setup(self):
            nn.share_scope(self, self.inner)

        @nn.compact
        def __call__(self, x):
            return self.inner(x) + self.param("extra", nn.initializers.ones, ())

    return Sharing(inner)


@pytest.mark.parametrize("place", ["root", "compact", "outside", "setup", "own", "twice"])
def test_share_scope(place):
    """The two modules have one path, wherever the inner one comes from."""

    def program(nn):
        if place == "root":
            return sharing(nn, leaf(nn)).init_with_output(KEY, X)
        if place == "own":

            class Own(nn.Module):
                def setup(self):
                    self.inner = leaf(nn)
                    nn.share_scope(self, self.inner)

                @nn.compact
                def __call__(self, x):
                    return self.inner(x) + self.param("extra", nn.initializers.ones, ())

            return Own().init_with_output(KEY, X)
        if place == "setup":

            def setup(self):
                self.one = sharing(nn, leaf(nn))
                self.two = sharing(nn, leaf(nn, name="q"))

            return by_setup(nn, setup, lambda self, x: self.two(self.one(x))).init_with_output(
                KEY, X
            )

        def body(self, x):
            inner = leaf(nn, parent=None) if place == "outside" else leaf(nn)
            outer = sharing(nn, inner)
            y = outer(x)
            return outer(y) if place == "twice" else y

        return compact(nn, body).init_with_output(KEY, X)

    assert_same(program)


def test_share_scope_of_unbound_modules():
    """There is no scope to share yet."""
    assert_same(lambda nn: nn.share_scope(leaf(nn), leaf(nn)))


# --- after the call ---------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["path", "copy"])
def test_a_module_leaked_out_of_a_call_is_a_description(use):
    """What it is and where it stood can still be asked."""

    def program(nn):
        kept = []

        def body(self, x):
            kept.append(leaf(nn))
            return kept[-1](x)

        model = compact(nn, body)
        model.apply(model.init(KEY, X), X)
        look = {
            "path": lambda m: m.path,
            "copy": lambda m: m.copy(parent=None).features,
        }
        return look[use](kept[0]), look[use](kept[1])

    assert_same(program)


def test_a_module_leaked_out_of_a_call_has_no_variables():
    """Reading, writing or drawing says that the call is over, and names the place."""
    nn = linnet.linen
    kept = []

    def body(self, x):
        kept.append(nn.BatchNorm(use_running_average=False))
        return kept[-1](x)

    compact(nn, body).init(KEY, X)
    for use in (
        lambda m: m(X),
        lambda m: m.variables,
        lambda m: m.get_variable("batch_stats", "mean"),
        lambda m: m.has_variable("batch_stats", "mean"),
        lambda m: m.make_rng("params"),
        lambda m: m.put_variable("batch_stats", "mean", X),
    ):
        with pytest.raises(errors.InvalidScopeError, match=r"/BatchNorm_0 \(BatchNorm\).*\.bind"):
            use(kept[0])
