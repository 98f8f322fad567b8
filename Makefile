# Everything works on a fresh machine with python3 (3.11 or newer) and make: the environment makes itself.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= out/demo

.PHONY: demo test test-slow test-latest lint docs pictures doctest bench examples size clean

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test,examples]"
	touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	touch $@

demo: $(VENV)/.installed  ## train an MLP and a CNN in both modes and leave the views in out/demo
	$(BIN)/jaxchain demo --out $(OUT)

test: $(VENV)/.installed  ## the suite, but for the slow sweeps
	$(BIN)/python -m pytest -q -n auto --dist worksteal -m "not slow"

test-slow: $(VENV)/.installed  ## the slow sweeps
	$(BIN)/python -m pytest -q -n auto --dist worksteal -m slow

test-latest:  ## the same tests on the newest JAX, under the newest Python 3.12+ that is found
	./.ci/latest

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

pictures: $(VENV)/.installed  ## the explorer's pictures in docs/images; needs Chromium
	$(BIN)/python docs/images/make.py

doctest: $(VENV)/.docs
	$(BIN)/sphinx-build -W -q -b doctest docs docs/_build/doctest
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_doctests.py

bench: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	$(BIN)/python benchmarks/overhead.py

examples: $(VENV)/.installed
	$(BIN)/python -m pytest -q tests/programs

size:  ## lines of each room
	@for d in src/jaxchain/*/; do printf '%6d %s\n' $$(cat $$(find $$d -name '*.py') | wc -l) $$d; done; \
	printf '%6d %s\n' $$(cat src/jaxchain/*.py | wc -l) "src/jaxchain/*.py"

clean:
	rm -rf $(VENV) .venv-latest out docs/_build
