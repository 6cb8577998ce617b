"""`nn.grad` and `nn.value_and_grad`."""

import pytest
from tests.linen.transforms.probes import RNGS, X, everything

import linnet.linen as nn
from differential.linen import assert_same


@pytest.mark.parametrize("name", ["grad", "value_and_grad"])
@pytest.mark.parametrize("has_aux", [False, True])
@pytest.mark.parametrize("count", [1, 2])
def test_gradients_by_arguments(name, has_aux, count):
    """Results, gradients, and the variables made or sown inside are those of Flax."""

    def program(nn):
        class Model(nn.Module):
            @nn.compact
            def __call__(self, x):
                def energy(module, first, *more):
                    y = nn.Dense(1, name="dense")(first).sum() + sum((x * x).sum() for x in more)
                    y = y + (nn.Dropout(0.5, deterministic=False)(first)).sum()
                    module.sow("intermediates", "y", y)
                    return (y, {"first": first}) if has_aux else y

                transform = getattr(nn, name)
                return transform(energy, self, *[x] * count, has_aux=has_aux), energy(self, x)

        return everything(Model(), X)

    assert_same(program)


def test_inside_other_transformations():
    """A gradient inside a scan inside a mapped module."""

    def program(nn):
        class Descent(nn.Module):
            @nn.compact
            def __call__(self, x, _):
                def energy(module, x):
                    return (nn.Dense(2, name="dense")(x) ** 2).sum()

                (slope,) = nn.grad(energy, self, x)
                return x - 0.1 * slope, None

        steps = nn.scan(
            Descent, variable_broadcast="params", split_rngs={"params": False}, length=3
        )
        model = nn.vmap(
            steps, variable_axes={"params": None}, split_rngs={"params": False}, in_axes=(0, None)
        )()
        variables = model.init(RNGS, X, None)
        return variables, model.apply(variables, X, None)[0]

    assert_same(program)


def test_filters():
    """What `variables` and `rngs` leave out does not exist inside."""

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            def energy(module, x):
                assert not module.has_rng("dropout")
                assert not module.is_mutable_collection("state")
                return x.sum()

            return nn.grad(energy, self, x, variables="params", rngs="params")

    Model().apply({}, X, rngs=RNGS, mutable=["state"])
