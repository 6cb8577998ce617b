"""When variables do not fit a model, all differences are listed in one go."""

import jax
import jax.numpy as jnp
import pytest

import linnet.linen as nn
from linnet.base import errors

KEY = jax.random.key(0)
X = jnp.ones((2, 3))


class Model(nn.Module):
    """Three layers, one of them with statistics."""

    width: int = 4
    fail: bool = False

    @nn.compact
    def __call__(self, x):
        if self.fail and self.is_initializing():
            raise KeyError
        x = nn.Dense(self.width, name="hidden")(x)
        x = nn.BatchNorm(use_running_average=True, name="norm")(x)
        return nn.Dense(2, name="head")(x)


def notes(model, variables, x=X, error=errors.MisfitError, **options):
    """Return the list of differences that `apply` notes on its error."""
    with pytest.raises(error) as caught:
        model.apply(variables, x, **options)
    listed = [note for note in caught.value.__notes__ if note.startswith("All differences")]
    return listed[0].splitlines()[1:] if listed else []


def test_other_shapes_missing_and_unknown():
    """Each kind of difference is a line, with its path and both shapes."""
    variables = Model().init(KEY, X)
    params = {**variables["params"], "extra": {"scale": jnp.ones(3)}}
    del params["head"]
    lines = notes(Model(width=5), {**variables, "params": params})
    assert set(map(str.strip, lines)) >= {
        "missing  /params/head/kernel  float32[5,2]",
        "shape    /params/hidden/kernel  passed float32[3,4], the model makes float32[3,5]",
        "shape    /batch_stats/norm/mean  passed float32[4], the model makes float32[5]",
        "unknown  /params/extra/scale  float32[3]",
    }


def test_one_difference_stands_in_the_message_alone():
    """A single one is not listed again."""
    variables = Model().init(KEY, X)
    del variables["params"]["hidden"]["bias"]
    with pytest.raises(
        errors.ScopeParamNotFoundError, match=r"/hidden \(Dense\).*'bias'"
    ) as caught:
        Model().apply(variables, X)
    assert not any("All differences" in note for note in caught.value.__notes__)


def test_long_lists_are_cut():
    """At most twenty lines, and how many more there are."""

    class Deep(nn.Module):
        @nn.compact
        def __call__(self, x):
            for _ in range(30):
                x = nn.Dense(3)(x)
            return x

    lines = notes(Deep(), {"params": {}})
    assert len(lines) == 21
    assert lines[-1].strip() == "... and 40 more"


def test_a_model_that_cannot_be_initialised_keeps_its_error():
    """The search for more never hides what was found."""
    variables = Model().init(KEY, X)
    del variables["params"]["hidden"]
    assert notes(Model(fail=True), variables) == []


def test_nothing_is_searched_in_init_or_in_a_call_that_fits():
    """Other errors and successful calls are left alone."""
    variables = Model().init(KEY, X)
    assert Model().apply(variables, X).shape == (2, 2)
    with pytest.raises(TypeError) as caught:
        Model().apply(variables, X, 1, 2)
    assert not any("All differences" in note for note in getattr(caught.value, "__notes__", ()))


def test_under_jit_and_with_other_methods():
    """It works on tracers too, and for the method that was called."""
    variables = Model().init(KEY, X)
    apply = jax.jit(lambda v, x: Model(width=5).apply(v, x))
    with pytest.raises(errors.ScopeParamShapeError) as caught:
        apply(variables, X)
    assert any("/params/hidden/bias" in note for note in caught.value.__notes__)


def test_boxed_parameters_are_compared_unboxed():
    """Names of axes are no difference."""

    class Boxed(nn.Module):
        @nn.compact
        def __call__(self, x):
            init = nn.with_partitioning(nn.initializers.ones, ("a", None))
            return nn.Dense(2, kernel_init=init, name="one")(nn.Dense(3, name="two")(x))

    variables = Boxed().init(KEY, X)
    del variables["params"]["two"]
    lines = notes(Boxed(), variables)
    assert [line.split()[0] for line in lines] == ["missing", "missing"]
