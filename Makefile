# Targets for readers and authors; `make` alone lists them.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PORT ?= 8000
CHAPTER ?=
KDLIB_PROFILE ?= default
export KDLIB_PROFILE

BIN := .venv/bin
# The stamp's name digests what it depends on, so changed requirements and a copied or moved folder
# (whose .venv points at the old one) both ask for a new set-up. It is written last: a set-up that
# stopped half-way has none.
STAMP := .venv/ready-$(shell (pwd; cat requirements.txt requirements-nodeps.txt) | cksum | cut -d' ' -f1)

# A chapter's kernel runs under the same settings when its outputs are stored and when they are
# compared: one thread, so that sums are always taken in the same order.
rerun lab test: export OMP_NUM_THREADS = 1
rerun lab test: export MKL_NUM_THREADS = 1
rerun lab test: export OPENBLAS_NUM_THREADS = 1
rerun lab test: export PYTHONHASHSEED = 0
ifeq ($(KDLIB_PROFILE),default)
# The published outputs are those of the CPU, also on a machine with a GPU.
rerun: export CUDA_VISIBLE_DEVICES =
endif

.DEFAULT_GOAL := help
.PHONY: help book test rerun lab serve bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
	@echo "Variables: PYTHON=/path/to/python3.11  CHAPTER=name  PORT=8000  KDLIB_PROFILE=large"

$(STAMP):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed. Run make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, and $(PYTHON) says: $$($(PYTHON) --version 2>&1). Run make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up .venv with $(PYTHON) (some minutes the first time)"
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --use-pep517 -r requirements-nodeps.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Built from nothing each time: a kept doctree hides its page's warnings in the next build, and a
# kept page hides that a link to it is broken.
book: $(STAMP) ## Build the HTML book; warnings are errors
	@start=$$(date +%s); \
	rm -rf _build/html _build/.doctrees; \
	$(BIN)/jupyter-book build . --all --warningiserror --keep-going || \
	  { status=$$?; rm -rf _build/.doctrees; echo "The book was not built: see the warnings above." >&2; exit $$status; }; \
	echo "Book: _build/html/index.html ($$(($$(date +%s) - start)) s)"

test: $(STAMP) ## Check the code, run the tests, re-execute every notebook and compare
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest tests -n 2 --dist loadfile
	KDLIB_PROFILE=default CUDA_VISIBLE_DEVICES= $(BIN)/python -m pytest --nbval notebooks \
	  --nbval-sanitize-with book/sanitize.cfg --nbval-current-env --nbval-cell-timeout 1200 \
	  --nbval-kernel-startup-timeout 180 -n 2 --dist loadscope -p no:cacheprovider

rerun: $(STAMP) ## Execute the chapters, or CHAPTER=name, and store their outputs
	$(BIN)/python book/rerun.py $(CHAPTER)

lab: $(STAMP) ## Open the chapters in JupyterLab
	$(BIN)/jupyter lab --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
	  --LabApp.news_url=None notebooks

serve: $(STAMP) ## Serve the built book on http://127.0.0.1:8000
	@test -f _build/html/index.html || { echo "There is no built book: run make book first" >&2; exit 1; }
	$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

bench: $(STAMP) ## Time the operators, the training of replicates and pruning
	PYTHONPATH=book $(BIN)/python tests/bench.py
	PYTHONPATH=book $(BIN)/python tests/bench_training.py

clean: ## Remove what was built; .venv stays
	rm -rf _build build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find kdlib book notebooks tests -name __pycache__ -prune -exec rm -rf {} +
