"""Modules are dataclasses: what holds for their fields and identity in Flax holds here."""

import copy
import dataclasses
import pickle
from typing import Any, ClassVar

import cloudpickle
import flax.linen
import jax
import jax.numpy as jnp
import pytest

import linnet.linen
from differential.linen import assert_same, shapes
from linnet.base import errors

KEY = jax.random.key(0)
X = jnp.ones((2, 3))


class OursHere(linnet.linen.Module):
    """A module that pickle finds by its name."""

    width: int = 3
    inner: Any = None

    def setup(self):
        self.dense = linnet.linen.Dense(self.width)

    def __call__(self, x):
        return self.dense(x)


# --- fields -----------------------------------------------------------------------------------


def test_fields_defaults_and_positions():
    """Fields are positional in order of declaration; `parent` and `name` are keyword-only."""

    def program(nn):
        class A(nn.Module):
            a: int
            b: int = 2
            c: list = dataclasses.field(default_factory=list)

        class B(A):
            d: str = "d"
            a: int = 5

        own = "abcd"
        fields = [
            [(f.name, f.init, f.repr) for f in dataclasses.fields(cls) if f.name in own]
            for cls in (A, B)
        ]
        made = [A(1), A(1, 3), A(a=1, c=[4]), B(), B(1, 2, [], "e")]
        values = [(m.a, m.b, m.c, m.name, m.parent is None) for m in made]
        return fields, values, made[0].c is made[1].c, A(1, name="n").name

    assert_same(program)


@pytest.mark.parametrize(
    "make",
    [
        lambda cls: cls(),
        lambda cls: cls(1, 2, 3),
        lambda cls: cls(1, None, "name"),
        lambda cls: cls(1, nonsense=2),
        lambda cls: cls(1, name="a", parent=None),
    ],
)
def test_wrong_arguments_of_a_constructor(make):
    """Missing, unknown and surplus arguments are Python's own errors."""

    def program(nn):
        class A(nn.Module):
            a: int
            b: int = 2

        return repr(make(A).b)

    assert_same(program)


def test_a_mutable_default_is_refused():
    """As in any dataclass, a list as default is an error when the class is made."""

    def program(nn):
        class A(nn.Module):
            a: list = []  # noqa: RUF012 - the mistake under test

        return A().a

    assert_same(program)


def test_a_field_without_default_after_one_with():
    """As in any dataclass, an error; with `kw_only=True` it is fine."""

    def positional(nn):
        class A(nn.Module):
            a: int = 1
            b: int

        return A(b=2).b

    def keyword(nn):
        class A(nn.Module, kw_only=True):
            a: int = 1

        class B(A):
            b: int

        class C(B, kw_only=True):
            c: int = 3
            d: int

        return (
            B(5).b,
            C(5, d=6).d,
            {f.name: f.kw_only for f in dataclasses.fields(C)}
            == {
                **dict.fromkeys("acd", True),
                **dict.fromkeys(["parent", "name"], True),
                "b": False,
            },
        )

    assert_same(positional)
    assert_same(keyword)


def test_class_variables_init_false_and_unannotated_attributes():
    """`ClassVar` and plain attributes are no fields; `init=False` is one the caller cannot set."""

    def program(nn):
        class A(nn.Module):
            shared: ClassVar[int] = 4
            plain = 5
            a: int = 1
            hidden: int = dataclasses.field(default=7, init=False)
            quiet: int = dataclasses.field(default=8, repr=False, compare=False)

            def __call__(self, x):
                return x + self.shared + self.plain + self.hidden + self.quiet

        names = [f.name for f in dataclasses.fields(A)]
        return names, A().apply({}, 1), A(quiet=1) == A(quiet=2), repr(A())

    assert_same(program)


def test_initvar():
    """A `dataclasses.InitVar` reaches `__post_init__`, as in any dataclass."""

    class A(linnet.linen.Module):
        a: int = 1
        extra: dataclasses.InitVar[int] = 3

        def __post_init__(self, extra):
            self.a = self.a + extra
            super().__post_init__()

    assert (A(2).a, A(2, 5).a) == (5, 7)


@pytest.mark.parametrize("field", ["parent", "name"])
def test_reserved_fields(field):
    """`parent` belongs to every module; `name` may be annotated again."""

    def program(nn):
        cls = type("A", (nn.Module,), {"__annotations__": {field: str}, "a": 3})
        return cls(name="x").name if field == "name" else cls(3).a

    assert_same(program)


