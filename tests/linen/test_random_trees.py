"""Random models as data, built with Flax and with Linnet, must behave alike in every respect.

A tree is a :class:`Node`: what kind of module it is, its children, in which order they are called
(some of them twice), and the names that some are given. :func:`build` makes the module of a node in
either library. All modules map an array of one shape to another of that shape, so that any tree
fits together and JAX compiles little. Names and streams are drawn without regard to whether they
collide or are missing: then the class of the error is what is compared.
"""

import copy
import dataclasses
import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
from hypothesis import HealthCheck, given, settings, strategies as st

from differential.compare import Raised, compare
from differential.functions import weighed
from differential.linen import FLAX, LINNET
from differential.programs import outcome

ENOUGH = 200  # distinct trees without a mistake in them
X = 2 * jnp.sin(2.5 * jnp.arange(12.0)).reshape(4, 3)
KEYS = {name: jax.random.key(i) for i, name in enumerate(["params", "dropout", "noise"])}

LAYERS = ["dense", "dense without bias", "layer norm", "batch norm", "dropout", "prelu", "embed"]
OWN = ["scale", "counter", "noise", "sow", "perturb", "keys", "boxed", "nothing"]
LEAVES = [*LAYERS, "dropout of noise", *OWN]
SETUPS = ["setup", "setup of list", "setup of dict", "mixed", "shared scope"]
BRANCHES = [*SETUPS, "compact", "field", "field of dict", "detached field", "sequential"]
NAMES = [*[None] * 8, "a", "b", "Dense_0", "parts"]


@dataclasses.dataclass(frozen=True)
class Node:
    """A module of a random tree.

    Attributes:
        kind: one of `LEAVES` or `BRANCHES`.
        name: its name in its parent, or None.
        children: the modules inside it.
        again: the indices of children that are called a second time.
    """

    kind: str
    name: str | None = None
    children: tuple["Node", ...] = ()
    again: tuple[int, ...] = ()


@st.composite
def branches(draw: Any, children: Any) -> Node:
    """Draw a module with others inside."""
    inside = tuple(draw(st.lists(children, min_size=1, max_size=3)))
    again = draw(st.lists(st.integers(0, len(inside) - 1), max_size=2))
    return Node(draw(st.sampled_from(BRANCHES)), draw(st.sampled_from(NAMES)), inside, tuple(again))


leaves = st.builds(Node, st.sampled_from(LEAVES), st.sampled_from(NAMES))
trees = st.recursive(leaves, branches, max_leaves=7)


# --- building ---------------------------------------------------------------------------------


