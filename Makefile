# Memberwise: every target needs only make and Python 3.11 or later. `make help` lists them.

PYTHON ?=
VENV   ?= .venv
EXTRAS ?= train,demo,postgres,dev
PYTEST_WORKERS ?= 2
ARGS   ?=
DATA   ?=
ROUNDS ?= 1000
REPLICATIONS ?= 500
KILLS ?= 10

bin   := $(VENV)/bin
ready := $(VENV)/.installed

# Each data set has an installation of its own.
quality_data := $(notdir $(abspath $(or $(DATA),complete_journey)))

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test check format docs bench soak quality constraints clean

help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(ready) ## create .venv and install Memberwise into it (the other targets do this when needed)

demo: $(ready) ## learn from real shop data, publish a bundle, serve it (DEMO_SERVE=0 ends after the answer)
	$(bin)/memberwise demo $(ARGS)

serve: $(ready) ## serve the promoted bundle: the API and a worker on this machine
	$(bin)/memberwise serve --with-worker $(ARGS)

test: $(ready) ## run the test suite (ARGS='-k name' for a part of it)
	$(bin)/python -m pytest -q -n $(PYTEST_WORKERS) $(ARGS)

check: $(ready) ## check format, lint, types, import rules and documents
	$(bin)/ruff format --check .
	$(bin)/ruff check .
	$(bin)/mypy
	$(bin)/lint-imports
	$(bin)/python -m pytest -q tests/test_docs.py tests/test_structure.py

format: $(ready) ## put the code into the house format
	$(bin)/ruff format .
	$(bin)/ruff check --fix .

docs: $(ready) ## write docs/settings.md from the settings in the code
	$(bin)/python -m tests.settings_page

bench: $(ready) ## measure ingest, training, lists for many members, coupons and serving, and print the figures
	$(bin)/python -m tests.benchmarks $(ARGS)

soak: $(ready) ## the wallet's limits against 64 callers, ROUNDS times (1,000); simulated campaigns, REPLICATIONS (500); workers killed while they deliver, KILLS times 4 (10)
	MEMBERWISE_TEST_WALLET_ROUNDS=$(ROUNDS) $(bin)/python -m pytest -q -n $(PYTEST_WORKERS) tests/recommender/coupons/test_concurrency.py
	MEMBERWISE_TEST_EFFECT_REPLICATIONS=$(REPLICATIONS) $(bin)/python -m pytest -q -s -n 0 tests/recommender/campaigns/test_simulations.py
	MEMBERWISE_TEST_DELIVERY_ROUNDS=$(KILLS) $(bin)/python -m pytest -q -n 1 tests/flows/test_delivery_killed.py

quality: export MEMBERWISE_HOME = var/quality/$(quality_data)
quality: export MEMBERWISE_MODELS = var/quality/$(quality_data)/models
quality: $(ready) ## print the quality tables on Complete Journey, or on the canonical tables in DATA=FOLDER
	$(if $(DATA),$(bin)/memberwise ingest $(DATA) >&2,DEMO_SERVE=0 $(bin)/memberwise demo >&2)
	$(if $(DATA)$(ARGS),$(bin)/memberwise train --test-members 0 $(ARGS) >&2)
	@$(bin)/memberwise bundles show --markdown

constraints: ## remake constraints.txt: the newest versions that pyproject.toml accepts
	@$(find_python); \
	fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	"$$python" -m venv "$$fresh"; \
	"$$fresh/bin/python" -m pip install $$([ -t 1 ] || echo -q) -e '.[$(EXTRAS)]'; \
	sed -n '/^#/p' constraints.txt > "$$fresh/constraints.txt"; \
	"$$fresh/bin/python" -m pip freeze --exclude-editable >> "$$fresh/constraints.txt"; \
	cp "$$fresh/constraints.txt" constraints.txt

clean: ## remove .venv and caches; var/ and models/ stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# A shell line that sets $python: the interpreter named by PYTHON, or the first suitable one on the path.
define find_python
set -e; python=; \
for candidate in $(or $(PYTHON),python3.11 python3.12 python3.13 python3); do \
  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
    python="$$candidate"; break; \
  fi; \
done; \
if [ -z "$$python" ]; then \
  echo "Memberwise needs Python 3.11 or later; looked for: $(or $(PYTHON),python3.11 python3.12 python3.13 python3)." >&2; \
  echo "Install one (Debian 12: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
  exit 1; \
fi; \
if ! "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
  echo "$$python cannot create a virtual environment. On Debian: apt-get install python3-venv" >&2; exit 1; \
fi
endef

# One stamp file says that the environment holds what pyproject.toml and constraints.txt ask for.
$(ready): pyproject.toml constraints.txt
	@$(find_python); \
	echo "Setting up $(VENV) with $$("$$python" --version), once; this downloads about 300 MB."; \
	"$$python" -m venv $(VENV); \
	$(bin)/python -m pip install $$([ -t 1 ] || echo -q) -c constraints.txt -e '.[$(EXTRAS)]'; \
	if ! $(bin)/python -c 'import lightgbm' 2>/dev/null; then \
	  $(bin)/python -c 'import lightgbm' 2>&1 | tail -1 >&2; \
	  echo "The OpenMP runtime that LightGBM and implicit use may be missing. On Debian: apt-get install libgomp1" >&2; exit 1; \
	fi; \
	touch $@
