# lianlu: `make demo` runs the whole chain, `make test` proves it.
PYTHON ?= python3
BIN := .venv/bin
# torch comes first, at the pinned CPU-capable version: whatever depends on it then takes it as it is.
TORCH := $(shell grep '^torch==' constraints.txt)

.PHONY: demo test lint bench docs clean

demo: .venv/all
	$(BIN)/lianlu doctor || true
	$(BIN)/lianlu run recipes/demo.yaml
	@echo "  (once in this shell: . .venv/bin/activate)"

test: .venv/dev lint
	$(BIN)/python -m pytest

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/check_sizes.py

bench: .venv/dev
	for script in bench/*.py; do $(BIN)/python $$script || exit 1; done

docs: .venv/dev
	$(BIN)/lianlu new recipe --schema > docs/recipe.schema.json
	$(BIN)/python docs/fields.py > docs/recipe.md

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/torch: constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(TORCH) numpy
	touch $@

.venv/all: .venv/torch pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	touch $@

.venv/dev: .venv/torch pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ .venv/all
