# Two commands for a newcomer, each doing all of its own set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
OUT ?= demo-out
PAPER ?= paper-out
BIN := $(VENV)/bin

.PHONY: demo test fast bench paper clean

demo: $(VENV)/.installed
	$(BIN)/ctacal demo --out $(OUT)

test: $(VENV)/.installed-dev $(VENV)/.tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

fast: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile -m "not slow"

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/speed.py

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ctacal needs Python 3.11 or later, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.12 demo")'
	@$(PYTHON) -m venv $(VENV) || { echo "python3 has no venv module; on Debian: apt-get install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

paper: $(VENV)/.installed-dev
	$(BIN)/ctacal paper recipes/paper.toml --out $(PAPER)

# DICOM validators and a PACS, from Debian where that is possible.
$(VENV)/.tools: $(VENV)/.made tests/install_tools.sh
	@sh tests/install_tools.sh $@

clean:
	rm -rf $(VENV) $(OUT) $(PAPER) .mypy_cache .pytest_cache .ruff_cache .hypothesis