@functools.cache
def leaf_classes(nn: Any) -> dict[str, Any]:
    """Make the leaves that are modules of our own."""

    class Scale(nn.Module):
        @nn.compact
        def __call__(self, x):
            shift = self.param("shift", lambda key: {"by": jnp.full((3,), 0.1)})
            return x * self.param("scale", nn.initializers.uniform(), (3,)) + shift["by"]

    class Counter(nn.Module):
        @nn.compact
        def __call__(self, x):
            count = self.variable("counts", "calls", lambda: jnp.zeros((), jnp.int32))
            if not self.is_initializing() and self.is_mutable_collection("counts"):
                count.value += 1
            return x + 0.1 * count.value

    class Noise(nn.Module):
        @nn.compact
        def __call__(self, x):
            start = self.variable(
                "state", "start", lambda: jax.random.normal(self.make_rng("noise"), x.shape)
            )
            start.value = start.value / 2
            return x + start.value + jax.random.normal(self.make_rng("noise"), x.shape)

    class Sow(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.sow("intermediates", "seen", x)
            self.sow("sums", "total", x.sum(), reduce_fn=jnp.add, init_fn=lambda: 0.0)
            return x

    class Perturb(nn.Module):
        @nn.compact
        def __call__(self, x):
            return self.perturb("h", x) * 2

    class Keys(nn.Module):
        def __call__(self, x):
            for stream in ("noise", "params", "other"):
                self.sow("keys", stream, jax.random.key_data(self.make_rng(stream)))
            return x

    class Boxed(nn.Module):
        @nn.compact
        def __call__(self, x):
            init = nn.with_partitioning(nn.initializers.ones, ("axis",))
            return x * self.param("boxed", init, (3,))

    class Embed(nn.Module):
        @nn.compact
        def __call__(self, x):
            return x + nn.Embed(5, 3)(jnp.argmax(x, -1))

    class Nothing(nn.Module):
        def __call__(self, x):
            return jnp.sin(x)

    own = (Scale, Counter, Noise, Sow, Perturb, Keys, Boxed, Embed, Nothing)
    return {cls.__name__.lower(): cls for cls in own} | {
        "dense": functools.partial(nn.Dense, 3),
        "dense without bias": functools.partial(nn.Dense, 3, use_bias=False),
        # a large epsilon: nearly equal inputs would blow rounding up
        "layer norm": functools.partial(nn.LayerNorm, epsilon=0.1),
        "batch norm": functools.partial(nn.BatchNorm, False, epsilon=0.1),
        "dropout": functools.partial(nn.Dropout, 0.5, deterministic=False),
        "dropout of noise": functools.partial(
            nn.Dropout, 0.3, deterministic=False, rng_collection="noise"
        ),
        "prelu": nn.PReLU,
    }


def call_all(modules: Any, node: Node, x: Any) -> Any:
    """Call modules in turn, some of them again."""
    modules = list(modules)
    for module in (*modules, *(modules[i] for i in node.again)):
        x = module(x)
    return x


@functools.cache
def branch_classes(nn: Any) -> dict[str, Any]:
    """Make the classes that hold others."""

    class Compact(nn.Module):
        node: Node

        @nn.compact
        def __call__(self, x):
            return call_all((build(nn, child) for child in self.node.children), self.node, x)

    class Setup(nn.Module):
        node: Node

        def setup(self):
            for i, child in enumerate(self.node.children):
                setattr(self, f"part{i}", build(nn, child))

        def __call__(self, x):
            parts = [getattr(self, f"part{i}") for i in range(len(self.node.children))]
            return call_all(reversed(parts), self.node, x)

    class SetupOfList(nn.Module):
        node: Node

        def setup(self):
            self.parts = [build(nn, child) for child in self.node.children]

        def __call__(self, x):
            return call_all(self.parts, self.node, x)

    class SetupOfDict(nn.Module):
        node: Node

        def setup(self):
            first, *rest = (build(nn, child) for child in self.node.children)
            self.table = {"first": first, "rest": (rest, "text"), "again": first}

        def __call__(self, x):
            table = self.table
            return call_all((table["first"], *table["rest"][0]), self.node, table["again"](x))

    class Field(nn.Module):
        node: Node
        parts: Any

        @nn.compact
        def __call__(self, x):
            parts = self.parts if isinstance(self.parts, tuple) else self.parts.values()
            return call_all(parts, self.node, x)

    class Mixed(nn.Module):
        node: Node

        def setup(self):
            self.first = build(nn, self.node.children[0])
            self.weight = self.param("weight", nn.initializers.ones, (3,))

        @nn.compact
        def __call__(self, x):
            rest = [build(nn, child) for child in self.node.children[1:]]
            return call_all((self.first, *rest), self.node, x * self.weight)

    class SharedScope(nn.Module):
        node: Node
        inner: Any

        def setup(self):
            nn.share_scope(self, self.inner)

        @nn.compact
        def __call__(self, x):
            return self.inner(x) + self.param("extra", nn.initializers.constant(0.1), (3,))

    return {
        "compact": Compact,
        "setup": Setup,
        "setup of list": SetupOfList,
        "setup of dict": SetupOfDict,
        "field": Field,
        "mixed": Mixed,
        "shared scope": SharedScope,
    }


def build(nn: Any, node: Node) -> Any:
    """Make the module of a node."""
    named = {} if node.name is None else {"name": node.name}
    if not node.children:
        return leaf_classes(nn)[node.kind](**named)
    classes = branch_classes(nn)
    if node.kind == "sequential":
        return nn.Sequential([jnp.tanh, *(build(nn, child) for child in node.children)], **named)
    if node.kind == "shared scope":
        return classes[node.kind](node, build(nn, node.children[0]), **named)
    if "field" not in node.kind:
        return classes[node.kind](node, **named)
    parts: Any = tuple(build(nn, child) for child in node.children)
    if node.kind == "detached field":
        # each stands in two places
        parts = tuple(part.clone() for part in parts)
        parts = (*parts, *parts)
    elif node.kind == "field of dict":
        parts = {f"k{i}": part for i, part in enumerate(parts)}
    return classes["field"](node, parts, **named)


# --- comparing --------------------------------------------------------------------------------

situations = st.fixed_dictionaries(
    {
        "init_streams": st.sampled_from(
            [tuple(KEYS), ("params",), ("params", "noise"), ("noise",)]
        ),
        "streams": st.sampled_from([tuple(KEYS), ("noise", "dropout"), ("params",), ()]),
        "mutable": st.sampled_from(
            [True, ["batch_stats", "counts", "state", "intermediates", "keys"], False, "counts"]
        ),
        "capture": st.booleans(),
    }
)


def assert_alike(tree: Node, situation: dict[str, Any]) -> str:
    """Compare what a tree does in a situation; tell how far it came."""
    init_rngs = {name: KEYS[name] for name in situation["init_streams"]}
    call = {
        "rngs": {name: KEYS[name] for name in situation["streams"]},
        "mutable": situation["mutable"],
        "capture_intermediates": situation["capture"],
    }

    def init(nn):
        return build(nn, tree).init_with_output(init_rngs, X, mutable=True)

    made = [outcome(init, nn) for nn in (LINNET, FLAX)]
    if isinstance(made[1], Raised):
        compare(*made, tolerance=1e-5, drawn=False)
        return "init"
    (ours_out, ours), (theirs_out, theirs) = made
    compare(ours_out, theirs_out, "output of init", tolerance=1e-5, drawn=False)
    drawn_cols = {col: col in {"params", "batch_stats"} for col in theirs}
    assert list(ours) == list(theirs)
    for col, drawn in drawn_cols.items():
        compare(ours[col], theirs[col], col, tolerance=1e-5, drawn=drawn)
    # from here on both go on with the same variables
    given = {col: tree for col, tree in FLAX.unbox(theirs).items() if col not in SHOWN}

    def apply(nn):
        return build(nn, tree).apply(given, X + 0.1, **call)

    applied = [outcome(apply, nn) for nn in (LINNET, FLAX)]
    compare(*applied, "apply", tolerance=1e-5, drawn=False)
    if isinstance(applied[1], Raised):
        return "apply"
    trained = {col: given[col] for col in ("params", "perturbations") if col in given}
    rest = {col: given[col] for col in given if col not in trained}

    def gradients(nn):
        def loss(trained, x):
            result = build(nn, tree).apply({**rest, **trained}, x, **call)
            out = result[0] if isinstance(result, tuple) else result
            return weighed(out)

        return jax.grad(loss, argnums=(0, 1))(trained, X)

    grads = [outcome(gradients, nn) for nn in (LINNET, FLAX)]
    # a bias before a normalisation has no gradient: its rounding is that of the cotangents, near 1
    compare(*grads, "gradients", tolerance=1e-5, drawn=False, floor=1.0)
    return "gradients"


SHOWN = {"intermediates", "keys", "sums"}


def test_random_trees_behave_alike():
    """At least 200 distinct sound trees, and others: all that can be seen of them is the same."""
    came: dict[Node, str] = {}

    @given(tree=trees, situation=situations)
    @settings(
        max_examples=500,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def alike(tree, situation):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of JAX, about dtypes and donation
            came[tree] = assert_alike(tree, situation)

    alike()
    ends = list(came.values())
    assert ends.count("gradients") >= ENOUGH
    assert min(ends.count("init"), ends.count("apply")) >= 10, "few trees had a mistake"


@given(tree=trees)
@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_way_to_the_variables_of_a_random_tree_is_the_same(tree):
    """`init`, `lazy_init`, `init` traced, `init` of copies; `apply` and the same bound."""
    model = build(LINNET, tree)
    made = outcome(lambda nn: model.init(KEYS, X, mutable=True), LINNET)
    if isinstance(made, Raised):
        return
    shape = jax.ShapeDtypeStruct(X.shape, X.dtype)
    lazy = model.lazy_init(KEYS, shape, mutable=LINNET.DenyList(sorted(SHOWN)))
    expected = {col: made[col] for col in made if col not in SHOWN}
    compare(lazy, expected, "lazy", tolerance=1e-6, drawn=False)
    abstract = jax.eval_shape(lambda keys: model.init(keys, X, mutable=True), KEYS)
    assert jax.tree.map(jnp.shape, LINNET.unbox(made)) == jax.tree.map(
        lambda leaf: leaf.shape, LINNET.unbox(abstract)
    )
    for again in (model.clone(), copy.deepcopy(model)):
        compare(again.init(KEYS, X, mutable=True), made, "copy", tolerance=0.0, drawn=False)
    given = {col: value for col, value in made.items() if col not in SHOWN}
    call = {"rngs": KEYS, "mutable": ["batch_stats", "counts", "state"]}
    y, changed = model.apply(given, X, **call)
    bound = model.bind(given, **call)
    compare(bound(X), y, "bound", tolerance=0.0, drawn=False)
    for col in changed:
        compare(bound.variables[col], changed[col], col, tolerance=0.0, drawn=False)
    assert "" in model.module_paths(KEYS, X)
