"""google-tunix: small Gemma models, built, run and trained for three steps, through NNX."""

import importlib.machinery
import sys
import types

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from recording import record

# the models alone: the package itself imports all its programs for reinforcement learning
package = types.ModuleType("tunix")
package.__path__ = importlib.machinery.PathFinder.find_spec("tunix").submodule_search_locations
sys.modules["tunix"] = package
from tunix.models.gemma import model as gemma  # noqa: E402
from tunix.models.gemma3 import model as gemma3  # noqa: E402

tokens = jax.random.randint(jax.random.key(1), (2, 8), 0, 32)
positions = jnp.broadcast_to(jnp.arange(8), (2, 8))
mask = jnp.broadcast_to(jnp.tril(jnp.ones((8, 8), bool)), (2, 8, 8))
sizes = {"num_embed": 32, "embed_dim": 16, "hidden_dim": 24, "num_heads": 4, "head_dim": 8}


def loss_fn(model, tokens):
    logits, _ = model(tokens, positions, None, mask)
    logits = logits[:, :-1].astype(jnp.float32)
    return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()


@nnx.jit
def train_step(model, optimizer, tokens):
    loss, gradient = nnx.value_and_grad(loss_fn)(model, tokens)
    optimizer.update(model, gradient)
    return loss


def run(model):
    parameters = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    parameters = jax.tree.map(jnp.copy, parameters)
    optimizer = nnx.Optimizer(model, optax.adamw(1e-2), wrt=nnx.Param)
    losses = [train_step(model, optimizer, tokens) for _ in range(3)]
    graphdef, state = nnx.split(model)
    logits, _ = jax.jit(lambda s: nnx.merge(graphdef, s)(tokens, positions, None, mask))(state)
    shapes = [
        (str(path), *leaf.shape)
        for path, leaf in nnx.to_flat_state(nnx.eval_shape(lambda: nnx.state(model)))
    ]
    return parameters, {"losses": losses, "logits": logits, "count": jnp.array(len(shapes))}


first = gemma.Gemma(
    gemma.ModelConfig(
        num_layers=2,
        num_kv_heads=4,
        final_logit_softcap=30.0,
        use_post_attn_norm=True,
        use_post_ffw_norm=True,
        attention_types=(gemma.AttentionType.LOCAL_SLIDING, gemma.AttentionType.GLOBAL),
        sliding_window_size=4,
        **sizes,
    ),
    rngs=nnx.Rngs(0),
)
third = gemma3.Gemma3(
    gemma3.ModelConfig(
        num_layers=6,
        num_kv_heads=1,
        sliding_window_size=4,
        remat_config=gemma3.RematConfig.BLOCK,
        param_dtype=jnp.float32,
        **sizes,
    ),
    rngs=nnx.Rngs(params=7),
)
scored = gemma.GemmaWithScoreHead(first, rngs=nnx.Rngs(3))
scores = scored(tokens, positions, None, mask)
results = [run(first), run(third)]
record(
    {"gemma": results[0][0], "gemma3": results[1][0], "score": scored.score.kernel[...]},
    {"gemma": results[0][1], "gemma3": results[1][1], "scores": scores},
)
