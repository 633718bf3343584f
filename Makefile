# `make demo` and `make test` are all a newcomer needs; both set up what they need, in this folder only.
PYTHON ?= python3
UV := .tools/bin/uv
BIN := .venv/bin
STAMP := .venv/.installed
# Test files are dealt out to this many processes, each with a PostgreSQL and brokers of its own.
WORKERS ?= 2
DATA ?= var
INPUTS ?= 10000000
# Nothing is left in the home folder, and no other Python is fetched than the one that is here.
export UV_CACHE_DIR ?= $(CURDIR)/.tools/cache
export UV_PYTHON_DOWNLOADS ?= never
# Trust whom the machine trusts, as Debian's pip does: behind a company's proxy nothing else works.
export UV_SYSTEM_CERTS ?= $(if $(wildcard /etc/ssl/certs/ca-certificates.crt),true,false)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast lint format types bench fuzz lock compose-secrets clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(STAMP) ## install everything into this folder (.tools and .venv), nothing elsewhere

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Python 3.11 or later is needed; name one: make setup PYTHON=python3.12"; exit 1; }
	@echo "· fetching uv, the installer, into .tools"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-cache-dir --upgrade \
	  --target .tools 'uv>=0.8,<1' \
	  || { echo "pip is missing or could not fetch uv: on Debian, apt install python3-pip"; exit 1; }

# The stamp comes last: a setup cut short is simply done again.
$(STAMP): lock/requirements.txt pyproject.toml | $(UV)
	@echo "· making .venv and installing the locked packages (a minute or two the first time)"
	@test -x $(BIN)/python || $(UV) venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv
	@$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes lock/requirements.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@echo "· compiling our own Python, so that later starts are quick"
	@$(BIN)/python -m compileall -q src
	@echo "· compiling the search and the gateways' inner loops to machine code, once"
	@$(BIN)/python -c 'from eletrovia.planning.search import warm_up; warm_up()'
	@$(BIN)/python -c 'from eletrovia.metering.gateways.seal import warm_up; warm_up()'
	@touch $@
	@echo "· ready: $(BIN)/eletrovia --help"

demo: setup ## three operators on this machine, a trip booked over all of them, a home's bills; stays up until Ctrl-C
	@exec $(BIN)/eletrovia demo --data $(DATA)

test: setup lint types ## everything CI runs: style, types, the rooms' contract, all tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-fast: setup ## unit and property tests only
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests/unit tests/property

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

fuzz: setup ## ten million bent inputs through every decoder (minutes); `make test` runs a few thousand
	$(BIN)/python -m tests.fuzz --inputs $(INPUTS)

lock: $(UV) ## choose package versions anew (after a change of pyproject.toml)
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --group dev pyproject.toml -o lock/requirements.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --constraint lock/requirements.txt pyproject.toml -o lock/runtime.txt

compose-secrets: setup ## make .env with fresh secrets for compose.yaml; never overwrites one
	@test ! -e .env || { echo ".env is there already: its databases and brokers know those secrets"; exit 1; }
	@umask 077; $(BIN)/python deploy/compose_secrets.py > .env.new && mv .env.new .env
	@echo "· .env made"

clean: ## remove what setup and the tests made here; the demo's data, in var, stay
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
