"""The language model: it learns, it survives a kill, and its memory changes nothing it writes."""

import contextlib
import io
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path
from pydoc_data.topics import topics

import flax.nnx
import jax.numpy as jnp
import numpy as np
import pytest

import language_model
import llama
from linnet import nnx

pytestmark = pytest.mark.slow

EXAMPLES = Path(language_model.__file__).parent
RUN = ["--steps", "6", "--sample", "30"]
SMALL = llama.Config(context=32, width=16, layers=2, heads=4, kv_heads=2, hidden=24)

FEW = {name: topics[name] for name in sorted(topics)[:12]}

# Runs the program in a process of its own, small, that kills itself before the sixth step.
KILLED = f"""
import os, signal, sys
import language_model
from llama import Config

language_model.Config = lambda: {SMALL}
language_model.topics = {FEW}
language_model.EVERY = 2
steps, train_step = iter(range(5)), language_model.train_step

def deadly(*args):
    if next(steps, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return train_step(*args)

language_model.train_step = deadly
language_model.main(sys.argv[1:])
"""


def shrink(put, module):
    """Make the program small: model and text; and have it save after every second step."""
    put(module, "Config", lambda: SMALL)
    put(module, "topics", FEW)
    put(module, "EVERY", 2)


@pytest.fixture(scope="module")
def small():
    """The program with a small model and little text."""
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch.setattr, language_model)
        yield language_model


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory):
    """A run that nothing interrupts: its history, and what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        history = small.main([*RUN, "--out", str(tmp_path_factory.mktemp("whole"))])
    return history, printed.getvalue()


def small_model():
    """A small model that has not learnt anything, in the view that writes."""
    model = llama.LanguageModel(SMALL, 20, rngs=nnx.Rngs(0))
    return nnx.view(model, deterministic=True)


TOKENS = np.random.default_rng(0).integers(0, 20, (2, 12))


@pytest.mark.parametrize("parts", [[12], [5, 7], [1] * 12], ids=["whole", "in two", "one by one"])
def test_reading_into_a_memory_is_the_plain_forward_pass(parts):
    """However a text is cut, its logits are those of the model without a memory, to 1e-5."""
    model = small_model()
    memories = model.memories(2, 16)
    read = nnx.jit(lambda model, memories, tokens: model(tokens, memories))
    pieces = np.split(TOKENS, np.cumsum(parts)[:-1], axis=1)
    logits = jnp.concatenate([read(model, memories, piece) for piece in pieces], axis=1)
    np.testing.assert_allclose(logits, model(TOKENS), rtol=1e-5, atol=1e-5)
    assert [int(memory.filled[...]) for memory in memories] == [12, 12]


def test_no_logit_sees_what_follows():
    """Other tokens later in the text leave the logits before them as they are."""
    model = small_model()
    changed = TOKENS.copy()
    changed[:, 8:] = (changed[:, 8:] + 1) % 20
    before, after = model(TOKENS), model(changed)
    np.testing.assert_allclose(before[:, :8], after[:, :8], rtol=1e-6, atol=1e-6)
    assert np.abs(before[:, 8:] - after[:, 8:]).max() > 1e-3


def test_attention_depends_on_distance_alone():
    """Positions that are all shifted leave the products of queries and keys as they are."""
    query, key = np.random.default_rng(0).normal(size=(2, 1, 6, 2, 8)).astype(np.float32)
    places = jnp.arange(6)
    products = [
        jnp.einsum("bqhd,bkhd->bhqk", llama.rotate(query, at), llama.rotate(key, at))
        for at in (places, places + 100)
    ]
    np.testing.assert_allclose(*products, rtol=1e-4, atol=1e-4)
    assert np.abs(products[0] - jnp.einsum("bqhd,bkhd->bhqk", query, key)).max() > 0.1


def test_what_it_writes_is_what_the_model_would_say():
    """With one choice it writes the likeliest tokens, as without memory, past the context too."""
    model = small_model()
    prompt, half = TOKENS[0], SMALL.context // 2
    wrote = list(itertools.islice(llama.write(model, prompt, nnx.Rngs(sample=0), top_k=1), 60))
    forward = nnx.jit(lambda model, tokens: model(tokens))
    text, read = list(prompt), len(prompt)
    for token in wrote:
        # what a memory holds by now: never more than the context, then its later half anew
        if read > SMALL.context:
            read = half
        padded = np.zeros((1, SMALL.context), np.int32)
        padded[0, :read] = text[-read:]
        assert token == int(forward(model, padded)[0, read - 1].argmax())
        text.append(token)
        read += 1


def test_writing_follows_its_stream():
    """The same seed writes the same, another one something else, and drawing takes from top_k."""
    model = small_model()

    def wrote(seed, **options):
        return list(
            itertools.islice(llama.write(model, TOKENS[0], nnx.Rngs(sample=seed), **options), 20)
        )

    assert wrote(0, temperature=5.0) == wrote(0, temperature=5.0)
    assert wrote(0, temperature=5.0) != wrote(1, temperature=5.0)
    assert wrote(0, temperature=1e-6) == wrote(1, top_k=1)


def test_no_paragraph_is_both_learnt_and_held_out():
    """Topics repeat each other; what is held out stands in no text that is learnt from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language_model, "topics", topics)
        corpus = language_model.Corpus()
    learnt, held_out = (corpus.decode(each).split("\n\n") for each in (corpus.train, corpus.test))
    assert len(corpus.test) > 10_000
    assert not set(learnt) & set(held_out)
    assert corpus.decode(corpus.encode("def f(): é")) == "def f():  "


def test_kill_between_checkpoints_loses_nothing_but_those_steps(small, whole, tmp_path, capfd):
    """After SIGKILL in the sixth step the run goes on after the fourth, to the same losses."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *RUN, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(EXAMPLES)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert small.main([*RUN, "--out", str(tmp_path)]) == whole[0]
    shown = capfd.readouterr().out
    assert "Resuming after step 4 of 6." in shown
    text = whole[1].partition(small.PROMPT)[2].partition("\n\nHeld-out loss:")[0]
    assert len(text) == 30
    assert text in shown
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_it_learns(small, tmp_path, monkeypatch):
    """Even the small model does, in sixty steps."""
    monkeypatch.setattr(small, "EVERY", 30)
    history = small.main(["--steps", "60", "--sample", "0", "--out", str(tmp_path)])
    assert [each["step"] for each in history] == [30, 60]
    assert history[1]["held out"] < history[0]["held out"] - 0.1 < np.log(100) - 0.1


def test_options_that_cannot_work_are_refused(capsys):
    """An empty prompt is an error of the command line."""
    with pytest.raises(SystemExit):
        language_model.main(["--prompt", ""])
    assert "--prompt must not be empty" in capsys.readouterr().err


def test_same_history_under_flax(whole, tmp_path, monkeypatch):
    """The same program on Flax goes through the same losses, to 1e-4 relative."""
    monkeypatch.setattr("linnet.nnx", flax.nnx)
    for name in ("language_model", "llama"):
        monkeypatch.delitem(sys.modules, name)
    import language_model as reference  # made anew, of Flax's modules

    assert reference.nnx is flax.nnx
    shrink(monkeypatch.setattr, reference)
    history = reference.main([*RUN, "--out", str(tmp_path)])
    for ours, theirs in zip(whole[0], history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
