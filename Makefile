# Two commands for everybody: `make demo` and `make test`. Both install what they need
# into .venv, once. PYTHON chooses the interpreter: make test PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow check ci bench constraints clean

demo: $(VENV)/installed
	$(BIN)/jaxcirc run induction

# TORCH=yes also runs what compares with PyTorch, as pip gives it; TORCH=URL takes it from
# that index: https://download.pytorch.org/whl/cpu has no CUDA in it. Without, those tests
# are skipped, and the end of the output says which.
TORCH ?=
with-torch = $(if $(TORCH),$(VENV)/installed-torch)

test: $(VENV)/installed-dev $(with-torch)
	$(BIN)/pytest -n 2 -m "not slow" -rs --durations=15

test-slow: $(VENV)/installed-dev $(with-torch)
	$(BIN)/pytest -m slow -rs

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/pytest tests/contracts/test_docstrings.py

ci: check test

bench: $(VENV)/installed-bench
	$(BIN)/python benchmarks/gemm.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/capture.py
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/llc.py
	$(BIN)/python benchmarks/programs.py
	$(BIN)/python benchmarks/bridge.py

# Another interpreter than the one .venv was made with means another .venv.
$(VENV)/made: Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "jaxcirc needs Python 3.11 or newer; $(PYTHON) is" \
	    "$$($(PYTHON) --version). Name one: make demo PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/made constraints.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(VENV)/installed-torch: $(VENV)/installed-dev tests/requirements-torch.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
	  $(if $(filter-out yes,$(TORCH)),--extra-index-url $(TORCH)) \
	  --requirement tests/requirements-torch.txt
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --requirement benchmarks/requirements.txt
	@touch $@

# Pin everything anew, for every supported Python at once. Needs uv.
constraints:
	uv pip compile --quiet --universal --upgrade --python-version 3.11 --extra dev \
	  --no-header --no-annotate pyproject.toml --output-file constraints.txt

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
