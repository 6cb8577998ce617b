"""The likeliest mistakes with NNX, as those with Linen stand in :mod:`tests.docs.mistakes`."""

from tests.docs.mistakes import Mistake

PREAMBLE = """
import jax, jax.numpy as jnp, optax

class Block(nnx.Module):
    def __init__(self, width, *, rngs):
        self.linear = nnx.Linear(width, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
    def __call__(self, x):
        return self.dropout(self.norm(self.linear(x)))

class Net(nnx.Module):
    def __init__(self, *, rngs):
        self.block = Block(4, rngs=rngs)
        self.head = nnx.Linear(4, 2, rngs=rngs)
        self.count = nnx.Variable(jnp.array(0))
    def __call__(self, x):
        self.count[...] += 1
        return self.head(self.block(x))

x = jnp.ones((8, 4))
model = Net(rngs=nnx.Rngs(0))

def loss_fn(model, x):
    return jnp.mean(model(x) ** 2)
"""

MISTAKES = [
    Mistake(
        "Updating a model under `jax.jit`",
        """
@jax.jit
def tick(model):
    model.count[...] += 1

tick(model)
""",
        ("model.count (Variable)", "`nnx.jit`", "return the module"),
        silently="The update is lost.",
        proof="model.count[...] == 0",
    ),
    Mistake(
        "Updating a model under `jax.grad`",
        """
norm = nnx.BatchNorm(4, use_scale=False, use_bias=False, rngs=nnx.Rngs(0))
jax.grad(lambda norm: jnp.sum(norm(x)))(norm)
""",
        ("norm.mean (BatchStat)", "`nnx.value_and_grad`"),
        silently="The statistics stay what they were.",
        proof="(norm.mean[...] == 0).all()",
    ),
    Mistake(
        "Updating a model that a compiled function closes over",
        """
@nnx.jit
def forward(x):
    return model(x)

forward(x)
""",
        ("model.count (Variable)", "as an argument", "nnx.jit(step)(model, x)"),
    ),
    Mistake(
        "Replacing a variable by a value",
        """
class Counter(nnx.Module):
    def __init__(self):
        self.count = nnx.Variable(jnp.array(0))
    def __call__(self):
        self.count = self.count + 1

counter = Counter()
counter()
""",
        ("self.count", "self.count[...] ="),
        silently="The attribute is an array from then on, which no filter finds.",
        proof="not isinstance(counter.count, nnx.Variable)",
    ),
    Mistake(
        "Setting an attribute of a model that a compiled function closes over",
        """
@nnx.jit
def step(x):
    model.last = x
    return x

step(x)
""",
        ("'last'", "Net"),
    ),
    Mistake(
        "Forgetting `rngs=`",
        "nnx.Linear(3, 4)",
        ("Linear", "rngs = nnx.Rngs(0)", "nnx.Linear(..., rngs=rngs)"),
    ),
    Mistake(
        "Writing `rng=` for `rngs=`",
        "nnx.Linear(3, 4, rng=nnx.Rngs(0))",
        ("given rng", "rngs=rngs"),
    ),
    Mistake(
        "Passing a key for `rngs=`",
        "nnx.Linear(3, 4, rngs=jax.random.key(0))",
        ("rngs = nnx.Rngs(0)",),
    ),
    Mistake(
        "Making streams without the one that is needed",
        "nnx.Linear(3, 4, rngs=nnx.Rngs(dropout=0))",
        ("'params'", "it has 'dropout'", "nnx.Rngs(params=0)"),
    ),
    Mistake(
        "Passing inputs of another size",
        "model(jnp.ones((8, 5)))",
        ("model.block.linear (Linear)", "(8, 5)", "(4, 4)"),
    ),
    Mistake(
        "Mistyping an attribute",
        """
class Tied(nnx.Module):
    def __init__(self, *, rngs):
        self.embedding = nnx.Linear(4, 4, rngs=rngs)
    def __call__(self, x):
        return self.embedding(x) @ self.embedding.kernl[...].T

tied = Tied(rngs=nnx.Rngs(0))
tied(x)
""",
        ("'kernl'", "Did you mean 'kernel'?", "In tied (Tied)"),
    ),
    Mistake(
        "Mistyping a name of the library",
        "nnx.Linaer(3, 4, rngs=nnx.Rngs(0))",
        ("'Linaer'", "Did you mean 'Linear'?"),
    ),
    Mistake(
        "Updating with values of another shape",
        """
other = nnx.Linear(4, 3, rngs=nnx.Rngs(1))
nnx.update(model.head, nnx.state(other))
""",
        ("/kernel", "(4, 3)", "(4, 2)", "/bias"),
        silently="The variables take the values; the model fails, or not, where it next computes.",
        proof="model.head.kernel.shape == (4, 3)",
    ),
    Mistake(
        "Updating with keys that the model has not",
        'nnx.update(model, {"haed": {"kernel": jnp.ones((4, 2))}})',
        ("/haed/kernel", "Did you mean '/head/kernel'?"),
    ),
    Mistake(
        "Merging without part of the state",
        """
graphdef, params, rest = nnx.split(model, nnx.Param, ...)
nnx.merge(graphdef, params)
""",
        ("/count", "Pass all the states"),
    ),
    Mistake(
        "Splitting by filters that leave something over",
        "nnx.split(model, nnx.Param)",
        ("/count (Variable)", "add `...` as the last filter"),
    ),
    Mistake(
        "Putting `...` before other filters",
        "nnx.split(model, ..., nnx.Param)",
        ("Filter 0 of 2", "Put `...` or True last"),
    ),
    Mistake(
        "Writing something that is no filter",
        "nnx.state(model, 3)",
        ("3 (a int) is not a filter", "nnx.Param"),
    ),
    Mistake(
        "Passing a bound method to a transformation",
        "nnx.jit(model.__call__)(x)",
        ("Net.__call__", "nnx.jit(Net.__call__)(obj, ...)", "@nnx.jit"),
    ),
    Mistake(
        "Mapping one model along two axes",
        """
@nnx.vmap(in_axes=(0, None), out_axes=0)
def both(one, two):
    return one.linear.kernel[...].sum() + two.linear.kernel[...].sum()

stack = nnx.vmap(lambda rngs: Block(4, rngs=rngs))(nnx.Rngs(0).fork(split=3))
both(stack, stack)
""",
        ("/argument 0/", "/argument 1/", "nnx.clone"),
    ),
    Mistake(
        "Writing to a model that `vmap` broadcasts",
        """
@nnx.vmap(in_axes=(None, 0), out_axes=0)
def forward(model, x):
    return model(x)

forward(model, jnp.ones((3, 8, 4)))
""",
        ("/block/norm/mean (BatchStat)", "nnx.StateAxes({nnx.BatchStat: 0, ...: None})"),
    ),
    Mistake(
        "Changing the shape of what `scan` carries",
        """
@nnx.scan(in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0))
def step(carry, x):
    return jnp.concatenate([carry, carry]), x

step(jnp.ones(2), x)
""",
        ("float32[2]", "float32[4]", "Return a carry like the first one"),
    ),
    Mistake(
        "Making an optimizer without saying what it trains",
        "nnx.Optimizer(model, optax.sgd(0.1))",
        ("wrt=nnx.Param",),
    ),
    Mistake(
        "Optimizing all variables",
        """
class Plain(nnx.Module):
    def __init__(self, *, rngs):
        self.linear = nnx.Linear(4, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)

optimizer = nnx.Optimizer(Plain(rngs=nnx.Rngs(0)), optax.adam(0.1), wrt=nnx.Variable)
""",
        ("/norm/mean (BatchStat)", "wrt=nnx.Param"),
        silently="The statistics get moments, and are moved like weights.",
        proof='"mean" in nnx.to_pure_dict(nnx.state(optimizer.opt_state))[0]["mu"]["norm"]',
    ),
    Mistake(
        "Updating with the gradients of another model",
        """
optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
grads = nnx.grad(lambda layer: jnp.sum(layer(x)))(model.head)
optimizer.update(model, grads)
""",
        ("/block/linear/kernel",),
    ),
    Mistake(
        "Forgetting the model when updating",
        """
optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
grads = nnx.grad(loss_fn)(model, x)
optimizer.update(grads)
""",
        ("optimizer.update(model, grads)",),
    ),
    Mistake(
        "Not saying whether to drop out",
        "nnx.Dropout(0.5, deterministic=None, rngs=nnx.Rngs(0))(x)",
        ("nnx.Dropout(..., deterministic=False)", "nnx.view(model, deterministic=True)"),
    ),
    Mistake(
        "Dropping out without a stream",
        "nnx.Dropout(0.5)(x)",
        ("Dropout", "rngs = nnx.Rngs(0)"),
    ),
    Mistake(
        "Setting an attribute that no module has",
        "model.set_attributes(determinstic=True)",
        ("'determinstic'", "Did you mean 'deterministic'?"),
    ),
    Mistake(
        "Marking as static what holds data",
        """
class Bad(nnx.Module):
    def __init__(self):
        self.table = nnx.static(jnp.ones(3))

Bad()
""",
        ("Bad.table", "nnx.data(...)"),
    ),
    Mistake(
        "Choosing heads that do not divide the features",
        "nnx.MultiHeadAttention(num_heads=2, in_features=3, rngs=nnx.Rngs(0))",
        ("num_heads", "3", "2"),
    ),
    Mistake(
        "Decoding before `init_cache`",
        """
attention = nnx.MultiHeadAttention(
    num_heads=2, in_features=4, decode=True, rngs=nnx.Rngs(0))
attention(x[:, None])
""",
        ("init_cache",),
    ),
]
