"""Write like a manual: a small LLaMA, trained on what Python says about itself.

    make language-model             # or: python examples/language_model.py --prompt 'The "with"'

The text is what ``help("topics")`` knows: the chapters of Python's reference that come with Python,
half a million characters. One character is one token, and a tenth of the topics is held out.

Training saves a checkpoint every so often; kill the process whenever you like, run it again, and it
goes on from there. At the end it draws ``out/language_model/loss.png`` and writes some text, one
character at a time, with a memory of the keys and values that it has computed already.

The network stands in ``llama.py``. This file reads from top to bottom:

1. the text, and batches of it;
2. one training step, compiled by ``nnx.jit``, which changes model and optimizer in place;
3. the loop, with a progress bar;
4. the curve, and the command line.
"""

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from pydoc_data.topics import topics

import jax
import numpy as np
import optax
from matplotlib.figure import Figure

from checkpoints import Checkpoints
from display import console, progress_bar, save_picture
from linnet import nnx
from llama import Config, LanguageModel, write

BATCH = 16
EVERY = 100  # steps between two checkpoints; the held-out loss is taken then
PROMPT = 'The "with" statement\n********************\n\n'  # as a topic begins


# --- 1. The text ----------------------------------------------------------------------------------


class Corpus:
    """The text as numbers, one for each character.

    Attributes:
        alphabet: the characters; a token is a place in it.
        train: the tokens to learn from, [characters].
        test: those of the topics that are held out, [characters].
    """

    def __init__(self) -> None:
        names = sorted(topics)
        # Topics repeat each other. A paragraph is taken once: what is held out was never read.
        seen: set[str] = set()
        test = self._gather(names[::10], seen)
        train = self._gather([name for name in names if name not in names[::10]], seen)
        self.alphabet = "".join(sorted({*train, *test}))
        self.train, self.test = self.encode(train), self.encode(test)

    def _gather(self, names: Sequence[str], seen: set[str]) -> str:
        paragraphs = [each.strip("\n") for name in names for each in topics[name].split("\n\n")]
        fresh = [each for each in dict.fromkeys(paragraphs) if each not in seen]
        seen.update(fresh)
        return "\n\n".join(fresh)

    def encode(self, text: str) -> np.ndarray:
        """Returns the tokens of a text; a character that the alphabet lacks is a space."""
        place = {character: token for token, character in enumerate(self.alphabet)}
        return np.array([place.get(each, place[" "]) for each in text], np.int32)

    def decode(self, tokens: Sequence[int]) -> str:
        """Returns the text of tokens."""
        return "".join(self.alphabet[token] for token in tokens)


def batch(tokens: np.ndarray, length: int, seed: int, step: int) -> np.ndarray:
    """Returns passages from random places, [BATCH, length], the same for the same step."""
    starts = np.random.default_rng((seed, step)).integers(0, len(tokens) - length, BATCH)
    return np.stack([tokens[start : start + length] for start in starts])


def passages(tokens: np.ndarray, length: int) -> Iterator[np.ndarray]:
    """Yields a whole text once, in order, as batches [BATCH, length]; a last part is left out."""
    whole = len(tokens) // (BATCH * length) * BATCH * length
    yield from tokens[:whole].reshape(-1, BATCH, length)  # [batches, BATCH, length]


# --- 2. One step of training ----------------------------------------------------------------------


def loss_of(model: LanguageModel, tokens: jax.Array) -> jax.Array:
    """Returns the mean loss for each next character, in nats; tokens are [batch, length]."""
    logits = model(tokens[:, :-1])
    return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()


@nnx.jit
def train_step(model: LanguageModel, optimizer: nnx.Optimizer, tokens: jax.Array) -> jax.Array:
    """Changes model and optimizer in place, and returns the loss."""
    loss, gradients = nnx.value_and_grad(loss_of)(model, tokens)
    optimizer.update(model, gradients)
    return loss


evaluate = nnx.jit(loss_of)


def held_out_loss(model: LanguageModel, tokens: np.ndarray) -> float:
    """Returns the mean loss over a whole text; the model is seen in a view without dropout."""
    reader = nnx.view(model, deterministic=True)
    length = model.config.context + 1
    return float(np.mean([evaluate(reader, each) for each in passages(tokens, length)]))


