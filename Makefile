# The README's two commands are `make demo` and `make test`. Both create their own virtual
# environment with the versions in constraints.txt; nothing has to be installed by hand. What the
# core and its checks need comes with the hashes in requirements/, which `make lock` writes.

PYTHON ?= python3
MINUTES ?= 60
KEEP ?= build/fuzz
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo-library
DEMO_DB := $(DEMO)/library.db
RECSYS := $(BIN)/recsys
PIP := $(BIN)/python -m pip install --quiet
HASHED := $(PIP) --require-hashes --no-deps --requirement
# setuptools, which builds, is among what was installed with its hash.
EDITABLE := --no-build-isolation --editable
TOOLS := $(VENV)-tools
LOCK := $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --constraint constraints.txt --no-emit-package pip \
	--custom-compile-command "make lock" pyproject.toml requirements/build.in

# The core and the command line, for the type check without extras.
CORE := $(addprefix -p recsys.,cli index indexing playlists recommender store) \
	$(addprefix -m recsys.,api atomic audio classify errors library library_status mel names \
	registry seeds types workers worker_server classifier.card classifier.calibrate \
	classifier.inference classifier.musicnn)

.PHONY: demo test check check-all page lint format docs bench fuzz lock licences audit clean

demo: $(VENV)/.installed
	rm -rf $(DEMO)
	$(BIN)/python -m recsys.demo $(DEMO)
	$(RECSYS) index $(DEMO) --db $(DEMO_DB)
	$(RECSYS) status --db $(DEMO_DB)
	$(RECSYS) similar "chamber no. 1" --k 5 --explain --db $(DEMO_DB)
	$(RECSYS) playlist "shuffle no. 2" --length 12 --db $(DEMO_DB) --relative -o $(DEMO)/evening.m3u8
	cat $(DEMO)/evening.m3u8
	@echo
	@echo 'To go on with it from any folder, as in the tour of README.md:'
	@echo '  export PATH="$(CURDIR)/$(BIN):$$PATH" RECSYS_DB="$(CURDIR)/$(DEMO_DB)"'

# Everything: all extras, all tests but the slow ones.
test: $(VENV)/.installed-dev lint
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m "not slow"

# While working on the core: two minutes, no extra.
check: $(VENV)/.installed-check lint
	$(BIN)/mypy --follow-imports=silent $(CORE)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m "not slow and not extra" tests

# What is slow or needs a real part: a cluster, a Milvus server, a browser, an empty environment.
check-all: $(VENV)/.installed-dev $(if $(shell command -v npm),page)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m slow

# The types of the page, and its libraries as npm has them. Needs Node, as nobody does who uses it.
page: tests/page/node_modules/.installed $(VENV)/bin/python
	tests/page/node_modules/.bin/tsc --project tests/page
	$(BIN)/python scripts/vendor_page.py --check

lint: $(VENV)/.installed-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-check
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-check
	$(BIN)/python -m tests.cli.reference
	$(BIN)/python -m tests.results

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks --quick --peers

# An hour of damaged sound: synthetic, and that of a folder (make fuzz CORPUS=~/Music/formats).
fuzz: $(VENV)/.installed-check
	$(BIN)/python -m tests.fuzz.audio --minutes $(MINUTES) --keep $(KEEP) $(if $(CORPUS),--corpus $(CORPUS))

# After a change of constraints.txt or of the dependencies in pyproject.toml.
lock: $(TOOLS)/.installed
	$(LOCK) --output-file requirements/core.txt
	$(LOCK) --extra check --output-file requirements/check.txt

# THIRD_PARTY.md, from the metadata of everything that is installed.
licences: $(VENV)/.installed-dev
	$(BIN)/python -m tests.third_party

# Known vulnerabilities of everything in constraints.txt; asks PyPI, one question per package.
audit: $(TOOLS)/.installed
	$(TOOLS)/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

clean:
	rm -rf $(VENV) $(TOOLS) $(DEMO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("recsys needs Python 3.11 or newer, this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml requirements/core.txt
	$(HASHED) requirements/core.txt
	$(PIP) --no-deps $(EDITABLE) .
	touch $@

$(VENV)/.installed-check: $(VENV)/.installed requirements/check.txt
	$(HASHED) requirements/check.txt
	touch $@

tests/page/node_modules/.installed: tests/page/package-lock.json
	cd tests/page && npm ci --silent --no-audit --no-fund
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-check constraints.txt
	$(PIP) --constraint constraints.txt --editable '.[dev]'
	touch $@

$(TOOLS)/.installed:
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet pip-audit==2.10.1 uv==0.13.9
	touch $@
