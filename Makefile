# Two commands: `make devnet` starts a network on this machine, `make test` checks everything.
.PHONY: help install devnet test lint format nightly bench clean
.DEFAULT_GOAL := help

PYTHON_OF_VENV := .venv/bin/python

help:
	@echo 'make install   make .venv and install zenp2p there, with what its tests need'
	@echo 'make devnet    install if needed and start a network: ARGS="--until-paid --report r.json"'
	@echo '               on an external chain, made by a real node: ARGS="--chain litecoind"'
	@echo 'make test      install, lint, type check, all tests but the long ones: ARGS="tests/protocol"'
	@echo 'make lint      ruff and mypy only'
	@echo 'make format    let ruff rewrite what lint would refuse'
	@echo 'make nightly   the long tests and more examples of every property'
	@echo 'make bench     the benchmarks'
	@echo 'make clean     remove .venv and every cache'

install:
	@scripts/install.sh

# On an external chain its node must be there: ARGS="--chain litecoind".
devnet:
	@scripts/install.sh $(if $(findstring litecoind,$(ARGS)),--chain)
	@.venv/bin/zenp2p devnet $(ARGS)

test: lint
	$(PYTHON_OF_VENV) -m pytest $(ARGS)

lint:
	@scripts/install.sh --test
	$(PYTHON_OF_VENV) -m ruff check
	$(PYTHON_OF_VENV) -m ruff format --check
	$(PYTHON_OF_VENV) -m mypy

format: install
	$(PYTHON_OF_VENV) -m ruff check --fix
	$(PYTHON_OF_VENV) -m ruff format

nightly:
	@scripts/install.sh --test
	HYPOTHESIS_PROFILE=nightly $(PYTHON_OF_VENV) -m pytest -m 'nightly or not nightly' $(ARGS)

bench: install
	$(PYTHON_OF_VENV) -m tests.benchmarks $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist zenp2p.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
