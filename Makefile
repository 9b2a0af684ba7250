# The verbs of this repository.  `make help` lists them; everything real is in deploy/setup, konsil/ and tests/.
PYTHON ?= python3
BIN := .venv/bin
STATE := .konsil
WORKERS ?= 3
PACKAGES := konsil fhir_server smart_app dicom_gateway profiles deploy
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help python-is-new-enough setup setup-tests setup-full demo demo-reset test test-full lint fmt docs pictures bench bench-fhir bench-dicom lock audit-dependencies

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

python-is-new-enough:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "konsil needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11 ..."; exit 1; }

setup: python-is-new-enough ## environment, packages, R4 definitions, image viewer; quick when nothing changed
	@$(PYTHON) -m deploy.setup

setup-tests: python-is-new-enough
	@$(PYTHON) -m deploy.setup --tests

demo: setup ## run everything on this machine and print one address to open; Ctrl-C stops it
	@$(BIN)/python -m compileall -q $(PACKAGES)
	@$(BIN)/python -m deploy.sandbox prepare --dir $(STATE)
	@exec $(BIN)/python -m konsil up $(STATE)/demo.json

demo-reset: ## forget the demo's data; the next `make demo` starts over
	@$(PYTHON) -m deploy.setup.reset $(STATE)

test: setup-tests lint ## everything CI checks: lint, types, layers, advisories, tests
	@$(BIN)/python -m deploy.dependency_audit
	@$(PYTEST) -m "not full"

setup-full: python-is-new-enough
	@$(PYTHON) -m deploy.setup --tests --full

test-full: setup-full lint ## the same tests with the large and exhaustive ones
	@$(PYTEST)

lint: setup ## formatting, lint, types, layers, secrets
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m deploy.secret_scan

audit-dependencies: setup ## ask the advisories of PyPI and npm about every locked version; fails where they do not answer
	@$(BIN)/python -m deploy.dependency_audit --strict

fmt: setup ## format, and repair what ruff can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: setup ## write settings.md, conformance/fhir.md, conformance/dicom.md and the tables of access.md from what they tell of
	@$(BIN)/python -m deploy.settings_page
	@$(BIN)/python -m deploy.conformance_page
	@$(BIN)/python -m deploy.access_page
	@$(BIN)/python -m deploy.dicom_conformance_page

pictures: setup-tests ## take the guide's pictures anew, by the tests that look at the screens
	@rm -rf build/pictures && KONSIL_PICTURES=build/pictures $(PYTEST) tests/screens -n 0 -k "screens"
	@$(BIN)/python -m tests.screens.guide build/pictures

bench: setup ## measurements; see tests/bench
	@if [ -d tests/bench ]; then $(BIN)/python -m tests.bench; else echo "no measurements yet"; fi

bench-fhir: setup ## the FHIR server with synthetic patients on SQLite and PostgreSQL (BENCH_PATIENTS=400: the full run)
	@$(BIN)/python -m tests.bench fhir_synthea

bench-dicom: setup ## DICOM in and out, side by side with Orthanc, DCMTK and pynetdicom (BENCH_ROUNDS=5)
	@$(BIN)/python -m tests.bench.dicom_receive $(or $(BENCH_ROUNDS),5)
	@$(BIN)/python -m tests.bench dicomweb

lock: ## make requirements.lock anew from pyproject.toml, and that of the tests' FHIR clients (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --all-extras --group dev pyproject.toml -o requirements.lock
	printf 'fhirpy==2.3.1\nfhirclient==4.4.0\n' | uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 - -o tests/conformance/clients/requirements.txt
