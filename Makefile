# Every target prepares what it needs: from python3 (3.11 or newer), git and make alone.
#
# A stamp file per dependency group stands in .venv; a group is installed when its stamp is
# missing or older than pyproject.toml.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
STAMP := $(VENV)/.installed

.PHONY: demo language-model test quick check bench docs clean

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

check: $(STAMP)-check $(STAMP)-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
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
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade 'pip>=25.1'
	touch $@

$(STAMP)-examples: pyproject.toml | $(STAMP)-pip
	$(PIP) --editable '.[examples]'
	touch $@

$(STAMP)-test $(STAMP)-check $(STAMP)-bench $(STAMP)-docs: $(STAMP)-%: pyproject.toml | $(STAMP)-pip
	$(PIP) --editable '.[all]' --group $*
	touch $@
