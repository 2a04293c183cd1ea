# Two commands do everything on a machine with Python 3.11 and make:
#   make demo    the main job on a test scene: no camera, no file, no PyTorch
#   make test    all tests
#   make docs    the documentation as a site, in site/
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Of what is installed little is ever imported; Python compiles that by itself.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile

.PHONY: demo test lint types format docs clean

demo: $(VENV)/.demo
	$(BIN)/streamderain demo --overwrite

# Two tests at a time, and then those that want the machine to themselves. They start hundreds of
# Pythons, which compile everything anew wherever nothing may be kept.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.dev
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not alone"
	$(BIN)/python -m pytest -m alone
endif

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev
	$(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) build dist demo site .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The constraints pin PyTorch to its CPU build; everything else is what the extras ask for.
$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --constraint constraints.txt --editable '.[cpu]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --constraint constraints.txt --editable '.[cpu,openvino,torch,service,ray,test,dev,docs]'
	touch $@ $(VENV)/.demo
