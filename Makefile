# `make help` lists the targets. Every target makes the environment it needs; the second time that costs nothing.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
WORKERS ?= 2
STORE ?=

environment = @$(PYTHON) tools/environment.py --venv $(VENV) --extras
servers = @$(PYTHON) tools/servers.py
bin = $(VENV)/bin
sources = setup.py lib tests bench tools $(wildcard glance_compat)

.DEFAULT_GOAL := help
.PHONY: help run test check nightly servers matrix bench bench-quick bench-deps clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

run:  ## start Glance on ROME; STORE=redis or STORE=etcd with a server of its own; ARGS='--help' lists the options
	$(environment) glance,lmdb,redis,etcd
	$(if $(filter redis etcd,$(STORE)),$(servers) $(STORE))
	@$(bin)/glance-on-rome $(if $(STORE),--store $(STORE)) $(ARGS)

test:  ## everything that must pass before a change is merged: check, then the tests; ARGS go to pytest
	$(environment) glance,lmdb,nova,redis,etcd,plots,test
	$(servers)
	@$(MAKE) --no-print-directory check
	$(bin)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder -m "not nightly" $(ARGS)

check:  ## lint, types of the public surface, floors and manners of the repository
	$(environment) glance,lmdb,redis,etcd,test
	$(bin)/ruff check --quiet $(sources)
	$(bin)/mypy
	$(bin)/python -W error -m compileall -q -f lib $(wildcard glance_compat)
	$(bin)/python -m pytest -q tests/house

nightly:  ## everything, the long tests too
	$(environment) glance,lmdb,nova,redis,etcd,plots,test
	$(servers)
	@$(MAKE) --no-print-directory check
	$(bin)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder -m "not serial" $(ARGS)
	$(bin)/python -m pytest -m serial $(ARGS)

servers:  ## install the servers that the tests and `make run STORE=…` start, where they are missing (needs root)
	$(servers)

matrix:  ## the tests on every Python 3.11 to 3.13 found, with the oldest and newest SQLAlchemy
	@$(PYTHON) tools/matrix.py $(ARGS)

bench:  ## Glance's calls on ROME, SQLite, MariaDB and PostgreSQL, by size, and many clients; ARGS='--help' lists the options
	$(environment) glance,lmdb,nova,redis,plots
	@$(bin)/python -W ignore -m bench $(ARGS)

bench-quick:  ## in two minutes: ratios to the floor and the servers, waves and keys, to read before and after a change
	$(environment) glance,lmdb,nova,redis,plots
	@$(bin)/python -W ignore -m bench --parts calls --rounds 7 --brief \
		--databases rome-tuned,rome-redis-tuned,mariadb,postgresql $(ARGS)

bench-deps:  ## install the servers and clients that `make bench` compares with (needs root)
	apt-get install -y -q --no-install-recommends \
		mariadb-server postgresql gcc python3-dev pkg-config libmariadb-dev libpq-dev
	$(environment) glance,lmdb,bench

clean:  ## remove environments, caches and builds; data under var/ stays
	rm -rf $(VENV) build dist lib/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
