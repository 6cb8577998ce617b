"""The likeliest mistakes with Linen: what was written, and what the message must contain.

Each is a piece of a program, run under both libraries after :data:`PREAMBLE`. ``says`` are parts of
our message: the path of the module where there is one, and the line to write instead. Where Flax
raises nothing, ``silently`` tells what happens instead, and ``proof`` is an expression that is true
after the program has run there.
"""

import dataclasses

PREAMBLE = """
import jax, jax.numpy as jnp, optax

class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(4, name="hidden")(x)
        x = nn.BatchNorm(use_running_average=not train, name="norm")(x)
        x = nn.Dropout(0.5, deterministic=not train)(x)
        return nn.Dense(2, name="head")(x)

class Encoder(nn.Module):
    def setup(self):
        self.dense = nn.Dense(4)
    def __call__(self, x):
        return self.encode(x)
    def encode(self, x):
        return self.dense(x)

key = jax.random.key(0)
x = jnp.ones((8, 3))
model = Net()
variables = model.init(key, x)
params, batch_stats = variables["params"], variables["batch_stats"]
"""


@dataclasses.dataclass(frozen=True)
class Mistake:
    """One mistake.

    Attributes:
        title: what was done wrong.
        code: a program that does it.
        says: parts of our message.
        silently: what happens under Flax, if it raises nothing.
        proof: an expression over the program's names that is true after Flax has run it.
        raised_before: whether Flax 0.12.8 raises something where 0.12.12 raises nothing.
    """

    title: str
    code: str
    says: tuple[str, ...]
    silently: str = ""
    proof: str = "True"
    raised_before: bool = False


