# Two commands for a newcomer: `make demo` and `make test`. Each does all of its own set-up.
PYTHON ?= python3
VENV ?= .venv
OUT ?= demo-out
PAPER ?= paper-out
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder
# Compiled Python files are kept: the tests start the program many times, and each start would compile it again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test fast ci oldest fresh bench paper docs release clean

demo: $(VENV)/.installed
	$(BIN)/ctacal demo --out $(OUT)

test: $(VENV)/.installed-dev $(VENV)/.tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) -m "not ci" --cov=ctacal --cov-report=term:skip-covered

fast: $(VENV)/.installed-dev
	$(PYTEST) -m "not slow and not ci"

# Tests that take minutes and cannot be made smaller.
ci: $(VENV)/.installed-dev $(VENV)/.tools
	$(PYTEST) -m ci

# Quick tests with the oldest versions that pyproject.toml allows, which uv chooses; without torch, which is large. Newer
# packages beneath these warn of what is old in them: such warnings are no errors here.
oldest:
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-oldest/bin/uv pip install --quiet --python .venv-oldest --resolution lowest-direct \
	  --editable '.[batch,evaluate,node,pseudonymise,simulate,web]' \
	  'hypothesis>=6.120' 'jsonschema>=4.23' 'onnx>=1.17' 'pytest>=8.3' 'pytest-timeout>=2.3' 'pytest-xdist>=3.6'
	.venv-oldest/bin/python -m pytest -q -n auto --maxprocesses 4 --dist loadgroup -W ignore::DeprecationWarning \
	  -m "not slow and not ci" tests/cli tests/dicom tests/evaluate tests/report tests/statistics tests/test_study.py \
	  --ignore tests/cli/test_calibrate.py --ignore tests/cli/test_nn_commands.py

# The tutorials from a wheel in environments that hold only what each page tells to install. Another Python:
# make FRESH="--python python3.13" fresh
fresh: $(VENV)/.installed-release
	$(BIN)/python tests/fresh_install.py $(FRESH)

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

# The site, into site/; open site/index.html. A warning is an error.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

# What is released, in dist/: wheel, sdist, and the bill of materials (CycloneDX) of a bare environment with the wheel.
release: $(VENV)/.installed-release
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(PYTHON) -m venv dist/bare
	dist/bare/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt dist/*.whl
	$(BIN)/python -m cyclonedx_py environment --of JSON -o dist/sbom.json dist/bare
	cd dist && bare/bin/ctacal info --self-check && rm -rf bare

$(VENV)/.installed-release: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[release]'
	@touch $@

# DICOM validators and a PACS, from Debian if possible.
$(VENV)/.tools: $(VENV)/.made tests/install_tools.sh
	@sh tests/install_tools.sh $@

clean:
	rm -rf $(VENV) $(OUT) $(PAPER) site dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
