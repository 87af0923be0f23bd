# The two commands of the README are `make demo` and `make test`. Both make their own virtual
# environment from the pinned versions in constraints.txt, so nothing has to be installed by hand.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo-library
DEMO_DB := $(DEMO)/library.db
RECSYS := $(BIN)/recsys

.PHONY: demo test check-all lint format docs bench clean

demo: $(VENV)/.installed
	rm -rf $(DEMO)
	$(BIN)/python -m recsys.demo $(DEMO)
	$(RECSYS) index $(DEMO) --db $(DEMO_DB)
	$(RECSYS) status --db $(DEMO_DB)
	$(RECSYS) similar "chamber no. 1" --k 5 --explain --db $(DEMO_DB)
	$(RECSYS) playlist "shuffle no. 2" --length 12 --db $(DEMO_DB) --relative -o $(DEMO)/evening.m3u8
	cat $(DEMO)/evening.m3u8

test: $(VENV)/.installed-dev lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m "not slow"

check-all: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m slow

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-dev
	$(BIN)/python -m tests.cli.reference

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks --quick --peers

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("recsys needs Python 3.11 or newer, this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
