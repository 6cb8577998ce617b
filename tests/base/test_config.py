"""Flags, their environment variables and the ways to change them."""

import os
import subprocess
import sys

import flax.configurations as reference
import pytest

from linnet.base import config as configuration
from linnet.base.config import config

FLAGS = [name for name in vars(config) if name.startswith("flax_")]


@pytest.mark.parametrize("name", FLAGS)
def test_flag_starts_as_in_flax(name):
    """Every flag exists in Flax and has the same default."""
    assert getattr(config, name) == getattr(reference.config, name)


@pytest.mark.parametrize("name", FLAGS)
def test_environment_sets_the_first_value(name):
    """The environment variable of a flag's name, in capitals, gives its first value."""
    program = f"from linnet.base.config import config; print(config.{name})"
    opposite = not getattr(config, name)
    shown = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, name.upper(): str(opposite)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == str(opposite)


def test_update_by_name_and_by_holder():
    """A flag is changed by its name or by its holder, and the holder shows the new value."""
    try:
        config.update("flax_profile", False)
        assert config.flax_profile is False
        assert configuration.flax_profile.value is False
        config.update(configuration.flax_profile, 1)
        assert config.flax_profile is True
    finally:
        config.update("flax_profile", True)


@pytest.mark.parametrize("name", ["return_frozendict", "flax_return_frozendict"])
def test_temp_flip_flag_restores(name):
    """A flag has its other value inside the block and its own again after it, errors included."""
    seen = []

    def fails():
        with config.temp_flip_flag(name, True):
            seen.append(config.flax_return_frozendict)
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fails()
    assert seen == [True]
    assert config.flax_return_frozendict is False


def test_unknown_flag_suggests_the_near_name():
    """A misspelt flag is an error that names the flag that was meant."""
    with pytest.raises(LookupError, match=r"no flag 'flax_profil'; did you mean flax_profile\?"):
        config.update("flax_profil", True)
    with pytest.raises(LookupError, match="the flags are flax_filter_frames"):
        config.update("verbosity", True)
    with pytest.raises(LookupError), config.temp_flip_flag("verbosity", True):
        pass


def test_assignment_says_how_to_change_a_flag():
    """Assigning to a flag fails with the call to write instead."""
    with pytest.raises(AttributeError, match=r"write config.update\('flax_profile', False\)"):
        config.flax_profile = False


def test_value_of_another_type():
    """A boolean flag refuses text, which would be true whatever it says."""
    with pytest.raises(TypeError, match=r"flax_profile takes bool, but was given 'false' \(str\)"):
        config.update("flax_profile", "false")


def test_holder_is_not_a_truth_value():
    """Asking a holder for its truth, in place of its value, is an error."""
    with pytest.raises(TypeError, match=r"write config.flax_profile or profile.value"):
        bool(configuration.flax_profile)


@pytest.mark.parametrize(
    "text",
    ["1", "0", "true", "False", "yes", "NO", "on", "off", "t", "f", "y", "n", "", "2", "Yes "],
)
def test_static_bool_env_reads_as_flax(monkeypatch, text):
    """The same spellings are true, false and refused as in Flax."""
    monkeypatch.setenv("LINNET_TEST_FLAG", text)
    outcomes = []
    for read in (configuration.static_bool_env, reference.static_bool_env):
        try:
            outcomes.append(read("LINNET_TEST_FLAG", True))
        except ValueError:
            outcomes.append(ValueError)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("text", ["1", "-3", "none", "", "2.5"])
def test_static_int_env_reads_as_flax(monkeypatch, text):
    """The same texts are integers, and refused, as in Flax."""
    monkeypatch.setenv("LINNET_TEST_FLAG", text)
    outcomes = []
    for read in (configuration.static_int_env, reference.static_int_env):
        try:
            outcomes.append(read("LINNET_TEST_FLAG", 7))
        except ValueError:
            outcomes.append(ValueError)
    assert outcomes[0] == outcomes[1]


def test_static_env_defaults():
    """Where the environment is silent the default holds."""
    assert configuration.static_bool_env("LINNET_NOT_SET", True) is True
    assert configuration.static_int_env("LINNET_NOT_SET", None) is None


def test_a_new_flag(monkeypatch):
    """A flag is one line, with the environment variable of its name."""
    monkeypatch.setenv("LINNET_DEPTH", "4")
    monkeypatch.setattr(configuration, "_FLAGS", {})
    holder = configuration.int_flag("linnet_depth", default=None, help="how deep")
    try:
        assert holder.value == config.linnet_depth == 4
        config.update(holder, None)
        assert holder.value is None
        assert repr(config) == "Config(\n  linnet_depth=None,\n)"
    finally:
        del config.__dict__["linnet_depth"]
