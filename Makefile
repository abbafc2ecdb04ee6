# `make demo` runs the system with sample content, `make test` runs the tests. Both do the set-up.
# They need Python 3.11 or newer, make and network access; everything is installed into .venv.

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
LOCALES := de fr es
PYTHONS := 3.12 3.13
# The tests start hundreds of processes, and each would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo sdk test test-sqlite test-postgresql test-journeys test-faults test-upgrade test-scale test-pythons test-mutants soak audit lint format messages golden fidelity bench lock mjml-tables caniemail clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

install: .venv/base.stamp ## create .venv with the pinned packages

demo: .venv/base.stamp ## run the whole system with sample content; ARGS=--once sends one issue, prints a report and exits
	@$(BIN)/python manage.py demo $(ARGS)

test: test-sqlite ## run the tests on SQLite; other targets test PostgreSQL, browsers, processes, faults and scale

test-sqlite: .venv/dev.stamp
	$(BIN)/python -m pytest -n auto --durations=10 -m "not postgresql and not processes and not browser and not fidelity and not faults and not scale and not upgrade" $(ARGS)

test-postgresql: .venv/dev.stamp ## run the database tests on a PostgreSQL server that is started for them
	$(BIN)/python -m tests.postgresql $(BIN)/python -m pytest -n auto --durations=10 -m "not browser and not processes and not own_database and not fidelity and not faults and not scale and not upgrade" $(ARGS)

test-journeys: .venv/dev.stamp $(if $(shell command -v npm),tests/sandbox/sdk/node_modules/.stamp tests/accessibility/node_modules/.stamp) ## run real processes over HTTP and in a browser, kill them and compare the ledger; on both databases; FLOOD_EVENTS=5000 for a smaller flood of events
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "(processes or browser) and not postgresql and not faults and not scale and not upgrade" $(ARGS)
	$(BIN)/python -m tests.postgresql $(BIN)/python -m pytest -n 3 --dist worksteal -m "processes and not browser and not own_database and not faults and not scale and not upgrade" $(ARGS)

test-faults: .venv/dev.stamp ## kill and stop processes at every failpoint, break network, clock and database; writes docs/faults.md
	$(BIN)/python -m tests.postgresql $(BIN)/python -m pytest tests/faults -n 3 --dist worksteal -m faults --faults-table=docs/faults.md $(ARGS)

test-upgrade: .venv/dev.stamp ## upgrade installations of earlier versions in the middle of a send, one with 100,000 deliveries; on both databases
	$(BIN)/python -m pytest -n 2 -m upgrade $(ARGS)
	$(BIN)/python -m tests.postgresql $(BIN)/python -m pytest -n 2 -m upgrade $(ARGS)

test-scale: .venv/dev.stamp ## kill Celery workers on real brokers; SCALE_SUBSCRIBERS=100000 for the run of docs/scale-out.md
	$(BIN)/python -m tests.postgresql $(BIN)/python -m pytest tests/journeys/test_celery.py -m scale $(ARGS)

sdk: tests/sandbox/sdk/node_modules/.stamp ## install Resend's SDK for Node and the proxy that checks the API contract; needs node 18 or newer

test-pythons: .venv/dev.stamp ## run a part of the tests with other Pythons, where they are installed: PYTHONS="3.12 3.13"
	$(BIN)/python -m tests.pythons $(PYTHONS) $(ARGS)

test-mutants: .venv/dev.stamp ## remove each guard of a promise in turn, and demand that a test fails; writes docs/mutants.md; long
	$(BIN)/python -m tests.mutants $(ARGS)

soak: .venv/dev.stamp ## send for half an hour while workers are killed and calls fail; SOAK_MINUTES=5 for less; writes docs/soak.md
	$(BIN)/python -m tests.postgresql $(BIN)/python -m tests.soak

audit: .venv/dev.stamp ## check the lock files: bad releases, missing hashes, stale pins, unknown .pth files
	$(BIN)/python -m tests.house.audit

lint: .venv/dev.stamp ## check style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev.stamp ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

messages: .venv/dev.stamp ## update and compile the translation catalogues; needs gettext
	$(BIN)/python manage.py makemessages --settings tests.settings $(LOCALES:%=--locale %) --no-location --no-wrap --no-obsolete --ignore tests --ignore var --ignore docs --ignore node_modules
	$(BIN)/python manage.py compilemessages --settings tests.settings $(LOCALES:%=--locale %) --ignore .venv --ignore var

golden: .venv/dev.stamp ## render the golden HTML and screenshots of all themes again; review the difference before committing it
	$(BIN)/python -m tests.newsletter.rendering.golden
	$(BIN)/python -m tests.newsletter.rendering.pictures

fidelity: .venv/dev.stamp tests/fidelity/node_modules/.stamp ## compare pixels with the official MJML compiler; needs node 18 or newer
	$(BIN)/python -m pytest -m fidelity tests/fidelity $(ARGS)

bench: .venv/dev.stamp $(if $(shell command -v npm),tests/fidelity/node_modules/.stamp) ## run the benchmarks and print a table; ARGS=--large for a million subscribers, ARGS=--quick for the smallest audience only
	$(BIN)/python -m tests.benchmarks $(ARGS)

lock: .venv/dev.stamp ## update the pins; releases younger than a week are skipped, so that a compromised one is detected first
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade --exclude-newer "7 days" base.in -o base.txt
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade --exclude-newer "7 days" celery.in -o celery.txt
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade --exclude-newer "7 days" dev.in -o dev.txt

mjml-tables: .venv/dev.stamp tests/fidelity/node_modules/.stamp ## update the tables of the MJML validator from the pinned npm packages
	node tests/fidelity/dump_tables.mjs | $(BIN)/ruff format --stdin-filename mjml_tables.py - > newsletter/rendering/mjml_tables.py

caniemail: tests/fidelity/node_modules/.stamp ## update the data about mail programs from the pinned npm package
	node tests/fidelity/reduce_caniemail.mjs > newsletter/preflight/caniemail.json

clean: ## remove everything that these commands created
	rm -rf .venv var tests/fidelity/node_modules tests/sandbox/sdk/node_modules tests/accessibility/node_modules

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed. Choose one: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv

.venv/base.stamp: requirements/base.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/base.txt
	@touch $@

.venv/dev.stamp: requirements/dev.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

tests/fidelity/node_modules/.stamp: tests/fidelity/package-lock.json
	cd tests/fidelity && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

tests/accessibility/node_modules/.stamp: tests/accessibility/package-lock.json
	cd tests/accessibility && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

tests/sandbox/sdk/node_modules/.stamp: tests/sandbox/sdk/package-lock.json
	cd tests/sandbox/sdk && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
