# The one door. `make repro` and `make test` set up all that they need: Python 3.11+ with venv, and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# DVC's stages call `python`: it must be the environment's. (`abspath` would take a path with a space for two.)
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: help setup repro test check format bench bench-quick lock ui clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Make .venv with the exact versions of requirements.lock

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; set PYTHON=/path/to/it"; exit 1; }
	@echo "==> making $(VENV) (once; some minutes, mostly PyTorch)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@git rev-parse --git-dir >/dev/null 2>&1 || \
		{ echo "==> no git repository here: telling DVC so"; $(BIN)/python -m dvc config --local core.no_scm true; }
	@touch $(READY)

repro: setup  ## Run the pipeline that params.yaml states, from nothing to reports/
	@echo "==> dvc repro: only what is stale runs"
	$(BIN)/python -m dvc repro
	@echo "==> report: $$PWD/reports/index.html"

test: setup  ## Run the test suite
	@echo "==> pytest (a quarter of an hour on two cores, most of it pipelines at the smoke scale)"
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --no-loadscope-reorder

check: setup  ## Format, lint, types, layers: under a minute
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m basedpyright

format: setup  ## Format the code, and mend what the linter can
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .

bench: setup  ## Time ours against its peers: twenty minutes, on an idle machine
	$(BIN)/python -m benchmarks

bench-quick: setup  ## The same in three minutes, two rounds of each
	$(BIN)/python -m benchmarks --quick

lock: setup  ## Write the versions of .venv to requirements.lock
	@{ sed -n '/^#/p' requirements.lock; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > requirements.new
	@mv requirements.new requirements.lock

ui: setup  ## Open MLflow on http://127.0.0.1:5000
	$(BIN)/python -m dpg.cli ui

clean:  ## Remove the environment and caches; results stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
