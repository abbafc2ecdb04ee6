# Two commands do all the set-up: `make demo` shows the system at work, `make test` proves it.
# They need Python 3.11 or newer, make and a network; everything is installed into .venv.

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test test-sqlite test-postgresql test-journeys test-faults test-scale lint format golden fidelity bench lock mjml-tables caniemail clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

install: .venv/base.stamp ## make .venv with the pinned packages

demo: .venv/base.stamp ## run everything here with sample content; ARGS=--once sends one issue, reports and ends
	@$(BIN)/python manage.py demo $(ARGS)

test: test-sqlite ## run the tests on SQLite, a few kills included; the other targets are for PostgreSQL, browser, processes, faults and scale

test-sqlite: .venv/dev.stamp
	$(BIN)/python -m pytest -n auto -m "not postgresql and not processes and not browser and not fidelity and not faults and not scale" $(ARGS)

test-postgresql: .venv/dev.stamp ## run what meets a database on PostgreSQL, which is started for it
	$(BIN)/python -m tests.postgresql $(BIN)/python -m pytest -n auto -m "not browser and not processes and not own_database and not fidelity and not faults and not scale" $(ARGS)

test-journeys: .venv/dev.stamp ## drive real processes over HTTP and in a browser, kill them, look at the ledger; on both databases
	$(BIN)/python -m pytest -n 2 -m "(processes or browser) and not postgresql and not faults and not scale" $(ARGS)
	$(BIN)/python -m tests.postgresql $(BIN)/python -m pytest -n 2 -m "processes and not browser and not own_database and not faults and not scale" $(ARGS)

test-faults: .venv/dev.stamp ## kill and stop processes at every point of an issue's way, break net, clock and database; writes docs/faults.md
	$(BIN)/python -m tests.postgresql $(BIN)/python -m pytest tests/faults -n 2 -m faults --faults-table=docs/faults.md $(ARGS)

test-scale: .venv/dev.stamp ## kill Celery workers on real brokers; SCALE_READERS=100000 for the run of docs/scale-out.md
	$(BIN)/python -m tests.postgresql $(BIN)/python -m pytest tests/journeys/test_fleet.py -m scale $(ARGS)

lint: .venv/dev.stamp ## style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev.stamp ## put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

golden: .venv/dev.stamp ## write the HTML and take the pictures of all themes anew; look at the difference before committing it
	$(BIN)/python -m tests.newsletter.rendering.golden
	$(BIN)/python -m tests.newsletter.rendering.pictures

fidelity: .venv/dev.stamp tests/fidelity/node_modules/.stamp ## compare pixels with the official MJML compiler; needs node 18 or newer
	$(BIN)/python -m pytest -m fidelity tests/fidelity $(ARGS)

bench: .venv/dev.stamp $(if $(shell command -v npm),tests/fidelity/node_modules/.stamp) ## measure, and print a table; ARGS=--large with a million readers
	$(BIN)/python -m tests.benchmarks $(ARGS)

lock: .venv/dev.stamp ## renew the pins; nothing younger than a week, so that a stolen release is found out first
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade --exclude-newer "7 days" base.in -o base.txt
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade --exclude-newer "7 days" celery.in -o celery.txt
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade --exclude-newer "7 days" dev.in -o dev.txt

mjml-tables: .venv/dev.stamp tests/fidelity/node_modules/.stamp ## renew what the validator knows, from the pinned npm packages
	node tests/fidelity/dump_tables.mjs | $(BIN)/ruff format --stdin-filename mjml_tables.py - > newsletter/rendering/mjml_tables.py

caniemail: tests/fidelity/node_modules/.stamp ## renew what mail programs can show, from the pinned npm package
	node tests/fidelity/reduce_caniemail.mjs > newsletter/preflight/caniemail.json

clean: ## remove what these commands made
	rm -rf .venv var tests/fidelity/node_modules

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say which: make PYTHON=python3.12 …")'
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
