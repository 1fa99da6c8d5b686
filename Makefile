# FTDDM Viewer: `make demo` shows it, `make test` checks it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# On Linux, the window is tested on a virtual screen; elsewhere, on the existing one.
SCREEN := $(if $(filter Linux,$(shell uname)),xvfb-run -a -s "-screen 0 1600x1000x24")
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo view web images tour test test-long test-fast lint clean

help:
	@echo "make demo      restore the bundled simulated case into out/demo/, then open it in napari"
	@echo "make view      open the bundled case in napari, with live sliders"
	@echo "make web       serve the same as a web page, on http://127.0.0.1:7860"
	@echo "make test      run the tests"
	@echo "make test-long run those that take many seconds each: tours, endurance, whole programs"
	@echo "make test-fast run all tests except those of the window and the browser; no display needed"
	@echo "make images    redraw the images of the README"
	@echo "make tour      draw the tour of window and page in both themes, into out/tour/; STUDY=folder for your own"
	@echo "make lint      check style and types"
	@echo "make clean     remove the environment and all output"

demo: $(VENV)/base
	@$(BIN)/ftddm demo --out out/demo --view

view: $(VENV)/base
	@$(BIN)/ftddm view

web: $(VENV)/base
	@$(BIN)/ftddm web

images: $(VENV)/dev $(VENV)/system
	@$(BIN)/ftddm demo --out out/demo
	@cp out/demo/demo.png assets/images/demo.png
	@$(SCREEN) $(BIN)/python tests/draw_images.py

tour: $(VENV)/dev $(VENV)/system
	@for theme in dark light; do \
		$(SCREEN) $(BIN)/python tests/tour.py $(STUDY) --out out/tour --theme $$theme || exit 1; \
		for width in 1280 1600 390; do \
			$(BIN)/python tests/page_tour.py $(STUDY) --out out/tour --theme $$theme --width $$width \
				|| exit 1; \
		done; \
	done

# Processes share the cores: waiting threads must not spin.
test test-long test-fast: export OMP_WAIT_POLICY := passive

test: $(VENV)/dev $(VENV)/system
	@$(SCREEN) $(PYTEST) -m "not long"

test-long: $(VENV)/dev $(VENV)/system
	@$(SCREEN) $(PYTEST) -m long

test-fast: $(VENV)/dev
	@$(PYTEST) --ignore tests/plugins -m "not browser and not long"

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, '$(PYTHON)' is older or missing: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Creating the environment in $(VENV): 2 GB, more if pip installs CUDA; takes a few minutes ..."
	@# Debian has ensurepip in a separate package; an existing pip can replace it.
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	else $(PYTHON) -m venv --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(VENV)/bin/python install --quiet pip; fi || \
		{ rm -rf $(VENV); echo "The environment could not be created: apt install python3-venv"; exit 1; }

$(VENV)/base: pyproject.toml constraints.txt | $(VENV)/bin/python
	@$(PIP_INSTALL) -e ".[napari,web]"
	@touch $@

$(VENV)/dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@$(PIP_INSTALL) -e ".[dev,napari,web]"
	@touch $@ $(VENV)/base

$(VENV)/system: tests/system_packages.sh | $(VENV)/bin/python
	@tests/system_packages.sh
	@touch $@

clean:
	rm -rf $(VENV) out dist .pytest_cache .mypy_cache .ruff_cache
