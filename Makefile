# Each target does its own set-up: a virtual environment in .venv, made again only when the dependencies change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := $$(grep '^torch==' constraints.txt)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint docs clean

$(VENV)/demo: pyproject.toml constraints.txt
	@echo "Installing what the demo needs into $(VENV): 64 packages, 1.6 GB with torch for CPUs. A minute or two."
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(TORCH)
	$(PIP) --editable .
	touch $@

$(VENV)/installed: $(VENV)/demo
	@echo "Installing every extra, the tests' and the docs' tools: some 220 packages, 2.7 GB."
	$(PIP) $(TORCH) --editable '.[dev,docs,all]'
	touch $@

demo: $(VENV)/demo
	$(BIN)/hintprobe run experiments/configs/demo.yaml

test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(VENV)/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/installed
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/site

clean:
	rm -rf $(VENV) build *.egg-info
