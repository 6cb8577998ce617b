"""Logical axis names and their rules, beside Flax's."""

import threading

import flax.linen as linen
import jax
import numpy as np
import pytest
from flax.core import meta
from hypothesis import given, settings, strategies as st
from jax.sharding import Mesh, PartitionSpec as P

from differential.programs import assert_same_text
from linnet.state import logical, partitioning

X = np.arange(32.0, dtype=np.float32).reshape(4, 8)
RULES = (("batch", "a"), ("embed", "b"), ("whole", None))


class ours:
    """The names of flax.linen that stand in two of our files."""


for _home in (partitioning, logical):
    for _name in vars(_home):
        setattr(ours, _name, getattr(_home, _name))


class reference:
    """The same names in Flax."""


for _home in (linen.spmd, linen, meta):
    for _name in set(vars(ours)) & set(vars(_home)):
        if not _name.startswith("_"):
            setattr(reference, _name, getattr(_home, _name))


@pytest.fixture(scope="module")
def mesh():
    """Two by four devices."""
    return Mesh(np.array(jax.devices()[:8]).reshape(2, 4), ("a", "b"))


def within(m, rules, f):
    """Calls a function while rules are current."""
    with m.logical_axis_rules(rules):
        return f()


def under(mesh, f):
    """Calls a function while a mesh is current."""
    with jax.set_mesh(mesh):
        return f()


def constraint(names, rules, *, fallback="AXIS_IS_UNSHARDED", on_mesh=True):
    """A program that constrains an array by its logical names and shows the sharding."""

    def program(m, mesh):
        choice = getattr(m.RulesFallback, fallback)
        out = m.with_logical_constraint(X, names, rules, mesh if on_mesh else None, choice)
        return getattr(out, "sharding", "as it was")

    return program


