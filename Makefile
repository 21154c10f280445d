# Everything from nothing: `make demo`, `make test`. The second time only what changed is done again.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
ARGS ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
MESSAGES := $(patsubst %.po,%.mo,$(wildcard locale/*/LC_MESSAGES/*.po))

.PHONY: help venv venv-test translations demo test smoke check format samples

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: venv translations ## the whole site with a sample shop, on http://127.0.0.1:8000/ (PORT=8001: elsewhere)
	@$(BIN)/python manage.py demo --port $(PORT) $(ARGS)

test: check ## make check, then all tests on SQLite; beside them, those that touch the database on a real Postgres
	@export DATA_DIR=$$(mktemp -d) DATABASE_URL= REDIS_URL=; mkdir $$DATA_DIR/second; second=; failed=0; \
	trap '[[ -z $$second ]] || { kill $$second; wait $$second; } 2>/dev/null; rm -rf "$$DATA_DIR"' EXIT; \
	DATA_DIR=$$DATA_DIR/second $(BIN)/python -m tests.services.run postgres -- \
	    $(BIN)/python -m pytest --database-only -m "not browser" $(ARGS) >$$DATA_DIR/second.log 2>&1 & second=$$!; \
	$(BIN)/python -m pytest $(ARGS) || failed=$$?; \
	echo "On Postgres, the tests that touch the database:"; \
	wait $$second || failed=$$?; second=; cat $$DATA_DIR/second.log; exit $$failed

smoke: venv translations ## the demo, started headless, searched once and stopped
	@$(BIN)/python scripts/smoke.py

check: venv-test translations ## style, types, layers, migrations, API schema, translations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy retrieval_site catalog search
	@$(BIN)/lint-imports
	@$(BIN)/python manage.py check --fail-level WARNING
	@$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	@$(BIN)/python scripts/compile_translations.py --check

format: venv-test ## put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

samples: venv-test ## render sample_catalog/ anew
	@$(PIP) --editable '.[render]'
	@$(BIN)/python scripts/render_samples.py

venv: $(VENV)/.serves
venv-test: $(VENV)/.tests
translations: venv $(MESSAGES)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || scripts/debian.sh python3-venv
	@$(PYTHON) -m venv $(VENV)

# Marks of what is installed. The tests' set holds the other one.
$(VENV)/.serves: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what the site needs into $(VENV), once …"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.tests: pyproject.toml constraints.txt scripts/debian.sh | $(BIN)/python
	@echo "Installing what the tests need into $(VENV), once: torch alone is several gigabytes …"
	@scripts/debian.sh "postgresql:/usr/lib/postgresql/*/bin/initdb" redis-server:redis-server chromium:chromium gettext:msgfmt dcmtk:dcm2pnm
	@$(PIP) --editable '.[dev,torch]'
	@touch $(VENV)/.serves $@

%.mo: %.po scripts/compile_translations.py | $(VENV)/.serves
	@$(BIN)/python scripts/compile_translations.py
