# Every target prepares what it needs: from python3 (3.11 or newer), git and make alone.
#
# A stamp file per dependency group stands in .venv; a group is installed when its stamp is
# missing or older than pyproject.toml.
#
# PYTHON=python3.13 chooses the interpreter: an environment of another version is made anew.
# Without it, the environment that is there is used. VENV=.venv-3.13 keeps several side by side.

VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= $(or $(wildcard $(BIN)/python),python3)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The version is part of a stamp's name, so that stamps of another version do not count.
SHOW_VERSION := import sys; print("%d.%d" % sys.version_info[:2])
VERSION := $(shell $(PYTHON) -c '$(SHOW_VERSION)')
STAMP := $(VENV)/.installed-$(VERSION)

BOUNDS := $(if $(LOWEST),--constraint $(VENV)/bounds.txt)

.PHONY: demo language-model test quick core lowest check versions bench alias-programs docs clean

demo: $(STAMP)-examples
	$(BIN)/python examples/digits.py $(ARGS)

language-model: $(STAMP)-examples
	$(BIN)/python examples/language_model.py $(ARGS)

PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

test: $(STAMP)-test
	$(PYTEST) tests src benchmarks $(ARGS)

# What needs no Flax, with Flax hidden: for every save.
quick: $(STAMP)-test
	$(PYTEST) -q --without-flax tests src $(ARGS)

# Every layer of the library against Flax, in a few minutes on two cores. It leaves out what is drawn
# at random, whole models, the layers of NNX (their arithmetic is in tests/ops), examples,
# documentation, and programs run in processes of their own.
CORE := tests/base tests/tree tests/state tests/ops tests/lift tests/training tests/linen tests/nnx \
  --ignore-glob='*/test_random_*' --ignore=tests/linen/test_models.py --ignore=tests/nnx/layers

core: $(STAMP)-test
	$(PYTEST) $(CORE) $(ARGS)

# The core on the lower bounds of pyproject.toml and nothing newer; they belong to Python 3.11.
lowest:
	$(MAKE) VENV=.venv-lowest LOWEST=yes versions core

versions: $(STAMP)-test
	@$(BIN)/python tests/versions.py

check: $(STAMP)-check $(STAMP)-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: $(STAMP)-bench
	$(BIN)/python -m benchmarks $(ARGS)
	$(BIN)/python -m benchmarks.nnx $(ARGS)

# Programs from the package registry, on Flax and on Linnet; their packages come without what they
# depend on, so that jax and flax stay the ones that the tests use.
alias-programs: $(STAMP)-test
	$(PIP) --no-deps --upgrade --target $(VENV)/alias-programs \
	  --requirement tests/as_flax/programs/requirements.txt
	PYTHONPATH=$(VENV)/alias-programs $(BIN)/python tests/as_flax/programs/compare.py

docs: $(STAMP)-docs
	$(BIN)/mkdocs build --quiet --strict --site-dir site

clean:
	rm -rf $(VENV) site out .pytest_cache .ruff_cache .hypothesis

# An old pip cannot read dependency groups, so the first thing it installs is its successor.
$(STAMP)-pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Linnet needs Python 3.11 or newer; choose one: make PYTHON=python3.11 ..."; exit 1; }
	test "$$($(BIN)/python -c '$(SHOW_VERSION)' 2>&1)" = $(VERSION) || $(PYTHON) -m venv --clear $(VENV)
	$(PIP) --upgrade 'pip>=25.1'
	touch $@

$(STAMP)-examples: pyproject.toml | $(STAMP)-pip
	$(PIP) --editable '.[examples]'
	touch $@

$(STAMP)-test $(STAMP)-check $(STAMP)-bench $(STAMP)-docs: $(STAMP)-%: pyproject.toml | $(STAMP)-pip
	$(BIN)/python tests/lower_bounds.py > $(VENV)/bounds.txt
	$(PIP) $(BOUNDS) --editable '.[all]' --group $*
	touch $@
