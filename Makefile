# `make demo` and `make test` are all a newcomer needs; both set up what they need, in this folder only.
PYTHON ?= python3
UV := .tools/bin/uv
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast lint format types bench lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## install everything into this folder (.tools and .venv), nothing elsewhere

$(UV):
	@echo "· fetching uv, the installer, into .tools"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools 'uv>=0.8,<1' \
	  || { echo "pip is missing or could not fetch uv: on Debian, apt install python3-pip"; exit 1; }

$(STAMP): lock/requirements.txt pyproject.toml | $(UV)
	@echo "· making .venv and installing the locked packages (about a minute the first time)"
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes lock/requirements.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "· ready: $(BIN)/eletrovia --help"

demo: setup ## three operators on this machine, one trip booked over all of them; stays up until Ctrl-C
	@exec $(BIN)/eletrovia demo

test: setup lint types ## everything CI runs: style, types, the rooms' contract, all tests
	$(BIN)/python -m pytest

test-fast: setup ## unit and property tests only
	$(BIN)/python -m pytest tests/unit tests/property

lint: setup ## style, and which room may import which
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench
	$(BIN)/lint-imports

types: setup ## mypy, strict
	$(BIN)/mypy

format: setup ## let ruff tidy up
	$(BIN)/ruff check --fix src tests bench
	$(BIN)/ruff format src tests bench

bench: setup ## the figures, each beside its yardstick
	$(BIN)/python -m bench

lock: $(UV) ## choose package versions anew (after a change of pyproject.toml)
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --group dev pyproject.toml -o lock/requirements.txt

clean: ## remove what setup and the demo made here
	rm -rf .venv .tools var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
