# Each target sets up what it needs: python3, git and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: quickstart test lint benchmark gpu clean

quickstart: $(VENV)/.trainer ## train a small network with and without the JPEG layer
	$(BIN)/jpegdl quickstart

test: $(VENV)/.tox ## full verification: lint, types, tests
	$(BIN)/tox

lint: $(VENV)/.tox
	$(BIN)/tox -e lint,types

benchmark: $(VENV)/.tox ## speed, as ratios within one run
	$(BIN)/tox -e benchmark

gpu: $(VENV)/.tox ## full verification on CUDA
	$(BIN)/tox -e gpu

clean:
	rm -rf $(VENV) .tox .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.trainer: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable ".[trainer]"
	touch $@

$(VENV)/.tox: $(BIN)/python constraints.txt
	$(PIP) tox
	touch $@