MISTAKES = [
    Mistake(
        "Forgetting `mutable=`",
        'model.apply(variables, x, train=True, rngs={"dropout": key})',
        ("/norm (BatchNorm)", "mutable=['batch_stats']", "updates['batch_stats']"),
    ),
    Mistake(
        "Making another collection mutable",
        """
class Counter(nn.Module):
    @nn.compact
    def __call__(self):
        count = self.variable("counts", "calls", lambda: 0)
        count.value += 1

Counter().apply({"counts": {"calls": 0}}, mutable=["count"])
""",
        ("/ (Counter)", "'counts'", "mutable=['counts']", "has mutable={'count'}"),
    ),
    Mistake(
        "Forgetting the key of a stream",
        'model.apply(variables, x, train=True, mutable=["batch_stats"])',
        ("/Dropout_0 (Dropout)", "rngs={'dropout': key}", "jax.random.key(seed)"),
    ),
    Mistake(
        "Misspelling a stream",
        'model.apply(variables, x, train=True, rngs={"dropuot": key}, mutable=["batch_stats"])',
        ("/Dropout_0", "Is 'dropuot' a misspelling of it?", "rngs={'dropout': key}"),
    ),
    Mistake(
        "Writing `rng=` for `rngs=`",
        'model.apply(variables, x, train=True, rng={"dropout": key}, mutable=["batch_stats"])',
        ("model.apply(variables, ..., rngs={'dropout': key})",),
    ),
    Mistake(
        "Forgetting the key of `init`",
        "model.init(x)",
        ("float32[8,3]", "model.init(jax.random.key(0), x)"),
    ),
    Mistake(
        "Passing several keys for one",
        "model.init(jax.random.split(key, 2), x)",
        ("a batch of keys", "keys[0]"),
    ),
    Mistake(
        "Initialising with no key for the parameters",
        'model.init({"dropout": key}, x)',
        ("/hidden (Dense)", "model.init({'params': key}, ...)"),
    ),
    Mistake(
        "Passing the parameters for the variables",
        "model.apply(params, x)",
        ('model.apply({"params": params}, ...)',),
    ),
    Mistake(
        "Passing the parameters of a single layer for the variables",
        'nn.Dense(4).apply(params["hidden"], x)',
        ('model.apply({"params": params}, ...)',),
    ),
    Mistake(
        "Wrapping the variables once too often",
        'model.apply({"params": {"params": params}}, x)',
        ("pass `variables`", '{"params": variables}'),
    ),
    Mistake(
        "Leaving out a collection",
        'model.apply({"params": params}, x)',
        ("/norm (BatchNorm)", "'batch_stats'", "model.apply(variables, ...)"),
    ),
    Mistake(
        "Passing the parameters of another configuration",
        """
class Wide(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2, name="head")(nn.Dense(5, name="hidden")(x))

Wide().apply(variables, x)
""",
        (
            "/hidden (Dense)",
            "(3, 4)",
            "(3, 5)",
            "model.init(key, inputs)",
            "/params/hidden/bias",
            "/params/head/kernel",
        ),
    ),
    Mistake(
        "Passing the parameters of another model",
        """
class Other(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(nn.Dense(4)(x))

Other().apply(variables, x)
""",
        ("/Dense_1 (Dense)", "model.init(key, ...)", "missing  /params/Dense_1/kernel"),
    ),
    Mistake(
        "Passing inputs of another size than at `init`",
        "model.apply(variables, jnp.ones((8, 5)))",
        ("/hidden (Dense)", "'kernel'", "(3, 4)", "(5, 4)"),
    ),
    Mistake(
        "Training the statistics: optimizing all variables",
        """
opt_state = optax.sgd(0.1).init(variables)

def loss(variables):
    y, updates = model.apply(
        variables, x, train=True, rngs={"dropout": key}, mutable=["batch_stats"])
    return y.sum(), updates

grads = jax.grad(loss, has_aux=True)(variables)[0]
""",
        ('tx.init(variables["params"])', "'batch_stats'", 'variables["params"]'),
        silently="The statistics get gradients, and the optimizer moves them like weights.",
        proof='"batch_stats" in grads',
    ),
    Mistake(
        "Replacing a variable by a value",
        """
class Counter(nn.Module):
    def setup(self):
        self.count = self.variable("counts", "calls", lambda: 0)
    def __call__(self):
        self.count = self.count.value + 1

Counter().apply({}, mutable=["counts"])
""",
        ("/ (Counter)", "self.count", "self.variable('state', 'count', init_fn); v.value = ..."),
    ),
    Mistake(
        "Keeping a value on the module",
        """
class Model(nn.Module):
    @nn.compact
    def __call__(self, x):
        self.hidden = 2 * x
        return nn.Dense(2)(self.hidden)

Model().init(key, x)
""",
        ("/ (Model)", "self.hidden = float32[8,3]", "self.sow('intermediates', 'hidden', value)"),
    ),
    Mistake(
        "Overwriting a field in `setup`",
        """
class Model(nn.Module):
    features: int = 4
    def setup(self):
        self.features = 2 * self.features
    def __call__(self, x):
        return x

Model().init(key, x)
""",
        ("/ (Model)", "self.features", "self._features"),
    ),
    Mistake(
        "Reading a parameter in `setup` before it exists",
        """
class Model(nn.Module):
    def setup(self):
        self.squared = self.scale ** 2
        self.scale = self.param("scale", nn.initializers.ones, ())
    def __call__(self, x):
        return x * self.squared

Model().init(key, x)
""",
        ("'scale'", "assign self.scale before reading it"),
    ),
    Mistake(
        "Updating a variable inside `jax.jit` within a module",
        """
class Model(nn.Module):
    @nn.compact
    def __call__(self, x):
        norm = nn.BatchNorm(use_running_average=False, name="norm")
        return jax.jit(lambda x: norm(x))(x)

updates = Model().apply(
    {"params": {"norm": params["norm"]}, "batch_stats": batch_stats},
    jnp.ones((8, 4)), mutable=["batch_stats"])[1]
""",
        (
            "/norm (BatchNorm)",
            "write it to the variable outside",
            "variable 'mean' of collection 'batch_stats'",
        ),
        silently="The updates are dead tracers, which fail where they are next used.",
        proof='isinstance(updates["batch_stats"]["norm"]["mean"], jax.core.Tracer)',
    ),
    Mistake(
        "Updating a bound model inside `jax.jit`",
        """
bound = nn.BatchNorm(use_running_average=False).bind(
    {"params": params["norm"], "batch_stats": batch_stats["norm"]}, mutable=["batch_stats"])
jax.jit(lambda x: bound(x))(jnp.ones((8, 4)))
""",
        ("/ (BatchNorm)", "write it to the variable outside"),
        silently="The bound model holds dead tracers, which fail where they are next used.",
        proof='isinstance(bound.variables["batch_stats"]["mean"], jax.core.Tracer)',
    ),
    Mistake(
        "Giving two submodules one name",
        """
class Model(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(4, name="dense")(nn.Dense(4, name="dense")(x))

Model().init(key, x)
""",
        ("'dense'", "/ (Model)", "another name", "a submodule"),
    ),
    Mistake(
        "Giving a parameter the name of a submodule",
        """
class Model(nn.Module):
    def setup(self):
        self.scale = nn.Dense(4)
    @nn.compact
    def __call__(self, x):
        return self.scale(x) * self.param("scale", nn.initializers.ones, ())

Model().init(key, x)
""",
        ("'scale'", "/ (Model)", "taken by a submodule", "another name"),
    ),
    Mistake(
        "Calling a model directly",
        "model(x)",
        ("unbound Net", "model.apply(variables, ...)", "model.bind(variables)"),
    ),
    Mistake(
        "Reading a submodule of a model directly",
        "Encoder().dense",
        ("'dense'", "model.bind(variables)"),
    ),
    Mistake(
        "Calling `init` on the class",
        "Net.init(key, x)",
        ("on the class", "Make an instance first", ".init(...)"),
    ),
    Mistake(
        "Numbering submodules in two compact methods",
        """
class Model(nn.Module):
    @nn.compact
    def encode(self, x):
        return nn.Dense(3)(x)
    @nn.compact
    def decode(self, x):
        return nn.Dense(3)(x)
    def __call__(self, x):
        return self.decode(self.encode(x))

made = Model().init(key, x)["params"]
""",
        ("`encode` and `decode`", "/ (Model)", "'Dense_0'", "nn.Dense(..., name="),
        silently="Both methods use the same parameters.",
        proof='list(made) == ["Dense_0"]',
    ),
    Mistake(
        "Creating a submodule in a plain method",
        """
class Model(nn.Module):
    def __call__(self, x):
        return nn.Dense(4)(x)

Model().init(key, x)
""",
        ("Model.__call__", "@nn.compact", "self.x = Dense(...)"),
    ),
    Mistake(
        "Declaring a parameter in a plain method",
        """
class Model(nn.Module):
    def __call__(self, x):
        return x * self.param("scale", nn.initializers.ones, ())

Model().init(key, x)
""",
        ("/ (Model)", "'scale'", "@nn.compact", "self.scale"),
    ),
    Mistake(
        "Forgetting `super().__post_init__()`",
        """
class Model(nn.Module):
    features: int = 4
    def __post_init__(self):
        self.half = self.features // 2
    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.half)(x)

Model().init(key, x)
""",
        ("Model", "super().__post_init__()"),
    ),
    Mistake(
        "Mistyping an attribute",
        """
class Model(nn.Module):
    def setup(self):
        self.encoder = nn.Dense(4)
    def __call__(self, x):
        return self.encodr(x)

Model().init(key, x)
""",
        ("'encodr'", "Did you mean 'encoder'?", "In / (Model).__call__"),
    ),
    Mistake(
        "Reading a missing attribute in a property",
        """
class Model(nn.Module):
    @property
    def width(self):
        return self.features
    def __call__(self, x):
        return x * self.width

Model().init(key, x)
""",
        ("`width` of Model", "'features'"),
    ),
    Mistake(
        "Mistyping the name of a method",
        'Encoder().init(key, x, method="encod")',
        ("'encod'", "Did you mean 'encode'?"),
    ),
    Mistake(
        "Passing layers to `Sequential` one by one",
        "nn.Sequential(nn.Dense(4))",
        ("Sequential([Dense(...), ...])",),
    ),
    Mistake(
        "Not saying whether to drop out",
        "nn.Dropout(0.5).apply({}, x)",
        ("'deterministic'", "deterministic="),
    ),
    Mistake(
        "Using a module after its call has ended",
        """
kept = []

class Model(nn.Module):
    @nn.compact
    def __call__(self, x):
        kept.append(nn.Dense(4))
        return kept[0](x)

Model().init(key, x)
kept[0].put_variable("params", "bias", 0.0)
""",
        ("/Dense_0 (Dense)", "model.bind(variables)"),
        silently="The update goes nowhere.",
    ),
    Mistake(
        "Making a variable from an input that `lazy_init` has not got",
        """
class Model(nn.Module):
    @nn.compact
    def __call__(self, x):
        mean = self.variable("stats", "mean", lambda: x.mean(0))
        return nn.Dense(4)(x - mean.value)

made = Model().lazy_init(key, jax.ShapeDtypeStruct((8, 3), jnp.float32))
""",
        ("/stats/mean", "concrete array"),
        silently="The variable is made as if the input were all zeros.",
        proof="not made['stats']['mean'].any()",
        raised_before=True,
    ),
    Mistake(
        "Making a model with lists a static argument of `jax.jit`",
        """
class Model(nn.Module):
    widths: list
    @nn.compact
    def __call__(self, x):
        return x

jax.jit(lambda model, x: model.apply({}, x), static_argnums=0)(Model([1, 2]), x)
""",
        ("Model cannot be hashed", "use tuples for lists"),
    ),
    Mistake(
        "Choosing heads that do not divide the features",
        "nn.MultiHeadDotProductAttention(num_heads=2).init(key, x[None])",
        ("num_heads", "3", "2"),
    ),
    Mistake(
        "Embedding what is not an index",
        "nn.Embed(10, 4).init(key, x)",
        ("float32", "integer"),
    ),
]