def test_name_with_a_default():
    """A default that a subclass gives `name` is not heeded: names are given by the parent."""

    def program(nn):
        class A(nn.Module):
            name: str = "mine"

            @nn.compact
            def __call__(self, x):
                return nn.Dense(3)(x)

        class Outer(nn.Module):
            @nn.compact
            def __call__(self, x):
                return A(name="b")(A()(x))

        return A().name, shapes(Outer().init(KEY, X))

    assert_same(program)


def test_post_init():
    """`__post_init__` may set attributes and submodules before it calls the one of `Module`."""

    def program(nn):
        class A(nn.Module):
            n: int

            def __post_init__(self):
                self.n = self.n * 2
                self.m = self.n + 1
                self.sub = nn.Dense(3, parent=None)
                super().__post_init__()

            @nn.compact
            def __call__(self, x):
                return nn.Dense(self.m)(x)

        return A(2).n, A(2).m, shapes(A(2).init(KEY, X)), A(2).clone().n

    assert_same(program)


def test_post_init_without_super():
    """Forgetting `super().__post_init__()` is an error as soon as the module is used."""

    def program(nn):
        class A(nn.Module):
            def __post_init__(self):
                pass

            def __call__(self, x):
                return x

        return A().init(KEY, X)

    assert_same(program)


def test_attributes_of_a_description_may_be_set():
    """An unbound module is a plain object until it is used."""

    def program(nn):
        dense = nn.Dense(3)
        dense.features = 4
        dense.extra = 1
        return dense.features, dense.extra, shapes(dense.init(KEY, X))

    assert_same(program)


# --- identity ---------------------------------------------------------------------------------


def test_equality_and_hash():
    """Modules of one class with equal fields are equal; `name` counts, `parent` does not."""

    def program(nn):
        class A(nn.Module):
            a: Any = 1

        class B(A):
            pass

        one = A(1)
        equal = [one == A(1), one == A(2), one == A(1, name="x"), one == B(1), one == 1]
        equal += [A(A(1)) == A(A(1)), one != A(1), A((1, 2)) == A((1, 2))]
        hashes = [hash(A(i)) == hash(A(i)) for i in (1, (2, 3), A(4), None)]
        return equal, hashes, len({A(1), A(1), A(2), A(1, name="x")}), {A(1): "v"}[A(1)]

    assert_same(program)


@pytest.mark.parametrize("value", [[1], {"a": 1}, X])
def test_hash_of_unhashable_fields(value):
    """A list, a dictionary or an array in a field makes the module unhashable."""

    def program(nn):
        class A(nn.Module):
            a: Any

        return hash(A(value)) is not None

    assert_same(program)


def test_own_eq_and_hash_are_kept():
    """A class may define its own identity."""

    def program(nn):
        class A(nn.Module):
            a: Any = 1

            def __hash__(self):
                return 7

            def __eq__(self, other):
                return True

        class B(A):
            b: int = 2

        return hash(A([1])), A(1) == A(2), A(1) == 5, B(1) == B(2), B(1) == B(1)

    assert_same(program)


def test_bound_modules_are_equal_only_to_themselves():
    """A place in a model is part of a living module; fields alone do not make it equal."""

    def program(nn):
        class Inner(nn.Module):
            @nn.compact
            def __call__(self):
                return nn.Dense(3, name="same")

        class Outer(nn.Module):
            @nn.compact
            def __call__(self):
                one, two = Inner()(), Inner()()
                return one == two, one == one.clone(), one == one, [one, two].index(two)

        dense = nn.Dense(3)
        bound = [dense.bind({}), dense.bind({})]
        return Outer().apply({}), bound[0] == bound[1], bound[0] == dense, bound[0] == bound[0]

    assert_same(program)


def test_a_bound_module_has_no_hash():
    """Under `jax.jit` as a method it would be hashed; the message says what to write instead."""
    model = linnet.linen.Dense(3)
    bound = model.bind(model.init(KEY, X))
    with pytest.raises(TypeError, match=r"jax\.jit.*model\.apply\(variables, x\)"):
        hash(bound)


def test_a_module_as_static_argument_of_jit():
    """Descriptions are hashable constants to `jax.jit`, and equal ones share a compilation."""

    def program(nn):
        traced = []

        def run(model, variables, x):
            traced.append(model)
            return model.apply(variables, x)

        jitted = jax.jit(run, static_argnums=0)
        variables = nn.Dense(3).init(KEY, X)
        y = [jitted(nn.Dense(3), variables, X), jitted(nn.Dense(3), variables, X)]
        return y, len(traced)

    assert_same(program)