def make_optimizer(model: LanguageModel, steps: int) -> nnx.Optimizer:
    """Returns AdamW, its rate rising for a twentieth of the steps and then falling as a cosine."""
    rate = optax.warmup_cosine_decay_schedule(0.0, 3e-3, steps // 20, steps, end_value=3e-4)
    adam = optax.adamw(rate, b2=0.99, weight_decay=0.1)
    return nnx.Optimizer(model, optax.chain(optax.clip_by_global_norm(1.0), adam), wrt=nnx.Param)


# --- 3. The loop ----------------------------------------------------------------------------------

History = list[dict[str, float]]


def train(options: argparse.Namespace, corpus: Corpus) -> tuple[LanguageModel, History]:
    """Trains from the last checkpoint, or from the start, until all steps are done."""
    model = LanguageModel(Config(), len(corpus.alphabet), rngs=nnx.Rngs(options.seed))
    optimizer = make_optimizer(model, options.steps)
    trained = (model, optimizer)  # all that training changes, with the streams that dropout draws
    parameters = sum(x.size for x in jax.tree.leaves(nnx.state(model, nnx.Param)))
    console.print(
        f"{parameters:,} parameters; {len(corpus.train):,} characters to learn from, "
        f"{len(corpus.test):,} held out."
    )

    run = {"seed": options.seed, "steps": options.steps}
    history: History = []
    checkpoints = Checkpoints(options.out / "checkpoints", fresh=options.fresh)
    if (progress := checkpoints.progress(run)) is not None:
        history = progress["history"]
        nnx.update(trained, checkpoints.state(like=nnx.state(trained)))
    done = int(optimizer.step[...])
    if done == options.steps:
        console.print(f"Training was already complete: {done} steps are done.")
    elif done:
        console.print(f"Resuming after step {done} of {options.steps}.")

    context, losses, start = model.config.context, [], time.perf_counter()
    with progress_bar() as bar:
        task = bar.add_task("training", total=options.steps, completed=done, figures="")
        for step in range(done + 1, options.steps + 1):
            tokens = batch(corpus.train, context + 1, options.seed, step)
            losses.append(float(train_step(model, optimizer, tokens)))
            speed = (step - done) * BATCH * context / (time.perf_counter() - start)
            figures = f"loss {np.mean(losses[-20:]):.3f}  {speed:,.0f} tokens/s"
            bar.update(task, advance=1, figures=figures)
            if step % EVERY == 0 or step == options.steps:
                held_out = held_out_loss(model, corpus.test)
                history.append(
                    {"step": step, "train": float(np.mean(losses)), "held out": held_out}
                )
                checkpoints.save(step, nnx.state(trained), {"run": run, "history": history})
                console.print(
                    f"step {step:5d}  train {np.mean(losses):.3f}  held out {held_out:.3f}"
                )
                losses = []
    checkpoints.close()
    return model, history


# --- 4. The curve, and the command line -----------------------------------------------------------


def draw_curve(history: History, path: Path) -> None:
    """Draws the losses, in training and held out, as a PNG file."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    for name in ("train", "held out"):
        axes.plot([each["step"] for each in history], [each[name] for each in history], label=name)
    axes.set(xlabel="step", ylabel="loss, nats per character")
    axes.grid(alpha=0.3)
    axes.legend()
    save_picture(figure, path)


def main(arguments: Sequence[str] | None = None) -> History:
    """Runs the program; returns the losses along the way."""
    parser = argparse.ArgumentParser(
        description="Train a small language model on Python's manual, then let it write.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=1200, help="steps of training")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    parser.add_argument(
        "--out", type=Path, default=Path("out/language_model"), help="where to write"
    )
    parser.add_argument("--fresh", action="store_true", help="start over, forget what is in OUT")
    parser.add_argument("--sample", type=int, default=600, help="characters to write at the end")
    parser.add_argument("--prompt", default=PROMPT, help="what they follow")
    parser.add_argument("--temperature", type=float, default=0.7, help="lower is more predictable")
    parser.add_argument("--top-k", type=int, default=20, help="choose among so many characters")
    options = parser.parse_args(arguments)
    if not options.prompt or options.temperature <= 0 or options.top_k < 1 or options.steps < 1:
        parser.error("--prompt must not be empty; --temperature, --top-k, --steps are positive")

    options.out.mkdir(parents=True, exist_ok=True)
    corpus = Corpus()
    model, history = train(options, corpus)
    draw_curve(history, options.out / "loss.png")

    written = write(
        nnx.view(model, deterministic=True),
        corpus.encode(options.prompt),
        nnx.Rngs(sample=options.seed),
        temperature=options.temperature,
        top_k=min(options.top_k, len(corpus.alphabet)),
    )
    print(f"\n{options.prompt}", end="")
    start = time.perf_counter()
    for token in itertools.islice(written, options.sample):
        print(corpus.decode([token]), end="", flush=True)
    speed = options.sample / (time.perf_counter() - start)
    nats = history[-1]["held out"]
    print(
        f"\n\nHeld-out loss: {nats:.3f} nats a character ({nats / np.log(2):.2f} bits). Wrote "
        f"{options.sample} characters, {speed:.0f} a second. Curve: {options.out / 'loss.png'}"
    )
    return history


if __name__ == "__main__":
    main()
