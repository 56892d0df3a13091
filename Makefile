# Every target works from nothing: the environment is made when it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export RAY_USAGE_STATS_ENABLED := 0
export ORT_DISABLE_TELEMETRY := 1

.PHONY: help install demo test test-ray test-alone test-alone-too lint types check bench clean

help:  ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]' --constraint constraints.txt --build-constraint constraints.txt
	touch $(READY)

install: $(READY)  ## Make the environment in .venv

demo: $(READY)  ## Train, promote, serve and query the bundled simulated market
	$(BIN)/bellwether demo

test: $(READY)  ## Lint, check types and layers, run the tests
	+$(MAKE) --jobs 4 --output-sync=target --no-print-directory check test-ray test-alone test-alone-too

test-ray:  # those that share a local Ray cluster: they wait for processes to start, and take the longest
	$(BIN)/python -m pytest -m ray

test-alone:  # the others, in two halves beside them, on what they leave of the cores
	nice $(BIN)/python -m pytest -m "not ray" tests/test_[a-lr]*.py

test-alone-too:
	nice $(BIN)/python -m pytest -m "not ray" tests/test_[!a-lr]*.py

check: lint types  ## Static checks only

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy

bench: $(READY)  ## Print the timings in docs/results.md again
	$(BIN)/python -m benchmarks.bench_features
	$(BIN)/python -m benchmarks.bench_features_job
	$(BIN)/python -m benchmarks.bench_ticks
	$(BIN)/python -m benchmarks.bench_sessions
	$(BIN)/python -m benchmarks.bench_orderbook
	$(BIN)/python -m benchmarks.study_order_flow
	$(BIN)/python -m benchmarks.bench_models
	$(BIN)/python -m benchmarks.bench_serving
	$(BIN)/python -m benchmarks.bench_sweep

clean:  ## Remove the environment and everything the demo wrote
	rm -rf $(VENV) .bellwether