# Computed with both libraries and compared as text, or by class of error.
PROGRAMS = [
    lambda m, _: [(each.name, each.value) for each in m.RulesFallback],
    lambda m, _: m.get_logical_axis_rules(),
    lambda m, _: within(m, RULES, m.get_logical_axis_rules),
    lambda m, _: within(m, RULES, lambda: m.logical_to_mesh_axes(("embed", "batch"))),
    lambda m, _: within(
        m, RULES, lambda: within(m, [("batch", None)], lambda: m.logical_to_mesh_axes(("batch",)))
    ),
    lambda m, _: m.logical_to_mesh_axes(("a", "b"), (("a", P.UNCONSTRAINED), ("b", None))),
    lambda m, _: m.logical_to_mesh_axes(
        ("a", "b"), (("a", P.UNCONSTRAINED), ("b", P.UNCONSTRAINED))
    ),
    lambda m, _: within(m, (("a", P.UNCONSTRAINED),), lambda: m.logical_to_mesh_axes(("a", "c"))),
    constraint(("a", "b"), (("a", P.UNCONSTRAINED), ("b", "b"))),
    lambda m, _: m.logical_to_mesh({"a": P("batch", "embed"), "b": P("zz"), "c": None}, RULES),
    lambda m, _: m.logical_to_mesh(P("batch"), RULES),
    lambda m, _: m.logical_to_mesh({"a": 3}, RULES),
    lambda m, mesh: m.logical_to_mesh_sharding({"a": P("batch"), "b": P(), "c": None}, mesh, RULES),
    lambda m, _: m.LogicallyPartitioned(1, ("batch", "embed")),
    lambda m, _: m.LogicallyPartitioned(1, ("batch",)).get_partition_spec(),
    lambda m, mesh: m.LogicallyPartitioned(1, ("batch",), mesh, RULES).get_sharding(mesh),
    lambda m, mesh: m.LogicallyPartitioned(1, ("batch",), mesh, RULES).to_nnx_metadata(),
    lambda m, mesh: m.LogicallyPartitioned.from_nnx_metadata(
        {"value": 1, "out_sharding": ("a",), "sharding_rules": RULES, "mesh": mesh, "more": 1}
    ),
    lambda m, _: m.LogicallyPartitioned.from_nnx_metadata({"value": 1, "out_sharding": ("a",)}),
    lambda m, _: m.LogicallyPartitioned(1, ("a",)).add_axis(0, {m.PARTITION_NAME: "l"}),
    lambda m, _: isinstance(m.LogicallyPartitioned(1, ("a",)), m.Partitioned),
    lambda m, _: jax.tree.leaves(m.LogicallyPartitioned(1, ("a",), None, RULES)),
    lambda m, _: m.with_logical_partitioning(jax.nn.initializers.ones, ("batch",), None, RULES)(
        jax.random.key(0), (2,)
    ),
    lambda m, mesh: m.LogicallyPartitioned(X, ("batch", "embed"), mesh, RULES).unbox().sharding,
    lambda m, mesh: m.LogicallyPartitioned(X, ("batch", "zz"), mesh, RULES).unbox().sharding,
    lambda m, mesh: (
        within(m, RULES, m.LogicallyPartitioned(X, ("batch", "embed"), mesh).unbox).sharding
    ),
    lambda m, mesh: type(m.LogicallyPartitioned(X, ("batch", "embed"), mesh).unbox()),
    lambda m, mesh: type(m.LogicallyPartitioned(X, ("batch",), mesh, RULES).unbox(False)),
    lambda m, mesh: under(
        mesh,
        lambda: jax.make_jaxpr(lambda box: box.unbox())(
            m.LogicallyPartitioned(X, ("embed", "zz"), None, RULES)
        ),
    ),
    lambda m, mesh: under(
        mesh,
        lambda: jax.make_jaxpr(lambda x: m.with_logical_constraint(x, ("batch", None), RULES))(X),
    ),
    lambda m, mesh: jax.make_jaxpr(lambda x: m.with_logical_constraint(x, ("batch",), RULES))(X),
    lambda m, mesh: (
        m.with_logical_constraint({"q": X}, {"q": ("batch", "embed")}, RULES, mesh)["q"].sharding
    ),
    lambda m, mesh: m.with_logical_constraint({"q": X}, P("batch"), RULES, mesh)["q"].sharding,
    constraint(("batch", "embed"), RULES),
    constraint(P("batch", "embed"), RULES),
    constraint(None, RULES),
    constraint(("batch", "embed"), ()),
    constraint(("batch", "zz"), (), fallback="RAISE_ERROR"),
    constraint(("batch", "zz"), RULES),
    constraint(("yy", "zz"), RULES),
    constraint(("batch",), RULES),
    constraint(("batch", "embed", "zz"), RULES),
    constraint(("batch", "batch"), RULES),
    constraint(("batch", "zz"), RULES, fallback="RAISE_ERROR"),
    constraint(("batch", "zz"), RULES, fallback="RAISE_ERROR", on_mesh=False),
    constraint(("batch", "zz"), RULES, fallback="NO_CONSTRAINT"),
    constraint(("batch", None), RULES, fallback="RAISE_ERROR"),
    constraint(("batch", "whole"), RULES, fallback="RAISE_ERROR"),
    constraint(("batch", "embed"), RULES, on_mesh=False),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_as_flax(program, mesh):
    """The same program gives the same result, or the same class of error, as Flax."""
    assert_same_text(lambda library: program(library, mesh), libraries=(reference, ours))


logical_names = st.sampled_from(["batch", "embed", "heads", None, P.UNCONSTRAINED])
mesh_axes = st.sampled_from(["a", "b", "c"])
rules = st.lists(
    st.tuples(
        st.sampled_from(["batch", "embed", "heads", "unused"]),
        mesh_axes | st.none() | st.lists(mesh_axes, max_size=2, unique=True).map(tuple),
    ),
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(st.none() | st.lists(logical_names, max_size=4).map(tuple), rules)
def test_generated_rules_as_flax(names, rules):
    """Any names under any rules get the spec they get in Flax, or are refused as there."""
    outcomes = []
    for library in (ours, reference):
        try:
            outcomes.append(library.logical_to_mesh_axes(names, rules))
        except ValueError:
            outcomes.append(ValueError)
    assert outcomes[0] == outcomes[1]


def test_set_logical_axis_rules():
    """Rules set without a block stay until others are set, in this thread only."""
    seen = []
    try:
        logical.set_logical_axis_rules(RULES)
        assert logical.get_logical_axis_rules() == RULES
        other = threading.Thread(target=lambda: seen.append(logical.get_logical_axis_rules()))
        other.start()
        other.join()
    finally:
        logical.set_logical_axis_rules(())
    assert seen == [()]


def test_rules_are_restored_after_an_error():
    """A block that fails leaves the rules as they were."""
    with pytest.raises(KeyError):
        within(logical, RULES, lambda: {}["lost"])
    assert logical.get_logical_axis_rules() == ()


def test_some_leaves_without_constraint(mesh):
    """In a tree of names, None leaves its array alone."""
    first, second = logical.with_logical_constraint([X, X], [("batch", "embed"), None], RULES, mesh)
    assert first.sharding.spec == P("a", "b")
    assert second is X


def test_rules_given_as_a_list_cross_jit():
    """A box is hashable as structure whatever sequence its rules came in."""
    box = logical.LogicallyPartitioned(X, ("batch", "embed"), None, list(RULES))
    assert jax.jit(lambda box: box)(box).rules == RULES


@pytest.mark.parametrize(
    ("names", "rules", "error", "message"),
    [
        ("batch", RULES, TypeError, r"were given as the text 'batch'"),
        (("batch", "batch"), RULES, ValueError, r"name 'batch' more than once"),
        (("batch",), {"batch": "a"}, ValueError, r"rule 'batch' is no pair"),
        (("batch",), [("batch", "a", "b")], ValueError, r"is no pair of a logical name"),
        (("batch",), [("batch", 3)], ValueError, r"gives 'batch' no mesh axis"),
    ],
)
def test_malformed_names_and_rules(names, rules, error, message):
    """What cannot be read as names or rules is quoted, with the form to write."""
    with pytest.raises(error, match=message):
        logical.logical_to_mesh_axes(names, rules)


def test_no_rule_names_the_axis():
    """Under RAISE_ERROR the axis without a rule is named, with a rule to add."""
    with pytest.raises(ValueError, match=r"no rule applies to 'zz'.*Add a rule such as \('zz'"):
        logical.with_logical_constraint(
            X, ("batch", "zz"), RULES, fallback=logical.RulesFallback.RAISE_ERROR
        )
