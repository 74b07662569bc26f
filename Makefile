# Everything a developer or CI runs. `make` alone tells what there is.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONPATH := operator:agent-image:runtime:.

.PHONY: help
help: ## Tell what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(VENV)/.installed: requirements-dev.lock
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or later is missing: install python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed, this is $$($(PYTHON) --version)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python's venv module is missing: install python3-venv"; exit 1; }
	@echo "installing the Python packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

.PHONY: demo
demo: $(VENV)/.installed ## A real call on a real cluster of this machine, from nothing
	@$(BIN)/python -m local demo

.PHONY: test
test: $(VENV)/.installed ## All tests; the cluster they need is brought up first
	@$(BIN)/python -m local up
	@$(BIN)/python -m local images
	@$(BIN)/pytest -m unit
	@$(BIN)/pytest -m simulation
	@$(BIN)/pytest -m cluster
	@$(BIN)/pytest -m scale

.PHONY: test-unit
test-unit: $(VENV)/.installed ## The tests that need no cluster (but espeak-ng and helm)
	@$(BIN)/pytest -m unit

.PHONY: sim
sim: $(VENV)/.installed ## Operator and gateways among faults of every kind (SEEDS=1000; SEED=17: its trace; BUGS=1)
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),$(if $(BUGS),--bugs) --seeds $(or $(SEEDS),1000))

.PHONY: bench-join
bench-join: $(VENV)/.installed ## Time to the agent's audio, by every way to it (N=40 calls each)
	@$(BIN)/python -m bench.join

.PHONY: bench-claim
bench-claim: $(VENV)/.installed ## Time to a session's pod under load, and what a session costs (QUICK=1: a look)
	@$(BIN)/python -m bench.claim

.PHONY: bench-nodes
bench-nodes: $(VENV)/.installed ## A day of calls on Karpenter's nodes, and what they cost (QUICK=1: a look)
	@$(BIN)/python -m bench.nodes

.PHONY: bench-scale
bench-scale: $(VENV)/.installed out/bench/claim.json ## The same beside 10,000 calls, and the operator's restart (SESSIONS=1000 MINUTES=1: a look)
	@$(BIN)/python -m bench.scale

# Half of the rate that it found is that of bench-scale.
out/bench/claim.json:
	@$(MAKE) --no-print-directory bench-claim

.PHONY: bench-takeover
bench-takeover: $(VENV)/.installed ## Time without an agent when one is killed, deleted, hangs (N=20 each)
	@$(BIN)/python -m bench.takeover

.PHONY: bench-footprint
bench-footprint: $(VENV)/.installed ## Memory and idle CPU of a warm pod, of a call, of LiveKit's worker
	@$(BIN)/python -m bench.footprint

.PHONY: chaos
chaos: $(VENV)/.installed ## Calls while all parts are killed at random (MINUTES=10 SEED=1 WEBHOOKS=1)
	@$(BIN)/python -m tests.chaos

.PHONY: check
check: $(VENV)/.installed ## Format, lint, types, layers, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory generate
	@git diff --exit-code -- crds charts docs || { echo "generated files were out of date: commit them"; exit 1; }

.PHONY: generate
generate: $(VENV)/.installed ## Write the CRDs, the chart's schema and the reference from the models
	@$(BIN)/python -m voicepod.api.crd crds
	@$(BIN)/python charts/generate.py

.PHONY: lock
lock: ## Resolve the pinned requirements anew (needs uv)
	uv pip compile $(LOCK) pyproject.toml -o requirements.lock
	uv pip compile $(LOCK) --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

.PHONY: clean-cluster
clean-cluster: $(VENV)/.installed ## Take the local cluster down; nothing of it is left
	@$(BIN)/python -m local down