def test_repr():
    """The text of a module lists attributes and, where there are any, its children."""

    def program(nn):
        class Inner(nn.Module):
            width: int = 3

        class A(nn.Module):
            a: Any = "text"
            fn: Any = jnp.tanh
            parts: Any = ()
            table: Any = None

        plain = [A(), Inner(), A(parts=(Inner(), Inner(4))), A(table={"k": 1}, a=None, name="n")]
        return [repr(m) for m in plain], str(A(a=Inner()))

    assert_same(program)


def test_repr_of_a_bound_module():
    """Once `setup` has run, the children are listed."""

    def program(nn):
        class Inner(nn.Module):
            width: int = 3

        class A(nn.Module):
            a: Any = 1

            def setup(self):
                self.one = Inner()
                self.more = [Inner(4)]

        bound = A().bind({})
        before = repr(bound)
        assert bound.one is not None
        return before, repr(bound)

    assert_same(program)


# --- copies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "again",
    [
        lambda m: pickle.loads(pickle.dumps(m)),
        copy.copy,
        copy.deepcopy,
        lambda m: cloudpickle.loads(cloudpickle.dumps(m)),
        lambda m: dataclasses.replace(m),
        lambda m: m.clone(),
        lambda m: m.copy(),
    ],
    ids=["pickle", "copy", "deepcopy", "cloudpickle", "replace", "clone", "module.copy"],
)
def test_copies_are_equal_and_work(again):
    """However it is copied, a description stays itself."""
    model = OursHere(3, inner=(linnet.linen.Dense(2), {"a": linnet.linen.Dense(3)}))
    other = again(model)
    assert other == model
    assert other is not model
    assert repr(other) == repr(model)
    assert shapes(other.init(KEY, X)) == shapes(model.init(KEY, X))


@pytest.mark.parametrize(
    "again",
    [pickle.dumps, copy.copy, copy.deepcopy, cloudpickle.dumps],
    ids=["pickle", "copy", "deepcopy", "cloudpickle"],
)
def test_copies_of_bound_modules_leave_the_variables_behind(again):
    """A bound module is copied as its description."""
    model = OursHere()
    bound = model.bind(model.init(KEY, X))
    bound(X)
    other = again(bound)
    other = pickle.loads(other) if isinstance(other, bytes) else other
    assert other.scope is None
    assert other == model
    assert shapes(other.init(KEY, X)) == shapes(model.init(KEY, X))


def test_a_class_made_in_a_function_travels_by_cloudpickle():
    """Classes and their methods go along where pickle cannot find them."""
    nn = linnet.linen

    class Local(nn.Module):
        width: int

        def setup(self):
            self.scale = self.param("scale", nn.initializers.ones, ())

        @nn.compact
        def __call__(self, x):
            return nn.Dense(self.width)(x) * self.scale

    other = cloudpickle.loads(cloudpickle.dumps(Local(2)))
    assert shapes(other.init(KEY, X)) == shapes(Local(2).init(KEY, X))


@pytest.mark.parametrize("how", ["replace", "clone", "copy"])
def test_changing_fields_in_a_copy(how):
    """`dataclasses.replace`, `clone` and `copy` take new values of fields."""

    def program(nn):
        model = nn.Dense(3, name="n")
        change = {
            "replace": lambda: dataclasses.replace(model, features=4),
            "clone": lambda: model.clone(features=4),
            "copy": lambda: model.copy(features=4),
        }[how]
        other = change()
        return other.features, other.name, model.features

    assert_same(program)


def test_clone_with_an_unknown_field():
    """Updating what is no field is Python's `TypeError`."""
    assert_same(lambda nn: nn.Dense(3).clone(feature=4))


# --- looking at attributes --------------------------------------------------------------------


def test_hasattr_and_getattr():
    """What is missing is missing politely; what `setup` makes is there once the module is bound."""

    def program(nn):
        class A(nn.Module):
            def setup(self):
                self.late = 1

            def __call__(self):
                return hasattr(self, "late"), hasattr(self, "never"), getattr(self, "never", 5)

        free = A()
        asked = [hasattr(free, "late"), hasattr(free, "never"), getattr(free, "never", 5)]
        return asked, free.apply({}), "late" in dir(free), "late" in dir(free.bind({}))

    assert_same(program)


def test_hasattr_searches_for_no_near_name():
    """The message of a missing attribute is made when it is read, and only then."""
    with pytest.raises(errors.MissingAttributeError) as caught:
        linnet.linen.Dense(3).kernel_ini  # noqa: B018 - the reading is what is tested
    assert caught.value.args == ("Dense", "kernel_ini")
    assert "Did you mean 'kernel_init'?" in str(caught.value)


