"""Read handwritten digits: a convolutional network, trained so that nothing stops it.

    make demo                                    # or: python examples/digits.py --epochs 30

The data are the 1,797 scanned digits that come with scikit-learn, images of 8 × 8 grey pixels. A
fifth of them is held out. Training saves a checkpoint after every epoch; kill the process whenever
you like, run it again, and it goes on from the last epoch that was completed. When all epochs are
done it draws ``out/digits/report.png``: the learning curves, and every digit that it misread.

The file reads from top to bottom:

1. the data, split and scaled;
2. the model: a Linen module with parameters, with batch statistics, with dropout, and with a
   collection of its own, ``buffers``;
3. one training step, a pure function of the state, compiled by ``jax.jit``;
4. checkpoints, with orbax;
5. the loop, with a progress bar;
6. the report.

Only parts 2 and 3 know which module system the model is written in.
"""

import argparse
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import linnet.linen as nn

BATCH = 64
TARGET = 97.5  # per cent of the held-out digits

console = Console()


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


# --- 2. The model ---------------------------------------------------------------------------------


class ConvNet(nn.Module):
    """Two convolutions and two dense layers.

    A module is a dataclass: its fields configure it, and one instance can be applied to many sets
    of variables. Layers made in a ``@nn.compact`` method need no names of their own; their
    variables are found under ``Conv_0``, ``BatchNorm_0`` and so on.
    """

    channels: Sequence[int] = (32, 64)
    hidden: int = 128
    dropout: float = 0.3

    @nn.compact
    def __call__(self, x, *, train: bool):
        # A collection of our own. A variable is created when the model is initialised; after that
        # it changes only where `apply` is told that its collection is mutable.
        seen = self.variable("buffers", "examples_seen", lambda: jnp.zeros((), jnp.int32))
        if train and not self.is_initializing():
            seen.value = seen.value + x.shape[0]

        for channels in self.channels:
            x = nn.Conv(channels, kernel_size=(3, 3))(x)
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
            x = nn.relu(x)
        x = nn.max_pool(x, window_shape=(2, 2), strides=(2, 2))
        x = x.reshape(x.shape[0], -1)  # [batch, 4 · 4 · channels]
        x = nn.relu(nn.Dense(self.hidden)(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(10)(x)


# --- 3. One step of training ----------------------------------------------------------------------

# Everything that training changes, in one tree: what is saved is what is trained.
State = dict[str, Any]


def initial_state(model: nn.Module, optimizer: optax.GradientTransformation, seed: int) -> State:
    """Returns the state before the first step."""
    init_key, train_key = jax.random.split(jax.random.key(seed))
    variables = model.init(init_key, jnp.zeros((1, 8, 8, 1)), train=False)
    # `init` returns every collection. The optimizer is given the parameters and nothing else; the
    # others, batch statistics and buffers, are updated by the model itself.
    params = variables.pop("params")
    return {
        "params": params,
        "collections": variables,
        "optimizer": optimizer.init(params),
        "key": train_key,
    }


def make_train_step(model: nn.Module, optimizer: optax.GradientTransformation) -> Callable:
    """Returns the compiled step: from a state and a batch to the next state, loss and accuracy."""

    @jax.jit
    def train_step(state: State, batch: Split, key: jax.Array):
        def loss_of(params):
            # `mutable` names the collections that may change; they come back beside the output.
            # `rngs` gives the stream of random numbers that Dropout draws from.
            logits, collections = model.apply(
                {"params": params, **state["collections"]},
                batch.images,
                train=True,
                rngs={"dropout": key},
                mutable=["batch_stats", "buffers"],
            )
            loss = optax.softmax_cross_entropy_with_integer_labels(logits, batch.digits).mean()
            return loss, (logits, collections)

        (loss, (logits, collections)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            state["params"]
        )
        updates, moments = optimizer.update(gradients, state["optimizer"], state["params"])
        after = {
            **state,
            "params": optax.apply_updates(state["params"], updates),
            "collections": collections,
            "optimizer": moments,
        }
        return after, loss, jnp.mean(logits.argmax(-1) == batch.digits)

    return train_step


def make_predict(model: nn.Module) -> Callable:
    """Returns the compiled reader: from a state and images to the digits it sees in them."""

    @jax.jit
    def predict(state: State, images: jax.Array):
        # Nothing is mutable here, so the output comes back alone; nothing is random, so no rngs.
        variables = {"params": state["params"], **state["collections"]}
        return model.apply(variables, images, train=False).argmax(-1)

    return predict


# --- 4. Checkpoints -------------------------------------------------------------------------------


class Checkpoints:
    """The state after each completed epoch, and how it was reached.

    Orbax writes a checkpoint under another name and renames it when it is complete, so a process
    that is killed while it saves leaves the checkpoint before as the latest one.
    """

    def __init__(self, folder: Path):
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=2, enable_async_checkpointing=False, cleanup_tmp_directories=True
            ),
        )

    def save(self, state: State, progress: dict[str, Any]) -> None:
        """Saves a state, and the options and history that led to it."""
        self._manager.save(
            len(progress["history"]),
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state), progress=ocp.args.JsonSave(progress)
            ),
        )

    def restore(self, like: State) -> tuple[State, dict[str, Any]] | None:
        """Returns what was saved last, or None; the state has the structure of another one."""
        epoch = self._manager.latest_step()
        if epoch is None:
            return None
        saved = self._manager.restore(
            epoch,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(like), progress=ocp.args.JsonRestore()
            ),
        )
        return saved.state, saved.progress

    def close(self) -> None:
        """Releases the folder."""
        self._manager.close()


