"""jax_resnet: a ResNet and a ResNeSt on small images, through Linen."""

import jax
import jax.numpy as jnp
from jax_resnet import ResNeSt50Fast, ResNet18
from recording import record

images = jax.random.normal(jax.random.key(1), (2, 32, 32, 3))


def run(model):
    variables = model.init(jax.random.key(0), images)
    apply = jax.jit(model.apply, static_argnames="mutable")

    def loss(params):
        rest = {"params": params, "batch_stats": variables["batch_stats"]}
        logits, updates = apply(rest, images, mutable=("batch_stats",))
        return jnp.mean(jax.nn.log_softmax(logits)[:, 0]), (logits, updates)

    gradient, (logits, updates) = jax.grad(loss, has_aux=True)(variables["params"])
    return variables, {"logits": logits, "updates": updates, "gradient": gradient}


shallow, deep = run(ResNet18(n_classes=10)), run(ResNeSt50Fast(n_classes=10))
record({"ResNet18": shallow[0], "ResNeSt50Fast": deep[0]}, {"a": shallow[1], "b": deep[1]})