def test_own_getattr():
    """A class may answer for missing attributes itself."""

    def program(nn):
        class A(nn.Module):
            a: int = 2

            def __getattr__(self, name):
                if name.startswith("magic_"):
                    return name[6:]
                return super().__getattr__(name)

            def __call__(self):
                return self.magic_word

        return A().magic_a, A().apply({}), hasattr(A(), "other")

    assert_same(program)


def test_properties():
    """A property may read fields and what `setup` made; an attribute missing inside is said so."""

    def program(nn):
        class A(nn.Module):
            a: int = 2

            def setup(self):
                self.late = self.twice + 1

            @property
            def twice(self):
                return 2 * self.a

            @property
            def later(self):
                return self.late

            @property
            def broken(self):
                return self.absent

            def __call__(self, which):
                return getattr(self, which)

        values = A().twice, A().apply({}, "twice"), A().apply({}, "later")
        return values, A().apply({}, "broken")

    assert_same(program)


def test_a_broken_property_names_itself():
    """The error names the property and what it missed."""
    nn = linnet.linen

    class A(nn.Module):
        @property
        def broken(self):
            return self.absent

        def __call__(self):
            return self.broken

    with pytest.raises(errors.DescriptorAttributeError, match=r"`broken` of A.*'absent'"):
        A().apply({})


def test_static_and_class_methods():
    """They work on the class, the description and the bound module."""

    def program(nn):
        class A(nn.Module):
            a: int = 2

            @staticmethod
            def plain(x):
                return x + 1

            @classmethod
            def make(cls, a):
                return cls(a)

            @nn.compact
            def __call__(self, x):
                return self.plain(nn.Dense(self.make(3).a)(x))

        return A.plain(1), A.make(5).a, shapes(A().init(KEY, X))

    assert_same(program)


def test_a_module_without_call():
    """It can be initialised by another method; without one that is said."""

    def program(nn):
        class A(nn.Module):
            def setup(self):
                self.dense = nn.Dense(3)

            def encode(self, x):
                return self.dense(x)

        return shapes(A().init(KEY, X, method="encode")), callable(A())

    assert_same(program)

    class Silent(linnet.linen.Module):
        pass

    with pytest.raises(AttributeError, match=r"method='encode'"):
        Silent().init(KEY, X)


def test_the_namespace_of_modules_is_abstract_python():
    """Abstract base classes, slots of mixins and metaclass-free inheritance work together."""
    import abc

    def program(nn):
        class Base(nn.Module, abc.ABC):
            @abc.abstractmethod
            def encode(self, x): ...

            def __call__(self, x):
                return self.encode(x)

        class Good(Base):
            def encode(self, x):
                return x + 1

        return Good().apply({}, 1), Base()

    assert_same(program)


def test_dataclass_decorator_on_a_module():
    """Decorating a module class again is harmless."""

    def program(nn):
        @dataclasses.dataclass
        class A(nn.Module):
            a: int = 2

            def __call__(self):
                return self.a

        return A(3).apply({})

    theirs, ours = program(flax.linen), program(linnet.linen)
    assert ours == theirs


@pytest.mark.parametrize("base", [False, True])
def test_setup_added_later(base):
    """A `setup` that a class, or its base, gets or changes after it was made runs from then on."""

    def program(nn):
        class Model(nn.Module):
            def __call__(self, x):
                return self.dense(x)

        class Derived(Model):
            pass

        cls = Derived if base else Model

        def setup(self):
            self.dense = nn.Dense(3)

        Model.setup = setup
        first = cls().init(KEY, X)

        def wider(self):
            self.dense = nn.Dense(4)

        Model.setup = wider
        return first, cls().init(KEY, X)

    assert_same(program, drawn=True)


def test_fields_kept_by_descriptors():
    """A field whose default is a descriptor is read and set through it, also if a module."""

    def program(nn):
        class Kept:
            def __set_name__(self, owner, name):
                self.name = f"_{name}"

            def __get__(self, instance, owner=None):
                return None if instance is None else instance.__dict__.get(self.name)

            def __set__(self, instance, value):
                instance.__dict__[self.name] = value

        class Model(nn.Module):
            scale: Any = Kept()
            inner: Any = Kept()

            @nn.compact
            def __call__(self, x):
                return (self.inner(x) if self.inner else x) * (self.scale or 2)

        model = Model(scale=3, inner=nn.Dense(2))
        variables = model.init(KEY, X)
        plain = Model().apply({}, X), Model(5).apply({}, X), Model(5).clone(scale=7).scale
        return variables, model.apply(variables, X), plain

    assert_same(program)
