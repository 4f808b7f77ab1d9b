# One task runner. `make demo` and `make test` need nothing but Debian 12 or 13 as root, or a reachable Docker engine.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.made
ENGINE := exports=$$(tools/engine.sh start) && eval "$$exports"

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml tools/make-venv.sh
	tools/make-venv.sh $(VENV)
	touch $@

venv: $(STAMP) ## the virtual environment with everything that developers need

demo: $(STAMP) ## an engine if none is reachable, then the quickstart: two images that have trained a model
	$(ENGINE) && $(VENV)/bin/cudaforge up --relock -f examples/quickstart/cudaforge.toml

test: $(STAMP) lint ## everything that CI runs: lint, types, unit and engine tests
	$(ENGINE) && $(PYTHON) -m pytest

unit: $(STAMP) ## quick tests: no engine, no network
	$(PYTHON) -m pytest tests/unit tests/cases

lint: $(STAMP) ## ruff, mypy --strict, import rules, and that the facts agree
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/cudaforge data check

generate: $(STAMP) ## write the tables of matrices/README.md that say how much the facts cover
	$(PYTHON) -m tools.coverage

golden: $(STAMP) ## write the golden files anew; read the diff before you commit it
	$(PYTHON) -m pytest tests/unit/test_golden_examples.py --update-golden

golden-locks: $(STAMP) ## lock the examples anew for the golden tests; needs the package index and the OS archive
	$(PYTHON) -m tools.golden_locks
	$(MAKE) golden

format: $(STAMP) ## let ruff format and fix what it can
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

engine-stop: ## stop the engine that `make demo` or `make test` started
	tools/engine.sh stop

.PHONY: help venv demo test unit lint generate golden golden-locks format engine-stop
