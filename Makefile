# make demo   the quickstart: trains two arms of a small model and prints what each learned to say
# make test   the tests
# Both set up .venv from this folder first; PYTHON=python3.12 make ... chooses the interpreter.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test clean

demo: .venv/.ready
	$(BIN)/python -m axolotl_slung.demo

test: .venv/.ready
	$(BIN)/python -m pytest -q -m "not slow"

.venv/.ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[demo,test]"
	touch $@

clean:
	rm -rf .venv demo
