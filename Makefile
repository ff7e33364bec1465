# Verbs only. `make` lists them; each does what it needs first.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3.11
PROGRAMS := contract speech operator trainer inference demo
RUN := .venv/bin

.PHONY: help demo test bench check format cluster cluster-down images chart lock clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready ## recordings to a speaking voice on this machine (RECORDINGS=dir: your own; REVIEW=1: to correct)
	@$(RUN)/python -m kelong_demo

test: check ## every test, the ones on a real cluster included
	@$(RUN)/pytest

bench: .venv/ready ## how fast and how right it is, on this machine (CPP=dir: the polyphone benchmark too)
	@$(RUN)/python benchmarks/speed.py
	@$(RUN)/python benchmarks/readings.py
	@$(RUN)/python benchmarks/judging.py
	@$(RUN)/python benchmarks/preparing.py
	@$(if $(CPP),$(RUN)/python benchmarks/polyphones.py --data "$(CPP)")

check: .venv/ready ## format, lint, types, architecture: under a minute
	@$(RUN)/ruff format --check --quiet . && $(RUN)/ruff check --quiet .
	@$(RUN)/mypy && $(RUN)/lint-imports --no-cache

format: .venv/ready ## put the code into the house format
	@$(RUN)/ruff format . && $(RUN)/ruff check --fix .

cluster: .venv/ready ## a real one-node Kubernetes with Kelong installed on it
	@$(RUN)/python tests/cluster/cluster.py up

cluster-down: .venv/ready ## take that cluster down, leaving nothing behind
	@$(RUN)/python tests/cluster/cluster.py down

images: .venv/ready ## the three images, from their Dockerfiles
	@$(RUN)/python tests/cluster/cluster.py images

chart: ## copy the CRDs into the chart
	@charts/copy_crds.sh

lock: .venv/ready ## pin all dependencies anew
	@PATH="$(CURDIR)/$(RUN):$$PATH" requirements/lock.sh

clean: ## remove what the verbs left in the checkout (the cache stays)
	rm -rf .venv build demo-voice .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/ready: requirements/bootstrap.txt requirements/development.txt requirements/standin.txt $(PROGRAMS:%=%/pyproject.toml)
	@command -v $(PYTHON) >/dev/null || { echo "Kelong needs Python 3.11: '$(PYTHON)' was not found; set PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -m venv .venv && $(RUN)/pip install --quiet --require-hashes --requirement requirements/bootstrap.txt
	@$(RUN)/uv pip install --quiet --python .venv --no-deps --require-hashes --requirement requirements/development.txt
	@$(RUN)/uv pip install --quiet --python .venv --no-deps --require-hashes --requirement requirements/standin.txt
	@$(RUN)/uv pip install --quiet --python .venv --no-deps --no-build-isolation $(PROGRAMS:%=--editable %)
	@touch $@
