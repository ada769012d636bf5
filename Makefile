# Everything a newcomer or CI calls. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format lock upgrade prune clean

# The first Python on the path that Dailies supports. Another: make PYTHON=/path/to/python3.12 setup
SUPPORTED := import sys, venv; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))
PYTHON ?= $(shell for python in python3 python3.12 python3.11 python; do \
	$$python -c '$(SUPPORTED)' >/dev/null 2>&1 && { echo $$python; exit; }; done; echo python3)
RUN := .venv/bin/python

help:  ## List what make can do
	@awk -F ':.*##' '/^[a-z]+:.*##/ {printf "  make %-9s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## Make or reuse the two environments (minutes the first time, then seconds)
	@$(PYTHON) scripts/setup.py

demo: setup  ## Run the bundled show, start Label Studio and the panel, stay until Ctrl-C
	@.venv/bin/dailies demo

test: setup  ## Check style, types and layers, then run every test
	@$(RUN) scripts/system_packages.py
	@$(MAKE) --no-print-directory lint
	$(RUN) -m pytest -n logical --maxprocesses 4 --dist loadfile

lint:  ## Check style, types and layers only
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m mypy scripts
	$(RUN) -c 'from importlinter.cli import lint_imports_command as lint; lint()'

format:  ## Put the code into the house's format
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

lock:  ## Pin all packages again after a change of pyproject.toml; keeps what may stay
	@$(PYTHON) scripts/lock.py

upgrade:  ## The same, but take the newest allowed release of everything
	@$(PYTHON) scripts/lock.py --upgrade

prune: ## Delete cached environments that this clone's lock files do not ask for
	@$(PYTHON) scripts/setup.py --prune

clean:  ## Delete what make put into the clone (the cache of environments stays)
	rm -rf .venv .venv-label-studio build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.dailies/*' -prune -exec rm -rf {} +
