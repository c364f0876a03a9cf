# Everything is installed into .venv, wheels only and pinned by constraints.txt; nothing outside is touched.
# PYTHON=/path/to/python3.13 make ... chooses the interpreter; without it the first of NAMES that will do.

NAMES := python3 python3.11 python3.12 python3.13 python3.14
PROBE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in $(NAMES); do $$name -c '$(PROBE)' 2>/dev/null && { echo $$name; break; }; done)
BIN := .venv/bin
# Most of a test is waiting: two at a time, a file each, so that what a file sets up for its tests is set up once.
WORKERS ?= 2
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile
export PIP_REQUIRE_VIRTUALENV := 1
export PIP_USER := 0
export PYTHONNOUSERSITE := 1
# Each role is a process: without bytecode on disk every one of them compiles all that it imports.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help bench incident tour check test test-long test-all perf reference-runs false-alarms idle-times attacks fuzz nginx-versions directives schema docs reference figures constraints clean

help:  ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

# 4: no answer here, as the text says; that is no failure of make.
bench: .venv/.run  ## Reproduce the keep-alive fix: the default plan, within a minute
	$(BIN)/bench run || [ $$? -eq 4 ]

incident: .venv/.proxies  ## What people write into nginx.conf, beside HAProxy, Envoy and Caddy, in minutes
	$(BIN)/bench incident

tour: .venv/.tour  ## Put to the test what is said about connections, from short ones to QUIC, in minutes
	$(BIN)/bench tour

check: .venv/.dev  ## Lint, formatting, imports, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy

test: .venv/.dev  ## The tests that fit in ten minutes (WORKERS=2: so many at a time)
	$(PYTEST) -m 'not long' $(TESTS)

test-long: .venv/.dev  ## The tests that take longer
	$(PYTEST) -m long $(TESTS)

test-all: test test-long  ## All tests: those, then the long ones

perf: .venv/.perf  ## Side by side with wrk, nginx and the others (QUICK=1, PERF_ONLY=a,b-tiny,..., PERF_FLAGS=)
	$(BIN)/python -m tests.perf $(if $(QUICK),--quick) $(if $(PERF_ONLY),--only $(PERF_ONLY)) $(PERF_FLAGS)

reference-runs: .venv/.perf  ## Make the reference runs anew, on a quiet machine (45 minutes; NAMES="reference-tls ...")
	$(BIN)/python -m tests.perf.references $(NAMES)

false-alarms: .venv/.dev  ## How often a comparison is wrong, by 200 runs of equal sides and more (an hour; MINUTES=60)
	for kind in equal equal-until spin; do \
	    $(BIN)/python -m tests.perf.false_alarms measure $$kind --minutes $(or $(MINUTES),60) --root build/false-alarms; done
	$(BIN)/python -m tests.perf.false_alarms count --root build/false-alarms

idle-times: .venv/.perf  ## Measure after how much idle time real servers end connections: docs/reference/idle-times.md (six minutes)
	$(BIN)/python -m tests.perf.idle_times > docs/reference/idle-times.new
	mv docs/reference/idle-times.new docs/reference/idle-times.md

attacks: .venv/.dev  ## Attack the proxy, and nginx beside it (QUICK=1, ATTACKS="crumbs idle-race ...")
	$(BIN)/python -m tests.attacks $(if $(QUICK),--quick) $(ATTACKS)

fuzz: .venv/.dev  ## Search for messages that are read in two ways, for ten minutes (FUZZ_S=60, SEED=1)
	$(BIN)/python -m tests.fuzz --seconds $(or $(FUZZ_S),600) $(if $(SEED),--seed $(SEED))

nginx-versions: .venv/.dev  ## Say whether PyPI's wheel of nginx is newer than the newest known
	$(BIN)/python -m tests.nginx.newest_wheel

directives: .venv/.dev .venv/.proxies  ## Measure anew which directives nginx accepts, and where (minutes)
	$(BIN)/python -m tests.nginx.probe_directives > nginx/conf/directives.new
	mv nginx/conf/directives.new nginx/conf/directives.txt

schema: .venv/.dev  ## Write results/schema.json anew, from the types of a run
	$(BIN)/python -m bench.runs.schema > results/schema.json

docs: .venv/.dev  ## Build the documents as a site: build/docs/index.html
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -c docs/site docs build/docs

reference: .venv/.dev  ## Write anew what the documents take from the code
	$(BIN)/python -m docs.site reference

figures: .venv/.dev  ## Write anew the figures of README.md and docs/, from results/reference*
	$(BIN)/python -m docs.site figures

constraints:  ## Pin the newest releases anew; the oldest Python that we support chooses
	rm -rf build/pins && python3.11 -m venv build/pins
	build/pins/bin/pip install --quiet --only-binary :all: --editable '.[dev,push,channels,browser,http2,http3,cluster,docs,proxies]'
	sed -n '/^#/p' constraints.txt > build/constraints.txt
	build/pins/bin/pip freeze --all --exclude-editable | sed '/^pip==/d' >> build/constraints.txt
	mv build/constraints.txt constraints.txt

clean:  ## Remove what was made, but no results
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -r {} +

.venv/.run: EXTRAS :=
.venv/.dev: EXTRAS := [dev,push,channels,browser,http2,http3,cluster,docs]
.venv/.tour: EXTRAS := [push,http3,proxies]
.venv/.proxies: EXTRAS := [proxies]
.venv/.perf: EXTRAS := [dev,push,channels,browser,http2,http3,cluster,docs,proxies]
.venv/.%: pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/pip install --quiet --only-binary :all: --constraint constraints.txt --editable '.$(EXTRAS)'
	@touch $@

$(BIN)/pip:
	@[ -n '$(PYTHON)' ] || { echo 'No Python 3.11 or newer with venv here; on Debian: apt install python3-venv' >&2; exit 3; }
	$(PYTHON) -m venv .venv
