# Two commands matter: `make demo` and `make test`. Both start from nothing on a fresh Debian 12.
# Another interpreter: make PYTHON=python3.12 test

PYTHON ?= python3
JOBS   ?=
export PYTHON JOBS
unexport PYTHONDONTWRITEBYTECODE # with it every process compiles every module, and every worker of pytest every test

.DEFAULT_GOAL := help
.PHONY: help demo test lint soak drill oldest lock bench clean

help:
	@echo 'make demo    from a CSR to a renewed certificate on a real nginx, with proofs; a few minutes'
	@echo 'make test    formatting, rules, types and the tests, most of them against real servers'
	@echo 'make lint    formatting, rules and types only'
	@echo 'make soak    the tests that make test has no time for, and a long bad night; run it before a release'
	@echo 'make drill   each service of Debian with each fault, under systemd; writes docs/services.md; run it before a release'
	@echo 'make oldest  every test with the oldest libraries that pyproject.toml allows'
	@echo 'make lock    write requirements/*.txt anew: the newest libraries, with hashes'
	@echo 'make bench   certfleet beside certbot, lego, dehydrated and uacme on the same servers: ratios'
	@echo 'make clean   remove what these commands made in this folder'

demo:
	@.ci/packages demo
	@.ci/venv
	@.venv/bin/python -m deploy.demo

test:
	@.ci/packages test
	@.ci/venv
	@.ci/collect & .ci/lint; code=$$?; wait; exit $$code
	@.ci/pytest

lint:
	@.ci/packages lint
	@.ci/venv
	@.ci/lint

soak:
	@.ci/packages soak
	@.ci/venv
	@.ci/pytest -m soak -s
	@CERTFLEET_EXAMPLES=random .ci/pytest tests/properties

drill:
	@.ci/packages drill
	@.ci/venv
	@CERTFLEET_DRILL=1 MINUTES=180 .ci/pytest -m '' tests/drill/test_drill.py tests/drill/test_esxi.py tests/drill/test_honest.py \
		tests/drill/test_other_configurations.py tests/common/test_probe_nntp.py
	@.venv/bin/python -m tests.drill.page
	@.ci/pytest tests/drill/test_services_page.py

oldest:
	@.ci/packages test
	@.ci/oldest

lock:
	@.ci/lock

bench:
	@.ci/packages bench
	@.ci/venv
	@.venv/bin/python -m tests.bench

clean:
	rm -rf .venv .venv-oldest build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
