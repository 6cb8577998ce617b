"""The demo: it learns, it survives a kill, and it says what it did, in both module systems."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import flax.linen
import flax.nnx
import pytest

import digits

pytestmark = pytest.mark.slow

EXAMPLES = Path(digits.__file__).parent
SUBSET = ["--examples", "400", "--epochs", "4"]
STEPS = 5  # in an epoch of the subset

# Runs the demo in a process of its own that kills itself before a given step of training.
KILLED = """
import os, signal, sys
import digits

for api in digits.APIS.values():
    def deadly(*args, step=api.Trainer.step, steps=iter(range(int(sys.argv[1])))):
        if next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*args)

    api.Trainer.step = deadly
digits.main(sys.argv[2:])
"""


@pytest.fixture(scope="module", params=["linen", "nnx"])
def subset(request):
    """The options of a run on a part of the data, in each module system."""
    return ["--api", request.param, *SUBSET]


@pytest.fixture(scope="module")
def uninterrupted(subset, tmp_path_factory):
    """A run of the subset that nothing interrupted: its folder and history."""
    out = tmp_path_factory.mktemp("uninterrupted")
    return out, digits.main([*subset, "--out", str(out)])


# what does not depend on the module system
either = pytest.mark.parametrize("subset", ["linen"], indirect=True)


def epochs_saved(out):
    """The epochs whose checkpoints are complete."""
    return {int(each.name) for each in (out / "checkpoints").iterdir() if each.name.isdigit()}


def test_kill_in_mid_epoch_loses_nothing_but_that_epoch(subset, uninterrupted, tmp_path, capfd):
    """After SIGKILL in the third epoch, two are kept and the run ends as if it had not happened."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(2 * STEPS + 3), *subset, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(EXAMPLES)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert epochs_saved(tmp_path) == {1, 2}
    saved = json.loads((tmp_path / "checkpoints/2/progress/metadata").read_text())
    assert saved["history"] == uninterrupted[1][:2]

    history = digits.main([*subset, "--out", str(tmp_path)])
    assert "Resuming after epoch 2 of 4." in capfd.readouterr().out
    assert history == uninterrupted[1]
    assert epochs_saved(tmp_path) == {3, 4}


@either
def test_kill_while_saving_leaves_the_checkpoint_before(subset, uninterrupted, tmp_path, capfd):
    """A checkpoint that was being written is ignored, and written anew."""
    digits.main([*subset, "--epochs", "2", "--out", str(tmp_path)])
    unfinished = tmp_path / "checkpoints/3.orbax-checkpoint-tmp/state"
    unfinished.mkdir(parents=True)
    (unfinished / "part").write_bytes(b"half of it")
    history = digits.main([*subset, "--out", str(tmp_path)])
    assert "Resuming after epoch 2 of 4." in capfd.readouterr().out
    assert history == uninterrupted[1]
    assert not list((tmp_path / "checkpoints").glob("*tmp*"))


def test_complete_run_reports_again(subset, uninterrupted, capfd):
    """Run again after the last epoch, it says so, trains no more and draws the picture anew."""
    out, history = uninterrupted
    (out / "report.png").unlink()
    assert digits.main([*subset, "--out", str(out)]) == history
    shown = capfd.readouterr().out
    assert "Training was already complete: 4 epochs are done." in shown
    assert "Read " in shown
    assert (out / "report.png").read_bytes().startswith(b"\x89PNG")


@either
def test_another_run_is_not_continued(subset, uninterrupted):
    """A folder that holds a run with other options is refused, and the way out is named."""
    out, _ = uninterrupted
    with pytest.raises(SystemExit, match=r"holds another run.*another --out, or --fresh"):
        digits.main([*subset, "--seed", "1", "--out", str(out)])


@either
def test_fresh_starts_over(subset, uninterrupted, capfd):
    """With --fresh the same run is made again from the start, to the same end."""
    out, history = uninterrupted
    assert digits.main([*subset, "--fresh", "--out", str(out)]) == history
    assert "Resuming" not in capfd.readouterr().out
    assert not (out / "checkpoints.discarded").exists()


def test_too_few_examples_are_refused(capsys):
    """A subset smaller than two batches is an error of the command line."""
    with pytest.raises(SystemExit):
        digits.main(["--examples", "10"])
    assert "--examples must be at least 128" in capsys.readouterr().err


@pytest.mark.parametrize("api", ["linen", "nnx"])
def test_table_and_accuracy(api, tmp_path, capfd):
    """On all the data it prints its table first and reads 97.5 % of the held-out fifth right."""
    history = digits.main(["--api", api, "--out", str(tmp_path)])
    shown = capfd.readouterr().out
    assert shown.index("ConvNet Summary") < shown.index("epoch  1")
    assert history[-1]["test"] >= digits.TARGET
    assert "of 360 held-out digits right" in shown
    assert "28,160" in shown  # examples seen, as the model's own variable counted them


def test_same_history_under_flax(subset, uninterrupted, tmp_path, monkeypatch):
    """The same program on Flax goes through the same losses, to 1e-4 relative, and accuracies."""
    monkeypatch.setattr("linnet.linen", flax.linen)
    monkeypatch.setattr("linnet.nnx", flax.nnx)
    monkeypatch.setitem(sys.modules, "linnet.linen", flax.linen)
    monkeypatch.setitem(sys.modules, "linnet.nnx", flax.nnx)
    for name in ("digits", "digits_linen", "digits_nnx"):
        monkeypatch.delitem(sys.modules, name)
    import digits as reference  # made anew, of Flax's modules

    assert reference.digits_linen.nn is flax.linen
    assert reference.digits_nnx.nnx is flax.nnx
    history = reference.main([*subset, "--out", str(tmp_path)])
    for ours, theirs in zip(uninterrupted[1], history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
