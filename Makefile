# The whole path from a fresh clone to a built book. `make help` lists the targets.

PYTHON  ?= python3
VENV    ?= .venv
PROFILE ?= laptop
RUN     ?= $(PROFILE)

PY    := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup assets run book site test test-all pytest long lint typecheck format lab sync pins clean

help:  ## list the targets
	@echo 'make TARGET [PROFILE=laptop] [RUN=name of the run, by default the profile] [PYTHON=python3] [VENV=.venv]'
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP)  ## create the virtual environment and install the pinned packages (once)

# VENV may also be an existing environment, conda's for example: `make book VENV=$CONDA_PREFIX`.
$(STAMP): pyproject.toml constraints.txt
	@if ! $(PY) -m pip --version >/dev/null 2>&1; then \
	  command -v $(PYTHON) >/dev/null 2>&1 || { \
	    echo "make: $(PYTHON) was not found; install Python 3.11 or newer, or name one: make setup PYTHON=python3.12" >&2; exit 1; }; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "make: $(PYTHON) is $$($(PYTHON) -V 2>&1), and 3.11 or newer is needed; name one: make setup PYTHON=python3.12" >&2; exit 1; }; \
	  $(PYTHON) -m venv $(VENV) || { \
	    echo "make: $(PYTHON) could not create $(VENV); on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	fi
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $(VENV) holds $$($(PY) -V 2>&1), and 3.11 or newer is needed; delete $(VENV) or choose another: make setup VENV=.venv311" >&2; exit 1; }
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

assets: setup  ## fetch the pinned model and benchmark (once)
	$(PY) -m xlam_lib assets

run: setup assets  ## execute the notebooks; picks up where an interrupted run stopped
	$(PY) -m xlam_lib run --profile $(PROFILE) --run-id $(RUN)

book: run  ## execute the notebooks, then build the book from them
	$(PY) -m xlam_lib build --run $(RUN)

site: setup  ## build the book from papermill_runs/reference, executing nothing
	$(PY) -m xlam_lib build --run reference

test: lint typecheck pytest  ## lint, check types, run the tests but for the long ones (a quarter of an hour)

test-all: lint typecheck pytest long  ## and the long ones: launched processes, servers, whole runs

# As many processes as cores; the tests of a file stay together, for they share what they set up.
pytest: setup assets
	$(PY) -m pytest -n auto --dist loadfile -m 'not slow'

long: setup assets
	$(PY) -m pytest -m slow

lint: setup  ## check style
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

typecheck: setup  ## check types
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(PY) -m pyright --pythonpath $(PY)

format: sync  ## rewrite the code in the project's style, notebooks and their texts included
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	$(PY) -m xlam_lib.pairs --back

lab: setup assets  ## open the notebooks in JupyterLab
	$(PY) -m jupyter lab notebooks

sync: setup  ## write every notebook anew from its text file, without outputs
	$(PY) -m xlam_lib.pairs

pins: setup  ## write constraints.txt anew from what is installed
	$(PY) tests/pins.py > constraints.txt.new
	mv constraints.txt.new constraints.txt

clean:  ## remove built pages and caches; runs and the environment stay
	rm -rf book/_build book/chapters build dist .pytest_cache .ruff_cache .hypothesis
	find xlam_lib tests -name __pycache__ -type d -prune -exec rm -rf {} +