def forget(folder: Path) -> None:
    """Removes a folder of checkpoints; if it is killed meanwhile, no half of one is left."""
    discarded = folder.with_name(f"{folder.name}.discarded")
    shutil.rmtree(discarded, ignore_errors=True)
    if folder.exists():
        folder.rename(discarded)
        shutil.rmtree(discarded)


# --- 5. The loop ----------------------------------------------------------------------------------

History = list[dict[str, float]]


def accuracy(predict: Callable, state: State, data: Split) -> float:
    """Returns the percentage of the data that is read right."""
    return 100.0 * float(np.mean(np.asarray(predict(state, data.images)) == data.digits))


def train(options: argparse.Namespace, train_data: Split, test_data: Split) -> tuple:
    """Trains from the last checkpoint, or from the start, until all epochs are done.

    Returns:
        The final state, the history of all epochs, and the reader to read digits with.
    """
    model = ConvNet()
    steps = len(train_data.digits) // BATCH
    rate = optax.exponential_decay(2e-3, transition_steps=steps, decay_rate=0.9)
    optimizer = optax.adamw(rate, weight_decay=1e-3)
    train_step, predict = make_train_step(model, optimizer), make_predict(model)
    checkpoints = Checkpoints(options.out / "checkpoints")

    # Every layer, with the shapes of what goes in and comes out and of its variables.
    table = {"width": max(console.width, 110), "force_terminal": console.is_terminal}
    example = train_data.images[:1]
    print(model.tabulate(jax.random.key(0), example, console_kwargs=table, train=False))

    run = {"seed": options.seed, "examples": options.examples}
    state = initial_state(model, optimizer, options.seed)
    history: History = []
    if (saved := checkpoints.restore(like=state)) is not None:
        state, progress = saved
        history = progress["history"]
        if progress["run"] != run:
            raise SystemExit(
                f"{options.out} holds another run: it was started with {progress['run']}, this "
                f"one with {run}. Give the same options, another --out, or --fresh to start over."
            )
        if len(history) >= options.epochs:
            console.print(f"Training was already complete: {len(history)} epochs are done.")
        else:
            console.print(f"Resuming after epoch {len(history)} of {options.epochs}.")

    with progress_bar() as bar:
        for epoch in range(len(history) + 1, options.epochs + 1):
            # The randomness of an epoch follows from the seed and its number alone, and so is the
            # same whether or not the run was interrupted before it.
            order_key, dropout_key = jax.random.split(jax.random.fold_in(state["key"], epoch))
            task = bar.add_task(f"epoch {epoch:2d}", total=steps, figures="")
            losses, rights = [], []
            for step, batch in enumerate(batches(train_data, order_key)):
                step_key = jax.random.fold_in(dropout_key, step)
                state, loss, right = train_step(state, batch, step_key)
                losses.append(float(loss))
                rights.append(float(right))
                bar.update(task, advance=1, figures=figures(losses, rights))
            history.append(
                {
                    "loss": float(np.mean(losses)),
                    "train": 100.0 * float(np.mean(rights)),
                    "test": accuracy(predict, state, test_data),
                }
            )
            checkpoints.save(state, {"run": run, "history": history})
            bar.update(
                task, figures=f"{figures(losses, rights)}  test {history[-1]['test']:5.1f} %"
            )
    checkpoints.close()
    return state, history, predict


def progress_bar() -> Progress:
    """Returns a progress bar with one line per epoch."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[figures]}"),
        console=console,
    )


def figures(losses: Sequence[float], rights: Sequence[float]) -> str:
    """Returns the mean loss and accuracy of an epoch so far, as text."""
    return f"loss {np.mean(losses):.4f}  train {100 * np.mean(rights):5.1f} %"


# --- 6. The report --------------------------------------------------------------------------------


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

    # Written under another name first: whoever looks at the file sees a whole picture.
    unfinished = path.with_suffix(".partial.png")
    figure.savefig(unfinished, dpi=120)
    unfinished.replace(path)


def main(arguments: Sequence[str] | None = None) -> History:
    """Runs the program.

    Args:
        arguments: the command line; that of the process if it is None.

    Returns:
        Loss and accuracies, epoch by epoch.
    """
    parser = argparse.ArgumentParser(description="Train a small network to read digits.")
    parser.add_argument("--epochs", type=int, default=20, help="how often to go through the data")
    parser.add_argument("--out", type=Path, default=Path("out/digits"), help="where to write")
    parser.add_argument("--fresh", action="store_true", help="start over, forget what is in OUT")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    parser.add_argument("--examples", type=int, help="use only so many examples, for a quick look")
    options = parser.parse_args(arguments)

    if options.examples is not None and options.examples < 2 * BATCH:
        parser.error(f"--examples must be at least {2 * BATCH}, for batches are of {BATCH}")

    options.out.mkdir(parents=True, exist_ok=True)
    if options.fresh:
        forget(options.out / "checkpoints")

    train_data, test_data = load_data(options.examples)
    state, history, predict = train(options, train_data, test_data)

    read = np.asarray(predict(state, test_data.images))
    path = options.out / "report.png"
    draw_report(history, test_data, read, path)

    wrong = int(np.sum(read != test_data.digits))
    right = 100.0 * (1 - wrong / len(read))
    console.print(
        f"Read {right:.2f} % of {len(read)} held-out digits right ({wrong} misread) after "
        f"{len(history)} epochs and {int(state['collections']['buffers']['examples_seen']):,} "
        f"examples; the aim is {TARGET} %."
    )
    console.print(f"Learning curves and misread digits: {path}")
    return history


if __name__ == "__main__":
    main()
