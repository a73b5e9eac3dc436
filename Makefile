# The commands of this repository on one page. A goal makes what it needs; nothing has to be installed by hand first.

.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
SECONDS ?=
FULL ?=
TESTS ?=

# The tests in three turns: those that compute, on both cores; those that mostly wait, four at a time; and those that
# keep the pace of a bus, which have the machine for themselves. A test of real processes can starve beside three
# others on two cores: what fails there is judged alone, and both results are printed. A defect fails again.
PACED := $(wildcard tests/system/test_line_*.py) tests/system/test_scan.py tests/agent/line/test_line.py
ALONE := --last-failed --last-failed-no-failures none
WAITING := tests/system tests/simulators tests/cli tests/agent/scan tests/agent/line tests/agent/test_control.py tests/test_proxy.py \
	$(wildcard tests/agent/test_forward*.py) tests/agent/test_supervise.py

# The first of these that is Python 3.11 or later; `make PYTHON=/path/to/python3.12 …` chooses another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done)

.PHONY: help venv demo test check bench bulk docs wheel clean python

help: ## this page
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'

venv: $(VENV)/.developer ## .venv with everything: .venv/bin/qushui, .venv/bin/qushui-sim, the tools

demo: $(VENV)/.installed ## a simulated pump house, live; SECONDS=30 stops by itself and counts what was lost
	@$(BIN)/python -m simulators.demo $(if $(SECONDS),--seconds $(SECONDS))

test: check ## everything that proves it: lint, types, tests; installs missing system packages
	@.ci/packages mosquitto=mosquitto mosquitto_sub=mosquitto-clients strace=strace openssl=openssl ip=iproute2
ifneq ($(TESTS),)
	$(BIN)/python -m pytest $(TESTS)
else
	$(BIN)/python -m pytest -n 2 --dist worksteal tests $(PACED:%=--ignore=%) $(WAITING:%=--ignore=%)
	$(BIN)/python -m pytest -n 4 --dist loadfile $(WAITING) $(PACED:%=--ignore=%) || \
		{ echo "make: what failed beside others, once more and alone"; $(BIN)/python -m pytest $(ALONE) $(WAITING); }
	$(BIN)/python -m pytest $(PACED)
endif

check: $(VENV)/.developer ## lint, format and types only
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/.developer ## measures this machine: a table and JSON, never a pass or fail; FULL=1 takes longer
	@.ci/packages mosquitto=mosquitto
	@FULL=$(FULL) $(BIN)/python -m bench

bulk: $(VENV)/.developer ## the system tests at full length (kills, outages, memory over 100 000 rounds), all seasons
	@.ci/packages mosquitto=mosquitto mosquitto_sub=mosquitto-clients strace=strace openssl=openssl ip=iproute2
	QUSHUI_BULK=1 $(BIN)/python -m pytest tests/system tests/drivers tests/agent/uplinks tests/simulators/test_seasons.py tests/simulators/test_many_stations.py

docs: $(VENV)/.developer ## writes what is made from the code: JSON Schemas, reference and fault pages
	$(BIN)/python -m agent.documents

wheel: $(VENV)/.developer ## dist/*.whl, to install on a gateway
	$(BIN)/python -m pip wheel -q --no-deps --wheel-dir dist .
	@ls dist/*.whl

clean: ## removes what the other goals made
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

# What the product needs, and what working on it needs besides. A stamp is renewed when pyproject.toml changes. pip
# compiles what it copies, not what stays in the checkout: without, and with PYTHONDONTWRITEBYTECODE, each start would.
$(VENV)/.installed: pyproject.toml | python
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "make: installing qushui into $(VENV)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@$(BIN)/python -m compileall -q agent drivers simulators
	@touch $@

$(VENV)/.developer: $(VENV)/.installed
	@echo "make: installing the developer's tools into $(VENV)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

python:
	@test -n "$(PYTHON)" || { echo "qushui needs Python 3.11 or later. Type:  sudo apt-get install python3 python3-venv" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || .ci/packages =python3-venv
