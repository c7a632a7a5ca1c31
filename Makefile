# Everything rests on .venv: a target makes it where it is missing or older than pyproject.toml.
# PYTHON=/path/to/python3 chooses the interpreter; PYTEST_ARGS="-k amounts" goes to pytest.

PY := .venv/bin/python
LAB := .venv/.installed-lab
DEV := .venv/.installed-lab,postgres,dev
PYTEST_ARGS ?=
SOAK_ARGS ?=
KILLS_ARGS ?=

# tests never see the key or the environment of the one who runs them
TEST_ENV := env -u HERCLE_API_KEY -u HERCLE_ENV

# a .venv whose Python is gone, or whose installation was interrupted, is made anew
BROKEN := $(shell test -x $(PY) && ! test -e .venv/.installing || echo again)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo lab test check fix docs outputs pictures pins bench soak clean again

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(LAB) ## run the quickstart on the embedded simulator and show what it made
	@$(PY) scripts/demo.py

lab: $(LAB) ## open JupyterLab on the quickstart
	$(PY) -m jupyterlab notebooks/01-quickstart.ipynb $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_ARGS)

test: $(DEV) ## run all tests and all notebooks
	$(TEST_ENV) $(PY) -m pytest -p tests._strict --nbval-lax --nbval-current-env --nbval-cell-timeout=60 \
		tests notebooks $(PYTEST_ARGS)

check: $(DEV) ## look at format, lint, spelling and types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/codespell
	$(PY) -m mypy

fix: $(DEV) ## format, and mend what ruff can mend
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

docs: $(DEV) ## build the documentation in build/docs, the notebooks run
	@rm -rf build/docs build/doctrees
	$(TEST_ENV) $(PY) -m sphinx -q -W --keep-going -d build/doctrees docs build/docs

outputs: $(DEV) ## run the notebooks, and store in them what a reader on GitHub should see
	$(TEST_ENV) $(PY) scripts/outputs.py

pins: $(DEV) ## renew the versions that Binder installs
	$(PY) scripts/pins.py --upgrade

bench: $(DEV) ## run every benchmark
	@set -e; for file in benchmarks/bench_*.py; do echo "== $$file"; $(TEST_ENV) $(PY) "$$file"; done

soak: $(DEV) ## harm the reference hub for ten minutes, then kill scripts; SOAK_ARGS="--minutes 2" KILLS_ARGS="--kills 9"
	$(TEST_ENV) $(PY) benchmarks/soak.py $(SOAK_ARGS)
	$(TEST_ENV) $(PY) benchmarks/soak_kills.py $(KILLS_ARGS)

pictures: $(DEV) ## make pictures of every face in build/pictures, and those of README and docs; needs Chromium
	$(TEST_ENV) $(PY) -m scripts.pictures

clean: ## remove what these targets made, .venv included
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name node_modules -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -exec rm -rf {} +

.venv/.installed-%: pyproject.toml $(BROKEN)
	@scripts/setup.sh $*
