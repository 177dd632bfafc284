# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
# The locks name everything; resolving again would only be slower (and fails in older pips).

.PHONY: demo test torture audit check lock clean

demo: .venv/.demo  ## synthetic scenes → two months through Dagster → .neve/demo/cube
	$(BIN)/neve demo .neve/demo

torture: .venv/.dev  ## faults, load and attackers, in full, on all cores; goes on where it was
	$(BIN)/python tests/torture/abreast.py

audit: .venv/.dev  ## known vulnerabilities of the pins: a report, never a failure
	$(BIN)/python .ci/audit

test: check  ## all checks and tests
	$(BIN)/python -m pytest

check: .venv/.dev  ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	DAGSTER_HOME=$(CURDIR) $(BIN)/dagster definitions validate

# What the demo and a deployment need; npm comes from a Python package where there is none.
.venv/.demo: requirements.lock pyproject.toml package-lock.json
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12) and "neve needs Python 3.12 or newer: make PYTHON=python3.13")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	PATH="$$PATH:$(CURDIR)/$(BIN)" npm ci --silent --no-audit --no-fund
	touch $@

.venv/.dev: requirements-dev.lock .venv/.demo
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements-dev.lock
	touch $@

LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate
lock: .venv/.dev  ## pin anew: hashes, no addresses
	$(LOCK) --all-extras --output-file requirements-dev.lock pyproject.toml
	$(LOCK) --extra pipeline --extra demo --extra serve --extra production --extra dask --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv .neve node_modules
