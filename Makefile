# Every target sets up what it needs. `make help` lists them.
PYTHON ?= python3.11
UV_VERSION := 0.13.9
VENV := .venv
STAMP := $(VENV)/.installed
JSON ?=

# `mlflow run --env-manager local` takes `python` from PATH.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1

.DEFAULT_GOAL := help
.PHONY: help install demo up status down train deploy test check chaos bench format lock clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  \1\t/' | expand -t 14

install: $(STAMP) ## set up .venv from uv.lock

$(STAMP): pyproject.toml uv.lock
	@command -v $(PYTHON) >/dev/null || { echo "Error: $(PYTHON) is not on PATH. Install Python 3.11 or call make PYTHON=/path/to/python3.11." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(VENV)/bin/uv sync --frozen --all-extras --quiet --compile-bytecode
	@touch $(STAMP)

demo: install ## run the whole loop on real flights (JSON=FILE writes its figures)
	flywheel demo $(if $(JSON),--json $(JSON))

up: install ## start Postgres, S3, MLflow and the gateway
	flywheel up

status: install ## show the parts of the stack and their health
	flywheel status

down: install ## stop everything that was started here
	flywheel down

train: install ## train flights as ada on the running stack
	exports="$$(flywheel env --user ada)" && eval "$$exports" && mlflow run . --env-manager local --experiment-name flights-delay

deploy: install ## serve the approved versions, new ones through a canary
	flywheel deploy

test: install ## run the tests
	pytest

check: install ## lint, types and import contracts
	ruff check .
	ruff format --check .
	mypy
	lint-imports

chaos: install ## kill, freeze and swap parts of a running data plane for hours (see tests/chaos/README.md)
	python -m tests.simulation --histories 5000
	python -m tests.chaos $(if $(JSON),--json $(JSON))

bench: install ## measure the data plane, training, the canary's judge, rollouts and monitoring (see benchmarks/README.md)
	python -m benchmarks.serving $(if $(JSON),--json $(JSON))
	python -m benchmarks.training $(if $(JSON),--json $(basename $(JSON))-training.json)
	python -m benchmarks.canary $(if $(JSON),--json $(basename $(JSON))-canary.json)
	python -m benchmarks.rollout $(if $(JSON),--json $(basename $(JSON))-rollout.json)
	python -m benchmarks.drift_alarms $(if $(JSON),--json $(basename $(JSON))-drift-alarms.json)
	python -m benchmarks.drift_answers $(if $(JSON),--json $(basename $(JSON))-drift-answers.json)
	python -m benchmarks.drift_speed $(if $(JSON),--json $(basename $(JSON))-drift-speed.json)
	python -m benchmarks.concept_drift $(if $(JSON),--json $(basename $(JSON))-concept-drift.json)
	python -m benchmarks.flights_backtest $(if $(JSON),--json $(basename $(JSON))-backtest.json)

format: install ## format the code
	ruff format .
	ruff check --fix .

lock: install ## resolve uv.lock anew and write conda.yaml from it
	uv lock
	python -m training.environment

clean: install ## stop the stack and remove what it kept
	flywheel down --erase
