# Every task of the project. Each target sets up what it needs, given Python 3.11 or later with venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# DVC's stages call `python`, which must be the environment's. (`abspath` would split a path at its spaces.)
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
# As they were given: what follows a `$` in them is not for make.
override export FROM := $(value FROM)
override export COMMAND := $(value COMMAND)

.DEFAULT_GOAL := help
.PHONY: help setup repro test test-fast check format bench bench-quick record check-record lock ui clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Make .venv with the exact versions of requirements.lock

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; set PYTHON=/path/to/it"; exit 1; }
	@echo "==> making $(VENV) (once; a minute or two, mostly PyTorch)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python tools/install.py
	@git rev-parse --git-dir >/dev/null 2>&1 || \
		{ echo "==> no git repository here: setting DVC's core.no_scm"; $(BIN)/python -m dvc config --local core.no_scm true; }
	@touch $(READY)

repro: setup  ## Run the pipeline for params.yaml, up to reports/index.html
	@echo "==> dvc repro: only what is stale runs"
	$(BIN)/python -m dvc repro
	@echo "==> report: $$PWD/reports/index.html"

test-fast: setup  ## Run the tests that are quick: under three minutes on two cores
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --no-loadscope-reorder -m "not pipeline and not slow"

test: setup  ## Run every test: a quarter of an hour on two cores
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --no-loadscope-reorder

check: setup  ## Format, lint, types, layers, the page of tables: under a minute
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m basedpyright
	$(BIN)/python -m dpg.tables.docs --check

format: setup  ## Format the code, and apply the linter's fixes
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .

bench: setup  ## Measure speed against peers: twenty minutes, on an idle machine
	$(BIN)/python -m benchmarks

bench-quick: setup  ## The same with two rounds each: five minutes
	$(BIN)/python -m benchmarks --quick

record: setup  ## Publish FROM=folder, run by COMMAND=command, as docs/record; without FROM, renew docs/record
	$(BIN)/python -m dpg.record write $(if $(FROM),"$$FROM") $(if $(COMMAND),--command "$$COMMAND")

check-record: setup  ## Check that docs/record, README.md and docs/record.md agree with the record's tables
	$(BIN)/python -m dpg.record check

lock: setup  ## Write the versions of .venv to requirements.lock
	@versions=$$($(BIN)/python -m pip freeze --exclude-editable --exclude uv) && \
		{ sed -n '/^#/p' requirements.lock; echo "$$versions" | sed 's/+cpu$$//'; } > requirements.new && \
		mv requirements.new requirements.lock

ui: setup  ## Open MLflow on http://127.0.0.1:5000
	$(BIN)/python -m dpg.cli ui

clean:  ## Remove the environment and caches; results stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
