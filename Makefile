# FTDDM Viewer: `make demo` shows it, `make test` checks it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo picture test lint clean

help:
	@echo "make demo     sharpen the bundled simulated case into out/demo/"
	@echo "make test     run every test"
	@echo "make picture  draw the picture of the README anew"
	@echo "make lint     check style and types"
	@echo "make clean    remove the environment and what the commands wrote"

demo: $(VENV)/base
	@$(BIN)/ftddm demo --out out/demo

picture: demo
	@cp out/demo/demo.png assets/pictures/demo.png

test: $(VENV)/dev
	@$(BIN)/python -m pytest

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, '$(PYTHON)' is older or missing: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Making the environment in $(VENV): 2 GB, more where pip brings CUDA; a few minutes ..."
	@# Debian keeps ensurepip in a package of its own; the pip that is there can stand in for it.
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	else $(PYTHON) -m venv --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(VENV)/bin/python install --quiet pip; fi || \
		{ rm -rf $(VENV); echo "No environment could be made: apt install python3-venv"; exit 1; }

$(VENV)/base: pyproject.toml constraints.txt | $(VENV)/bin/python
	@$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@$(PIP_INSTALL) -e ".[dev]"
	@touch $@ $(VENV)/base

clean:
	rm -rf $(VENV) out dist .pytest_cache .mypy_cache .ruff_cache
