# `make demo` shows the story, `make test` checks everything. Needs Python 3.11 or newer; both make their own environment and cluster.
PYTHON ?= python3
KEY := $(shell sha256sum requirements/dev.txt | cut -c1-16)
STAMP := .venv/made-from-$(KEY)
IN_VENV := PYTHONPATH=operator:. .venv/bin/python

.PHONY: help venv demo test test-fast faults bench sim lint format generate sbom lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## the Python environment .venv, as requirements/dev.txt locks it

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11: name a newer one with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv --clear .venv
	@# The lock is whole: looking for dependencies would only let a release that is withdrawn, or new, get in the way.
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements/dev.txt
	@touch $@

demo: venv ## cluster, operator, a run on NVIDIA nodes, a service on Ascend nodes
	@$(IN_VENV) -m examples.demo

test: venv ## everything: style, types, contracts, unit, cluster, end to end
	@$(IN_VENV) .ci/stages.py

test-fast: venv ## what needs no cluster
	@$(IN_VENV) .ci/stages.py --fast

faults: venv ## every fault plan (half an hour), with a table of what was violated
	@$(IN_VENV) -m tests.faults

bench: venv ## how fast it is, compared with loops on the same API server
	@$(IN_VENV) -m tests.bench

sim: venv ## what the placer makes of 100,000 jobs, beside simpler strategies (minutes)
	@$(IN_VENV) -m tests.sim

lint: venv ## style, types, import contracts, generated files
	@$(IN_VENV) .ci/stages.py --lint

format: venv ## put the code in the project's style
	@.venv/bin/ruff check --fix --quiet . && .venv/bin/ruff format .

generate: venv ## CRDs, reference pages and the chart's profiles from their sources
	@$(IN_VENV) -m tandem.api.generate
	@cp profiles/*.yaml charts/tandem/profiles/

sbom: venv ## what the operator's image holds of others, into dist/: bill of materials, licences
	@$(IN_VENV) .ci/sbom.py

UV_COMPILE := uv pip compile --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate
BUILD_TOOLS := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")

lock: ## newest versions that pyproject.toml allows into requirements/ (needs uv)
	$(PYTHON) -c '$(BUILD_TOOLS)' | $(UV_COMPILE) --upgrade --output-file requirements/build.txt -
	$(UV_COMPILE) --upgrade --output-file requirements/run.txt pyproject.toml
	$(UV_COMPILE) --upgrade --extra dev --output-file requirements/dev.txt pyproject.toml

clean: venv ## take the cluster away; what was built stays in the cache
	@$(IN_VENV) -m devcluster down
