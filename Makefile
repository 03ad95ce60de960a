# Set-up and the daily commands. `make` alone lists them.

PYTHON ?= python3
ARGS ?=
COURSE ?= course
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest
WORKERS := --numprocesses auto --maxprocesses 8 --dist loadscope

.DEFAULT_GOAL := help
.PHONY: help lab test lint bench notebooks assignments doctor clean

help:  ## list what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1 # /' | \
	    awk -F'#' '{printf "%-20s%s\n", $$1, $$2}'
	@echo '  make ... PYTHON=python3.12 chooses the Python (3.10 to 3.13) that the set-up uses'

lab: $(STAMP)  ## set up, then open JupyterLab on the first notebook
	$(BIN)/python -m pi05lite.allocator $(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(ARGS)

# Exit code 5 is "no test selected": fine for one of the two halves, not for both.
test: $(STAMP)  ## set up, then run the tests, fast ones first; ARGS="-k masks" goes to pytest
	@fast=0; $(PYTEST) -m "not slow" $(WORKERS) $(ARGS) || fast=$$?; \
	[ $$fast -eq 0 ] || [ $$fast -eq 5 ] || exit $$fast; \
	slow=0; $(PYTEST) -m slow $(WORKERS) $(ARGS) || slow=$$?; \
	[ $$slow -eq 0 ] || { [ $$slow -eq 5 ] && [ $$fast -eq 0 ]; } || exit $$slow

lint: $(STAMP)  ## check the style of the code
	$(BIN)/ruff check .

bench: $(STAMP)  ## time a training step and a chunk beside their floor; ARGS="--peer NAME=COMMAND"
	$(BIN)/python tools/bench.py $(ARGS)

notebooks: $(STAMP)  ## write the notebooks again from notebooks/src
	$(BIN)/python tools/make_notebooks.py

assignments: $(STAMP)  ## make a course folder with releases for nbgrader; COURSE=folder
	$(BIN)/pi05lite classroom build $(COURSE) $(ARGS)

doctor: $(STAMP)  ## say what works here and what is missing
	$(BIN)/pi05lite doctor

clean:  ## remove the virtual environment, so that the next command sets it up afresh
	rm -rf $(VENV)

# torch goes first and pinned, so that nothing else pulls in another build of it.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 13) else \
	    "pi05lite needs Python 3.10 to 3.13, and $(PYTHON) is %d.%d: choose another one, for example make PYTHON=python3.12 $(MAKECMDGOALS)" % v)'
	@echo 'setting up $(VENV): once, a few minutes'
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@
