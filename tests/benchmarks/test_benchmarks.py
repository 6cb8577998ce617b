"""The benchmarks measure models that compute the same, and write what they found."""

import json

import jax.numpy as jnp
import pytest
from benchmarks.__main__ import main
from benchmarks.models import NAMES
from benchmarks.models.transformer import Sizes
from benchmarks.nnx import __main__ as nnx_main, works
from benchmarks.nnx.chains import CONTENDERS
from benchmarks.rows import Row, Target, verdicts
from benchmarks.setting import DisagreementError, Setting, compare, compare_outputs

SMALL = Sizes(blocks=2, width=8, heads=2, vocabulary=11, batch=2, length=5)


@pytest.mark.flax
def test_contenders_agree_on_outputs():
    """All models compute the same logits from the common parameters."""
    compare_outputs(Setting(SMALL), NAMES)


def test_a_difference_is_refused():
    """Outputs that differ by more than rounding stop the run, naming who differs."""
    with pytest.raises(DisagreementError, match="loss of b differ from those of a"):
        compare({"a": jnp.ones(2), "b": jnp.asarray([1.0, 1.001])}, "loss")


@pytest.mark.parametrize(
    ("ours", "word"), [([0.5, 0.5], "met"), ([1.8, 2.1, 2.9], "near"), ([3.0, 3.0], "missed")]
)
def test_verdict_compares_with_the_better_rival(ours, word):
    """A target is met, missed within the spread, or missed, against the least of its rivals."""
    better = Target(1.0, (("run", "Flax"), ("run", "hand-written")))
    row = Row("run", "run time", targets=(better, Target(1.0, (("run", "nobody"),))))
    samples = {"run": {"Linnet": ours, "Flax": [4.0, 4.0], "hand-written": [2.0, 2.0]}}
    assert [each.word for each in verdicts("run", row, samples)] == [word]


@pytest.mark.flax
def test_quick_run_writes_json(tmp_path, capsys):
    """A run through the command line prints the table and writes the same figures as JSON."""
    out = tmp_path / "bench" / "linen.json"
    rows = ["import", "trace", "eager", "run", "memory"]
    options = f"--quick --blocks=1 --sweep=1,2 --rows={','.join(rows)} --contenders=Linnet,Flax"
    main([*options.split(), "--markdown", f"--out={out}"])
    found = json.loads(out.read_text())
    assert list(found["rows"]) == rows
    assert found["rows"]["trace"]["verdicts"][0]["word"] in {"met", "near", "missed"}
    assert set(found["growth"]["trace"]["Flax"]["medians"]) == {"1", "2"}
    assert found["machine"]["packages"]["jax"]
    assert "| trace apply |" in capsys.readouterr().out


def test_contenders_of_the_second_table_agree():
    """All chains compute the same, forward and in three steps of training."""
    made = {name: make(3) for name, make in CONTENDERS.items()}
    compare({name: calls.forward() for name, calls in made.items()}, "forward")
    able = {name: calls.step for name, calls in made.items() if calls.step}
    for _ in range(3):
        compare({name: step() for name, step in able.items()}, "step")


def test_quick_run_of_the_second_table(tmp_path, capsys, monkeypatch):
    """The table of NNX is printed and written, with verdicts, growth and the machine."""
    monkeypatch.setattr(nnx_main, "QUICK", (2, 4))
    monkeypatch.setattr(nnx_main, "MANY", 4)
    monkeypatch.setattr(nnx_main, "LAYERS_QUICK", (1, 2))
    monkeypatch.setattr(works, "Sizes", lambda: SMALL)
    out = tmp_path / "nnx.json"
    contenders = "Linnet,Flax,nested dict"
    nnx_main.main(["--quick", "--markdown", f"--contenders={contenders}", f"--out={out}"])
    found = json.loads(out.read_text())
    assert len(found["rows"]["forward 4"]["verdicts"]) == 2
    assert set(found["rows"]["construct"]["contenders"]) == {"Linnet", "Flax"}
    assert set(found["eval_shape"]["Linnet"]) == {"1", "2"}
    assert "| nnx.jit, forward, 4 variables |" in capsys.readouterr().out
