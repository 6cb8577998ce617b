"""The demo: it learns, it survives a kill, and it says what it did."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import flax.linen
import pytest

PROGRAM = Path(__file__).parents[2] / "examples" / "digits.py"
SUBSET = ["--examples", "400", "--epochs", "4"]
STEPS = 5  # in an epoch of the subset

# Runs the demo in a process of its own that kills itself before a given step of training.
KILLED = """
import importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("digits", sys.argv[1])
digits = importlib.util.module_from_spec(spec)
spec.loader.exec_module(digits)
make_train_step = digits.make_train_step

def make_deadly_step(*args):
    step, steps = make_train_step(*args), iter(range(int(sys.argv[2])))

    def deadly(*args):
        if next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*args)

    return deadly

digits.make_train_step = make_deadly_step
digits.main(sys.argv[3:])
"""


@pytest.fixture(scope="module")
def digits():
    """The demo as a module."""
    spec = importlib.util.spec_from_file_location("digits", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def uninterrupted(digits, tmp_path_factory):
    """A run of the subset that nothing interrupted: its folder and history."""
    out = tmp_path_factory.mktemp("uninterrupted")
    return out, digits.main([*SUBSET, "--out", str(out)])


def epochs_saved(out):
    """The epochs whose checkpoints are complete."""
    return {int(each.name) for each in (out / "checkpoints").iterdir() if each.name.isdigit()}


def test_kill_in_mid_epoch_loses_nothing_but_that_epoch(digits, uninterrupted, tmp_path, capfd):
    """After SIGKILL in the third epoch, two are kept and the run ends as if it had not happened."""
    program = [sys.executable, "-c", KILLED, str(PROGRAM), str(2 * STEPS + 3)]
    killed = subprocess.run(
        [*program, *SUBSET, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert epochs_saved(tmp_path) == {1, 2}
    saved = json.loads((tmp_path / "checkpoints/2/progress/metadata").read_text())
    assert saved["history"] == uninterrupted[1][:2]

    history = digits.main([*SUBSET, "--out", str(tmp_path)])
    assert "Resuming after epoch 2 of 4." in capfd.readouterr().out
    assert history == uninterrupted[1]
    assert epochs_saved(tmp_path) == {3, 4}


def test_kill_while_saving_leaves_the_checkpoint_before(digits, uninterrupted, tmp_path, capfd):
    """A checkpoint that was being written is ignored, and written anew."""
    digits.main([*SUBSET, "--epochs", "2", "--out", str(tmp_path)])
    unfinished = tmp_path / "checkpoints/3.orbax-checkpoint-tmp/state"
    unfinished.mkdir(parents=True)
    (unfinished / "part").write_bytes(b"half of it")
    history = digits.main([*SUBSET, "--out", str(tmp_path)])
    assert "Resuming after epoch 2 of 4." in capfd.readouterr().out
    assert history == uninterrupted[1]
    assert not list((tmp_path / "checkpoints").glob("*tmp*"))


def test_complete_run_reports_again(digits, uninterrupted, capfd):
    """Run again after the last epoch, it says so, trains no more and draws the picture anew."""
    out, history = uninterrupted
    (out / "report.png").unlink()
    assert digits.main([*SUBSET, "--out", str(out)]) == history
    shown = capfd.readouterr().out
    assert "Training was already complete: 4 epochs are done." in shown
    assert "Read " in shown
    assert (out / "report.png").read_bytes().startswith(b"\x89PNG")


def test_another_run_is_not_continued(digits, uninterrupted, tmp_path):
    """A folder that holds a run with other options is refused, and the way out is named."""
    out, _ = uninterrupted
    with pytest.raises(SystemExit, match=r"holds another run.*another --out, or --fresh"):
        digits.main([*SUBSET, "--seed", "1", "--out", str(out)])


def test_fresh_starts_over(digits, uninterrupted, capfd):
    """With --fresh the same run is made again from the start, to the same end."""
    out, history = uninterrupted
    assert digits.main([*SUBSET, "--fresh", "--out", str(out)]) == history
    assert "Resuming" not in capfd.readouterr().out
    assert not (out / "checkpoints.discarded").exists()


def test_too_few_examples_are_refused(digits, capsys):
    """A subset smaller than two batches is an error of the command line."""
    with pytest.raises(SystemExit):
        digits.main(["--examples", "10"])
    assert "--examples must be at least 128" in capsys.readouterr().err


def test_table_and_accuracy(digits, tmp_path, capfd):
    """On all the data it prints its table first and reads 97.5 % of the held-out fifth right."""
    history = digits.main(["--out", str(tmp_path)])
    shown = capfd.readouterr().out
    assert shown.index("ConvNet Summary") < shown.index("epoch  1")
    assert history[-1]["test"] >= digits.TARGET
    assert "of 360 held-out digits right" in shown
    assert "28,160" in shown  # examples seen, as the model's own buffer counted them


def test_same_history_under_flax(uninterrupted, tmp_path, monkeypatch):
    """The same program on Flax goes through the same losses, to 1e-4 relative, and accuracies."""
    monkeypatch.setitem(sys.modules, "linnet.linen", flax.linen)
    monkeypatch.setattr("linnet.linen", flax.linen)
    spec = importlib.util.spec_from_file_location("digits_on_flax", PROGRAM)
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    assert reference.nn is flax.linen
    history = reference.main([*SUBSET, "--out", str(tmp_path)])
    for ours, theirs in zip(uninterrupted[1], history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
