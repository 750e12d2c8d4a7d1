# Everything a developer runs. Each target does its own set-up on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup system demo test soak lint bench proto lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make the virtual environment from requirements-dev.lock

$(STAMP): requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sendwise needs Python 3.11 or later: make PYTHON=python3.11 setup")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

system: ## install the Debian packages that some tests start
	@tools/system_packages

demo: setup ## run the whole loop on 64,000 real customers
	$(BIN)/python -m examples.hillstrom.demo

test: setup system ## run every test
	$(BIN)/python -m pytest $(ARGS)

lint: setup ## ruff, mypy, import-linter, buf, hadolint, generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/generate_proto.py --check
	$(BIN)/hadolint Dockerfile

soak: setup system ## run the long tests as well: simulations, faults, memory
	$(BIN)/python -m pytest -m soak --timeout 3600 $(ARGS)

bench: setup system ## run the benchmarks, write benchmarks/results.json
	$(BIN)/python -m benchmarks

proto: setup ## generate the code in proto/ anew
	$(BIN)/python tools/generate_proto.py

lock: setup ## pin the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile -q pyproject.toml --upgrade --generate-hashes --python-version 3.11 --no-header -o requirements.lock
	$(BIN)/uv pip compile -q pyproject.toml --upgrade --group dev --generate-hashes --python-version 3.11 --no-header -o requirements-dev.lock
	echo hatchling | $(BIN)/uv pip compile -q - -c requirements-dev.lock --generate-hashes --python-version 3.11 --no-header --no-annotate -o requirements-build.lock

clean: ## remove what these targets made
	rm -rf $(VENV) demo dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
