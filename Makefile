# make demo     set up, draw a sample collection, and run the main job on it
# make test     set up, and run the tests
# make check    ruff, mypy, import-linter
# make fuzz     the property tests, with other examples every time
# PYTHON=python3.12 picks the interpreter, RUNTIME=gpu installs onnxruntime-gpu, EXTRAS=,train adds torch for training.

PYTHON ?= python3
RUNTIME ?= cpu
EXTRAS ?=
VENV := .venv
BIN := $(VENV)/bin
comma := ,
KIND := $(RUNTIME)$(subst $(comma),-,$(EXTRAS))
RUN := $(VENV)/.run-$(KIND)
DEV := $(VENV)/.dev-$(KIND)
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check fuzz format clean

demo: $(RUN)
	PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh demo

test: $(DEV)
	$(BIN)/python -m pytest $(PYTEST)

check: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: $(DEV)
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=random $(PYTEST)

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(RUN): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing morphoindex into $(VENV) (once)"
	$(INSTALL) -e '.[$(RUNTIME)$(EXTRAS)]'
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing morphoindex and its test tools into $(VENV) (once)"
	$(INSTALL) -e '.[$(RUNTIME),dev$(EXTRAS)]'
	@touch $@ $(RUN)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "morphoindex needs Python 3.11 or later; name one with make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv $(VENV)
