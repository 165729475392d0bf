# The commands of the portal; `make help` lists them. The first run fetches what is missing, later ones need no network.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MANAGE := .venv/bin/python manage.py
WORKERS ?= 2
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help demo run test check bench lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make run KAFKA=host:9092 [PROMETHEUS=http://host:9090] [PORT=8000]   settings: docs/settings.md"

demo: .venv/.demo node_modules/.done ## the portal with a real three-broker Kafka and live traffic
	@sh deploy/bootstrap/system.sh --try java:default-jre-headless mvn:maven
	@sh deploy/bootstrap/monitoring.sh
	@exec $(MANAGE) demo

run: .venv/.base node_modules/.done ## the portal on its embedded services, for a Kafka of your own
	@exec $(MANAGE) run $(if $(KAFKA),--kafka '$(KAFKA)') $(if $(PROMETHEUS),--prometheus '$(PROMETHEUS)')

test: .venv/.dev .venv/.demo node_modules/.done ## all tests: on a real PostgreSQL, Valkey, Kafka and Chromium
	@sh deploy/bootstrap/system.sh --try java:default-jre-headless mvn:maven chromium:chromium openssl:openssl
	@sh deploy/bootstrap/monitoring.sh
	pytest -n $(WORKERS) --dist loadgroup $(ARGS)

check: .venv/.dev node_modules/.done ## format, lint, types, contracts, templates, migrations, deploy check
	ruff format --check --quiet .
	ruff check --quiet .
	mypy .
	lint-imports --no-logo
	djlint --quiet --lint templates
	$(MANAGE) makemigrations --check --dry-run
	sh deploy/check-production.sh
	sh -n deploy/bootstrap/*.sh .ci/run

bench: .venv/.dev node_modules/.done ## the measurements of docs/performance.md, as JSON
	@sh deploy/bootstrap/system.sh --try java:default-jre-headless mvn:maven chromium:chromium
	@exec .venv/bin/python -m bench $(ARGS)

lock: .venv/.base ## make the locks of the Python and front-end packages anew
	@sh deploy/bootstrap/lock.sh

clean: ## remove caches; data (var/), .venv and node_modules stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache test-results var/static
	find . -name __pycache__ -not -path './.venv/*' -not -path './node_modules/*' -prune -exec rm -rf {} +

.venv/.base: requirements/base.txt deploy/bootstrap/python.sh
	@sh deploy/bootstrap/python.sh base
	@touch $@

.venv/.demo: .venv/.base requirements/demo.txt
	@sh deploy/bootstrap/python.sh demo && touch $@ || echo "It goes on without a newer Java: no schema registry where the system has none."

.venv/.dev: .venv/.base requirements/dev.txt
	@sh deploy/bootstrap/python.sh dev
	@touch $@

node_modules/.done: package-lock.json deploy/bootstrap/node.sh .venv/.base
	@sh deploy/bootstrap/node.sh
	@touch $@
