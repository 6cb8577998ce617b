"""Read handwritten digits: a convolutional network, trained so that nothing stops it.

    make demo                                    # or: python examples/digits.py --epochs 30
    python examples/digits.py --api nnx          # the same through the other module system

The data are the 1,797 scanned digits that come with scikit-learn, images of 8 × 8 grey pixels. A
fifth of them is held out. Training saves a checkpoint after every epoch; kill the process whenever
you like, run it again, and it goes on from the last epoch that was completed. When all epochs are
done it draws ``out/digits/report.png``: the learning curves, and every digit that it misread.

Only two files know which module system the network is written in, ``digits_linen.py`` and
``digits_nnx.py``; lay them side by side. Each has the model, one step of training, and a
``Trainer`` that holds what training changes:

* ``trainer.table(images)`` describes the model;
* ``trainer.step(images, digits)`` learns from a batch and returns its loss and accuracy;
* ``trainer.read(images)`` returns the digits that it sees;
* ``trainer.state`` can be read, saved and set again; ``trainer.examples_seen`` is a part of it.

What they share is here: the data, the loop with its progress bar, and the report.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import digits_linen
import digits_nnx
from checkpoints import Checkpoints
from display import console, progress_bar, save_picture

APIS = {"linen": digits_linen, "nnx": digits_nnx}
BATCH = 64
TARGET = 97.5  # per cent of the held-out digits


# --- 1. The data ----------------------------------------------------------------------------------


class Split(NamedTuple):
    """Images of shape [examples, 8, 8, 1], between 0 and 1, and the digits they show."""

    images: np.ndarray
    digits: np.ndarray


def load_data(examples: int | None = None) -> tuple[Split, Split]:
    """Returns what to train on and what to test with, the same for every run.

    Args:
        examples: how many examples to take in all; every one if it is None.
    """
    pixels, digits = load_digits(return_X_y=True)
    images = (pixels / 16.0).astype(np.float32).reshape(-1, 8, 8, 1)  # [examples, 8, 8, 1]
    images, digits = images[:examples], digits[:examples].astype(np.int32)
    # Stratified: each digit is as frequent in the held-out fifth as in the rest.
    train_x, test_x, train_y, test_y = train_test_split(
        images, digits, test_size=0.2, stratify=digits, random_state=0
    )
    return Split(train_x, train_y), Split(test_x, test_y)


def batches(data: Split, key: jax.Array) -> Iterator[Split]:
    """Yields the data once, in batches of one size and in the order that the key shuffles to."""
    order = np.asarray(jax.random.permutation(key, len(data.digits)))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        chosen = order[start : start + BATCH]
        yield Split(data.images[chosen], data.digits[chosen])


# --- 2. The loop ----------------------------------------------------------------------------------

Trainer = digits_linen.Trainer | digits_nnx.Trainer
History = list[dict[str, float]]


def accuracy(trainer: Trainer, data: Split) -> float:
    """Returns the percentage of the data that is read right."""
    return 100.0 * float(np.mean(np.asarray(trainer.read(data.images)) == data.digits))


def train(options: argparse.Namespace, data: Split, held_out: Split) -> tuple[Trainer, History]:
    """Trains from the last checkpoint, or from the start, until all epochs are done."""
    steps = len(data.digits) // BATCH
    rate = optax.exponential_decay(2e-3, transition_steps=steps, decay_rate=0.9)
    optimizer = optax.adamw(rate, weight_decay=1e-3)
    trainer = APIS[options.api].Trainer(optimizer, options.seed)

    # Every layer, with the shapes of what goes in and comes out and of its variables.
    table = {"width": max(console.width, 110), "force_terminal": console.is_terminal}
    print(trainer.table(data.images[:1], console_kwargs=table))

    run = {"api": options.api, "seed": options.seed, "examples": options.examples}
    history: History = []
    checkpoints = Checkpoints(options.out / "checkpoints", fresh=options.fresh)
    if (progress := checkpoints.progress(run)) is not None:
        history = progress["history"]
        trainer.state = checkpoints.state(like=trainer.state)
        if len(history) >= options.epochs:
            console.print(f"Training was already complete: {len(history)} epochs are done.")
        else:
            console.print(f"Resuming after epoch {len(history)} of {options.epochs}.")

    with progress_bar() as bar:
        for epoch in range(len(history) + 1, options.epochs + 1):
            # The order in an epoch follows from the seed and its number alone, and so is the same
            # whether or not the run was interrupted before it. Other randomness is in the state.
            order = jax.random.fold_in(jax.random.key(options.seed), epoch)
            task = bar.add_task(f"epoch {epoch:2d}", total=steps, figures="")
            losses, rights = [], []
            for batch in batches(data, order):
                loss, right = trainer.step(*batch)
                losses.append(float(loss))
                rights.append(float(right))
                bar.update(task, advance=1, figures=figures(losses, rights))
            history.append(
                {
                    "loss": float(np.mean(losses)),
                    "train": 100.0 * float(np.mean(rights)),
                    "test": accuracy(trainer, held_out),
                }
            )
            checkpoints.save(epoch, trainer.state, {"run": run, "history": history})
            bar.update(
                task, figures=f"{figures(losses, rights)}  test {history[-1]['test']:5.1f} %"
            )
    checkpoints.close()
    return trainer, history


def figures(losses: Sequence[float], rights: Sequence[float]) -> str:
    """Returns the mean loss and accuracy of an epoch so far, as text."""
    return f"loss {np.mean(losses):.4f}  train {100 * np.mean(rights):5.1f} %"


# --- 3. The report --------------------------------------------------------------------------------


def draw_report(history: History, data: Split, read: np.ndarray, path: Path) -> None:
    """Draws the learning curves and the digits that were misread.

    Args:
        history: loss and accuracies, epoch by epoch.
        data: the held-out digits.
        read: what was read in them.
        path: the PNG file to write.
    """
    wrong = np.flatnonzero(read != data.digits)
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(3, 2))

    epochs = np.arange(1, len(history) + 1)
    loss_axes, accuracy_axes = left.subplots(1, 2)
    loss_axes.plot(epochs, [each["loss"] for each in history], color="tab:red")
    loss_axes.set(title="Loss in training", xlabel="epoch", yscale="log")
    for name in ("train", "test"):
        accuracy_axes.plot(epochs, [each[name] for each in history], label=name)
    accuracy_axes.axhline(TARGET, color="grey", linestyle=":", label=f"{TARGET} %")
    accuracy_axes.set(title="Read right, in per cent", xlabel="epoch", ylim=(80, 100.5))
    accuracy_axes.legend(loc="lower right")
    for axes in (loss_axes, accuracy_axes):
        axes.xaxis.get_major_locator().set_params(integer=True)

    right.suptitle(f"{len(wrong)} of {len(read)} held-out digits misread")
    shown = wrong[:24]
    grid = right.subplots(max(2, -(-len(shown) // 4)), 4).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, index in zip(grid, shown, strict=False):
        axes.imshow(data.images[index, :, :, 0], cmap="gray_r")
        axes.set_title(f"{data.digits[index]} → {read[index]}", fontsize=9)

    save_picture(figure, path)


def main(arguments: Sequence[str] | None = None) -> History:
    """Runs the program.

    Args:
        arguments: the command line; that of the process if it is None.

    Returns:
        Loss and accuracies, epoch by epoch.
    """
    parser = argparse.ArgumentParser(description="Train a small network to read digits.")
    parser.add_argument("--api", choices=APIS, default="linen", help="the module system to use")
    parser.add_argument("--epochs", type=int, default=20, help="how often to go through the data")
    parser.add_argument("--out", type=Path, help="where to write; out/digits, or out/digits-nnx")
    parser.add_argument("--fresh", action="store_true", help="start over, forget what is in OUT")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    parser.add_argument("--examples", type=int, help="use only so many examples, for a quick look")
    options = parser.parse_args(arguments)

    if options.examples is not None and options.examples < 2 * BATCH:
        parser.error(f"--examples must be at least {2 * BATCH}, for batches are of {BATCH}")
    if options.out is None:
        options.out = Path("out/digits" if options.api == "linen" else f"out/digits-{options.api}")
    options.out.mkdir(parents=True, exist_ok=True)

    data, held_out = load_data(options.examples)
    trainer, history = train(options, data, held_out)

    read = np.asarray(trainer.read(held_out.images))
    path = options.out / "report.png"
    draw_report(history, held_out, read, path)

    wrong = int(np.sum(read != held_out.digits))
    right = 100.0 * (1 - wrong / len(read))
    console.print(
        f"Read {right:.2f} % of {len(read)} held-out digits right ({wrong} misread) after "
        f"{len(history)} epochs and {trainer.examples_seen:,} examples; the aim is {TARGET} %."
    )
    console.print(f"Learning curves and misread digits: {path}")
    return history


if __name__ == "__main__":
    main()
